"""What ``vlm-doctor smoke`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Pressure, Struct
from doctor.reports import TargetReport, Tool

StageName = Literal["import", "load", "see", "generate"]


class Stage(Struct, frozen=True):
    """One stage of a smoke generation."""

    name: StageName
    passed: bool
    seconds: float | None
    error: str | None
    traceback: str | None = None


class SmokeModel(Struct, frozen=True):
    """The model that generated: a stand-in of the doctor's own, or a real one."""

    id: str
    stand_in: bool


class Answer(Struct, frozen=True):
    """One question about a picture, the expected answer (null: any), and what was answered."""

    prompt: str | None
    expected: str | None
    answer: str | None


class SmokeReport(Struct, frozen=True):
    """What a smoke generation did. Sizes in bytes, times in seconds, null where not measured.

    ``prompt``, ``answer`` and ``expected`` are of the first wrong answer, else of the first.
    ``understood`` tells whether the picture was; null where nothing was expected or it did not get
    so far. ``image`` is the user's picture; null where it was one of the doctor's.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["smoke"]
    tool: Tool
    model: SmokeModel
    passed: bool
    stages: tuple[Stage, ...]
    load_seconds: float | None
    generation_tokens: int | None
    tokens_per_second: float | None
    time_to_first_token_seconds: float | None
    peak_memory_bytes: int | None
    ram_delta_bytes: int | None
    swap_delta_bytes: int | None
    pressure_before: Pressure | None
    pressure_after: Pressure | None
    prompt: str | None
    answer: str | None
    expected: str | None
    seconds: float
    target: TargetReport | None = None
    answers: tuple[Answer, ...] = ()
    understood: bool | None = None
    image: str | None = None


DOCUMENT = SmokeReport
