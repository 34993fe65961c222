"""Somebody's own file is theirs to move: the doctor says which and why."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """Advice: the file, and what to do about it."""
    yield Advice(summary=finding.fix.summary, code=finding.code)
