"""The head, entity by entity: its shares of late, and when features change that have a rhythm or none."""

from __future__ import annotations

import numpy as np
import pytest

from ninetyfive.design.heads import Head, head_of, held
from ninetyfive.design.occurrences import occurrences

DAY = 86_400.0
TIME = np.arange(0.0, 6 * DAY, 300.0)


def head(entity: np.ndarray, state: np.ndarray) -> Head:
    """The head of requests that come each five minutes for six days."""
    known = occurrences((TIME * 1e6).astype(np.int64), entity, state, None)
    found, chosen = head_of(known, len(known), known.counts)
    assert len(chosen) == len(found)
    return found


def test_what_is_renewed_once_a_day_changes_when_a_day_is_over() -> None:
    entity = np.arange(len(TIME)) % 20
    found = head(entity, np.floor((TIME + (entity + 1) / 20 * DAY) / DAY))
    # The order of entities that are asked about as often is that of their numbers; the fifth changed six hours ago.
    assert found.age[4] == pytest.approx(DAY / 4, abs=6_000)
    _, kept = held(found, DAY, None, 100)
    assert np.quantile(kept[:, 4], [0.1, 0.5, 0.9]) == pytest.approx([0.75, 0.75, 0.75], abs=0.13)
    # Built again twice a day: of the first half all is kept, of the second what comes before the change.
    _, often = held(found, DAY, DAY / 2, 100)
    assert np.median(often[:, 4]) == pytest.approx(0.75, abs=0.13)


def test_what_changes_at_any_moment_may_change_at_once() -> None:
    chance = np.random.default_rng(5)
    changes = np.sort(chance.uniform(0, 6 * DAY, (20, 6)))
    entity = np.arange(len(TIME)) % 20
    state = np.array([np.searchsorted(changes[one], at) for one, at in zip(entity, TIME, strict=True)])
    _, kept = held(head(entity, state), DAY, None, 100)
    mean = 1 - np.exp(-1.0)  # the mean of exp(-t) from 0 to 1
    assert kept.mean() == pytest.approx(mean, abs=0.1)
    assert np.quantile(kept[:, 0], 0.05) < 0.2
    assert np.quantile(kept[:, 0], 0.95) == 1.0


def test_a_share_is_what_it_has_been_since_it_is_so() -> None:
    turn = np.arange(len(TIME)) % 10
    entity = np.where(TIME < 5 * DAY, np.where(turn < 9, 0, 1), np.where(turn < 9, 1, 0))
    found = head(entity, TIME * 0)
    assert found.counts[0] > found.counts[1]
    assert found.shares == pytest.approx([0.1, 0.9], abs=0.05)
    assert found.leaves > 0
    asked, _ = held(found, DAY, None, 100)
    assert asked.min() < 1.0
    assert head(turn, TIME * 0).leaves == 0.0


def test_of_too_few_requests_there_is_no_head() -> None:
    found = head(np.arange(len(TIME)), TIME * 0)
    assert len(found) == 0
    assert held(found, DAY, None, 7)[0].shape == (7, 0)
