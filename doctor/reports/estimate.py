"""What ``vlm-doctor estimate`` says."""

from __future__ import annotations

from typing import Literal

from doctor.estimate import Estimate, Job, Judgement, Phases, Room
from doctor.estimate.judgement import Criterion
from doctor.estimate.of_facts import library_of
from doctor.facts import Facts, Struct
from doctor.reports import SCHEMA, Tool


class JobReport(Struct, frozen=True):
    """What was estimated: pictures as (width, height) in pixels, tokens of text and of answer.

    ``prefill_step_size`` is how many tokens of a prompt are taken in at a time.
    """

    images: tuple[tuple[int, int], ...]
    prompt_tokens: int
    max_tokens: int
    kv_bits: int | None
    prefill_step_size: int = 2_048


class EstimateReport(Struct, frozen=True):
    """The prediction and its judgement; sizes in bytes, null where something is not known.

    ``peak_bytes`` is what MLX will count at most, between ``low_bytes`` and ``high_bytes`` in nine
    of ten runs. ``tokens_per_second`` is the speed to expect on this machine, paging included.
    ``exact`` is false where the architecture is only known in general. ``room`` is the judgement,
    ``close`` what would have to be closed for it to fit, ``ready`` the field report's criteria.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["estimate"]
    tool: Tool
    model: str
    type: str | None
    job: JobReport
    packages: dict[str, str | None]
    backend: str
    weights_bytes: int
    peak_bytes: int
    low_bytes: int
    high_bytes: int
    phases: Phases
    vision_tokens: int
    prompt_tokens: int
    kv_cache_bytes: int
    tokens_per_second: float | None
    exact: bool
    notes: tuple[str, ...]
    room: Room
    need_bytes: int
    limit_bytes: int | None
    limit_source: str | None
    close: tuple[str, ...]
    swap_bytes: int | None
    ready: tuple[Criterion, ...]
    seconds: float


DOCUMENT = EstimateReport


def estimate_report(
    facts: Facts, job: Job, told: Estimate, verdict: Judgement, seconds: float
) -> EstimateReport:
    """The report of an estimate on the machine of the facts."""
    library = library_of(facts)
    return EstimateReport(
        schema=SCHEMA,
        command="estimate",
        tool=Tool(),
        model=facts.model.id,
        type=facts.model.type,
        job=JobReport(
            images=job.images,
            prompt_tokens=job.prompt_tokens,
            max_tokens=job.max_tokens,
            kv_bits=job.kv_bits,
            prefill_step_size=job.prefill_step_size,
        ),
        packages={"mlx": library.mlx, "mlx-vlm": library.mlx_vlm},
        backend=library.backend,
        weights_bytes=told.weights_bytes,
        peak_bytes=told.peak_bytes,
        low_bytes=told.low_bytes,
        high_bytes=told.high_bytes,
        phases=told.phases,
        vision_tokens=told.vision_tokens,
        prompt_tokens=told.prompt_tokens,
        kv_cache_bytes=told.kv_cache_bytes,
        tokens_per_second=verdict.tokens_per_second,
        exact=told.exact,
        notes=told.notes,
        room=verdict.room,
        need_bytes=verdict.need_bytes,
        limit_bytes=verdict.limit_bytes,
        limit_source=verdict.limit_source,
        close=verdict.close,
        swap_bytes=verdict.swap_bytes,
        ready=verdict.ready,
        seconds=round(seconds, 3),
    )
