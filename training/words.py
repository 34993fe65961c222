"""The smoke model's tokenizer: the family's byte-level scheme with one word as one token.

The scheme is that of Qwen2: NFC, the family's pre-tokenizer, then byte-pair merges, so any text
can be encoded.  The merges of each known word run from its first byte to its last, so every word
of the doctor's questions and answers becomes exactly one token.
"""

from __future__ import annotations

import json
from typing import Any

from doctor.proving import pictures

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

PRETOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The family's split into words, as its published tokenizer.json has it."""

CHAT_TEMPLATE = """\
{%- macro render(content) -%}
{%- if content is string -%}
{{- content -}}
{%- else -%}
{%- for part in content -%}
{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part.type == 'video' or 'video' in part -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- elif 'text' in part -%}
{{- part.text -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + render(message.content) + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Renders system, user and assistant turns with pictures and videos as the family's does."""


def sentences() -> list[str]:
    """Every word that the doctor says or is told, in sentences, in a fixed order."""
    found = ["user", "assistant", "system", "\n"]
    found.extend(pictures.QUESTIONS[q][lang] for q in pictures.QUESTIONS for lang in ("en", "ru"))
    found.extend(pictures.UNSEEN.values())
    for seed in range(2000):
        what = pictures.picture(seed)
        for language in pictures.LANGUAGES:
            found.extend(pictures.answer(what, q, language) for q in pictures.QUESTIONS)
    return found


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte, as in GPT-2's byte-level scheme."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + len(letters) - len(plain))
    return letters


def build() -> dict[str, Any]:
    """The content of tokenizer.json."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZER), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    normalise = normalizers.NFC()
    vocabulary = [byte_letters()[byte] for byte in range(256)]
    merges: list[tuple[str, str]] = []
    known = set(vocabulary)
    for sentence in dict.fromkeys(sentences()):
        for word, _ in split.pre_tokenize_str(normalise.normalize_str(sentence)):
            for end in range(2, len(word) + 1):
                if word[:end] not in known:
                    known.add(word[:end])
                    vocabulary.append(word[:end])
                    merges.append((word[: end - 1], word[end - 1]))
    first_special = len(vocabulary)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": first_special + index,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index, token in enumerate(SPECIAL_TOKENS)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": PRETOKENIZER},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": False,
                    "use_regex": False,
                },
            ],
        },
        "post_processor": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(vocabulary)},
            "merges": [list(pair) for pair in merges],
        },
    }


def tokenizer_config(vocabulary: dict[str, int]) -> dict[str, Any]:
    """The content of tokenizer_config.json; `vocabulary` maps the special tokens to numbers."""
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": 4096,
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": False,
        "errors": "replace",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "added_tokens_decoder": {
            str(vocabulary[token]): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token in SPECIAL_TOKENS
        },
        "chat_template": CHAT_TEMPLATE,
    }


def dumps(content: dict[str, Any], indent: int | None) -> str:
    """JSON as the model's files have it, Cyrillic left readable."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(content, ensure_ascii=False, indent=indent, separators=separators) + "\n"
