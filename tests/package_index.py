"""A small package index on loopback, for tests: pages by PEP 503 or PEP 691, real wheels."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import ssl
import tarfile
import threading
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Release:
    """One version of a package; ``yanked`` is the reason for which it was withdrawn.

    ``source`` is a sdist, which then is all that there is: no wheel.
    """

    version: str
    yanked: str | None = None
    source: bytes | None = None


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


# A build backend that needs nothing else: it leaves a mark, and makes a wheel of one module.
BACKEND = """
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    open({mark!r}, "w").close()
    about = "{module}-{version}.dist-info/"
    files = {{
        "{module}.py": "built = True\\n",
        about + "METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        about + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        about + "RECORD": "",
    }}
    file = "{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file
"""


def source(name: str, version: str, mark: str) -> bytes:
    """A sdist; who builds it has its program run, which leaves a mark at a path."""
    module = name.replace("-", "_")
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        'backend-path = ["."]\n',
        "backend.py": BACKEND.format(name=name, module=module, version=version, mark=mark),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{module}-{version}/{file}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


@dataclass
class Behaviour:
    """How an index answers, where not as it should.

    ``user`` is the ``name:password`` that it wants. ``change`` gets a path and its content and may
    give another, ``cut`` is after how many bytes the connection ends, for so many answers of files.
    ``asked`` are the requests that came: path and range.
    """

    user: str | None = None
    change: Callable[[str, bytes], bytes] = lambda path, content: content
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextlib.contextmanager
def serve(
    packages: Mapping[str, list[Release]],
    as_json: bool = False,
    behaviour: Behaviour | None = None,
    host: str | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The address of an index that has these packages, and answers 404 for all others.

    With ``host`` it is a proxy that answers for that host, and the address is the proxy's.
    """
    how = behaviour or Behaviour()
    pages: dict[str, tuple[str, bytes]] = {}
    for name, releases in packages.items():
        entries = []
        for release in releases:
            file = f"{name.replace('-', '_')}-{release.version}-py3-none-any.whl"
            content = wheel(name, release.version)
            if release.source is not None:
                file = f"{name.replace('-', '_')}-{release.version}.tar.gz"
                content = release.source
            pages[f"/files/{file}"] = ("application/octet-stream", content)
            entries.append((file, content, release.yanked))
        pages[f"/simple/{name}/"] = _json(name, entries) if as_json else _html(entries)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = self.path.removeprefix(f"http://{host}") if host else self.path
            wanted = self.headers.get("Range")
            how.asked.append((path, wanted))
            kind, content = pages.get(path, ("text/plain", b""))
            status = 200 if path in pages else 404
            is_file = path.startswith("/files/")
            if is_file and how.statuses:
                status, content = how.statuses.pop(0), b""
            if how.user and self.headers.get("Authorization") != (
                "Basic " + b64encode(how.user.encode()).decode()
            ):
                status, content = 401, b""
            content = how.change(path, content)
            start = 0
            # Only ranges without an end, as who goes on with a file asks: others get all of it.
            if wanted and wanted.endswith("-") and status == 200:
                status, start = 206, int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) - start))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.end_headers()
            if self.command == "GET":
                end = how.cut.pop(0) if is_file and how.cut else len(content)
                self.wfile.write(content[start:end])
                if end < len(content):
                    self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    # Its end is noticed at the next poll.
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/simple/"
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
