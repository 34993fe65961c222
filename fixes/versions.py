"""Bring the versions to those of a recipe."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from checks.versions import BACKENDS
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents, RemoveBroken, UseRecipe


def actions(finding: Finding, facts: Facts) -> Intents:
    """The recipe. What has damaged metadata or lacks modules is installed anew."""
    reinstall: tuple[str, ...] = ()
    if finding.code == "metadata-unreadable":
        reinstall = tuple(
            canonicalize_name(distribution.name)
            for distribution in facts.environment.distributions
            if distribution.problem
        )
    elif finding.code == "import-broken" and facts.environment.imports is not None:
        modules = {
            problem.module.partition(".")[0] for problem in facts.environment.imports.problems
        }
        reinstall = tuple(str(canonicalize_name(module)) for module in sorted(modules))
    elif finding.code in ("backend-mismatch", "backend-missing"):
        # Releases up to 0.31.2 carry files that mlx owns too: one must not go without the other.
        reinstall = ("mlx", *BACKENDS)
        for name in BACKENDS:
            yield RemoveBroken(name=name)
    yield UseRecipe(reinstall=reinstall)
