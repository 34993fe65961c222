"""``vlm-doctor check``: look, or read facts, and judge."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import msgspec

from doctor import facts as facts_module
from doctor import registry, settings
from doctor.commands.options import add_model, add_purpose, add_target, model_of, target_of
from doctor.errors import Refused
from doctor.facts import Facts, Purpose
from doctor.findings import NotChecked
from doctor.look import look
from doctor.probes import hub
from doctor.proving import last_proof
from doctor.reports.check import CheckReport, PlanReport, check_report, plan_report
from doctor.transaction import unfinished

VERDICT_EXIT = {"broken": 1, "unknown": 3, "degraded": 0, "healthy": 0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    add_model(parser)
    add_purpose(parser)
    parser.add_argument(
        "--deep", action="store_true", help="compare the contents of files, and run a generation"
    )
    parser.add_argument("--online", action="store_true", help="ask the Hub about the model")
    parser.add_argument("--only", metavar="C,…", help="only these checks or codes")
    parser.add_argument("--skip", metavar="C,…", help="not these checks or codes")
    parser.add_argument("--facts", metavar="FILE", help="judge saved facts, or a bundle")
    parser.add_argument("--save-facts", metavar="FILE", help="save the facts as well")


def run(options: argparse.Namespace) -> tuple[CheckReport, int]:
    """Look, or read facts, and judge."""
    started = time.perf_counter()
    chosen, unwanted = registry.select(_list(options.only), _list(options.skip))
    path = None if options.facts is None else Path(options.facts)
    known = None
    gaps: list[NotChecked] = []
    if path is not None:
        if options.python or options.venv:
            raise Refused("--facts judges saved facts; it goes with no --python and no --venv.")
        if options.online:
            raise Refused("--online asks the Hub; it goes with no --facts.")
        if options.deep:
            raise Refused("--deep looks at an environment; it goes with no --facts.")
        from doctor.support import saved

        facts = saved.read(path, options.model, options.purpose)
    else:
        purpose: Purpose = options.purpose or "image"
        ask = hub.ask if options.online else None
        facts = look(target_of(options), model_of(options), os.environ, purpose, ask)
        prefix = os.path.expanduser(facts.environment.interpreter.prefix)
        known = last_proof.recall(facts, prefix)
        notice = unfinished.notice(prefix)
        if notice is not None:
            # A fix that was begun and did not end: what is there is in between.
            gaps.append(NotChecked(check="journal", reason=notice))
        if options.deep:
            from doctor.proving import deep

            facts = deep.deepen(facts)
    if options.save_facts is not None:
        _save(Path(options.save_facts), facts)
    examination = registry.examine(facts, chosen, unwanted, settings.ignores(Path.cwd()), gaps)
    plan = PlanReport(actions=())
    if examination.errors() and path is None:
        plan = _plan(options, facts, examination)
    elif examination.errors() and path is not None:
        plan = saved.judged(path, lambda: _plan(options, facts, examination))
    seconds = time.perf_counter() - started
    report = check_report(facts, examination, plan, seconds, known, elsewhere=path is not None)
    if options.format == "html":
        from doctor.memory import drawn

        report = msgspec.structs.replace(report, memory=drawn.memory(facts))
    return report, VERDICT_EXIT[report.verdict]


def _plan(
    options: argparse.Namespace, facts: Facts, examination: registry.Examination
) -> PlanReport:
    """What ``fix`` would do; nothing where no recipe fits, which it then says itself."""
    from doctor import plan
    from doctor.packages import sources

    try:
        made = plan.make(facts, examination.findings)
    except Refused:
        return PlanReport(actions=())
    if options.facts is not None:
        return plan_report(made, None)  # where the packages come from is the other machine's
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    return plan_report(made, None, sources.sources(os.environ, Path.cwd(), prefix))


def _list(words: str | None) -> list[str]:
    return [word.strip() for word in (words or "").split(",") if word.strip()]


def _save(path: Path, facts: Facts) -> None:
    try:
        path.write_bytes(facts_module.encode(facts))
    except OSError as error:
        raise Refused(f"{path} could not be written: {error.strerror}.") from None
