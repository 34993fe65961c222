"""Watching a run: memory is read while it goes on, and afterwards told phase by phase.

A thread reads the meter ten times a second. The verdict on swap comes from what grew during the
run: what was in use before is context.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from doctor.facts import Pressure
from doctor.probes.meter import Meter, Reading
from doctor.reports.smoke import PHASES, PhaseMemory, PhaseName, SwapVerdict, WatchReport

INTERVAL = 0.1  # seconds

# Bytes. Other programs move a little in and out at any time; up to the report's 0.5 GB (its section
# 6.5) a model runs 5 to 10 % slower, above that it waits for the disk.
NOISE, TOLERABLE = 20_000_000, 500_000_000

_WORST: tuple[Pressure, ...] = ("normal", "warn", "critical")


class Screen(Protocol):
    """Where a watched run is shown."""

    def begin(self) -> None:
        """Begin to show."""

    def show(self, reading: Reading, phase: PhaseName | None) -> None:
        """Show a reading, and the phase that the run is in."""

    def end(self) -> None:
        """Show no more."""


class Unseen:
    """A screen for a run that is watched and not shown."""

    def begin(self) -> None:
        """Nothing is shown."""

    def show(self, reading: Reading, phase: PhaseName | None) -> None:
        """Nothing is shown."""

    def end(self) -> None:
        """Nothing is shown."""


@contextmanager
def watching(
    meter: Meter, screen: Screen, phase: Callable[[], PhaseName | None]
) -> Iterator[list[Reading]]:
    """Read the meter in a thread and show each reading; ``phase`` tells where the run is."""
    readings: list[Reading] = []
    over = threading.Event()

    def take() -> None:
        readings.append(meter.read())
        # A screen that went away must not end the watching.
        with suppress(OSError, ValueError):
            screen.show(readings[-1], phase())

    def go_on() -> None:
        while not over.wait(INTERVAL):
            take()

    thread = threading.Thread(target=go_on, name="watch", daemon=True)
    screen.begin()
    try:
        take()
        thread.start()
        yield readings
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()
        take()
        screen.end()


def report(readings: Sequence[Reading], events: Iterable[Mapping[str, Any]]) -> WatchReport:
    """What the readings say, by the phases whose begins and ends the run's events tell."""
    said = list(events)
    begins = _begins(said)
    own = _own_peaks(said)
    phases = []
    for name in PHASES:
        mine = [reading for reading in readings if _phase_at(begins, reading.at) == name]
        if not mine and name not in own:
            continue
        phases.append(
            PhaseMemory(
                name=name,
                seconds=round(_seconds(begins, name, said), 3),
                samples=len(mine),
                mlx_peak_bytes=own.get(name),
                process_peak_bytes=max(_known(item.process_bytes for item in mine), default=None),
                available_least_bytes=min(
                    _known(item.available_bytes for item in mine), default=None
                ),
                swap_used_most_bytes=max(
                    _known(item.swap_used_bytes for item in mine), default=None
                ),
                pressure_worst=worst(item.pressure for item in mine),
            )
        )
    before, growth = _growth([item.swap_used_bytes for item in readings])
    _, swapped_in = _growth([item.swapped_in_bytes for item in readings])
    _, swapped_out = _growth([item.swapped_out_bytes for item in readings])
    by_mlx = [phase for phase in phases if phase.mlx_peak_bytes is not None]
    by_process = [phase for phase in phases if phase.process_peak_bytes is not None]
    peak: PhaseName | None = None
    if by_mlx:
        peak = max(by_mlx, key=lambda phase: phase.mlx_peak_bytes or 0).name
    elif by_process:
        peak = max(by_process, key=lambda phase: phase.process_peak_bytes or 0).name
    return WatchReport(
        interval_seconds=INTERVAL,
        samples=len(readings),
        phases=tuple(phases),
        peak_phase=peak,
        process_peak_bytes=max(_known(item.process_bytes for item in readings), default=None),
        swap_before_bytes=before,
        swap_growth_bytes=growth,
        swapped_in_bytes=swapped_in,
        swapped_out_bytes=swapped_out,
        swap=swap_verdict(growth, swapped_out),
        pressure_worst=worst(item.pressure for item in readings),
    )


def swap_verdict(growth: int | None, swapped_out: int | None) -> SwapVerdict | None:
    """What the growth of swap during a run means; null where nothing of it is known.

    What was swapped out counts too: pages that others take back at the same time hide it.
    """
    known = [size for size in (growth, swapped_out) if size is not None]
    if not known:
        return None
    most = max(known)
    return "none" if most <= NOISE else "tolerable" if most <= TOLERABLE else "paging"


def worst(levels: Iterable[Pressure | None]) -> Pressure | None:
    """The worst of some levels of pressure."""
    return max((level for level in levels if level), key=_WORST.index, default=None)


def phase_of(event: Mapping[str, Any]) -> PhaseName | None:
    """The phase that begins with an event."""
    if event.get("phase") in PHASES:
        return event["phase"]  # type: ignore[no-any-return]
    if event.get("stage") == "import" and event.get("state") == "started":
        return "import"
    return None


def _begins(events: Sequence[Mapping[str, Any]]) -> list[tuple[float, PhaseName]]:
    """When each phase began; a phase can begin many times."""
    return [
        (float(event["at"]), name)
        for event in events
        if (name := phase_of(event)) is not None and "at" in event
    ]


def _own_peaks(events: Sequence[Mapping[str, Any]]) -> dict[PhaseName, int]:
    """MLX's own peak in each phase, as the run told it."""
    result: dict[PhaseName, int] = {}
    for event in events:
        name, peak = event.get("memory"), event.get("peak")
        if name in PHASES and isinstance(peak, int):
            result[name] = max(result.get(name, 0), peak)
    return result


def _phase_at(begins: Sequence[tuple[float, PhaseName]], at: float) -> PhaseName | None:
    found = None
    for begin, name in begins:
        if begin <= at:
            found = name
    return found


def _seconds(
    begins: Sequence[tuple[float, PhaseName]], name: PhaseName, events: Sequence[Mapping[str, Any]]
) -> float:
    """How long a phase took in all, from its begins to what came next."""
    last = max((float(event["at"]) for event in events if "at" in event), default=0.0)
    ends = [at for at, _ in begins[1:]] + [last]
    return sum(end - at for (at, begun), end in zip(begins, ends, strict=True) if begun == name)


def _growth(sizes: Sequence[int | None]) -> tuple[int | None, int | None]:
    """The first known size, and by how much it grew at most."""
    known = _known(sizes)
    return (known[0], max(0, max(known) - known[0])) if known else (None, None)


def _known(sizes: Iterable[int | None]) -> list[int]:
    return [size for size in sizes if size is not None]
