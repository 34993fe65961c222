"""Tokens a second, from what each token reads and how fast the chip's memory is.

A token reads the language model's weights once (of experts, those that it is sent to) and its
cache; that takes 86 % of the memory's speed, and each layer some microseconds beside it. Both
numbers were fitted to ``reference/measured_peaks.tsv`` (M5 Max), on the models that
``tools/estimate_accuracy`` does not set aside.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from doctor.estimate.architecture import Text
from doctor.estimate.terms import WeightSizes

SHARE_OF_BANDWIDTH = 0.86
SECONDS_A_LAYER = 72e-6
# Experts have to be chosen and gathered, which costs their layers so much more.
SECONDS_AN_EXPERT_LAYER = 100e-6
# Weights that are copied to float32 are read, written, and read again at twice the size.
WIDENED = 5
# Quantised weights are not copied, but their kernels for float32 are that much slower.
WIDENED_QUANTISED = 1.6


@functools.cache
def bandwidth(chip: str) -> float | None:
    """Bytes per second of a chip's memory; null where it is not known."""
    table = json.loads((Path(__file__).parent / "chips.json").read_bytes())
    speed = table["gigabytes_per_second"].get(chip)
    return speed * 1e9 if speed else None


def tokens_per_second(
    text: Text, weights: WeightSizes, cache_bytes: float, chip: str | None, widened: bool
) -> float | None:
    """The speed of decoding where everything is in memory; null where the chip is not known."""
    speed = bandwidth(chip) if chip else None
    if speed is None:
        return None
    used = text.experts_used / text.experts if text.experts else 0
    read = weights.total - weights.vision - weights.experts * (1 - used)
    if not text.tied:
        read -= weights.embedding
    if widened:
        read *= WIDENED if weights.bits is None else WIDENED_QUANTISED
    seconds = (max(read, 0) + cache_bytes) / (speed * SHARE_OF_BANDWIDTH)
    seconds += text.layers * SECONDS_A_LAYER
    if text.experts:
        seconds += (text.layers - text.dense_layers) * SECONDS_AN_EXPERT_LAYER
    return round(1 / seconds, 1)
