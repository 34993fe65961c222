"""Fetching one file by its hash: what was begun goes on, and what differs is refused.

Proxies come from the usual variables; certificates from ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, else
from the system; credentials from the user's index settings, else from netrc.
"""

from __future__ import annotations

import http.client
import netrc
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from doctor.errors import CouldNot
from doctor.packages.sources import shown
from doctor.packages.wheels import digest

# What a file is called until it is whole and known to be the right one.
PART = ".part"

# Seconds without a byte, and those between tries: a server that is busy needs a pause.
SILENCE = 60.0
PAUSES = (1.0, 3.0, 9.0)

BLOCK_BYTES = 1 << 18

# Statuses after which another try may do (RFC 9110, 6585): a time-out, too many, the server's own.
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

# Told as bytes come: how many of the file there are now.
Tell = Callable[[int], None]


class Fetcher:
    """Fetches files. ``addresses`` are those of the user's indexes, with their credentials.

    ``variables`` are the user's, as ``sources.variables`` gives them.
    """

    def __init__(self, addresses: Iterable[str], variables: Mapping[str, str]) -> None:
        credentials = _Credentials(addresses, variables)
        trusted, anybody = (
            urllib.request.build_opener(
                urllib.request.ProxyHandler(_proxies(variables)),
                urllib.request.HTTPSHandler(context=context),
                credentials,
            )
            for context in (_certificates(variables), _no_certificates())
        )
        insecure = set(variables.get("UV_INSECURE_HOST", "").split())
        self._opener_of: Callable[[str], urllib.request.OpenerDirector] = lambda host: (
            anybody if host in insecure else trusted
        )

    def fetch(self, address: str, path: Path, locked: str, size: int | None, tell: Tell) -> None:
        """Fetch a file to ``path``. ``locked`` is its hash, ``size`` (bytes) the most that is read.

        Raises ``CouldNot`` where the file cannot be had, or is another one; ``OSError`` where it
        cannot be written.
        """
        part = path.with_name(path.name + PART)
        begun = part.exists()
        scheme = urlsplit(address).scheme
        if scheme in ("", "file"):
            source = url2pathname(urlsplit(address).path) if scheme else address
            shutil.copyfile(source, part)
            tell(part.stat().st_size)
        else:
            self._download(address, part, size, tell)
            if begun and digest(part) != locked:
                part.unlink()  # what was there was the beginning of something else
                self._download(address, part, size, tell)
        if digest(part) != locked:
            part.unlink()
            raise CouldNot(
                f"{path.name} is refused: it is not the file that is locked.",
                f"It came from {shown(address)}.",
            )
        os.replace(part, path)

    def _download(self, address: str, part: Path, size: int | None, tell: Tell) -> None:
        """Bring a file to its end, from where it stands."""
        problem = ""
        for pause in (0.0, *PAUSES):
            time.sleep(pause)
            try:
                if self._rest(address, part, size, tell):
                    return
                problem = "it ended too early"
            except urllib.error.HTTPError as error:
                problem = f"{error.code} {error.reason}"
                if error.code in (401, 403):
                    raise CouldNot(
                        f"{shown(address)} may not be had: {problem}.",
                        "Put the credentials into the index's address, UV_INDEX_… or netrc.",
                    ) from None
                if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.unlink(missing_ok=True)
                elif error.code not in BUSY:
                    break
            except (OSError, http.client.HTTPException) as error:
                if part.parent.is_dir() and not os.access(part.parent, os.W_OK):
                    raise
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                problem = str(reason) or type(error).__name__
        raise CouldNot(
            f"{shown(address)} could not be had: {problem}.",
            "What was fetched stays: the same command goes on from there.",
        )

    def _rest(self, address: str, part: Path, size: int | None, tell: Tell) -> bool:
        """Read what is not here yet; whether the end was reached."""
        begun = part.stat().st_size if part.exists() else 0
        if size is not None and begun >= size:
            return True
        request = urllib.request.Request(address, headers={"Accept-Encoding": "identity"})
        if begun:
            request.add_header("Range", f"bytes={begun}-")
        opener = self._opener_of(urlsplit(address).hostname or "")
        with opener.open(request, timeout=SILENCE) as answer:
            goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            position = begun if goes_on else 0
            length = answer.headers.get("Content-Length")
            end = position + int(length) if length is not None else None
            with part.open("ab" if goes_on else "wb") as file:
                # One byte more than there may be tells that it is another file.
                while (size is None or position <= size) and (block := answer.read(BLOCK_BYTES)):
                    file.write(block)
                    position += len(block)
                    tell(position)
        return end is None or position >= end or (size is not None and position > size)


class _Credentials(urllib.request.BaseHandler):
    """Adds the credentials of a host to each request to it; another host never gets them."""

    def __init__(self, addresses: Iterable[str], variables: Mapping[str, str]) -> None:
        self._known: dict[tuple[str, str], str] = {}
        for address in addresses:
            parts = urlsplit(address)
            if parts.username is not None:
                words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                self._known.setdefault(_origin(address), words)
        self._netrc = _netrc(variables)

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        """Called for every request, those of a redirection too."""
        words = self._known.get(_origin(request.full_url))
        host = urlsplit(request.full_url).hostname or ""
        if words is None and self._netrc is not None:
            entry = self._netrc.authenticators(host)
            words = f"{entry[0]}:{entry[2]}" if entry else None
        if words is not None:
            encoded = b64encode(words.encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {encoded}")
        return request

    https_request = http_request


def _origin(address: str) -> tuple[str, str]:
    """The scheme, and the host with its port: what credentials are for."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _netrc(variables: Mapping[str, str]) -> netrc.netrc | None:
    """The user's netrc; null where there is none, or it cannot be read."""
    try:
        return netrc.netrc(variables.get("NETRC") or os.path.expanduser("~/.netrc"))
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """The proxies by scheme: those of the variables or the system, and one for all the others."""
    proxies = urllib.request.getproxies()
    every = variables.get("ALL_PROXY") or variables.get("all_proxy")
    return {"http": every, "https": every, **proxies} if every else proxies


def _certificates(variables: Mapping[str, str]) -> ssl.SSLContext:
    """Whom to trust: the certificates that a variable names, else the system's."""
    file, folder = variables.get("SSL_CERT_FILE"), variables.get("SSL_CERT_DIR")
    if file or folder:
        try:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        except OSError as error:
            raise CouldNot(
                f"The certificates in {file or folder} could not be read: {error.strerror}.",
                "See SSL_CERT_FILE, and cert in pip.conf.",
            ) from None
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _no_certificates() -> ssl.SSLContext:
    """For hosts that the user trusts without any; what comes is known by its hash all the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
