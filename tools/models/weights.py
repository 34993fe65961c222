"""Measure what MLX holds of converted models after loading; runs in the target.

``python weights.py <folder> <kinds.json> [way …]`` makes a small model of each kind with weights of
chance, converts it as ``mlx_vlm.convert`` does in every way below, loads each result, and prints
one JSON object a line: the model's folder, how it was converted, and MLX's count in bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

import whole

WAYS = {
    "16-bit": {"dtype": "bfloat16"},
    **{f"affine-{bits}": {"quantize": True, "q_bits": bits} for bits in (2, 3, 4, 5, 6, 8)},
    "affine-4-group-32": {"quantize": True, "q_bits": 4, "q_group_size": 32},
    "mxfp4": {"quantize": True, "q_bits": 4, "q_group_size": 32, "q_mode": "mxfp4"},
    "mxfp8": {"quantize": True, "q_bits": 8, "q_group_size": 32, "q_mode": "mxfp8"},
    "nvfp4": {"quantize": True, "q_bits": 4, "q_group_size": 16, "q_mode": "nvfp4"},
    "mixed_3_6": {"quantize": True, "quant_predicate": "mixed_3_6"},
    "mixed_4_8": {"quantize": True, "quant_predicate": "mixed_4_8"},
}


def held(folder: str) -> int:
    """What MLX holds of a model after loading, in bytes."""
    import mlx.core as mx
    import mlx_vlm

    before = mx.get_active_memory()
    model, _ = mlx_vlm.load(folder)
    mx.eval(model.parameters())
    return mx.get_active_memory() - before


def converted(source: str, target: str, way: dict) -> None:
    """Convert a model; what the converter says goes to standard error."""
    from mlx_vlm.convert import convert

    with contextlib.redirect_stdout(sys.stderr):
        convert(source, target, **way)


def main() -> None:
    with open(sys.argv[2], encoding="utf-8") as file:
        kinds = json.load(file)
    for kind, sizes in kinds.items():
        source = os.path.join(sys.argv[1], kind)
        whole.make(source, kind, sizes)
        for name in sys.argv[3:] or WAYS:
            way = WAYS[name]
            target = os.path.join(sys.argv[1], f"{kind}-{name}")
            result = {"kind": kind, "way": name, "folder": target}
            try:
                converted(source, target, way)
                result["held"] = held(target)
            except Exception as error:
                result["error"] = whole.measure.last_line(error)
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
