"""A model's numbers, from its ``config.json``: the language model's, and the vision tower's.

Configs differ in their names and agree in their terms; the names are those of transformers' and
mlx-vlm's own config classes. Numbers that no model has (10^12 layers, NaN, negative sizes) are
refused, so that nothing after this has to fear them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from doctor.estimate.terms import Absurd, NotEstimable

Config = Mapping[str, object]

# No published model comes near these.
MOST_LAYERS, MOST_WIDTH, MOST_VOCABULARY, MOST_EXPERTS = 1_000, 262_144, 4_000_000, 4_096
# The longest edge of a picture, in pixels.
MOST_SIDE = 100_000
# Types whose heads of words are their embedding tables although their configs do not say so.
TIED = ("gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "gemma4")
# FastVLM's own name for itself, and that of its published configs.
FASTVLM = ("fastvlm", "llava_qwen2")
# Language models that norm each result before they add it (``post_feedforward_layernorm`` or
# ``post_mlp_layernorm`` in mlx_vlm/models/<type>/language.py). GLM's with experts do not.
RESULT_NORMS = (
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n",
    "gemma3n_text",
    "gemma4",
    "gemma4_text",
    "glm4v",
    "glm4v_text",
    "glm_ocr",
    "glm_ocr_text",
)


@dataclass(frozen=True)
class Text:
    """The language model. ``kinds`` says of each layer ``full``, ``sliding`` or ``state``.

    ``state`` layers (linear attention, convolutions) keep a state of fixed size in place of a KV
    cache: ``state_bytes`` each. Where they are gated delta networks, ``delta_keys`` and
    ``delta_values`` are the widths of their keys (as of their queries) and values, and
    ``delta_heads`` the number of their heads of values, else 0.
    ``kv_width`` is what one token adds to the cache of one layer, in elements. ``biased`` tells
    that the matrices of queries, keys and values have biases, ``query_gates`` that the queries'
    makes a gate beside each, ``result_norms`` that the results of attention and of the feed-forward
    layer are normed before they are added. ``more_experts`` is the width of experts of another
    kind in all (ERNIE's, for pictures), ``layer_inputs`` the parameters of a table that gives each
    layer an input of its own (Gemma 3n and 4).
    """

    type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    gated: bool
    kinds: tuple[str, ...]
    window: int | None
    kv_width: int
    biased: bool
    query_norms: bool
    query_gates: bool
    result_norms: bool
    delta_keys: int
    delta_values: int
    delta_heads: int
    state_bytes: int
    experts: int
    experts_used: int
    expert_intermediate: int
    more_experts: int
    shared_intermediate: int
    dense_layers: int
    layer_inputs: int


@dataclass(frozen=True)
class Vision:
    """The vision tower.

    ``name`` is its architecture's, where the config gives one (a timm model's).
    ``patch`` and ``image_size`` are pixels, ``merge`` is the side of the square of patches that
    becomes one token. ``tiles`` is the most tiles that a picture is cut into, the picture as a
    whole aside, where the config says (else 0); ``canvases`` are the sizes, width and height, that
    it may be brought to before it is cut, where the config lists them.
    """

    type: str
    name: str
    layers: int
    hidden: int
    heads: int
    head_dim: int
    intermediate: int
    patch: int
    temporal: int
    merge: int
    image_size: int
    gated: bool
    window: int
    full_layers: tuple[int, ...]
    deepstack: int
    out_hidden: int
    tiles: int
    canvases: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Architecture:
    """A whole model: its ``model_type`` and its two parts (no vision: ``None``)."""

    type: str
    text: Text
    vision: Vision | None


def section(config: Config, *names: str) -> Config:
    """The first of these parts of a config that is an object; empty where there is none."""
    for name in names:
        part = config.get(name)
        if isinstance(part, Mapping) and part:
            return part
    return {}


def number(config: Config, names: tuple[str, ...], most: int, least: int = 1) -> int | None:
    """The first of these fields that is there, as a whole number.

    Raises ``NotEstimable`` where it is there and is no such number.
    """
    for name in names:
        value = config.get(name)
        if value is None:
            continue
        if isinstance(value, list) and value and all(item == value[0] for item in value):
            value = value[0]
        if isinstance(value, Mapping):  # {"height": 14, "width": 14}
            value = value.get("height")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise NotEstimable(f"{name} in config.json is no number")
        if not math.isfinite(value) or not least <= value <= most:
            # Less than nothing is some configs' word for none, where a number may be missing.
            kind = Absurd if value > most or not math.isfinite(value) else NotEstimable
            raise kind(f"{name} in config.json is {value:.6g}, which no model has")
        return int(value)
    return None


def needed(config: Config, part: str, names: tuple[str, ...], most: int) -> int:
    """As ``number``. Raises ``NotEstimable`` where the field is missing."""
    first = next((config[name] for name in names if config.get(name) is not None), None)
    if isinstance(first, (int, float)) and first < 0:
        raise Absurd(f"{names[0]} in config.json is {first:.6g}, which no model has")
    value = number(config, names, most)
    if value is None:
        raise NotEstimable(f"config.json does not say the {names[0]} of the {part}")
    return value


def word(config: Config, name: str) -> str:
    """A field that is text; empty where it is not."""
    value = config.get(name)
    return value if isinstance(value, str) and len(value) <= 100 else ""


def read(config: Config) -> Architecture:
    """The numbers of a model. Raises ``NotEstimable`` where the config does not tell them."""
    kind = word(config, "model_type")
    if not kind:
        raise NotEstimable("config.json names no model_type")
    return Architecture(kind, _text(config), _vision(config, kind))


def _text(config: Config) -> Text:
    part = section(config, "text_config", "llm_config", "language_config", "thinker_config")
    part = section(part, "text_config") or part
    # Older configs keep the language model's numbers at the top, beside a part of other things.
    merged: Config = {**{key: value for key, value in config.items() if key not in part}, **part}
    kind = word(part, "model_type") or word(config, "model_type")
    layers = needed(
        merged, "language model", ("num_hidden_layers", "n_layers", "num_layers"), MOST_LAYERS
    )
    hidden = needed(
        merged, "language model", ("hidden_size", "d_model", "n_embd", "dim"), MOST_WIDTH
    )
    heads = needed(merged, "language model", ("num_attention_heads", "n_heads"), MOST_EXPERTS)
    kv_heads = number(merged, ("num_key_value_heads", "n_kv_heads"), MOST_EXPERTS) or heads
    head_dim = number(merged, ("head_dim",), MOST_WIDTH) or max(1, hidden // heads)
    intermediate = (
        number(
            {**merged, "intermediate_size": _largest(merged.get("intermediate_size"))},
            ("intermediate_size", "ffn_hidden_size", "d_ff"),
            4 * MOST_WIDTH,
        )
        or 4 * hidden
    )
    merged, more = _first_experts(merged)
    experts = number(
        merged,
        ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"),
        MOST_EXPERTS,
        0,
    )
    used = number(
        merged,
        ("num_experts_per_tok", "top_k_experts", "moe_k", "moe_top_k", "num_experts_per_token"),
        MOST_EXPERTS,
        0,
    )
    expert = number(
        merged, ("moe_intermediate_size", "expert_intermediate_size"), MOST_WIDTH * 4, 0
    )
    shared = number(
        merged,
        ("shared_expert_intermediate_size", "share_expert_dim", "moe_shared_intermediate_size"),
        MOST_WIDTH * 4,
        0,
    )
    if shared is None:
        count = number(
            merged, ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 64, 0
        )
        shared = (count or 0) * (expert or 0)
    dense = number(
        merged,
        ("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers"),
        MOST_LAYERS,
        0,
    )
    kinds = _kinds(merged, kind, layers)
    rank = number(merged, ("kv_lora_rank",), MOST_WIDTH, 0)
    rotary = number(merged, ("qk_rope_head_dim",), MOST_WIDTH, 0) or 0
    kv_width = 2 * kv_heads * head_dim
    if config.get("model_type") == "deepseek_vl_v2" and merged.get("qk_nope_head_dim") == 0:
        rank = 0  # its smallest size has plain heads, whatever the ranks say
    if rank:
        nope = number(merged, ("qk_nope_head_dim",), MOST_WIDTH, 0) or head_dim
        head_dim = nope + rotary
        kv_width = rank + rotary
        if config.get("model_type") == "deepseek_vl_v2":
            # Its cache keeps the keys and values of all heads, not what they are made from.
            values_of_one = number(merged, ("v_head_dim",), MOST_WIDTH) or nope
            kv_width = heads * (head_dim + values_of_one)
    keys, values, delta_heads, state = _delta(merged)
    return Text(
        type=kind,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        vocabulary=number(merged, ("vocab_size",), MOST_VOCABULARY) or 32_000,
        tied=_tied(config, part, kind),
        gated=word(merged, "hidden_act") not in ("gelu_new", "relu2"),
        kinds=kinds,
        window=number(merged, ("sliding_window",), 2**40, 0) or None,
        kv_width=kv_width,
        biased=merged.get("attention_bias") is True
        or "qwen2" in kind
        or kind in ("llava_bunny", "fastvlm"),
        query_norms=kind.startswith(("qwen3", "gemma3", "gemma4", "glm4v_moe_text")),
        query_gates=keys > 0 and merged.get("attn_output_gate") is not False,
        result_norms=kind in RESULT_NORMS,
        delta_keys=keys,
        delta_values=values,
        delta_heads=delta_heads,
        state_bytes=state or heads * head_dim * 128 * 2,
        experts=(experts or 0) if (used or experts) else 0,
        experts_used=used or 0,
        expert_intermediate=expert or intermediate,
        more_experts=more,
        shared_intermediate=shared,
        dense_layers=min(dense or 0, layers),
        layer_inputs=layers
        * (number(merged, ("hidden_size_per_layer_input",), MOST_WIDTH, 0) or 0)
        * (number(merged, ("vocab_size_per_layer_input",), MOST_VOCABULARY, 0) or 0),
    )


def _first_experts(merged: Config) -> tuple[Config, int]:
    """A config with its first kind of experts alone, and the width of the others in all."""
    counts, widths = merged.get("moe_num_experts"), merged.get("moe_intermediate_size")
    if not isinstance(counts, list) or not isinstance(widths, list):
        return merged, 0
    pairs = [
        (
            number({"moe_num_experts": count}, ("moe_num_experts",), MOST_EXPERTS, 0) or 0,
            number({"moe_intermediate_size": width}, ("moe_intermediate_size",), MOST_WIDTH, 0)
            or 0,
        )
        for count, width in zip(counts[:8], widths[:8], strict=False)
    ]
    first = {"moe_num_experts": counts[0], "moe_intermediate_size": widths[0]} if pairs else {}
    return {**merged, **first}, sum(count * width for count, width in pairs[1:])


def _delta(merged: Config) -> tuple[int, int, int, int]:
    """A gated delta network's widths of keys and values, heads, and state in bytes; else zeros.

    The state is a float32 matrix for each head of values (mlx_vlm/models/qwen3_5/gated_delta.py);
    the few inputs that its convolution keeps are as nothing beside it.
    """
    heads = number(merged, ("linear_num_value_heads",), MOST_EXPERTS) or 0
    size = number(merged, ("linear_value_head_dim",), MOST_WIDTH) or 0
    key_heads = number(merged, ("linear_num_key_heads",), MOST_EXPERTS) or 0
    key_size = number(merged, ("linear_key_head_dim",), MOST_WIDTH) or 0
    if not (heads and size and key_heads and key_size):
        return 0, 0, 0, 0
    return key_heads * key_size, heads * size, heads, heads * size * key_size * 4


def _largest(value: object) -> object:
    """Of a number for each layer (gemma3n), the largest."""
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return max(value)
    return value


def _tied(config: Config, part: Config, kind: str) -> bool:
    for holder in (config, part):
        value = holder.get("tie_word_embeddings")
        if isinstance(value, bool):
            return value
    return kind in TIED or word(config, "model_type") in ("paligemma", *FASTVLM)


def _kinds(merged: Config, kind: str, layers: int) -> tuple[str, ...]:
    """What each layer keeps: everything, a window, or a state."""
    listed = merged.get("layer_types")
    if isinstance(listed, list) and len(listed) == layers:
        return tuple(
            "sliding"
            if item in ("sliding_attention", "chunked_attention")
            else "full"
            if item in ("full_attention", "attention")
            else "state"
            for item in listed
        )
    every = number(merged, ("full_attention_interval",), MOST_LAYERS)
    if every:
        return tuple("full" if (index + 1) % every == 0 else "state" for index in range(layers))
    chosen = merged.get("full_attn_idxs")
    if isinstance(chosen, list):
        return tuple("full" if index in chosen else "state" for index in range(layers))
    pattern = number(merged, ("sliding_window_pattern", "_sliding_window_pattern"), MOST_LAYERS)
    if pattern is None and kind in ("gemma3_text", "gemma3"):
        pattern = 6
    if pattern:
        return tuple("full" if (index + 1) % pattern == 0 else "sliding" for index in range(layers))
    return ("full",) * layers


def _fastvlm(config: Config, kind: str) -> Vision:
    """FastVLM's tower, whose sizes mlx-vlm fixes (see ``fastvit.py``); its edge is in its name."""
    named = re.fullmatch(r"mobileclip_l_(\d{3,4})", word(config, "mm_vision_tower"))
    return Vision(
        type=kind,
        name="FastViTHD",
        layers=44,
        hidden=3_072,
        heads=48,
        head_dim=32,
        intermediate=6_144,
        patch=64,
        temporal=1,
        merge=1,
        image_size=int(named[1]) if named else 1_024,
        gated=False,
        window=0,
        full_layers=(),
        deepstack=0,
        out_hidden=3_072,
        tiles=0,
        canvases=(),
    )


def _vision(config: Config, kind: str) -> Vision | None:
    if kind in FASTVLM:
        return _fastvlm(config, kind)
    part = section(config, "vision_config", "vit_config", "vision_tower_config")
    part = section(part, "vision_config") or part
    if not part:
        return None
    width = number(part, ("embed_dim", "hidden_size", "width", "d_model"), MOST_WIDTH)
    if width is None:
        return None
    layers = number(
        part, ("depth", "num_hidden_layers", "layers", "n_layers", "num_layers"), MOST_LAYERS
    )
    deepseek = kind == "deepseek_vl_v2"  # what its configs leave out is in mlx-vlm's config.py
    heads = number(part, ("num_heads", "num_attention_heads", "heads"), MOST_EXPERTS) or (
        16 if deepseek else max(1, width // 64)
    )
    ratio = part.get("mlp_ratio")
    by_ratio = int(width * ratio) if isinstance(ratio, (int, float)) and 0 < ratio < 64 else None
    intermediate = number(part, ("intermediate_size",), 4 * MOST_WIDTH) or by_ratio or 4 * width
    if kind in ("glm4v", "glm4v_moe"):
        # Its blocks are as wide inside as the tower's output; the named width is the merger's.
        intermediate = number(part, ("out_hidden_size",), MOST_WIDTH) or intermediate
    full = part.get("fullatt_block_indexes")
    deep = part.get("deepstack_visual_indexes")
    return Vision(
        type=word(part, "model_type") or kind,
        name=word(part, "architecture"),
        layers=layers or 24,
        hidden=width,
        heads=heads,
        head_dim=number(part, ("head_dim",), MOST_WIDTH) or max(1, width // heads),
        intermediate=intermediate,
        patch=number(part, ("patch_size", "spatial_patch_size"), 1_024) or 14,
        temporal=number(part, ("temporal_patch_size",), 16) or 1,
        merge=number(part, ("spatial_merge_size",), 16)
        or number(config, ("spatial_merge_size", "scale_factor", "downsample_factor"), 16)
        or (2 if deepseek else 1),
        image_size=number(part, ("image_size", "img_size"), 65_536) or (384 if deepseek else 0),
        gated=kind in GATED_TOWERS,
        window=number(part, ("window_size",), 65_536, 0) or 0,
        full_layers=tuple(item for item in full if type(item) is int)
        if isinstance(full, list)
        else (),
        deepstack=len(deep) if isinstance(deep, list) else 0,
        out_hidden=number(part, ("out_hidden_size", "projection_dim"), MOST_WIDTH) or width,
        tiles=number(config, ("max_dynamic_patch",), 256) or 0,
        canvases=sizes(config.get("candidate_resolutions")),
    )


def sizes(listed: object) -> tuple[tuple[int, int], ...]:
    """The pairs of a list of sizes, as far as they are sizes of pictures; at most 64."""
    return tuple(
        (pair[0], pair[1])
        for pair in (listed if isinstance(listed, list) else [])[:64]
        if isinstance(pair, list)
        and len(pair) == 2
        and all(type(edge) is int and 1 <= edge <= MOST_SIDE for edge in pair)
    )


# Types whose vision towers have gated feed-forward layers (two matrices up, one down).
GATED_TOWERS = ("qwen2_5_vl", "pixtral", "mistral3", "glm4v", "glm4v_moe", "dots_ocr")
