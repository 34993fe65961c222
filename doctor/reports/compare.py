"""What ``vlm-doctor compare`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Purpose, Struct
from doctor.findings import Finding, Severity, Verdict
from doctor.reports import Tool

GroupName = Literal["packages", "python", "files", "model", "variables", "machine", "hub"]


class Side(Struct, frozen=True):
    """One of the two: what the checks say of it, and when, by which doctor, of what it was taken.

    ``file`` is its file.
    """

    verdict: Verdict
    taken_at: str
    tool: str
    python: str
    model: str
    purpose: Purpose
    file: str = ""


class Difference(Struct, frozen=True):
    """One thing that differs; null where a side has none.

    ``findings`` are the codes of findings that only one side has and that name it.
    """

    group: GroupName
    name: str
    a: str | None
    b: str | None
    findings: tuple[str, ...] = ()


class Swapped(Struct, frozen=True):
    """What the checks say of one side with a group of the other's.

    ``gone`` and ``new`` are the findings that this takes away and brings, by code.
    """

    verdict: Verdict
    gone: dict[str, Severity]
    new: dict[str, Severity]
    not_checked: tuple[str, ...] = ()


class Group(Struct, frozen=True):
    """A group that differs, and whether it decides: alone, it changes a verdict or the errors.

    ``exact`` is false where another group differs too through which this one was seen.
    """

    name: GroupName
    differences: int
    exact: bool
    decides: bool
    a_with_b: Swapped
    b_with_a: Swapped


class CompareReport(Struct, frozen=True):
    """Two sets of facts side by side. ``both`` are the codes of findings that both have."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["compare"]
    tool: Tool
    a: Side
    b: Side
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    only_a: tuple[Finding, ...]
    only_b: tuple[Finding, ...]
    both: tuple[str, ...]
    seconds: float


DOCUMENT = CompareReport
