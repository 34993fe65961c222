"""Bring the versions to those of a recipe."""

from __future__ import annotations

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from checks.versions import BACKENDS, MODULES
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
    elif finding.code == "versions-conflict":
        # By its folder's name it may be the right one, and installers go by that.
        reinstall = tuple(
            canonicalize_name(distribution.name)
            for distribution in facts.environment.distributions
            if distribution.version is not None and not _is_version(distribution.version)
        )
    elif finding.evidence[0].value == "no such folder":
        yield RemoveBroken(name="torch")
    elif finding.code == "import-broken" and facts.environment.imports is not None:
        # Either side may be the one whose files are not what they should be.
        for problem in facts.environment.imports.problems:
            reinstall += (_distribution(problem.module), _owner(problem.importer, facts))
    elif finding.code == "call-unfitting" and facts.environment.imports is not None:
        for misfit in facts.environment.imports.misfits:
            reinstall += (_owner(misfit.caller, facts), _owner(misfit.definition, facts))
    elif finding.code in ("backend-mismatch", "backend-missing"):
        # Releases up to 0.31.2 carry files that mlx owns too: one must not go without the other.
        reinstall = ("mlx", *BACKENDS)
        for name in BACKENDS:
            yield RemoveBroken(name=name)
    yield UseRecipe(reinstall=tuple(sorted(set(reinstall))))


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _owner(path: str, facts: Facts) -> str:
    """The distribution that a source file belongs to, by its folder."""
    interpreter = facts.environment.interpreter
    for site in (interpreter.site_packages, interpreter.platform_site_packages):
        path = path.removeprefix(site + "/")
    return _distribution(path.partition("/")[0].removesuffix(".py"))


def _distribution(module: str) -> str:
    """The distribution that a module comes with."""
    top = module.partition(".")[0]
    name = next((name for name, own in MODULES.items() if own == top), top)
    return str(canonicalize_name(name))
