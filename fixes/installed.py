"""Install the recipe: the doctor is the installer."""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe; mlx-vlm anew where half of it is there."""
    yield UseRecipe(reinstall=("mlx-vlm",))
