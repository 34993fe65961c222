"""What the documents say of a report, whatever their format: pure, from the report alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from doctor.actions import Download, Install, Remove
from doctor.facts import Struct
from doctor.findings import Finding
from doctor.language import counted, text
from doctor.reports import LISTED, TargetReport
from doctor.reports.check import CheckReport, PlanReport, Proof
from doctor.reports.fix import FixReport
from doctor.reports.smoke import SmokeReport
from doctor.texts.check import PURPOSE_WORDS, VERDICT_WORDS
from doctor.texts.fix import FIX_WORDS


class Row(Struct, frozen=True):
    """A label and its value; ``code`` tells that the value is a name or a path."""

    label: str
    value: str
    code: bool = False


class Package(Struct, frozen=True):
    """A package: the version that is there, the one that the plan brings, what is wrong with it."""

    name: str
    version: str | None
    planned: str | None
    wrong: tuple[Finding, ...]
    changes: bool = False


def verdict_of(report: CheckReport) -> str:
    """The verdict in words."""
    return text(VERDICT_WORDS[report.verdict].format(PURPOSE_WORDS[report.purpose]))


def outcome_of(report: FixReport) -> str:
    """What became of a fix, in words."""
    return text(FIX_WORDS[report.outcome][1])


def heard(report: CheckReport) -> tuple[Finding, ...]:
    """The findings that are not ignored."""
    return tuple(finding for finding in report.findings if finding.ignored is None)


def proof_of(proof: Proof) -> str:
    """When a generation last proved the environment, and what has changed since."""
    if proof.unchanged:
        return text(f"Unchanged since a generation proved it on {proof.proven_at}.")
    changes = ", ".join(proof.changes)
    return text(f"Changed since a generation proved it on {proof.proven_at}: {changes}")


def target_of(target: TargetReport) -> list[Row]:
    """The environment."""
    return [
        Row(label=text("Python"), value=target.version),
        Row(label=text("at"), value=target.python, code=True),
        Row(label=text("found by"), value=target.found_by, code=True),
    ]


def where(report: CheckReport) -> list[Row]:
    """The environment, the machine and the model."""
    machine, model = report.machine, report.model
    rows = target_of(report.target)
    system = " ".join(part for part in (machine.os, machine.os_version, machine.arch) if part)
    rows.append(Row(label=text("system"), value=system))
    if machine.chip:
        rows.append(Row(label=text("chip"), value=machine.chip))
    if machine.ram_total_bytes is not None:
        memory = text(f"{size(machine.ram_total_bytes)} in all")
        if machine.ram_available_bytes is not None:
            memory += ", " + text(f"{size(machine.ram_available_bytes)} available")
        rows.append(Row(label=text("memory"), value=memory))
    if machine.swap_used_bytes is not None:
        rows.append(Row(label=text("swap in use"), value=size(machine.swap_used_bytes)))
    if machine.memory_pressure is not None:
        rows.append(Row(label=text("memory pressure"), value=text(machine.memory_pressure)))
    rows.append(Row(label=text("model"), value=model.id, code=True))
    rows.append(Row(label=text("model type"), value=model.type or text("type unknown")))
    here = text("here") if model.cached else text("not on this machine")
    if model.weights_bytes is not None:
        here += ", " + text(f"{size(model.weights_bytes)} of weights")
    rows.append(Row(label=text("its files"), value=here))
    return rows


def packages(report: CheckReport) -> list[Package]:
    """The packages that something is wrong with, and then the others that matter."""
    versions = dict(report.target.packages)
    planned = {
        change.name: change.after
        for action in report.plan.actions
        if isinstance(action, (Install, Remove))
        for change in action.changes
    }
    before = {
        change.name: change.before
        for action in report.plan.actions
        if isinstance(action, (Install, Remove))
        for change in action.changes
    }
    wrong: dict[str, list[Finding]] = {}
    known = {*versions, *planned, *LISTED}
    for finding in heard(report):
        for name in sorted(_blamed(finding, known)):
            wrong.setdefault(name, []).append(finding)
    listed = [*wrong, *(name for name in versions if name not in wrong)]
    return [
        Package(
            name=name,
            version=versions.get(name, before.get(name)),
            planned=planned.get(name),
            wrong=tuple(wrong.get(name, ())),
            changes=name in planned,
        )
        for name in listed
    ]


def _blamed(finding: Finding, known: set[str]) -> set[str]:
    """The packages that a finding is about: those that its evidence ends with, else its title.

    Evidence is of a package where its fact is the name, or ends with it (``installed numpy``); that
    another package requires something ends differently.
    """
    named = {_canonical(item.fact.rpartition(" ")[2]) for item in finding.evidence}
    blamed = named & known
    return blamed or ({_canonical(finding.title.partition(" ")[0])} & known)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def to_fetch(plan: PlanReport) -> list[str]:
    """Where a plan gets its packages from and what it costs, in sentences."""
    lines = [text(f"From {source.line()}") for source in plan.sources]
    lines += [
        text(f"Built from source, by its own programs: {build.line()}") for build in plan.builds
    ]
    if plan.download_bytes:
        lines.append(text(f"To fetch: {size(plan.download_bytes)} at most"))
    if plan.disk_bytes:
        lines.append(text(f"Disk, with the way back: {size(plan.disk_bytes)}"))
    return lines


def files_of(action: Download) -> list[Row]:
    """The files that a download brings, each with why and its size."""
    return [
        Row(label=file.path, value=f"{text(file.why)}, {_size_of(file.bytes)}")
        for file in action.fetched
    ]


def _size_of(number: int | None) -> str:
    return text("size unknown here") if number is None else size(number)


def left_of(action: Install) -> str | None:
    """What an install leaves to conda, in a sentence."""
    left = ", ".join(f"{change.name} {change.before}" for change in action.left)
    return text(f"left to conda: {left}") if left else None


def refused_of(plan: PlanReport) -> str | None:
    """Why ``fix`` will not carry out a plan, in a sentence."""
    if plan.refused is None:
        return None
    return f"{text('vlm-doctor fix will not do it:')} {text(plan.refused)}"


def watched(report: SmokeReport) -> list[Row]:
    """The peaks of a watched run by phases; of MLX's own account, and of the process."""
    phases = report.watch.phases if report.watch is not None else ()
    rows = []
    for phase in phases:
        peaks = []
        if phase.mlx_peak_bytes is not None:
            peaks.append(f"MLX {size(phase.mlx_peak_bytes)}")
        if phase.process_peak_bytes is not None:
            peaks.append(text(f"the process {size(phase.process_peak_bytes)}"))
        if peaks:
            rows.append(Row(label=text(phase.name), value=", ".join(peaks)))
    return rows


def way_of(finding: Finding) -> str | None:
    """How a finding is mended, in a sentence; null where nothing has to be done."""
    if finding.fix.id == "none":
        return None
    way = text("vlm-doctor fix will") if finding.fix.automatic else text("You can")
    return f"{way}: {text(finding.fix.summary)}"


def measured(report: SmokeReport) -> list[Row]:
    """What a generation was measured to take."""
    rows = []
    if report.tokens_per_second is not None:
        rows.append(Row(label=text("tokens a second"), value=f"{report.tokens_per_second:.1f}"))
    if report.generation_tokens is not None:
        rows.append(Row(label=text("tokens"), value=str(report.generation_tokens)))
    if report.time_to_first_token_seconds is not None:
        first = seconds(report.time_to_first_token_seconds)
        rows.append(Row(label=text("first token after"), value=first))
    if report.peak_memory_bytes is not None:
        rows.append(Row(label=text("peak memory of MLX"), value=size(report.peak_memory_bytes)))
    if report.ram_delta_bytes is not None:
        rows.append(Row(label=text("change of RAM in use"), value=signed(report.ram_delta_bytes)))
    if report.swap_delta_bytes is not None:
        rows.append(Row(label=text("change of swap in use"), value=signed(report.swap_delta_bytes)))
    if report.pressure_after is not None:
        before = text(report.pressure_before) if report.pressure_before else "?"
        change = f"{before} → {text(report.pressure_after)}"
        rows.append(Row(label=text("memory pressure"), value=change))
    return rows


def counts(findings: Sequence[Finding]) -> str:
    """How many errors, warnings and notes, in words."""
    numbers = {
        severity: sum(finding.severity == severity for finding in findings)
        for severity in ("error", "warning", "note")
    }
    words = [
        counted(numbers["error"], "{} error", "{} errors"),
        counted(numbers["warning"], "{} warning", "{} warnings"),
        counted(numbers["note"], "{} note", "{} notes"),
    ]
    shown = [text(word) for word, number in zip(words, numbers.values(), strict=True) if number]
    return ", ".join(shown) or text("no findings")


def size(number: int) -> str:
    """Bytes for people, in decimal units as macOS shows them."""
    if abs(number) >= 1e9:
        return text(f"{number / 1e9:.2f} GB")
    return text(f"{number / 1e6:.0f} MB")


def signed(number: int) -> str:
    """A difference in bytes for people."""
    return ("+" if number > 0 else "") + size(number)


def seconds(number: float) -> str:
    """Seconds for people."""
    return text(f"{number:.2f} s" if number < 10 else f"{number:.0f} s")
