"""The same question by every framework: runs system.py and each with_*.py, and prints one table of what they cost.

build/frameworks/NAME/    a project of its own each, on the same data: system.py is a copy, data a link
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
METRICS = ("log_loss", "auc", "brier")


def compared(name: str, file: Path) -> dict[str, str]:
    """Run a system in a new project, and what its release says."""
    folder = HERE / "build" / "frameworks" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(file, folder / "system.py")
    (folder / "data").symlink_to(HERE / "data")
    words = [str(Path(sys.executable).parent / "ninetyfive"), "run", "--json"]
    done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    document = json.loads(done.stdout)
    if done.returncode not in (0, 3):
        sys.exit(f"{name}: {document}")
    (evidence,) = folder.glob(f".ninetyfive/folders/*{document['release']}*/evidence.json")
    said = json.loads(evidence.read_text(encoding="utf-8"))
    about = json.loads(evidence.with_name("release.json").read_text(encoding="utf-8"))
    timing = said["proof"]["timing"]
    return {
        "": name,
        **{metric: f"{document['metrics'][metric]['value']:.4f}" for metric in METRICS},
        "training": f"{said['seconds']['fitting']:.1f} s",
        "proof": f"{said['seconds']['serving']:.1f} s",
        "size": f"{said['proof']['size'] / 1000:,.0f} kB",
        "served by": about["form"],
        "CPU of one row": f"{timing['one'] * 1e6:.0f} µs",
        "of 1,000": f"{timing['row'] * 1e6:.1f} µs",
    }


def main() -> None:
    """The table, a system a line."""
    subprocess.run([sys.executable, "prepare.py"], cwd=HERE, check=True, stdout=sys.stderr)
    systems = {"scikit-learn": HERE / "system.py"}
    systems |= {file.stem.removeprefix("with_"): file for file in sorted(HERE.glob("with_*.py"))}
    lines = [compared(name, file) for name, file in systems.items()]
    widths = {head: max(len(head), *(len(line[head]) for line in lines)) for head in lines[0]}
    for line in (dict(zip(widths, widths, strict=True)), *lines):
        print("  ".join(line[head].ljust(width) for head, width in widths.items()).rstrip())


if __name__ == "__main__":
    main()
