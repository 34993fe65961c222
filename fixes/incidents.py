"""Leave the combination that is known to fail."""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe; what does no harm to a generation is only told."""
    if finding.fix.automatic:
        yield UseRecipe()
