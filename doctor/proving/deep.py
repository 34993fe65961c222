"""The deep look: what only reading everything, and running it, can tell (``check --deep``)."""

from __future__ import annotations

import os

import msgspec

from doctor import terminal
from doctor.facts import Facts, Generation
from doctor.memory import device
from doctor.probes import contents, hashing
from doctor.proving import smoke, stand_in
from doctor.reports.smoke import SmokeReport


def deepen(facts: Facts) -> Facts:
    """The facts with the contents of all installed and all model files compared, and a generation.

    The generation is run last: what it reads from the disk is then in memory.
    """
    with terminal.progress("Comparing the contents of files") as advance:
        altered = contents.altered(facts.environment, advance)
    with terminal.progress("Comparing the contents of the model's files") as advance:
        seen_model = hashing.hashed(facts.model, advance)
    job = smoke.job_of(facts)
    terminal.say(f"Generating with {job.model_id} …")
    ended = smoke.run(os.path.expanduser(facts.environment.interpreter.executable), job)
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    if ended.device is not None:
        device.remember(prefix, facts.machine, ended.device)
    return msgspec.structs.replace(
        facts,
        machine=device.recalled(prefix, facts.machine),
        environment=msgspec.structs.replace(facts.environment, altered=altered),
        model=seen_model,
        generation=_generation(ended, facts.model.type if job.model else stand_in.TYPE),
    )


def _generation(report: SmokeReport, model_type: str | None) -> Generation:
    """What a smoke generation told, as a fact."""
    failed = next((stage for stage in report.stages if not stage.passed), None)
    error = failed.error if failed else None
    if failed is None and not report.passed:
        error = f"it was asked {report.prompt!r} and answered {report.answer!r}"
    return Generation(
        model=report.model.id,
        model_type=model_type,
        stand_in=report.model.stand_in,
        passed=report.passed,
        stage=failed.name if failed else None if report.passed else "answer",
        error=error,
        traceback=failed.traceback if failed else None,
        timed_out=error == smoke.TIMED_OUT,
    )
