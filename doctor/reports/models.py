"""What ``vlm-doctor models`` says."""

from __future__ import annotations

from typing import Literal

from doctor.estimate.judgement import Room
from doctor.facts import Struct
from doctor.memory.popular import Measured
from doctor.reports import Tool
from doctor.reports.pull import PullReport


class ModelRow(Struct, frozen=True):
    """One model on this machine. Sizes in bytes, null where they are not known.

    The peak is predicted, and lies between ``low_bytes`` and ``high_bytes`` in nine of ten runs.
    ``exact`` is false where the architecture is known only in general; ``architecture`` says where
    it is from. ``largest_picture`` is the side of a square in pixels, ``longest_context`` counts
    the tokens of the text: what does not wait for the disk, null where all does. ``recipe`` runs
    it. ``measured`` is what runs on another machine came to.
    """

    id: str
    type: str | None
    room: Room
    weights_bytes: int
    peak_bytes: int
    low_bytes: int
    high_bytes: int
    exact: bool
    tokens_per_second: float | None
    largest_picture: int | None
    longest_context: int | None
    recipe: str | None
    architecture: str
    measured: Measured | None


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
# With ``--pull``.
OTHER_DOCUMENT = PullReport
