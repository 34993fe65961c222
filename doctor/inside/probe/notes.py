"""What was read in source files, kept from one look to the next by each file's size and time."""

from __future__ import annotations

import contextlib
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


# Results of many files together: two or three for each question that is asked of an environment.
MOST_RESULTS = 12

# Readers whose notes are most of all, and are asked only where imports are followed anew.
LARGE = frozenset({"imports"})


class _Files:
    """What readers made of files: ``{path: [size, time, {reader: result}]}``, from a line of JSON.

    The line is decoded where it is asked for the first time.
    """

    def __init__(self, line: str) -> None:
        self._line = line
        self._files: dict | None = None
        self.fresh = False

    def of(self, path: str, state: list) -> dict:
        """The results for a file in this state, to read and to add to."""
        if self._files is None:
            try:
                self._files = dict(json.loads(self._line))
            except (ValueError, TypeError, RecursionError):
                self._files = {}
        kept = self._files.get(path)
        if not (kept and kept[:2] == state):
            kept = self._files[path] = [*state, {}]
        return kept[2]

    def line(self) -> str:
        """The line to keep."""
        return json.dumps(self._files) if self.fresh else self._line


class Notes:
    """Results of reading files, by path and by the reader that made them.

    A reader is a function from a file's text to something that JSON can hold. It runs only where
    the file was not read before, or changed since. ``path`` is where the notes are kept between
    looks: a line that says what they depend on, with the results of ``of_all``, and a line each for
    the readers of small and of ``LARGE`` notes. Without it they last as long as the process.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self.newest = 0
        self._small, self._large = _Files("{}"), _Files("{}")
        self._results: dict = {}
        self._states: dict = {}
        self._fresh = False
        if path:
            try:
                with open(path, encoding="utf-8") as file:
                    head, small, large = file.read().split("\n")
                content = json.loads(head)
                if content["made_by"] == _readers():
                    self._results = dict(content["results"])
                    self._small, self._large = _Files(small), _Files(large)
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                pass

    def of(self, path: str, reader, *arguments: str):  # type: ignore[no-untyped-def]
        """``reader(text, *arguments)`` of a file, new or noted; null where it cannot be read."""
        state = self._state(path)
        if state is None:
            return None
        files = self._large if reader.__module__ in LARGE else self._small
        results = files.of(path, state)
        key = " ".join((reader.__module__, reader.__name__, *arguments))
        if key not in results:
            text = read(path)
            if text is None:
                return None  # not noted: who may read it can change without the file's time
            results[key] = reader(text, *arguments)
            files.fresh = True
        return results[key]

    def of_bytes(self, path: str, reader):  # type: ignore[no-untyped-def]
        """``reader(path)`` of a file that is no text, new or noted; null where it is not there."""
        state = self._state(path)
        if state is None:
            return None
        results = self._small.of(path, state)
        key = " ".join((reader.__module__, reader.__name__))
        if key not in results:
            results[key] = reader(path)
            self._small.fresh = True
        return results[key]

    def size(self, path: str) -> int | None:
        """The size of a file in bytes; null where it is not there. Nothing noted depends on it.

        ``newest`` is when the last of these files was written, in nanoseconds since 1970.
        """
        state = self._states.get(path)
        if state is None:
            try:
                status = os.stat(path)
            except (OSError, ValueError):
                return None
            state = (status.st_size, status.st_mtime_ns)
        self.newest = max(self.newest, state[1])
        return state[0]

    def watch(self, path: str) -> bool:
        """Look at a file or folder, so that what is noted depends on it; whether it is there."""
        return self._state(path) is not None

    def of_all(self, name: str, compute, holds):  # type: ignore[no-untyped-def]
        """``compute()``, new or noted: something that is told by many files together.

        It is noted for as long as all files are as they were that had been looked at when it was
        computed, before or by ``compute``, and ``holds(result)`` is true.
        """
        kept = self._results.get(name)
        same = kept and all(self._state(path) == state for path, state in kept["files"].items())
        if same and holds(kept["result"]):
            return kept["result"]
        result = compute()
        self._results.pop(name, None)
        while len(self._results) >= MOST_RESULTS:
            del self._results[next(iter(self._results))]
        self._results[name] = {"files": dict(self._states), "result": result}
        self._fresh = True
        return result

    def _state(self, path: str) -> list | None:
        """``[size, time]`` of a file, looked at once; null where it is not there."""
        if path in self._states:
            return self._states[path]
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            state = None
        else:
            state = [status.st_size, status.st_mtime_ns]
        self._states[path] = state
        return state

    def save(self) -> None:
        """Write the notes, at once or not at all; notes that cannot be written cost only time."""
        if not (self._path and (self._fresh or self._small.fresh or self._large.fresh)):
            return
        temporary = self._path + "." + str(os.getpid())
        head = json.dumps({"made_by": _readers(), "results": self._results})
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(temporary, "w", encoding="utf-8") as file:
                file.write("\n".join((head, self._small.line(), self._large.line())))
            os.replace(temporary, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
