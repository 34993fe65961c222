"""Measure MLX's peak memory of whole small models with weights of chance; runs in the target.

``python peaks.py <folder> <jobs.json>`` makes the models that ``jobs.json`` describes below the
folder, generates with each for every picture size and prompt length, and prints one JSON object a
line: the model, the job, and MLX's own counters in bytes. Peaks are the median of several runs: how
far MLX gets ahead of its own work differs from one to the next.
"""

from __future__ import annotations

import json
import os
import statistics
import sys

import whole

RUNS = 3


def run(folder: str, name: str, kind: str, pictures: list, texts: list, tokens: int) -> None:
    """All jobs of one model."""
    import mlx.core as mx
    import mlx_vlm
    from mlx_vlm import stream_generate
    from mlx_vlm.prompt_utils import apply_chat_template
    from PIL import Image

    mx.reset_peak_memory()
    before = mx.get_active_memory()
    model, processor = mlx_vlm.load(folder)
    mx.eval(model.parameters())
    loaded, weights = mx.get_peak_memory() - before, mx.get_active_memory() - before
    for width, height in pictures:
        path = os.path.join(folder, f"{width}x{height}.png")
        Image.new("RGB", (width, height), "blue").save(path)
        for length in texts:
            prompt = apply_chat_template(processor, model.config, "x" * length, num_images=1)
            firsts, peaks, last = [], [], None
            for _ in range(RUNS):
                mx.clear_cache()
                mx.reset_peak_memory()
                generated = []
                for last in stream_generate(model, processor, prompt, [path], max_tokens=tokens):  # noqa: B007 it is used after
                    generated.append(mx.get_peak_memory() - before)
                firsts.append(generated[0])
                peaks.append(mx.get_peak_memory() - before)
            print(
                json.dumps(
                    {
                        "model": name,
                        "kind": kind,
                        "image": [width, height],
                        "text": length,
                        "prompt_tokens": last.prompt_tokens,
                        "max_tokens": tokens,
                        "generated": len(generated),
                        "weights": weights,
                        "load_peak": loaded,
                        "first_peak": statistics.median(firsts),
                        "peak": statistics.median(peaks),
                        "peak_min": min(peaks),
                        "peak_max": max(peaks),
                    }
                ),
                flush=True,
            )


def change(path: str, fields: dict) -> None:
    """Put other fields into a JSON file."""
    if fields:
        with open(path, encoding="utf-8") as file:
            content = {**json.load(file), **fields}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)


def main() -> None:
    with open(sys.argv[2], encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        folder = os.path.join(sys.argv[1], job["name"])
        try:
            whole.make(folder, job["kind"], job["config"])
            change(os.path.join(folder, "preprocessor_config.json"), job.get("preprocessor", {}))
            run(folder, job["name"], job["kind"], job["images"], job["texts"], job["tokens"])
        except Exception as error:
            print(json.dumps({"model": job["name"], "error": whole.measure.last_line(error)}))


if __name__ == "__main__":
    main()
