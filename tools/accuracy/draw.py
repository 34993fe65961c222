"""Cells drawn by lot: ``python -m tools.accuracy.draw --seed N`` prints ``drawn.toml``.

Cells that people think of are like the rules that people think of. These are drawn: a release, and
then a package in another version, a package taken out, or a file of some package damaged, each by
chance. They are drawn after the rules were written, so that a figure on them tells how the rules do
on what nobody thought of. Which files there are is read in environments that the matrix has built.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import subprocess
import sys
from pathlib import Path

from tools.accuracy.build import Built
from tools.accuracy.cells import MATRIX, load

# Whole environments to take things out of, and releases to take as a resolver picks them today.
WHOLE = ("newest", "line", "0.6.10-today", "0.5.0-today")
# Versions of a package that are drawn from: the newest so many.
VERSIONS = 25
OPERATIONS = (
    ("delete", "{file}"),
    ("truncate", "{file}", "0.5"),
    ("empty", "{file}"),
    ("append", "{file}", "\n\n"),
)


def drawn(seed: int, count: int, folder: Path) -> list[str]:
    """The lines of ``drawn.toml``: as many cells as asked for, the same for the same seed."""
    chance = random.Random(seed)
    cells = {cell.name: cell for cell in load(MATRIX / "cells.toml")}
    whole = {name: Built(cells[name], folder) for name in WHOLE}
    today = sorted(name for name in cells if name.endswith("-today"))
    lines = []
    for number in range(1, count + 1):
        kind = chance.choice(("version", "version", "removal", "file", "file"))
        start = chance.choice(today if kind == "version" else WHOLE)
        fields: dict[str, object] = {"start": list(cells[start].start)}
        if kind == "version":
            name = chance.choice(_distributions(whole["newest"]))
            fields["force"] = _forced(name, chance.choice(_versions(name)))
        elif kind == "removal":
            fields["remove"] = [chance.choice(_distributions(whole[start]))]
        else:
            distribution = chance.choice(_distributions(whole[start]))
            file = chance.choice(_files(whole[start], distribution))
            words = chance.choice(OPERATIONS)
            fields["damage"] = [[word.replace("{file}", file) for word in words]]
        inner = ", ".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
        lines.append(f'"drawn-{seed}-{number:03}" = {{ {inner} }}')
    return lines


def _distributions(built: Built) -> list[str]:
    """What is installed, without what only installers need."""
    names = {
        re.split(r"-\d", path.name)[0].replace("_", "-").lower()
        for path in built.site.glob("*.dist-info")
    }
    return sorted(names - {"pip", "setuptools", "wheel"})


def _files(built: Built, distribution: str) -> list[str]:
    """The files of a distribution that a program may read, by its RECORD."""
    start = distribution.replace("-", "_")
    record = next(
        path / "RECORD"
        for path in built.site.glob("*.dist-info")
        if path.name.lower().startswith(start + "-")
    )
    rows = csv.reader(record.read_text(encoding="utf-8").splitlines())
    names = [row[0] for row in rows if row and not row[0].startswith(("..", "/"))]
    code = [name for name in names if name.endswith((".py", ".so", ".json")) or ".so." in name]
    return sorted(code or names)


def _versions(name: str) -> list[str]:
    """The newest versions at the user's index, by pip's own command."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    match = re.search(r"^Available versions: (.*)$", said, re.MULTILINE)
    return match.group(1).split(", ")[:VERSIONS] if match else []


def _forced(name: str, version: str) -> list[str]:
    """The two halves of mlx go together, as their authors release them."""
    names = ("mlx", "mlx-cpu") if name in ("mlx", "mlx-cpu") else (name,)
    return [f"{one}=={version}" for one in names]


def main() -> None:
    """Print the cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--folder", type=Path, required=True, help="where the matrix was built")
    options = parser.parse_args()
    print("# Cells drawn by lot (python -m tools.accuracy.draw); all of them are set aside.")
    print("[starts]\n\n[[group]]")
    print(f'title = "Drawn with seed {options.seed}"\n[group.cells]')
    print("\n".join(drawn(options.seed, options.count, options.folder)))


if __name__ == "__main__":
    main()
