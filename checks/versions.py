"""Do the versions that are installed go together?

Packages say which versions of others they need. pip checks that once, when it installs; a later
`pip install -U` of something else, or `--no-deps`, breaks it silently. transformers checks a few of
its needs (tokenizers, huggingface-hub, numpy, ...) whenever it is imported, and refuses to start.

You would see, for example: `ImportError: tokenizers>=0.22.0,<=0.23.0 is required for a normal
functioning of this module, but found tokenizers==0.23.1`, or `cannot import name
'maybe_quantize_kv_cache' from 'mlx_lm.generate'`.

The doctor reads, from files and without importing anything: the metadata of every distribution on
the way from mlx-vlm to a generation, with markers and extras; the table that the installed
transformers enforces; the imports that a generation makes; and the calls from one package into
another that it surely makes. What is enforced, or imported and not there, or called in a way that
it does not take, is an error. A need that is written down and not met, but that nothing on the way
was seen to depend on, is a warning: it may work, and its authors do not promise that it does.

- `versions-conflict`: an installed version that another package does not accept, or that is
  missing.
- `backend-mismatch`: mlx and its backend (mlx-metal, mlx-cpu, mlx-cuda-12, mlx-cuda-13) come from
  different releases. They are two halves of one program. You would see `Symbol not found` or
  `undefined symbol`; `pip check` sees nothing.
- `backend-missing`: mlx has no backend at all (`libmlx.so: cannot open shared object file`).
- `import-broken`: a module that a generation imports is missing, or lacks a name that is imported
  from it.
- `call-unfitting`: a generation calls a function of another package with arguments that the
  installed one does not take (`TypeError: make_logits_processors() takes from 0 to 3 positional
  arguments but 7 were given`).
- `metadata-unreadable`: a package's metadata is damaged, so that its needs are not known.

`vlm-doctor fix` installs the pinned versions of a recipe. By hand: install the version named in
the finding. The list of pins in section 4.1 of the field report that this project started from is
such a conflict: its mlx-lm 0.21.4 cannot go with its mlx-vlm 0.3.9, which needs 0.23.0 or newer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from doctor.facts import Distribution, EnforcedRequirement, Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.packages.requirements import Unmet, installed, on_the_way, satisfied

CODES = (
    "versions-conflict",
    "backend-mismatch",
    "backend-missing",
    "import-broken",
    "call-unfitting",
    "metadata-unreadable",
)

# The two halves of mlx are released together under one version: the front end requires
# `mlx-metal==<its own version>` on macOS and, by extras, `mlx-cpu`, `mlx-cuda-12`, `mlx-cuda-13`.
BACKENDS = ("mlx-metal", "mlx-cpu", "mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")

# Distributions that are imported by another name than their own, as their wheels show.
MODULES = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "python-dateutil": "dateutil",
    "protobuf": "google",
    "python-multipart": "multipart",
}

RECIPE = Fix(
    id="recipe",
    summary="install the versions of a recipe that was proven to work together",
    automatic=True,
)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    everything = installed(facts.environment)
    if "mlx-vlm" not in everything:
        return
    reached, unmet = on_the_way(facts.environment)
    yield from _unreadable(facts, reached)
    yield from _conflicts(facts, everything, unmet)
    yield from _backends(facts, everything)
    yield from _imports(facts)
    yield from _libraries(facts)


def _unreadable(facts: Facts, reached: Mapping[str, Distribution]) -> CheckResult:
    asked = set(_enforced_names(facts))
    for name, distribution in reached.items():
        if distribution.problem:
            yield Finding(
                code="metadata-unreadable",
                severity=Severity.ERROR if name in asked else Severity.WARNING,
                title=f"The metadata of {name} is damaged",
                cause=f"{distribution.problem}. "
                + (
                    "transformers asks for its version whenever it is imported, and stops."
                    if name in asked
                    else "What it needs cannot be known, and programs that ask for its version "
                    "fail."
                ),
                evidence=(
                    Evidence(
                        fact=f"metadata of {name}",
                        value=distribution.problem,
                        source=distribution.metadata,
                    ),
                ),
                fix=RECIPE,
            )


def _conflicts(
    facts: Facts, everything: Mapping[str, Distribution], unmet: Sequence[Unmet]
) -> CheckResult:
    """One finding for each distribution that is missing or of a version that is not accepted."""
    demands: dict[str, list[Evidence]] = {}
    for name, demand in _enforced(facts, everything):
        demands.setdefault(name, []).append(demand)
    enforced = set(demands)
    for failure in unmet:
        if failure.name not in BACKENDS:
            demands.setdefault(failure.name, []).append(
                Evidence(
                    fact=f"{failure.by.name} {failure.by.version} requires",
                    value=failure.requirement,
                    source=failure.by.metadata,
                )
            )
    failing = _failing_imports(facts)
    unfitting = _unfitting_calls(facts)
    for name, evidence in demands.items():
        imports = failing.pop(module_of(name), [])
        calls = unfitting.pop(module_of(name), [])
        found = everything.get(name)
        where = Evidence(
            fact=f"installed {name}",
            value=(found.version or "?") if found else "none",
            source=found.metadata if found else facts.environment.interpreter.site_packages,
        )
        if name in enforced:
            cause = "transformers checks this whenever it is imported, and stops."
        elif imports:
            cause = "A generation imports it, and that import fails."
        elif calls:
            cause = "A generation calls it in a way that the installed version does not take."
        else:
            cause = (
                "Nothing that a generation imports was seen to depend on it, but the authors "
                "support nothing else."
            )
        has = f"{name} {found.version} is installed" if found else f"{name} is not installed"
        by = evidence[0].fact.removesuffix(" requires")
        yield Finding(
            code="versions-conflict",
            severity=Severity.ERROR if name in enforced or imports or calls else Severity.WARNING,
            title=f"{has}, but {by} requires {evidence[0].value}",
            cause=cause,
            evidence=(*evidence, where, *imports, *calls),
            fix=RECIPE,
        )
    for module, imports in failing.items():
        yield Finding(
            code="import-broken",
            severity=Severity.ERROR,
            title=f"A generation imports what is not there: {imports[0].value}",
            cause=f"Two packages on the way are from times that do not go together, or {module} "
            "is incomplete.",
            evidence=tuple(imports),
            fix=RECIPE,
        )

    for module, calls in unfitting.items():
        yield Finding(
            code="call-unfitting",
            severity=Severity.ERROR,
            title=f"A generation calls {module} in a way that it does not take: {calls[0].value}",
            cause=f"{module} and the package that calls it are from times that do not go together.",
            evidence=tuple(calls),
            fix=RECIPE,
        )


def _unfitting_calls(facts: Facts) -> dict[str, list[Evidence]]:
    """The calls that would fail, by the top-level module that is called: both sides of each."""
    imports = facts.environment.imports
    result: dict[str, list[Evidence]] = {}
    for misfit in imports.misfits if imports else ():
        result.setdefault(misfit.function.partition(".")[0], []).extend(
            (
                Evidence(
                    fact="call that fails",
                    value=f"{misfit.function}: {misfit.why}; passed are {misfit.passes}",
                    source=f"{misfit.caller}:{misfit.line}",
                ),
                Evidence(
                    fact=f"{misfit.function} takes",
                    value=misfit.takes,
                    source=f"{misfit.definition}:{misfit.definition_line}",
                ),
            )
        )
    return result


def _failing_imports(facts: Facts) -> dict[str, list[Evidence]]:
    """The imports that would fail, by the top-level module that they are made from."""
    imports = facts.environment.imports
    # What a damaged file no longer gives is told by the check of files, what another module in its
    # place does not give by that of shadowing.
    damaged = {file.module for file in facts.environment.damaged if file.problem}
    shadowed = {shadow.module for shadow in facts.environment.shadows if shadow.problem}
    result: dict[str, list[Evidence]] = {}
    for problem in imports.problems if imports else ():
        if problem.module in damaged or f"{problem.module}.{problem.name}" in damaged:
            continue
        if any((problem.module + ".").startswith(module + ".") for module in shadowed):
            continue
        value = f"import {problem.module}"
        if problem.name:
            value = f"from {problem.module} import {problem.name}"
        result.setdefault(problem.module.partition(".")[0], []).append(
            Evidence(
                fact="import that fails",
                value=value,
                source=f"{problem.importer}:{problem.line}",
            )
        )
    return result


def module_of(name: str) -> str:
    """The module that a distribution is imported by, also where the distribution is not there."""
    return MODULES.get(name, name.replace("-", "_"))


def refused(facts: Facts) -> set[str]:
    """The distributions whose version the installed transformers refuses at its import."""
    return {name for name, _ in _enforced(facts, installed(facts.environment))}


def _enforced_names(facts: Facts) -> Iterator[str]:
    """The distributions whose version transformers asks for at its import."""
    transformers = facts.environment.transformers
    for entry in (transformers.enforced if transformers else None) or ():
        try:
            yield str(canonicalize_name(Requirement(entry.requirement).name))
        except InvalidRequirement:
            continue


def _enforced(
    facts: Facts, everything: Mapping[str, Distribution]
) -> Iterator[tuple[str, Evidence]]:
    """What the installed transformers checks at its import and would not accept."""
    transformers = facts.environment.transformers
    if transformers is None or transformers.enforced is None:
        return
    version = everything["transformers"].version if "transformers" in everything else "?"
    for entry in transformers.enforced:
        try:
            requirement = Requirement(entry.requirement)
        except InvalidRequirement:
            continue
        name = str(canonicalize_name(requirement.name))
        found = everything.get(name)
        if entry.if_installed and not _guarded(entry, name, found, facts, everything):
            continue
        if found is None or not satisfied(requirement, found.version):
            yield (
                name,
                Evidence(
                    fact=f"transformers {version} requires",
                    value=entry.requirement,
                    source=entry.source,
                ),
            )


def _guarded(
    entry: EnforcedRequirement,
    name: str,
    found: Distribution | None,
    facts: Facts,
    everything: Mapping[str, Distribution],
) -> bool:
    """Whether transformers takes a distribution for available, and so asks for its version."""
    transformers, imports = facts.environment.transformers, facts.environment.imports
    assert transformers is not None
    for need in entry.guard_needs:
        other = everything.get(str(canonicalize_name(need)))
        least = transformers.least.get(need)
        if other is None or (
            least and not satisfied(Requirement(f"{need}>={least}"), other.version)
        ):
            return False
    if found is None:
        # Its metadata is gone, and its module is there.
        reached = imports.reached if imports else ()
        return transformers.module_suffices is True and module_of(name) in reached
    least = entry.guard_least
    return least is None or satisfied(Requirement(f"{name}>={least}"), found.version)


def _backends(facts: Facts, everything: Mapping[str, Distribution]) -> CheckResult:
    mlx = everything.get("mlx")
    if mlx is None:
        return
    present = [everything[name] for name in BACKENDS if name in everything]
    if not present:
        # Early releases of mlx carried their library themselves; and one whose metadata is gone
        # computes all the same.
        if facts.environment.mlx_library:
            return
        yield Finding(
            code="backend-missing",
            severity=Severity.ERROR,
            title=f"mlx {mlx.version} has no backend",
            cause="mlx is only the front half: the library that computes comes in a package of "
            "its own (mlx-metal on a Mac; mlx-cpu or mlx-cuda on Linux), and none is installed.",
            evidence=(
                Evidence(fact="mlx", value=mlx.version or "?", source=mlx.metadata),
                Evidence(
                    fact="backend packages",
                    value="none",
                    source=facts.environment.interpreter.site_packages,
                ),
            ),
            fix=RECIPE,
        )
    for backend in present:
        if backend.version != mlx.version:
            yield Finding(
                code="backend-mismatch",
                severity=Severity.ERROR,
                title=f"mlx {mlx.version} and {backend.name} {backend.version} "
                "are from different releases",
                cause="They are two halves of one program and work only together.",
                evidence=(
                    Evidence(fact="mlx", value=mlx.version or "?", source=mlx.metadata),
                    Evidence(
                        fact=backend.name, value=backend.version or "?", source=backend.metadata
                    ),
                ),
                fix=RECIPE,
            )


def _libraries(facts: Facts) -> CheckResult:
    lacking = facts.environment.missing_libraries
    if lacking:
        yield Finding(
            code="import-broken",
            severity=Severity.ERROR,
            title=f"torch cannot be loaded: {lacking[0].name} is not there",
            cause="transformers imports torch wherever it is installed, and that import fails.",
            evidence=tuple(
                Evidence(
                    fact=f"{library.name} in {library.folder}",
                    value="no such folder",
                    source=library.needed_by,
                )
                for library in lacking
            ),
            fix=Fix(
                id="recipe",
                summary="install what torch lacks with the recipe, or remove torch where the "
                "recipe has none",
                automatic=True,
            ),
        )


def _imports(facts: Facts) -> CheckResult:
    imports = facts.environment.imports
    if imports is not None and imports.unknown:
        yield NotChecked(reason=f"the imports of a generation: {imports.unknown}")
