"""The drawings of memory: well-formed, safe, and true to their figures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from doctor.formats import html
from doctor.memory.plots import svg
from doctor.reports.smoke import PhaseMemory, WatchReport
from tests.facts_of import replace
from tests.test_formats import smoked

SVG = "{http://www.w3.org/2000/svg}"
PHASES = {"load": 3_090_000_000, "vision": 4_400_000_000, "prefill": 5_900_000_000}
PICTURES = [(256, 3_500_000_000), (1024, 4_400_000_000), (2048, 7_300_000_000)]
BUDGET = 5_726_623_061


def test_bars_are_as_high_as_their_phases() -> None:
    drawing = ElementTree.fromstring(svg("A model", PHASES, PICTURES, BUDGET))
    bars = [bar for bar in drawing.iter(f"{SVG}rect") if "x" in bar.attrib]
    heights = [float(bar.attrib["height"]) for bar in bars]
    for height, size in zip(heights, PHASES.values(), strict=True):
        assert height / heights[0] == pytest.approx(size / PHASES["load"], rel=0.01)
    beyond = bars[2].attrib["fill"]
    assert [bar.attrib["fill"] == beyond for bar in bars] == [False, False, True]


def test_the_budget_is_a_line_in_both_charts() -> None:
    drawing = ElementTree.fromstring(svg("A model", PHASES, PICTURES, BUDGET))
    lines = [line for line in drawing.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]
    assert len(lines) == 2
    assert len({line.attrib["y1"] for line in lines}) == 1
    assert "stroke-dasharray" not in svg("A model", PHASES, PICTURES)


def test_it_says_in_words_what_it_shows() -> None:
    drawing = ElementTree.fromstring(svg("A model", PHASES, PICTURES, BUDGET))
    words = drawing.findtext(f"{SVG}desc")
    assert words is not None
    assert "prefill 5.9 GB" in words and "of 2048 7.3 GB" in words and "budget: 5.7 GB" in words


def test_nothing_from_outside_becomes_markup() -> None:
    evil = "a\"'/><script>alert(1)</script>&\x1b[31m\x00"
    text = svg(evil, {evil: 1}, [(1, 1)], 1, evil)
    drawing = ElementTree.fromstring(text)
    assert not list(drawing.iter(f"{SVG}script"))
    title = drawing.findtext(f"{SVG}title")
    assert title is not None
    assert title.startswith("a\"'/><script>alert(1)</script>&") and title.isprintable()
    assert not re.search(r"(href|src|style)=", text)


@pytest.mark.parametrize("size", [0, 1, 999, 4_567_890, 10**18])
def test_any_size_can_be_drawn(size: int) -> None:
    text = svg("x", {"load": size}, [(1, size), (2, size)], size or None)
    drawing = ElementTree.fromstring(text)
    for bar in drawing.iter(f"{SVG}rect"):
        assert 0 <= float(bar.attrib["height"]) <= 300
    assert text.count("<text") < 60


def test_without_pictures_there_is_one_chart() -> None:
    drawing = ElementTree.fromstring(svg("x", PHASES))
    assert not list(drawing.iter(f"{SVG}polyline"))


def test_a_watched_run_is_drawn_in_its_page() -> None:
    plain = smoked("org/model")
    assert "<svg" not in html.render(plain)
    phase = PhaseMemory(
        name="prefill",
        seconds=1.0,
        samples=9,
        mlx_peak_bytes=4_200_000_000,
        process_peak_bytes=None,
        available_least_bytes=None,
        swap_used_most_bytes=None,
        pressure_worst=None,
    )
    watched = WatchReport(
        interval_seconds=0.1,
        samples=9,
        phases=(phase, replace(phase, name="import", mlx_peak_bytes=None)),
        peak_phase="prefill",
        process_peak_bytes=None,
        swap_before_bytes=None,
        swap_growth_bytes=None,
        swapped_in_bytes=None,
        swapped_out_bytes=None,
        swap=None,
        pressure_worst=None,
    )
    page = html.render(replace(plain, watch=watched))
    assert page.count("<svg") == 1
    assert "Peak memory of each phase: prefill 4.2 GB." in page
    nothing = replace(watched, phases=(replace(phase, mlx_peak_bytes=None),))
    assert "<svg" not in html.render(replace(plain, watch=nothing))
