"""The estimate against ``tests/measured/cpu.json``: small models on MLX's CPU backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doctor.estimate import Job, Library, estimate
from doctor.estimate.architecture import read
from doctor.estimate.headers import summed
from doctor.estimate.pictures import see

MEASURED = Path(__file__).parent.parent.parent / "tests" / "measured" / "cpu.json"


def errors() -> Iterator[tuple[str, str, float, float]]:
    """For each job: the model's kind, the job in words, the errors of weights and of the peak."""
    content = json.loads(MEASURED.read_bytes())
    models: dict[str, dict[str, Any]] = content["models"]
    for run in content["runs"]:
        model = models[run["model"]]
        weights = summed([(name, size, width, 1) for name, size, width in model["arrays"]])
        width, height = run["image"]
        sight, _ = see(read(model["config"]), model["preprocessor"], width, height)
        told = estimate(
            model["config"],
            weights,
            Job(
                images=((width, height),),
                prompt_tokens=max(0, run["prompt_tokens"] - sight.counted),
                max_tokens=run["max_tokens"],
            ),
            Library(mlx_vlm=run["mlx_vlm"], mlx=run["mlx"], backend="cpu"),
            model["preprocessor"],
        )
        words = f"{run['model']}, {width}x{height}, {run['prompt_tokens']} tokens"
        yield (
            run["kind"],
            words,
            told.weights_bytes / run["weights"] - 1,
            told.peak_bytes / run["peak"] - 1,
        )
