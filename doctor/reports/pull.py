"""What ``vlm-doctor models --pull`` says."""

from __future__ import annotations

from typing import Literal

from doctor.actions import Download
from doctor.facts import Struct
from doctor.findings import Finding, NotChecked
from doctor.reports import TargetReport, Tool
from doctor.reports.check import ModelReport
from doctor.reports.smoke import SmokeReport

PullOutcome = Literal[
    "pulled", "nothing-to-do", "planned", "declined", "not-proven", "failed", "interrupted"
]


class PullReport(Struct, frozen=True):
    """What pulling a model did.

    ``findings`` are what would keep the model from running well here, told before it is fetched.
    ``download`` is null where nothing had to be fetched; ``free_bytes`` is the space on the cache's
    disk before, ``freed_bytes`` what old revisions gave (null: none were to go). ``not-proven`` is
    fetched and verified, and the generation did not pass; ``failed`` is not fetched whole: what has
    come is kept, and a repetition goes on from there.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["models"]
    tool: Tool
    target: TargetReport
    outcome: PullOutcome
    reason: str | None
    model: ModelReport
    findings: tuple[Finding, ...]
    not_checked: tuple[NotChecked, ...]
    download: Download | None
    free_bytes: int | None
    smoke: SmokeReport | None
    freed_bytes: int | None
    seconds: float
