"""Paper of blocks: what the reports say that have no layout of their own in a document.

A report is printed on it as on a terminal; a format then makes its markup of the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

from doctor import language, texts
from doctor.facts import Struct
from doctor.reports import Report
from doctor.terminal import Part


class Paragraph(Struct, frozen=True):
    """A line of a report, or a part of a list where ``indent`` is above zero."""

    text: str
    indent: int = 0


class Rows(Struct, frozen=True):
    """A table."""

    rows: tuple[tuple[str, ...], ...]


class Page(Struct, frozen=True):
    """A page of Markdown, the doctor's own."""

    markdown: str


class Verbatim(Struct, frozen=True):
    """The lines of a file."""

    text: str


Block = Paragraph | Rows | Page | Verbatim


class Sheet:
    """The paper."""

    def __init__(self) -> None:
        self.columns: int | None = None
        self.blocks: list[Block] = []

    def line(self, *parts: Part, indent: int = 0, whole: bool = False) -> None:
        """Keep a line; an empty one parts paragraphs, which blocks do anyway."""
        said = "".join(
            language.said(part if isinstance(part, str) else part[0]) for part in parts
        ).strip()
        if said:
            self.blocks.append(Paragraph(text=said, indent=indent))

    def table(self, rows: Sequence[Sequence[str]], indent: int = 0) -> None:
        """Keep rows."""
        if rows:
            cells = tuple(tuple(language.said(cell) for cell in row) for row in rows)
            self.blocks.append(Rows(rows=cells))

    def page(self, markdown: str) -> None:
        """Keep a page."""
        self.blocks.append(Page(markdown=language.page(markdown)))

    def verbatim(self, text: str) -> None:
        """Keep the lines of a file."""
        self.blocks.append(Verbatim(text=text))


def blocks(report: Report) -> list[Block]:
    """What a report says, in the language that is spoken."""
    sheet = Sheet()
    texts.render(report, sheet)
    return sheet.blocks
