"""What ``vlm-doctor models`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.reports import Tool

# A model has room, or only if something is closed, or waits for the disk, or cannot be loaded.
Room = Literal["fits", "fits-if-closed", "pages", "will-not-run"]


class ModelRow(Struct, frozen=True):
    """One model on this machine. Sizes in bytes, null where they are not known.

    ``known`` tells whether the figures were computed for this machine or measured on another.
    ``largest_picture`` is the side of a square in pixels, ``longest_context`` counts the tokens of
    the text; null where nothing fits, or where it is not known. ``recipe`` runs it.
    """

    id: str
    type: str | None
    known: Literal["computed", "measured"]
    room: Room
    weights_bytes: int | None
    peak_bytes: int
    tokens_per_second: float | None
    largest_picture: int | None
    longest_context: int | None
    recipe: str | None
    note: str


class ModelsReport(Struct, frozen=True):
    """The models that people run, those that fit first. ``plot`` is the file that was written."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["models"]
    tool: Tool
    chip: str | None
    ram_total_bytes: int | None
    ram_available_bytes: int | None
    gpu_budget_bytes: int | None
    gpu_budget_source: str | None
    models: tuple[ModelRow, ...]
    sources: dict[str, str]
    plot: str | None
    seconds: float


DOCUMENT = ModelsReport
