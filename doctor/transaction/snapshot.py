"""Snapshots: how folders and files were, kept so that they can be put back byte for byte.

A snapshot lists every path below its roots (type, mode, owner, size, time, link target) and keeps
the files in stores by hard links: no bytes are copied, and a program that replaces a file leaves
the kept one alone. That is safe for what the doctor itself starts: uv has put files in place by
renaming since 0.11 (older ones write into what is there when they copy, which
``tests/test_snapshot.py`` would see), and ``model_files`` does. Where no link can be made (another
file system, somebody else's file) the file is copied.

Somebody else may write into a file while it is kept by a link. Then nobody has its earlier content;
it was not the fix that changed it, so its new content stays, and ``left_alone`` names it.

``restore`` can be run again after it was itself interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from doctor.facts import Struct
from doctor.transaction import durable

# What a file is called until it is whole. It is short, since the file's own name may be as long as
# the file system allows. One that a crash left is no part of a snapshot: the next restore takes it
# away.
TEMPORARY = ".vlm-doctor-part"

# The folder for kept files on another file system than the doctor's state folder, beside them.
BESIDE = ".vlm-doctor"

# Bytes up to which a file on another file system than any store is copied rather than linked
# beside itself: a model's small files are, its weights are not.
MOST_COPIED = 16_000_000


class Damaged(Exception):
    """A snapshot or journal is not as it was written; the message says what is wrong with it."""


class Entry(Struct, frozen=True):
    """One path as it was. ``target`` is where a symbolic link points, null for all else.

    ``attributes`` are a folder's extended attributes, in hexadecimal; a file's stay with the file.
    """

    path: str
    mode: int
    size: int
    modified_ns: int
    inode: int
    owner: int
    group: int
    target: str | None
    attributes: dict[str, str] | None = None

    def row(self) -> list[object]:
        """The fields in their order, to be written down."""
        return [getattr(self, name) for name in Entry.__struct_fields__]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder (and no link to one)."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    def same(self, other: Entry) -> bool:
        """Whether nothing was done to the path. A folder's time changes with what is in it."""
        if stat.S_IFMT(self.mode) != stat.S_IFMT(other.mode) or self.target != other.target:
            return False
        if (self.owner, self.group) != (other.owner, other.group):
            return False
        if self.target is not None:
            return self.modified_ns == other.modified_ns
        if self.is_folder:
            return (self.mode, self.attributes) == (other.mode, other.attributes)
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
        target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Entry(
        path=path,
        mode=status.st_mode,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        inode=status.st_ino,
        owner=status.st_uid,
        group=status.st_gid,
        target=target,
        attributes=_attributes(path) if stat.S_ISDIR(status.st_mode) else None,
    )


def _attributes(path: str) -> dict[str, str] | None:
    """A folder's extended attributes; null where there are none, or Python has no way to them."""
    if not hasattr(os, "listxattr"):
        return None
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name).hex() for name in names} or None
    except OSError:
        return None


def walk(root: str) -> Iterator[Entry]:
    """Every path at and below ``root``, folders before what is in them; links are not followed."""
    first = entry(root)
    if first is None or os.path.basename(root) == BESIDE:
        return
    yield first
    if first.is_folder:
        with os.scandir(root) as names:
            children = sorted(child.path for child in names)
        for child in children:
            yield from walk(child)


def nearest(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


class Snapshot:
    """The roots as they were, with the stores that keep their files.

    ``folder`` is the snapshot's own folder; ``roots`` are absolute paths of folders or files, taken
    with all that is below them; ``alone`` are paths without what is below. None need exist. The
    first of the ``stores`` that is on a file's file system keeps it. A path that begins in one root
    is not to be below another.
    """

    def __init__(
        self,
        folder: Path,
        roots: Sequence[str],
        stores: Sequence[Path],
        alone: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._roots = tuple(roots)
        self._alone = tuple(alone)
        self._stores = tuple(stores)
        self._entries: dict[str, Entry] = {}
        self._kept: dict[str, str] = {}
        self.left_alone: tuple[str, ...] = ()
        self._copied_back: set[str] = set()

    @property
    def _manifest(self) -> Path:
        return self._folder / "manifest.jsonl"

    def take(self) -> str:
        """List the roots and keep their files; return the list's SHA-256. Nothing else changes.

        When it returns, everything is on the disk.
        """
        devices: dict[int, Path] = {}
        for store in reversed(self._stores):
            store.mkdir(parents=True, exist_ok=True)
            devices[os.stat(store).st_dev] = store
        digest = hashlib.sha256()
        with self._manifest.open("wb") as manifest:
            for number, item in enumerate(self._now()):
                kept = None
                if item.is_file:
                    kept = self._place(item, number, devices)
                    _keep(item.path, kept)
                    self._kept[item.path] = kept
                self._entries[item.path] = item
                line = json.dumps([kept, *item.row()]).encode() + b"\n"
                digest.update(line)
                manifest.write(line)
        durable.flush(self._folder, *self._stores)
        return digest.hexdigest()

    def _place(self, item: Entry, number: int, devices: dict[int, Path]) -> str:
        """Where to keep a file: on its own file system, where links reach."""
        store = devices.get(os.lstat(item.path).st_dev)
        if store is None and item.size > MOST_COPIED:
            store = Path(item.path).parent / BESIDE / self._folder.name
        if store is None:
            store = self._stores[0]
        return os.path.join(store, f"{number // 1000}", f"{number}")

    def load(self, checksum: str) -> None:
        """Read the list of a snapshot that was taken earlier. Raises ``Damaged``."""
        try:
            content = self._manifest.read_bytes()
        except OSError as error:
            raise Damaged(f"its list of files cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != checksum:
            raise Damaged("its list of files was changed or is cut off")
        self._entries, self._kept = {}, {}
        for line in content.splitlines():
            kept, *row = json.loads(line)
            item = Entry(*row)
            self._entries[item.path] = item
            if kept is not None:
                self._kept[item.path] = kept

    def _now(self) -> Iterator[Entry]:
        seen: set[str] = set()
        for path in self._alone:
            found = entry(path)
            if found is not None and path not in seen:
                seen.add(path)
                yield found
        for root in self._roots:
            for item in walk(root):
                if item.path not in seen:
                    yield item

    def changes(self, times: bool = False) -> dict[str, Entry | None]:
        """The paths that are not as they were, as they are now (null: gone).

        With ``times``, also the folders of which only the time is another.
        """
        now = {item.path: item for item in self._now()}
        changed = self._changes(now)
        if times:
            changed |= {
                path: item
                for path, item in now.items()
                if item.is_folder
                and path in self._entries
                and self._entries[path].modified_ns != item.modified_ns
            }
        return changed

    def _changes(self, now: dict[str, Entry]) -> dict[str, Entry | None]:
        changed: dict[str, Entry | None] = {
            path: item
            for path, item in now.items()
            if path not in self._entries or not self._entries[path].same(item)
        }
        changed |= {path: None for path in self._entries if path not in now}
        return changed

    def was_folder(self, path: str) -> bool:
        """Whether there was a folder at a path."""
        return path in self._entries and self._entries[path].is_folder

    def restore(self, paths: Iterable[str] | None = None) -> int:
        """Put back what changed (or only ``paths``), and return how many paths that were.

        When it returns, everything is on the disk. Raises ``OSError`` where something could not be
        put back.
        """
        # By path alone nothing may be asked: a folder may have become a link to somewhere else.
        now = {item.path: item for item in self._now()}
        wanted = list(self._changes(now) if paths is None else paths)
        self.left_alone = tuple(path for path in wanted if self._is_written_into(now.get(path)))
        ours = [path for path in wanted if path not in self.left_alone]
        # What is in the way goes first, the deepest before the folders that hold it: that makes
        # room on a full disk too.
        for path in sorted(ours, key=len, reverse=True):
            before, there = self._entries.get(path), now.get(path)
            if there is None or (before is not None and before.same(there)):
                continue
            if before is None or not (before.is_folder and there.is_folder):
                _remove(path)
        for path in sorted(ours, key=len):
            before = self._entries.get(path)
            if before is not None and entry(path) is None:
                self._put_back(before)
        self._restore_folders(
            self._entries if paths is None else {*ours, *map(os.path.dirname, ours)}
        )
        if paths is None:
            fine = {*self.left_alone, *self._copied_back}
            left = [path for path in self.changes() if path not in fine]
            if left:
                raise OSError(f"{len(left)} paths would not go back, such as {left[0]}")
        self.flush()
        return len(ours)

    def _is_written_into(self, now: Entry | None) -> bool:
        """Whether somebody wrote into a file that is kept by a link: nobody has what was in it."""
        before = self._entries.get(now.path) if now is not None else None
        if now is None or before is None or now.path not in self._kept:
            return False
        kept = entry(self._kept[now.path])
        if kept is None or kept.inode != now.inode:
            return False
        return (kept.size, kept.modified_ns) != (before.size, before.modified_ns)

    def _restore_folders(self, paths: Iterable[str]) -> None:
        """Give folders their modes and times back, the deepest first: each change alters both.

        What is right is not touched: it may lie where nothing can be written.
        """
        for path in sorted(paths, key=len, reverse=True):
            before, now = self._entries.get(path), entry(path)
            if before is None or not before.is_folder or now is None:
                continue
            if now.same(before) and now.modified_ns == before.modified_ns:
                continue
            _restore_attributes(before)
            _restore_owner(path, before)
            os.chmod(path, stat.S_IMODE(before.mode))
            os.utime(path, ns=(before.modified_ns, before.modified_ns))

    def _put_back(self, before: Entry) -> None:
        if before.is_folder:
            os.mkdir(before.path)  # its mode comes last: it may forbid to put anything into it
            return
        # A crash between two steps must leave nothing under the path that is not whole.
        temporary = os.path.join(os.path.dirname(before.path), TEMPORARY)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if before.target is not None:
            os.symlink(before.target, temporary)
            os.utime(temporary, ns=(before.modified_ns, before.modified_ns), follow_symlinks=False)
            _restore_owner(temporary, before)
        elif before.is_file:
            kept = entry(self._kept[before.path])
            if kept is None:
                raise OSError(f"the kept copy of {before.path} is gone")
            _keep(kept.path, temporary)
            if (kept.size, kept.modified_ns) != (before.size, before.modified_ns):
                self.left_alone = (*self.left_alone, before.path)
            if not _restore_file(temporary, before):
                self._copied_back.add(before.path)
        else:
            return  # a socket or the like: nobody can bring that back
        os.replace(temporary, before.path)

    def flush(self) -> None:
        """Bring everything below the roots to the disk."""
        durable.flush(*map(nearest, self._roots + self._alone))

    def keep_only(self, changed: Iterable[str]) -> None:
        """Give back the space of all but what is needed to take back these changes."""
        needed = {self._kept[path] for path in changed if path in self._kept}
        for kept in self._kept.values():
            if kept not in needed:
                with contextlib.suppress(OSError):
                    os.unlink(kept)

    def size(self, changed: Iterable[str]) -> int:
        """The bytes that are kept for these changes; a file with several names counts once."""
        sizes = {
            self._entries[path].inode: self._entries[path].size
            for path in changed
            if path in self._kept
        }
        return sum(sizes.values())

    def discard(self) -> None:
        """Give back the space of the stores. What was loaded tells of those beside big files."""
        beside = {
            store
            for kept in self._kept.values()
            if (store := Path(kept).parent.parent).parent.name == BESIDE
        }
        for store in (*self._stores, *beside):
            shutil.rmtree(store, ignore_errors=True)
            if store.parent.name == BESIDE:
                with contextlib.suppress(OSError):  # another journal's store may still be in it
                    store.parent.rmdir()


def _keep(source: str, destination: str) -> None:
    """Hard-link a file, or copy it with time, mode and attributes where no link can be made."""
    try:
        os.link(source, destination)
    except FileExistsError:
        os.unlink(destination)
        _keep(source, destination)
    except OSError as error:
        folder = os.path.dirname(destination)
        if isinstance(error, FileNotFoundError) and not os.path.isdir(folder):
            os.makedirs(folder)
            _keep(source, destination)
        else:
            shutil.copy2(source, destination, follow_symlinks=False)


def _restore_file(path: str, before: Entry) -> bool:
    """Give a file the owner and mode that it had; whether it is the very file that it was."""
    _restore_owner(path, before)
    status = os.lstat(path)
    if status.st_mode != before.mode:
        os.chmod(path, stat.S_IMODE(before.mode))
    return status.st_ino == before.inode


def _restore_owner(path: str, before: Entry) -> None:
    """Give a path its owner back, where we may."""
    status = os.lstat(path)
    if (status.st_uid, status.st_gid) != (before.owner, before.group):
        with contextlib.suppress(PermissionError):
            os.chown(path, before.owner, before.group, follow_symlinks=False)


def _restore_attributes(before: Entry) -> None:
    now = _attributes(before.path) or {}
    for name, value in (before.attributes or {}).items():
        if now.get(name) != value:
            with contextlib.suppress(OSError):
                os.setxattr(before.path, name, bytes.fromhex(value))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
