"""The record as Markdown: design/0001.md.

    content(design) ─ markdown() ─▶ text; equal designs give equal bytes

What users named is escaped: it cannot become markup. What does not belong here: what the record says (`content`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ninetyfive.design.content import Block, Code, Items, Rows, Text, content
from ninetyfive.design.evidence import Design

_MARKUP = re.compile(r"[\\*\[<>|~]|(?<!\w)_|_(?!\w)|&(?=[#\w]+;)|^#|^[+-](?=[\s-]|$)")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")


def markdown(design: Design) -> str:
    """The text of the record."""
    lines = [f"# Design {design.number:04d} of {escaped(design.system)}", ""]
    for section in content(design):
        if section.name != "decision":  # it stands below the title, first
            lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_lines(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """Text that means itself in Markdown, on one line; what stands between backticks stays code.

    >>> print(escaped("a|b <b>*x* of `snake_case|y`, and a_b [x](y)"))
    a\\|b \\<b\\>\\*x\\* of `snake_case\\|y`, and a_b \\[x](y)
    >>> print(escaped("0.5"), escaped("-3.9e-05 [-1, 2]"), escaped("1. first"), escaped("- x"))
    0.5 -3.9e-05 \\[-1, 2] 1\\. first \\- x
    """
    text = " ".join(text.split())
    if text.count("`") % 2:
        text = text.replace("`", "'")
    parts = text.split("`")
    shown = [
        part.replace("|", "\\|")
        if place % 2
        else _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(lambda found: "\\" + found[0], part))
        for place, part in enumerate(parts)
    ]
    return "`".join(shown)


def _lines(block: Block) -> Iterator[str]:
    if isinstance(block, Text):
        yield escaped(block.text)
    elif isinstance(block, Code):
        yield from ("```python", *block.lines, "```")
    else:
        if block.title:
            yield from (f"{escaped(block.title)}:", "")
        yield from (f"- {escaped(text)}" for text in block.texts) if isinstance(block, Items) else _table(block)


def _table(block: Rows) -> Iterator[str]:
    yield f"| {' | '.join(block.head)} |"
    yield f"|{'---|' * len(block.head)}"
    yield from (f"| {' | '.join(map(escaped, row))} |" for row in block.rows)
