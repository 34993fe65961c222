"""Batches of pictures, questions and answers; drawn by the doctor's own code, torch-free.

Batch number n is always the same, whichever process makes it, so training does not depend on how
many processes draw.  All pictures of a batch reach the model at one size.

One picture in seven is broken on purpose, in a way that a broken environment breaks it, and the
right answer is then that the picture cannot be seen.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctor.proving import pictures
from training import words
from training.resizing import resized_size
from training.settings import MERGE, PATCH

PICTURES = 48
"""Pictures in a batch."""
QUESTIONS_EACH = 2
"""Questions asked about each picture of a batch."""
SEGMENT = 29
"""Tokens kept for one question with its answer."""
BROKEN_SHARE = 0.15
TRAINING_SEEDS = 1_000_000
"""Training draws seeds from here up, fewer than a thousand million."""
UNSEEN_SEEDS = 5_000_000_000
"""Evaluation draws seeds from here up."""
ROPE_VARIANTS: tuple[tuple[int, ...], ...] = (
    (0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0),
    (0,) * 16,
    (0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0),
    (0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2),
    (0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1),
)
"""Which position turns each of the 16 rotary frequencies: 0 time, 1 height, 2 width.  The first
is right (6, 5, 5 interleaved); then plain rotary, height and width swapped, sections in blocks as
Qwen2-VL has them, the section 14, 1, 1, height in the place of time."""
PLACEMENTS = 4
"""Ways to tell the vision tower where each patch lies: right, rows and columns exchanged, row by
row without regard to merging, and no learned position at all."""

FACT_COUNTS = (8, 8, 8, 4, 10, 10)
"""How many shapes, colours, backgrounds, positions, tens and units there are."""

_BREAKS = (
    *("blank", "noise", "normalisation", "normalisation", "shuffled", "shuffled", "main", "deep"),
    *("deep", "both", "rope", "rope", "rope", "placement", "placement", "placement"),
)
"""Kinds of damage, each as often as it is to be drawn; the order is part of the data."""

_CLIP_MEAN, _CLIP_DEVIATION = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)


@dataclass(frozen=True)
class Batch:
    """One batch: B pictures of h x w pixels with Q questions each, in S tokens a question."""

    pixels: NDArray[np.uint8]
    """(B, 3, h, w)"""
    gain: NDArray[np.float32]
    """(B, 3): normalised pixels are multiplied by this; 1 where the normalisation is right."""
    offset: NDArray[np.float32]
    """(B, 3): and this is added; 0 where the normalisation is right."""
    keep_main: NDArray[np.float32]
    """(B,): 0 where the vision tower's last features are lost."""
    keep_deep: NDArray[np.float32]
    """(B, 2): 0 where the features of a deepstack layer are lost."""
    rope: NDArray[np.int64]
    """(B,): index into ROPE_VARIANTS."""
    placement: NDArray[np.int64]
    """(B,): one of PLACEMENTS, 0 where it is right."""
    tokens: NDArray[np.int64]
    """(B, Q, S): question, answer, padding."""
    answers: NDArray[np.bool_]
    """(B, Q, S): true where a token belongs to the answer, its end included."""
    broken: NDArray[np.bool_]
    """(B,): true where the right answer is that the picture cannot be seen."""
    facts: NDArray[np.int64]
    """(B, 6): shape, colour, background, position, tens, units, each as a number from 0."""


@cache
def sizes_by_target() -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
    """The sizes drawn, grouped by the size (width, height) at which they reach the model."""
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for size in pictures.SIZES:
        groups.setdefault(resized_size(*size), []).append(size)
    return {target: tuple(sizes) for target, sizes in groups.items()}


@cache
def _tokenizer() -> Any:
    import json

    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(words.build()))


@cache
def encode(text: str) -> tuple[int, ...]:
    """The tokens of a text; special tokens are recognised in it."""
    return tuple(_tokenizer().encode(text).ids)


@cache
def vocabulary() -> dict[str, int]:
    """Every token with its number, the special ones included."""
    return dict(_tokenizer().get_vocab(with_added_tokens=True))


def head() -> tuple[int, ...]:
    """The tokens before the picture's own."""
    return encode("<|im_start|>user\n<|vision_start|>")


def segment(question: str, reply: str) -> tuple[list[int], list[bool]]:
    """Tokens of one question with its answer, and which of them are the answer's; padded."""
    asked = encode("<|vision_end|>" + question + "<|im_end|>\n<|im_start|>assistant\n")[1:]
    said = encode(reply + "<|im_end|>")
    blank = SEGMENT - len(asked) - len(said)
    if blank < 0:
        raise ValueError(f"{question!r} with {reply!r} is longer than {SEGMENT} tokens")
    padding = [vocabulary_end()] * blank
    is_answer = [False] * len(asked) + [True] * len(said) + [False] * blank
    return [*asked, *said, *padding], is_answer


@cache
def vocabulary_end() -> int:
    """The number of the padding token."""
    return vocabulary()["<|endoftext|>"]


def training_batch(number: int) -> Batch:
    """Batch `number` of the training."""
    return make_batch(number, TRAINING_SEEDS, BROKEN_SHARE, varied=True)


def unseen_batch(number: int) -> Batch:
    """Batch `number` of pictures never used in training, none of them broken."""
    return make_batch(number, UNSEEN_SEEDS, 0.0, varied=False)


def make_batch(number: int, first_seed: int, broken_share: float, *, varied: bool) -> Batch:
    """Batch `number` counted from `first_seed`; `varied` adds noise and other resampling."""
    chance = random.Random(f"{first_seed}/{number}")
    noise = np.random.default_rng(number)
    targets = sorted(sizes_by_target())
    width, height = targets[number % len(targets)]
    batch = Batch(
        pixels=np.zeros((PICTURES, 3, height, width), np.uint8),
        gain=np.ones((PICTURES, 3), np.float32),
        offset=np.zeros((PICTURES, 3), np.float32),
        keep_main=np.ones(PICTURES, np.float32),
        keep_deep=np.ones((PICTURES, 2), np.float32),
        rope=np.zeros(PICTURES, np.int64),
        placement=np.zeros(PICTURES, np.int64),
        tokens=np.zeros((PICTURES, QUESTIONS_EACH, SEGMENT), np.int64),
        answers=np.zeros((PICTURES, QUESTIONS_EACH, SEGMENT), np.bool_),
        broken=np.zeros(PICTURES, np.bool_),
        facts=np.zeros((PICTURES, len(FACT_COUNTS)), np.int64),
    )
    prompts = [(q, language) for q in pictures.QUESTIONS for language in pictures.LANGUAGES]
    for row in range(PICTURES):
        seed = first_seed + number * PICTURES + row
        what = pictures.picture(seed, sizes_by_target()[width, height])
        pixels = _pixels(what, (width, height), chance if varied else None)
        if varied and chance.random() < 0.5:
            grain = noise.integers(-3, 4, pixels.shape)
            pixels = np.clip(pixels + grain, 0, 255).astype(np.uint8)
        broken = chance.random() < broken_share
        if broken:
            pixels = _break(batch, row, pixels, chance, noise)
        batch.pixels[row] = pixels.transpose(2, 0, 1)
        batch.broken[row] = broken
        batch.facts[row] = facts_of(what)
        for place, (question, language) in enumerate(chance.sample(prompts, QUESTIONS_EACH)):
            reply = pictures.answer(what, question, language)
            batch.tokens[row, place], batch.answers[row, place] = segment(
                pictures.QUESTIONS[question][language],
                pictures.UNSEEN[language] if broken else reply,
            )
    return batch


def facts_of(what: pictures.Picture) -> tuple[int, ...]:
    """What is in a picture as numbers, each below its place in FACT_COUNTS."""
    colours = list(pictures.COLOURS)
    return (
        pictures.SHAPES.index(what.shape),
        colours.index(what.colour),
        colours.index(what.background),
        pictures.POSITIONS.index(what.position),
        *divmod(what.number, 10),
    )


def _pixels(
    what: pictures.Picture, target: tuple[int, int], chance: random.Random | None
) -> NDArray[np.uint8]:
    """The picture as (height, width, 3) at the size at which it reaches the model."""
    image = pictures.draw(what)
    if image.size != target:
        filters = [Image.Resampling.BICUBIC] * 8
        filters += [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS]
        image = image.resize(target, chance.choice(filters) if chance else filters[0])
    return np.asarray(image)


def _break(
    batch: Batch,
    row: int,
    pixels: NDArray[np.uint8],
    chance: random.Random,
    noise: np.random.Generator,
) -> NDArray[np.uint8]:
    """Break one picture, or note in the batch how the model is to break it; gives its pixels."""
    kind = chance.choice(_BREAKS)
    if kind == "blank":
        shade = noise.integers(0, 256, 3) if chance.random() < 0.5 else noise.integers(0, 256)
        return np.broadcast_to(shade, pixels.shape).astype(np.uint8)
    if kind == "noise":
        return noise.integers(0, 256, pixels.shape, np.uint8)
    if kind == "normalisation":
        gain, offset = _wrong_normalisation(chance)
        batch.gain[row], batch.offset[row] = gain, offset
    elif kind == "shuffled":
        return _shuffled(pixels, chance.choice((PATCH, PATCH * MERGE)), chance, noise)
    elif kind == "rope":
        batch.rope[row] = chance.randrange(1, len(ROPE_VARIANTS))
    elif kind == "placement":
        batch.placement[row] = chance.randrange(1, PLACEMENTS)
    if kind in ("main", "both"):
        batch.keep_main[row] = 0.0
    if kind == "both":
        batch.keep_deep[row] = 0.0
    if kind == "deep":
        batch.keep_deep[row, chance.choice((slice(0, 2), slice(0, 1), slice(1, 2)))] = 0.0
    return pixels


def _wrong_normalisation(
    chance: random.Random,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What turns rightly normalised pixels into wrongly normalised ones: gain and offset.

    Another mean m and deviation s give (r - m) / s for a pixel r from 0 to 1, and r is
    (x + 1) / 2 for the rightly normalised x.  Not among them, to be tried on the trained model:
    ImageNet's.
    """
    mean, deviation = chance.choice(
        [
            (_CLIP_MEAN, _CLIP_DEVIATION),
            ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
            ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
            ((0.5, 0.5, 0.5), (chance.uniform(0.2, 0.33),) * 3),
            ((0.5, 0.5, 0.5), (chance.uniform(0.8, 2.0),) * 3),
        ]
    )
    gain = 0.5 / np.array(deviation, np.float32)
    offset = (0.5 - np.array(mean, np.float32)) / np.array(deviation, np.float32)
    return gain.astype(np.float32), offset.astype(np.float32)


def _shuffled(
    pixels: NDArray[np.uint8], side: int, chance: random.Random, noise: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture's squares of `side` pixels in another order: any, or rows for blocks.

    Rows for blocks is what a pipeline does that forgets to bring the patches of one vision token
    together.
    """
    height, width, channels = pixels.shape
    rows, columns = height // side, width // side
    squares = pixels.reshape(rows, side, columns, side, channels).transpose(0, 2, 1, 3, 4)
    squares = squares.reshape(rows * columns, side, side, channels)
    if side == PATCH and chance.random() < 0.5:
        order = block_order(rows, columns)
        order = order if chance.random() < 0.5 else np.argsort(order)
    else:
        order = noise.permutation(rows * columns)
    squares = squares[order].reshape(rows, columns, side, side, channels)
    return squares.transpose(0, 2, 1, 3, 4).reshape(height, width, channels)


def block_order(rows: int, columns: int) -> NDArray[np.int64]:
    """The patches' row-by-row numbers in the order in which the model takes them."""
    numbers = np.arange(rows * columns).reshape(rows // MERGE, MERGE, columns // MERGE, MERGE)
    return numbers.transpose(0, 2, 1, 3).reshape(-1)
