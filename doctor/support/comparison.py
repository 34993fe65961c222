"""Comparing two sets of facts: what differs, and what of it decides. Pure.

What decides is not guessed: the checks are run on the facts of the one with one group of the
other's in its place. Where a group was seen through another (what a generation imports was traced
in these packages, by this Python, past these files), and both differ, the answer is called inexact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec
from packaging.utils import canonicalize_name

from doctor import registry
from doctor.facts import Environment, Facts, Struct
from doctor.findings import Finding, NotChecked, Severity, Verdict
from doctor.reports.compare import Difference, Group, GroupName, Side, Swapped

replace = msgspec.structs.replace

_OF_FILES = (
    "damaged",
    "altered",
    "shadows",
    "startup",
    "stray_libraries",
    "leftovers",
    "foreign_scripts",
)
_OF_PYTHON = ("interpreter",)
# What depends on the model that was asked about, as well as on the packages.
_OF_MODEL_AND_PACKAGES = ("processor", "image_processor")
_OF_PACKAGES = tuple(
    name
    for name in Environment.__struct_fields__
    if name not in (*_OF_FILES, *_OF_PYTHON, *_OF_MODEL_AND_PACKAGES)
)
# The groups that the probe looked at together.
_ENTANGLED: tuple[GroupName, ...] = ("python", "packages", "files", "model")
_NUMBER = re.compile(r"\d[\d.,]*")


class Comparison(Struct, frozen=True):
    """What differs between two sets of facts, and what follows."""

    a: Side
    b: Side
    differences: tuple[Difference, ...]
    groups: tuple[Group, ...]
    only_a: tuple[Finding, ...]
    only_b: tuple[Finding, ...]
    both: tuple[str, ...]


def compare(a: Facts, b: Facts) -> Comparison:
    """Compare two sets of facts by what the checks say of them and of their mixtures."""
    of_a, of_b = (registry.examine(facts, registry.names()) for facts in (a, b))
    only_a, only_b = _only(of_a, of_b), _only(of_b, of_a)
    # What a generation did says nothing of a mixture in which it was not run.
    a_not_run, b_not_run = (replace(facts, generation=None) for facts in (a, b))
    before_a, before_b = (
        registry.examine(facts, registry.names()) for facts in (a_not_run, b_not_run)
    )
    found: dict[GroupName, list[Difference]] = {}
    for difference in _differences(a, b):
        codes = _naming(difference, (*only_a, *only_b))
        found.setdefault(difference.group, []).append(replace(difference, findings=codes))
    groups = []
    for name, differences in found.items():
        others = [other for other in found if other in _ENTANGLED and other != name]
        a_with_b = _swapped(a_not_run, b_not_run, name, "model" in found, before_a)
        b_with_a = _swapped(b_not_run, a_not_run, name, "model" in found, before_b)
        groups.append(
            Group(
                name=name,
                differences=len(differences),
                exact=name not in _ENTANGLED or not others,
                decides=_decides(before_a, a_with_b) or _decides(before_b, b_with_a),
                a_with_b=a_with_b,
                b_with_a=b_with_a,
            )
        )
    return Comparison(
        a=_side(a, of_a.verdict),
        b=_side(b, of_b.verdict),
        differences=tuple(difference for part in found.values() for difference in part),
        groups=tuple(groups),
        only_a=only_a,
        only_b=only_b,
        both=tuple(dict.fromkeys(item.code for item in of_a.findings if _key(item) in _keys(of_b))),
    )


def _side(facts: Facts, verdict: Verdict) -> Side:
    return Side(
        verdict=verdict,
        taken_at=facts.taken_at,
        tool=facts.tool,
        python=facts.environment.interpreter.version,
        model=facts.model.id,
        purpose=facts.purpose,
    )


def _key(finding: Finding) -> tuple[str, Severity, str]:
    """What makes two findings the same: figures may differ, as of memory at two moments."""
    return finding.code, finding.severity, _NUMBER.sub("#", finding.title)


def _keys(examination: registry.Examination) -> set[tuple[str, Severity, str]]:
    return {_key(finding) for finding in examination.findings}


def _only(first: registry.Examination, second: registry.Examination) -> tuple[Finding, ...]:
    there = _keys(second)
    return tuple(finding for finding in first.findings if _key(finding) not in there)


def _decides(before: registry.Examination, after: Swapped) -> bool:
    return after.verdict != before.verdict or any(
        severity is Severity.ERROR for severity in (*after.gone.values(), *after.new.values())
    )


def _swapped(
    facts: Facts, other: Facts, group: GroupName, models_differ: bool, before: registry.Examination
) -> Swapped:
    after = registry.examine(with_group(facts, other, group, models_differ), registry.names())
    return Swapped(
        verdict=after.verdict,
        gone={finding.code: finding.severity for finding in _only(before, after)},
        new={finding.code: finding.severity for finding in _only(after, before)},
        not_checked=_gaps(after.not_checked, before.not_checked),
    )


def _gaps(after: tuple[NotChecked, ...], before: tuple[NotChecked, ...]) -> tuple[str, ...]:
    return tuple(f"{gap.check}: {gap.reason}" for gap in after if gap not in before)


def with_group(facts: Facts, other: Facts, group: GroupName, models_differ: bool) -> Facts:
    """The facts with one group of the other's in its place."""
    if group == "machine":
        return replace(facts, machine=other.machine)
    if group == "variables":
        return replace(facts, variables=other.variables)
    if group == "hub":
        return replace(facts, hub=other.hub)
    fields: dict[GroupName, tuple[str, ...]] = {
        "python": _OF_PYTHON,
        "files": _OF_FILES,
        "packages": (*_OF_PACKAGES, *(() if models_differ else _OF_MODEL_AND_PACKAGES)),
        "model": _OF_MODEL_AND_PACKAGES,
    }
    environment = replace(
        facts.environment, **{name: getattr(other.environment, name) for name in fields[group]}
    )
    if group == "model":
        return replace(facts, environment=environment, model=other.model, purpose=other.purpose)
    return replace(facts, environment=environment)


def _naming(difference: Difference, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """The findings that only one side has and that speak of this difference."""
    pattern = re.compile(rf"(?<![\w.-]){re.escape(difference.name)}(?![\w-])", re.IGNORECASE)
    return tuple(
        dict.fromkeys(
            finding.code
            for finding in findings
            if any(
                pattern.search(text)
                for text in (
                    finding.title,
                    *(f"{seen.fact} {seen.value} {seen.source}" for seen in finding.evidence),
                )
            )
        )
    )


def _differences(a: Facts, b: Facts) -> Iterator[Difference]:
    tables: tuple[tuple[GroupName, Callable[[Facts], dict[str, str]]], ...] = (
        ("packages", _packages),
        ("python", _python),
        ("files", _files),
        ("model", _model),
        ("variables", lambda facts: facts.variables),
        ("machine", _machine),
        ("hub", _hub),
    )
    for group, table in tables:
        first, second = table(a), table(b)
        for name in sorted({*first, *second}):
            if first.get(name) != second.get(name):
                yield Difference(group=group, name=name, a=first.get(name), b=second.get(name))


def _packages(facts: Facts) -> dict[str, str]:
    result: dict[str, list[str]] = {}
    for item in facts.environment.distributions:
        version = item.version or "of unknown version"
        result.setdefault(str(canonicalize_name(item.name)), []).append(version)
    for name, build in facts.environment.builds.items():
        if build is not None:
            result.setdefault(f"{name} (build)", []).append(f"{build.version}, {build.cuda}")
    return {name: " and ".join(versions) for name, versions in result.items()}


def _python(facts: Facts) -> dict[str, str]:
    interpreter = facts.environment.interpreter
    fields = ("version", "kind", "libc", "macos", "externally_managed", "writable", "base_is_there")
    result = {name: _word(getattr(interpreter, name)) for name in fields}
    for name in ("sys_platform", "platform_machine", "implementation_name"):
        result[name] = interpreter.markers.get(name, "not known")
    result["search path"] = ", ".join(entry.kind for entry in interpreter.search_path)
    return result


def _files(facts: Facts) -> dict[str, str]:
    environment = facts.environment
    result = {
        file.path: "gone" if file.bytes is None else f"{file.bytes} bytes"
        for file in environment.damaged
    }
    result |= {file.path: "other content" for file in environment.altered or ()}
    result |= {shadow.origin: f"hides {shadow.module}" for shadow in environment.shadows}
    result |= {file.path: f"runs when Python starts ({file.kind})" for file in environment.startup}
    result |= {library.path: "another copy of MLX" for library in environment.stray_libraries}
    result |= dict.fromkeys(environment.leftovers, "left by an install")
    return result | {name: f"runs {python}" for name, python in environment.foreign_scripts.items()}


def _model(facts: Facts) -> dict[str, str]:
    model = facts.model
    fields = (
        "id",
        "found",
        "revision",
        "type",
        "processor_class",
        "image_processor_type",
        "weights_bytes",
        "remote_processor",
        "remote_config",
    )
    result = {name: _word(getattr(model, name)) for name in fields}
    result |= {name: file.problem or file.state for name, file in model.files.items()}
    return result | {"purpose": facts.purpose}


def _machine(facts: Facts) -> dict[str, str]:
    machine = facts.machine
    result = {}
    for name in machine.__struct_fields__:
        value = getattr(machine, name)
        if name.endswith("_bytes"):
            # Bytes in use differ from moment to moment; what people compare are tenths of GB.
            result[name.removesuffix("_bytes")] = "?" if value is None else f"{value / 1e9:.1f} GB"
        elif name != "processes":
            result[name] = _word(value)
    return result


def _hub(facts: Facts) -> dict[str, str]:
    hub = facts.hub
    if hub is None:
        return {}
    fields = ("endpoint", "token", "offline", "filesystem", "links", "locked_folder")
    result = {name: _word(getattr(hub, name)) for name in fields}
    result["free"] = "?" if hub.free_bytes is None else f"{hub.free_bytes / 1e9:.0f} GB"
    result["answer"] = hub.trouble.message if hub.trouble else _word(hub.remote and "there")
    return {**result, **hub.variables, **hub.lost_certificates}


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not known" if value is None else str(value)
