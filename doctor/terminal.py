"""Where reports are printed: a terminal, through rich, or a file or pipe, as plain lines.

Everything that came from somebody's metadata is printed as text, never as markup, and control
characters are made visible: a package's name must not be able to steer the terminal. A file or a
pipe gets lines of any length, and rich is not even imported for it: it costs as much as a check.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

from doctor import language, undecoded

# A piece of a line: text, or text and how it looks (a style of rich's, lost where there is none).
Part = str | tuple[str, str]


class Paper(Protocol):
    """What reports are printed on. ``columns`` is its width, null where lines have any length."""

    columns: int | None

    def line(self, *parts: Part, indent: int = 0, whole: bool = False) -> None:
        """Print one line of parts; ``indent`` is in columns.

        A ``whole`` line ends with a command: where the terminal is narrow, it is the terminal that
        breaks it, so that the command copies whole.
        """

    def table(self, rows: Sequence[Sequence[str]], indent: int = 0) -> None:
        """Print rows in columns."""

    def page(self, markdown: str) -> None:
        """Print a page of Markdown."""

    def verbatim(self, text: str) -> None:
        """Print the lines of a file as they are, however long."""


def paper(stream: IO[str]) -> Paper:
    """The paper for a stream, on which the doctor's texts are in the language of its user."""
    made: Paper = Terminal(stream) if stream.isatty() else Plain(stream)
    return made if language.current() == "en" else language.Translating(made)


def clean(text: str) -> str:
    """The text with every control character made visible (an end of a line becomes a space)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " "
        if letter in "\n\t\u2028\u2029"
        else f"\\x{ord(letter):02x}"
        if unicodedata.category(letter) in ("Cc", "Cf", "Co")
        else letter
        for letter in undecoded.shown(text)
    )


# Who hears of progress in place of standard error: a program that uses the doctor.
_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Give progress to a function, line by line, and print none."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def say(line: str) -> None:
    """Print a line of progress on standard error, if anybody is there to read it."""
    listener = _LISTENER.get()
    if line and listener is not None:
        listener(line)
    elif line:
        try:
            print(clean(language.text(line)), file=sys.stderr, flush=True)
        except OSError:
            # A closed pipe or terminal must not stop a repair half-way, nor Python's end: what
            # could not be written would be tried again there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def can_ask() -> bool:
    """Whether somebody is there to see a question and to answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str) -> bool:
    """Ask, and return whether the answer is yes.

    It is asked on standard error: standard output is the report's, which may go to a file.
    """
    print(language.text(question), end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes", "д", "да")


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error: call it with the bytes done since the last call, and all of them.

    Null where standard error is no terminal: nobody would see it.
    """
    if _LISTENER.get() is not None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, advance=done, total=total)


class Plain:
    """Lines without colours."""

    columns: int | None = None

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def line(self, *parts: Part, indent: int = 0, whole: bool = False) -> None:
        """Print one line; here all are whole."""
        text = "".join(clean(part if isinstance(part, str) else part[0]) for part in parts)
        self._write((" " * indent + text).rstrip())

    def table(self, rows: Sequence[Sequence[str]], indent: int = 0) -> None:
        """Print rows, each column as wide as its widest cell."""
        cells = [[clean(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._write((" " * indent + " ".join(padded)).rstrip())

    def page(self, markdown: str) -> None:
        """Print the page as it is written: Markdown is made to be read."""
        self._write(markdown)

    def verbatim(self, text: str) -> None:
        """Print the lines of a file."""
        for line in text.splitlines():
            self._write(clean(line))

    def _write(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        # A pipe in the C locale takes no arrow; better a question mark than no report.
        self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def unadorned() -> bool:
    """Whether the user wants no escape sequences: rich alone takes NO_COLOR as "bold will do"."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def console(stream: IO[str]) -> Console:
    """A console of rich for a stream, that takes text as text."""
    from rich.console import Console

    return Console(
        file=stream,
        color_system=None if unadorned() else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


class Terminal:
    """Lines as wide as the terminal, with colours unless ``NO_COLOR`` or ``TERM=dumb``."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = console(stream)
        self.columns: int | None = self._console.width

    def line(self, *parts: Part, indent: int = 0, whole: bool = False) -> None:
        """Print one line, wrapped at words, every row of it indented, unless it is to be whole."""
        from rich.padding import Padding
        from rich.text import Text

        text = Text()
        for part in parts:
            if isinstance(part, tuple):
                text.append(clean(part[0]), part[1])
            else:
                text.append(clean(part))
        if not text:
            self._console.print()  # padding would leave an empty line out
            return
        if whole:
            self._console.print(Text(" " * indent) + text, soft_wrap=True)
            return
        self._console.print(Padding(text, (0, 0, 0, indent), expand=False))

    def table(self, rows: Sequence[Sequence[str]], indent: int = 0) -> None:
        """Print rows in columns; cells are wrapped where the terminal is narrow."""
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False, box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for row in rows:
            table.add_row(*(Text(clean(cell), overflow="fold") for cell in row))
        self._console.print(Padding(table, (0, 0, 0, indent), expand=False))

    def page(self, markdown: str) -> None:
        """Print a page, formatted."""
        from rich.markdown import Markdown

        self._console.print(Markdown(markdown))

    def verbatim(self, text: str) -> None:
        """Print the lines of a file; the terminal itself breaks them, so that they copy whole."""
        for line in text.splitlines():
            self._console.print(clean(line), soft_wrap=True)
