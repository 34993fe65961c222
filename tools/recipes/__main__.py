"""Make the recipes anew from their readable TOML: what `make recipes` runs.

For every recipe in ``fixes/recipes/*.toml`` this resolves, proves what can be run here, and writes:

- ``locks/<recipe>/<platform>-<backend>-py3XX.txt``: one wheel and one hash a package,
- ``sizes.json``: what each of those wheels weighs, to download and installed, in bytes,
- ``<recipe>.requirements.txt``: the pins that the extra ``vlm-doctor[<recipe>]`` installs,
- ``[verified]`` in the recipe itself: which locks ran, when and on what.

uv resolves and installs, with the index settings of whoever runs this; nothing of them is written
down. All is put in place at the end, so a failure leaves the old files as they were.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from doctor.errors import CouldNot
from doctor.packages import recipes as shipped
from tools.recipes.progress import say
from tools.recipes.proving import can_run_here, prove
from tools.recipes.resolving import lock
from tools.recipes.sizes import measure_all, read_sizes
from tools.recipes.targets import RecipeError, read_recipe, targets
from tools.recipes.writing import (
    extra_text,
    lock_text,
    publish,
    read_proofs,
    sizes_text,
    still_true,
    with_proofs,
)


def make(folder: Path, only: str | None, run: bool) -> None:
    """Make the recipes in a folder, or one of them; ``run`` what this machine can.

    Raises ``RecipeError`` where a recipe cannot be made or a lock does not run.
    """
    paths = [path for path in sorted(folder.glob("*.toml")) if only in (None, path.stem)]
    if not paths:
        raise RecipeError(f"there is no recipe {only} in {folder}")
    read = {path: read_recipe(path) for path in paths}
    locked = lock(targets(read.values()))
    locks = {
        (target.recipe.name, target.name): lock_text(target, found) for target, found in locked
    }
    proofs = {
        (target.recipe.name, target.name): proof
        for target, _ in locked
        if run and can_run_here(target)
        if (proof := prove(target, locks[target.recipe.name, target.name]))
    }
    sizes = read_sizes(folder / "sizes.json")
    measured = measure_all([wheel for _, wheels in locked for wheel in wheels], sizes)
    texts = {Path("locks", recipe, f"{name}.txt"): text for (recipe, name), text in locks.items()}
    kept = "".join(
        path.read_text()
        for path in folder.glob("locks/*/*.txt")
        if path.parent.name not in {recipe.name for recipe in read.values()}
    )
    measured |= {sha256: size for sha256, size in sizes.items() if sha256 in kept}
    texts[Path("sizes.json")] = sizes_text(measured)
    for path, recipe in read.items():
        texts[Path(f"{recipe.name}.requirements.txt")] = extra_text(recipe)
        toml = path.read_text(encoding="utf-8")
        mine = {name: text for (owner, name), text in locks.items() if owner == recipe.name}
        new = {name: proof for (owner, name), proof in proofs.items() if owner == recipe.name}
        texts[Path(path.name)] = with_proofs(toml, still_true(read_proofs(toml), new, mine))
    publish(texts, folder, [recipe.name for recipe in read.values()])
    unknown = sum(size.installed is None for size in measured.values())
    say(f"{len(locks)} locks, {len(proofs)} of them run; {unknown} wheels of unknown size")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; 0 when all was made, 1 when nothing was changed and why is on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=shipped.FOLDER, help="where the TOML lies")
    parser.add_argument("--recipe", help="only this one")
    parser.add_argument("--no-run", action="store_true", help="only resolve; prove nothing")
    options = parser.parse_args(arguments)
    try:
        make(options.folder, options.recipe, run=not options.no_run)
    except (RecipeError, CouldNot) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
