"""What the models that people run would be on a machine: room, speed, largest picture, context.

Pure: ``predict`` says what a job takes with a model, ``judge`` what the machine makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from doctor.estimate import Estimate, Job, Judgement, Room
from doctor.memory.ladder import USUAL
from doctor.memory.popular import Popular, Table
from doctor.reports.models import ModelRow

Predict = Callable[[Popular, Job], Estimate | None]
Judge = Callable[[Estimate], Judgement]

# Sides of a square picture in pixels, and tokens of text, that are tried for the largest that fits.
SIDES = (256, 512, 1024, 1536, 2048, 4096)
CONTEXTS = (1024, 4096, 16384, 65536, 262144)
ROOMS: tuple[Room, ...] = ("fits", "fits-if-closed", "pages", "will-not-run")
WITHOUT_DISK = ROOMS[:2]


def rows(
    table: Table,
    predict: Predict,
    judge: Judge,
    recipe_for: Callable[[str | None], str | None],
) -> tuple[ModelRow, ...]:
    """A row for each model that can be predicted.

    Those that fit come first, the largest of them first; of the others the nearest first.
    """
    found = [
        msgspec.structs.replace(row, recipe=recipe_for(row.type))
        for model in table.models
        if (row := _row(table, model, predict, judge)) is not None
    ]

    def place(row: ModelRow) -> tuple[int, int, str]:
        size = -row.weights_bytes if row.room == "fits" else row.peak_bytes
        return ROOMS.index(row.room), size, row.id

    return tuple(sorted(found, key=place))


def _row(table: Table, model: Popular, predict: Predict, judge: Judge) -> ModelRow | None:
    told = predict(model, USUAL)
    if told is None:
        return None
    side = context = None
    bare = dict.fromkeys(("peak_bytes", "low_bytes", "high_bytes"), told.weights_bytes)
    judged = judge(told)
    if judge(msgspec.structs.replace(told, **bare)).room in WITHOUT_DISK:
        side = _most(
            SIDES,
            lambda side: predict(model, msgspec.structs.replace(USUAL, images=((side, side),))),
            judge,
        )
        context = _most(
            [tokens for tokens in CONTEXTS if tokens <= _longest(table, model)],
            lambda tokens: predict(model, msgspec.structs.replace(USUAL, prompt_tokens=tokens)),
            judge,
        )
    note = table.configs[model.config].note if model.config is not None else ""
    return ModelRow(
        id=model.id,
        type=model.type,
        room=judged.room,
        weights_bytes=told.weights_bytes,
        peak_bytes=told.peak_bytes,
        low_bytes=told.low_bytes,
        high_bytes=told.high_bytes,
        exact=told.exact,
        tokens_per_second=judged.tokens_per_second,
        largest_picture=side,
        longest_context=context,
        recipe=None,
        architecture=note,
        measured=model.measured,
    )


def _most(
    choices: Sequence[int], told: Callable[[int], Estimate | None], judge: Judge
) -> int | None:
    """The largest of some choices that does not wait for the disk; need grows with each of them.

    The ends are tried first: on most machines most models have room for all or for none.
    """

    def fits(choice: int) -> bool:
        found = told(choice)
        return found is not None and judge(found).room in WITHOUT_DISK

    if not choices or not fits(choices[0]):
        return None
    if fits(choices[-1]):
        return choices[-1]
    low, high = 0, len(choices) - 1  # the first fits, the last does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(choices[middle]) else (low, middle)
    return choices[low]


def _longest(table: Table, model: Popular) -> int:
    """The context that the model was made for, in tokens."""
    config = table.config_of(model) or {}
    inner = config.get("text_config", config)
    longest = inner.get("max_position_embeddings") if isinstance(inner, dict) else None
    return longest if isinstance(longest, int) else CONTEXTS[-1]
