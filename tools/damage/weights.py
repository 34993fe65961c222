"""Damage to weights: files cut or replaced, headers that lie, tensors gone or changed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
from collections.abc import Callable
from typing import Any

from tools.damage.kinds import BOTH, EXPECTED, Damage, kind
from tools.damage.places import INDEX, SHARDS, WEIGHTS, Header, Place, Tensors, split

LFS = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 1792472\n"
)
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Proxy</body></html>\n"
LAYER = "language_model.model.layers."
Q = LAYER + "1.self_attn.q_proj"

UNFITTING = ("weights-unfitting",)
# A module's tensors that are packed otherwise than the rest are told as either.
PACKED = ("quantization-unfitting", "weights-unfitting")
# Of shards that are not there it can be said that they are, or which tensors are lost by it.
SHARDS_GONE = ("weights-missing", "weights-unfitting")

EXPECTED |= {
    "weights-": ("weights-damaged",),
    "header-": ("weights-damaged",),
    "header-dtype-narrower": ("weights-damaged", "weights-unfitting"),
    "header-dtype-same-width": (*PACKED, "weights-damaged"),
    "header-shape-larger": ("weights-damaged", "weights-unfitting"),
    "header-shape-turned": UNFITTING,
    "header-shape-flat": UNFITTING,
    "header-offsets-exchanged": ("model-file-edited",),
    "header-hole": ("weights-damaged", "weights-unfitting"),
    "tensor": UNFITTING,
    "tensor-gone-weight": PACKED,
    "tensor-gone-scales": PACKED,
    "tensor-gone-biases": PACKED,
    "tensor-half-the-rows": PACKED,
    "tensors-gone-all": (*UNFITTING, "weights-missing"),
    "module-": PACKED,
    "norm-": UNFITTING,
    "weights-last-tenth-zero": ("model-file-edited",),
    "weights-middle-zero": ("model-file-edited",),
    "weights-random-block": ("model-file-edited",),
    "weights-bit-flipped-in-scales": ("model-file-edited",),
    "weights-bit-flipped-in-header-name": ("weights-damaged", "weights-unfitting"),
    "weights-gone": ("weights-missing",),
    "weights-a-folder": ("weights-missing", "weights-damaged"),
    "weights-a-pipe": ("weights-missing", "weights-damaged"),
    "weights-with-the-browsers-suffix": ("weights-missing",),
    "weights-in-torchs-form": ("weights-missing",),
    "weights-and-another-models": UNFITTING,
    "weights-and-older-ones": UNFITTING,
    "shard-gone": SHARDS_GONE,
    "shard-empty": ("weights-damaged",),
    "shard-cut": ("weights-damaged",),
    "shard-lfs-pointer": ("weights-damaged",),
    "shard-twice-the-same": SHARDS_GONE,
    "shard-renamed": SHARDS_GONE,
    "shards-only-the-last": SHARDS_GONE,
    "shard-lacks-a-tensor": UNFITTING,
    "index-": ("weights-index-wrong",),
    "index-lacks-a-shard": ("weights-index-wrong", "weights-unfitting"),
    "index-of-another-model": ("weights-index-wrong", *SHARDS_GONE),
    "index-leads-outside": ("weights-index-wrong", *SHARDS_GONE),
}


def bytes_kind(name: str, change: Callable[[bytes], bytes]) -> None:
    """A kind that changes the weights file's bytes."""

    def damage(place: Place) -> None:
        path = place.path(WEIGHTS)
        path.write_bytes(change(path.read_bytes()))

    kind(name)(damage)


def header_kind(name: str, change: Callable[[Header], object]) -> None:
    """A kind that changes the weights' header alone."""
    kind(name)(lambda place: place.header(change))


def tensors_kind(name: str, change: Callable[[Tensors], object]) -> None:
    """A kind that changes the weights' tensors, packed anew as they should be."""
    kind(name)(lambda place: place.weights(change))


def without(tensors: Tensors, fits: Callable[[str], bool]) -> None:
    for name in [name for name in tensors if fits(name)]:
        del tensors[name]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]


bytes_kind("weights-empty", lambda content: b"")
bytes_kind("weights-cut-to-half", lambda content: content[: len(content) // 2])
bytes_kind("weights-cut-by-one-byte", lambda content: content[:-1])
bytes_kind("weights-cut-in-header", lambda content: content[:5000])
bytes_kind("weights-cut-to-seven-bytes", lambda content: content[:7])
bytes_kind("weights-cut-after-header", lambda content: content[:21240])
bytes_kind("weights-lfs-pointer", lambda content: LFS.encode())
bytes_kind("weights-web-page", lambda content: PAGE.encode())
bytes_kind("weights-all-zeros", lambda content: bytes(len(content)))
bytes_kind("weights-first-kilobyte-zero", lambda content: bytes(1024) + content[1024:])
bytes_kind("weights-last-tenth-zero", lambda content: content[:-180_000] + bytes(180_000))
bytes_kind("weights-middle-zero", lambda c: c[:900_000] + bytes(65536) + c[965_536:])
bytes_kind("weights-random-block", lambda c: c[:300_000] + b"\xa7\x3c" * 20_000 + c[340_000:])
bytes_kind("weights-bit-flipped-in-scales", lambda content: flipped(content, 21240 + 50_003))
bytes_kind("weights-bit-flipped-in-header-name", lambda content: flipped(content, 120))
bytes_kind("weights-header-length-huge", lambda c: struct.pack("<Q", 2**62) + c[8:])
bytes_kind("weights-header-length-one-more", lambda c: struct.pack("<Q", 21233) + c[8:])
bytes_kind("weights-header-length-one-less", lambda c: struct.pack("<Q", 21231) + c[8:])
bytes_kind("weights-header-no-json", lambda content: content[:8] + b"[" + content[9:])
bytes_kind("weights-header-no-text", lambda c: c[:200] + b"\xff\xfe\xff" + c[203:])
bytes_kind("weights-trailing-bytes", lambda content: content + b"\0" * 100)
bytes_kind("weights-twice-in-one-file", lambda content: content + content)
bytes_kind("weights-compressed", lambda content: gzip.compress(content, 1))
bytes_kind("weights-first-byte-lost", lambda content: content[1:])


header_kind(
    "header-dtype-narrower", lambda h: h["vision_tower.pos_embed.weight"].update(dtype="F16")
)
header_kind("header-dtype-same-width", lambda h: h[Q + ".scales"].update(dtype="I32"))
header_kind("header-dtype-unknown", lambda h: h[Q + ".scales"].update(dtype="F7_E9"))
header_kind(
    "header-shape-larger", lambda h: h["vision_tower.pos_embed.weight"].update(shape=[65, 96])
)
header_kind(
    "header-shape-turned", lambda h: h["vision_tower.pos_embed.weight"].update(shape=[96, 64])
)
header_kind(
    "header-shape-flat", lambda h: h["vision_tower.pos_embed.weight"].update(shape=[64 * 96])
)


@kind("header-offsets-exchanged")
def _(place: Place) -> None:
    def change(header: Header) -> None:
        one, other = header[LAYER + "0.mlp.up_proj.weight"], header[LAYER + "1.mlp.up_proj.weight"]
        one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]

    place.header(change)


def moved(header: Header, by: int) -> None:
    last = max(
        (name for name in header if name != "__metadata__"),
        key=lambda name: header[name]["data_offsets"][1],
    )
    start, end = header[last]["data_offsets"]
    header[last]["data_offsets"] = [start + by, end + by]


header_kind("header-offset-past-the-end", lambda header: moved(header, 4096))
header_kind("header-offset-overlaps", lambda header: moved(header, -64))
header_kind("header-offset-negative", lambda h: h[Q + ".scales"].update(data_offsets=[-8, 2040]))
header_kind("header-offsets-missing", lambda h: h[Q + ".scales"].pop("data_offsets"))
header_kind("header-entry-no-object", lambda h: h.update({Q + ".scales": 7}))
header_kind("header-hole", lambda header: header.pop(LAYER + "0.input_layernorm.weight"))
header_kind("header-without-metadata", lambda header: header.pop("__metadata__"))
header_kind("header-more-metadata", lambda h: h["__metadata__"].update(note="made by somebody"))


@kind("header-padded")
def _(place: Place) -> None:
    path = place.path(WEIGHTS)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(
        struct.pack("<Q", length + 64) + content[8 : 8 + length] + b" " * 64 + content[8 + length :]
    )


tensors_kind("tensors-in-another-order", lambda t: t.update({n: t.pop(n) for n in sorted(t)[::-1]}))
tensors_kind("tensor-gone-norm", lambda t: t.pop(LAYER + "1.input_layernorm.weight"))
tensors_kind("tensor-gone-last-norm", lambda t: t.pop("language_model.model.norm.weight"))
tensors_kind("tensor-gone-weight", lambda t: t.pop(Q + ".weight"))
tensors_kind("tensor-gone-scales", lambda t: t.pop(Q + ".scales"))
tensors_kind("tensor-gone-biases", lambda t: t.pop(Q + ".biases"))
tensors_kind("tensor-gone-vision-bias", lambda t: t.pop("vision_tower.blocks.2.attn.qkv.bias"))
tensors_kind("tensor-gone-positions", lambda t: t.pop("vision_tower.pos_embed.weight"))
tensors_kind("tensors-gone-module", lambda t: without(t, lambda n: n.startswith(Q)))
tensors_kind("tensors-gone-layer", lambda t: without(t, lambda n: n.startswith(LAYER + "1.")))
tensors_kind("tensors-gone-last-layer", lambda t: without(t, lambda n: n.startswith(LAYER + "2.")))
tensors_kind("tensors-gone-text", lambda t: without(t, lambda n: n.startswith("language_model")))
tensors_kind("tensors-gone-vision", lambda t: without(t, lambda n: n.startswith("vision_tower")))
tensors_kind("tensors-gone-block", lambda t: without(t, lambda n: ".blocks.3." in n))
tensors_kind("tensors-gone-merger", lambda t: without(t, lambda n: "vision_tower.merger" in n))
tensors_kind("tensors-gone-deepstack", lambda t: without(t, lambda n: "deepstack" in n))
tensors_kind("tensors-gone-embedding", lambda t: without(t, lambda n: "embed_tokens" in n))
tensors_kind("tensors-gone-all", lambda t: t.clear())
tensors_kind("tensor-renamed", lambda t: t.update({Q + ".wieght": t.pop(Q + ".weight")}))
tensors_kind(
    "tensors-of-another-prefix",
    lambda t: t.update({"model." + n: t.pop(n) for n in [*t] if n.startswith("vision")}),
)
tensors_kind(
    "tensor-surplus",
    lambda t: t.update({"language_model.extra.weight": t[LAYER + "0.input_layernorm.weight"]}),
)
tensors_kind(
    "tensor-surplus-position-ids",
    lambda t: t.update({"vision_tower.position_ids": t["vision_tower.blocks.0.norm1.bias"]}),
)
tensors_kind(
    "tensor-surplus-layer",
    lambda t: t.update({n.replace(".2.", ".3."): t[n] for n in [*t] if n.startswith(LAYER + "2.")}),
)


def cut(tensors: Tensors, name: str) -> None:
    """Half of a tensor's rows."""
    entry, data = tensors[name]
    rows, *rest = entry["shape"]
    tensors[name] = ({**entry, "shape": [rows // 2, *rest]}, data[: len(data) // 2])


tensors_kind("tensor-half-the-rows", lambda tensors: cut(tensors, LAYER + "0.mlp.up_proj.weight"))
tensors_kind(
    "tensor-half-the-norm", lambda tensors: cut(tensors, LAYER + "0.input_layernorm.weight")
)


@kind("module-half-the-rows")
def _(place: Place) -> None:
    def change(tensors: Tensors) -> None:
        for part in ("weight", "scales", "biases"):
            cut(tensors, LAYER + "0.mlp.up_proj." + part)

    place.weights(change)


def of_zeros(tensors: Tensors, name: str, dtype: str, shape: list[int], width: int) -> None:
    size = width
    for length in shape:
        size *= length
    tensors[name] = ({"dtype": dtype, "shape": shape}, bytes(size))


tensors_kind("module-in-eight-bits", lambda t: of_zeros(t, Q + ".weight", "U32", [128, 32], 4))


@kind("module-in-larger-groups")
def _(place: Place) -> None:
    def change(tensors: Tensors) -> None:
        for part in (".scales", ".biases"):
            of_zeros(tensors, Q + part, "F32", [128, 2], 4)

    place.weights(change)


@kind("module-not-quantised")
def _(place: Place) -> None:
    def change(tensors: Tensors) -> None:
        for part in (".scales", ".biases"):
            del tensors[Q + part]
        of_zeros(tensors, Q + ".weight", "F32", [128, 128], 4)

    place.weights(change)


@kind("norm-in-half-precision")
def _(place: Place) -> None:
    def change(tensors: Tensors) -> None:
        entry, data = tensors["language_model.model.norm.weight"]
        values = struct.unpack(f"<{len(data) // 4}f", data)
        tensors["language_model.model.norm.weight"] = (
            {**entry, "dtype": "F16"},
            struct.pack(f"<{len(values)}e", *values),
        )

    place.weights(change)


@kind("weights-gone")
def _(place: Place) -> None:
    place.remove(WEIGHTS)


@kind("weights-a-folder", ("folder",))
def _(place: Place) -> None:
    place.remove(WEIGHTS)
    (place.folder / WEIGHTS).mkdir()


@kind("weights-a-pipe", ("folder",))
def _(place: Place) -> None:
    place.remove(WEIGHTS)
    os.mkfifo(place.folder / WEIGHTS)


@kind("weights-under-another-name", ("folder",))
def _(place: Place) -> None:
    (place.folder / WEIGHTS).rename(place.folder / "weights.safetensors")


@kind("weights-with-the-browsers-suffix", ("folder",))
def _(place: Place) -> None:
    (place.folder / WEIGHTS).rename(place.folder / "model.safetensors.part")


@kind("weights-in-torchs-form", ("folder",))
def _(place: Place) -> None:
    (place.folder / WEIGHTS).rename(place.folder / "pytorch_model.bin")


@kind("weights-and-a-copy", ("folder",))
def _(place: Place) -> None:
    shutil.copyfile(place.folder / WEIGHTS, place.folder / "model (1).safetensors")


@kind("weights-and-consolidated", ("folder",))
def _(place: Place) -> None:
    (place.folder / "consolidated.safetensors").write_bytes(b"\x05")


@kind("weights-and-a-cut-copy", ("folder",))
def _(place: Place) -> None:
    data = (place.folder / WEIGHTS).read_bytes()
    (place.folder / "model-old.safetensors").write_bytes(data[: len(data) // 3])


@kind("weights-and-another-models", ("folder",))
def _(place: Place) -> None:
    shutil.copyfile(place.folder / WEIGHTS, place.folder / "adapters.safetensors")
    place.weights(
        lambda t: t.update({"base_model." + name: t.pop(name) for name in [*t]}),
        "adapters.safetensors",
    )


@kind("weights-and-older-ones", ("folder",))
def _(place: Place) -> None:
    shutil.copyfile(place.folder / WEIGHTS, place.folder / "model-00001-of-00001.safetensors")

    def change(tensors: Tensors) -> None:
        entry, data = tensors["language_model.model.norm.weight"]
        tensors["language_model.model.norm.weight"] = (entry, bytes(len(data)))

    for name in (WEIGHTS, "model-00001-of-00001.safetensors"):
        if next(place.folder.glob("*.safetensors")).name != name:
            place.weights(change, name)


# Shards and their index.


def sharded(name: str, layouts: tuple[str, ...] = BOTH) -> Callable[[Damage], Damage]:
    return kind(name, layouts, sharded=True)


@sharded("shards-whole")
def _(place: Place) -> None:
    pass


@sharded("shard-gone")
def _(place: Place) -> None:
    place.remove(SHARDS[1])


@sharded("shard-empty")
def _(place: Place) -> None:
    place.path(SHARDS[2]).write_bytes(b"")


@sharded("shard-cut")
def _(place: Place) -> None:
    path = place.path(SHARDS[0])
    path.write_bytes(path.read_bytes()[:-1000])


@sharded("shard-lfs-pointer")
def _(place: Place) -> None:
    place.path(SHARDS[1]).write_text(LFS)


@sharded("shard-twice-the-same")
def _(place: Place) -> None:
    shutil.copyfile(place.path(SHARDS[0]), place.path(SHARDS[1]))


@sharded("shards-exchanged")
def _(place: Place) -> None:
    one, other = place.path(SHARDS[0]).read_bytes(), place.path(SHARDS[1]).read_bytes()
    place.path(SHARDS[0]).write_bytes(other)
    place.path(SHARDS[1]).write_bytes(one)


@sharded("shard-renamed", ("folder",))
def _(place: Place) -> None:
    (place.folder / SHARDS[1]).rename(place.folder / "model-2.safetensors")


@sharded("shard-surplus", ("folder",))
def _(place: Place) -> None:
    shutil.copyfile(place.folder / SHARDS[2], place.folder / "model-00004-of-00004.safetensors")


@sharded("shards-only-the-last")
def _(place: Place) -> None:
    for name in SHARDS[:2]:
        place.remove(name)


@sharded("shard-lacks-a-tensor")
def _(place: Place) -> None:
    place.weights(lambda tensors: tensors.pop(sorted(tensors)[3]), SHARDS[1])


@sharded("index-gone")
def _(place: Place) -> None:
    place.remove(INDEX)


@sharded("index-empty")
def _(place: Place) -> None:
    place.path(INDEX).write_bytes(b"")


@sharded("index-cut")
def _(place: Place) -> None:
    path = place.path(INDEX)
    path.write_bytes(path.read_bytes()[:3000])


@sharded("index-lfs-pointer")
def _(place: Place) -> None:
    place.path(INDEX).write_text(LFS)


@sharded("index-of-one-more-shard")
def _(place: Place) -> None:
    place.edit(
        INDEX,
        lambda i: i["weight_map"].update({"extra.weight": "model-00004-of-00004.safetensors"}),
    )


@sharded("index-lacks-a-shard")
def _(place: Place) -> None:
    def change(index: dict[str, Any]) -> None:
        index["weight_map"] = {n: s for n, s in index["weight_map"].items() if s != SHARDS[2]}

    place.edit(INDEX, change)


@sharded("index-lacks-a-tensor")
def _(place: Place) -> None:
    place.edit(INDEX, lambda index: index["weight_map"].pop(LAYER + "1.input_layernorm.weight"))


@sharded("index-names-the-wrong-shard")
def _(place: Place) -> None:
    place.edit(
        INDEX, lambda i: i["weight_map"].update({LAYER + "1.input_layernorm.weight": SHARDS[2]})
    )


@sharded("index-of-another-model")
def _(place: Place) -> None:
    names = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]

    def change(index: dict[str, Any]) -> None:
        index["weight_map"] = {
            "model." + name: names[number % 2] for number, name in enumerate(index["weight_map"])
        }

    place.edit(INDEX, change)


@sharded("index-total-wrong")
def _(place: Place) -> None:
    place.edit(INDEX, lambda index: index["metadata"].update(total_size=12345))


@sharded("index-without-metadata")
def _(place: Place) -> None:
    place.edit(INDEX, lambda index: index.pop("metadata"))


@sharded("index-map-a-list")
def _(place: Place) -> None:
    place.edit(INDEX, lambda index: index.update(weight_map=[*index["weight_map"]]))


@sharded("index-map-gone")
def _(place: Place) -> None:
    place.edit(INDEX, lambda index: index.pop("weight_map"))


@sharded("index-leads-outside", ("folder",))
def _(place: Place) -> None:
    (place.folder.parent / "elsewhere").mkdir()
    (place.folder / SHARDS[1]).rename(place.folder.parent / "elsewhere" / SHARDS[1])

    def change(index: dict[str, Any]) -> None:
        index["weight_map"] = {
            n: "../elsewhere/" + s if s == SHARDS[1] else s for n, s in index["weight_map"].items()
        }

    place.edit(INDEX, change)


@kind("index-beside-one-file", ("folder",))
def _(place: Place) -> None:
    header, _ = split((place.folder / WEIGHTS).read_bytes())
    names = [name for name in header if name != "__metadata__"]
    (place.folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, WEIGHTS)}))


@kind("index-of-the-original-beside-one-file", ("folder",))
def _(place: Place) -> None:
    names = [f"model.language_model.layers.{number}.x.weight" for number in range(9)]
    (place.folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, SHARDS[0])}))
