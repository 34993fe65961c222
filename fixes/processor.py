"""A release whose processor fits, where there may be one."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe, where a newer mlx-vlm may bring a processor of its own; else advice."""
    if finding.fix.automatic:
        yield UseRecipe()
    else:
        yield Advice(summary=finding.fix.summary, code=finding.code)
