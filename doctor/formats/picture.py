"""The pictures of a generation, to be shown: the doctor's own drawn anew, the user's as it is."""

from __future__ import annotations

import base64
from pathlib import Path

from doctor.facts import Struct
from doctor.proving import pictures
from doctor.proving.pictures import Picture
from doctor.reports.smoke import Answer, SmokeReport

# What every browser shows, by the first bytes of the file.
KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
# A page with a larger picture is no longer one that people send each other.
MOST_BYTES = 10_000_000


class Asked(Struct, frozen=True):
    """A question with its picture.

    ``source`` is a ``data:`` address, null where the picture cannot be shown. ``width`` and
    ``height`` are in pixels, null where they are not known.
    """

    answer: Answer
    source: str | None
    width: int | None
    height: int | None


def pictures_of(report: SmokeReport) -> list[Asked]:
    """The questions of a generation, each with the picture that it was about."""
    if report.image is not None:
        source = _file(Path(report.image))
        return [
            Asked(answer=item, source=source, width=None, height=None) for item in report.answers
        ]
    shown = [what for what, _, _ in pictures.examination()]
    result = []
    for number, item in enumerate(report.answers):
        # Other models are asked about the first picture alone.
        what = shown[number if report.model.stand_in and number < len(shown) else 0]
        source = drawing(what)
        result.append(Asked(answer=item, source=source, width=what.width, height=what.height))
    return result


def drawing(what: Picture) -> str:
    """A picture of the doctor's as the address of an SVG, pixel for pixel."""
    paths: dict[tuple[int, int, int], list[str]] = {}
    for colour, (left, upper, right, lower) in pictures.boxes(what):
        box = f"M{left} {upper}H{right}V{lower}H{left}z"
        paths.setdefault(colour, []).append(box)
    drawn = "".join(
        f'<path fill="rgb{colour}" d="{"".join(boxes)}"/>' for colour, boxes in paths.items()
    )
    size = f'width="{what.width}" height="{what.height}" viewBox="0 0 {what.width} {what.height}"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} shape-rendering="crispEdges">{drawn}</svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _file(path: Path) -> str | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    kind = next((kind for start, kind in KINDS.items() if content.startswith(start)), None)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}" if kind else None
