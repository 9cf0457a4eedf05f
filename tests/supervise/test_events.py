"""What the supervisor tells, also where nobody hears it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

import pytest

from ninetyfive.supervise.events import tell


def test_an_event_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    tell("swap", epoch=7)
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["epoch"]) == ("swap", 7)


def test_it_goes_on_where_nobody_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    deaf = os.fdopen(writer, "w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", deaf)
        for _ in range(3):
            tell("swap", words="x" * 10_000)
        assert sys.stderr is deaf
    with suppress(OSError):  # what it still holds
        deaf.close()
