"""Showing a watched run while it goes on: a small panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from doctor import language
from doctor.memory.watch import Screen
from doctor.probes.meter import Reading
from doctor.reports.smoke import PhaseName
from doctor.terminal import console, unadorned

if TYPE_CHECKING:
    from rich.text import Text

# Seconds between two plain lines of one phase, and between two drawings.
LINE_EVERY, DRAW_EVERY = 5.0, 0.2

PHASE_WORDS: dict[PhaseName | None, str] = {
    None: "starting",
    "import": "importing",
    "load": "loading the model",
    "see": "reading the picture",
    "vision": "seeing the picture",
    "prefill": "taking in the prompt",
    "decode": "answering",
}
BARS = "▁▂▃▄▅▆▇█"
PRESSURE_STYLE = {"normal": "green", "warn": "yellow", "critical": "bold red"}


def screen(stream: IO[str]) -> Screen:
    """The screen for a stream."""
    return Panel(stream) if stream.isatty() and not unadorned() else Lines(stream)


class Lines:
    """One plain line where a phase begins for the first time, and every few seconds."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._phases: set[PhaseName | None] = set()
        self._said_at = float("-inf")

    def begin(self) -> None:
        """Nothing has to be prepared."""

    def end(self) -> None:
        """Nothing has to be put back."""

    def show(self, reading: Reading, phase: PhaseName | None) -> None:
        """Print a line, if it is time for one."""
        if phase in self._phases and time.monotonic() - self._said_at < LINE_EVERY:
            return
        self._phases.add(phase)
        self._said_at = time.monotonic()
        parts = [f"holds {gigabytes(reading.process_bytes)}"]
        parts.append(f"available {gigabytes(reading.available_bytes)}")
        parts.append(f"swap {gigabytes(reading.swap_used_bytes)}")
        if reading.pressure is not None:
            parts.append(f"pressure {reading.pressure}")
        told = ", ".join(map(language.text, parts))
        print(f"{language.text(PHASE_WORDS[phase])}: {told}", file=self._stream, flush=True)


class Panel:
    """A few lines that are drawn again and again while the run goes on."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.live import Live

        self._console = console(stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._readings: list[Reading] = []
        self._drawn_at = float("-inf")

    def begin(self) -> None:
        """Take the lines below the cursor."""
        self._live.start()

    def end(self) -> None:
        """Give them back: the report says the rest."""
        self._live.stop()

    def show(self, reading: Reading, phase: PhaseName | None) -> None:
        """Draw the panel, if it is time for it."""
        self._readings.append(reading)
        if time.monotonic() - self._drawn_at >= DRAW_EVERY:
            self._drawn_at = time.monotonic()
            self._live.update(drawing(self._readings, phase, self._console.width), refresh=True)


def drawing(readings: Sequence[Reading], phase: PhaseName | None, width: int) -> Text:
    """The panel: what the run holds over time, what is left, swap and pressure."""
    from rich.text import Text

    first, last = readings[0], readings[-1]
    held = [reading.process_bytes or 0 for reading in readings]
    said = language.text
    text = Text(overflow="crop", no_wrap=True)
    text.append(f"{said(PHASE_WORDS[phase])} ", "bold")
    text.append(said(f"{last.at - first.at:.0f} s") + "\n")
    text.append(said(f"holds {gigabytes(last.process_bytes)}"))
    text.append(", " + said(f"at most {gigabytes(max(held))}") + "\n", "dim")
    text.append(f"{sparkline(held, min(width, 60))}\n", "cyan")
    text.append(said(f"available {gigabytes(last.available_bytes)}") + "\n")
    text.append(said(f"swap {gigabytes(last.swap_used_bytes)}"))
    grown = _grown(first.swap_used_bytes, last.swap_used_bytes)
    out = _grown(first.swapped_out_bytes, last.swapped_out_bytes)
    if grown is not None:
        text.append(f" ({grown / 1e6:+.0f} MB)", "bold red" if grown > 0 else "dim")
    if out:
        text.append(", " + said(f"{out / 1e6:.0f} MB were written"), "bold red")
    if last.pressure is not None:
        text.append("\n" + said(f"pressure {last.pressure}"), PRESSURE_STYLE[last.pressure])
    return text


def sparkline(sizes: Sequence[int], width: int) -> str:
    """Sizes over time as a row of bars, as many as fit: the most of each stretch, from zero up."""
    if not sizes or width < 1:
        return ""
    stretches = min(width, len(sizes))
    most = max(*sizes, 1)
    bars = []
    for number in range(stretches):
        begin, end = number * len(sizes) // stretches, (number + 1) * len(sizes) // stretches
        height = max(sizes[begin:end]) / most
        bars.append(BARS[min(len(BARS) - 1, int(height * len(BARS)))])
    return "".join(bars)


def gigabytes(size: int | None) -> str:
    """A size for people."""
    if size is None:
        return "?"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
