"""What the models that people run would be on a machine: room, speed, largest picture, context.

Pure: ``predict`` says what a job takes with a model, ``room_for`` what that is on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from doctor.estimate import Estimate, Job, Phases
from doctor.popular import Popular, Table
from doctor.profile import USUAL
from doctor.reports.models import ModelRow, Room

Predict = Callable[[Popular, Job], Estimate | None]
RoomFor = Callable[[Estimate], Room]

# Sides of a square picture in pixels, and tokens of text, that are tried for the largest that fits.
SIDES = (256, 384, 512, 768, 1024, 1280, 1536, 2048, 3072, 4096)
CONTEXTS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
ROOMS: tuple[Room, ...] = ("fits", "fits-if-closed", "pages", "will-not-run")


def rows(
    table: Table,
    predict: Predict,
    room_for: RoomFor,
    recipe_for: Callable[[str | None], str | None],
) -> tuple[ModelRow, ...]:
    """A row for each model that something is known of: those that fit first, large before small."""
    found = [row for model in table.models if (row := _row(table, model, predict, room_for))]
    found = [msgspec.structs.replace(row, recipe=recipe_for(row.type)) for row in found]
    return tuple(
        sorted(found, key=lambda row: (ROOMS.index(row.room), -(row.weights_bytes or 0), row.id))
    )


def _row(table: Table, model: Popular, predict: Predict, room_for: RoomFor) -> ModelRow | None:
    told = predict(model, USUAL)
    if told is None:
        return _measured(model, room_for)
    side = _most(
        SIDES,
        lambda side: predict(model, msgspec.structs.replace(USUAL, images=((side, side),))),
        room_for,
    )
    context = _most(
        [tokens for tokens in CONTEXTS if tokens <= _longest(table, model)],
        lambda tokens: predict(model, msgspec.structs.replace(USUAL, prompt_tokens=tokens)),
        room_for,
    )
    return ModelRow(
        id=model.id,
        type=model.type,
        known="computed",
        room=room_for(told),
        weights_bytes=told.weights_bytes,
        peak_bytes=told.peak_bytes,
        tokens_per_second=told.tokens_per_second,
        largest_picture=side,
        longest_context=context,
        recipe=None,
        note="computed" if told.exact else "computed, its architecture known only in general",
    )


def _measured(model: Popular, room_for: RoomFor) -> ModelRow | None:
    """A model whose architecture is not known: what its runs on another machine took."""
    known = model.measured
    if known is None:
        return None
    most = known.most_peak_bytes
    told = Estimate(
        weights_bytes=model.weights_bytes or 0,
        peak_bytes=most,
        low_bytes=known.least_peak_bytes,
        high_bytes=most,
        phases=Phases(load=model.weights_bytes or 0, vision=most, prefill=most, decode=most),
        vision_tokens=0,
        prompt_tokens=known.most_prompt_tokens,
        kv_cache_bytes=0,
        tokens_per_second=None,
        exact=False,
        notes=(),
    )
    speed = ""
    if known.tokens_per_second is not None and known.chip is not None:
        speed = f", {known.tokens_per_second:.0f} tokens/s there"
    return ModelRow(
        id=model.id,
        type=model.type,
        known="measured",
        room=room_for(told),
        weights_bytes=model.weights_bytes,
        peak_bytes=most,
        tokens_per_second=None,
        largest_picture=None,
        longest_context=None,
        recipe=None,
        note=f"measured on {known.chip or 'another machine'} in {known.runs} runs, the most with "
        f"{known.most_prompt_tokens} tokens of prompt and picture{speed}",
    )


def _most(
    choices: Sequence[int], told: Callable[[int], Estimate | None], room_for: RoomFor
) -> int | None:
    """The largest of some choices that fits, by halving: need grows with each of them."""
    low, high = 0, len(choices)
    while low < high:
        middle = (low + high) // 2
        found = told(choices[middle])
        if found is not None and room_for(found) == "fits":
            low = middle + 1
        else:
            high = middle
    return choices[low - 1] if low else None


def _longest(table: Table, model: Popular) -> int:
    """The context that the model was made for, in tokens."""
    config = table.config_of(model) or {}
    inner = config.get("text_config", config)
    longest = inner.get("max_position_embeddings") if isinstance(inner, dict) else None
    return longest if isinstance(longest, int) else CONTEXTS[-1]
