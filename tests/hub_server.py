"""A small Hugging Face Hub on loopback, for tests: what huggingface-hub's client asks, and faults.

It answers for model information, file trees and files (by range, large ones by way of a redirect,
as the Hub does), with the headers that the client reads. What it is told to do wrong it does in the
order of asking: end a connection after some bytes, refuse, be slow, send something else.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What the Hub keeps apart from git and names by SHA-256; all else is named by git's SHA-1.
LARGE = (".safetensors", "tokenizer.json")
PIECE = 64 * 1024


def git_name(content: bytes) -> str:
    """What git calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """One repository as it is now. ``token`` is what must be shown; ``gated``: and not everybody's.

    ``moved_to`` is its new name after a renaming, ``claims`` are sizes that it tells untruly;
    ``revision`` is its commit where that is given.
    """

    files: dict[str, bytes]
    token: str | None = None
    gated: bool = False
    moved_to: str | None = None
    xet: bool = False
    claims: dict[str, int] = field(default_factory=dict)
    revision: str | None = None

    @property
    def commit(self) -> str:
        """The commit: it changes with any file, unless it is given."""
        if self.revision is not None:
            return self.revision
        names = "\n".join(f"{name} {self.etag(name)}" for name in sorted(self.files))
        return hashlib.sha1(names.encode()).hexdigest()

    def is_large(self, name: str) -> bool:
        """Whether the file is kept apart from git."""
        return name.endswith(LARGE)

    def etag(self, name: str) -> str:
        """The name of the file's blob in a cache."""
        content = self.files[name]
        return hashlib.sha256(content).hexdigest() if self.is_large(name) else git_name(content)

    def entry(self, name: str) -> dict[str, object]:
        """The file as the Hub's API describes it."""
        content = self.files[name]
        size = self.claims.get(name, len(content))
        result: dict[str, object] = {"size": size}
        if self.is_large(name):
            digest = self.etag(name)
            pointer = (
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
            ).encode()
            lfs = {"size": size, "pointerSize": len(pointer)}
            return {"oid": git_name(pointer), "lfs": {**lfs, "oid": digest}, **result}
        return {"oid": self.etag(name), **result}


@dataclass
class Fault:
    """One thing that goes wrong with the next ``times`` requests whose path ends so.

    ``status`` refuses, ``cut_at`` ends the connection before this byte of the file, ``spoil`` sends
    other content of the same size.
    """

    path: str
    method: str = "GET"
    times: int = 1
    status: int | None = None
    cut_at: int | None = None
    spoil: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """One request: what was asked, and how many bytes of a file were sent for it."""

    method: str
    path: str
    range: str | None
    authorized: bool
    sent: int = 0


@dataclass
class Hub:
    """A Hub at work: its address, its repositories, what goes wrong, and what was asked of it."""

    address: str
    repositories: dict[str, Repository]
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    bytes_per_second: float | None = None
    no_ranges: bool = False
    # Called with the file's name and the position before each piece is sent.
    watch: Callable[[str, int], None] | None = None

    def sent(self, name: str) -> int:
        """The bytes that were sent of a file, in all."""
        return sum(
            request.sent for request in self.asked if request.path.rpartition("#")[2] == name
        )

    def forget(self) -> None:
        """Begin anew with what was asked and what goes wrong."""
        self.asked.clear()
        self.faults.clear()

    def fault(self, method: str, path: str, sends: bool) -> Fault | None:
        """What goes wrong with this request, or with the file that it is about to send."""
        for fault in self.faults:
            if (
                fault.times
                and fault.method == method
                and path.endswith(fault.path)
                and sends is (fault.status is None)
            ):
                # A line that was cut is out of order afterwards, if that was said as well.
                if not sends and any(one.times for one in self._before(fault)):
                    continue
                fault.times -= 1
                return fault
        return None

    def _before(self, fault: Fault) -> list[Fault]:
        """The faults of the same file that have to come first."""
        before = self.faults[: self.faults.index(fault)]
        return [one for one in before if one.path == fault.path]


def of_folder(folder: Path, padded_to: int = 0, pieces: int = 1) -> dict[str, bytes]:
    """The files of a model's folder. ``padded_to`` gives its weights that many bytes by padding.

    The padding is of zeros behind the tensors, declared as a tensor so that the file stays whole;
    ``pieces`` adds that many more files of weights of the same kind.
    """
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    if padded_to:
        files["model.safetensors"] = padded(files["model.safetensors"], padded_to)
    for number in range(1, pieces):
        files[f"extra-{number}.bin.json"] = json.dumps({"number": number}).encode()
    return files


def padded(weights: bytes, size: int) -> bytes:
    """A safetensors file with its header made longer by spaces, as the format allows."""
    length = int.from_bytes(weights[:8], "little")
    more = max(0, size - len(weights))
    header = weights[8 : 8 + length] + b" " * more
    return len(header).to_bytes(8, "little") + header + weights[8 + length :]


@contextlib.contextmanager
def serve(repositories: Mapping[str, Repository]) -> Iterator[Hub]:
    """A Hub that has these repositories, until the end of the block."""
    hub = Hub("", dict(repositories))

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urllib.parse.unquote(self.path.partition("?")[0])
        authorization = self.headers.get("Authorization")
        asked = Asked(self.command, path, self.headers.get("Range"), authorization is not None)
        self.hub.asked.append(asked)
        fault = self.hub.fault(self.command, path, sends=False)
        if fault is not None and fault.status is not None:
            self._refuse(fault.status, "", dict(fault.headers))
            return
        api = re.fullmatch(r"/api/models/(.+?)(?:/(revision|tree)/([^/]+).*)?", path)
        resolve = re.fullmatch(r"/(?:cdn/)?([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)", path)
        found = api or resolve
        name = found[1] if found else ""
        repository = self.hub.repositories.get(name)
        if repository is None:
            # The Hub does not say whether a repository is missing or private.
            self._refuse(404 if authorization else 401, "RepoNotFound")
        elif repository.moved_to is not None:
            self._redirect(self.path.replace(name, repository.moved_to, 1))
        elif (
            repository.token is not None
            and authorization != f"Bearer {repository.token}"
            and not path.startswith("/cdn/")  # its addresses are signed
        ):
            if repository.gated and api:
                self._api(name, repository, api)
            elif repository.gated:
                self._refuse(403 if authorization else 401, "GatedRepo")
            else:
                self._refuse(401, "RepoNotFound")
        elif found is not None and (found[3] if api else found[2]) not in (
            None,
            "main",
            repository.commit,
        ):
            self._refuse(404, "RevisionNotFound")
        elif api:
            self._api(name, repository, api)
        elif resolve:
            asked.path += f"#{resolve[3]}"
            self._file(repository, resolve[3], asked, "/cdn/" in self.path)

    def _api(self, name: str, repository: Repository, parts: re.Match[str]) -> None:
        if parts[2] == "tree":
            self._json(
                [
                    {"type": "file", "path": file, **repository.entry(file)}
                    for file in sorted(repository.files)
                ]
            )
            return
        siblings = []
        for file in sorted(repository.files):
            entry = repository.entry(file)
            sibling: dict[str, object] = {"rfilename": file}
            if "blobs=" in self.path:
                sibling |= {"size": entry["size"], "blobId": entry["oid"]}
                if isinstance(entry.get("lfs"), dict):
                    lfs = dict(entry["lfs"])  # type: ignore[call-overload]
                    lfs["sha256"] = lfs.pop("oid")
                    sibling["lfs"] = lfs
            siblings.append(sibling)
        self._json(
            {
                "_id": "0",
                "id": name,
                "sha": repository.commit,
                "private": False,
                "gated": "manual" if repository.gated else False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
            }
        )

    def _file(self, repository: Repository, name: str, asked: Asked, at_cdn: bool) -> None:
        content = repository.files.get(name)
        if content is None:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": repository.commit})
            return
        headers = {"ETag": f'"{repository.etag(name)}"', "X-Repo-Commit": repository.commit}
        if repository.is_large(name) and not at_cdn:
            headers["X-Linked-Size"] = str(len(content))
            headers["X-Linked-Etag"] = headers.pop("ETag")
            if repository.xet:
                headers["X-Xet-Hash"] = hashlib.sha256(content).hexdigest()
                headers["X-Xet-Refresh-Route"] = "/api/xet-read-token"
            # Elsewhere by its name, so that the client takes it for the Hub's store.
            store = self.hub.address.replace("127.0.0.1", "localhost")
            self._redirect(f"{store}/cdn{self.path}", headers)
            return
        begin = 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        end = len(content)
        if wanted and not self.hub.no_ranges:
            begin = int(wanted[1])
            end = min(end, int(wanted[2]) + 1) if wanted[2] else end
            if begin >= len(content):
                self._refuse(416, "", {"Content-Range": f"bytes */{len(content)}"})
                return
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        self.send_response(206 if "Content-Range" in headers else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if self.command == "GET":
            fault = self.hub.fault(self.command, name, sends=True)
            self._send(name, content, begin, end, asked, fault)

    def _send(
        self, name: str, content: bytes, begin: int, end: int, asked: Asked, fault: Fault | None
    ) -> None:
        if fault is not None and fault.spoil:
            content = bytes(byte ^ 1 for byte in content)
        last = end if fault is None or fault.cut_at is None else min(end, max(begin, fault.cut_at))
        position = begin
        with contextlib.suppress(ConnectionError):
            while position < last:
                piece = content[position : min(position + PIECE, last)]
                if self.hub.watch is not None:
                    self.hub.watch(name, position)
                self.wfile.write(piece)
                position += len(piece)
                asked.sent += len(piece)
                if self.hub.bytes_per_second:
                    time.sleep(len(piece) / self.hub.bytes_per_second)
        if position < end:
            self.close_connection = True

    def _redirect(self, location: str, headers: Mapping[str, str] | None = None) -> None:
        self._end(307 if headers is None else 302, b"", {**(headers or {}), "Location": location})

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        more = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        self._end(status, b"", {**more, **(headers or {})})

    def _json(self, value: object) -> None:
        self._end(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _end(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass
