"""What somebody else installed while a fix was at work: told apart, so that it is not lost with it.

uv changes the distributions of the plan and no other. So a distribution of another name that came
or changed since the files were listed is somebody else's, with all that its RECORD names. What has
no RECORD (yet) cannot be told from what an installer of ours left half-done; and what is only gone
comes back: nothing of anybody's is lost by that.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name

from doctor.facts import Struct
from doctor.transaction.snapshot import Entry, parents

RECORD = os.sep + "RECORD"


class Others(Struct, frozen=True):
    """The distributions that others installed (``name version``), and their paths."""

    names: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()


def others(
    changed: Mapping[str, Entry | None],
    ours: Collection[str],
    earlier: Iterable[str],
    kept: Callable[[str], str | None],
) -> Others:
    """What of the paths that changed is not of the distributions ``ours`` (canonical names).

    ``earlier`` are the paths that there were, ``kept`` gives the text that a file had, null where
    there was none. What was of ours is ours, whoever claims it now.
    """
    records = [
        (path, *_distribution(os.path.dirname(path)), now)
        for path, now in changed.items()
        if path.endswith(RECORD)
    ]
    installed = {
        name: version
        for _, name, version, now in records
        if name is not None and name not in ours and now is not None
    }
    if not installed:
        return Others()
    owned: set[str] = set()
    for path, name, _, _ in records:
        if name in installed:
            for text in (kept(path), _read(path)):
                owned.update(_owned(os.path.dirname(path), text))
    for path in earlier:
        folder = os.path.dirname(path)
        if path.endswith(RECORD) and _distribution(folder)[0] in ours:
            owned.difference_update(_owned(folder, kept(path)))
    files = {path for path in changed if path in owned or _source(path) in owned}
    folders = {folder for path in files for folder in parents(path)}
    needed = {folder for path in changed if path not in files | folders for folder in parents(path)}
    paths = files | {
        path
        for path, now in changed.items()
        if path in folders and (now is not None or path not in needed)
    }
    names = sorted(f"{name} {version}" for name, version in installed.items())
    return Others(names=tuple(names), paths=frozenset(paths))


def _distribution(folder: str) -> tuple[str | None, str]:
    """The canonical name and the version in the name of a folder of metadata; null for others."""
    name, dot, suffix = os.path.basename(folder).rpartition(".")
    if not dot or suffix != "dist-info":
        return None, ""
    name, _, version = name.rpartition("-")
    return str(canonicalize_name(name)), version


def _owned(metadata: str, record: str | None) -> Iterator[str]:
    """The paths that a RECORD names, and what else may be in its folder."""
    site = os.path.dirname(metadata)
    if record is None:
        return
    yield from (os.path.join(metadata, name) for name in ("RECORD", "INSTALLER", "REQUESTED"))
    try:
        for row in csv.reader(record.splitlines()):
            if row:
                yield os.path.normpath(os.path.join(site, row[0]))
    except csv.Error:
        return


def _source(path: str) -> str:
    """The module that a compiled one was made from; the path itself for all else."""
    folder, file = os.path.split(path)
    if os.path.basename(folder) != "__pycache__":
        return path
    return os.path.join(os.path.dirname(folder), file.partition(".")[0] + ".py")


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
