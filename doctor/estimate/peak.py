"""The peak of memory over the phases of a generation: load, vision, prefill, decode."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from doctor.estimate.architecture import Architecture, Text, Vision, read
from doctor.estimate.counting import bits_of, mode_of
from doctor.estimate.families import EXACT, Family, family
from doctor.estimate.kernels import Kernels, Ways
from doctor.estimate.passes import MOST_ON_TAPE, Tower, cache_tokens, text_pass, vision_pass
from doctor.estimate.pictures import Sight, see
from doctor.estimate.speed import tokens_per_second
from doctor.estimate.tape import CPU, METAL_LARGE, METAL_SMALL, Evaluator
from doctor.estimate.terms import Estimate, Job, Library, NotEstimable, Phases, WeightSizes

JOINED_SINCE, JOINED_UNTIL = (0, 6, 0), (0, 7, 0)
# A prompt is cut into chunks since mlx-vlm 0.3.10 where it is longer than one, and since 0.7.0
# always, so that the words' scores of the prompt are no longer worked out.
CHUNKS_SINCE, CHUNKS_ALWAYS_SINCE = (0, 3, 10), (0, 7, 0)
# Without Metal, gated delta networks went through a prompt token by token before 0.6.4, since then
# in chunks (``gated_delta_chunked`` in mlx_vlm/models/qwen3_5/gated_delta.py).
SCANNED_SINCE = (0, 6, 4)
# Before, Gemma 3 loaded a head that lies beside its tied table (measured with 0.6.3 and 0.7.10).
HEAD_DROPPED_SINCE = (0, 7, 0)
# Beyond these nothing runs anywhere, and only absurd numbers are worked out.
MOST_TOKENS, MOST_PICTURES = 10_000_000, 1_000
NEWEST = (99,)
# Passes whose peaks are remembered: a table of models asks for the same again and again.
REMEMBERED = 2_000
replace = msgspec.structs.replace


@dataclass(frozen=True)
class Setting:
    """What an estimate goes by, worked out once."""

    architecture: Architecture
    family: Family
    weights: WeightSizes
    evaluator: Evaluator
    fused: bool
    scanned: bool
    accelerated: bool
    mlx: tuple[int, ...]
    mlx_vlm: tuple[int, ...]
    affine: bool


def release(version: str | None) -> tuple[int, ...]:
    """A version's leading numbers; above all others where it is not known."""
    numbers = re.match(r"\d+(?:\.\d+)*", version or "")
    return tuple(int(part) for part in numbers[0].split(".")[:4]) if numbers else NEWEST


def estimate(
    config: Mapping[str, object],
    weights: WeightSizes,
    job: Job,
    library: Library,
    preprocessor: Mapping[str, object] | None = None,
    chip: str | None = None,
) -> Estimate:
    """The prediction for one job. Raises ``NotEstimable`` where the model's files do not allow."""
    architecture = read(config)
    if len(job.images) > MOST_PICTURES or not (
        0 <= job.prompt_tokens <= MOST_TOKENS and 0 <= job.max_tokens <= MOST_TOKENS
    ):
        raise NotEstimable("no machine runs so many tokens or pictures")
    mlx_vlm = release(library.mlx_vlm)
    kept = architecture.type == "gemma3" and mlx_vlm < HEAD_DROPPED_SINCE
    if architecture.text.tied and weights.head and not kept:
        # The table of the words is the head as well, and one that lies beside it is not loaded.
        weights = replace(weights, total=weights.total - weights.head, head=0)
    if weights.bits is None:
        weights = replace(weights, bits=bits_of(config))
    setting = Setting(
        architecture=architecture,
        family=family(architecture.type, mlx_vlm),
        weights=weights,
        evaluator=_evaluator(library, chip),
        fused=library.backend != "cpu",
        scanned=library.backend != "metal" and mlx_vlm >= SCANNED_SINCE,
        accelerated=_accelerated(library, chip),
        mlx=release(library.mlx),
        mlx_vlm=mlx_vlm,
        affine=mode_of(config) == "affine",
    )
    seen = [see(architecture, preprocessor or {}, *size) for size in job.images]
    sights = [sight for sight, _ in seen]
    known = all(rule for _, rule in seen)
    return predict(setting, job, sights, known, chip)


def predict(
    setting: Setting, job: Job, sights: list[Sight], known: bool, chip: str | None
) -> Estimate:
    """The prediction, where it is known how the model sees the pictures."""
    architecture, weights = setting.architecture, setting.weights
    text = architecture.text
    tokens = max(1, job.prompt_tokens + sum(sight.length for sight in sights))
    width = 4 if setting.family.wide_text else weights.width
    pixels = sum(sight.pixels for sight in sights) * 4
    # Pictures go through the tower one after another: the largest sets the peak.
    largest = max(sights, key=lambda sight: sight.sequences * sight.patches, default=None)
    vision = 0.0 if largest is None else _vision(setting, largest, pixels)
    prefill = _prefill(setting, job.prefill_step_size, tokens, pixels, width)
    most = tokens + job.max_tokens
    bits = job.kv_bits if most > job.quantized_kv_start else None
    cache = cache_bytes(setting, most, width, bits)
    rest = tokens * text.hidden * width + pixels
    # One cache after another is copied into a larger one, and both are there for a moment.
    decode = weights.total + rest + cache + cache / max(1, text.layers) + _joined(setting)
    phases = Phases(
        load=weights.total,
        vision=int(max(vision, weights.total)),
        prefill=int(prefill),
        decode=int(decode),
    )
    peak = max(phases.load, phases.vision, phases.prefill, phases.decode)
    exact = known and architecture.type in EXACT and weights.source == "headers"
    low, high = _range(peak, weights.total, exact)
    notes = list(weights.problems)
    if not exact:
        notes.append(
            f"{architecture.type} is only known in general: its own rules were not measured"
            if architecture.type not in EXACT
            else f"the weights are from the {weights.source}, not from the files"
        )
    return Estimate(
        weights_bytes=weights.total,
        peak_bytes=peak,
        low_bytes=low,
        high_bytes=high,
        phases=phases,
        vision_tokens=sum(sight.tokens for sight in sights),
        prompt_tokens=tokens,
        kv_cache_bytes=int(cache),
        tokens_per_second=tokens_per_second(text, weights, cache, chip, width > weights.width),
        exact=exact,
        notes=tuple(notes),
    )


def _evaluator(library: Library, chip: str | None) -> Evaluator:
    if library.backend == "cpu":
        return CPU
    large = chip is None or chip.endswith(("Max", "Ultra"))
    return METAL_LARGE if large else METAL_SMALL


def _accelerated(library: Library, chip: str | None) -> bool:
    """Whether the GPU is one of Apple's with accelerators for neural networks: from M5 on."""
    generation = re.match(r"Apple M(\d{1,2})\b", chip or "")
    return library.backend == "metal" and generation is not None and int(generation[1]) >= 5


def _vision(setting: Setting, sight: Sight, pixels: float) -> float:
    vision = setting.architecture.vision
    if vision is None:
        return 0
    weights = setting.weights
    resident = weights.total + pixels * setting.family.pixel_copies
    if setting.family.gathers:
        pooled = sight.sequences * sight.patches // 4
        hidden = setting.architecture.text.hidden
        resident += 2 * sight.tokens * pooled * hidden * weights.width
    ways = Ways(
        evaluator=setting.evaluator,
        fused=setting.fused,
        scanned=setting.scanned,
        accelerated=setting.accelerated,
        mlx=setting.mlx,
        width=4 if setting.family.wide_vision else weights.width,
        weight_width=_weight_width(weights) if weights.vision_quantised else weights.width,
    )
    text = setting.architecture.text
    return resident + _seeing(ways, setting.family.tower, vision, sight, text)


@functools.lru_cache(maxsize=REMEMBERED)
def _seeing(ways: Ways, tower: Tower, vision: Vision, sight: Sight, text: Text) -> float:
    """What a picture's way through the tower takes above all that is held throughout."""
    kernels = Kernels.on_a_tape(ways)
    vision_pass(kernels, tower, vision, sight, text)
    return kernels.tape.peak()


def _prefill(setting: Setting, step: int, tokens: int, pixels: float, width: int) -> float:
    """The higher of the last two chunks of the prompt: those before see less of it."""
    text, weights, family_ = setting.architecture.text, setting.weights, setting.family
    always = setting.mlx_vlm >= CHUNKS_ALWAYS_SINCE and not family_.whole_prompt
    cut = always or (setting.mlx_vlm >= CHUNKS_SINCE and tokens > step)
    cut = cut and not family_.whole_prompt and tokens > 1
    chunks = [(tokens, 0)]
    if cut:
        most = tokens - 1
        last = (most - 1) // step * step
        chunks = [(most - last, last)]
        if last:
            chunks.append((step, last - step))
    peaks = []
    for count, before in chunks:
        held = cache_bytes(setting, before, width, None) if before else 0
        on_tape = min(text.layers, MOST_ON_TAPE)
        beyond = cache_bytes(setting, count + before, width, None) - held
        resident = (
            weights.total
            + pixels
            + tokens * text.hidden * width
            + held
            + beyond * (text.layers - on_tape) / text.layers
        )
        ways = Ways(
            evaluator=setting.evaluator,
            fused=setting.fused,
            scanned=setting.scanned,
            accelerated=setting.accelerated,
            mlx=setting.mlx,
            width=width,
            weight_width=_weight_width(weights),
        )
        peaks.append(resident + _reading(ways, family_, text, count, before, not cut))
    return max(peaks)


@functools.lru_cache(maxsize=REMEMBERED)
def _reading(
    ways: Ways, family_: Family, text: Text, tokens: int, before: int, logits: bool
) -> float:
    """What a chunk of the prompt takes above all that is held throughout."""
    kernels = Kernels.on_a_tape(ways)
    text_pass(
        kernels,
        text,
        tokens=tokens,
        before=before,
        logits=logits,
        by_hand=family_.by_hand,
        mixed_softcap=family_.softcap,
    )
    return kernels.tape.peak()


def _weight_width(weights: WeightSizes) -> float:
    """The size of one weight of the language model in bytes, below two where it is quantised."""
    return weights.width if weights.bits is None else weights.bits / 8


def _joined(setting: Setting) -> float:
    """What decoding makes of the inward matrices of gated delta networks, in bytes.

    ``_decode_quantized_linears_fused`` (mlx_vlm/models/qwen3_5/language.py) joins them layer by
    layer, and keeps the result beside the weights; only those of the affine mode have offsets.
    """
    text, bits = setting.architecture.text, setting.weights.bits
    if (
        not text.delta_keys
        or bits is None
        or not setting.affine
        or not JOINED_SINCE <= setting.mlx_vlm < JOINED_UNTIL
    ):
        return 0
    width = 2 * text.delta_keys + 2 * text.delta_values
    return text.kinds.count("state") * text.hidden * width * bits / 8


def cache_bytes(setting: Setting, tokens: int, width: int, bits: int | None) -> float:
    """The KV cache for so many tokens."""
    text = setting.architecture.text
    element = float(width)
    if bits:
        element = bits / 8 + 4 / 64  # a scale and an offset for each group of 64
    held = 0.0
    for kind in text.kinds:
        if kind == "full":
            held += cache_tokens(tokens) * text.kv_width
        elif kind == "sliding":
            held += min(cache_tokens(tokens), text.window or tokens) * text.kv_width
        else:
            held += text.state_bytes / element
    return held * element


def _range(peak: int, weights: int, exact: bool) -> tuple[int, int]:
    """From where to where nine of ten runs peak."""
    above = peak - weights
    share, rest = (0.4, 0.03) if exact else (0.6, 0.05)
    return (
        int(max(weights, weights + above * (1 - share) - rest * peak)),
        int(weights + above * (1 + share) + rest * peak),
    )
