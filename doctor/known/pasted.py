"""Text that somebody pasted: a traceback, a log, a mail that quotes one. Hostile until shown."""

from __future__ import annotations

import bisect
import codecs
import itertools
import os
import re
import sys
from collections.abc import Iterator
from typing import IO

from doctor.errors import Refused
from doctor.reports.explain import ErrorSeen

# Of longer texts the end is looked at, where the error usually is.
MOST_BYTES = 4_000_000
# No more than this is read from a pipe, however long its writer goes on.
MOST_PIPED_BYTES = 500_000_000
# An exception's line is read so far; lines of logs can be of any length.
MOST_LINE = 2_000
# What is shown of a place in the text, in characters.
MOST_SHOWN = 300
MOST_ERRORS = 20

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, the cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links
    r"|\x1b[ -/]*[0-~]?"
)
# Quoting as in mails (also before a border of Python's exception groups), and a rich border.
_QUOTE = re.compile(r"[ \t]{0,8}(?:[>|│┃] ?)+")
_BORDERS = re.compile(r"[\u2500-\u257f]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202f\ufeff]")
# Typographic quotation marks, as mail programs and word processors put them.
_QUOTATION_MARKS = str.maketrans("\u2018\u2019\u201c\u201d\u00a0", "''\"\" ")
# What UTF-8 has only within a letter.
_CONTINUATIONS = bytes(range(0x80, 0xC0))
_SPACE = re.compile(r"\s+")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{6,}")
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w{0,80}\.){0,8}"
    r"(?P<type>[A-Za-z_]\w{0,80}(?:Error|Exception|Interrupt|Exit|Enabled|Group)|StopIteration)"
    r"(?::(?: (?P<message>.*))?)?$"
)
_ABORT = re.compile(r"uncaught exception of type (?P<type>[\w:]{1,80}): (?P<message>.*)$")
_CRASH = re.compile(r"\b(Segmentation fault|Bus error|Illegal instruction|Abort trap|Killed: 9)\b")


class Pasted:
    """A pasted text, and the same without white space: wrapped lines are whole again there."""

    def __init__(self, text: str, cut: bool) -> None:
        """``text`` as it was decoded; ``cut`` tells that it is only the end of what there was."""
        self.cut = cut
        self.lines = [_plain(line) for line in _newlines(text).split("\n")]
        parts = [_SPACE.sub("", _BORDERS.sub("", line)) for line in self.lines]
        self.squeezed = "".join(parts)
        self._word_ends: dict[int, frozenset[int]] = {}
        self._starts = [0]
        for part in parts:
            self._starts.append(self._starts[-1] + len(part))

    def line_of(self, place: int) -> int:
        """The index of the line that holds a place of the squeezed text."""
        return bisect.bisect_right(self._starts, place) - 1

    def is_whole_word(self, end: int) -> bool:
        """Whether a word ends at this place (the end of a piece) in the text as it was written."""
        if end == 0 or not (self.squeezed[end - 1].isalnum() or self.squeezed[end - 1] == "_"):
            return True
        index = self.line_of(end - 1)
        if index not in self._word_ends:
            words = _BORDERS.sub("", self.lines[index]).split()
            self._word_ends[index] = frozenset(itertools.accumulate(map(len, words)))
        if end - self._starts[index] in self._word_ends[index]:
            return True
        following = self.squeezed[end]
        return not (following.isalnum() or following in ("_", "-"))

    def shown(self, start: int, end: int) -> str:
        """The lines around a place of the squeezed text, in one line, without secrets."""
        first, last = self.line_of(start), self.line_of(max(start, end - 1))
        words = " ".join(line.strip() for line in self.lines[first : last + 1])
        if len(words) > MOST_SHOWN:
            offset = max(0, min(start - self._starts[first] - 80, len(words) - MOST_SHOWN))
            words = "…" + words[offset : offset + MOST_SHOWN] + "…"
        return without_secrets(words)

    def errors(self) -> tuple[ErrorSeen, ...]:
        """The exceptions and crashes, in the order of the text; of many the last ones."""
        return tuple(list(self._errors())[-MOST_ERRORS:])

    def _errors(self) -> Iterator[ErrorSeen]:
        for number, line in enumerate(self.lines, start=1):
            stripped = line[:MOST_LINE].strip()
            found = _EXCEPTION.match(stripped) or _ABORT.search(stripped)
            crash = None if found else _CRASH.search(stripped)
            if found:
                message = found["message"] or self._next_words(number)
                yield ErrorSeen(
                    type=found["type"], message=without_secrets(message[:MOST_SHOWN]), line=number
                )
            elif crash:
                yield ErrorSeen(type=crash[1], message="", line=number)

    def _next_words(self, number: int) -> str:
        """The next line that is not empty: some messages begin with a line's end."""
        following = (line.strip() for line in self.lines[number : number + 5])
        return next((line for line in following if line), "")


def without_secrets(text: str) -> str:
    """The text with the tokens of the Hub taken out."""
    return _TOKEN.sub("hf_…", text)


def read(name: str) -> Pasted:
    """The text of a file, or of standard input (``-``).

    Raises ``Refused`` where it cannot be read, is empty, or is no text.
    """
    shown = "Standard input" if name == "-" else name
    try:
        if name == "-":
            if sys.stdin is None:
                raise Refused("Standard input is closed.")
            data, cut = _tail(sys.stdin.buffer)
        else:
            if os.path.isdir(name):
                raise Refused(f"{name} is a folder; --error takes a file with the error's text.")
            with open(name, "rb") as file:
                data, cut = _tail(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{shown} could not be read: {reason}.") from None
    if not data.strip():
        raise Refused(f"{shown} is empty.", "Paste the error's text, the whole traceback at best.")
    text = _decoded(data)
    strange = sum(1 for letter in text[:100_000] if letter == "\ufffd" or letter < "\x07")
    if strange > len(text[:100_000]) // 10:
        raise Refused(f"{shown} is no text.", "--error takes the text of a traceback or log.")
    return Pasted(text, cut)


def _tail(stream: IO[bytes]) -> tuple[bytes, bool]:
    """The end of a stream, and whether something came before it."""
    cut = False
    if stream.seekable():
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - MOST_BYTES))
        return stream.read(MOST_BYTES), size > MOST_BYTES
    data, total = b"", 0
    while total < MOST_PIPED_BYTES and (part := stream.read(MOST_BYTES)):
        total += len(part)
        cut = cut or total > MOST_BYTES
        data = (data + part)[-MOST_BYTES:]
    return data, cut


def _decoded(data: bytes) -> str:
    """Text in the encodings that terminals and Windows write. What is no text is marked."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    beginning = data[:2000]
    if beginning[1::2].count(0) > len(beginning) // 3:  # UTF-16 without its mark
        return data.decode("utf-16-le", "replace")
    # The end of a longer text may begin within a letter, and a text may be cut within one.
    whole = data.lstrip(_CONTINUATIONS) if data[0] in _CONTINUATIONS else data
    try:
        return codecs.getincrementaldecoder("utf-8")("strict").decode(whole)
    except UnicodeDecodeError:
        # Western Windows writes one byte a letter. A file with null characters is no text at all.
        return data.decode("utf-8" if 0 in data else "cp1252", "replace")


def _newlines(text: str) -> str:
    """One kind of line end; those that a log or a JSON document has escaped are real again."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\\n" in text:
        text = text.replace("\\n", "\n")
    for escaped, plain in (('\\"', '"'), ("\\'", "'"), ("\\_", "_")):
        text = text.replace(escaped, plain)
    if "&quot;" in text or "&#39;" in text or "&#x27;" in text or "&gt;" in text:
        import html

        text = html.unescape(text)
    return text


def _plain(line: str) -> str:
    """A line without colours, quoting and control characters."""
    if "\x1b" in line:
        line = _ESCAPES.sub("", line)
    if not (line.isascii() and line.isprintable()):
        line = _CONTROLS.sub("", line.translate(_QUOTATION_MARKS))
    quote = _QUOTE.match(line)
    return line[quote.end() :] if quote else line
