"""What a check may say: findings, and what it could not look at."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Literal

from doctor.facts import Struct


class Severity(str, enum.Enum):
    """How bad a finding is.

    ``error``: a generation will not run, or answers wrongly. ``warning``: it runs, but at risk or
    below what its user would accept. ``note``: worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


Verdict = Literal["broken", "unknown", "degraded", "healthy"]


class Evidence(Struct, frozen=True):
    """One thing that was seen: what it is, its value, and the file or command that told it."""

    fact: str
    value: str
    source: str


class Fix(Struct, frozen=True):
    """What would be done about a finding. ``automatic`` fixes are ``vlm-doctor fix``'s to apply."""

    id: str
    summary: str
    automatic: bool


class Finding(Struct, frozen=True):
    """Something wrong, or worth knowing: what, why, on what evidence, and what helps."""

    code: str
    severity: Severity
    title: str
    cause: str
    evidence: tuple[Evidence, ...]
    fix: Fix
    check: str = ""
    incident: str | None = None
    ignored: str | None = None


class NotChecked(Struct, frozen=True):
    """Something that could not be looked at, and why: neither a finding nor silence.

    ``decides`` tells whether the prediction needs it: then the verdict cannot be healthy.
    """

    reason: str
    check: str = ""
    decides: bool = True


CheckResult = Iterable[Finding | NotChecked]


def verdict(findings: Iterable[Finding], not_checked: Iterable[NotChecked]) -> Verdict:
    """The prediction about a run of this model with pictures in this environment."""
    severities = {finding.severity for finding in findings if finding.ignored is None}
    if Severity.ERROR in severities:
        return "broken"
    if any(gap.decides for gap in not_checked):
        return "unknown"
    return "degraded" if Severity.WARNING in severities else "healthy"
