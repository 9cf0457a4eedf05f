"""What is answered by one release is of that release alone, also while another one goes live."""

from __future__ import annotations

from typing import Any

from tests.serve.conftest import ROW, Made

from ninetyfive.serve.answering import Answered, Answering
from ninetyfive.serve.counters import Counters
from ninetyfive.serve.loaded import Loaded
from ninetyfive.serve.messages import Limits, Policy


def test_a_request_that_began_before_a_flip_reads_nothing_that_the_next_release_cached(made: Made) -> None:
    old, new = (Loaded(made.live(epoch), Policy(paradigm="hybrid", cache=2), "trips") for epoch in (1, 2))
    answering = Answering(old, Limits(), Counters(None), None, "p")

    def ask(loaded: Loaded, **changes: Any) -> Answered:
        struct = loaded.rows.convert({**ROW, **changes}, "$")
        return answering.answer_now(loaded, [struct], "$.instances[{}]".format, hold=False)

    answering.flip(new)
    assert [ask(new).sources, ask(new).sources] == [["model"], ["cache"]]
    assert ask(old).sources == ["model"]
    for distance in (1.0, 2.0):
        ask(new, distance=distance)
    assert ask(new).sources == ["model"]
