"""From trained parameters to the folder that mlx-vlm loads.

Matrices are packed in MLX's 4-bit scheme; the patch embedding, the learned positions, norms,
biases and scales stay in float32, since MLX's CPU backend answers twelve times slower in float16
(2.0 s against 0.16 s, measured).  Names and layouts are those that mlx-vlm itself writes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from training import data, settings, words
from training.network import is_quantised
from training.quantise import packed


def mlx_name(name: str) -> str:
    """A parameter's name in mlx-vlm, from its name in transformers."""
    name = name.removeprefix("model.")
    if name.startswith("visual."):
        return "vision_tower." + name.removeprefix("visual.")
    return "language_model.model." + name.removeprefix("language_model.")


def mlx_tensors(parameters: dict[str, torch.Tensor]) -> dict[str, NDArray[np.generic]]:
    """The shipped tensors, by mlx-vlm's names."""
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, weight in sorted(parameters.items()):
        target = mlx_name(name)
        if is_quantised(name, weight):
            stem = target.removesuffix(".weight")
            tensors[target], tensors[f"{stem}.scales"], tensors[f"{stem}.biases"] = packed(weight)
            continue
        array = weight.detach().float().cpu().numpy()
        if array.ndim == 5:  # MLX convolves with the channels last.
            array = array.transpose(0, 2, 3, 4, 1)
        tensors[target] = np.ascontiguousarray(array)
    return tensors


def write_model(parameters: dict[str, torch.Tensor], folder: Path) -> None:
    """Write every file that mlx-vlm needs, and the checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = data.vocabulary()
    tokenizer_config = words.tokenizer_config(tokens)
    contents = {
        "config.json": settings.config(tokens),
        "preprocessor_config.json": settings.preprocessor_config(),
        "video_preprocessor_config.json": settings.video_preprocessor_config(),
        "generation_config.json": settings.generation_config(tokens),
        "tokenizer.json": words.build(),
        "tokenizer_config.json": tokenizer_config,
        "chat_template.json": {"chat_template": words.CHAT_TEMPLATE},
    }
    for name, content in contents.items():  # the tokenizer's on one line, the others readable
        text = words.dumps(content, None if name == "tokenizer.json" else 1)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    (folder / "chat_template.jinja").write_text(words.CHAT_TEMPLATE, "utf-8", newline="\n")
    save_file(mlx_tensors(parameters), folder / "model.safetensors", {"format": "mlx"})
    (folder / "model.safetensors").chmod(0o644)
    write_checksums(folder)


def write_checksums(folder: Path) -> None:
    """Write checksums.json: the SHA-256 of each other file of the folder but the card."""
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in ("checksums.json", "MODEL_CARD.md")
    }
    text = json.dumps(sums, indent=1) + "\n"
    (folder / "checksums.json").write_text(text, encoding="utf-8", newline="\n")
