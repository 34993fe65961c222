"""The size at which a picture reaches the model."""

from __future__ import annotations

import math

from training.settings import MAX_PIXELS, MERGE, MIN_PIXELS, PATCH


def resized_size(width: int, height: int) -> tuple[int, int]:
    """Width and height in pixels at which a picture reaches the model.

    The family's rule: each side a multiple of 32, the area within MIN_PIXELS and MAX_PIXELS.
    """
    step = PATCH * MERGE
    new_width, new_height = round(width / step) * step, round(height / step) * step
    if new_width * new_height > MAX_PIXELS:
        shrink = math.sqrt(width * height / MAX_PIXELS)
        new_width = max(step, math.floor(width / shrink / step) * step)
        new_height = max(step, math.floor(height / shrink / step) * step)
    elif new_width * new_height < MIN_PIXELS:
        grow = math.sqrt(MIN_PIXELS / (width * height))
        new_width = math.ceil(width * grow / step) * step
        new_height = math.ceil(height * grow / step) * step
    return new_width, new_height
