"""The catalogues: brought up to date with the source, held against it, compiled."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from doctor.language import COMPILED, DOMAIN, FOLDER, LANGUAGES, TELLING, Catalogue, Pattern
from tools.languages.texts import all_texts

TRANSLATED = tuple(name for name in LANGUAGES if name != "en")
PLACE = re.compile(r"\{\d\}")
# A contributor's lines in the .po files stay readable.
LINE_COLUMNS = 96


def folder(language: str) -> Path:
    """Where a language's files are."""
    return FOLDER / language / "LC_MESSAGES"


@functools.cache
def source() -> Catalog:
    """What the source says now: every text once, with the files that it stands in."""
    made = Catalog(project=DOMAIN, fuzzy=False)
    for item in all_texts():
        message = made.get(item.message)
        known = {path for path, _ in message.locations} if message else set()
        if item.plural is not None or message is None or not message.pluralizable:
            identity = (item.message, item.plural) if item.plural is not None else item.message
            location = [] if item.path in known else [(item.path, None)]
            made.add(identity, locations=location)  # type: ignore[arg-type]
    return made


def load(language: str) -> Catalog:
    """A language's catalogue as its translators wrote it."""
    path = folder(language) / f"{DOMAIN}.po"
    if not path.exists():
        return Catalog(locale=language, project=DOMAIN, fuzzy=False)
    with open(path, "rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> None:
    """Bring a catalogue up to date: new texts are added, those that are no more are left out."""
    catalogue = load(language)
    catalogue.update(source(), no_fuzzy_matching=True, keep_user_comments=True)
    catalogue.obsolete.clear()
    folder(language).mkdir(parents=True, exist_ok=True)
    (folder(language) / f"{DOMAIN}.po").write_bytes(written(catalogue))


def written(catalogue: Catalog) -> bytes:
    """A catalogue as its file."""
    out = io.BytesIO()
    write_po(out, catalogue, width=LINE_COLUMNS, sort_by_file=True, include_lineno=False)
    # The dates that Babel writes would change the file where no text does.
    lines = out.getvalue().decode().splitlines(keepends=True)
    dated = ("POT-Creation-Date", "PO-Revision-Date", "Generated-By", "Last-Translator")
    return "".join(line for line in lines if not line[1:].startswith(dated)).encode()


def compiled(language: str) -> dict[str, bytes]:
    """What the doctor reads of a language: the files' contents by their names."""
    catalogue = load(language)
    there = [message for message in catalogue if message.id and _is_translated(message)]
    beginnings: dict[str, list[Pattern]] = {}
    endings: dict[str, list[Pattern]] = {}
    for rank, (message, plural, shown) in enumerate(_patterns(there)):
        pattern = Pattern(rank, message, plural, tuple(PLACE.split(shown)))
        first, last = pattern.chunks[0], pattern.chunks[-1]
        if len(first) >= TELLING:
            beginnings.setdefault(first[:TELLING], []).append(pattern)
        else:
            endings.setdefault(last[-TELLING:] if len(last) >= TELLING else "", []).append(pattern)
    made = Catalogue(
        plural=catalogue.plural_expr,
        texts={_shown(item): _strings(item)[0] for item in there if not item.pluralizable},
        plurals={_shown(item): tuple(_strings(item)) for item in there if item.pluralizable},
        patterns={beginning: tuple(found) for beginning, found in beginnings.items()},
        endings={ending: tuple(found) for ending, found in endings.items()},
    )
    # A text a line, so that two changes of the file meet only where they are of the same text.
    return {COMPILED: msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"}


def _patterns(messages: Iterable[Message]) -> Iterator[tuple[str, str | None, str]]:
    """The texts with places that are translated: message, plural, and the form to recognise."""
    found: list[tuple[str, str | None, str]] = []
    for message in messages:
        if not isinstance(message.id, str):
            one, many = message.id
            found += [(one, many, one), (one, many, many)]
        elif PLACE.search(message.id):
            found.append((message.id, None, message.id))
    yield from sorted(found, key=lambda item: (-len(PLACE.sub("", item[2])), item[2]))


def _is_translated(message: Message) -> bool:
    return all(_strings(message)) and not message.fuzzy


def _strings(message: Message) -> list[str]:
    """The translation, all of its forms."""
    strings = message.string
    return list(strings) if isinstance(strings, (tuple, list)) else [strings or ""]


def _shown(message: Message) -> str:
    """The text, the first form of it."""
    return message.id if isinstance(message.id, str) else message.id[0]


def problems(language: str) -> list[str]:
    """What a release must not have: texts without translation, and wrong or useless ones."""
    catalogue, now = load(language), source()
    found = []
    for message in now:
        if not message.id:
            continue
        shown = _shown(message)
        there = catalogue.get(shown)
        if there is None or not _is_translated(there):
            found.append(f"{language}: not translated: {shown!r}")
            continue
        strings = _strings(there)
        if message.pluralizable and len(strings) != catalogue.num_plurals:
            found.append(f"{language}: {len(strings)} of {catalogue.num_plurals} forms: {shown!r}")
        for string in strings:
            # A place may be left out that another grammar has no use for, and none invented.
            if not set(PLACE.findall(string)) <= set(PLACE.findall(shown)):
                found.append(f"{language}: other places than in the source: {shown!r}")
    found += [
        f"{language}: no longer in the source: {message.id!r}"
        for message in catalogue
        if message.id and now.get(_shown(message)) is None
    ]
    return found
