"""``python -m tools.faults kill|kill-new|take-away``: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.faults import faulty, killing
from tools.faults.place import ROOT, Place


def main() -> int:
    """Run what was asked for; 0 if all went as promised."""
    parser = argparse.ArgumentParser(prog="tools.faults", description=__doc__)
    parser.add_argument("what", choices=("kill", "kill-new", "take-away"))
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "faults")
    parser.add_argument("--points", type=int, default=220, help="how often to kill")
    parser.add_argument("--seed", type=int, default=1, help="which points")
    parser.add_argument("--more", action="store_true", help="add to the kills that are recorded")
    parser.add_argument("--results", type=Path, default=ROOT / "tests" / "faults")
    parser.add_argument("--only", default="", help="the faults with this in their name")
    options = parser.parse_args()
    results = options.results
    results.mkdir(exist_ok=True)
    place = Place(options.folder.absolute())
    place.make()
    if options.what != "take-away":
        file = results / f"{options.what}.json"
        fresh = options.what == "kill-new"
        well = killing.kill(place, options.points, options.seed, file, options.more, fresh)
    else:
        well = faulty.take_away(place, results / "take-away.json", options.only)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
