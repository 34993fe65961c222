"""Weights cannot be mended here: they are fetched again."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.hub.mending import restored
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """What is to be put back, or fetched."""
    if finding.fix.id == "restore":
        yield from restored(facts)
    else:
        yield Advice(summary=finding.fix.summary, code=finding.code)
