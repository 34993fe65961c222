"""What ``vlm-doctor fix`` says."""

from __future__ import annotations

from typing import Literal

from doctor.actions import AnyAction
from doctor.facts import Struct
from doctor.reports import Tool
from doctor.reports.check import CheckReport, PlanReport
from doctor.reports.smoke import SmokeReport

Outcome = Literal[
    "fixed",
    "nothing-to-do",
    "planned",
    "declined",
    "rolled-back",
    "refused",
    "interrupted",
    "failed",
]


class FixReport(Struct, frozen=True):
    """What ``vlm-doctor fix`` did; ``after`` and ``smoke`` are null where it did not get there.

    ``model_folder`` is the overlay to load the model from, where a model's file was to be repaired
    and its own folder may not be written to; else null.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["fix"]
    tool: Tool
    outcome: Outcome
    reason: str | None
    before: CheckReport | None
    plan: PlanReport
    applied: tuple[AnyAction, ...]
    smoke: SmokeReport | None
    real_smoke: SmokeReport | None
    after: CheckReport | None
    seconds: float
    model_folder: str | None = None


DOCUMENT = FixReport
