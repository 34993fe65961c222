"""A newer mlx-vlm for a model that this one does not know; the rest is for the user to do."""

from __future__ import annotations

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.hub.mending import restored
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe for an unknown model type, advice for files that are not there or not whole."""
    if finding.fix.id == "restore":
        yield from restored(facts)
    elif finding.fix.id == "recipe":
        # Where the version is right, the folder of the type is gone.
        yield UseRecipe(reinstall=("mlx-vlm",))
    else:
        yield Advice(summary=finding.fix.summary, code=finding.code)
