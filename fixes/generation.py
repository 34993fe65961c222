"""Install the whole recipe anew: what is wrong was not seen in any one place."""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe, everything anew."""
    yield UseRecipe(everything=True)
