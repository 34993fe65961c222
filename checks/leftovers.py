"""Is there something left of earlier installs that says what is no longer so?

An install that was interrupted leaves folders that begin with `~`, or the metadata of two versions
of one package. A conda environment that pip installed into has two books that disagree. An
environment that was moved or copied has commands that another Python runs.

You would see: `WARNING: Ignoring invalid distribution -ransformers`, a version that is reported and
another that runs, `pip` that installs and nothing changes, or `bad interpreter`.

The doctor reads the names of the metadata folders, of conda's book (`conda-meta`), and the first
lines of the commands beside the interpreter.

- `metadata-duplicated`: two metadata folders of one package. Python takes the one that the file
  system lists first, and every program that asks for the version believes it. Also where conda and
  pip name different versions. A warning, and an error where transformers refuses the version.
- `install-leftover`: what an interrupted install left behind, or commands of another Python. A
  note: nothing that runs depends on it.

A `fix` that installs a recipe for another reason also leaves one metadata folder of each of its
packages. The rest is yours to remove: it is in no RECORD, so nobody can say whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from packaging.utils import canonicalize_name

from checks import versions
from doctor.facts import Distribution, Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity
from doctor.packages.requirements import on_the_way, same_version

CODES = ("metadata-duplicated", "install-leftover")


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    reached, _ = on_the_way(facts.environment)
    by_place: dict[tuple[str, str], list[Distribution]] = {}
    for item in facts.environment.distributions:
        place = (str(canonicalize_name(item.name)), item.metadata.rpartition("/")[0])
        by_place.setdefault(place, []).append(item)
    for (name, _), items in by_place.items():
        if len(items) > 1 and name in reached:
            refused = name in versions.refused(facts)
            yield Finding(
                code="metadata-duplicated",
                severity=Severity.ERROR if refused else Severity.WARNING,
                title=f"{name} is there twice by its metadata: "
                + " and ".join(item.version or "?" for item in items),
                cause="Only one of them is of the code that runs. Python believes the one that the "
                f"file system lists first: {items[0].version or '?'}."
                + (" transformers refuses that one whenever it is imported." if refused else ""),
                evidence=tuple(
                    Evidence(
                        fact=f"metadata of {name}", value=item.version or "?", source=item.metadata
                    )
                    for item in items
                ),
                fix=Fix(
                    id="reinstall-by-hand",
                    summary=f"uninstall {name} until none is left, and install it again",
                    automatic=False,
                ),
            )
    yield from _conda(facts, reached)
    yield from _leftovers(facts)


def _conda(facts: Facts, reached: Mapping[str, Distribution]) -> CheckResult:
    for name, said in facts.environment.conda.items():
        found = reached.get(str(canonicalize_name(name)))
        if found is None or found.version is None or same_version(said, found.version):
            continue
        yield Finding(
            code="metadata-duplicated",
            severity=Severity.WARNING,
            title=f"conda says {name} {said}, but {found.version} is installed",
            cause=f"{found.installer or 'Another installer'} put its own over what conda had "
            "installed. conda does not know, and its next change may mix the two.",
            evidence=(
                Evidence(fact=f"{name} by conda", value=said, source="conda-meta"),
                Evidence(fact=f"{name} by metadata", value=found.version, source=found.metadata),
            ),
            fix=Fix(
                id="conda-by-hand",
                summary="make a fresh environment (vlm-doctor fix --new-venv DIR), or remove "
                f"{name} with both conda and pip and install it once",
                automatic=False,
            ),
        )


def _leftovers(facts: Facts) -> CheckResult:
    if facts.environment.leftovers:
        yield Finding(
            code="install-leftover",
            severity=Severity.NOTE,
            title=f"An interrupted install left {len(facts.environment.leftovers)} behind",
            cause="pip renames what it replaces to a name with ~ and removes it at the end.",
            evidence=tuple(
                Evidence(fact="leftover", value="folder", source=path)
                for path in facts.environment.leftovers
            ),
            fix=Fix(
                id="remove-by-hand",
                summary="remove " + ", ".join(facts.environment.leftovers),
                automatic=False,
            ),
        )
    if facts.environment.foreign_scripts:
        executable = facts.environment.interpreter.executable
        names = sorted(facts.environment.foreign_scripts)
        yield Finding(
            code="install-leftover",
            severity=Severity.NOTE,
            title=f"{', '.join(names)} here would run another Python",
            cause="The environment was moved or copied, or the command came from elsewhere: what "
            "it installs or starts is not in this environment.",
            evidence=tuple(
                Evidence(
                    fact=f"first line of {name}",
                    value=python,
                    source=f"{facts.environment.interpreter.scripts}/{name}",
                )
                for name, python in sorted(facts.environment.foreign_scripts.items())
            ),
            fix=Fix(
                id="use-interpreter",
                summary=f"start modules by {executable} -m, such as {executable} -m pip",
                automatic=False,
            ),
        )
