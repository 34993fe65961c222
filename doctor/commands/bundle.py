"""``vlm-doctor bundle``: one file for support, with the facts and without what is private."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from pathlib import Path

from doctor.commands import explain
from doctor.commands.options import add_model, add_purpose, add_target, model_of, target_of
from doctor.errors import Refused
from doctor.facts import Purpose
from doctor.look import look
from doctor.proving import deep, smoke
from doctor.reports import SCHEMA, Tool, target_report
from doctor.reports.bundle import BundleReport
from doctor.reports.smoke import SmokeReport
from doctor.support import bundle, redaction, saved
from doctor.terminal import say


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="where to write it (default: named by the time)"
    )
    add_target(parser)
    add_model(parser)
    add_purpose(parser)
    parser.add_argument("--deep", action="store_true", help="look as check --deep does")
    parser.add_argument("--smoke", action="store_true", help="run a generation, for its result")
    parser.add_argument("--error", metavar="FILE", help="add an error (-: standard input)")
    parser.add_argument("--facts", metavar="FILE", help="of saved facts instead")


def run(options: argparse.Namespace) -> tuple[BundleReport, int]:
    """Look, take out what is private, and write."""
    started = time.perf_counter()
    now = datetime.datetime.now(datetime.timezone.utc)
    path = Path(options.file or f"vlm-doctor-{now:%Y%m%d-%H%M%S}.zip")
    if os.path.lexists(path):
        raise Refused(f"{path} is there already.", "Name another file.")
    error = None if options.error is None else explain.explain_error(options.error)[0]
    generated: SmokeReport | None = None
    if options.facts is not None:
        if options.python or options.venv or options.smoke or options.deep:
            raise Refused("--facts goes with no --python, --venv, --smoke and --deep.")
        facts = saved.read(Path(options.facts), options.model, options.purpose)
    else:
        purpose: Purpose = options.purpose or "image"
        facts = look(target_of(options), model_of(options), os.environ, purpose)
        if options.deep:
            facts = deep.deepen(facts)
        if options.smoke:
            say("Generating …")
            python = os.path.expanduser(facts.environment.interpreter.executable)
            generated = smoke.run(python, smoke.job_of(facts), target_report(facts))

    def write() -> bundle.Manifest:
        return bundle.write(path, facts, redaction.identity(os.environ), generated, error)

    manifest = write() if options.facts is None else saved.judged(Path(options.facts), write)
    return BundleReport(
        schema=SCHEMA,
        command="bundle",
        tool=Tool(),
        path=str(path),
        bytes=path.stat().st_size,
        members=manifest.members,
        redacted=manifest.redacted,
        seconds=round(time.perf_counter() - started, 3),
    ), 0
