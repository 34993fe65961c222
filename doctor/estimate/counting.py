"""Weights counted from a config, for a model whose files are not here."""

from __future__ import annotations

from collections.abc import Mapping

from doctor.estimate.architecture import Architecture, Text, Vision, number, read, section, word
from doctor.estimate.terms import WeightSizes

# What a weight takes in each of MLX's modes of quantisation, beside its own bits: scales (and, in
# the affine mode, offsets) of each group (mlx's documentation of ``mx.quantize``).
GROUPS = {"affine": (64, 32), "mxfp4": (32, 8), "nvfp4": (16, 8), "mxfp8": (32, 8)}


def bits_of(config: Mapping[str, object]) -> float | None:
    """The bits that a quantised weight takes with its scales; null where they are not quantised."""
    part = section(config, "quantization", "quantization_config")
    bits = number(part, ("bits",), 16)
    if bits is None:
        return None
    mode = word(part, "mode")
    size, extra = GROUPS.get(mode, GROUPS["affine"])
    group = number(part, ("group_size",), 4_096) or size
    return bits + extra / group


def mode_of(config: Mapping[str, object]) -> str:
    """MLX's mode of quantisation; ``affine`` where none is named."""
    return word(section(config, "quantization", "quantization_config"), "mode") or "affine"


def weights_of_config(config: Mapping[str, object], quantised_vision: bool = False) -> WeightSizes:
    """The weights that a model of this config has. Raises ``NotEstimable`` as ``read`` does."""
    architecture = read(config)
    text, vision = architecture.text, architecture.vision
    bits = bits_of(config)
    # Conversions that quantise keep what is not quantised in 16 bits.
    wide = "float32" in (word(config, "torch_dtype"), word(config, "dtype"))
    width = 4 if wide and bits is None else 2
    one = width if bits is None else bits / 8
    embedding = text.vocabulary * text.hidden * one
    experts = _experts(text) * one
    head = 0 if text.tied else text.vocabulary * text.hidden * one
    seen = 0.0
    if vision is not None:
        seen = _tower(architecture, vision) * (one if quantised_vision else width)
    dense = _dense(text) * one
    return WeightSizes(
        total=int(embedding + experts + head + dense + seen),
        vision=int(seen),
        embedding=int(embedding),
        experts=int(experts),
        head=int(head),
        largest=int(embedding),
        width=width,
        bits=bits,
        vision_quantised=quantised_vision and bits is not None,
        source="config",
    )


def _dense(text: Text) -> float:
    """The parameters of attention and of what is not in experts."""
    total = 0.0
    size = text.heads * text.head_dim
    for layer, kind in enumerate(text.kinds):
        if kind == "state" and text.delta_keys:
            total += text.hidden * (2 * text.delta_keys + 3 * text.delta_values)
        elif kind == "state":
            total += 4 * text.hidden * size
        else:
            total += text.hidden * ((3 if text.query_gates else 2) * size + text.kv_width)
        if text.experts and layer >= text.dense_layers:
            total += text.hidden * (text.experts + 3 * text.shared_intermediate)
        else:
            total += text.hidden * text.intermediate * (3 if text.gated else 2)
    return total


def _experts(text: Text) -> float:
    sparse = max(0, text.layers - text.dense_layers) if text.experts else 0
    return sparse * text.experts * 3.0 * text.hidden * text.expert_intermediate


def _tower(architecture: Architecture, vision: Vision) -> float:
    size = vision.heads * vision.head_dim
    feed = vision.hidden * vision.intermediate * (3 if vision.gated else 2)
    total = vision.layers * (4.0 * vision.hidden * size + feed)
    total += 3 * vision.temporal * vision.patch**2 * vision.hidden
    merged = vision.hidden * vision.merge**2
    hidden = architecture.text.hidden
    mergers = 1 + vision.deepstack
    return total + mergers * merged * ((merged if vision.merge > 1 else 0) + hidden)
