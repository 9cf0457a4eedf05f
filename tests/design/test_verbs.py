"""Accepting a record from its file: one that was altered puts nothing in force."""

from __future__ import annotations

import pytest
from tests.conftest import Project
from tests.design.designs import design

from ninetyfive.accepted import read_accepted
from ninetyfive.design.record import write_record
from ninetyfive.design.verbs import accept
from ninetyfive.errors import IntegrityError


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('every = "7d"', 'every = "banana"'),
        ('every = "7d"\n', ""),
        ("k = 1000", "k = -5"),
        ("k = 1000\n", ""),
        ("number = 1", "number = 7"),
    ],
)
def test_an_altered_record_puts_nothing_in_force(project: Project, old: str, new: str) -> None:
    project.edit(('    split=nf.Split("time", 0.5),', '    split=nf.Split("time", 0.5),\n    entity="zone",'))
    path = write_record(project.folder, design()).data
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"0001\.toml"):
        accept(project.load(), project.folder, None, None, "user@host")
    assert read_accepted(project.folder) is None
