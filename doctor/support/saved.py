"""Saved facts: a file of facts, or a bundle, from somebody else's machine. Hostile until read.

A bundle is a zip of a few JSON files (see ``doctor/support/bundle.py``). It is read in memory and
never unpacked: no name in it becomes a path. What is too much for facts is refused before it is
judged.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from doctor import facts as facts_module
from doctor.errors import Refused
from doctor.facts import Facts

Judged = TypeVar("Judged")

# Facts stay under 2 MB (the contract); what is much larger is not ours.
USUAL_BYTES = 2_000_000
MOST_BYTES = 20_000_000
# A bundle has five members at most; other programs may add their own.
MOST_MEMBERS = 20
# Each text: a requirement has a hundred characters, and an error that was pasted some thousands.
MOST_LETTERS = 100_000
# What has a version's place: packaging's patterns take time that grows with its length.
MOST_VERSION_LETTERS = 500
# Python's own: it names the files of locks.
MOST_PYTHON_LETTERS = 50

FACTS = "facts.json"


def read(path: Path, model: str | None = None, purpose: str | None = None) -> Facts:
    """The facts in a file. Raises ``Refused`` where there are none, or about something else."""
    data = member(path, FACTS) if is_zip(path) else _whole(path)
    try:
        facts = facts_module.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Refused(f"{path} has no facts that can be read: {_short(error)}.") from None
    if len(data) > USUAL_BYTES:
        _bounded(path, msgspec.to_builtins(facts))
    python = facts.environment.interpreter.version
    if len(python) > MOST_PYTHON_LETTERS:
        raise Refused(f"{path} has no facts that can be read: Python {python[:20]}… is none.")
    for item in facts.environment.distributions:
        for text in (item.version, item.requires_python, *item.requires):
            if text is not None and len(text) > MOST_VERSION_LETTERS:
                raise Refused(f"{path} has no facts that can be read: {item.name[:40]} is strange.")
    if model is not None and model != facts.model.id:
        raise Refused(f"The facts in {path} are about {facts.model.id}, not {model}.")
    if purpose is not None and purpose != facts.purpose:
        raise Refused(f"The facts in {path} were taken for {facts.purpose}, not {purpose}.")
    return facts


def judged(path: Path, judge: Callable[[], Judged]) -> Judged:
    """What is made of saved facts. Raises ``Refused`` where they are such that nothing can be."""
    try:
        return judge()
    except (ValueError, ArithmeticError, LookupError, TypeError, RecursionError) as error:
        raise Refused(f"The facts in {path} cannot be judged: {_short(error)}.") from None


def is_zip(path: Path) -> bool:
    """Whether a file begins like a zip. Raises ``Refused`` where it cannot be read."""
    try:
        with _opened(path) as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError as error:
        raise Refused(f"{path} could not be read: {error.strerror}.") from None


def member(path: Path, name: str) -> bytes:
    """One file in a bundle, as it is. Raises ``Refused`` where it is not there or no bundle's."""
    try:
        with _opened(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise Refused(f"{path} is no bundle: it has {len(members)} members.")
            found = [item for item in members if item.filename == name]
            if len(found) != 1:
                times = "no" if not found else "more than one"
                raise Refused(f"{path} is no bundle: it has {times} {name}.")
            if found[0].flag_bits & 1:
                raise Refused(f"{path} is no bundle: {name} is encrypted.")
            if found[0].file_size > MOST_BYTES:
                raise Refused(f"{path} is too large to be a bundle.")
            with archive.open(found[0]) as content:
                data = content.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path} could not be read: {error.strerror or error}.") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise Refused(f"{path} is no bundle: {_short(error)}.") from None
    if len(data) > MOST_BYTES:
        raise Refused(f"{path} is too large to be a bundle.")
    return data


def _whole(path: Path) -> bytes:
    try:
        with _opened(path) as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise Refused(f"{path} could not be read: {error.strerror}.") from None


def _opened(path: Path) -> IO[bytes]:
    """A file that may be facts. Raises ``Refused`` for a folder, a pipe, or too large a file."""
    if not path.is_file():
        if path.exists():
            raise Refused(f"{path} is not a file.")
        raise Refused(f"{path} does not exist.")
    if path.stat().st_size > MOST_BYTES:
        raise Refused(f"{path} is too large to be facts or a bundle.")
    return path.open("rb")


def _bounded(path: Path, value: Any) -> None:
    """Raises ``Refused`` for texts that no facts have. Numbers have their bounds in the types."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _bounded(path, name)
            _bounded(path, inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _bounded(path, inner)
    elif isinstance(value, str) and len(value) > MOST_LETTERS:
        raise Refused(f"{path} has no facts that can be read: a text has {len(value)} letters.")


def _short(error: BaseException) -> str:
    """An error in a few words: it may repeat what stands in the file."""
    return (str(error) or type(error).__name__)[:200].rstrip(".")
