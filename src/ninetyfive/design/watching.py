"""The policy that watches quality, replayed: what `run --if-due` would have done with `StaticTraining(watch=, drop=)`.

    look every so many blocks ─ the gain on blocks whose labels became known ─ decide_drop ─┬─ held ─▶ keep the model
                                                                                            └─ due ──▶ train on what
                                                                                    came since the promise was kept

The rule: the decision is that of `decisions.triggers`, by which a run decides, and it is given what a run would know
then. A release promises what it gained on the newest fifth of its window, on which it did not train: here that is
what a model made that long before gained on the blocks that followed. What trains after a drop is, of the windows
that the backtest trained, the longest that holds nothing of before, or the shortest.
What does not belong here: what a replay costs (`replays`), which policy is chosen (`training`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ninetyfive.decisions.triggers import Watched, decide_drop
from ninetyfive.design.losses import Floats
from ninetyfive.reducers.intervals import Estimate, jackknife

DROPS = (0.1, 0.25)
"""The shares of the promised gain whose loss makes a watched champion be trained again."""
WATCHES = (1, 2)
"""After how many blocks it is looked at."""
_HELD_OUT = 0.2
"""The share of a window that a run holds out, unless something else is declared."""


class Model(NamedTuple):
    """One training: the place of its window, and its origin."""

    window: int
    origin: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Trainings on all windows: losses and those of the constant baseline, (window, origin, block, 1 + 20).

    `windows` in blocks (None: all before), `rows` of each block, `known[b]` how many blocks had all labels known when b
    began. `first`: the model that all begin with; what comes before its origin only tells what it promised.
    """

    windows: tuple[int | None, ...]
    losses: Floats
    constant: Floats
    rows: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    first: Model

    def gain(self, model: Model, blocks: Sequence[int]) -> Estimate:
        """What a model gains over the constant baseline on the blocks of these that are scored."""
        apart = self.constant[model] - self.losses[model]
        seen = [block for block in blocks if np.isfinite(apart[block, 0])]
        rows = self.rows[seen]
        if not seen:
            return Estimate(None, None, None, 0)
        means = np.average(np.where(np.isnan(apart[seen]), apart[seen][:, :1], apart[seen]), axis=0, weights=rows)
        return jackknife(float(means[0]), means[1:].tolist(), int(rows.sum()))

    def promised(self, model: Model) -> Estimate | None:
        """What a model was released with: the gain on the newest known block of one made at its start, or None."""
        end = min(int(self.known[model.origin]), model.origin)
        length = min(self.windows[model.window] or model.origin, model.origin)
        start = end - max(1, round(_HELD_OUT * length))
        while start < end and (start < 0 or not np.isfinite(self.losses[model.window, start, start:end, 0]).any()):
            start += 1
        found = self.gain(Model(model.window, start), range(start, end))
        return found if found.judged else None

    def trained(self, block: int, since: int) -> Model | None:
        """The training at the start of a block on what came from block `since` on; None where there is none."""
        made = [place for place in range(len(self.windows)) if np.isfinite(self.losses[place, block, :, 0]).any()]
        lengths = {place: self.windows[place] or len(self.rows) for place in made}
        fitting = [place for place in made if lengths[place] <= block - since]
        if not made:
            return None
        best = max(fitting, key=lengths.__getitem__) if fitting else min(made, key=lengths.__getitem__)
        return Model(best, block)


def watched(given: Watch, every: int, drop: float) -> tuple[Model, ...]:
    """The model of each block from the first origin on, with a look every so many blocks after look or training."""
    model, upto = given.first, int(given.known[given.first.origin])
    state, last = Watched(promised=None, since=upto), model.origin
    models = []
    for block in range(model.origin, len(given.rows)):
        if block - last >= every:
            seen = min(int(given.known[block]), block)
            fresh = range(max(upto, model.origin), seen)
            state = decide_drop(drop, given.gain(model, fresh), given.promised(model), state, seen)
            upto, last = seen if state.judged else upto, block
            if state.due:
                model = given.trained(block, state.since) or model
        models.append(model)
    return tuple(models)
