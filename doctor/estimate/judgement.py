"""Whether a machine has what a generation needs, and what the field report calls ready.

Pure: of an estimate and the machine's facts. The need is the estimate's upper end, which nine of
ten runs stay under, and the interpreter beside it. It is held against two things: what the GPU uses
well (Metal's recommended working set, or a CUDA card's memory), and what is available now.
"""

from __future__ import annotations

from typing import Literal

from doctor.estimate.terms import Estimate
from doctor.facts import Machine, Pressure, Struct

# It fits; it does if something is closed; it waits for the disk; it cannot be loaded at all.
Room = Literal["fits", "fits-if-closed", "pages", "will-not-run"]

# Python, mlx-vlm and the tokenizer beside MLX's arrays: the field report's section 5.
INTERPRETER_BYTES = 250_000_000
# MLX allocates at most this share of RAM (mlx/backend/metal/allocator.cpp).
MOST_OF_RAM = 0.95
# Of programs that could be closed, so much of what they hold comes back: the rest is shared.
COMES_BACK = 0.8
# The report's criteria for production (its section 6.4), and what paging costs where it is bad:
# two to three times as slow.
READY_TOKENS_PER_SECOND = 25.0
READY_SWAP_BYTES = 500_000_000
PAGING_SLOWS = 2.5


CriterionName = Literal["tokens-per-second", "swap-bytes", "memory-pressure"]


class Criterion(Struct, frozen=True):
    """One of the report's criteria: what is wanted, what there is, and whether that is enough.

    ``value`` and ``met`` are null where it is not known.
    """

    name: CriterionName
    wanted: str
    value: str | None
    met: bool | None


class Judgement(Struct, frozen=True):
    """What the machine makes of a generation.

    ``need_bytes`` is what is counted on, ``limit_bytes`` what there is for it without closing
    anything (null: not known). ``close`` are the programs whose closing is enough, biggest first.
    ``tokens_per_second`` is the speed to expect here, paging included.
    """

    room: Room
    need_bytes: int
    limit_bytes: int | None
    limit_source: str | None
    close: tuple[str, ...]
    swap_bytes: int | None
    tokens_per_second: float | None
    ready: tuple[Criterion, ...]


def judge(estimate: Estimate, machine: Machine) -> Judgement:
    """The judgement of an estimate on a machine."""
    need = estimate.high_bytes + INTERPRETER_BYTES
    budget, available = machine.gpu_budget_bytes, machine.ram_available_bytes
    total = machine.ram_total_bytes
    over_budget = budget is not None and estimate.high_bytes > budget
    missing = max(0, need - available) if available is not None else 0
    close = _enough(machine, missing)
    room: Room = "fits"
    if total is not None and estimate.weights_bytes > MOST_OF_RAM * total + (
        machine.swap_total_bytes or 0
    ):
        room = "will-not-run"
    elif over_budget or (total is not None and need > total):
        room, close = "pages", ()
    elif missing:
        room = "fits-if-closed" if close else "pages"
    limits = [
        (size, source)
        for size, source in ((budget, machine.gpu_budget_source), (available, "available now"))
        if size is not None
    ]
    limit, source = min(limits, key=lambda pair: pair[0], default=(None, None))
    grows = max(missing, max(0, need - budget) if budget is not None else 0)
    swap = None if machine.swap_used_bytes is None else machine.swap_used_bytes + grows
    if room in ("pages", "fits-if-closed") and swap is None and available is not None:
        swap = grows
    speed = estimate.tokens_per_second
    if speed is not None and room == "pages":
        speed = round(speed / PAGING_SLOWS, 1)
    if room == "will-not-run":
        speed = None
    return Judgement(
        room=room,
        need_bytes=need,
        limit_bytes=limit,
        limit_source=source,
        close=close,
        swap_bytes=swap,
        tokens_per_second=speed,
        ready=criteria(
            speed,
            swap,
            "critical" if room in ("pages", "will-not-run") else machine.memory_pressure,
        ),
    )


def _enough(machine: Machine, missing: int) -> tuple[str, ...]:
    """The biggest programs that hold what is missing; none where all together do not."""
    chosen: list[str] = []
    found = 0.0
    for process in machine.processes:
        if found >= missing:
            break
        chosen.append(process.name)
        found += process.held_bytes * COMES_BACK
    return tuple(chosen) if found >= missing else ()


def criteria(
    speed: float | None, swap: int | None, pressure: Pressure | None
) -> tuple[Criterion, ...]:
    """The report's criteria of a speed in tokens a second, swap in bytes, and pressure.

    Predicted or measured; null where it is not known.
    """
    return (
        Criterion(
            name="tokens-per-second",
            wanted=f"more than {READY_TOKENS_PER_SECOND:.0f}",
            value=None if speed is None else f"{speed:.0f}",
            met=None if speed is None else speed > READY_TOKENS_PER_SECOND,
        ),
        Criterion(
            name="swap-bytes",
            wanted=f"less than {READY_SWAP_BYTES / 1e6:.0f} MB",
            value=None if swap is None else f"{swap / 1e6:.0f} MB",
            met=None if swap is None else swap < READY_SWAP_BYTES,
        ),
        Criterion(
            name="memory-pressure",
            wanted="normal or warn",
            value=pressure,
            met=None if pressure is None else pressure in ("normal", "warn"),
        ),
    )
