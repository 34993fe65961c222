"""The drawings of memory: well-formed, safe, and true to their figures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from doctor.plots import svg

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
    evil = "a\"'/><script>alert(1)</script>&"
    text = svg(evil, {evil: 1}, [(1, 1)], 1, evil)
    drawing = ElementTree.fromstring(text)
    assert not list(drawing.iter(f"{SVG}script"))
    assert drawing.findtext(f"{SVG}title") == evil
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
