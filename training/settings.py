"""The shape of the smoke model: the files beside its weights that say what it is."""

from __future__ import annotations

from typing import Any

PATCH = 16
"""Side of one patch in pixels."""
MERGE = 2
"""So many patches a side become one vision token."""
MIN_PIXELS = 96 * 128
"""Smaller pictures are enlarged to at least this area in pixels."""
MAX_PIXELS = 128 * 128
"""Larger pictures are reduced to at most this area in pixels."""
MEAN = STANDARD_DEVIATION = 0.5
"""Qwen3-VL's normalisation, the same in each channel."""
GROUP = 32
"""So many weights in a row share one scale and one bias."""
BITS = 4
MROPE_SECTION = (6, 5, 5)
"""Rotary frequencies for time, height, width: the family's 24, 20, 20 for heads of 32."""
ROPE_THETA = 100.0
"""Small, since positions here are small; the family has 5,000,000."""

INITIAL_DEVIATION = 0.06
"""Of untrained weights; the family's 0.02 suits widths of thousands, not of a hundred."""

TOKEN_FIELDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


def config(tokens: dict[str, int]) -> dict[str, Any]:
    """The content of config.json, in the words of the family's own; `tokens` is the vocabulary."""
    quantization = {"group_size": GROUP, "bits": BITS, "mode": "affine"}
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        **{field: tokens[token] for field, token in TOKEN_FIELDS.items()},
        "eos_token_id": [tokens["<|im_end|>"], tokens["<|endoftext|>"]],
        "pad_token_id": tokens["<|endoftext|>"],
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "text_config": {
            "model_type": "qwen3_vl_text",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": tokens["<|endoftext|>"],
            "eos_token_id": tokens["<|im_end|>"],
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 128,
            "initializer_range": INITIAL_DEVIATION,
            "intermediate_size": 256,
            "max_position_embeddings": 4096,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {
                "mrope_interleaved": True,
                "mrope_section": list(MROPE_SECTION),
                "rope_type": "default",
            },
            "rope_theta": ROPE_THETA,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "use_cache": True,
            "vocab_size": max(tokens.values()) + 1,
        },
        "vision_config": {
            "model_type": "qwen3_vl",
            "deepstack_visual_indexes": [1, 2],
            "depth": 4,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 96,
            "in_channels": 3,
            "initializer_range": INITIAL_DEVIATION,
            "intermediate_size": 192,
            "num_heads": 4,
            "num_position_embeddings": 64,
            "out_hidden_size": 128,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
        },
        "quantization": quantization,
        "quantization_config": quantization,
    }


def preprocessor_config() -> dict[str, Any]:
    """The content of preprocessor_config.json: new fields and old ones side by side."""
    return {
        "size": {"longest_edge": MAX_PIXELS, "shortest_edge": MIN_PIXELS},
        "min_pixels": MIN_PIXELS,
        "max_pixels": MAX_PIXELS,
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "image_mean": [MEAN] * 3,
        "image_std": [STANDARD_DEVIATION] * 3,
        "processor_class": "Qwen3VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }


def video_preprocessor_config() -> dict[str, Any]:
    """The content of video_preprocessor_config.json."""
    return {
        "size": {"longest_edge": 8 * MAX_PIXELS, "shortest_edge": MIN_PIXELS},
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "fps": 2,
        "min_frames": 2,
        "max_frames": 16,
        "image_mean": [MEAN] * 3,
        "image_std": [STANDARD_DEVIATION] * 3,
        "processor_class": "Qwen3VLProcessor",
        "video_processor_type": "Qwen3VLVideoProcessor",
    }


def generation_config(tokens: dict[str, int]) -> dict[str, Any]:
    """The content of generation_config.json: greedy, stopping as the family does."""
    return {
        "do_sample": False,
        "eos_token_id": [tokens["<|im_end|>"], tokens["<|endoftext|>"]],
        "pad_token_id": tokens["<|endoftext|>"],
    }
