"""``python -m tools.faults kill|take-away``: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.faults import killing
from tools.faults.place import ROOT, Place


def main() -> int:
    """Run what was asked for; 0 if all went as promised."""
    parser = argparse.ArgumentParser(prog="tools.faults", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "faults")
    parser.add_argument("--points", type=int, default=250, help="how often to kill")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = ROOT / "tests" / "faults"
    results.mkdir(exist_ok=True)
    place = Place(options.folder.absolute())
    place.make()
    return 0 if killing.kill(place, options.points, options.seed, results / "kill.json") else 1


if __name__ == "__main__":
    sys.exit(main())
