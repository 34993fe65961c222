"""A tiny Qwen3-VL of the doctor's own, for where the real model is not there.

0.7 million parameters with fixed pseudo-random weights, made on the spot: a real checkpoint of the
real architecture (deepstack included), with the family's special tokens, chat template and
preprocessor files. It proves that the pipeline runs; it understands nothing.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

TYPE = "qwen3_vl"
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
FIRST_SPECIAL = 256
VOCABULARY = FIRST_SPECIAL + len(SPECIAL_TOKENS)
ID = {token: FIRST_SPECIAL + index for index, token in enumerate(SPECIAL_TOKENS)}

TEXT = {
    "model_type": "qwen3_vl_text",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY,
    "rope_theta": 5_000_000,
    "max_position_embeddings": 4096,
    "rope_scaling": {"mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default"},
    "tie_word_embeddings": True,
    "attention_bias": False,
    "hidden_act": "silu",
    "bos_token_id": ID["<|endoftext|>"],
    "eos_token_id": ID["<|im_end|>"],
}
VISION = {
    "model_type": "qwen3_vl",
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "out_hidden_size": 128,
    "num_heads": 2,
    "in_channels": 3,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0],
    "hidden_act": "gelu_pytorch_tanh",
}
PREPROCESSOR = {
    "size": {"longest_edge": 16384, "shortest_edge": 4096},
    "min_pixels": 4096,
    "max_pixels": 16384,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "Qwen3VLProcessor",
    "image_processor_type": "Qwen2VLImageProcessorFast",
}
BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": False,
}
CHAT_TEMPLATE = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{%- if message.content is string %}{{ message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' or 'image' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part.type == 'text' or 'text' in part %}{{ part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}<|im_end|>\n{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{%- endif %}"
)


def write(folder: Path) -> Path:
    """Write the whole model into ``folder`` (made if need be), and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {
        "config.json": {
            "architectures": ["Qwen3VLForConditionalGeneration"],
            "model_type": TYPE,
            "text_config": TEXT,
            "vision_config": VISION,
            "image_token_id": ID["<|image_pad|>"],
            "video_token_id": ID["<|video_pad|>"],
            "vision_start_token_id": ID["<|vision_start|>"],
            "vision_end_token_id": ID["<|vision_end|>"],
            "vocab_size": VOCABULARY,
            "eos_token_id": [ID["<|im_end|>"]],
            "tie_word_embeddings": True,
        },
        "preprocessor_config.json": PREPROCESSOR,
        "video_preprocessor_config.json": {
            **PREPROCESSOR,
            "video_processor_type": "Qwen3VLVideoProcessor",
        },
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer",
            "chat_template": CHAT_TEMPLATE,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": 4096,
        },
    }.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "model.safetensors").write_bytes(_weights())
    return folder


def _tokenizer() -> dict[str, object]:
    """A byte-level tokenizer without merges: one token a byte, then the special tokens."""
    return {
        "version": "1.0",
        "added_tokens": [
            {
                "id": number,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token, number in ID.items()
        ],
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": BYTE_LEVEL,
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "vocab": {letter: number for number, letter in enumerate(_byte_letters())},
            "merges": [],
        },
    }


def _byte_letters() -> list[str]:
    """The letter that byte-level tokenizers write for each of the 256 bytes (as GPT-2 began)."""
    shown = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def _shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor by its name in MLX's layout (convolutions have their channels last)."""
    width, out, hidden = 64, 128, 128
    merged = width * 4
    shapes: dict[str, tuple[int, ...]] = {
        "vision_tower.patch_embed.proj.weight": (width, 2, 16, 16, 3),
        "vision_tower.patch_embed.proj.bias": (width,),
        "vision_tower.pos_embed.weight": (64, width),
    }
    for block in range(2):
        name = f"vision_tower.blocks.{block}"
        for norm in ("norm1", "norm2"):
            shapes |= {f"{name}.{norm}.weight": (width,), f"{name}.{norm}.bias": (width,)}
        for layer, (rows, columns) in {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.linear_fc1": (128, width),
            "mlp.linear_fc2": (width, 128),
        }.items():
            shapes |= {f"{name}.{layer}.weight": (rows, columns), f"{name}.{layer}.bias": (rows,)}
    for merger, normed in (("merger", width), ("deepstack_merger_list.0", merged)):
        name = f"vision_tower.{merger}"
        shapes |= {
            f"{name}.norm.weight": (normed,),
            f"{name}.norm.bias": (normed,),
            f"{name}.linear_fc1.weight": (merged, merged),
            f"{name}.linear_fc1.bias": (merged,),
            f"{name}.linear_fc2.weight": (out, merged),
            f"{name}.linear_fc2.bias": (out,),
        }
    shapes["language_model.model.embed_tokens.weight"] = (VOCABULARY, hidden)
    shapes["language_model.model.norm.weight"] = (hidden,)
    for layer_number in range(2):
        name = f"language_model.model.layers.{layer_number}"
        shapes |= {
            f"{name}.input_layernorm.weight": (hidden,),
            f"{name}.post_attention_layernorm.weight": (hidden,),
            f"{name}.self_attn.q_proj.weight": (128, hidden),
            f"{name}.self_attn.k_proj.weight": (64, hidden),
            f"{name}.self_attn.v_proj.weight": (64, hidden),
            f"{name}.self_attn.o_proj.weight": (hidden, 128),
            f"{name}.self_attn.q_norm.weight": (32,),
            f"{name}.self_attn.k_norm.weight": (32,),
            f"{name}.mlp.gate_proj.weight": (256, hidden),
            f"{name}.mlp.up_proj.weight": (256, hidden),
            f"{name}.mlp.down_proj.weight": (hidden, 256),
        }
    return shapes


def _weights() -> bytes:
    """The safetensors file: an 8-byte length, a JSON header, then the tensors one after another."""
    header: dict[str, object] = {"__metadata__": {"format": "mlx"}}
    parts: list[bytes] = []
    offset = 0
    dice = random.Random(20251207)
    for name, shape in sorted(_shapes().items()):
        count = 1
        for size in shape:
            count *= size
        data = (
            b"\x80\x3f" * count
            if "norm" in name and name.endswith("weight")
            else _noise(dice, count)
        )
        header[name] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def _noise(dice: random.Random, count: int) -> bytes:
    """``count`` bfloat16 numbers of either sign between 1/32 and 1/16, little-endian."""
    exponent = 122  # 2 ** (122 - 127) = 1/32
    low = bytes(((exponent & 1) << 7) | (byte & 127) for byte in range(256))
    high = bytes((byte & 128) | (exponent >> 1) for byte in range(256))
    random_bytes = dice.randbytes(count)
    result = bytearray(2 * count)
    result[0::2] = random_bytes.translate(low)
    result[1::2] = random_bytes.translate(high)
    return bytes(result)
