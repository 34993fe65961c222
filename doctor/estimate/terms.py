"""What the estimate takes and gives. Sizes are bytes, pictures (width, height) in pixels."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct

# "metal" is a Mac's GPU, "cuda" a Linux one's, "cpu" MLX's CPU backend: it fuses no attention.
Backend = Literal["metal", "cuda", "cpu"]


class NotEstimable(ValueError):
    """The model cannot be estimated; its text says why, in one line."""


class Weights(Struct, frozen=True):
    """A model's weights as they will lie in memory, in bytes.

    ``vision`` is the part of the vision tower and projector, ``embedding`` the table of the words,
    ``experts`` those of a mixture of experts, ``head`` the
    words' scores, all within ``total``; ``largest`` is one array.
    ``width`` is the size of one activation (2 for bfloat16 and float16, 4 for float32); ``bits``
    those of one weight where they are quantised, else null.
    ``source`` says where that is from: ``headers``, ``config`` or ``card``. ``problems`` are
    what is wrong with the files, in words.
    """

    total: int
    vision: int = 0
    embedding: int = 0
    experts: int = 0
    head: int = 0
    largest: int = 0
    width: int = 2
    bits: float | None = None
    source: str = "headers"
    problems: tuple[str, ...] = ()


class Job(Struct, frozen=True):
    """What is to be generated.

    ``images`` are (width, height) in pixels; ``prompt_tokens`` counts the text without the
    pictures' tokens; ``kv_bits`` is null for a KV cache that is not quantised.
    """

    images: tuple[tuple[int, int], ...] = ((1024, 768),)
    prompt_tokens: int = 64
    max_tokens: int = 256
    kv_bits: int | None = None


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
