"""The n-grams of a text: words or characters in a row, as features count them.

What does not belong here: how they are hashed, weighed or learned (`features/terms`, `reducers/terms`).
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Of: TypeAlias = Literal["words", "characters"]
_WORD = re.compile(r"\w+")


def ngrams(text: str, shortest: int, longest: int, of: Of) -> list[str]:
    r"""The n-grams of `text` from `shortest` to `longest`, short ones first, in their order, repeated as they occur.

    Words are runs of letters, digits and `_` (Python's `\\w+`), joined by one blank; characters are code points. No
    letter is turned to lower case. A text without words gives none.

    >>> ngrams("to be, or not", 1, 2, "words")
    ['to', 'be', 'or', 'not', 'to be', 'be or', 'or not']
    >>> ngrams("abc", 2, 2, "characters")
    ['ab', 'bc']
    """
    if of == "characters":
        return [text[at : at + n] for n in range(shortest, longest + 1) for at in range(len(text) - n + 1)]
    words = _WORD.findall(text)
    return [" ".join(words[at : at + n]) for n in range(shortest, longest + 1) for at in range(len(words) - n + 1)]
