"""A small package index on loopback, for tests: pages by PEP 503 or PEP 691, real wheels."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """One version of a package; ``yanked`` is the reason for which it was withdrawn."""

    version: str
    yanked: str | None = None


def wheel(name: str, version: str) -> bytes:
    """A wheel with nothing but metadata in it."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file, text in (
            ("METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            # Without the time of day: the same wheel has the same hash whenever it is made.
            archive.writestr(zipfile.ZipInfo(f"{folder}/{file}"), text)
    return content.getvalue()


@contextlib.contextmanager
def serve(packages: Mapping[str, list[Release]], as_json: bool = False) -> Iterator[str]:
    """The address of an index that has these packages, and answers 404 for all others."""
    pages: dict[str, tuple[str, bytes]] = {}
    for name, releases in packages.items():
        entries = []
        for release in releases:
            file = f"{name.replace('-', '_')}-{release.version}-py3-none-any.whl"
            content = wheel(name, release.version)
            pages[f"/files/{file}"] = ("application/octet-stream", content)
            entries.append((file, content, release.yanked))
        pages[f"/simple/{name}/"] = _json(name, entries) if as_json else _html(entries)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())

        def _answer(self) -> bytes:
            kind, content = pages.get(self.path, ("text/plain", b""))
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return content

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()


def _html(entries: list[tuple[str, bytes, str | None]]) -> tuple[str, bytes]:
    lines = []
    for file, content, yanked in entries:
        digest = hashlib.sha256(content).hexdigest()
        mark = "" if yanked is None else f' data-yanked="{yanked}"'
        lines.append(f'<a href="/files/{file}#sha256={digest}"{mark}>{file}</a>')
    return "text/html", ("<!DOCTYPE html><html><body>" + "\n".join(lines)).encode()


def _json(name: str, entries: list[tuple[str, bytes, str | None]]) -> tuple[str, bytes]:
    files = [
        {
            "filename": file,
            "url": f"/files/{file}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
            "yanked": False if yanked is None else yanked or True,
        }
        for file, content, yanked in entries
    ]
    page = {"meta": {"api-version": "1.0"}, "name": name, "files": files}
    return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()
