"""The journal: what a fix is about to change, written down before it does, and the way back.

Every environment has a folder in the doctor's state folder, with a lock and one folder for each
fix. A journal goes through the states ``preparing``, ``started`` and ``done`` (it can be undone),
and is removed when it is taken back. One that is ``started`` and has no owner was interrupted:
whoever comes next puts everything back.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from doctor import state
from doctor.errors import CouldNot, Refused
from doctor.reports.undo import UndoEntry
from doctor.snapshot import Entry, Snapshot, entry

VERSION = 1


# Seconds that an installer may go on after its doctor was killed, before we give up waiting.
ORPHAN_LIMIT = 300.0


@contextmanager
def lock(prefix: str, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold an environment for oneself. Raises ``Refused`` at once where another doctor holds it.

    The lock is the operating system's: it dies with its owner, and with the installer that the
    owner started, which inherits it. A doctor that was killed may have left such an installer at
    work: that one is waited for, since nothing may be put back before it has ended.
    """
    folder = _made(state.of_target(prefix))
    with (folder / "lock").open("a+") as file:
        os.set_inheritable(file.fileno(), True)
        waited_until = None
        while not _locked(file.fileno()):
            file.seek(0)
            holder = file.read().strip()
            if _is_alive(holder):
                raise Refused(
                    f"Another vlm-doctor is at work on this environment (process {holder}).",
                    "Wait until it is done.",
                )
            if waited_until is None:
                say("A vlm-doctor was killed, and its installer is still at work; waiting …")
                waited_until = time.monotonic() + ORPHAN_LIMIT
            if time.monotonic() > waited_until:
                raise Refused(
                    "The installer of a vlm-doctor that was killed does not come to an end.",
                    "End the uv process that is at work on this environment, and try again.",
                )
            time.sleep(0.2)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(descriptor: int) -> bool:
    """Take the lock, if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_alive(process: str) -> bool:
    """Whether a process of this number exists; an unknown owner counts as alive."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


class Journal:
    """The journal of one fix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data: dict[str, Any] = {}
        self._snapshot: Snapshot | None = None

    @property
    def id(self) -> str:
        """The journal's name: the time that it was begun."""
        return self._folder.name

    @property
    def status(self) -> str:
        """``preparing`` (nothing is changed yet), ``started`` or ``done``."""
        return str(self._data["status"])

    def begin(self, prefix: str, summary: str, roots: list[str]) -> None:
        """Write down what will change and keep what is there, before anything changes."""
        _made(self._folder)
        self._data = {
            "version": VERSION,
            "status": "preparing",
            "prefix": prefix,
            "summary": summary,
            "roots": roots,
            "store": str(_store(self._folder, prefix, roots)),
        }
        self._write()
        self._snapshot = Snapshot(self._folder, roots, Path(self._data["store"]))
        try:
            self._snapshot.take()
        except OSError as error:
            self.discard()
            raise CouldNot(
                f"What is there could not be kept for a way back: {error}", "Nothing was changed."
            ) from error
        self._data["status"] = "started"
        self._write()

    def read(self) -> None:
        """Read a journal that an earlier run wrote."""
        self._data = json.loads((self._folder / "journal.json").read_text())
        if self._data["version"] != VERSION:
            raise CouldNot(
                f"The journal {self._folder} was written by another release of vlm-doctor.",
                "Use that release to undo it.",
            )
        self._snapshot = Snapshot(self._folder, self._data["roots"], Path(self._data["store"]))

    def _loaded(self) -> Snapshot:
        assert self._snapshot is not None
        return self._snapshot

    def take_back(self) -> int:
        """Put everything back as it was, forget the journal, and return how many paths changed.

        Raises ``OSError`` where something could not be put back; the journal then stays.
        """
        snapshot = self._loaded()
        snapshot.load()
        if self.status == "done":
            restored = snapshot.restore(self._to_undo())
        else:
            restored = snapshot.restore()
            left = snapshot.changes()
            if left:
                raise OSError(f"{len(left)} paths would not go back, such as {next(iter(left))}")
        self.discard()
        return restored

    def _to_undo(self) -> list[str]:
        """The paths that the fix changed. Raises ``Refused`` where others changed them since.

        Compiled modules come and go with use; they are nobody's change.
        """
        recorded = {path: _entry(row) for path, row in self._data["changes"].items()}
        made = {path for path, after in recorded.items() if after is not None and after.is_folder}
        for path, now in self._loaded().changes().items():
            after = recorded.get(path)
            same = now is None if after is None else now is not None and after.same(now)
            if (path in recorded and same) or "__pycache__" in path.split(os.sep):
                continue
            if path in recorded or any(folder in made for folder in _parents(path)):
                raise Refused(
                    f"{path} was changed after the fix, by something else.",
                    "The fix cannot be taken back without losing that.",
                )
        return [path for path in recorded if "__pycache__" not in path or entry(path) is not None]

    def done(self) -> None:
        """The fix holds: keep only what is needed to undo it."""
        snapshot = self._loaded()
        changes = snapshot.changes()
        self._data["status"] = "done"
        self._data["finished_at"] = datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"
        )
        self._data["changes"] = {
            path: [getattr(after, name) for name in Entry.__struct_fields__] if after else None
            for path, after in changes.items()
        }
        self._data["bytes"] = snapshot.prune(changes)
        self._write()

    def entry(self) -> UndoEntry:
        """The journal as reports list it."""
        return UndoEntry(
            id=self.id,
            finished_at=str(self._data.get("finished_at", "")),
            summary=str(self._data["summary"]),
            bytes=int(self._data.get("bytes", 0)),
        )

    def _write(self) -> None:
        path = self._folder / "journal.json"
        temporary = path.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump(self._data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Give up the way back, and its space."""
        if self._snapshot is not None:
            self._snapshot.discard()
        store = Path(self._data.get("store", self._folder / "store"))
        if store.parent.name == ".vlm-doctor":
            with suppress(OSError):  # another journal's store may still be in it
                store.parent.rmdir()
        shutil.rmtree(self._folder, ignore_errors=True)


def new(prefix: str) -> Journal:
    """A journal to begin."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    return Journal(state.of_target(prefix) / "fixes" / now)


def all_of(prefix: str) -> list[Journal]:
    """The journals of an environment, the newest first."""
    folder = state.of_target(prefix) / "fixes"
    journals = []
    for path in sorted(folder.glob("*/journal.json"), reverse=True):
        journal = Journal(path.parent)
        journal.read()
        journals.append(journal)
    return journals


def interrupted(prefix: str) -> Journal | None:
    """The journal of a fix that was begun and did not end, or null.

    What was interrupted before anything was changed is only cleared away.
    """
    for folder in (state.of_target(prefix) / "fixes").glob("*"):
        if not (folder / "journal.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
    for journal in all_of(prefix):
        if journal.status == "preparing":
            journal.discard()
        elif journal.status == "started":
            return journal
    return None


def _parents(path: str) -> Iterator[str]:
    parent = os.path.dirname(path)
    while parent != path:
        yield parent
        path, parent = parent, os.path.dirname(parent)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"The doctor's state folder cannot be made: {error.strerror}: {folder}",
            "Set VLM_DOCTOR_STATE to a folder that you may write to.",
        ) from None
    return folder


def _store(folder: Path, prefix: str, roots: list[str]) -> Path:
    """Where to keep files: beside the journal if that is the same file system, else in the target.

    Hard links do not reach across file systems.
    """
    nearest = next((root for root in roots if os.path.exists(root)), None)
    if nearest is None or os.stat(nearest).st_dev == os.stat(folder).st_dev:
        return folder / "store"
    return Path(prefix) / ".vlm-doctor" / folder.name


def _entry(row: list[Any] | None) -> Entry | None:
    return Entry(**dict(zip(Entry.__struct_fields__, row, strict=True))) if row else None
