"""Snapshots: how folders and files were, kept so that they can be put back byte for byte.

A snapshot lists every path below its roots (type, mode, size, time, link target) and keeps the
files in a store on the same file system by hard links: no bytes are copied, and a program that
replaces a file leaves the kept one alone. Where a link cannot be made, the file is copied.
``restore`` can be run again after it was itself interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from doctor.facts import Struct

# What a file is called until it is whole. One that a crash left is no part of a snapshot: the next
# restore takes it away.
TEMPORARY = ".vlm-doctor-part"


class Entry(Struct, frozen=True):
    """One path as it was. ``target`` is where a symbolic link points, null for all else."""

    path: str
    mode: int
    size: int
    modified_ns: int
    inode: int
    target: str | None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder (and no link to one)."""
        return stat.S_ISDIR(self.mode)

    def same(self, other: Entry) -> bool:
        """Whether nothing was done to the path. A folder's time changes with what is in it."""
        if stat.S_IFMT(self.mode) != stat.S_IFMT(other.mode) or self.target != other.target:
            return False
        if self.target is not None:
            return True
        if self.is_folder:
            return self.mode == other.mode
        return (self.mode, self.size, self.modified_ns, self.inode) == (
            other.mode,
            other.size,
            other.modified_ns,
            other.inode,
        )


def entry(path: str) -> Entry | None:
    """The path as it is now, or null where there is nothing."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else None
    return Entry(
        path=path,
        mode=status.st_mode,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        inode=status.st_ino,
        target=target,
    )


def walk(root: str) -> Iterator[Entry]:
    """Every path at and below ``root``, folders before what is in them; links are not followed."""
    first = entry(root)
    if first is None:
        return
    yield first
    if first.is_folder:
        with os.scandir(root) as names:
            children = sorted(child.path for child in names)
        for child in children:
            yield from walk(child)


class Snapshot:
    """The roots as they were, with the store that keeps their files.

    ``folder`` is the snapshot's own folder; ``roots`` are absolute paths of folders or files, which
    need not exist.
    """

    def __init__(self, folder: Path, roots: Iterable[str], store: Path) -> None:
        self._folder = folder
        self.roots = tuple(roots)
        self._store = store
        self._entries: dict[str, Entry] = {}

    @property
    def _manifest(self) -> Path:
        return self._folder / "manifest.jsonl"

    def take(self) -> None:
        """List the roots and keep their files. Nothing below the roots changes."""
        self._store.mkdir(parents=True, exist_ok=True)
        with self._manifest.open("w") as manifest:
            for number, item in enumerate(self._now()):
                self._entries[item.path] = item
                manifest.write(json.dumps([number, *_row(item)]) + "\n")
                if stat.S_ISREG(item.mode):
                    _keep(item.path, self._kept(number))
            manifest.flush()
            os.fsync(manifest.fileno())
        self._numbers = {path: number for number, path in enumerate(self._entries)}

    def load(self) -> None:
        """Read the list of a snapshot that was taken earlier."""
        self._entries, self._numbers = {}, {}
        for line in self._manifest.read_text().splitlines():
            number, *row = json.loads(line)
            item = Entry(**dict(zip(Entry.__struct_fields__, row, strict=True)))
            self._entries[item.path] = item
            self._numbers[item.path] = number

    def _now(self) -> Iterator[Entry]:
        for root in self.roots:
            yield from walk(root)

    def _kept(self, number: int) -> str:
        return os.path.join(self._store, f"{number // 1000}", f"{number}")

    def changes(self) -> dict[str, Entry | None]:
        """The paths that are not as they were, as they are now (null: gone)."""
        now = {item.path: item for item in self._now()}
        changed: dict[str, Entry | None] = {
            path: item
            for path, item in now.items()
            if path not in self._entries or not self._entries[path].same(item)
        }
        changed |= {path: None for path in self._entries if path not in now}
        return changed

    def restore(self, paths: Iterable[str] | None = None) -> int:
        """Put back what changed (or only ``paths``), and return how many paths that were."""
        wanted = list(self.changes() if paths is None else paths)
        # What is in the way goes first, the deepest before the folders that hold it.
        for path in sorted(wanted, key=len, reverse=True):
            before, now = self._entries.get(path), entry(path)
            if now is None or (before is not None and before.same(now)):
                continue
            if not (before is not None and before.is_folder and now.is_folder):
                _remove(path)
        for path in sorted(wanted, key=len):
            before = self._entries.get(path)
            if before is not None and entry(path) is None:
                self._put_back(before)
            elif before is not None and before.is_folder:
                os.chmod(path, stat.S_IMODE(before.mode))
        self._restore_times(
            self._entries if paths is None else {*wanted, *map(os.path.dirname, wanted)}
        )
        return len(wanted)

    def _restore_times(self, paths: Iterable[str]) -> None:
        """Give folders their times back, the deepest first: each change in one makes it newer."""
        for path in sorted(paths, key=len, reverse=True):
            before = self._entries.get(path)
            if before is not None and before.is_folder:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path, ns=(before.modified_ns, before.modified_ns))

    def _put_back(self, before: Entry) -> None:
        if before.is_folder:
            os.mkdir(before.path)
            os.chmod(before.path, stat.S_IMODE(before.mode))
        elif before.target is not None:
            os.symlink(before.target, before.path)
        elif stat.S_ISREG(before.mode):
            # Short, since the file's own name may be as long as the file system allows.
            temporary = os.path.join(os.path.dirname(before.path), TEMPORARY)
            _keep(self._kept(self._numbers[before.path]), temporary)
            os.replace(temporary, before.path)

    def prune(self, changed: Iterable[str]) -> int:
        """Keep only what is needed to take back these changes; return the bytes that are kept."""
        needed = {
            self._numbers[path]
            for path in changed
            if path in self._numbers and stat.S_ISREG(self._entries[path].mode)
        }
        kept = 0
        for path, number in self._numbers.items():
            if not stat.S_ISREG(self._entries[path].mode):
                continue
            if number in needed:
                kept += self._entries[path].size
            else:
                Path(self._kept(number)).unlink(missing_ok=True)
        return kept

    def discard(self) -> None:
        """Give back the space of the store."""
        shutil.rmtree(self._store, ignore_errors=True)


def _row(item: Entry) -> list[object]:
    return [getattr(item, name) for name in Entry.__struct_fields__]


def _keep(source: str, destination: str) -> None:
    """Hard-link a file, or copy it with its times and mode where no link can be made."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(destination), exist_ok=True)
        _keep(source, destination)
    except FileExistsError:
        os.unlink(destination)
        _keep(source, destination)
    except OSError:
        shutil.copy2(source, destination, follow_symlinks=False)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
