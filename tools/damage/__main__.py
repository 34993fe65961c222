"""``python -m tools.damage``: try every kind of damage for real, in a recipe's environment."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.damage import judge, layout, texts, weights  # noqa: F401  (they register their kinds)
from tools.damage.judge import RECORDED, ROOT
from tools.damage.kinds import KINDS, Kind
from tools.damage.places import Place

HERE = Path(__file__).parent

# Logits differ by 0.0003 between runs of the same model; what is more has been computed otherwise.
SAME = 0.002

RECIPES = ("torch-free", "report-line")


class Target:
    """A recipe's environment that generates with one model after another."""

    def __init__(self, python: Path, base: Path) -> None:
        variables = {
            **os.environ,
            "HF_HOME": str(base / "home"),
            "HF_HUB_CACHE": str(base / "models"),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "PYTHONPYCACHEPREFIX": str(base / "bytecode"),
        }
        self._process = subprocess.Popen(
            [str(python), str(HERE / "generation.py"), str(ROOT / "doctor")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=variables,
        )

    def run(self, model: str) -> dict[str, Any]:
        """What the generation says of a model."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"model": model}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        assert isinstance(said, dict)
        return said

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def outcome(said: dict[str, Any], good: dict[str, Any]) -> dict[str, Any]:
    """``fails``, ``differs`` (it computes something else) or ``same``, and how."""
    if said["error"] is not None:
        return {"outcome": "fails", "error": said["error"][:200]}
    distance = 0.0
    for here, there in zip(said["logits"], good["logits"], strict=True):
        if len(here) != len(there):
            return {"outcome": "differs", "distance": None}
        gaps = [abs(one - other) for one, other in zip(here, there, strict=True)]
        if any(math.isnan(gap) for gap in gaps):
            return {"outcome": "differs", "distance": None}
        distance = max(distance, *gaps)
    same = distance <= SAME and said["answers"] == good["answers"]
    return {"outcome": "same" if same else "differs", "distance": round(distance, 4)}


def cases(names: list[str]) -> list[tuple[str, Kind, str]]:
    """``(case, kind, layout)`` for each kind in each of its layouts, in the order of a hash."""
    found = [
        (f"{name}/{where}", kind, where)
        for name, kind in KINDS.items()
        for where in kind.layouts
        if not names or name in names
    ]
    return sorted(found, key=lambda case: hashlib.sha256(case[1].name.encode()).hexdigest())


def tried(kind: Kind, where: str) -> bool:
    """Whether this case is generated with: a generation reads the same content through a link.

    Of the kinds that are tried in both layouts, one in eight is generated with in both.
    """
    both = len(kind.layouts) > 1 and where == "cache"
    return not both or hashlib.sha256(kind.name.encode()).digest()[-1] % 8 == 0


def record(recipe: str, python: Path, base: Path, names: list[str]) -> None:
    """Try the kinds in a recipe's environment, and write down what happened."""
    path = RECORDED / f"{recipe}.json"
    truth: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    target = Target(python, base)
    good = target.run(Place(base / "models", cache=True, sharded=False).model)
    assert good["error"] is None, good["error"]
    for number, (case, kind, where) in enumerate(cases(names)):
        if not tried(kind, where) or (case in truth and not names):
            continue
        place = Place(base / "models", cache=where == "cache", sharded=kind.sharded)
        kind.damage(place)
        truth[case] = outcome(target.run(place.model), good)
        if number % 20 == 0:
            print(recipe, number, case, truth[case], flush=True)
            path.write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n")
    target.end()
    known = {case for case, _, _ in cases([])}
    kept = {case: told for case, told in truth.items() if case in known}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def environment(recipe: str, base: Path) -> Path:
    """The Python of a recipe's environment, which the doctor makes where it is not there."""
    python = base / "environment" / "bin" / "python"
    if not python.exists():
        doctor = [sys.executable, "-m", "doctor", "fix", "--yes", "--recipe", recipe]
        subprocess.run([*doctor, "--new-venv", str(base / "environment")], check=True)
    return python


def main() -> None:
    """Try the kinds that were not tried yet, and judge all. See CONTRIBUTING.md."""
    parser = argparse.ArgumentParser(prog="python -m tools.damage")
    parser.add_argument("--recipe", choices=RECIPES, help="only in this recipe's environment")
    parser.add_argument("--python", type=Path, help="in the environment of this Python")
    parser.add_argument("--base", type=Path, default=ROOT / ".cache" / "damage")
    parser.add_argument("--judge", action="store_true", help="try nothing, judge only")
    parser.add_argument("--deep", action="store_true", help="with the hashes of large files")
    parser.add_argument("--layout", choices=("folder", "cache"), help="only in this layout")
    parser.add_argument("--set-aside", action="store_true", help="show those that were set aside")
    parser.add_argument("kinds", nargs="*", help="only these")
    options = parser.parse_args()
    RECORDED.mkdir(exist_ok=True)
    for recipe in [options.recipe] if options.recipe else RECIPES:
        base = options.base / recipe
        python = options.python or environment(recipe, base)
        if not options.judge:
            record(recipe, python, base, options.kinds)
        wanted = [
            case for case, _, where in cases(options.kinds) if options.layout in (None, where)
        ]
        told = judge.judge(recipe, python, base / "judged", wanted, options.deep)
        for case, one in sorted(told.items()):
            if one["wrong"] is not None and one["set_aside"] is options.set_aside:
                print(one["wrong"], case, one["happened"], one["says"])
        print(f"{recipe}:\n{judge.figures(told)}")
        if not (options.kinds or options.layout or options.deep):
            judge.note_wrong(recipe, told)


if __name__ == "__main__":
    main()
