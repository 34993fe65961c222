"""How each family is written in mlx-vlm, as far as memory goes; read in its code and measured.

``rotary`` and the rest of ``Tower`` come from ``mlx_vlm/models/<type>/vision.py``. ``wide_text``
tells that the language model works in float32 although its weights do not: the picture's features
are float32 and are put between the words (``paligemma.py``, ``llava_bunny.py``), which a model with
bfloat16 weights shows on any machine (``inputs_embeds.dtype``). ``wide_vision`` is the same for the
tower. Types that are not here get the general form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from doctor.estimate.passes import Tower


@dataclass(frozen=True)
class Family:
    """A family's ways.

    ``by_hand`` tells that the language model's rotation is written out, ``gathers`` that every
    token of a picture gathers the features of all its patches, and adds them to as many words.
    """

    tower: Tower
    by_hand: bool = False
    wide_vision: bool = False
    wide_text: bool = False
    softcap: bool = False
    whole_prompt: bool = False
    gathers: bool = False
    pixel_copies: int = 1


QWEN = Tower(rotary=4, joined=True)
SIGLIP = Tower()
# Attention in matrix products, with its softmax in float32.
BY_HAND = Tower(unfused=True, wide_scores=True)
FASTVLM = Family(Tower(convolutions=True))
PIXTRAL = Tower(rotary=2, mean=False, bias=False, filled=2)

FAMILIES: dict[str, Family] = {
    "qwen2_vl": Family(QWEN, by_hand=True),
    "qwen2_5_vl": Family(replace(QWEN, mean=False), by_hand=True),
    "qwen3_vl": Family(QWEN, by_hand=True),
    "qwen3_vl_moe": Family(QWEN, by_hand=True),
    "qwen3_5": Family(QWEN, by_hand=True),
    "qwen3_5_moe": Family(QWEN, by_hand=True),
    "glm4v": Family(replace(QWEN, mean=False, bias=False), by_hand=True),
    "glm4v_moe": Family(replace(QWEN, mean=False, bias=False, filled=2), by_hand=True),
    "kimi_vl": Family(replace(QWEN, mask=True), wide_vision=True, wide_text=True),
    "gemma3": Family(SIGLIP),
    "paligemma": Family(SIGLIP, wide_text=True, softcap=True, whole_prompt=True),
    "llava": Family(SIGLIP),
    "llava_next": Family(SIGLIP),
    "llava_bunny": Family(SIGLIP, wide_vision=True, wide_text=True),
    "llava-qwen2": Family(SIGLIP, wide_vision=True, wide_text=True),
    "idefics3": Family(SIGLIP, pixel_copies=3),
    "smolvlm": Family(SIGLIP, pixel_copies=3),
    "pixtral": Family(PIXTRAL),
    "mistral3": Family(PIXTRAL),
    "mllama": Family(replace(SIGLIP, bias=False, mask=True), wide_vision=True, wide_text=True),
    "fastvlm": FASTVLM,
    "llava_qwen2": FASTVLM,
    # Its pictures stay in the float32 that they are prepared in, and so does its tower.
    "deepseek_vl_v2": Family(replace(SIGLIP, joined=True, cut=True), wide_vision=True),
    "internvl_chat": Family(replace(SIGLIP, joined=True)),
    "lfm2_vl": Family(SIGLIP),
    "lfm2-vl": Family(SIGLIP),
    "molmo": Family(SIGLIP, wide_vision=True, gathers=True),
    "molmo2": Family(BY_HAND),
    "molmo_point": Family(BY_HAND, wide_text=True),
    "phi3_v": Family(SIGLIP),
}
GENERAL = Family(SIGLIP)

# Towers that filled a mask in each layer, before which releases, and its width: Qwen2-VL asked for
# 136 GB at 16,500 tokens, then, with a mask of bytes, for 73.
FILLED_BEFORE: dict[str, tuple[tuple[tuple[int, ...], int], ...]] = {
    "qwen2_vl": (((0, 3, 11), 2), ((0, 3, 12), 1)),
    "qwen2_5_vl": (((0, 3, 12), 2),),
    "qwen3_vl": (((0, 3, 6), 2),),
    "qwen3_vl_moe": (((0, 3, 6), 2),),
    "kimi_vl": (((0, 3, 12), 2), ((0, 5, 0), 1)),
}

# The families of the field report, and those of which whole models were measured. DeepSeek-VL2 is
# not here: the peaks of one job differed by a third from run to run.
EXACT = (
    "ernie4_5_moe_vl",
    "fastvlm",
    "gemma3",
    "gemma4",
    "glm4v",
    "glm4v_moe",
    "idefics3",
    "internvl_chat",
    "kimi_vl",
    "llava_next",
    "llava_qwen2",
    "mistral3",
    "paligemma",
    "phi3_v",
    "pixtral",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_5",
    "qwen3_5_moe",
    "smolvlm",
)


def family(kind: str, mlx_vlm: tuple[int, ...]) -> Family:
    """The ways of a model type in one release of mlx-vlm."""
    found = FAMILIES.get(kind, GENERAL)
    tower = found.tower
    if kind in FILLED_BEFORE:
        width = next((width for before, width in FILLED_BEFORE[kind] if mlx_vlm < before), 0)
        tower = replace(tower, filled=width, mask=tower.mask and not width)
    # Heads of 72 are widened for the fused kernel from 0.4.0 on (``ensure_fused_sdpa``).
    if kind.startswith(("qwen3_vl", "qwen3_5")) and mlx_vlm >= (0, 4, 0):
        tower = replace(tower, padded=True)
    # Their prompts were not cut into chunks before 0.6.11, whatever their length.
    whole = found.whole_prompt or (kind in ("idefics3", "smolvlm") and mlx_vlm < (0, 6, 11))
    # ``molmo.py`` put the features of all patches in the place of each before 0.6.10.
    gathers = found.gathers and mlx_vlm < (0, 6, 10)
    return replace(found, tower=tower, whole_prompt=whole, gathers=gathers)
