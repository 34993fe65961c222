"""Judging facts: run the checks that were chosen, and make the report.

Importing this, and the checks, takes longer than judging does.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from doctor import facts as facts_module
from doctor import registry, settings
from doctor.errors import Refused
from doctor.facts import Facts
from doctor.findings import NotChecked
from doctor.proving import last_proof
from doctor.reports.check import CheckReport, PlanReport, check_report, plan_report

Chosen = tuple[list[str], frozenset[str]]


def chosen(options: argparse.Namespace) -> Chosen:
    """The checks that the options choose, and the codes that they leave out."""
    if options.only is not None and not _list(options.only):
        raise Refused("--only takes names of checks or codes, and it is empty.")
    return registry.select(_list(options.only), _list(options.skip))


def report(
    options: argparse.Namespace,
    facts: Facts,
    gaps: Sequence[NotChecked],
    started: float,
) -> CheckReport:
    """The report on facts that were seen, or on saved ones where the options name a file.

    ``gaps`` are what could not be looked at for reasons that are not in the facts, ``started`` is
    when the check began (``time.perf_counter``).
    """
    path = None if options.facts is None else Path(options.facts)
    known = None
    if path is None:
        known = last_proof.recall(facts, os.path.expanduser(facts.environment.interpreter.prefix))
    if options.save_facts is not None:
        _save(Path(options.save_facts), facts)
    ignores = settings.ignores(Path.cwd())
    gaps = (*gaps, *_left_out(options))
    examination = registry.examine(facts, *chosen(options), ignores, gaps)
    plan = PlanReport(actions=())
    if examination.errors() and path is None:
        plan = _plan(options, facts, examination)
    elif examination.errors() and path is not None:
        from doctor.support import saved

        plan = saved.judged(path, lambda: _plan(options, facts, examination))
    seconds = time.perf_counter() - started
    made = check_report(facts, examination, plan, seconds, known, elsewhere=path is not None)
    if options.format == "html":
        from doctor.memory import drawn

        made = msgspec.structs.replace(made, memory=drawn.memory(facts))
    return made


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


def _left_out(options: argparse.Namespace) -> list[NotChecked]:
    """What the user did not want to be looked at: the verdict is one without it."""
    only, skip = _list(options.only), _list(options.skip)
    left_out = []
    if only:
        reason = f"all but {', '.join(only)} was left out, as asked"
        left_out.append(NotChecked(check="--only", reason=reason, decides=False))
    if skip:
        reason = f"left out, as asked: {', '.join(skip)}"
        left_out.append(NotChecked(check="--skip", reason=reason, decides=False))
    return left_out


def _list(words: str | None) -> list[str]:
    return [word.strip() for word in (words or "").split(",") if word.strip()]


def _save(path: Path, facts: Facts) -> None:
    try:
        path.write_bytes(facts_module.encode(facts))
    except OSError as error:
        raise Refused(f"{path} could not be written: {error.strerror}.") from None
