"""Tokens a second, from what each token reads and how fast the chip's memory is."""

from __future__ import annotations

from doctor.estimate.architecture import Text
from doctor.estimate.terms import Weights


def tokens_per_second(
    text: Text, weights: Weights, cache_bytes: float, chip: str | None
) -> float | None:
    """The speed of decoding; null where the chip is not known."""
    return None
