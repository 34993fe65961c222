"""The contents of installed files against the hashes that their RECORD has of them."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from doctor.facts import AlteredFile, Environment, Struct

# What is read of a file at a time, in bytes.
PIECE = 1 << 20
COMPILED = (".so", ".dylib", ".pyd", ".metallib")


class _Recorded(Struct, frozen=True):
    distribution: str
    name: str
    path: str
    hash: str
    size: int


def altered(
    environment: Environment, advance: Callable[[int, int], None] | None = None
) -> tuple[AlteredFile, ...]:
    """The files of the recorded size that have another content than the recorded one.

    Files of another size are told without hashing (``Environment.damaged``). Only regular files
    below the environment's prefix are read, and only as many bytes as were recorded. ``advance``
    takes the bytes that were hashed since it was called last, and all that are to be.
    """
    files = list(_recorded(environment))
    total = sum(file.size for file in files)
    result = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for file, same in zip(files, threads.map(_is_same, files), strict=True):
            if advance is not None:
                advance(file.size, total)
            if same is False:
                result.append(
                    AlteredFile(distribution=file.distribution, path=file.name, kind=_kind(file))
                )
    return tuple(result)


def _recorded(environment: Environment) -> Iterator[_Recorded]:
    prefix = os.path.realpath(os.path.expanduser(environment.interpreter.prefix))
    seen: set[str] = set()
    for distribution in environment.distributions:
        metadata = os.path.join(prefix, os.path.expanduser(distribution.metadata))
        site = os.path.dirname(metadata)
        try:
            with open(os.path.join(metadata, "RECORD"), encoding="utf-8", newline="") as text:
                rows = [row for row in csv.reader(text) if len(row) == 3]
        except (OSError, ValueError, csv.Error):
            continue  # the checks of metadata tell of this
        for name, recorded, size in rows:
            algorithm, _, digest = recorded.partition("=")
            path = os.path.normpath(os.path.join(site, name))
            if algorithm != "sha256" or not (size.isascii() and size.isdigit()) or path in seen:
                continue
            if name.endswith(".pyc") or not path.startswith(prefix + os.sep):
                continue
            seen.add(path)
            yield _Recorded(
                distribution=distribution.name,
                name=path[len(prefix) + 1 :],
                path=path,
                hash=digest,
                size=int(size),
            )


def _is_same(file: _Recorded) -> bool | None:
    """Whether a file has the recorded content; null where it cannot be compared."""
    digest, left = hashlib.sha256(), file.size
    try:
        # Not to wait for a pipe that has its name.
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as content:
            if os.fstat(descriptor).st_size != file.size:
                return None
            while left > 0 and (piece := content.read(min(PIECE, left))):
                digest.update(piece)
                left -= len(piece)
    except OSError:
        return None
    return file.hash == base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def _kind(file: _Recorded) -> str:
    if file.name.endswith(COMPILED) or ".so." in file.name:
        return "compiled"
    return "source" if file.name.endswith(".py") else "data"
