"""Drawings of memory as SVG: the phases of a generation, and the peak against the picture's size.

Pure and without a library: two small charts of bars, a line and labels. The result is one ``<svg>``
element that stands alone in a file or inside a page; what comes from outside is escaped, and
nothing is loaded. Each drawing says in words (``<desc>``) what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from doctor.terminal import clean

# Pixels of the whole drawing and of one chart within it.
WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 56, 40
GAP = 32

# Chosen to be told apart by everybody, on white and on dark (Okabe and Ito's palette).
WITHIN, BEYOND = "#0072b2", "#d55e00"
INK, QUIET, AXIS, GRID = "#222", "#666", "#999", "#ddd"


def shown(words: str) -> str:
    """Words as text of XML, which has no place for control characters."""
    return escape(clean(words))


def svg(
    title: str,
    phases: Mapping[str, int],
    pictures: Sequence[tuple[int, int]] = (),
    budget_bytes: int | None = None,
    budget_words: str = "this machine's budget",
) -> str:
    """Both charts side by side, or the first alone where there are no ``pictures``.

    ``phases`` are peaks in bytes by the phases' names, in their order; ``pictures`` are pairs of a
    side in pixels and the peak in bytes, the smallest first.
    """
    sizes = [*phases.values(), *(size for _, size in pictures), budget_bytes or 0, 1]
    top = _round_up(max(sizes) * 1.08)
    inner = (WIDTH - LEFT - RIGHT - (GAP if pictures else 0)) / (2 if pictures else 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{shown(title)}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{shown(title)}</title>",
        f"<desc>{shown(_words(phases, pictures, budget_bytes, budget_words))}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 22, title),
    ]
    parts += _scale(LEFT, inner, top)
    parts += _bars(LEFT, inner, top, phases, budget_bytes)
    if budget_bytes is not None:
        parts += _budget(LEFT, inner, top, budget_bytes, budget_words)
    if pictures:
        left = LEFT + inner + GAP
        parts += _scale(left, inner, top, labels=False)
        parts += _curve(left, inner, top, pictures, budget_bytes)
        if budget_bytes is not None:
            parts += _budget(left, inner, top, budget_bytes, "")
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _y(size: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1.0, size / top)


def _scale(left: float, width: float, top: float, labels: bool = True) -> list[str]:
    """The axes, with lines at round sizes."""
    parts = []
    step = _round_up(top / 5) if top >= 5 else 1.0
    size = 0.0
    while size <= top:
        y = _y(size, top)
        colour = AXIS if size == 0 else GRID
        parts.append(
            f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{left + width:.1f}" y2="{y:.1f}" '
            f'stroke="{colour}"/>'
        )
        if labels:
            parts.append(_text(left - 6, y + 4, _size(size), QUIET, "end"))
        size += step
    return parts


def _bars(
    left: float, width: float, top: float, phases: Mapping[str, int], budget: int | None
) -> list[str]:
    parts = []
    place = width / max(1, len(phases))
    bar = place * 0.6
    for number, (name, size) in enumerate(phases.items()):
        x = left + place * number + (place - bar) / 2
        y = _y(size, top)
        colour = BEYOND if budget is not None and size > budget else WITHIN
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{colour}"/>'
        )
        middle = x + bar / 2
        parts.append(_text(middle, y - 5, _size(size), INK, "middle"))
        parts.append(_text(middle, HEIGHT - BOTTOM + 16, name, QUIET, "middle"))
    return parts


def _curve(
    left: float,
    width: float,
    top: float,
    pictures: Sequence[tuple[int, int]],
    budget: int | None,
) -> list[str]:
    most = max(side for side, _ in pictures) or 1
    points = [(left + width * side / most, _y(size, top)) for side, size in pictures]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{WITHIN}" stroke-width="2"/>']
    last_label = float("-inf")
    for (x, y), (side, size) in zip(points, pictures, strict=True):
        colour = BEYOND if budget is not None and size > budget else WITHIN
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        if x - last_label >= 44 or side == most:
            if side == most and x - last_label < 44:
                continue
            last_label = x
            anchor = "end" if side == most else "middle"
            parts.append(_text(x, HEIGHT - BOTTOM + 16, str(side), QUIET, anchor))
            parts.append(_text(x, y - 8, _size(size), INK, anchor))
    parts.append(_text(left + width, HEIGHT - 6, "side of a square picture, pixels", QUIET, "end"))
    return parts


def _budget(left: float, width: float, top: float, budget: int, words: str) -> list[str]:
    y = _y(budget, top)
    parts = [
        f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{left + width:.1f}" y2="{y:.1f}" '
        f'stroke="{BEYOND}" stroke-width="1.5" stroke-dasharray="6 4"/>'
    ]
    if words:
        parts.append(_text(left, 40, f"- - {words}: {_size(budget)}", QUIET))
    return parts


def _text(x: float, y: float, words: str, colour: str = INK, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{shown(words)}</text>"
    )


def _round_up(size: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below a size."""
    power = 1.0
    while power * 10 <= size:
        power *= 10
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= size)


def _size(size: float) -> str:
    if size >= 1e11:
        return f"{size / 1e9:.0f} GB"
    if size >= 1e8 or size == 0:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB"


def _words(
    phases: Mapping[str, int],
    pictures: Sequence[tuple[int, int]],
    budget: int | None,
    budget_words: str,
) -> str:
    said = [f"{name} {_size(size)}" for name, size in phases.items()]
    words = "Peak memory of each phase: " + ", ".join(said) + "."
    if pictures:
        (first, least), (last, most) = pictures[0], pictures[-1]
        words += f" With a picture of {first} pixels {_size(least)}, of {last} {_size(most)}."
    if budget is not None:
        words += f" {budget_words[:1].upper()}{budget_words[1:]}: {_size(budget)}."
    return words
