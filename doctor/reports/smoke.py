"""What ``vlm-doctor smoke`` says."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from doctor.estimate.judgement import CriterionName
from doctor.facts import Pressure, Struct
from doctor.memory.device import Device
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


PhaseName = Literal["import", "load", "see", "vision", "prefill", "decode"]
PHASES: tuple[PhaseName, ...] = ("import", "load", "see", "vision", "prefill", "decode")

# What swap did during a run: nothing to speak of, what the field report tolerates, or more.
SwapVerdict = Literal["none", "tolerable", "paging"]


class PhaseMemory(Struct, frozen=True):
    """One phase of a watched run; sizes in bytes, null where they are not known.

    ``see`` is the processor's, ``vision`` the picture's way through the model's tower: it is part
    of ``prefill`` where mlx-vlm does not tell them apart. ``mlx_peak_bytes`` is MLX's own account
    of the phase, ``process_peak_bytes`` what the whole process held in the samples.
    """

    name: PhaseName
    seconds: float
    samples: int
    mlx_peak_bytes: int | None
    process_peak_bytes: int | None
    available_least_bytes: int | None
    swap_used_most_bytes: int | None
    pressure_worst: Pressure | None


class WatchReport(Struct, frozen=True):
    """What was seen while a run went on; sizes in bytes, null where they are not known.

    ``peak_phase`` set the peak. ``swap_before_bytes`` is context; ``swap`` judges what grew and
    what was swapped out during the run.
    """

    interval_seconds: float
    samples: int
    phases: tuple[PhaseMemory, ...]
    peak_phase: PhaseName | None
    process_peak_bytes: int | None
    swap_before_bytes: int | None
    swap_growth_bytes: int | None
    swapped_in_bytes: int | None
    swapped_out_bytes: int | None
    swap: SwapVerdict | None
    pressure_worst: Pressure | None


class Ready(Struct, frozen=True):
    """One of the field report's criteria for production, before a run and after it.

    ``met`` judges what was measured; null where it was not. Swap is what was predicted to be in
    use, and what grew during the run.
    """

    name: CriterionName
    wanted: str
    predicted: str | None
    measured: str | None
    met: bool | None


class SmokeReport(Struct, frozen=True):
    """What a smoke generation did. Sizes in bytes, times in seconds, null where not measured.

    ``prompt``, ``answer`` and ``expected`` are of the first wrong answer, else of the first.
    ``understood`` tells whether the picture was; null where nothing was expected or it did not get
    so far. ``image`` is the user's picture; null where it was one of the doctor's. ``device`` is
    null where the run did not get to ask; ``watch`` where nobody watched. ``settings`` are the
    arguments that mlx-vlm's generation was given, ``prompt_tokens`` what the first question and its
    picture came to. ``ready`` is empty where a stand-in generated, or nothing did.
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
    prompt_tokens: int | None = None
    device: Device | None = None
    watch: WatchReport | None = None
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    ready: tuple[Ready, ...] = ()


DOCUMENT = SmokeReport
