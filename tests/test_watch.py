"""Watching a run: what its readings and events come to, and a real run."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest

from doctor.facts import Pressure
from doctor.memory import live, watch
from doctor.probes.meter import Meter, Reading
from doctor.reports.smoke import PHASES, PhaseName
from tests.conftest import Fixed

MB = 1_000_000

# A run that loads from 1 to 3 s, sees until 4, takes the picture in until 6, and answers until 9.
EVENTS: list[dict[str, Any]] = [
    {"stage": "import", "state": "started", "at": 0.0},
    {"stage": "import", "state": "passed", "at": 1.0},
    {"phase": "load", "at": 1.0},
    {"memory": "load", "peak": 3_000 * MB, "at": 3.0},
    {"phase": "see", "at": 3.0},
    {"phase": "prefill", "at": 4.0},
    {"memory": "prefill", "peak": 4_200 * MB, "at": 6.0},
    {"phase": "decode", "at": 6.0},
    {"memory": "decode", "peak": 3_400 * MB, "at": 9.0},
]


def reading(at: float, **fields: Any) -> Reading:
    known: dict[str, Any] = {
        "process_bytes": 100 * MB,
        "available_bytes": 4_000 * MB,
        "swap_used_bytes": 1_700 * MB,
        "swapped_in_bytes": 10 * MB,
        "swapped_out_bytes": 10 * MB,
        "pressure": "normal",
    }
    return Reading(at=at, **(known | fields))


def test_readings_are_told_phase_by_phase() -> None:
    told = watch.report(
        [
            reading(0.5),
            reading(2.0, process_bytes=2_900 * MB),
            reading(5.0, process_bytes=4_400 * MB, available_bytes=200 * MB, pressure="critical"),
            reading(5.5, swap_used_bytes=1_760 * MB, swapped_out_bytes=90 * MB),
            reading(8.0, process_bytes=3_500 * MB, pressure="warn"),
        ],
        EVENTS,
    )
    phases = {phase.name: phase for phase in told.phases}
    assert list(phases) == ["import", "load", "prefill", "decode"]  # nothing was read while seeing
    assert [phase.samples for phase in told.phases] == [1, 1, 2, 1]
    assert [phase.seconds for phase in told.phases] == [1.0, 2.0, 2.0, 3.0]
    assert phases["import"].mlx_peak_bytes is None
    assert phases["prefill"].mlx_peak_bytes == 4_200 * MB
    assert phases["prefill"].process_peak_bytes == 4_400 * MB
    assert phases["prefill"].available_least_bytes == 200 * MB
    assert phases["prefill"].pressure_worst == "critical"
    assert (told.peak_phase, told.pressure_worst) == ("prefill", "critical")
    assert (told.swap_before_bytes, told.swap_growth_bytes) == (1_700 * MB, 60 * MB)
    assert told.swapped_out_bytes == 80 * MB
    assert told.swap == "tolerable"


def test_the_swap_that_was_there_before_is_no_verdict() -> None:
    told = watch.report([reading(1.0), reading(2.0)], EVENTS)
    assert (told.swap_before_bytes, told.swap) == (1_700 * MB, "none")


@pytest.mark.parametrize(
    ("growth", "out", "verdict"),
    [
        (None, None, None),
        (0, 0, "none"),
        (0, None, "none"),
        (None, 21 * MB, "tolerable"),
        (500 * MB, 0, "tolerable"),
        (501 * MB, 0, "paging"),
        (0, 501 * MB, "paging"),  # others gave back at the same time what this run took
    ],
)
def test_what_the_growth_of_swap_means(
    growth: int | None, out: int | None, verdict: str | None
) -> None:
    assert watch.swap_verdict(growth, out) == verdict


def test_swap_that_shrinks_is_no_growth() -> None:
    told = watch.report([reading(1.0), reading(2.0, swap_used_bytes=0)], EVENTS)
    assert (told.swap_growth_bytes, told.swap) == (0, "none")


def test_what_is_not_known_is_null() -> None:
    unknown: dict[str, Any] = dict.fromkeys(
        ("process_bytes", "available_bytes", "swap_used_bytes", "swapped_in_bytes",
         "swapped_out_bytes", "pressure")
    )  # fmt: skip
    told = watch.report([reading(2.0, **unknown)], EVENTS[:3])
    (load,) = told.phases
    assert (load.mlx_peak_bytes, load.process_peak_bytes, load.available_least_bytes) == (None,) * 3
    assert (told.peak_phase, told.swap, told.swap_growth_bytes) == (None, None, None)


def test_the_process_tells_the_peak_where_mlx_does_not() -> None:
    told = watch.report([reading(2.0), reading(8.0, process_bytes=900 * MB)], [
        event for event in EVENTS if "memory" not in event
    ])  # fmt: skip
    assert told.peak_phase == "decode"


@pytest.mark.parametrize("events", [[], [{}], [{"phase": "x", "at": 1}], [{"memory": "load"}]])
def test_events_of_a_run_that_crashed(events: list[dict[str, Any]]) -> None:
    told = watch.report([reading(2.0)], events)
    assert (told.samples, told.phases, told.peak_phase) == (1, (), None)
    assert watch.report([], events).samples == 0


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((), None), ((None,), None), (("warn", "critical", "normal"), "critical")],
)
def test_the_worst_pressure(levels: tuple[Pressure | None, ...], expected: str | None) -> None:
    assert watch.worst(levels) == expected


class Broken:
    """A screen whose reader went away."""

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def show(self, reading: Reading, phase: PhaseName | None) -> None:
        raise BrokenPipeError


def test_a_screen_that_breaks_does_not_end_the_watching() -> None:
    with watch.watching(Meter(os.getpid()), Broken(), lambda: None) as readings:
        pass
    assert len(readings) >= 2


# The screens


def test_plain_lines_name_each_phase_once() -> None:
    stream = io.StringIO()
    lines = live.screen(stream)
    for phase in ("load", "prefill", "decode", "prefill", "decode"):
        lines.show(reading(1.0), phase)
    assert [line.partition(":")[0] for line in stream.getvalue().splitlines()] == [
        "loading the model",
        "taking in the prompt",
        "answering",
    ]
    assert "swap 1.70 GB, pressure normal" in stream.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_panel_is_no_wider_than_the_terminal(width: int) -> None:
    readings = [reading(n / 10, process_bytes=n * 10 * MB) for n in range(300)]
    rows = live.drawing(readings, "decode", width).plain.splitlines()
    assert any(row.startswith("▁") and row.endswith("█") and len(row) <= width for row in rows)
    if width >= 40:
        assert max(map(len, rows)) <= width


def test_a_sparkline_shows_the_most_of_each_stretch() -> None:
    assert live.sparkline([0, 0, 8, 0], 2) == "▁█"
    assert live.sparkline([4, 8], 10) == "▅█"
    assert live.sparkline([], 10) == live.sparkline([1], 0) == ""
    assert live.sparkline([0, 0], 10) == "▁▁"


# A real run


def test_a_real_run_is_watched(fresh: Fixed) -> None:
    run = fresh.doctor.json("smoke", "--watch", "--python", str(fresh.python))
    assert run.code == 0
    told = run.report["watch"]
    names = [phase["name"] for phase in told["phases"]]
    assert names == list(PHASES)
    by_name = {phase["name"]: phase for phase in told["phases"]}
    assert told["samples"] >= 5
    # The weights of the doctor's own model, and what a picture takes above them.
    peaks = {name: by_name[name]["mlx_peak_bytes"] for name in names if name != "import"}
    assert 1 * MB < peaks["load"] < min(peaks["vision"], peaks["prefill"])
    assert run.report["peak_memory_bytes"] == max(peaks.values()) == peaks[told["peak_phase"]]
    assert told["process_peak_bytes"] > 50 * MB
    assert "importing: holds" in run.err  # the phase that surely outlasts a sample
