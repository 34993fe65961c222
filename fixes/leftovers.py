"""What is in no RECORD belongs to nobody that the doctor knows: it is named, not removed."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """Advice: what to remove or to call instead."""
    yield Advice(summary=finding.fix.summary, code=finding.code)
