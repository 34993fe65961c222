"""What the estimate takes and gives. Sizes are bytes, pictures (width, height) in pixels."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct, WeightSizes

__all__ = [
    "Absurd",
    "Backend",
    "Estimate",
    "Job",
    "Library",
    "NotEstimable",
    "Phases",
    "WeightSizes",
]

# "metal" is a Mac's GPU, "cuda" a Linux one's, "cpu" MLX's CPU backend: it fuses no attention.
Backend = Literal["metal", "cuda", "cpu"]


class NotEstimable(ValueError):
    """The model cannot be estimated; its text says why, in one line."""


class Absurd(NotEstimable):
    """The model's config has a number that no model has, and that no machine could hold."""


class Job(Struct, frozen=True):
    """What is to be generated.

    ``images`` are (width, height) in pixels; ``prompt_tokens`` counts the text without the
    pictures' tokens; ``kv_bits`` is null for a KV cache that is not quantised, which otherwise is
    one from ``quantized_kv_start`` tokens on (by default mlx-vlm's own 5,000). Prompts are cut into
    chunks of ``prefill_step_size`` tokens, where they are cut (mlx-vlm's own 2,048).
    """

    images: tuple[tuple[int, int], ...] = ((1024, 768),)
    prompt_tokens: int = 64
    max_tokens: int = 256
    kv_bits: int | None = None
    quantized_kv_start: int = 5_000
    prefill_step_size: int = 2_048


class Library(Struct, frozen=True):
    """The installed libraries: releases as text (null: taken as today's) and MLX's backend."""

    mlx_vlm: str | None = None
    mlx: str | None = None
    backend: Backend = "metal"


class Phases(Struct, frozen=True):
    """The peak of each phase in bytes, the weights included."""

    load: int
    vision: int
    prefill: int
    decode: int


class Estimate(Struct, frozen=True):
    """The prediction.

    ``peak_bytes`` is the maximum over the phases as MLX counts (``get_peak_memory``), between
    ``low_bytes`` and ``high_bytes`` in nine of ten runs. ``vision_tokens`` are the pictures' own
    tokens. ``tokens_per_second`` is null where the chip is not known. ``exact`` is false where the
    architecture is known only in general. ``notes`` say what it rests on and what was not known.
    """

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
