"""What ``vlm-doctor undo`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.reports import Tool


class UndoEntry(Struct, frozen=True):
    """One fix that can be taken back, and the space that this costs.

    ``kept_until`` is the day after which that space is given back; ``problem`` says why this one
    cannot be taken back after all.
    """

    id: str
    finished_at: str
    summary: str
    bytes: int
    kept_until: str | None = None
    problem: str | None = None


class UndoReport(Struct, frozen=True):
    """What ``vlm-doctor undo`` did, and what can still be taken back in the environment."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["undo"]
    tool: Tool
    outcome: Literal["undone", "recovered", "nothing-to-undo", "listed", "cleared"]
    entries: tuple[UndoEntry, ...]
    restored: int
    seconds: float
    environment: str | None = None


DOCUMENT = UndoReport
