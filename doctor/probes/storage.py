"""How a model lies on the disk: links and blobs, what the Hub said of each file, what was left.

The layout is huggingface-hub's: ``models--owner--name/`` with ``refs/main`` (a revision),
``snapshots/<revision>/`` (links), ``blobs/`` (files named by their hash, and ``*.incomplete`` of
downloads that did not end), and from release 1.33 on ``trees/<revision>.json`` (names, sizes and
hashes of all files of the revision). ``--local-dir`` keeps the same beside the files, in
``.cache/huggingface``. Only this one model's folder is listed, however many lie beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from doctor.facts import Leftover, Storage, StoredFile

# A snapshot has a few dozen files. More are counted, not looked at.
MOST_FILES = 1000
MOST_LISTING_BYTES = 20_000_000

# Files up to this size are hashed always: it takes a tenth of a millisecond. Larger ones with
# ``--deep`` (``hashing.py``).
SMALL_BYTES = 200_000

# What editors and ``sed -i`` put behind a name.
BACKUPS = (".bak", ".orig", ".backup", "~")

SHA1 = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{7,64}")
_INCOMPLETE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})?(?:\.[\w-]+)?\.incomplete")


class _Listed(msgspec.Struct):
    """One file of a revision, as huggingface-hub lists it."""

    size: int
    blob_id: str
    lfs_sha256: str | None = None


class _Listing(msgspec.Struct):
    format_version: int
    files: dict[str, _Listed]


class Reference(msgspec.Struct, frozen=True):
    """``refs/main``: the revision that it names, and its state (see ``facts.Storage``)."""

    revision: str | None
    state: str
    white_space: bool = False


def reference(home: Path) -> Reference:
    """What ``main`` is, by the cache. The revision is null unless its snapshot is there."""
    path = home / "refs" / "main"
    try:
        with path.open("rb") as stream:
            data = stream.read(200) if stat.S_ISREG(path.stat().st_mode) else b"?"
    except FileNotFoundError:
        return Reference(None, "missing")
    except OSError:
        return Reference(None, "unusable")
    text = data.decode("utf-8", "replace")
    if not _REVISION.fullmatch(text.strip()):
        return Reference(None, "unusable")
    if not (home / "snapshots" / text.strip()).is_dir():
        return Reference(None, "dangling")
    return Reference(text.strip(), "ok", text != text.strip())


def snapshots(home: Path) -> tuple[str, ...]:
    """The revisions whose folders are there, the newest last."""
    try:
        found = [
            (entry.stat().st_mtime, entry.name)
            for entry in os.scandir(home / "snapshots")
            if entry.is_dir() and _REVISION.fullmatch(entry.name)
        ]
    except OSError:
        return ()
    return tuple(name for _, name in sorted(found))[-20:]


def whole(home: Path, revisions: tuple[str, ...]) -> tuple[str, ...]:
    """Those revisions that have a configuration and weights, as far as one glance tells."""

    def has(folder: Path) -> bool:
        return (folder / "config.json").is_file() and any(
            path.is_file() for path in folder.glob("*.safetensors")
        )

    return tuple(name for name in revisions if has(home / "snapshots" / name))


def look(folder: Path, home: Path | None, main: Reference | None) -> Storage:
    """The files of ``folder``; ``home`` and ``main`` are those of a model in the Hub's cache."""
    listing = _listing(folder, home)
    # A generation is not touched by what lies beside an unlisted file's name.
    blobs = home / "blobs" if home else None
    files: list[StoredFile] = []
    more = 0
    for entry in _entries(folder):
        if len(files) == MOST_FILES:
            more += 1
            continue
        files.append(_file(folder, entry, blobs, listing.get(entry)))
    there = {file.name for file in files}
    for name, said in listing.items():
        if name in there or len(files) >= MOST_FILES or not _is_inside(name):
            continue
        if os.sep in name or "/" in name:
            files.append(_file(folder, name, blobs, said))
        else:
            files.append(_absent(name, said))
    if blobs is not None:
        files = [_in_place_of_a_link(folder, blobs, file, files) for file in files]
    revisions = snapshots(home) if home else ()
    return Storage(
        home=str(home) if home else None,
        reference=main.state if main else None,
        white_space=main is not None and main.white_space,
        snapshots=revisions,
        whole=whole(home, revisions) if home else (),
        listed=bool(listing),
        files=tuple(_with_backups(folder, blobs, files) if blobs else files),
        leftovers=tuple(_leftovers(folder, blobs, files)),
        more=more,
        commit=None if home else _commit(folder, files),
    )


def _is_inside(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _listing(folder: Path, home: Path | None) -> dict[str, _Listed]:
    """What huggingface-hub noted of the files when it downloaded them; empty where it did not."""
    notes = home or folder / ".cache" / "huggingface"
    if home:
        path: Path | None = home / "trees" / f"{folder.name}.json"
    else:
        trees = sorted((notes / "trees").glob("*.json"))
        # Of several revisions it cannot be told which these files are.
        path = trees[0] if len(trees) == 1 else None
    found: dict[str, _Listed] = {}
    text = _text(path) if path else None
    if text is not None:
        try:
            listing = msgspec.json.decode(text, type=_Listing)
        except (msgspec.DecodeError, UnicodeDecodeError):
            listing = None
        if listing is not None and listing.format_version == 1:
            found = listing.files
    return found


def _text(path: Path) -> bytes | None:
    """The content of a small regular file; null where there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as stream:
            data = stream.read(MOST_LISTING_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= MOST_LISTING_BYTES else None


def _absent(name: str, said: _Listed) -> StoredFile:
    return StoredFile(
        name=name,
        kind="absent",
        bytes=None,
        expected_bytes=said.size,
        expected_hash=said.lfs_sha256 or said.blob_id,
    )


def _file(folder: Path, name: str, blobs: Path | None, said: _Listed | None) -> StoredFile:
    path = folder / name
    kind, size = _kind(path)
    if kind == "absent" and said is not None:
        return _absent(name, said)
    blob = _blob(path, blobs) if blobs else None
    expected = (said.lfs_sha256 or said.blob_id) if said else blob
    if expected is None and blobs is None:
        expected = _noted(folder, name)
    if expected is not None and not (SHA1.fullmatch(expected) or SHA256.fullmatch(expected)):
        expected = None
    file = StoredFile(
        name=name,
        kind=kind,
        bytes=size,
        blob=blob,
        expected_bytes=said.size if said else None,
        expected_hash=expected,
    )
    if size is None or expected is None or size > SMALL_BYTES:
        return file
    return with_hash(path, file)


def found(folder: Path, name: str) -> StoredFile:
    """One file of a snapshot by its name, whether it is there or not."""
    path = folder / name
    kind, size = _kind(path)
    return StoredFile(
        name=name, kind=kind, bytes=size, blob=_blob(path, folder.parent.parent / "blobs")
    )


def _kind(path: Path) -> tuple[str, int | None]:
    """See ``facts.StoredFile.kind``; and the size in bytes of a regular file."""
    try:
        link = stat.S_ISLNK(path.lstat().st_mode)
        status = path.stat()
    except FileNotFoundError:
        return ("dangling" if path.is_symlink() else "absent"), None
    except OSError:
        # A link to itself is ELOOP; a path through a file ENOTDIR.
        return ("special" if path.is_symlink() else "unreadable"), None
    if stat.S_ISDIR(status.st_mode):
        return "folder", None
    if not stat.S_ISREG(status.st_mode):
        return "special", None
    if not os.access(path, os.R_OK):
        return "unreadable", status.st_size
    return ("link" if link else "file"), status.st_size


def _blob(path: Path, blobs: Path) -> str | None:
    """The name of the blob that a link leads to, whether it is there or not."""
    try:
        target = Path(os.readlink(path))
    except OSError:
        return None
    target = Path(os.path.normpath(path.parent / target))
    return target.name if target.parent.name == blobs.name else None


def _noted(folder: Path, name: str) -> str | None:
    """The hash that ``hf download --local-dir`` noted of a file (its ETag)."""
    lines = _note(folder, name)
    return lines[1].strip() if len(lines) > 1 else None


def _commit(folder: Path, files: list[StoredFile]) -> str | None:
    """The revision that it noted of the files; null where it is not one for all."""
    found = {lines[0].strip() for file in files if len(lines := _note(folder, file.name)) > 1}
    commit = found.pop() if len(found) == 1 else ""
    return commit if SHA1.fullmatch(commit) else None


def _note(folder: Path, name: str) -> list[str]:
    text = _text(folder / ".cache" / "huggingface" / "download" / f"{name}.metadata")
    return text.decode("utf-8", "replace").split("\n") if text else []


def digest(path: Path, expected: str, told: Callable[[int], object] | None = None) -> str:
    """A file's hash as ``expected`` is one: SHA-256, or git's SHA-1. Raises ``OSError``.

    ``told`` is called with the number of bytes of each piece that was read.
    """
    with path.open("rb") as stream:
        if SHA256.fullmatch(expected):
            total = hashlib.sha256()
        else:
            total = hashlib.sha1(usedforsecurity=False)
            total.update(b"blob %d\0" % os.fstat(stream.fileno()).st_size)
        while piece := stream.read(1 << 20):
            total.update(piece)
            if told is not None:
                told(len(piece))
    return total.hexdigest()


def with_hash(
    path: Path, file: StoredFile, told: Callable[[int], object] | None = None
) -> StoredFile:
    """The file with its hash compared; as it was where it cannot be read."""
    assert file.expected_hash is not None
    try:
        right = digest(path, file.expected_hash, told) == file.expected_hash
        anew = not right and path.suffix == ".json" and _laid_out_anew(path, file.expected_hash)
    except OSError:
        return file
    return msgspec.structs.replace(file, hash_is_right=right, laid_out_anew=anew)


def _laid_out_anew(path: Path, expected: str) -> bool:
    """Whether a JSON file says the same as the expected one, in another layout.

    Those that are usual for models' files are tried: the libraries write them with two or four
    blanks, with a line's end or without.
    """
    if path.stat().st_size > SMALL_BYTES:
        return False
    try:
        # Decoded as the libraries do it: a byte order mark or another encoding is no layout.
        content = json.loads(path.read_bytes().decode())
    except (ValueError, RecursionError):
        return False
    for indent in (2, 4, 1, None):
        for ascii_only in (True, False):
            for ordered in (False, True):
                text = json.dumps(
                    content, indent=indent, ensure_ascii=ascii_only, sort_keys=ordered
                )
                for end in ("\n", ""):
                    data = (text + end).encode("utf-8", "surrogatepass")
                    if _hash_of(data, expected) == expected:
                        return True
    return False


def _hash_of(data: bytes, expected: str) -> str:
    if SHA256.fullmatch(expected):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _in_place_of_a_link(
    folder: Path, blobs: Path, file: StoredFile, files: list[StoredFile]
) -> StoredFile:
    """The file, with what can be told of one that is none of the links around it.

    What the doctor writes itself differs from the blob in ``MENDED`` alone.
    """
    links = {other.blob for other in files if other.kind == "link"}
    if file.kind != "file" or not links or not file.name.endswith((".json", ".jinja")):
        return file
    path = folder / file.name
    others = [file.expected_hash] if file.expected_hash else _entries(blobs)[:MOST_FILES]
    for name in others:
        if name in links or not (SHA1.fullmatch(name) or SHA256.fullmatch(name)):
            continue
        if _is_mended(path, blobs / name):
            return msgspec.structs.replace(file, hash_is_right=None)
    return msgspec.structs.replace(file, took_place=True)


# What a fix changes in a model's file: see ``fixes/preprocessor.py``.
MENDED = ("image_processor_type", "video_processor_type")


def _is_mended(path: Path, blob: Path) -> bool:
    """Whether a file says what a blob says, the names of classes left out."""
    contents = []
    for one in (path, blob):
        kind, size = _kind(one)
        if kind != "file" or size is None or size > SMALL_BYTES:
            return False
        try:
            content = json.loads(one.read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        if not isinstance(content, dict):
            return False
        inner = content.get("image_processor")
        for part in (content, inner if isinstance(inner, dict) else {}):
            for key in MENDED:
                part.pop(key, None)
        contents.append(content)
    return bool(contents[0] == contents[1])


def _with_backups(folder: Path, blobs: Path, files: list[StoredFile]) -> Iterator[StoredFile]:
    """The files, those with a wrong or no content with the copy beside them that has the right."""
    for file in files:
        if file.expected_hash is None or file.hash_is_right is True or file.kind == "folder":
            yield file
            continue
        places = [folder / file.name, *([blobs / file.blob] if file.blob else [])]
        yield msgspec.structs.replace(file, backup=_backup(places, file.expected_hash))


def _backup(places: list[Path], expected: str) -> str | None:
    for place in places:
        for ending in BACKUPS:
            path = place.with_name(place.name + ending)
            kind, size = _kind(path)
            if kind != "file" or size is None or size > SMALL_BYTES:
                continue
            try:
                if digest(path, expected) == expected:
                    return str(path)
            except OSError:
                continue
    return None


def _leftovers(folder: Path, blobs: Path | None, files: list[StoredFile]) -> Iterator[Leftover]:
    """Beginnings of downloads; and what editors left in the Hub's cache, where nobody edits."""
    whole_blobs = {file.blob for file in files if file.blob and file.kind == "link"}
    if blobs is None:
        parts = folder / ".cache" / "huggingface" / "download"
        for name in _entries(parts):
            if name.endswith(".incomplete"):
                yield from _leftover(parts / name, "incomplete", None, False)
        return
    for name in _entries(blobs)[: 20 * MOST_FILES]:
        match = _INCOMPLETE.fullmatch(name)
        if match:
            blob = match[1]
            needed = blob is not None and blob not in whole_blobs and not (blobs / blob).exists()
            yield from _leftover(blobs / name, "incomplete", blob, needed)
        elif name.endswith(BACKUPS):
            yield from _leftover(blobs / name, "backup", _stem(name), False)
    for file in files:
        if file.name.endswith(BACKUPS) and file.kind == "file":
            yield from _leftover(folder / file.name, "backup", _stem(file.name), False)


def _stem(name: str) -> str:
    return next(name.removesuffix(ending) for ending in BACKUPS if name.endswith(ending))


def _leftover(path: Path, kind: str, of: str | None, needed: bool) -> Iterator[Leftover]:
    state, size = _kind(path)
    if state == "file" and size is not None:
        yield Leftover(path=str(path), kind=kind, bytes=size, of=of, needed=needed)
