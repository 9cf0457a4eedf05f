"""Units on threads: order within a unit, few chunks open, the first error wins."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninetyfive.engines.scheduling import Schedule


class Counted:
    """A unit that counts what is open and keeps what is folded."""

    def __init__(self, size: int, known: bool, watch: Watch, fails: int | None = None) -> None:
        self.chunks = size if known else None
        self.size = size
        self.watch = watch
        self.fails = fails
        self.folded: list[int] = []
        self.finished = 0
        self._turn = threading.Lock()

    def load(self, chunk: int) -> int | None:
        if self.chunks is None:
            assert self._turn.acquire(blocking=False), "two loads at once"
            self._turn.release()
        if chunk >= self.size:
            return None
        self.watch.opened()
        return chunk * 10

    def work(self, chunk: int, loaded: int) -> int:
        if chunk == self.fails:
            raise ValueError(f"chunk {chunk}")
        if chunk % 3 == 0:
            time.sleep(0.0005)
        return loaded + 1

    def fold(self, result: int) -> int:
        assert self._turn.acquire(blocking=False), "two folds at once"
        self.folded.append(result)
        self.watch.closed()
        self._turn.release()
        return 1

    def finish(self) -> None:
        self.finished += 1


class Watch:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def opened(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def closed(self) -> None:
        with self.lock:
            self.now -= 1


@given(
    sizes=st.lists(st.tuples(st.integers(0, 9), st.just(True)), max_size=5),
    threads=st.integers(1, 5),
    limit=st.integers(1, 6),
)
def test_chunks_are_folded_in_order_and_few_are_open(sizes: list[tuple[int, bool]], threads: int, limit: int) -> None:
    watch = Watch()
    units = [Counted(size, known, watch) for size, known in sizes]
    told: list[int] = []
    with ThreadPoolExecutor(threads) as pool:
        Schedule(pool, limit, told.append).run(units)
    for unit in units:
        assert unit.folded == [chunk * 10 + 1 for chunk in range(unit.size)]
        assert unit.finished == 1
    assert watch.most <= limit
    assert sum(told) == sum(size for size, _ in sizes)


@given(sizes=st.lists(st.integers(0, 9), max_size=5), threads=st.integers(1, 5), limit=st.integers(1, 6))
def test_units_of_unknown_length_are_loaded_in_order(sizes: list[int], threads: int, limit: int) -> None:
    watch = Watch()
    units = [Sequential(size, False, watch) for size in sizes]
    with ThreadPoolExecutor(threads) as pool:
        Schedule(pool, limit, lambda _: None).run(units)
    for unit in units:
        assert unit.loaded == list(range(unit.size + 1))
        assert unit.folded == [chunk * 10 + 1 for chunk in range(unit.size)]
        assert unit.finished == 1
    assert watch.most <= limit


class Sequential(Counted):
    """Loads are one at a time, on their own, and so are folds; one of each may run together."""

    def __init__(self, size: int, known: bool, watch: Watch) -> None:
        super().__init__(size, known, watch)
        self.loaded: list[int] = []

    def load(self, chunk: int) -> int | None:
        self.loaded.append(chunk)
        if chunk >= self.size:
            return None
        self.watch.opened()
        return chunk * 10


def test_the_first_error_is_raised() -> None:
    watch = Watch()
    units = [Counted(50, True, watch), Counted(50, True, watch, fails=2), Counted(50, True, watch)]
    pool = ThreadPoolExecutor(2)
    with pytest.raises(ValueError, match="chunk 2"):
        Schedule(pool, 4, lambda _: None).run(units)
    pool.shutdown(cancel_futures=True)
    assert units[2].finished == 0
