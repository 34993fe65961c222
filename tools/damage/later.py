"""Kinds that were written after the rules, all at once, to see how the rules do on what is new.

What came out was recorded before anything was changed for it.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable

from tools.damage.kinds import EXPECTED, kind
from tools.damage.places import WEIGHTS, Place, Tensors
from tools.damage.texts import (
    CONFIG,
    GENERATION,
    NO_CONFIG,
    OTHER_MODEL,
    PREPROCESSOR,
    TOKENIZER,
    TOKENIZER_CONFIG,
    Json,
    templates,
)
from tools.damage.weights import LAYER, Q

EXPECTED |= {
    "later-config": NO_CONFIG,
    "later-text": OTHER_MODEL,
    "later-vision": OTHER_MODEL,
    "later-preprocessor": ("preprocessor-unfitting",),
    "later-tokenizer": ("tokenizer-broken",),
    "later-template": ("chat-template-missing",),
    "later-tensors": ("weights-unfitting", "model-file-edited"),
    "later-weights": ("weights-damaged",),
    "later-weights-renamed": ("weights-missing",),
    "later-link-to-tokenizer-config": ("tokenizer-broken", "tokenizer-missing"),
    "later-blob-of-config-empty": NO_CONFIG,
    "later-ref": ("model-ref-broken",),
}


def edit(name: str, file: str, change: Callable[[Json], object]) -> None:
    kind(f"later-{name}")(lambda place: place.edit(file, change))


def text(name: str, **values: object) -> None:
    edit(f"text-{name}", CONFIG, lambda c: c["text_config"].update(values))


def vision(name: str, **values: object) -> None:
    edit(f"vision-{name}", CONFIG, lambda c: c["vision_config"].update(values))


def preprocessor(name: str, **values: object) -> None:
    edit(f"preprocessor-{name}", PREPROCESSOR, lambda p: p.update(values))


def tensors(name: str, change: Callable[[Tensors], object]) -> None:
    kind(f"later-tensors-{name}")(lambda place: place.weights(change))


@kind("later-config-single-quotes")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_text(path.read_text().replace('"', "'"))


@kind("later-config-merge-marks")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_text("<<<<<<< HEAD\n" + path.read_text() + "=======\n>>>>>>> main\n")


@kind("later-config-not-a-number")
def _(place: Place) -> None:
    path = place.path(CONFIG)
    path.write_text(path.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": NaN'))


text("heads-zero", num_attention_heads=0)
text("key-heads-three", num_key_value_heads=3)
text("layers-a-word", num_hidden_layers="3")
text("rotation-base-zero", rope_theta=0.0)
text("activation-gelu", hidden_act="gelu")
text("epsilon-tiny", rms_norm_eps=1e-12)
vision("depth-a-word", depth="4")
vision("patch-a-fraction", patch_size=16.0)
vision("activation-relu", hidden_act="relu")
vision("positions-fewer", num_position_embeddings=49)
preprocessor("factor-one", rescale_factor=1.0)
preprocessor("spread-tenth", image_std=[0.05, 0.05, 0.05])
preprocessor("way-of-sizing-other", resample=0)
preprocessor("patch-a-word", patch_size="16")
preprocessor("colours-not-converted", do_convert_rgb=False)
edit("generation-temperature-added", GENERATION, lambda g: g.update(temperature=1.5, top_k=3))
edit("tokenizer-merges-gone", TOKENIZER, lambda t: t["model"].update(merges=[]))
edit("tokenizer-words-gone", TOKENIZER, lambda t: t["model"].update(vocab={}))
edit("tokenizer-lower-case", TOKENIZER, lambda t: t.update(normalizer={"type": "Lowercase"}))
edit("tokenizer-config-adds-start", TOKENIZER_CONFIG, lambda t: t.update(add_bos_token=True))
kind("later-template-says-nothing")(lambda place: templates(place, "Hello."))
kind("later-template-of-another")(
    lambda place: templates(
        place,
        "{% for m in messages %}[INST]{% for c in m.content %}{% if c.type == 'image' %}[IMG]"
        "{% else %}{{ c.text }}{% endif %}{% endfor %}[/INST]{% endfor %}",
    )
)


def exchanged(tensors: Tensors) -> None:
    one, other = LAYER + "0.input_layernorm.weight", LAYER + "2.input_layernorm.weight"
    tensors[one], tensors[other] = tensors[other], tensors[one]


def filled(tensors: Tensors, name: str, value: float) -> None:
    entry, data = tensors[name]
    tensors[name] = (entry, struct.pack("<f", value) * (len(data) // 4))


tensors("norms-exchanged", exchanged)
tensors("no-numbers", lambda t: filled(t, "language_model.model.norm.weight", float("nan")))
tensors("scales-of-nothing", lambda t: filled(t, Q + ".scales", 0.0))
tensors("prefix-twice", lambda t: t.update({"model." + n: t.pop(n) for n in [*t]}))
tensors(
    "layer-numbers-from-one",
    lambda t: t.update(
        {
            n.replace(f"layers.{i}.", f"layers.{i + 1}."): t.pop(n)
            for i in (2, 1, 0)
            for n in [*t]
            if f"model.layers.{i}." in n
        }
    ),
)


@kind("later-weights-cut-by-a-page")
def _(place: Place) -> None:
    path = place.path(WEIGHTS)
    os.truncate(path, path.stat().st_size - 4096)


@kind("later-weights-renamed-in-capitals", ("folder",))
def _(place: Place) -> None:
    (place.folder / WEIGHTS).rename(place.folder / "MODEL.SAFETENSORS")


@kind("later-weights-numbered-one-of-one", ("folder",))
def _(place: Place) -> None:
    (place.folder / WEIGHTS).rename(place.folder / "model-00001-of-00001.safetensors")


@kind("later-beside-a-copy-of-all", ("folder",))
def _(place: Place) -> None:
    shutil.copytree(place.folder, place.base / "copy")
    (place.base / "copy").rename(place.folder / "copy")


@kind("later-blob-of-config-empty", ("cache",))
def _(place: Place) -> None:
    os.truncate(place.path(CONFIG), 0)


@kind("later-link-to-tokenizer-config", ("cache",))
def _(place: Place) -> None:
    link = place.folder / TOKENIZER
    target = os.readlink(place.folder / TOKENIZER_CONFIG)
    link.unlink()
    link.symlink_to(target)


@kind("later-ref-of-two-lines", ("cache",))
def _(place: Place) -> None:
    path = place.home / "refs" / "main"
    path.write_text(path.read_text() + "\nmain\n")
