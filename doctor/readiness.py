"""The field report's criteria for production, before a run and after it.

What is predicted is of a usual picture and question with the run's own settings; what is measured
is the run's: its speed, by how much swap grew, and the worst pressure.
"""

from __future__ import annotations

import msgspec

from doctor.estimate import NotEstimable, estimate_of, judge
from doctor.estimate.judgement import Criterion, criteria
from doctor.estimate.of_facts import USUAL
from doctor.facts import Facts, Pressure
from doctor.memory import watch
from doctor.reports.smoke import Ready, SmokeReport


def judged(report: SmokeReport, facts: Facts) -> SmokeReport:
    """A report of a run, with the criteria; facts are of before it."""
    if report.model.stand_in or report.tokens_per_second is None:
        return report
    predicted = _predicted(report, facts)
    measured = criteria(report.tokens_per_second, _swap_growth(report), _pressure(report))
    rows = [
        Ready(
            name=found.name,
            wanted=found.wanted,
            predicted=None if predicted is None else predicted[number].value,
            measured=found.value,
            met=found.met,
        )
        for number, found in enumerate(measured)
    ]
    return msgspec.structs.replace(report, ready=tuple(rows))


def _predicted(report: SmokeReport, facts: Facts) -> tuple[Criterion, ...] | None:
    """What was to be expected; null where the model cannot be estimated."""
    settings = report.settings
    job = msgspec.structs.replace(
        USUAL,
        max_tokens=settings.get("max_tokens", USUAL.max_tokens),
        kv_bits=settings.get("kv_bits"),
    )
    try:
        return judge(estimate_of(facts, job), facts.machine).ready
    except NotEstimable:
        return None


def _swap_growth(report: SmokeReport) -> int | None:
    if report.watch is not None and report.watch.swap_growth_bytes is not None:
        return report.watch.swap_growth_bytes
    return None if report.swap_delta_bytes is None else max(0, report.swap_delta_bytes)


def _pressure(report: SmokeReport) -> Pressure | None:
    levels = [report.pressure_before, report.pressure_after]
    if report.watch is not None:
        levels.append(report.watch.pressure_worst)
    return watch.worst(levels)
