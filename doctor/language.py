"""In which language the doctor speaks.

Texts are written in English, where they belong, and are translated only where they are printed: so
checks stay pure, facts and JSON are the same in every language, and whoever adds a check writes
English and no more. A text with something filled in, ``mlx 0.31.2 has no backend``, is recognised
by the catalogue's ``mlx {0} has no backend``. What a catalogue lacks stays English.

The catalogues are gettext's (``languages/*/LC_MESSAGES``); ``make languages`` extracts the texts
from the source, adds new ones to each ``.po`` file, and compiles them to what is read fastest.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from doctor.terminal import Paper, Part

LANGUAGES = ("en", "ru")
FOLDER = Path(__file__).parent / "languages"
DOMAIN = "vlm-doctor"
COMPILED = "compiled.json"
# A page in a file or a pipe has lines of this many columns.
PAGE_COLUMNS = 88
# Fewer letters than this do not tell a text with several places from others.
FEW_LETTERS = 8
# Texts are looked up by this many first or last letters.
TELLING = 3
# How deep texts are looked for in what is filled into others.
MOST_DEPTH = 4

# One process speaks one language: that of the user who started it.
_language = "en"


def use(language: str) -> None:
    """Speak this language from now on."""
    global _language  # noqa: PLW0603
    _language = language


def current() -> str:
    """The language that is spoken, as BCP 47 has it."""
    return _language


def choose(words: Sequence[str], variables: Mapping[str, str]) -> str:
    """The language that ``--lang`` asks for among the words, else that of the locale."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        asked = following if word == "--lang" else word.removeprefix("--lang=")
        if word.startswith("--lang") and asked in LANGUAGES:
            return asked
    return of_locale(variables)


def of_locale(variables: Mapping[str, str]) -> str:
    """The language of the locale, by gettext's rules; English where there is no catalogue.

    ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` name the locale, the first that is set. Unless that is
    the C locale, ``LANGUAGE`` comes before it, with several languages in the order of preference.
    A Mac's own setting counts where no variable is set.
    """
    name = next((value for key in VARIABLES if (value := variables.get(key))), None)
    if name is None:
        name = _of_mac() if sys.platform == "darwin" else "C"
    if name.partition(".")[0] in ("C", "POSIX"):
        return "en"
    for preferred in (*variables.get("LANGUAGE", "").split(":"), name):
        language = re.split(r"[_.@-]", preferred)[0].lower()
        if language in LANGUAGES:
            return language
    return "en"


VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
MAC_PREFERENCES = Path("~/Library/Preferences/.GlobalPreferences.plist")


def _of_mac(preferences: Path = MAC_PREFERENCES) -> str:
    """The locale in a Mac's settings; ``C`` where it cannot be read."""
    import plistlib

    try:
        with open(preferences.expanduser(), "rb") as file:
            return str(plistlib.load(file).get("AppleLocale", "C"))
    except (OSError, RuntimeError, plistlib.InvalidFileException, ValueError):
        return "C"


def counted(number: int, one: str, many: str) -> str:
    """The English text for a number of things: ``one`` or ``many``, each with a ``{}`` for it.

    In the catalogues it is one message with all the plural forms that a language has.
    """
    return (one if number == 1 else many).format(number)


def text(english: str) -> str:
    """A text of the doctor's in the language that is spoken."""
    if _language == "en":
        return english
    core = english.strip()
    if core.endswith(":") and core[:-1] in _catalogue(_language).texts:
        core = core[:-1]  # the name of what follows
    found = _translated(core, 0)
    if found is None and core.endswith(":"):
        core = core[:-1]
        found = _translated(core, 0)
    if found is None:
        return english
    start = len(english) - len(english.lstrip())
    return english[:start] + found + english[start + len(core) :]


def _translated(english: str, depth: int) -> str | None:
    """The translation of a whole text; null where the catalogue has none."""
    if not english or depth > MOST_DEPTH:
        return None
    catalogue = _catalogue(_language)
    whole = catalogue.texts.get(english)
    if whole is not None:
        return whole
    # What stands within sentences elsewhere may begin one here.
    found = catalogue.texts.get(english[0].lower() + english[1:])
    if found is not None:
        return found[0].upper() + found[1:]
    for pattern in catalogue.like(english):
        values = pattern.values(english)
        if values is None:
            continue
        if pattern.plural is None:
            form = catalogue.texts[pattern.message]
        elif values[0].isdecimal():
            form = catalogue.form(pattern.message, int(values[0]))
        else:
            continue
        # What is one word is a name or a number.
        inner = [_translated(value, depth + 1) if " " in value else None for value in values]
        filled = [new if new is not None else old for new, old in zip(inner, values, strict=True)]
        return re.sub(r"\{(\d)\}", lambda place: filled[int(place.group(1))], form)  # noqa: B023
    return _by_pieces(english, depth)


def _by_pieces(english: str, depth: int) -> str | None:
    """The translation of several texts that stand one after another; null where none has one."""
    for between in (r"(; |(?<=\.) |\.$)", r"(: )", r"(, )"):
        pieces = re.split(between, english)
        if len(pieces) == 1:
            continue  # the same text once more
        said = [_translated(piece, depth + 1) if " " in piece else None for piece in pieces]
        if any(said):
            return "".join(new or old for new, old in zip(said, pieces, strict=True))
    return None


class Pattern(msgspec.Struct, frozen=True, array_like=True):
    """A text with places that stand for anything: what stands around them are the ``chunks``.

    ``rank`` is its place among all: those with most words come first.
    """

    rank: int
    message: str
    plural: str | None
    chunks: tuple[str, ...]

    def values(self, english: str) -> list[str] | None:
        """What stands in the places; null where the text is another one."""
        first, *middle, last = self.chunks
        if not (english.startswith(first) and english.endswith(last)):
            return None
        position, end = len(first), len(english) - len(last)
        values = []
        for chunk in middle:
            place = english.find(chunk, position, end)
            if place < 0:
                return None
            values.append(english[position:place])
            position = place + len(chunk)
        values.append(english[position:end])
        if position > end:
            return None
        # So few letters could be parts of any text: then no more than a word each is filled in.
        short = middle and sum(map(len, self.chunks)) < FEW_LETTERS
        return None if short and any(" " in value for value in values) else values


class Catalogue(msgspec.Struct, frozen=True):
    """A catalogue as it is compiled: read in a millisecond, which ``.mo`` files are not.

    ``plural`` is gettext's rule for the form of a number. ``patterns`` are by how they begin,
    ``endings`` by how they end: those that may begin with anything. What is told by neither is
    under the empty ending.
    """

    plural: str
    texts: dict[str, str]
    plurals: dict[str, tuple[str, ...]]
    patterns: dict[str, tuple[Pattern, ...]]
    endings: dict[str, tuple[Pattern, ...]]

    def like(self, english: str) -> Iterator[Pattern]:
        """The patterns that a text may be one of, in the order in which they are tried."""
        yield from self.patterns.get(english[:TELLING], ())
        ending = self.endings.get(english[-TELLING:], ())
        yield from sorted((*ending, *self.endings.get("", ())), key=_rank)

    def form(self, one: str, number: int) -> str:
        """The form of a text for a number of things."""
        return self.plurals[one][_rule(self.plural)(number)]


def _rank(pattern: Pattern) -> int:
    return pattern.rank


@functools.cache
def _rule(plural: str) -> Callable[[int], int]:
    """The rule of a language's plurals, from gettext's expression for it."""
    import gettext

    rule: Callable[[int], int] = gettext.c2py(plural)
    return rule


@functools.cache
def _catalogue(language: str) -> Catalogue:
    data = (FOLDER / language / "LC_MESSAGES" / COMPILED).read_bytes()
    return msgspec.json.decode(data, type=Catalogue)


def page(markdown: str) -> str:
    """A page of Markdown in the language that is spoken, block by block."""
    if _language == "en":
        return markdown
    return "\n".join(_written(start, _named(words)) for start, words in blocks(markdown))


def _named(words: str) -> str:
    """A block of a page; one that begins with a name in code may be a sentence by that name."""
    said = text(words)
    name = re.match(r"`[^`]+`: ", words)
    if name is None or words in _catalogue(_language).texts:
        return said
    return name.group() + text(words[name.end() :])


def _written(start: str, words: str) -> str:
    """A block of a page as lines again."""
    if start == "```":
        return words
    if not words or start.startswith("#"):
        return start + words
    import textwrap

    return textwrap.fill(
        words,
        PAGE_COLUMNS,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """The blocks of a page: what it starts with, and its text in one line.

    A block is a heading, a paragraph, an item of a list, or a line of code (which starts with three
    backticks here, and is as it is). An empty text is an empty line.
    """
    start, words = "", ""
    fenced = False
    for line in markdown.splitlines():
        bullet = re.match(r"- |\d+\. |#+ ", line)
        fence = line.startswith("```")
        if words and (fenced or fence or bullet or not line.strip()):
            yield start, words
            start, words = "", ""
        if fenced or fence:
            yield "```", line
            fenced = fenced != fence
        elif bullet:
            start, words = bullet.group(), line[bullet.end() :].strip()
        elif line.strip():
            words = f"{words} {line.strip()}".strip()
        else:
            yield "", ""
    if words:
        yield start, words


class Foreign(str):
    """Words that are not the doctor's: an error, an answer. They are printed as they are."""

    __slots__ = ()


class Translating:
    """Paper on which everything is printed in the language that is spoken."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self.columns = paper.columns

    def line(self, *parts: Part, indent: int = 0, whole: bool = False) -> None:
        """Print one line."""
        self._paper.line(
            *(said(part) if isinstance(part, str) else (said(part[0]), part[1]) for part in parts),
            indent=indent,
            whole=whole,
        )

    def table(self, rows: Sequence[Sequence[str]], indent: int = 0) -> None:
        """Print rows."""
        self._paper.table([[said(cell) for cell in row] for row in rows], indent)

    def page(self, markdown: str) -> None:
        """Print a page."""
        self._paper.page(page(markdown))

    def verbatim(self, text: str) -> None:
        """Print the lines of a file as they are."""
        self._paper.verbatim(text)


def said(part: str) -> str:
    """A part of a line as it is printed."""
    return part if isinstance(part, Foreign) else text(part)
