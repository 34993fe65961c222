"""Install damaged packages anew; leave alone what somebody changed."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.intents import Intents, RemoveBroken, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe, with every distribution anew that a generation fails by; else advice.

    Those that the recipe does without are taken away.
    """
    if finding.severity is not Severity.ERROR:
        yield Advice(summary=finding.fix.summary, code=finding.code)
        return
    names = {
        str(canonicalize_name(file.distribution))
        for file in facts.environment.damaged
        if file.problem
    } | {
        str(canonicalize_name(file.distribution))
        for file in facts.environment.altered or ()
        if file.kind == "compiled"
    }
    yield UseRecipe(reinstall=tuple(sorted(names)))
    if "torch" in names:
        names.add("torchvision")  # it cannot be imported without
    # What the recipe does not bring cannot stay as it is: a generation fails by it.
    for name in sorted(names):
        yield RemoveBroken(name=name)
