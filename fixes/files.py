"""Install damaged packages anew."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe, with every damaged distribution of it installed anew."""
    names = {str(canonicalize_name(file.distribution)) for file in facts.environment.damaged}
    yield UseRecipe(reinstall=tuple(sorted(names)))
