"""Settings of the Hub are the user's own: the doctor says what helps."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """What the user can do."""
    yield Advice(summary=finding.fix.summary, code=finding.code)
