"""Make whole small models of several kinds with weights of chance; runs in the target.

``python whole.py <folder> [type …]`` makes a model's folder for each kind in ``whole.json``, which
``mlx_vlm.load`` loads and generates with, where the environment is whole. Its answers mean nothing.
It takes the classes of the target's own mlx-vlm, so that the weights are named as they expect.
"""

from __future__ import annotations

import json
import os
import sys

import measure

HERE = os.path.dirname(os.path.abspath(__file__))


def make(folder: str, kind: str, sizes: dict) -> None:
    """One model's folder: its files as ``measure`` makes them, real sizes, and weights."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_vlm import utils

    listed = measure.families(os.path.join(HERE, "families.json"))
    family = next(one for one in listed if one["type"] == kind)
    measure.make(folder, family)
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = {**json.load(file), **sizes}
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        tokens = {token["content"]: token["id"] for token in json.load(file)["added_tokens"]}
    count = config["vocab_size"]
    index = config["image_token_index"]
    # What the prompt has for a picture: with another the tower's features are never asked for.
    config["image_token_index"] = config["image_token_id"] = tokens.get(index, index)
    marks = {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    if kind.startswith("qwen"):
        marks.update(video_token_id="<|video_pad|>")
    config.update({key: tokens[token] for key, token in marks.items()})
    if "text_config" in sizes:
        config["text_config"]["vocab_size"] = count
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    module, _ = utils.get_model_and_args(config)
    config.setdefault("text_config", {})
    config.setdefault("audio_config", {})
    configured = module.ModelConfig.from_dict(config)
    parts = ["text", "vision", "perceiver", "projector", "audio"]
    configured = utils.update_module_configs(configured, module, config, parts)
    # The same weights every time: of some, the noise that a model says is no UTF-8, and older
    # releases of mlx-vlm end there.
    mx.random.seed(0)
    model = module.Model(configured)
    mx.eval(model.parameters())
    mx.save_safetensors(
        os.path.join(folder, "model.safetensors"),
        dict(tree_flatten(model.parameters())),
        metadata={"format": "mlx"},
    )


def main() -> None:
    with open(os.path.join(HERE, "whole.json"), encoding="utf-8") as file:
        kinds = json.load(file)
    made = {}
    for kind in sys.argv[2:] or kinds:
        try:
            make(os.path.join(sys.argv[1], kind), kind, kinds[kind])
            made[kind] = None
        except Exception as error:
            made[kind] = measure.last_line(error)
    print(json.dumps(made))


if __name__ == "__main__":
    main()
