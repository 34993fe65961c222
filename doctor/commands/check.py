"""``vlm-doctor check``: look, or read facts, and judge."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from doctor.commands.options import add_model, add_purpose, add_target, model_of, target_of
from doctor.errors import Refused
from doctor.probes import environment
from doctor.transaction import unfinished

if TYPE_CHECKING:
    from doctor.facts import Facts, Purpose
    from doctor.findings import NotChecked
    from doctor.look import Ask
    from doctor.reports.check import CheckReport

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
    if options.facts is None:
        facts, gaps = _look(options)
    else:
        facts, gaps = _read(options), []
    from doctor import checkup

    report = checkup.report(options, facts, gaps, started)
    return report, VERDICT_EXIT[report.verdict]


def _look(options: argparse.Namespace) -> tuple[Facts, list[NotChecked]]:
    """What is seen now, and what could not be looked at.

    The target's interpreter is set to work first. Meanwhile the doctor imports what it looks at the
    model with, and then, while it waits for the answer, what it judges with.
    """
    target = target_of(options)
    with environment.probe(target) as probe:
        from doctor.look import looking

        ask: Ask | None = None
        if options.online:
            from doctor.probes import hub

            ask = hub.ask
        purpose: Purpose = options.purpose or "image"
        with looking(target, model_of(options), os.environ, purpose, ask, probe) as seen:
            from doctor import checkup

            checkup.chosen(options)
            facts = seen()
    gaps: list[NotChecked] = []
    notice = unfinished.notice(os.path.expanduser(facts.environment.interpreter.prefix))
    if notice is not None:
        from doctor.findings import NotChecked

        # A fix that was begun and did not end: what is there is in between.
        gaps.append(NotChecked(check="journal", reason=notice))
    if options.deep:
        from doctor.proving import deep

        facts = deep.deepen(facts)
    return facts, gaps


def _read(options: argparse.Namespace) -> Facts:
    """The saved facts that are to be judged."""
    if options.python or options.venv:
        raise Refused("--facts judges saved facts; it goes with no --python and no --venv.")
    if options.online:
        raise Refused("--online asks the Hub; it goes with no --facts.")
    if options.deep:
        raise Refused("--deep looks at an environment; it goes with no --facts.")
    from doctor.support import saved

    return saved.read(Path(options.facts), options.model, options.purpose)
