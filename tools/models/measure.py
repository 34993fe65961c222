"""Load the processors of many kinds of model for real, and show each a picture; runs in the target.

``python measure.py <families.json> <folder>`` prints one JSON object: what happened to each family.
For each a model's folder is made below ``folder``: the files that the real repositories have, with
their names of classes, a tokenizer of single bytes, and no weights. It is loaded as
``mlx_vlm.load`` does it, all but the weights, and each in a process of its own, since loading
patches classes.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings

# The marks that any of the families puts for a picture, its parts, sounds and ends.
SPECIAL = """
<pad> <s> </s> <unk> <image> <video> <|endoftext|> <|im_start|> <|im_end|> <|image_pad|>
<|video_pad|> <|vision_start|> <|vision_end|> <image_soft_token> <start_of_image> <end_of_image>
<audio_soft_token> <start_of_audio> <end_of_audio> <fake_token_around_image> <global-img>
<end_of_utterance> [IMG] [IMG_BREAK] [IMG_END] <|image|> <|image> <image|> <|audio|> <|audio>
<audio|> <|image_start|> <|image_end|> <|patch|> <|tile_x_separator|> <|tile_y_separator|>
<IMG_CONTEXT> <img> </img> <|img_thumbnail|> <|image_1|> <|image_2|> <image_placeholder>
<|media_start|> <|media_pad|> <|media_content|> <|media_end|> <im_start> <im_end> <im_patch>
<im_col> <|begin_of_image|> <|end_of_image|> <|IMG_PATCH|> <|START_OF_IMG|> <|END_OF_IMG|>
<|IMG_LINE_BREAK|> <|IMAGE_START|> <|IMAGE_END|> <|image_placeholder|> <|IMAGE_PLACEHOLDER|>
<|begin_of_text|> <im_low> <slice> </slice> <image_id> </image_id> <|endoftext10|> <|endoftext11|>
<|imgpad|> <|audio_pad|> <|audio_start|> <|audio_end|> <|video|> <|begin_of_video|>
<|end_of_video|> <frame> </frame> <box> </box> <ref> </ref> <quad> </quad> <|grounding|> <|ref|>
<|/ref|> <|det|> <|/det|> <td> </td> <tr> </tr> <|User|> <|Assistant|> <unused99> <bos> <eos>
<im_patch_low> <low_res_im_start> <frame_start> <frame_end> <|audio_bos|> <|audio_eos|> <|img|>
<|endofimg|> <|vision_bos|> <|vision_eos|> <|IMAGE|> <|VIDEO|> <|AUDIO|> <imgpad> <|user|>
<|assistant|> <|system|>
""".split()  # noqa: SIM905

TEMPLATE = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'text' %}{{ c.text or c.content }}"
    "{% else %}MARK{% endif %}{% endfor %}{% endif %}{% endfor %}"
)

# What a chat template puts for a picture; the families not listed take `<image>`.
MARKS = {
    "qwen": "<|vision_start|><|image_pad|><|vision_end|>",
    "gemma3": "<start_of_image>",
    "gemma4": "<|image|>",
    "pixtral": "[IMG]",
    "PixtralProcessor": "[IMG]",
    "mistral3": "[IMG]",
    "mllama": "<|image|>",
    "llama4": "<|image|>",
    "internvl": "<IMG_CONTEXT>",
    "internvl_chat": "<image>",
    "glm": "<|begin_of_image|><|image|><|end_of_image|>",
    "kimi": "<|media_start|>image<|media_content|><|media_pad|><|media_end|>",
    "hunyuan": "<|image|>",
    "dots": "<|img|><|imgpad|><|endofimg|>",
    "paddleocr": "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>",
    "cohere2": "<|IMG_PATCH|>",
    "mage": "<|vision_start|><|image_pad|><|vision_end|>",
    "zaya": "<|vision_start|><|image_pad|><|vision_end|>",
}


def families(path: str) -> list[dict]:
    """The families of the data file, each with what it takes over from another."""
    with open(path, encoding="utf-8") as file:
        listed = json.load(file)
    by_type = {family["type"]: family for family in reversed(listed)}
    return [{**by_type.get(family.get("like"), {}), **family} for family in listed]


def make(folder: str, family: dict) -> str:
    """A model's folder without weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    os.makedirs(folder, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = {token: number for number, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer.add_special_tokens(
        [*rows, *(f"<|img_row_{r}_col_{c}|>" for r in range(1, 5) for c in range(1, 5))]
    )
    tokenizer.add_special_tokens([f"<loc{number:04}>" for number in range(1024)])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))

    def write(name: str, content: dict) -> None:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)

    named = family.get("processor_class")
    kind = family["type"]
    mark = MARKS.get(named or "") or next(
        (MARKS[key] for key in sorted(MARKS, key=len, reverse=True) if kind.startswith(key)),
        "<image>",
    )
    extra = family.get("tokenizer", {})
    write(
        "tokenizer_config.json",
        {
            "tokenizer_class": family.get("tokenizer_class", "PreTrainedTokenizerFast"),
            **({"processor_class": named} if named else {}),
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            **extra,
            "extra_special_tokens": extra,
            "chat_template": TEMPLATE.replace("MARK", mark),
        },
    )
    write("chat_template.json", {"chat_template": TEMPLATE.replace("MARK", mark)})
    config = {
        "model_type": kind,
        "vocab_size": tokenizer.get_vocab_size(),
        "image_token_index": numbers[next(token for token in SPECIAL if token in mark)],
        "eos_token_id": numbers["</s>"],
        **family.get("config", {}),
    }
    config.setdefault("vision_config", {} if family.get("text") else {"hidden_size": 48})
    config.setdefault("text_config", {})
    if family.get("config_auto_map"):
        config["auto_map"] = family["config_auto_map"]
    write("config.json", config)
    mapped = {"auto_map": family["auto_map"]} if family.get("auto_map") else {}
    image = family.get("image_processor_type")
    if image or family.get("preprocessor"):
        key = (
            "feature_extractor_type" if family.get("feature_extractor") else "image_processor_type"
        )
        write(
            "preprocessor_config.json",
            {
                **({key: image} if image else {}),
                **({"processor_class": named} if named else {}),
                "do_resize": True,
                "do_rescale": True,
                "do_normalize": True,
                "rescale_factor": 1 / 255,
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
                **mapped,
                **family.get("preprocessor", {}),
            },
        )
    if family.get("processor"):
        write(
            "processor_config.json",
            {**({"processor_class": named} if named else {}), **mapped, **family["processor"]},
        )
    return folder


def watch_own_processors(failures: list) -> None:
    """Write down how mlx-vlm's own processors fail: it passes over that, and takes another."""
    from mlx_vlm.models import base

    install = getattr(base, "install_auto_processor_patch", None)
    if install is None:
        return

    def watched(target_model_types, processor_cls):  # type: ignore[no-untyped-def]
        class Watched:
            @staticmethod
            def from_pretrained(*arguments, **named):  # type: ignore[no-untyped-def]
                try:
                    return processor_cls.from_pretrained(*arguments, **named)
                except Exception as error:
                    failures.append(last_line(error))
                    raise

        return install(target_model_types, Watched)

    base.install_auto_processor_patch = watched


def last_line(error: BaseException) -> str:
    """The kind and the first line of an error."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return type(error).__name__ + ": " + (lines[0] if lines else "")[:300]


def measure(folder: str, only_load: bool) -> dict:
    """Load the processor of a folder and show it a picture: how far it got, and the error."""
    from pathlib import Path

    import mlx_vlm
    from mlx_vlm import utils

    own: list = []
    watch_own_processors(own)
    from mlx_vlm.prompt_utils import apply_chat_template
    from PIL import Image

    result: dict = {"stage": "import", "processor": None, "error": None}
    try:
        path = Path(folder)
        config = utils.load_config(path)
        utils.get_model_and_args(config)
        result["stage"] = "load"
        images = utils.load_image_processor(path)
        processor = utils.load_processor(path, True, eos_token_ids=config.get("eos_token_id"))
        if images is not None:
            processor.image_processor = images
        result["processor"] = (
            type(processor).__module__.split(".")[0] + ":" + type(processor).__name__
        )
        result["image_processor"] = type(getattr(processor, "image_processor", None)).__name__
        if only_load:
            result["stage"] = "loaded"
            return result
        result["stage"] = "see"
        picture = os.path.join(folder, "picture.png")
        Image.new("RGB", (112, 112), (200, 30, 30)).save(picture)
        prompt = apply_chat_template(processor, config, "What?", num_images=1)
        inputs = mlx_vlm.utils.prepare_inputs(
            processor,
            images=[picture],
            prompts=prompt,
            image_token_index=config["image_token_index"],
        )
        seen = [key for key, value in inputs.items() if value is not None]
        result["inputs"] = sorted(seen)
        result["stage"] = "blind" if "pixel_values" not in seen else "seen"
    except BaseException as error:
        result["error"] = last_line(error)
        # The reason of the reason: transformers wraps what an import says.
        inner = error.__cause__ or error.__context__
        result["because"] = last_line(inner) if inner else None
        result["where"] = traceback.format_exc().strip().splitlines()[-40:]
    result["own_error"] = own[0] if own else None
    return result


def apart(work, *arguments) -> dict:  # type: ignore[no-untyped-def]
    """The result of ``work`` in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        with os.fdopen(writing, "w") as stream:
            stream.write(json.dumps(work(*arguments)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return (
        json.loads(text) if text else {"stage": "import", "processor": None, "error": "it crashed"}
    )


def main() -> None:
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    warnings.filterwarnings("ignore")
    sys.stdin.close()  # questions about foreign code are answered with no
    import mlx_vlm  # noqa: F401

    only = set(sys.argv[3:])
    results = {}
    for number, family in enumerate(families(sys.argv[1])):
        if only and family["type"] not in only:
            continue
        if family.get("not_measured"):
            continue
        folder = make(os.path.join(sys.argv[2], str(number)), family)
        only_load = bool(family.get("only_load"))
        results[family["model"]] = {"type": family["type"], **apart(measure, folder, only_load)}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
