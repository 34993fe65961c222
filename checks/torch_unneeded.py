"""Is there a torch that this model no longer needs?

mlx-vlm computes with MLX. Up to release 0.4.4 it took the processors of many models from
transformers, and those needed torch and torchvision. Since 0.5 it brings its own for many of them,
and a torch that was installed only for that lies idle. On a Mac it takes 0.3 GB; on Linux it brings
CUDA along and takes 6 GB and more.

- `torch-unneeded`: no part of this model's processor needs torch or torchvision here, no import of
  a generation depends on them, and no other installed package requires them. The finding says what
  torch, torchvision and the NVIDIA libraries and triton that only they require weigh on disk.

The doctor reads the source of the installed mlx-vlm and transformers, the metadata of all packages,
and the sizes in their RECORD files. What it cannot tell is whether you need torch yourself: for
code of your own, for a notebook, or for other models. So it is a note, and the doctor removes
nothing. If you do not: remove the packages that the finding names, and let `vlm-doctor smoke` prove
that a generation still runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from packaging.utils import canonicalize_name

from doctor.facts import Distribution, Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity
from doctor.packages.requirements import active, installed

CODES = ("torch-unneeded",)

# Released together and of no use without the first.
FAMILY = ("torch", "torchvision", "torchaudio")

# How the names of what torch's wheels for Linux require begin: libraries for NVIDIA's processors
# and a compiler. Other requirements of torch are small, and of use to others.
COMPANIONS = ("nvidia", "cuda", "triton", "pytorch")

WATCHED = (*FAMILY, *COMPANIONS)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    environment = facts.environment
    everything = installed(environment)
    processor, imports = environment.processor, environment.imports
    if "torch" not in everything or "mlx-vlm" not in everything:
        return
    if processor is None or processor.unknown or imports is None or imports.unknown:
        return  # what cannot be told is said by the checks that need it for more than a note
    if any(need.backends for need in processor.needs) or set(FAMILY) & set(imports.reached):
        return
    family = [name for name in FAMILY if name in everything]
    requirers = _requirers(facts)
    if any(requirers.get(name, set()) - set(family) for name in family):
        return
    names = _going(family, requirers)
    sizes = {str(canonicalize_name(name)): size for name, size in environment.torch_bytes.items()}
    weight = sum(sizes.get(name, 0) for name in names)
    versions = " and ".join(f"{name} {everything[name].version}" for name in family)
    companions = len(names) - len(family)
    more = f" and {companions} packages that only they require" if companions else ""
    yield Finding(
        code="torch-unneeded",
        severity=Severity.NOTE,
        title=f"{versions}{f' ({weight / 1e9:.1f} GB)' if weight else ''} "
        f"{'is' if len(family) == 1 else 'are'} not needed for this model here",
        cause=f"{processor.name} of {processor.provider} needs no torch, and no other package "
        "requires it. Whether you need it yourself, for other models or for code of your own, "
        "cannot be seen from here.",
        evidence=(
            Evidence(
                fact=f"{processor.name} needs of torch",
                value="nothing",
                source=processor.source or "?",
            ),
            Evidence(
                fact=f"on disk: {', '.join(family)}{more}",
                value=f"{weight / 1e9:.2f} GB" if weight else "not known",
                source="the sizes in their RECORD files",
            ),
        ),
        fix=Fix(
            id="advice",
            summary="if you do not need it: "
            f"uv pip uninstall --python {environment.interpreter.executable} {' '.join(names)}",
            automatic=False,
        ),
    )


def _going(family: list[str], requirers: Mapping[str, set[str]]) -> list[str]:
    """The family, and what only it, and what goes with it, requires."""
    going = {*family, *(name for name in requirers if name.startswith(COMPANIONS))}
    while staying := {name for name in going if requirers.get(name, set()) - going}:
        going -= staying
    return [*family, *sorted(going - set(family))]


def _requirers(facts: Facts) -> dict[str, set[str]]:
    """Which installed distributions require torch's family and companions, by what they require.

    Extras count that another installed distribution asks for.
    """
    everything = installed(facts.environment)
    markers = facts.environment.interpreter.markers
    asked = _extras(everything, markers)
    result: dict[str, set[str]] = {}
    for owner, distribution in everything.items():
        texts = [text for text in distribution.requires if text.lower().startswith(WATCHED)]
        extras = asked.get(owner, frozenset())
        for name, _ in _some(distribution, texts, extras, markers):
            if name in everything:
                result.setdefault(name, set()).add(owner)
    return result


def _extras(
    everything: Mapping[str, Distribution], markers: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """The extras of each distribution that some other one asks for."""
    asked: dict[str, frozenset[str]] = {}
    owners = set(everything)
    while owners:
        changed = set()
        for owner in owners:
            texts = [text for text in everything[owner].requires if "[" in text]
            extras = asked.get(owner, frozenset())
            for name, more in _some(everything[owner], texts, extras, markers):
                known = asked.get(name, frozenset())
                if more - known:
                    asked[name] = known | more
                    changed.add(name)
        owners = changed & set(everything)  # an extra may ask for an extra in turn
    return asked


def _some(
    distribution: Distribution,
    texts: Sequence[str],
    extras: frozenset[str],
    markers: Mapping[str, str],
) -> Iterator[tuple[str, frozenset[str]]]:
    """Names and extras of some requirements of a distribution, as far as they are active.

    Only they are parsed: parsing all would cost as much as the rest of the checks.
    """
    if texts:
        some = msgspec.structs.replace(distribution, requires=tuple(texts))
        for requirement in active(some, markers, extras):
            yield str(canonicalize_name(requirement.name)), frozenset(requirement.extras)
