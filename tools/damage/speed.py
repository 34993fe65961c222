"""``python -m tools.damage.speed PYTHON``: what looking at a large model costs a check.

A model of the size of Qwen3-VL-4B in 4 bits is put into a cache, its weights sparse so that it
takes no disk, and beside it 199 others of 50 files each. Times are seconds of processor time of
whole ``vlm-doctor check`` processes, children included, which other work disturbs little.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from doctor.proving import stand_in
from tools.damage.places import ID, REVISION, blob_name

RUNS = 5
TEXT = {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
}
VISION = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "out_hidden_size": 2560,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [5, 11, 17],
}


def shapes() -> dict[str, tuple[list[int], bool]]:
    """The model's tensors by name: their shapes, and whether they are quantised."""
    found: dict[str, tuple[list[int], bool]] = {}

    def linear(name: str, rows: int, columns: int, bias: bool = False, packed: bool = True) -> None:
        found[name + ".weight"] = ([rows, columns], packed)
        if bias:
            found[name + ".bias"] = ([rows], False)

    def norm(name: str, width: int, bias: bool = False) -> None:
        for part in ("weight", "bias") if bias else ("weight",):
            found[f"{name}.{part}"] = ([width], False)

    linear("language_model.model.embed_tokens", 151936, 2560)
    for number in range(36):
        layer = f"language_model.model.layers.{number}."
        linear(layer + "self_attn.q_proj", 4096, 2560)
        linear(layer + "self_attn.k_proj", 1024, 2560)
        linear(layer + "self_attn.v_proj", 1024, 2560)
        linear(layer + "self_attn.o_proj", 2560, 4096)
        norm(layer + "self_attn.q_norm", 128)
        norm(layer + "self_attn.k_norm", 128)
        linear(layer + "mlp.gate_proj", 9728, 2560)
        linear(layer + "mlp.up_proj", 9728, 2560)
        linear(layer + "mlp.down_proj", 2560, 9728)
        norm(layer + "input_layernorm", 2560)
        norm(layer + "post_attention_layernorm", 2560)
    norm("language_model.model.norm", 2560)
    found["vision_tower.patch_embed.proj.weight"] = ([1024, 2, 16, 16, 3], False)
    found["vision_tower.patch_embed.proj.bias"] = ([1024], False)
    linear("vision_tower.pos_embed", 2304, 1024, packed=False)
    for number in range(24):
        block = f"vision_tower.blocks.{number}."
        norm(block + "norm1", 1024, bias=True)
        norm(block + "norm2", 1024, bias=True)
        linear(block + "attn.qkv", 3072, 1024, bias=True, packed=False)
        linear(block + "attn.proj", 1024, 1024, bias=True, packed=False)
        linear(block + "mlp.linear_fc1", 4096, 1024, bias=True, packed=False)
        linear(block + "mlp.linear_fc2", 1024, 4096, bias=True, packed=False)
    mergers = [f"vision_tower.deepstack_merger_list.{number}" for number in range(3)]
    for merger in ("vision_tower.merger", *mergers):
        norm(merger + ".norm", 1024 if merger == "vision_tower.merger" else 4096, bias=True)
        linear(merger + ".linear_fc1", 4096, 4096, bias=True, packed=False)
        linear(merger + ".linear_fc2", 2560, 4096, bias=True, packed=False)
    return found


def header() -> tuple[bytes, int]:
    """A safetensors header of these tensors in 4 bits, groups of 64, and the data's bytes."""
    entries: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    at = 0

    def add(name: str, dtype: str, shape: list[int], width: int) -> None:
        nonlocal at
        size = width
        for length in shape:
            size *= length
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size

    for name, (shape, packed) in shapes().items():
        if packed:
            rows, columns = shape
            stem = name.removesuffix("weight")
            add(name, "U32", [rows, columns // 8], 4)
            add(stem + "scales", "BF16", [rows, columns // 64], 2)
            add(stem + "biases", "BF16", [rows, columns // 64], 2)
        else:
            add(name, "BF16", shape, 2)
    text = json.dumps(entries, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text, at


def make(cache: Path) -> int:
    """The large model in a cache; the size of its weights in bytes."""
    home = cache / ("models--" + ID.replace("/", "--"))
    snapshot = home / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(REVISION)
    config = json.loads((stand_in.FOLDER / "config.json").read_text())
    config["text_config"].update(TEXT)
    config["text_config"]["rope_scaling"]["mrope_section"] = [24, 20, 20]
    config["vision_config"].update(VISION)
    block = {"group_size": 64, "bits": 4, "mode": "affine"}
    config.update(quantization=block, quantization_config=block)
    tokenizer = json.loads((stand_in.FOLDER / "tokenizer.json").read_text())
    tokens = {f"a rather usual token {number}": number + 2000 for number in range(150_000)}
    tokenizer["model"]["vocab"].update(tokens)
    tokenizer["model"]["merges"] = [f"a rather {number}" for number in range(150_000)]
    files = {
        path.name: path.read_bytes()
        for path in stand_in.FOLDER.iterdir()
        if path.suffix in (".json", ".jinja") and path.name != "checksums.json"
    }
    files["config.json"] = json.dumps(config).encode()
    files["tokenizer.json"] = json.dumps(tokenizer).encode()
    start, size = header()
    files["model.safetensors"] = start
    for name, data in files.items():
        blob = home / "blobs" / blob_name(name, data)
        blob.write_bytes(data)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    with (snapshot / "model.safetensors").open("r+b") as weights:
        weights.truncate(len(start) + size)
    return size


def crowd(cache: Path) -> None:
    """Many other models of 50 files each."""
    for number in range(199):
        blobs = cache / f"models--someone--other-{number}" / "blobs"
        blobs.mkdir(parents=True)
        for file in range(50):
            (blobs / f"{file:040x}").write_bytes(b"x")


def seconds(python: str, model: str, variables: dict[str, str]) -> float:
    """The least processor time of a check, in seconds."""
    command = [sys.executable, "-m", "doctor", "check", "--python", python, "--model", model]
    taken = []
    for _ in range(RUNS + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken[1:])  # the first one fills the notes


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        cache = Path(name) / "hub"
        size = make(cache)
        variables = {"HF_HUB_CACHE": str(cache), "VLM_DOCTOR_CACHE": str(Path(name) / "notes")}
        without = seconds(sys.argv[1], "mlx-community/Qwen3-VL-4B-Instruct-4bit", variables)
        alone = seconds(sys.argv[1], ID, variables)
        crowd(cache)
        among = seconds(sys.argv[1], ID, variables)
    print(f"weights of {size / 1e9:.2f} GB: a check takes {without:.3f} s without the model,")
    print(f"{alone:.3f} s with it, {among:.3f} s with it among 200 models of 10,000 files")


if __name__ == "__main__":
    main()
