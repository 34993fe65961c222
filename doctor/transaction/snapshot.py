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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

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


class Entry(Struct, frozen=True, array_like=True):
    """One path as it was. ``target`` is where a symbolic link points, null for all else.

    ``device`` is the number of its file system. ``attributes`` are a folder's extended attributes,
    in hexadecimal; a file's stay with the file. ``touched_ns`` is when something was last done to a
    folder (its ctime, which nobody can set), 0 for all else: a file's changes as it is kept.
    """

    path: str
    mode: int
    size: int
    modified_ns: int
    inode: int
    device: int
    owner: int
    group: int
    target: str | None
    attributes: dict[str, str] | None = None
    touched_ns: int = 0

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
        if self == other:  # nearly all are, and this is quick
            return True
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
        return _entry(path, os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _entry(path: str, status: os.stat_result) -> Entry:
    mode = status.st_mode
    return Entry(
        path,
        mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ino,
        status.st_dev,
        status.st_uid,
        status.st_gid,
        os.readlink(path) if stat.S_ISLNK(mode) else None,
        *((_attributes(path), status.st_ctime_ns) if stat.S_ISDIR(mode) else ()),
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
    """Every path at and below ``root``, folders before what is in them; links are not followed.

    What goes away meanwhile is left out.
    """
    first = entry(root)
    if first is None or os.path.basename(root) == BESIDE:
        return
    yield first
    pending = [root] if first.is_folder else []
    while pending:
        for child in _children(pending.pop()):
            if child.name == BESIDE:
                continue
            try:
                item = _entry(child.path, child.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
            yield item
            if item.is_folder:
                pending.append(item.path)


def _children(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing where it went away."""
    try:
        with os.scandir(folder) as children:
            return list(children)
    except (FileNotFoundError, NotADirectoryError):
        return []


def nearest(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def encoded(content: object) -> bytes:
    """JSON of lists and entries. File names in it may be no text, which few encoders take."""
    try:
        return msgspec.json.encode(content)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(content)).encode()


def _below(paths: Iterable[str], inside: Mapping[str, list[str]]) -> Iterator[str]:
    """These paths and all that is below them, by what is ``inside`` of each folder."""
    pending = list(paths)
    while pending:
        path = pending.pop()
        yield path
        pending += inside.get(path, [])


def parents(path: str) -> Iterator[str]:
    """The folders above a path, the nearest first."""
    parent = os.path.dirname(path)
    while parent != path:
        yield parent
        path, parent = parent, os.path.dirname(parent)


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
        # What went away between the list and the moment when it was to be kept.
        self.vanished: list[str] = []
        self._copied_back: set[str] = set()

    @property
    def _manifest(self) -> Path:
        return self._folder / "manifest.json"

    def take_stock(self) -> None:
        """List the roots as they are. Nothing is kept yet, and nothing changes."""
        self._entries = {item.path: item for item in self._now()}

    def keep(self) -> str:
        """Keep the files that were listed, and return the list's SHA-256. Nothing else changes.

        ``flush_kept`` brings it to the disk.
        """
        devices: dict[int, Path] = {}
        for store in reversed(self._stores):
            store.mkdir(parents=True, exist_ok=True)
            devices[os.stat(store).st_dev] = store
        for number, item in enumerate(list(self._entries.values())):
            if item.is_file:
                kept = self._place(item, number, devices)
                try:
                    _keep(item.path, kept)
                    self._kept[item.path] = kept
                except FileNotFoundError:
                    if os.path.lexists(item.path):
                        raise
                    del self._entries[item.path]
                    self.vanished.append(item.path)
        content = encoded([(self._kept.get(path), item) for path, item in self._entries.items()])
        self._manifest.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def flush_kept(self) -> None:
        """Bring the list and what is kept to the disk, with all else on the same file systems."""
        durable.flush(self._folder, *self._stores)

    def _place(self, item: Entry, number: int, devices: dict[int, Path]) -> str:
        """Where to keep a file: on its own file system, where links reach."""
        store = devices.get(item.device)
        if store is None and item.size > MOST_COPIED:
            store = Path(item.path).parent / BESIDE / self._folder.name
        if store is None:
            store = self._stores[0]
        return f"{store}{os.sep}{number // 1000}{os.sep}{number}"

    def load(self, checksum: str) -> None:
        """Read the list of a snapshot that was taken earlier. Raises ``Damaged``."""
        try:
            content = self._manifest.read_bytes()
        except OSError as error:
            raise Damaged(f"its list of files cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != checksum:
            raise Damaged("its list of files was changed or is cut off")
        self._entries, self._kept = {}, {}
        for kept, row in json.loads(content):
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
                if not seen or item.path not in seen:
                    yield item

    def changes(self) -> dict[str, Entry | None]:
        """The paths that are not as they were, as they are now (null: gone)."""
        return self._changes({item.path: item for item in self._now()})

    def moves(self, times: bool = False) -> dict[str, Entry | None]:
        """The same in much less time; with ``times``, also folders of which only the time changed.

        Only folders that something was done to are looked into. So this finds what was made,
        removed or replaced, as installers do, but not what was written into a file that is there.
        It is for the process that took stock.
        """
        inside: dict[str, list[str]] = {}
        for path in self._entries:
            inside.setdefault(path.rpartition(os.sep)[0], []).append(path)
        changed: dict[str, Entry | None] = {}
        pending = list(self._roots)
        for path in self._alone:
            self._compare(path, times, changed)
        while pending:
            path = pending.pop()
            before, now = self._entries.get(path), self._compare(path, times, changed)
            known = inside.get(path, [])
            if now is None or not now.is_folder:
                # What was in it is gone; by path it may still lead to something, elsewhere.
                changed |= dict.fromkeys(_below(known, inside))
            elif now == before:
                pending += [one for one in known if self._entries[one].is_folder]
            else:
                names = {child.path for child in _children(path) if child.name != BESIDE}
                pending += names.union(known)
        return changed

    def _compare(self, path: str, times: bool, changed: dict[str, Entry | None]) -> Entry | None:
        """Note a path if it is not as it was, and return it as it is."""
        before, now = self._entries.get(path), entry(path)
        if before is None or now is None:
            same = before is now
        else:
            same = now.same(before) and not (
                times and now.is_folder and now.modified_ns != before.modified_ns
            )
        if not same:
            changed[path] = now
        return now

    def _changes(self, now: dict[str, Entry]) -> dict[str, Entry | None]:
        changed: dict[str, Entry | None] = {
            path: item
            for path, item in now.items()
            if path not in self._entries or not self._entries[path].same(item)
        }
        changed |= {path: None for path in self._entries if path not in now}
        return changed

    def paths(self) -> Collection[str]:
        """All paths that there were."""
        return self._entries.keys()

    def was_folder(self, path: str) -> bool:
        """Whether there was a folder at a path."""
        return path in self._entries and self._entries[path].is_folder

    def kept_text(self, path: str) -> str | None:
        """The text that a file had, null where there was none."""
        try:
            return Path(self._kept[path]).read_text(encoding="utf-8", errors="surrogateescape")
        except (KeyError, OSError):
            return None

    def restore(
        self, paths: Iterable[str] | None = None, others: Collection[str] = frozenset()
    ) -> int:
        """Put back what changed (or only ``paths``), and return how many paths that were.

        What ``others`` changed stays as they left it. When it returns, everything is on the disk.
        Raises ``OSError`` where something could not be put back.
        """
        # By path alone nothing may be asked: a folder may have become a link to somewhere else.
        now = {item.path: item for item in self._now()}
        changed = self._changes(now) if paths is None else paths
        wanted = [path for path in changed if path not in others]
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
            fine = {*self.left_alone, *self._copied_back, *others}
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
            before = self._entries.get(path)
            # What is no folder of ours is not asked for: above it may be a link to anywhere.
            if before is None or not before.is_folder:
                continue
            now = entry(path)
            if now is None:
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

    def flush(self, *others: Path) -> None:
        """Bring everything below the roots to the disk, and what is on the disks of ``others``."""
        durable.flush(*map(nearest, self._roots + self._alone), *others)

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
