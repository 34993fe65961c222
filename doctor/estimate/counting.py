"""Weights counted from a config, for a model whose files are not here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from doctor.estimate import fastvit
from doctor.estimate.architecture import (
    FASTVLM,
    MOST_LAYERS,
    MOST_WIDTH,
    Architecture,
    Text,
    Vision,
    number,
    read,
    section,
    word,
)
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
    embedding = (text.vocabulary * text.hidden + text.layer_inputs) * one
    experts = _experts(text) * one
    head = 0 if text.tied else text.vocabulary * text.hidden * one
    seen = 0.0
    if vision is not None:
        seen = _tower(architecture, vision) * (one if quantised_vision else width)
    heard = _hearing(config) * width
    dense = _dense(text) * one
    return WeightSizes(
        total=int(embedding + experts + head + dense + seen + heard),
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


def _hearing(config: Mapping[str, object]) -> float:
    """The parameters of a tower for sounds: of conformers, or of plain layers.

    A conformer has two feed-forward halves, attention and a convolution (gemma3n/audio.py).
    """
    part = section(config, "audio_config")
    width = number(part, ("hidden_size", "d_model"), MOST_WIDTH)
    if width is None:
        return 0
    conformers = number(part, ("conf_num_hidden_layers",), MOST_LAYERS)
    if conformers:
        return conformers * 23.0 * width**2
    layers = number(part, ("num_hidden_layers", "encoder_layers"), MOST_LAYERS) or 0
    return layers * 12.0 * width**2


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
    width = text.experts * text.expert_intermediate + text.more_experts
    return sparse * 3.0 * text.hidden * width


def _tower(architecture: Architecture, vision: Vision) -> float:
    if architecture.type in FASTVLM:
        return fastvit.PARAMETERS + architecture.text.hidden * (
            fastvit.OUTPUT + architecture.text.hidden
        )
    named = re.search(r"_(\d{1,4})m(?:_|$)", vision.name)
    if named:  # "mobilenetv5_300m_enc"
        return int(named[1]) * 1e6
    size = vision.heads * vision.head_dim
    feed = vision.hidden * vision.intermediate * (3 if vision.gated else 2)
    total = vision.layers * (4.0 * vision.hidden * size + feed)
    total += 3 * vision.temporal * vision.patch**2 * vision.hidden
    merged = vision.hidden * vision.merge**2
    hidden = architecture.text.hidden
    mergers = 1 + vision.deepstack
    return total + mergers * merged * ((merged if vision.merge > 1 else 0) + hidden)
