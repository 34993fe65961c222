"""Memory is the user's to free: the doctor closes nobody's programs."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """Advice: what to close, smaller pictures, fewer tokens, a smaller model."""
    yield Advice(summary=finding.fix.summary, code=finding.code)
