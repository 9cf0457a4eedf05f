"""What recording costs: seven no-op steps that pass an int on, fresh process to fresh process.

    python -m bench.pipeline [--rounds N] [--json]

- imports: a process that only imports the third-party modules that the recorded run loads
- script: the same, then the seven functions called by hand; nothing is recorded
- cold: the recorded run in a new store (it is created); warm: the run again, in which all seven steps are skipped;
  recomputed: the run again in the same store, all seven steps computed and recorded anew
The bound: cold, warm and recomputed take at most 0.15 s more than imports (medians; rounds take turns).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
BOUND = 0.15

FUNCTIONS = """
def first(context):
    return {"number": 1}
def following(context, before):
    return {"number": before["number"] + 1}
"""

SCRIPT = (
    FUNCTIONS
    + """
output = first(None)
for number in range(1, 7):
    output = following(None, output)
assert output == {"number": 7}
"""
)

RECORDED = (
    FUNCTIONS
    + """
import sys
from ninetyfive.pipeline import Step, from_step, run_steps
from ninetyfive.store.opening import open_store
steps = [Step("step-0", first)]
for number in range(1, 7):
    steps.append(Step(f"step-{number}", following, needs=(f"step-{number - 1}",)))
with open_store(sys.argv[1]) as store, store.lease("bench"):
    run = store.begin_run("bench", "key")
    outcome = run_steps(steps, None, store, run.id, redo=from_step(steps, sys.argv[2] or None))
    store.finish_run(run.id, "done", {})
assert outcome.outputs["step-6"] == {"number": 7}
assert all(step.skipped == (sys.argv[3] == "skipped") for step in outcome.steps)
"""
)

LOADED = """
loaded = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(*sorted(name for name, file in loaded.items() if "site-packages" in file))
"""


def seconds(code: Path, *words: str) -> float:
    """Wall seconds of a fresh process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(code), *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def third_party(folder: Path) -> list[str]:
    """The modules from site-packages that a recorded run loads."""
    probe = folder / "probe.py"
    probe.write_text(RECORDED + LOADED)
    words = [sys.executable, str(probe), str(folder / "probe-store"), "", ""]
    names = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return [name for name in names if not name.startswith(("_", "ninetyfive"))]


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each kind of process."""
    times: dict[str, list[float]] = {"imports": [], "script": [], "cold": [], "warm": [], "recomputed": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        imports = "".join(f"import {module}\n" for module in third_party(folder))
        codes = {"imports": imports, "script": imports + SCRIPT, "recorded": RECORDED}
        for kind, code in codes.items():
            (folder / f"{kind}.py").write_text(code)
        for number in range(rounds):
            store = str(folder / f"store-{number}")
            times["imports"].append(seconds(folder / "imports.py"))
            times["script"].append(seconds(folder / "script.py"))
            times["cold"].append(seconds(folder / "recorded.py", store, "", "computed"))
            times["warm"].append(seconds(folder / "recorded.py", store, "", "skipped"))
            times["recomputed"].append(seconds(folder / "recorded.py", store, "step-0", "computed"))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description="seven recorded no-op steps against importing alone")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    medians = {kind: median(times) for kind, times in measure(words.rounds).items()}
    over = {kind: medians[kind] - medians["imports"] for kind in ("script", "cold", "warm", "recomputed")}
    held = max(over.values()) <= BOUND
    if words.json:
        print(
            json.dumps({"seconds": medians, "over_imports": over, "bound": BOUND, "rounds": words.rounds, "held": held})
        )
    else:
        print(f"seven recorded no-op steps, medians of {words.rounds} fresh processes each")
        for kind, value in medians.items():
            print(f"  {kind:<11} {value:6.3f} s" + (f"  {over[kind]:+.3f} s over imports" if kind in over else ""))
        print(f"bound: {BOUND} s over imports: {'held' if held else 'not held'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
