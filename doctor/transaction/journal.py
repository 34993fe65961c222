"""The journal: what a fix is about to change, written down before it does, and the way back.

Every environment has a folder in the doctor's state folder (see ``locking`` for its locks). In it,
``fixes/ID/`` is one journal: ``journal.json``, the list of files, and the files that are kept; and
``unfinished/ID`` says at a glance that this one has to be taken back.

A journal goes through the states ``preparing`` (nothing is changed, and nothing of it need be on
the disk), ``started``, and ``done`` (it can be undone) or ended (everything is as it was); an undo
goes from ``done`` through ``undoing`` to the end. Each state is on the disk before what it allows
is begun, and all that was done is on the disk before the next. One that is ``started`` or
``undoing`` and has no owner was interrupted: whoever comes next takes it back.

What is read is held against the SHA-256 that was written with it: a journal that was damaged is not
followed.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from doctor import state
from doctor.errors import CouldNot, Refused
from doctor.facts import Struct
from doctor.reports.undo import UndoEntry
from doctor.transaction import durable, locking, meanwhile
from doctor.transaction.meanwhile import Others
from doctor.transaction.snapshot import (
    BESIDE,
    Damaged,
    Entry,
    Snapshot,
    encoded,
    entry,
    nearest,
    parents,
)

VERSION = 3

# How long a way back is kept, and how many of one environment: what is kept is as large as what a
# fix replaced, hundreds of megabytes. A month is long enough to see whether a repair was one.
MOST_DAYS = 30
MOST_FIXES = 5

Status = Literal["preparing", "started", "done", "undoing"]


class Head(Struct, frozen=True):
    """What ``journal.json`` says: what is kept, how far the fix is, and what it changed.

    ``ours`` are the canonical names of the distributions that are changed: what happens to others
    is not the fix's doing. It is null where all that happens is taken back. ``manifest`` and
    ``changes`` are the SHA-256 of the lists beside it; ``bytes`` is what is kept.
    """

    status: Status
    prefix: str
    summary: str
    roots: tuple[str, ...]
    alone: tuple[str, ...]
    stores: tuple[str, ...]
    ours: tuple[str, ...] | None = None
    manifest: str = ""
    changes: str = ""
    finished_at: str = ""
    bytes: int = 0


class Journal:
    """The journal of one fix. ``problem`` says why it cannot be read, if that is so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._head: Head | None = None
        self._snapshot: Snapshot | None = None
        self._others = Others()
        self.problem: str | None = None

    @property
    def id(self) -> str:
        """The journal's name: its number, and the time that it was begun."""
        return self.folder.name

    @property
    def status(self) -> Status | None:
        """How far it got; null where it cannot be read."""
        return self._head.status if self._head else None

    @property
    def left_alone(self) -> tuple[str, ...]:
        """The files that somebody else wrote into, whose earlier content is nowhere."""
        return self._snapshot.left_alone if self._snapshot else ()

    @property
    def others(self) -> tuple[str, ...]:
        """The distributions that somebody else installed meanwhile; they stay."""
        return self._others.names

    def begin(
        self, prefix: str, summary: str, roots: Sequence[str], alone: Sequence[str] = ()
    ) -> None:
        """Write down what will change and keep what is there, before anything changes.

        ``roots`` are kept with all that is below them, ``alone`` by themselves. Raises ``CouldNot``
        where that does not work; nothing is changed then.
        """
        self.take_stock(prefix, summary, roots, alone)
        self.keep()

    def take_stock(
        self,
        prefix: str,
        summary: str,
        roots: Sequence[str],
        alone: Sequence[str] = (),
        ours: Sequence[str] | None = None,
    ) -> None:
        """The first half of ``begin``: list what is there, to be compared with.

        ``ours`` are the canonical names of the distributions that will change, if no other does.

        There is no ``journal.json`` yet: what a crash leaves is cleared by whoever comes next.
        """
        with self._beginning():
            state.made(self.folder)
            stores = _stores(self.folder, prefix, [*roots, *alone])
            self._head = Head(
                status="preparing",
                prefix=prefix,
                summary=summary,
                roots=tuple(roots),
                alone=tuple(alone),
                stores=tuple(map(str, stores)),
                ours=None if ours is None else tuple(ours),
            )
            self._snapshot = self._snapshot_of(self._head)
            self._snapshot.take_stock()

    def keep(self) -> None:
        """The second half of ``begin``: keep what was listed, and allow that it is changed."""
        assert self._head is not None and self._snapshot is not None
        with self._beginning():
            manifest = self._snapshot.keep()
            self._mark()
            self._snapshot.flush_kept()  # the mark is beside the list, and comes along
            self._write(msgspec.structs.replace(self._head, status="started", manifest=manifest))

    @contextlib.contextmanager
    def _beginning(self) -> Iterator[None]:
        """Turn what stops a journal from being begun into ``CouldNot``, with nothing left of it."""
        try:
            yield
        except OSError as error:
            self.discard()
            raise CouldNot(
                f"What is there could not be kept for a way back: {error.strerror or error}",
                "Nothing was changed.",
            ) from error

    def read(self) -> None:
        """Read a journal that an earlier run wrote; ``problem`` tells where that does not work."""
        try:
            content = json.loads((self.folder / "journal.json").read_bytes())
            version, checksum = content["version"], content["checksum"]
            if version == VERSION and checksum == _checksum(content["head"]):
                self._head = msgspec.convert(content["head"], type=Head)
                self._snapshot = self._snapshot_of(self._head)
            elif version == VERSION:
                self.problem = "it was changed by something else"
            else:
                age = "a newer" if isinstance(version, int) and version > VERSION else "another"
                self.problem = f"{age} release of vlm-doctor wrote it"
        except OSError as error:
            self.problem = f"it cannot be read: {error.strerror}"
        except (ValueError, LookupError, TypeError, RecursionError):
            self.problem = "it is damaged or cut off"

    def _snapshot_of(self, head: Head) -> Snapshot:
        return Snapshot(self.folder, head.roots, [Path(one) for one in head.stores], head.alone)

    def _loaded(self) -> tuple[Head, Snapshot]:
        """Head and snapshot, with its list. Raises ``CouldNot`` where they cannot be read."""
        try:
            if self._head is None or self._snapshot is None:
                raise Damaged(self.problem or "it was not read")
            self._snapshot.load(self._head.manifest)
        except Damaged as damage:
            self.problem = str(damage)
            raise unreadable(self) from damage
        return self._head, self._snapshot

    def changed_by_others(self) -> list[str]:
        """What changed since it was listed, compiled modules aside; before the fix changes it."""
        assert self._snapshot is not None
        changed = [*self._snapshot.vanished, *self._snapshot.moves()]
        return [path for path in changed if not _is_compiled(path)]

    def take_back(self) -> int:
        """Put everything back as it was, forget the journal, and return how many paths changed.

        Raises ``OSError`` where something could not be put back; the journal then stays, and this
        can be repeated. Raises ``Refused`` where an undo would lose what others did since.
        """
        head, snapshot = self._loaded()
        if head.status == "started":
            self._others = _of_others(head, snapshot, snapshot.changes())
            restored = snapshot.restore(others=self._others.paths)
        else:
            recorded = self._recorded(head)
            if head.status == "done":
                self._refuse_to_lose(recorded, snapshot)
                self._mark()
                self._write(msgspec.structs.replace(head, status="undoing"))
            restored = snapshot.restore(
                path for path in recorded if not _is_compiled(path) or entry(path) is not None
            )
        self.discard()
        return restored

    def _recorded(self, head: Head) -> dict[str, Entry | None]:
        """What the fix changed, as it was afterwards. Raises ``CouldNot`` where it is damaged."""
        try:
            content = (self.folder / "changes.json").read_bytes()
        except OSError as error:
            content = str(error).encode()
        if hashlib.sha256(content).hexdigest() != head.changes:
            self.problem = "its list of changes is damaged"
            raise unreadable(self)
        return {path: Entry(*row) if row else None for path, row in json.loads(content).items()}

    def _refuse_to_lose(self, recorded: dict[str, Entry | None], snapshot: Snapshot) -> None:
        """Raise ``Refused`` where something else changed what the fix did.

        Compiled modules come and go with use; they are nobody's change.
        """
        made = {
            path
            for path, after in recorded.items()
            if after is not None and after.is_folder and not snapshot.was_folder(path)
        }
        for path, now in snapshot.changes().items():
            after = recorded.get(path)
            same = now is None if after is None else now is not None and after.same(now)
            if (path in recorded and same) or _is_compiled(path):
                continue
            if path in recorded or any(folder in made for folder in parents(path)):
                raise Refused(
                    f"{path} was changed after the fix, by something else.",
                    "The fix cannot be taken back without losing that.",
                )

    def done(self) -> None:
        """The fix holds: keep only what is needed to undo it.

        What was installed is on the disk before the journal says so. Raises ``OSError`` where that
        does not work; the journal can then be taken back.
        """
        assert self._head is not None and self._snapshot is not None
        changes = self._snapshot.moves(times=True)
        self._others = _of_others(self._head, self._snapshot, changes)
        changes = {path: now for path, now in changes.items() if path not in self._others.paths}
        content = encoded(changes)
        (self.folder / "changes.json").write_bytes(content)
        self._snapshot.flush(self.folder)
        self._write(
            msgspec.structs.replace(
                self._head,
                status="done",
                changes=hashlib.sha256(content).hexdigest(),
                finished_at=_now().isoformat(timespec="seconds"),
                bytes=self._snapshot.size(changes),
            )
        )
        self.finish()
        self._snapshot.keep_only(changes)

    def finish(self) -> None:
        """Let nobody take it for one that was interrupted."""
        if self._marker.exists():
            self._marker.unlink()
            durable.settle(self._marker.parent)

    def replaces(self, others: Sequence[Journal]) -> None:
        """The fix holds, and so do those within it, of which it keeps all that they changed.

        One that changed something elsewhere too, such as a model's file, is still taken back by
        itself, before this one. Raises ``OSError`` like ``done``.
        """
        self.done()
        for other in others:
            if other._is_within(self):
                other.discard()

    def _is_within(self, outer: Journal) -> bool:
        if self._head is None or outer._head is None:
            return False
        return all(
            any(os.path.commonpath([path, root]) == root for root in outer._head.roots)
            for path in (*self._head.roots, *self._head.alone)
        )

    def entry(self) -> UndoEntry:
        """The journal as reports list it."""
        head = self._head
        ended = datetime.datetime.fromisoformat(head.finished_at) if head else None
        return UndoEntry(
            id=self.id,
            finished_at=head.finished_at if head else "",
            summary=head.summary if head else "",
            bytes=head.bytes if head else 0,
            kept_until=(ended + datetime.timedelta(days=MOST_DAYS)).date().isoformat()
            if ended
            else None,
            problem=self.problem,
        )

    def is_old(self) -> bool:
        """Whether nobody will take it back: it is long ago, or its environment is gone."""
        if self._head is None or self._head.status != "done":
            return False
        age = _now() - datetime.datetime.fromisoformat(self._head.finished_at)
        return age > datetime.timedelta(days=MOST_DAYS) or not os.path.exists(self._head.prefix)

    def _write(self, head: Head) -> None:
        content = msgspec.to_builtins(head)
        document = {"version": VERSION, "checksum": _checksum(content), "head": content}
        durable.write(self.folder / "journal.json", json.dumps(document).encode())
        self._head = head

    @property
    def _marker(self) -> Path:
        return self.folder.parent.parent / "unfinished" / self.id

    def _mark(self) -> None:
        """Let every command see at a glance that a journal is not finished."""
        self._marker.parent.mkdir(exist_ok=True)
        self._marker.touch()
        durable.settle(self._marker.parent)

    def discard(self) -> None:
        """Give up the way back, and its space.

        The journal loses its name first: that needs no room on the disk, and what is half discarded
        is not followed any more.
        """
        if self._head is not None and self._snapshot is not None:
            with contextlib.suppress(Damaged):
                self._snapshot.load(self._head.manifest)
        with contextlib.suppress(OSError):
            os.replace(self.folder / "journal.json", self.folder / "ended.json")
            durable.settle(self.folder)
        with contextlib.suppress(OSError):
            self.finish()
        if self._snapshot is not None:
            self._snapshot.discard()
        shutil.rmtree(self.folder, ignore_errors=True)


def unreadable(record: Journal) -> CouldNot:
    """What to say of a journal that is needed and cannot be followed."""
    return CouldNot(
        f"The journal of an earlier fix cannot be followed ({record.problem}): {record.folder}",
        "To give it up, with everything left as it is now: vlm-doctor undo --clear",
    )


def new(prefix: str) -> Journal:
    """A journal to begin. Its number, not the clock, says which one is the newest."""
    folder = _fixes(prefix)
    numbers = [path.name.partition("-")[0] for path in folder.glob("*")]
    number = max((int(one) for one in numbers if one.isdecimal()), default=0) + 1
    return Journal(folder / f"{number:06d}-{_now():%Y%m%dT%H%M%S}")


def is_known(prefix: str) -> bool:
    """Whether there is anything to take back in an environment, or ever was."""
    return _fixes(prefix).exists()


def undoable(prefix: str) -> list[Journal]:
    """The journals of fixes that were finished, the newest first; also those that are damaged."""
    marked = state.unfinished(prefix)
    return [item for item in _all_of(_fixes(prefix)) if item.id not in marked]


def interrupted(prefix: str) -> list[Journal]:
    """The journals that have to be taken back, the newest first; only for who holds the lock.

    What was interrupted before anything was changed, or after all was done, is only tidied up.
    """
    marked = state.unfinished(prefix)
    kept = _all_of(_fixes(prefix))
    for item in kept:
        if item.status == "done":
            item.finish()
    _clear_all_but({item.id for item in kept}, prefix)
    return [
        item
        for item in kept
        if item.status in ("started", "undoing") or (item.problem and item.id in marked)
    ]


class Undone(Struct, frozen=True):
    """What an undo did, and how many paths it put back.

    ``left_alone`` are files that others wrote into meanwhile, ``others`` the distributions that
    they installed: these stay as they are.
    """

    outcome: Literal["recovered", "undone", "nothing-to-undo"]
    restored: int = 0
    left_alone: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def words(self) -> Iterator[str]:
        """What is left as it is, a sentence each."""
        for path in self.left_alone:
            yield f"Something else wrote into {path} meanwhile, which is left as it is."
        if self.others:
            names = ", ".join(self.others)
            yield f"Something else changed meanwhile, which is left as it is: {names}."


def undo(prefix: str) -> Undone:
    """Take back what was interrupted, else the newest fix; only for who holds the lock.

    Raises ``CouldNot`` where it does not work; it can be repeated. Raises ``Refused`` where it
    would lose what others did since.
    """
    begun = state.unfinished(prefix)
    if interrupted(prefix):
        return recover(prefix)
    finished = undoable(prefix)
    if begun and not begun & {item.id for item in finished}:
        # All was back already: an older fix is not what is meant.
        return Undone("recovered")
    if not finished:
        return Undone("nothing-to-undo")
    restored = take_back(finished[0])
    return Undone("undone", restored, finished[0].left_alone, finished[0].others)


def recover(prefix: str) -> Undone:
    """Take back what was interrupted.

    Only for who holds the lock. Raises ``CouldNot`` where it does not work; it can be repeated.
    """
    restored = 0
    left_alone: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    for item in interrupted(prefix):
        restored += take_back(item)
        left_alone += item.left_alone
        others += item.others
    return Undone("recovered", restored, left_alone, others)


def take_back(record: Journal) -> int:
    """Take one fix back. Raises ``CouldNot`` where that does not work; it can be repeated."""
    try:
        return record.take_back()
    except OSError as error:
        raise CouldNot(
            f"Not everything could be put back: {error}", "Repeat: vlm-doctor undo"
        ) from error


def clear(prefix: str) -> None:
    """Give up all ways back of an environment, readable or not, and leave it as it is now."""
    for item in _all_of(_fixes(prefix)):
        item.discard()
    _clear_all_but(set(), prefix)


def tidy() -> None:
    """Give back the space of ways back that nobody will go: old ones, and many of one environment.

    Environments that another doctor is at work on are left to it.
    """
    for folder in (state.folder() / "targets").glob("*/fixes"):
        with locking.if_free(folder.parent) as free:
            finished = [item for item in _all_of(folder) if item.status == "done"] if free else []
            for number, item in enumerate(finished):
                if number >= MOST_FIXES or item.is_old():
                    item.discard()


def _fixes(prefix: str) -> Path:
    return state.of_target(prefix) / "fixes"


def _all_of(folder: Path) -> list[Journal]:
    """The journals in a folder, the newest first; also those that cannot be read."""
    journals = []
    for path in sorted((one.parent for one in folder.glob("*/journal.json")), reverse=True):
        journal = Journal(path)
        journal.read()
        journals.append(journal)
    return journals


def _clear_all_but(ids: set[str], prefix: str) -> None:
    """Take away what is left of journals that are none any more, with their marks and stores."""
    folder = state.of_target(prefix)
    for place in (folder / "fixes", folder / "unfinished", Path(prefix) / BESIDE):
        for path in place.glob("*"):
            if path.name not in ids and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in ids:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (Path(prefix) / BESIDE).rmdir()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _checksum(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _of_others(head: Head, snapshot: Snapshot, changed: Mapping[str, Entry | None]) -> Others:
    """What of these changes is not the fix's."""
    if head.ours is None:
        return Others()
    return meanwhile.others(changed, head.ours, snapshot.paths(), snapshot.kept_text)


def _is_compiled(path: str) -> bool:
    """Whether a path is Python's own cache of compiled modules."""
    return "__pycache__" in path.split(os.sep)


def _stores(folder: Path, prefix: str, paths: Sequence[str]) -> list[Path]:
    """Where to keep files: beside the journal, and in the target where that is another file system.

    Hard links do not reach across file systems.
    """
    stores = [folder / "store"]
    here = os.stat(folder).st_dev
    there = {os.stat(nearest(path)).st_dev for path in paths}
    if os.path.exists(prefix) and os.stat(prefix).st_dev in there - {here}:
        stores.append(Path(prefix) / BESIDE / folder.name)
    return stores
