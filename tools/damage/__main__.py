"""``python -m tools.damage``: try every kind of damage for real, in a recipe's environment."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.damage import judge, later, layout, repairing, texts, weights  # noqa: F401  (they register)
from tools.damage.judge import RECORDED, ROOT
from tools.damage.kinds import KINDS, Kind
from tools.damage.places import Place
from tools.damage.running import Target, outcome

RECIPES = ("torch-free", "report-line")


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


def _write(path: Path, told: dict[str, Any], base: Path) -> None:
    """Write a record. It names no folder of the machine that it was made on."""
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text.replace(str(base.parent), "…/damage"), encoding="utf-8")


def record(recipe: str, python: Path, base: Path, names: list[str]) -> None:
    """Try the kinds in a recipe's environment, and write down what happened."""
    path = RECORDED / f"{recipe}.json"
    truth: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
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
            _write(path, truth, base)
    target.end()
    known = {case for case, _, _ in cases([])}
    kept = {case: told for case, told in truth.items() if case in known}
    _write(path, kept, base)


def repair(
    recipe: str, python: Path, base: Path, names: list[str], only: str | None = None
) -> None:
    """Have the doctor repair each case, and write down what became of it."""
    path = judge.repairs_file(recipe)
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    os.environ["VLM_DOCTOR_STATE"] = str(base / "state")
    target = Target(python, base)
    with repairing.hub_at_work() as hub:
        repairs = repairing.Repairs(python, hub, target)
        for number, (case, kind, where) in enumerate(cases(names)):
            if (case in told and not (names or only)) or only not in (None, where):
                continue
            told[case] = repairs.repaired(kind, where, base / "models", undo=number % 8 == 0)
            if names or number % 20 == 0:
                print(recipe, number, case, told[case], flush=True)
                _write(path, told, base)
    target.end()
    known = {case for case, _, _ in cases([])}
    kept = {case: one for case, one in told.items() if case in known}
    _write(path, kept, base)


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
    parser.add_argument("--repair", action="store_true", help="have the doctor repair them")
    parser.add_argument("--deep", action="store_true", help="with the hashes of large files")
    parser.add_argument("--layout", choices=("folder", "cache"), help="only in this layout")
    parser.add_argument("--set-aside", action="store_true", help="show those that were set aside")
    parser.add_argument("kinds", nargs="*", help="only these")
    options = parser.parse_args()
    RECORDED.mkdir(exist_ok=True)
    for recipe in [options.recipe] if options.recipe else RECIPES:
        base = options.base / recipe
        python = options.python or environment(recipe, base)
        if options.repair:
            repair(recipe, python, base, options.kinds, options.layout)
            continue
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
