"""Fetching files of a model from the Hub: beside the cache first, verified, and then into place.

A file comes as ``blobs/<its name>.incomplete``, the name by which huggingface-hub itself kept what
it had not wholly fetched (1.5 still does, 1.30 throws it away). So a fetch that was cut, here or
there, goes on where it stopped. What has come is held against its name, the SHA-256 or git's SHA-1
of its content, before anything of the cache changes; putting it in place is then a matter of names,
and no byte moves.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from doctor.errors import CouldNot
from doctor.facts import HubTrouble, RemoteFile
from doctor.hub.model_files import put_in_place
from doctor.probes.storage import digest
from doctor.transaction.snapshot import TEMPORARY

# The client hands on what has come in pieces of this many bytes. Its own 10 MiB are a minute and a
# half on a slow line: no progress to see, and lost when the line is cut.
PIECE = 256 * 1024
# Seconds to wait for another program that is fetching the same file.
PATIENCE = 10.0
# To measure a line: for at most so long, and without its first moments, in which TCP speeds up.
MEASURE_SECONDS = 2.0
MEASURE_AFTER = 0.4
MEASURE_MOST_BYTES = 64_000_000


class FetchFailed(Exception):
    """The Hub, or the way to it, did not give a file. What has come is kept for the next time."""

    def __init__(self, trouble: HubTrouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class Watch(Protocol):
    """What is told while files come."""

    def start(self, file: RemoteFile) -> None:
        """A file begins, or goes on."""

    def there(self, count: int) -> None:
        """So many bytes are there already (below 0: they had to be thrown away)."""

    def came(self, count: int) -> None:
        """So many bytes have come."""


def staged(home: Path, blob: str) -> Path:
    """Where a file is kept until it is whole."""
    return home / "blobs" / f"{blob}.incomplete"


def begun(home: Path, blob: str) -> Path | None:
    """The longest piece of a file that an earlier fetch left, by whichever program."""
    with suppress(OSError):
        pieces = [
            (entry.stat().st_size, entry.name)
            for entry in os.scandir(home / "blobs")
            if re.fullmatch(rf"{re.escape(blob)}(\.[0-9a-f]{{8}})?\.incomplete", entry.name)
            and entry.is_file(follow_symlinks=False)
        ]
        if pieces:
            return home / "blobs" / max(pieces)[1]
    return None


def stage(model: str, commit: str, home: Path, files: Iterable[RemoteFile], watch: Watch) -> None:
    """Fetch files beside the cache, and verify them. What is there whole already is not fetched.

    ``home`` is the model's folder in the cache. Raises ``FetchFailed``, ``OSError`` (no space, no
    permission) and ``CouldNot`` (another program is fetching the same).
    """
    (home / "blobs").mkdir(parents=True, exist_ok=True)
    for file in files:
        with _alone(home, file.blob):
            watch.start(file)
            _fetch(model, commit, home, file, watch)


def _fetch(model: str, commit: str, home: Path, file: RemoteFile, watch: Watch) -> None:
    blob = home / "blobs" / file.blob
    if (
        blob.is_file()
        and blob.stat().st_size == file.bytes
        and digest(blob, file.blob) == file.blob
    ):
        watch.there(file.bytes)
        return
    path = staged(home, file.blob)
    if path.is_symlink():
        path.unlink()  # what is written is written here
    found = begun(home, file.blob)
    if found is not None and found != path:
        os.replace(found, path)
    if path.exists() and path.stat().st_size > file.bytes:
        path.unlink()
    # A second time from nothing: what an earlier fetch left may not be the beginning of the file.
    for last in (False, True):
        came = path.stat().st_size if path.exists() else 0
        watch.there(came)
        try:
            if came < file.bytes or not path.exists():
                try:
                    with path.open("ab", buffering=0) as stream:
                        _get(model, commit, file, stream, came, watch)
                finally:
                    if path.stat().st_size == 0 < file.bytes:
                        path.unlink()
            size = path.stat().st_size
            problem = None
            if size != file.bytes:
                problem = f"has {size} bytes and not {file.bytes}"
            elif digest(path, file.blob) != file.blob:
                problem = "is not what its name (a hash) says"
        except _Inconsistent as error:
            problem = str(error)
        if problem is None:
            _to_disk(path)
            return
        watch.there(-(path.stat().st_size if path.exists() else 0))
        path.unlink(missing_ok=True)
        if last or came == 0:
            break
    message = f"{file.path}, as the Hub sent it, {problem}. It was thrown away."
    raise FetchFailed(HubTrouble(kind="refused", message=message))


class _Inconsistent(Exception):
    """The client is not content with what it got."""


class _Counted:
    """A file that tells how much is written to it."""

    def __init__(self, stream: IO[bytes], watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def write(self, data: bytes) -> int:
        """Write all of it (a file without a buffer may take less at once)."""
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]
        self._watch.came(len(data))
        return len(data)

    def tell(self) -> int:
        """The position: what is there."""
        return self._stream.tell()

    def seek(self, position: int) -> int:
        """Move."""
        return self._stream.seek(position)

    def truncate(self) -> int:
        """Take away what is behind the position: the Hub sends the file anew from its start."""
        size = os.fstat(self._stream.fileno()).st_size
        self._watch.there(self._stream.tell() - size)
        return self._stream.truncate()


def _get(
    model: str, commit: str, file: RemoteFile, stream: IO[bytes], came: int, watch: Watch
) -> None:
    """Have huggingface-hub's client write the rest of a file."""
    from huggingface_hub import hf_hub_url

    from doctor.probes import hub

    with hub.client() as client:
        try:
            client.http_get(
                hf_hub_url(model, file.path, revision=commit),
                _Counted(stream, watch),
                resume_size=came,
                headers=client.headers(),
                expected_size=file.bytes,
                displayed_filename=file.path,
            )
        except OSError as error:
            # The client's word for "other than expected" is an OSError without a number.
            if error.errno is None and "Consistency check failed" in str(error):
                raise _Inconsistent("was not of the size that it should have") from None
            trouble = hub.trouble_of(error, model)
            if trouble is None:
                raise
            raise FetchFailed(trouble) from None
        except Exception as error:
            trouble = hub.trouble_of(error, model)
            if trouble is None:
                raise
            raise FetchFailed(trouble) from None


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _alone(home: Path, blob: str) -> Iterator[None]:
    """Hold the lock that huggingface-hub holds while it fetches the same file."""
    import huggingface_hub.utils

    locks = home.parent / ".locks" / home.name
    locks.mkdir(parents=True, exist_ok=True)
    tools: Any = huggingface_hub.utils
    lock = tools.WeakFileLock(locks / f"{blob}.lock", timeout=PATIENCE)
    try:
        lock.__enter__()
    except TimeoutError:
        raise CouldNot(
            f"Another program is fetching the same file into {home.parent}.",
            "Wait until it is done, and repeat.",
        ) from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def place(home: Path, commit: str, files: Iterable[RemoteFile]) -> None:
    """Put staged files where the cache has them: the blob, and the snapshot's link to it.

    What was fetched stays under its staged name as well (a second name of the same bytes) until
    ``forget`` is told, so that a repair that goes back does not lose it. Raises ``OSError``.
    """
    lying: dict[str, Path] = {}  # without links: where a blob that several files have lies
    for file in files:
        source, blob = staged(home, file.blob), home / "blobs" / file.blob
        pointer = home / "snapshots" / commit / file.path
        if source.exists():
            temporary = blob.with_name(TEMPORARY)
            temporary.unlink(missing_ok=True)
            try:
                os.link(source, temporary)
            except OSError:
                os.replace(source, temporary)
            put_in_place(str(temporary), str(blob))
        pointer.parent.mkdir(parents=True, exist_ok=True)
        _point(pointer, lying.get(file.blob, blob))
        if not pointer.is_symlink():
            lying[file.blob] = pointer


def place_in(folder: Path, home: Path, files: Iterable[RemoteFile]) -> None:
    """Put staged files into a folder of the user's, by their own names. As ``place`` otherwise."""
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(TEMPORARY)
        temporary.unlink(missing_ok=True)
        try:
            os.link(staged(home, file.blob), temporary)
        except OSError:
            os.replace(staged(home, file.blob), temporary)
        put_in_place(str(temporary), str(path))


def leave(home: Path) -> None:
    """Take away the folders in which files for a folder were kept, where they are empty."""
    for folder in (home / "blobs", home):
        with suppress(OSError):
            folder.rmdir()
    shutil.rmtree(home.parent / ".locks" / home.name, ignore_errors=True)
    with suppress(OSError):
        (home.parent / ".locks").rmdir()


def _point(pointer: Path, blob: Path) -> None:
    """Make the snapshot's link; without links, put the file itself there, or a copy of it."""
    target = os.path.relpath(blob, pointer.parent)
    if pointer.is_symlink() and os.readlink(pointer) == target:
        return
    temporary = pointer.with_name(TEMPORARY)
    temporary.unlink(missing_ok=True)
    try:
        os.symlink(target, temporary)
    except OSError:
        if blob.parent.name == "blobs":
            put_in_place(str(blob), str(pointer))
            return
        shutil.copyfile(blob, temporary)
    put_in_place(str(temporary), str(pointer))


def forget(home: Path, files: Iterable[RemoteFile]) -> None:
    """Give up the staged names of files that are in place."""
    for file in files:
        staged(home, file.blob).unlink(missing_ok=True)


def refer(home: Path, commit: str) -> None:
    """Have ``main`` name this commit."""
    ref = home / "refs" / "main"
    ref.parent.mkdir(parents=True, exist_ok=True)
    if ref.is_file() and ref.read_text() == commit:
        return
    temporary = ref.with_name(TEMPORARY)
    temporary.write_text(commit)
    put_in_place(str(temporary), str(ref))


class _Enough(Exception):
    """The line was measured long enough."""


class _Gauge:
    """A file that keeps nothing and measures how fast it is written to."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._first: float | None = None
        self._count = 0
        self.rate: float | None = None

    def write(self, data: bytes) -> int:
        """Count, and stop when it is enough."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        elif self._first is None and now - self._began >= MEASURE_AFTER:
            self._first, self._count = now, 0
        else:
            self._count += len(data)
        if self._first is not None and now > self._first and self._count:
            self.rate = self._count / (now - self._first)
            if now - self._began >= MEASURE_SECONDS:
                raise _Enough
        return len(data)

    def tell(self) -> int:
        """Nothing is kept."""
        return 0


def measure(model: str, commit: str, file: RemoteFile) -> float | None:
    """The rate in bytes a second at which a file's beginning comes; null where it is too short.

    Nothing is kept of it. Raises ``FetchFailed``.
    """
    from huggingface_hub import hf_hub_url

    from doctor.probes import hub

    gauge = _Gauge()
    began = time.monotonic()
    most = min(file.bytes, MEASURE_MOST_BYTES)
    with hub.client() as client:
        try:
            client.http_get(
                hf_hub_url(model, file.path, revision=commit),
                gauge,
                headers={**client.headers(), "Range": f"bytes=0-{most - 1}"},
                expected_size=most,
                displayed_filename=file.path,
            )
        except _Enough:
            return gauge.rate
        except Exception as error:
            trouble = hub.trouble_of(error, model)
            if trouble is None:
                raise
            raise FetchFailed(trouble) from None
    passed = time.monotonic() - began
    # All of it came before there was anything to measure: a fast line, or a small file.
    return gauge.rate or (most / passed if most >= PIECE else None)
