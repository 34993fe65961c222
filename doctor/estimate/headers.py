"""Weights from the headers of safetensors files, which say each array's place and size.

The format: eight bytes with the header's length, little-endian, the header as JSON, the arrays
(safetensors' own documentation). The sum over the headers is what MLX holds after loading, within
a tenth of a percent; the index beside them (``model.safetensors.index.json``) is only read to see
whether a file that it names is missing: some published ones declare three times what is there.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from doctor.estimate.terms import NotEstimable, WeightSizes

# safetensors refuses headers above 100 MB; the largest of a real model has a few megabytes.
MOST_HEADER_BYTES = 25_000_000
MOST_FILES = 1_000
INDEX = "model.safetensors.index.json"
WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2}
VISION_WORDS = (
    "vision", "visual", "vit.", "image_newline", "projector", "connector", "vision_tower",
    "mm_", "aligner", "merger", "embed_vision", "image_embed", "img_processor", "resampler",
)  # fmt: skip


def read_weights(folder: Path) -> WeightSizes:
    """The weights of the safetensors files in a folder.

    Raises ``NotEstimable`` where there is none that can be read. What is wrong with single files is
    in ``problems``.
    """
    paths = sorted(folder.glob("*.safetensors"))
    problems: list[str] = []
    arrays: list[tuple[str, int, int]] = []
    for path in paths[:MOST_FILES]:
        try:
            found, problem = _arrays(path)
            arrays += found
            problems += [f"{path.name}: {problem}"] if problem else []
        except (OSError, NotEstimable) as error:
            reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
            problems.append(f"{path.name}: {reason}")
    problems += _index_problems(folder, {path.name for path in paths})
    if not arrays:
        raise NotEstimable(problems[0] if problems else "there are no safetensors files")
    return summed(arrays, tuple(problems))


def summed(arrays: Iterable[tuple[str, int, int]], problems: tuple[str, ...] = ()) -> WeightSizes:
    """Weights from (name, bytes, width of an element) of each array."""
    total = vision = embedding = experts = head = largest = 0
    widths: dict[int, int] = {}
    vision_quantised = False
    for name, size, width in arrays:
        total += size
        largest = max(largest, size)
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


def _arrays(path: Path) -> tuple[list[tuple[str, int, int]], str | None]:
    """Each array of a file: name, bytes, and the width of a floating-point element (else 0).

    With them what is wrong with the file although its header could be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise NotEstimable("not a regular file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > status.st_size - 8:
            raise NotEstimable("its header claims to be longer than the file")
        if length > MOST_HEADER_BYTES:
            raise NotEstimable(f"its header is larger than {MOST_HEADER_BYTES // 10**6} MB")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise NotEstimable("its header is no JSON") from None
    if not isinstance(header, dict):
        raise NotEstimable("its header is no JSON object")
    header.pop("__metadata__", None)
    arrays = [_array(name, entry) for name, entry in header.items()]
    promised = max((end for *_, end in arrays), default=0)
    found = [(name, size, width) for name, size, width, _ in arrays]
    short = 8 + length + promised > status.st_size
    return found, "the file ends before its arrays do" if short else None


def _array(name: str, entry: Any) -> tuple[str, int, int, int]:
    if not isinstance(entry, dict):
        raise NotEstimable("its header describes an array that is no object")
    kind, offsets = entry.get("dtype"), entry.get("data_offsets")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or any(type(item) is not int for item in offsets)
        or not 0 <= offsets[0] <= offsets[1]
    ):
        raise NotEstimable("its header gives an array no place")
    shape = entry.get("shape")
    if not isinstance(shape, list) or any(type(item) is not int or item < 0 for item in shape):
        raise NotEstimable("its header gives an array no shape")
    size = offsets[1] - offsets[0]
    width = WIDTHS.get(kind if isinstance(kind, str) else "", 1)
    if width > 1 and math.prod(shape[:8]) * width != size and len(shape) <= 8:
        raise NotEstimable("its header contradicts itself about an array's size")
    floating = width if isinstance(kind, str) and "F" in kind else 0
    return name, size, floating, offsets[1]


def _index_problems(folder: Path, there: set[str]) -> list[str]:
    """Files that the index names and that are not there; nothing where it cannot be read."""
    path = folder / INDEX
    try:
        if not path.is_file() or path.stat().st_size > MOST_HEADER_BYTES:
            return []
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    named = content.get("weight_map") if isinstance(content, Mapping) else None
    files = set(named.values()) if isinstance(named, dict) and _all_text(named) else set()
    missing = sorted(files - there)
    return [f"{INDEX} names {len(missing)} files that are not there"] if missing else []


def _all_text(named: Mapping[str, object]) -> bool:
    return all(isinstance(value, str) for value in named.values())
