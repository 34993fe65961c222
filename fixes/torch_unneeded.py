"""Whether torch is of use to its owner, only they know: it is never removed for being idle."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """Advice: how to remove it."""
    yield Advice(summary=finding.fix.summary, code=finding.code)
