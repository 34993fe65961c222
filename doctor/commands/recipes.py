"""``vlm-doctor recipes``: the recipes; what has moved since; one for another tool; its wheels."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec

from doctor import plan
from doctor.commands.options import add_target, target_of, tell_of_interrupted
from doctor.errors import Refused
from doctor.look import look
from doctor.packages import export, gathering, upstream
from doctor.packages import recipes as data
from doctor.packages.recipes import Recipe
from doctor.probes import model
from doctor.reports import SCHEMA, Tool
from doctor.reports.recipes import ExportReport, RecipeReport, RecipesReport
from doctor.terminal import say


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--outdated", action="store_true", help="ask the package index what has moved since"
    )
    group.add_argument(
        "--export",
        choices=("requirements", "pyproject", "conda"),
        help="print one as a file for another tool",
    )
    group.add_argument(
        "--download", metavar="DIR", help="gather one's wheels in a folder, for fix --wheels"
    )
    parser.add_argument("--recipe", metavar="R", help="only this recipe")
    parser.add_argument(
        "--lock", metavar="L", help="the lock to use (default: the target's), as listed"
    )


def run(options: argparse.Namespace) -> tuple[RecipesReport, int]:
    """The recipes that come with the doctor; what has moved since; or one for another tool."""
    name = (
        options.recipe
        if options.recipe is not None
        else (data.DEFAULT if options.export or options.download is not None else None)
    )
    found = [
        recipe for one in (data.names() if name is None else [name]) if (recipe := data.load(one))
    ]
    if not found:
        raise Refused(
            f"There is no recipe named {options.recipe}.", f"Recipes: {', '.join(data.names())}."
        )
    if options.outdated or options.export or options.download is not None:
        reports = _of_locks(options, found)
    elif options.lock or options.python or options.venv:
        raise Refused("--lock, --python and --venv go with --outdated, --export or --download.")
    else:
        tell_of_interrupted()
        reports = [_recipe(recipe) for recipe in found]
    return RecipesReport(schema=SCHEMA, command="recipes", tool=Tool(), recipes=tuple(reports)), 0


def _recipe(recipe: Recipe) -> RecipeReport:
    return RecipeReport(
        name=recipe.name,
        summary=recipe.summary,
        for_whom=recipe.for_whom,
        requirements=recipe.requirements,
        locks=recipe.locks,
        proven=recipe.proven,
    )


def _of_locks(options: argparse.Namespace, found: list[Recipe]) -> list[RecipeReport]:
    """What was asked about the recipes' locks. Raises ``Refused`` where none has the lock."""
    if options.lock is None:
        facts = look(target_of(options), model.DEFAULT, os.environ)
        backend = data.backend_of(facts.environment)
        name = data.lock_name(facts.environment.interpreter, backend)
        reasons = {recipe.name: plan.no_lock(facts, recipe.name) for recipe in found}
    elif options.python or options.venv:
        raise Refused("--lock names a lock; it goes with no --python and no --venv.")
    else:
        tell_of_interrupted()
        name = options.lock
        reasons = {
            recipe.name: recipe.why_not(name) or f"it has no lock named {name}" for recipe in found
        }
    place = data.place_of(name) if name else None
    reports = []
    for recipe in found:
        report = _recipe(recipe)
        lock = data.load_lock(recipe.name, place.name) if place else None
        if place is None or lock is None:
            reports.append(msgspec.structs.replace(report, no_lock=reasons[recipe.name]))
        elif options.outdated:
            say(f"Asking the package index about {recipe.name} …")
            moved = upstream.ask(recipe, lock, place)
            reports.append(msgspec.structs.replace(report, outdated=moved))
        elif options.download is not None:
            folder = Path(options.download).expanduser().absolute()
            gathered = gathering.gather(lock, place, folder, os.environ, say)
            reports.append(msgspec.structs.replace(report, downloaded=gathered))
        else:
            text = export.FORMATS[options.export](recipe, lock, place)
            exported = ExportReport(format=options.export, lock=lock.name, text=text)
            reports.append(msgspec.structs.replace(report, exported=exported))
    if all(report.no_lock for report in reports):
        locks = sorted({lock for recipe in found for lock in recipe.locks})
        reason = f"{found[0].name} cannot be had there: {reports[0].no_lock}."
        raise Refused(reason, f"Name one with --lock: {', '.join(locks)}")
    return reports
