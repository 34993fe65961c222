"""Damage to a model's JSON and text files: configuration, preparation of pictures, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tools.damage.kinds import EXPECTED, kind
from tools.damage.places import Place
from tools.damage.weights import LFS, PAGE

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
VIDEO = "video_preprocessor_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION = "generation_config.json"

Json = dict[str, Any]

NO_CONFIG = ("model-config-unreadable",)
# A value that contradicts the weights: mlx-vlm fails at it, or then at a tensor.
OTHER_MODEL = ("model-config-unfitting", "weights-unfitting")
# The model and the preparation of its pictures disagree; which of the two is wrong nobody knows.
PICTURES = (*OTHER_MODEL, "preprocessor-unfitting")
PROCESSOR = ("processor-fails", "processor-blind")

EXPECTED |= {
    "config-": NO_CONFIG,
    "config-type-unknown": ("model-type-unsupported",),
    "config-type-in-capitals": ("model-type-unsupported",),
    "config-type-of-text": ("model-type-unsupported", *OTHER_MODEL),
    "config-type-older": OTHER_MODEL,
    "config-type-experts": OTHER_MODEL,
    "config-type-a-number": (*NO_CONFIG, "model-type-unsupported", "model-config-unfitting"),
    "config-text-part": OTHER_MODEL,
    # The text part has a model_type of its own, which takes the place of the model's.
    "config-text-part-flat": ("model-type-unsupported",),
    "config-vision-part": OTHER_MODEL,
    "config-picture-token": ("tokenizer-broken", "model-config-unfitting"),
    "config-vision-start": ("tokenizer-broken", "model-config-unfitting"),
    "config-own-": ("model-config-unfitting", *PROCESSOR),
    "text-": OTHER_MODEL,
    "text-norm-epsilon": ("model-config-unfitting",),
    "vision-": OTHER_MODEL,
    "vision-patch": PICTURES,
    "vision-merge": PICTURES,
    "vision-time": PICTURES,
    "vision-channels": PICTURES,
    "quantisation-": ("quantization-unfitting",),
    "preprocessor-": ("preprocessor-broken",),
    "preprocessor-gone": ("preprocessor-missing",),
    "preprocessor-class": ("preprocessor-stale",),
    "preprocessor-class-gone": ("preprocessor-stale", "preprocessor-missing"),
    "preprocessor-class-a-number": ("preprocessor-stale", "preprocessor-unfitting"),
    # Of another family's class it is true that it does not fit, and it may be gone besides.
    "preprocessor-class-of-others": ("preprocessor-stale", "preprocessor-unfitting"),
    "preprocessor-class-extractor": ("preprocessor-stale", "preprocessor-unfitting"),
    "preprocessor-whole-class": PROCESSOR,
    **dict.fromkeys(
        [
            f"preprocessor-{word}"
            for word in ("patch", "merge", "time", "mean", "spread", "size", "pixels", "not")
        ],
        ("preprocessor-unfitting",),
    ),
    "video-": ("preprocessor-broken",),
    "video-class": ("preprocessor-stale",),
    "processor-config-": PROCESSOR,
    "processor-config-cut": ("preprocessor-broken",),
    "tokenizer-": ("tokenizer-broken",),
    "tokenizer-gone": ("tokenizer-missing",),
    "tokenizer-files-gone": ("tokenizer-missing",),
    "tokenizer-class": ("tokenizer-unfitting", "tokenizer-broken"),
    "tokenizer-tokens-list": ("tokenizer-unfitting", "tokenizer-broken"),
    "template-": ("chat-template-missing",),
    "generation-": NO_CONFIG,
}


def edit_kind(name: str, file: str, change: Callable[[Json], object]) -> None:
    """A kind that changes a JSON file."""
    kind(name)(lambda place: place.edit(file, change))


def content_kinds(word: str, file: str, *names: str) -> None:
    """Kinds that lose or replace a whole file, by the usual ways in which files are lost."""
    ways: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda content: b"",
        "cut": lambda content: content[: len(content) // 2],
        "lfs-pointer": lambda content: LFS.encode(),
        "web-page": lambda content: PAGE.encode(),
        "list": lambda content: b"[1, 2]\n",
        "zeros": lambda content: bytes(len(content)),
    }
    for way in names:
        change = ways[way]

        def damage(place: Place, change: Callable[[bytes], bytes] = change) -> None:
            path = place.path(file)
            path.write_bytes(change(path.read_bytes()))

        kind(f"{word}-{way}")(damage)


def gone(name: str, file: str) -> None:
    kind(name)(lambda place: place.remove(file))


gone("config-gone", CONFIG)
content_kinds("config", CONFIG, "empty", "cut", "lfs-pointer", "web-page", "list", "zeros")


@kind("config-trailing-comma")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_text(path.read_text().rstrip()[:-1] + ",}\n")


@kind("config-comment")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_text("// mine\n" + path.read_text())


@kind("config-byte-order-mark")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


@kind("config-in-another-encoding")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_bytes(path.read_text().encode("utf-16"))


@kind("config-windows-lines")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


@kind("config-indented-anew")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))


def config(name: str, change: Callable[[Json], object]) -> None:
    edit_kind(name, CONFIG, change)


def part(name: str, which: str, **values: object) -> None:
    """A kind that sets values in the text or vision part of config.json; null takes one out."""

    def change(config: Json) -> None:
        for key, value in values.items():
            if value is None:
                config[which].pop(key, None)
            else:
                config[which][key] = value

    config(name, change)


config("config-type-gone", lambda c: c.pop("model_type"))
config("config-type-unknown", lambda c: c.update(model_type="qwen9_vl"))
config("config-type-in-capitals", lambda c: c.update(model_type="Qwen3_VL"))
config("config-type-of-text", lambda c: c.update(model_type="qwen3"))
config("config-type-older", lambda c: c.update(model_type="qwen2_5_vl"))
config("config-type-experts", lambda c: c.update(model_type="qwen3_vl_moe"))
config("config-type-a-number", lambda c: c.update(model_type=3))
config("config-text-part-gone", lambda c: c.pop("text_config"))
config("config-vision-part-gone", lambda c: c.pop("vision_config"))
config("config-text-part-empty", lambda c: c.update(text_config={}))
config("config-text-part-flat", lambda c: c.update(c.pop("text_config")))
config("config-text-part-no-object", lambda c: c.update(text_config="text"))
part("text-width-doubled", "text_config", hidden_size=256)
part("text-width-a-word", "text_config", hidden_size="128")
part("text-width-gone", "text_config", hidden_size=None)
part("text-one-layer-more", "text_config", num_hidden_layers=4)
part("text-one-layer-less", "text_config", num_hidden_layers=2)
part("text-no-layers", "text_config", num_hidden_layers=0)
part("text-heads-doubled", "text_config", num_attention_heads=8)
part("text-heads-halved", "text_config", num_attention_heads=2)
part("text-key-heads-as-heads", "text_config", num_key_value_heads=4)
part("text-head-width-doubled", "text_config", head_dim=64)
part("text-head-width-gone", "text_config", head_dim=None)
part("text-inner-width-other", "text_config", intermediate_size=384)
part("text-vocabulary-larger", "text_config", vocab_size=1400)
part("text-vocabulary-smaller", "text_config", vocab_size=1000)
part("text-rotation-base-other", "text_config", rope_theta=10000.0)
part("text-rotation-base-gone", "text_config", rope_theta=None)
part("text-rotation-parts-gone", "text_config", rope_scaling=None)
part(
    "text-rotation-parts-other",
    "text_config",
    rope_scaling={"rope_type": "default", "mrope_section": [12, 2, 2]},
)
part(
    "text-rotation-parts-too-many",
    "text_config",
    rope_scaling={"rope_type": "default", "mrope_section": [24, 20, 20]},
)
part(
    "text-rotation-kind-unknown",
    "text_config",
    rope_scaling={"rope_type": "yarn", "mrope_section": [6, 5, 5]},
)
part("text-norm-epsilon-large", "text_config", rms_norm_eps=0.5)
part("text-norm-epsilon-gone", "text_config", rms_norm_eps=None)
part("text-positions-fewer", "text_config", max_position_embeddings=16)
part("text-embedding-untied", "text_config", tie_word_embeddings=False)
part("text-activation-unknown", "text_config", hidden_act="swish-glu-9")
part("text-bias-said", "text_config", attention_bias=True)
part("vision-one-block-more", "vision_config", depth=5)
part("vision-one-block-less", "vision_config", depth=3)
part("vision-depth-gone", "vision_config", depth=None)
part("vision-width-doubled", "vision_config", hidden_size=192)
part("vision-heads-halved", "vision_config", num_heads=2)
part("vision-heads-uneven", "vision_config", num_heads=5)
part("vision-heads-gone", "vision_config", num_heads=None)
part("vision-inner-width-other", "vision_config", intermediate_size=256)
part("vision-out-width-other", "vision_config", out_hidden_size=256)
part("vision-patch-smaller", "vision_config", patch_size=14)
part("vision-patch-gone", "vision_config", patch_size=None)
part("vision-merge-three", "vision_config", spatial_merge_size=3)
part("vision-merge-gone", "vision_config", spatial_merge_size=None)
part("vision-time-patch-one", "vision_config", temporal_patch_size=1)
part("vision-positions-more", "vision_config", num_position_embeddings=2304)
part("vision-channels-one", "vision_config", in_channels=1)
part("vision-deepstack-gone", "vision_config", deepstack_visual_indexes=None)
part("vision-deepstack-other", "vision_config", deepstack_visual_indexes=[0, 3])
part("vision-deepstack-one-more", "vision_config", deepstack_visual_indexes=[0, 1, 2])
part("vision-deepstack-beyond", "vision_config", deepstack_visual_indexes=[5, 11])
part("vision-type-unknown", "vision_config", model_type="qwen9_vision")
config("config-picture-token-other", lambda c: c.update(image_token_id=151655))
config("config-picture-token-of-video", lambda c: c.update(image_token_id=1320))
config("config-picture-token-gone", lambda c: c.pop("image_token_id"))
config("config-vision-start-gone", lambda c: c.pop("vision_start_token_id"))
config(
    "config-end-token-gone", lambda c: [c.pop("eos_token_id"), c["text_config"].pop("eos_token_id")]
)
config("config-end-token-other", lambda c: c.update(eos_token_id=[2, 3]))
config("config-end-token-single", lambda c: c.update(eos_token_id=1315))


def quantisation(name: str, change: Callable[[Json], object], also: bool = True) -> None:
    """A kind that changes the quantisation block, and its copy under the other name."""

    def damage(config: Json) -> None:
        change(config["quantization"])
        if also:
            change(config["quantization_config"])

    config(name, damage)


config("quantisation-gone", lambda c: [c.pop("quantization"), c.pop("quantization_config")])
config("quantisation-only-in-copy", lambda c: c.pop("quantization"))
config("quantisation-without-copy", lambda c: c.pop("quantization_config"))
config("quantisation-no-object", lambda c: c.update(quantization="4bit"))
quantisation("quantisation-eight-bits", lambda q: q.update(bits=8))
quantisation("quantisation-three-bits", lambda q: q.update(bits=3))
quantisation("quantisation-sixteen-bits", lambda q: q.update(bits=16))
quantisation("quantisation-bits-a-word", lambda q: q.update(bits="4"))
quantisation("quantisation-bits-gone", lambda q: q.pop("bits"))
quantisation("quantisation-larger-groups", lambda q: q.update(group_size=64))
quantisation("quantisation-groups-gone", lambda q: q.pop("group_size"))
quantisation("quantisation-groups-zero", lambda q: q.update(group_size=0))
quantisation("quantisation-eight-bits-larger-groups", lambda q: q.update(bits=8, group_size=64))
quantisation("quantisation-mode-other", lambda q: q.update(mode="mxfp4"))
quantisation("quantisation-mode-unknown", lambda q: q.update(mode="int4_9"))
quantisation("quantisation-mode-gone", lambda q: q.pop("mode"))
quantisation(
    "quantisation-of-one-module-other",
    lambda q: q.update(
        {"language_model.model.layers.1.self_attn.q_proj": {"bits": 8, "group_size": 32}}
    ),
)
quantisation(
    "quantisation-of-one-module-said",
    lambda q: q.update(
        {"language_model.model.layers.1.self_attn.q_proj": {"bits": 4, "group_size": 32}}
    ),
)
quantisation(
    "quantisation-of-one-module-off",
    lambda q: q.update({"language_model.model.layers.1.self_attn.q_proj": False}),
)
quantisation(
    "quantisation-of-no-such-module",
    lambda q: q.update({"language_model.model.layers.99.mlp": {"bits": 8, "group_size": 32}}),
)
config("quantisation-skips-vision", lambda c: c["vision_config"].update(skip_vision=True))
config("config-key-added", lambda c: c.update(something_of_mine={"a": [1, 2]}))
config("config-architectures-gone", lambda c: c.pop("architectures"))
config("config-architectures-other", lambda c: c.update(architectures=["Somebody"]))
config("config-release-newer", lambda c: c.update(transformers_version="9.9.9"))
config("config-dtype-other", lambda c: c.update(torch_dtype="bfloat16"))
config("config-keys-turned", lambda c: c.update({k: c.pop(k) for k in [*c][::-1]}))
config(
    "config-own-code-named", lambda c: c.update(auto_map={"AutoConfig": "configuration_x.XConfig"})
)
config("config-own-model-file", lambda c: c.update(model_file="model_x.py"))
config("config-very-deep", lambda c: c.update(deep=json.loads("[" * 400 + "]" * 400)))

gone("preprocessor-gone", PREPROCESSOR)
content_kinds("preprocessor", PREPROCESSOR, "empty", "cut", "lfs-pointer", "web-page", "list")


def preprocessor(name: str, change: Callable[[Json], object]) -> None:
    edit_kind(name, PREPROCESSOR, change)


preprocessor(
    "preprocessor-class-stale", lambda p: p.update(image_processor_type="Qwen2_5_VLImageProcessor")
)
preprocessor(
    "preprocessor-class-extractor", lambda p: p.update(image_processor_type="CLIPFeatureExtractor")
)
preprocessor(
    "preprocessor-class-unknown", lambda p: p.update(image_processor_type="MyImageProcessor")
)
preprocessor(
    "preprocessor-class-slow", lambda p: p.update(image_processor_type="Qwen2VLImageProcessor")
)
preprocessor(
    "preprocessor-class-of-others", lambda p: p.update(image_processor_type="CLIPImageProcessor")
)
preprocessor("preprocessor-class-gone", lambda p: p.pop("image_processor_type"))
preprocessor("preprocessor-class-a-number", lambda p: p.update(image_processor_type=7))
preprocessor("preprocessor-whole-class-unknown", lambda p: p.update(processor_class="MyProcessor"))
preprocessor("preprocessor-patch-other", lambda p: p.update(patch_size=14))
preprocessor("preprocessor-merge-other", lambda p: p.update(merge_size=1))
preprocessor("preprocessor-time-patch-other", lambda p: p.update(temporal_patch_size=1))
preprocessor("preprocessor-patch-gone", lambda p: p.pop("patch_size"))
preprocessor("preprocessor-mean-other", lambda p: p.update(image_mean=[0.0, 0.0, 0.0]))
preprocessor("preprocessor-spread-zero", lambda p: p.update(image_std=[0.0, 0.0, 0.0]))
preprocessor("preprocessor-mean-of-one", lambda p: p.update(image_mean=[0.5]))
preprocessor("preprocessor-mean-gone", lambda p: p.pop("image_mean"))
preprocessor("preprocessor-size-gone", lambda p: p.pop("size"))
preprocessor("preprocessor-size-old-form", lambda p: p.update(size={"height": 128, "width": 128}))
preprocessor("preprocessor-pixels-gone", lambda p: [p.pop("min_pixels"), p.pop("max_pixels")])
preprocessor("preprocessor-pixels-few", lambda p: p.update(max_pixels=1024, min_pixels=1024))
preprocessor("preprocessor-not-normalised", lambda p: p.update(do_normalize=False))
preprocessor("preprocessor-not-scaled", lambda p: p.update(do_rescale=False))
preprocessor("preprocessor-key-added", lambda p: p.update(mine=True))

gone("video-gone", VIDEO)
content_kinds("video", VIDEO, "empty", "cut", "lfs-pointer")
edit_kind(
    "video-class-stale", VIDEO, lambda v: v.update(video_processor_type="Qwen2_5_VLVideoProcessor")
)
edit_kind("video-class-unknown", VIDEO, lambda v: v.update(video_processor_type="MyVideoProcessor"))
edit_kind("video-class-gone", VIDEO, lambda v: v.pop("video_processor_type"))
edit_kind("video-frames-other", VIDEO, lambda v: v.update(fps=4))


def added(name: str, file: str, text: str) -> None:
    kind(name)(lambda place: place.add(file, text.encode()))


added(
    "processor-config-added", "processor_config.json", '{"processor_class": "Qwen3VLProcessor"}\n'
)
added(
    "processor-config-unknown-class",
    "processor_config.json",
    '{"processor_class": "MyProcessor"}\n',
)
added("processor-config-cut", "processor_config.json", '{"processor_class": "Qwen3VLPro')
added(
    "processor-config-own-code",
    "processor_config.json",
    '{"auto_map": {"AutoProcessor": "processing_x.XProcessor"}}\n',
)
added("readme-added", "README.md", "# Small\n")
added("own-python-added", "modeling_x.py", "import nothing_of_the_kind\n")

gone("tokenizer-gone", TOKENIZER)
content_kinds("tokenizer", TOKENIZER, "empty", "cut", "lfs-pointer", "web-page", "list", "zeros")
gone("tokenizer-config-gone", TOKENIZER_CONFIG)
content_kinds("tokenizer-config", TOKENIZER_CONFIG, "empty", "cut", "web-page", "list")


@kind("tokenizer-files-gone")
def _(place: Place) -> None:
    place.remove(TOKENIZER)
    place.remove(TOKENIZER_CONFIG)


def tokenizer(name: str, change: Callable[[Json], object]) -> None:
    edit_kind(name, TOKENIZER, change)


def without_added(tokenizer: Json, *contents: str) -> None:
    tokenizer["added_tokens"] = [
        t for t in tokenizer["added_tokens"] if t["content"] not in contents
    ]


def exchanged(tokenizer: Json) -> None:
    vocabulary = tokenizer["model"]["vocab"]
    names = [*vocabulary][:600]
    for one, other in zip(names[::2], names[1::2], strict=True):
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]


tokenizer("tokenizer-model-gone", lambda t: t.pop("model"))
tokenizer("tokenizer-kind-unknown", lambda t: t["model"].update(type="Magic"))
tokenizer("tokenizer-added-gone", lambda t: t.update(added_tokens=[]))
tokenizer("tokenizer-picture-token-gone", lambda t: without_added(t, "<|image_pad|>"))
tokenizer("tokenizer-turn-token-gone", lambda t: without_added(t, "<|im_start|>"))
tokenizer("tokenizer-numbers-exchanged", exchanged)
tokenizer("tokenizer-decoder-gone", lambda t: t.update(decoder=None))
tokenizer("tokenizer-splitting-gone", lambda t: t.update(pre_tokenizer=None))
tokenizer("tokenizer-version-other", lambda t: t.update(version="9.0"))
tokenizer(
    "tokenizer-numbers-moved",
    lambda t: [token.update(id=token["id"] + 100) for token in t["added_tokens"]],
)


def tokenizer_config(name: str, change: Callable[[Json], object]) -> None:
    edit_kind(name, TOKENIZER_CONFIG, change)


tokenizer_config("tokenizer-class-newer", lambda t: t.update(tokenizer_class="TokenizersBackend"))
tokenizer_config("tokenizer-class-unknown", lambda t: t.update(tokenizer_class="MyTokenizer"))
tokenizer_config("tokenizer-class-gone", lambda t: t.pop("tokenizer_class"))
tokenizer_config(
    "tokenizer-tokens-list", lambda t: t.update(extra_special_tokens=["<|image_pad|>"])
)
tokenizer_config("tokenizer-end-gone", lambda t: t.pop("eos_token"))
tokenizer_config("tokenizer-added-decoder-gone", lambda t: t.pop("added_tokens_decoder"))
tokenizer_config("tokenizer-longest-other", lambda t: t.update(model_max_length=10))
tokenizer_config("tokenizer-config-key-added", lambda t: t.update(mine="yes"))
tokenizer_config("tokenizer-special-gone", lambda t: t.pop("additional_special_tokens"))


# The chat template stands in three places.
def templates(place: Place, text: str | None) -> None:
    """The same template in all of its places; null takes it out of them."""
    for file in ("chat_template.jinja", "chat_template.json"):
        if text is None:
            place.remove(file)
            if not place.cache:
                continue
            (place.folder / file).unlink()
    if text is not None:
        place.path("chat_template.jinja").write_text(text)
        place.edit("chat_template.json", lambda c: c.update(chat_template=text))
    place.edit(
        TOKENIZER_CONFIG,
        lambda c: c.pop("chat_template") if text is None else c.update(chat_template=text),
    )


kind("template-gone")(lambda place: templates(place, None))
kind("template-empty")(lambda place: templates(place, ""))
kind("template-broken")(lambda place: templates(place, "{% for m in messages %}{{ m.role }}"))
kind("template-without-pictures")(
    lambda place: templates(
        place,
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content if m.content is string else "
        "m.content[-1].text }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
    )
)
kind("template-calls-nothing")(lambda place: templates(place, "{{ nothing_such(messages) }}"))


def template_only(name: str, kept: str) -> None:
    """A kind that leaves the template in one of its places."""

    def damage(place: Place) -> None:
        for file in ("chat_template.jinja", "chat_template.json"):
            if file != kept:
                place.remove(file)
                if place.cache:
                    (place.folder / file).unlink()
        if kept != TOKENIZER_CONFIG:
            place.edit(TOKENIZER_CONFIG, lambda c: c.pop("chat_template"))

    kind(name)(damage)


template_only("template-only-jinja", "chat_template.jinja")
template_only("template-only-json", "chat_template.json")
template_only("template-only-tokenizer", TOKENIZER_CONFIG)
content_kinds("template-jinja", "chat_template.jinja", "empty", "cut", "web-page")
content_kinds("template-json", "chat_template.json", "empty", "cut", "list")
edit_kind(
    "template-json-other-key",
    "chat_template.json",
    lambda c: c.update(template=c.pop("chat_template")),
)

gone("generation-gone", GENERATION)
content_kinds("generation", GENERATION, "empty", "cut", "list", "web-page")
edit_kind("generation-end-token-other", GENERATION, lambda g: g.update(eos_token_id=[2, 3]))
