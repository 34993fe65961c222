"""Weights from the headers of safetensors files, which say each array's type and shape.

The sum over the headers is what MLX holds after loading, within a tenth of a percent; of the index
beside them (``model.safetensors.index.json``) only that counts which is not there: some published
ones declare three times what is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from doctor.estimate.terms import WeightSizes
from doctor.facts import Weights, WeightsFile
from doctor.tensors import BITS

VISION_WORDS = (
    "vision", "visual", "vit.", "image_newline", "projector", "connector", "vision_tower",
    "mm_", "aligner", "merger", "embed_vision", "image_embed", "img_processor", "resampler",
)  # fmt: skip


def weights_of_headers(weights: Weights) -> WeightSizes | None:
    """The weights of the files whose headers could be read; null where there is none.

    What is wrong with single files is in ``problems``.
    """
    if weights.too_many is not None:
        return None
    files = [file for file in weights.files if "/" not in file.name and file.kind != "entry"]
    arrays = [array for file in files for array in _arrays(file)]
    problems = [f"{file.name}: {file.problem}" for file in weights.files if file.problem]
    if weights.index is not None and weights.index.absent:
        problems.append(f"the index names {len(weights.index.absent)} files that are not there")
    return summed(arrays, tuple(problems)) if arrays else None


def _arrays(file: WeightsFile) -> Iterator[tuple[str, int, int, int]]:
    for group in file.groups:
        bits = BITS.get(group.dtype, 0)
        width = bits // 8 if "F" in group.dtype else 0
        yield group.pattern, math.prod(group.shape) * bits // 8, width, group.count


def summed(
    arrays: Iterable[tuple[str, int, int, int]], problems: tuple[str, ...] = ()
) -> WeightSizes:
    """Weights from (name, bytes, width of an element, how many there are) of arrays that are alike.

    The width is that of a floating-point element, else 0.
    """
    total = vision = embedding = experts = head = largest = 0
    widths: dict[int, int] = {}
    vision_quantised = False
    for name, one, width, count in arrays:
        size = one * count
        total += size
        largest = max(largest, one)
        if any(part in name for part in VISION_WORDS):
            vision += size
            vision_quantised = vision_quantised or name.endswith(".scales")
        elif "lm_head." in name:
            head += size
        elif "embed_tokens." in name or "word_embeddings." in name or "wte." in name:
            embedding += size
        elif ".experts." in name or "switch_mlp." in name or "experts_" in name:
            experts += size
        if width in (2, 4):
            widths[width] = widths.get(width, 0) + size
    return WeightSizes(
        total=total,
        vision=vision,
        embedding=embedding,
        experts=experts,
        head=head,
        largest=largest,
        width=max(widths, key=lambda width: widths[width], default=2),
        vision_quantised=vision_quantised,
        source="headers",
        problems=problems,
    )
