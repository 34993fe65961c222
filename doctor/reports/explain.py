"""What ``vlm-doctor explain`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.findings import Severity
from doctor.known.incidents import Incident, Mark
from doctor.reports import Tool


class IncidentReport(Struct, frozen=True):
    """A known incident, and where a pasted text shows it (null where none was asked about).

    ``codes`` are the findings that report it. ``mark`` tells how it was verified, ``sources`` are
    issues as ``owner/repository#number``, ``line`` counts from 1.
    """

    id: str
    title: str
    severity: Severity
    cause: str
    remedy: str
    codes: tuple[str, ...]
    mark: Mark
    sources: tuple[str, ...]
    seen: str | None = None
    line: int | None = None


class ErrorSeen(Struct, frozen=True):
    """An exception, or a crash, that the text shows: its type, message, and line (from 1)."""

    type: str
    message: str
    line: int


class ExplainReport(Struct, frozen=True):
    """The page of one code or incident, or what a pasted error is.

    Of a pasted error ``incidents`` are those that it shows, the root first, and ``errors`` the
    exceptions that were recognised in it, the last ones in their order; ``code`` and ``check`` are
    those of the first incident, null where there is none. ``cut`` tells that only the end of a very
    long text was looked at.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["explain"]
    tool: Tool
    code: str | None
    check: str | None
    page: str
    incidents: tuple[IncidentReport, ...] = ()
    errors: tuple[ErrorSeen, ...] = ()
    cut: bool = False


DOCUMENT = ExplainReport


def incident_report(
    incident: Incident, seen: str | None = None, line: int | None = None
) -> IncidentReport:
    """A known incident as reports show it."""
    return IncidentReport(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        cause=incident.cause,
        remedy=incident.remedy,
        codes=incident.codes,
        mark=incident.mark,
        sources=incident.sources,
        seen=seen,
        line=line,
    )
