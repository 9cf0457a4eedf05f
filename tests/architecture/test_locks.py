"""The lock of the demo is a part of the lock of everything: the demo shows what the tests have seen."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(name: str) -> set[str]:
    """Names and versions that a lock file pins."""
    return set(re.findall(r"^([a-z0-9_.-]+)(?:\[[^]]*\])?(==\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_demo_is_installed_in_versions_that_are_tested() -> None:
    demo, whole = pins("requirements-demo.lock"), pins("requirements.lock")
    assert demo - whole == set()
    assert 20 < len(demo) < len(whole) / 3
