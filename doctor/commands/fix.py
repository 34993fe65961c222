"""``vlm-doctor fix``: repair, or make a fresh environment."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from doctor import target, terminal
from doctor.commands.options import add_model, add_target, model_of, target_of
from doctor.errors import Refused
from doctor.reports.check import CheckReport, PlanReport
from doctor.reports.fix import FixReport
from doctor.support import saved
from doctor.terminal import say
from doctor.transaction import repair

OUTCOME_EXIT = {
    "fixed": 0,
    "nothing-to-do": 0,
    "planned": 0,
    "declined": 1,
    "rolled-back": 1,
    "refused": 2,
    "failed": 3,
    "interrupted": 130,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    add_model(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only show the plan")
    parser.add_argument("--recipe", metavar="R", help="use this recipe")
    parser.add_argument("--new-venv", metavar="DIR", help="make a fresh environment instead")
    parser.add_argument("--offline", action="store_true", help="use no network")
    parser.add_argument("--wheels", metavar="DIR", help="install from the wheels in this folder")
    parser.add_argument("--profile", metavar="FILE", help="write a run profile for this machine")
    parser.add_argument(
        "--download", action="store_true", help="fetch what the model lacks from the Hub"
    )
    parser.add_argument(
        "--allow-builds",
        action="store_true",
        help="build from source, by its own programs, what the index has no locked wheel of",
    )
    parser.add_argument(
        "--from", dest="origin", metavar="ID", help="with --download: what the Hub calls a folder"
    )
    parser.add_argument("--force", action="store_true", help="even if other packages break")
    parser.add_argument(
        "--facts", metavar="FILE", help="with --dry-run: plan for saved facts, or a bundle"
    )


def run(options: argparse.Namespace) -> tuple[FixReport, int]:
    """Repair, or make a fresh environment."""
    if options.wheels is not None and not os.path.isdir(options.wheels):
        raise Refused(f"There is no folder {options.wheels}.")
    if options.profile is not None and (not options.profile or os.path.isdir(options.profile)):
        raise Refused("--profile takes the name of a file, and that is none.")
    if options.origin is not None and not (options.download and options.model):
        raise Refused("--from names a folder's model on the Hub; it goes with --download, --model.")
    if options.facts is not None:
        report = _elsewhere(options)
        return report, OUTCOME_EXIT[report.outcome]
    fresh = options.new_venv is not None
    if fresh and (options.python or options.venv):
        raise Refused("--new-venv makes an environment; it goes with no --python and no --venv.")
    if options.allow_builds and (options.offline or options.wheels is not None):
        raise Refused("--allow-builds asks the index; it goes with no --offline and no --wheels.")
    request = repair.Request(
        target=target.Target(python="", found_by="--new-venv") if fresh else target_of(options),
        model=model_of(options),
        yes=options.yes,
        dry_run=options.dry_run,
        recipe=options.recipe,
        offline=options.offline,
        wheels=options.wheels,
        download=options.download,
        origin=options.origin,
        force=options.force,
        profile=options.profile,
        allow_builds=options.allow_builds,
    )
    if fresh:
        report = repair.fresh(options.new_venv, request, os.environ, say, _confirm)
        return report, OUTCOME_EXIT[report.outcome]
    report = repair.Repair(request, os.environ, say, _confirm).run()
    return report, OUTCOME_EXIT[report.outcome]


def _elsewhere(options: argparse.Namespace) -> FixReport:
    """The plan for facts of another machine; nothing of this one is looked at."""
    if not options.dry_run:
        raise Refused("--facts plans for saved facts; it goes with --dry-run only.")
    if options.profile is not None:
        raise Refused("--profile writes a file for this machine; it goes with no --facts.")
    if options.python or options.venv or options.new_venv:
        raise Refused("--facts goes with no --python, no --venv and no --new-venv.")
    if options.download or options.wheels is not None:
        raise Refused("--facts plans for saved facts; nothing is fetched or installed for them.")
    path = Path(options.facts)
    facts = saved.read(path, options.model)
    request = repair.Request(
        target=target.Target(python=facts.environment.interpreter.executable, found_by="--facts"),
        model=facts.model.id,
        dry_run=True,
        recipe=options.recipe,
        force=options.force,
        profile=options.profile,
        saved=facts,
    )
    return saved.judged(path, repair.Repair(request, os.environ, say, _confirm).run)


def _confirm(before: CheckReport | None, plan: PlanReport) -> bool:
    """Show the plan and ask. Raises ``Refused`` without a terminal."""
    from doctor.texts import check

    if not terminal.can_ask():
        raise Refused(
            "There is no terminal to ask for your consent.",
            "Say --yes to repair without being asked, or --dry-run to see the plan.",
        )
    out = terminal.paper(sys.stderr)
    if before is not None:
        check.render(before, out)
    check.plan(plan, out)
    return terminal.agreed("Do this? [y/N]")
