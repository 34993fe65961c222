"""A processor that needs no torch, or a torch and a torchvision that are a pair."""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.intents import Intents, RemoveBroken, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe; and away with a torchvision that cannot be imported.

    Such a torchvision breaks transformers 5 too, so that the recipe without torch needs it gone.
    The recipe with torch brings the matched pair instead.
    """
    if finding.severity is not Severity.ERROR:
        return
    yield UseRecipe()
    if finding.code in ("torchvision-without-torch", "torchvision-mismatch"):
        yield RemoveBroken(name="torchvision")
