"""What ``vlm-doctor report`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.findings import Severity, Verdict
from doctor.reports import Tool


class MachineRow(Struct, frozen=True):
    """One machine of a fleet, by its bundle's file.

    ``errors``, ``warnings`` and ``notes`` are codes. ``fix`` is what ``vlm-doctor fix`` would do
    about all errors, null where there are none or where it would do nothing, and ``refused`` then
    says why.
    """

    file: str
    verdict: Verdict
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    fix: str | None
    refused: str | None
    os: str
    arch: str
    ram_total_bytes: int | None
    python: str
    mlx_vlm: str | None
    model: str
    taken_at: str


class Unread(Struct, frozen=True):
    """A file in the folder that is no bundle, and why."""

    file: str
    reason: str


class FleetFinding(Struct, frozen=True):
    """A finding and how many machines have it."""

    code: str
    severity: Severity
    machines: int


class FleetFix(Struct, frozen=True):
    """A fix and how many machines it would heal: it is planned for all of their errors."""

    fix: str
    heals: int


class FleetReport(Struct, frozen=True):
    """A table of machines. ``verdicts`` counts them."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["report"]
    tool: Tool
    folder: str
    verdicts: dict[Verdict, int]
    findings: tuple[FleetFinding, ...]
    fixes: tuple[FleetFix, ...]
    machines: tuple[MachineRow, ...]
    unread: tuple[Unread, ...]
    seconds: float


DOCUMENT = FleetReport
