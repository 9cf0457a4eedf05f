"""Every benchmark in turn, each in its own process: `python -m bench`. Exits 1 where any bound is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run each module and each package of this folder that has a `main`."""
    here = Path(__file__).parent
    names = sorted(
        [path.stem for path in here.glob("*.py")] + [path.parent.name for path in here.glob("*/__main__.py")]
    )
    broken = []
    for name in names:
        if name.startswith("_") or name.endswith("_script"):
            continue
        print(f"\n== bench.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            broken.append(name)
    print(f"\nbroken: {', '.join(broken)}" if broken else "\nall bounds held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
