"""The one clock: the machine's, or what NINETYFIVE_CLOCK says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ninetyfive import clock
from ninetyfive.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-01-31T12:00:00Z", 12), ("2026-01-31T12:00", 12), ("2026-01-31T12:00+02:00", 10), ("2026-01-31", 0)],
)
def test_the_clock_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, hour: int) -> None:
    monkeypatch.setenv("NINETYFIVE_CLOCK", text)
    assert clock.now() == datetime(2026, 1, 31, hour, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("text", [None, ""])
def test_otherwise_it_is_the_machines(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.delenv("NINETYFIVE_CLOCK", raising=False)
    if text is not None:
        monkeypatch.setenv("NINETYFIVE_CLOCK", text)
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)


def test_wrong_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINETYFIVE_CLOCK", "tomorrow")
    with pytest.raises(SettingsError, match="NINETYFIVE_CLOCK: expected an ISO 8601 time, got 'tomorrow'"):
        clock.now()
