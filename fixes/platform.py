"""Install what is made for another platform anew; the machine and its settings are the user's."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from checks.platform import unsuitable
from doctor.actions import Advice
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.intents import Intents, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe, with every unsuitable distribution anew; else advice."""
    if finding.code != "wheel-unsuitable" or finding.severity is not Severity.ERROR:
        yield Advice(summary=finding.fix.summary, code=finding.code)
        return
    environment = facts.environment
    names = {
        str(canonicalize_name(distribution.name))
        for distribution in environment.distributions
        if unsuitable(distribution, environment.interpreter)
    }
    names |= {
        str(canonicalize_name(file.distribution)) for file in environment.damaged if file.problem
    }
    yield UseRecipe(reinstall=tuple(sorted(names)))
