"""What was read in source files, kept from one look to the next by each file's size and time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys

# A source file larger than this is not read; the largest real one here has 0.3 MB.
MOST_BYTES = 5_000_000


def read(path: str) -> str | None:
    """The text of a source file; null where it cannot be read or is far too large."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError):  # a null character in the path is a ValueError
        return None
    # Python takes a byte order mark for no part of the source; its parser does.
    return data.decode("utf-8-sig", "replace") if len(data) <= MOST_BYTES else None


def _readers() -> list:
    """What the notes depend on besides the files: this Python, and the readers' own source."""
    folder = os.path.dirname(os.path.abspath(__file__))
    entries = sorted(
        [entry.name, entry.stat().st_size, entry.stat().st_mtime_ns]
        for entry in os.scandir(folder)
        if entry.name.endswith(".py")
    )
    return [sys.version, entries]


class Notes:
    """Results of reading files, by path and by the reader that made them.

    A reader is a function from a file's text to something that JSON can hold. It runs only where
    the file was not read before, or changed since. ``path`` is where the notes are kept between
    looks; without it they last as long as the process.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._kept: dict = {}
        self._results: dict = {}
        self._checked: dict = {}
        self._fresh = False
        if path:
            try:
                with open(path, encoding="utf-8") as file:
                    content = json.load(file)
                if content["made_by"] == _readers():
                    self._kept, self._results = dict(content["files"]), dict(content["results"])
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                pass

    def of(self, path: str, reader, *arguments: str):  # type: ignore[no-untyped-def]
        """``reader(text, *arguments)`` of a file, new or noted; null where it cannot be read."""
        notes = self._file(path)
        if notes is None:
            return None
        key = " ".join((reader.__module__, reader.__name__, *arguments))
        if key not in notes:
            text = read(path)
            if text is None:
                return None  # not noted: who may read it can change without the file's time
            notes[key] = reader(text, *arguments)
            self._fresh = True
        return notes[key]

    def size(self, path: str) -> int | None:
        """The size of a file in bytes, asked once; null where it is not there."""
        if self._checked.get(path) is not None:
            return self._kept[path][0]
        try:
            return os.stat(path).st_size
        except (OSError, ValueError):
            return None

    def watch(self, path: str) -> bool:
        """Look at a file, so that what is noted depends on it; whether it is there."""
        return self._file(path) is not None

    def of_all(self, name: str, compute, holds):  # type: ignore[no-untyped-def]
        """``compute()``, new or noted: something that is told by many files together.

        It is noted for as long as all files are as they were that were looked at until now, and
        those that ``compute`` looks at besides, and ``holds(result)`` is true.
        """
        before = set(self._checked)
        seen = hashlib.sha256(repr(self._states(before)).encode()).hexdigest()
        kept = self._results.get(name)
        if kept and kept["seen"] == seen:
            same = kept["more"] == self._states(path for path, *_ in kept["more"])
            if same and holds(kept["result"]):
                return kept["result"]
        result = compute()
        more = self._states(set(self._checked) - before)
        self._results[name] = {"seen": seen, "more": more, "result": result}
        self._fresh = True
        return result

    def _states(self, paths) -> list:  # type: ignore[no-untyped-def]
        """The size and time of each file, null where there is none."""
        result = []
        for path in sorted(paths):
            there = self._file(path) is not None
            result.append([path, *(self._kept[path][:2] if there else (None, None))])
        return result

    def _file(self, path: str) -> dict | None:
        if path in self._checked:
            return self._checked[path]
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            self._checked[path] = None
            return None
        kept = self._kept.get(path)
        if not (kept and kept[:2] == [status.st_size, status.st_mtime_ns]):
            kept = self._kept[path] = [status.st_size, status.st_mtime_ns, {}]
        self._checked[path] = kept[2]
        return kept[2]

    def save(self) -> None:
        """Write the notes, at once or not at all; notes that cannot be written cost only time."""
        if not (self._path and self._fresh):
            return
        temporary = self._path + "." + str(os.getpid())
        content = {"made_by": _readers(), "files": self._kept, "results": self._results}
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            text = json.dumps(content)  # json.dump writes piece by piece, in five times the time
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
