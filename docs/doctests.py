"""Read by `make docs`: a `>>>` session in a docstring is shown as code, where Markdown would make a quotation of it."""

from __future__ import annotations

import re
from typing import Any

import griffe

SESSION = re.compile(r"^(>>> .*\n?(?:.+\n?)*)", re.MULTILINE)


class Sessions(griffe.Extension):
    """Fences the sessions of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called once an object is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = SESSION.sub(r"```pycon\n\1\n```\n", obj.docstring.value)
