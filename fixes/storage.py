"""What can be mended in the cache without the network; the rest has to be fetched."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """What is to be done."""
    yield Advice(summary=finding.fix.summary, code=finding.code)
