"""What wheels weigh, to download and installed, read without fetching them."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tools.recipes.progress import say
from tools.recipes.resolving import Wheel

TAIL_BYTES = 1 << 17  # holds the whole directory of most wheels, so one request is enough
WHOLE_BYTES = 60_000_000  # the largest wheel fetched whole, where the server knows no ranges
NETWORK_TRIES = 3


@dataclass(frozen=True)
class Size:
    """Bytes to fetch and bytes on disk; None where the index does not let us know."""

    download: int | None
    installed: int | None


class RemoteFile(io.RawIOBase):
    """A file behind a URL, read by HTTP ranges; its tail is fetched once, when it is opened.

    Raises NotImplementedError where the server answers a range with something else.
    """

    def __init__(self, url: str) -> None:
        """Fetch the tail, and with it the length of the whole file."""
        super().__init__()
        self._url = url
        self._position = 0
        self._tail, total = self._fetch(f"bytes=-{TAIL_BYTES}")
        self.total = total

    def _fetch(self, wanted: str) -> tuple[bytes, int]:
        """The bytes of a range and the length of the whole file."""
        headers = {"Range": wanted, "Accept-Encoding": "identity"}
        with urllib.request.urlopen(urllib.request.Request(self._url, headers=headers)) as answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                raise NotImplementedError("the server knows no ranges")
            return answer.read(), int(answer.headers["Content-Range"].rpartition("/")[2])

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, without any request, and return the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.total}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read from the tail where it reaches, else by one request."""
        start = self._position
        end = self.total if size is None or size < 0 else min(self.total, start + size)
        if end <= start:
            return b""
        tail_start = self.total - len(self._tail)
        if start >= tail_start:
            data = self._tail[start - tail_start : end - tail_start]
        else:
            data = self._fetch(f"bytes={start}-{end - 1}")[0]
        self._position += len(data)
        return data


def installed_bytes(archive: IO[bytes] | RemoteFile) -> int:
    """The uncompressed bytes of a wheel's files, from the zip's central directory."""
    with zipfile.ZipFile(archive) as opened:
        return sum(info.file_size for info in opened.infolist())


def measure(wheel: Wheel) -> Size:
    """What a wheel weighs, read without fetching it where the server knows ranges."""
    scheme = urlsplit(wheel.location).scheme
    if scheme in ("", "file"):
        path = Path(url2pathname(urlsplit(wheel.location).path) if scheme else wheel.location)
        with path.open("rb") as local:
            return Size(path.stat().st_size, installed_bytes(local))
    try:
        remote = RemoteFile(wheel.location)
        return Size(remote.total, installed_bytes(remote))
    except NotImplementedError:
        if wheel.download is None or wheel.download > WHOLE_BYTES:
            return Size(wheel.download, None)
        with urllib.request.urlopen(wheel.location) as answer:
            return Size(wheel.download, installed_bytes(io.BytesIO(answer.read())))


def measure_patiently(wheel: Wheel) -> Size:
    """Measure a wheel; after some failures of the network, settle for what the index said."""
    for attempt in range(NETWORK_TRIES):
        try:
            return measure(wheel)
        except (OSError, zipfile.BadZipFile) as error:
            problem = error
            time.sleep(attempt)
    say(f"size of {wheel.filename} not known: {problem}")
    return Size(wheel.download, None)


def measure_all(wheels: Iterable[Wheel], known: Mapping[str, Size]) -> dict[str, Size]:
    """Sizes by sha256; what is known of a hash stays true, so only the others are asked for."""
    by_hash = {wheel.sha256: wheel for wheel in wheels}
    new = [
        wheel
        for sha256, wheel in by_hash.items()
        if sha256 not in known or known[sha256].installed is None
    ]
    say(f"sizes: {len(by_hash)} wheels, {len(new)} to measure")
    with ThreadPoolExecutor(8) as pool:
        measured = zip(new, pool.map(measure_patiently, new), strict=True)
        found = {wheel.sha256: size for wheel, size in measured}
    return {sha256: found.get(sha256) or known[sha256] for sha256 in by_hash}


def read_sizes(path: Path) -> dict[str, Size]:
    """The sizes in a sizes.json, by sha256; none where there is no such file yet."""
    if not path.exists():
        return {}
    data = json.loads(path.read_text(encoding="utf-8"))
    return {
        key.removeprefix("sha256:"): Size(size["download"], size["installed"])
        for key, size in data.items()
    }
