"""``vlm-doctor check``: look, or read facts, and judge."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import msgspec

from doctor import facts as facts_module
from doctor import proof, registry, settings, unfinished
from doctor.commands.options import add_model, add_target, model_of, target_of
from doctor.errors import Refused
from doctor.facts import Facts, Purpose
from doctor.findings import NotChecked
from doctor.look import look
from doctor.reports.check import CheckReport, PlanReport, check_report, plan_report

# A file of facts stays under 2 MB (the contract); a larger one is not ours.
MOST_FACTS_BYTES = 20_000_000
VERDICT_EXIT = {"broken": 1, "unknown": 3, "degraded": 0, "healthy": 0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    add_model(parser)
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=("image", "video", "server"),
        help="what is to run: pictures (the default), videos, or mlx-vlm's server",
    )
    parser.add_argument(
        "--deep", action="store_true", help="compare the contents of files, and run a generation"
    )
    parser.add_argument("--only", metavar="C,…", help="only these checks or codes")
    parser.add_argument("--skip", metavar="C,…", help="not these checks or codes")
    parser.add_argument("--facts", metavar="FILE", help="judge facts saved elsewhere")
    parser.add_argument("--save-facts", metavar="FILE", help="save the facts as well")


def run(options: argparse.Namespace) -> tuple[CheckReport, int]:
    """Look, or read facts, and judge."""
    started = time.perf_counter()
    chosen, unwanted = registry.select(_list(options.only), _list(options.skip))
    if options.facts is not None:
        if options.python or options.venv:
            raise Refused("--facts judges saved facts; it goes with no --python and no --venv.")
        if options.deep:
            raise Refused("--deep looks at an environment; it goes with no --facts.")
        facts = _saved(Path(options.facts), options.model, options.purpose)
        known = None
    else:
        purpose: Purpose = options.purpose or "image"
        facts = look(target_of(options), model_of(options), os.environ, purpose)
        prefix = os.path.expanduser(facts.environment.interpreter.prefix)
        known = proof.recall(facts, prefix)
        if options.deep:
            from doctor import deep  # only where it is asked for: it imports all that a smoke needs

            facts = deep.deepen(facts)
    if options.save_facts is not None:
        _save(Path(options.save_facts), facts)
    examination = registry.examine(
        facts, chosen, unwanted, settings.ignores(Path.cwd()), _interrupted(options, facts)
    )
    plan = _plan(facts, examination) if examination.errors() else PlanReport(actions=())
    report = check_report(facts, examination, plan, time.perf_counter() - started, known)
    return report, VERDICT_EXIT[report.verdict]


def _interrupted(options: argparse.Namespace, facts: Facts) -> list[NotChecked]:
    """A fix of this environment that was begun and did not end: what is there is in between."""
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    if options.facts is not None or not unfinished.is_there(prefix):
        return []
    return [NotChecked(check="journal", reason=unfinished.NOTICE)]


def _plan(facts: Facts, examination: registry.Examination) -> PlanReport:
    """What ``fix`` would do; nothing where it would refuse, which it then says itself."""
    from doctor import plan

    try:
        made = plan.make(facts, examination.findings)
    except Refused:
        return PlanReport(actions=())
    return plan_report(made, None)


def _list(words: str | None) -> list[str]:
    return [word.strip() for word in (words or "").split(",") if word.strip()]


def _saved(path: Path, model_name: str | None, purpose: str | None) -> Facts:
    """Facts from a file. Raises ``Refused`` where it is none."""
    try:
        if path.stat().st_size > MOST_FACTS_BYTES:
            raise Refused(f"{path} is too large to be a file of facts.")
        facts = facts_module.decode(path.read_bytes())
    except OSError as error:
        raise Refused(f"{path} could not be read: {error.strerror}.") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Refused(f"{path} is no file of facts: {error}.") from None
    if model_name is not None and model_name != facts.model.id:
        raise Refused(f"The facts in {path} are about {facts.model.id}, not {model_name}.")
    if purpose is not None and purpose != facts.purpose:
        raise Refused(f"The facts in {path} were taken for {facts.purpose}, not {purpose}.")
    return facts


def _save(path: Path, facts: Facts) -> None:
    try:
        path.write_bytes(facts_module.encode(facts))
    except OSError as error:
        raise Refused(f"{path} could not be written: {error.strerror}.") from None
