"""``vlm-doctor smoke``: generate once, with the real model if it is here, else the stand-in."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from doctor import readiness
from doctor.commands.options import add_model, add_target, model_of, target_of
from doctor.errors import Refused
from doctor.look import look
from doctor.memory import device, live, run_profile
from doctor.proving import last_proof
from doctor.proving import smoke as generation
from doctor.reports import target_report
from doctor.reports.smoke import SmokeReport
from doctor.terminal import say
from doctor.transaction import repair


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    add_model(parser)
    parser.add_argument("--image", metavar="FILE", help="a picture of your own")
    parser.add_argument("--prompt", metavar="P", help="what to ask")
    parser.add_argument("--expect", metavar="TEXT", help="what the answer must contain")
    parser.add_argument("--profile", metavar="FILE", help="run it as a run profile says")
    parser.add_argument("--watch", action="store_true", help="watch memory and swap while it runs")


def run(options: argparse.Namespace) -> tuple[SmokeReport, int]:
    """Generate once, with the real model where it is here, else with the stand-in."""
    wanted = run_profile.read(Path(options.profile)) if options.profile is not None else None
    if wanted is not None and options.model is None:
        options.model = wanted.model
    facts = look(target_of(options), model_of(options), os.environ)
    job = generation.job_of(facts)
    if options.model is not None and facts.model.found == "folder" and job.model is None:
        raise Refused(f"{options.model} has no weights (no *.safetensors).")
    job = msgspec.structs.replace(
        job,
        image=options.image,
        prompt=options.prompt,
        expected=options.expect,
        profile=wanted,
    )
    if job.model is None and options.model is not None:
        say(f"{facts.model.id} is not on this machine; the doctor's own small model stands in.")
    if job.model is None and options.image is not None:
        say(
            "The doctor's own small model knows only the doctor's pictures; yours is read, no more."
        )
    say(f"Generating with {job.model_id} …")
    interpreter = facts.environment.interpreter
    prefix = os.path.expanduser(interpreter.prefix)
    report = generation.run(
        os.path.expanduser(interpreter.executable),
        job,
        target_report(facts),
        live.screen(sys.stderr) if options.watch else None,
    )
    report = readiness.judged(report, facts)
    if report.device is not None:
        device.remember(prefix, facts.machine, report.device)
    if report.passed and report.understood:  # else nobody knows whether it saw the picture
        last_proof.remember(facts, prefix)
    elif generation.compiler_is_missing(report):
        say(repair.NO_COMPILER)
    return report, 0 if report.passed else 1
