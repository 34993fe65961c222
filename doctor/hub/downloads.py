"""Pulling a model: what it needs, how long it takes, the fetch with its progress, and its place.

``fix --download`` and ``models --pull`` both go this way.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from doctor import terminal
from doctor.actions import Download, Fetched, RemoveFiles
from doctor.errors import CouldNot, Failed, Refused
from doctor.facts import Facts, HubTrouble, Model, Remote, RemoteFile
from doctor.findings import Finding, Severity
from doctor.hub import fetch, origin, removable
from doctor.hub.fetch import FetchFailed, Watch
from doctor.probes import hub, reach

if TYPE_CHECKING:
    from rich.progress import Progress

# Bytes of the cache's disk that must be left over.
SPARE_DISK = 200_000_000
# Below so many bytes nobody waits long enough to be told how long.
WORTH_MEASURING = 8_000_000
# Seconds between two lines of progress where there is no terminal.
LINE_EVERY = 15.0

Say = Callable[[str], None]


def ask(model: Model, name: str | None = None) -> tuple[Remote | None, HubTrouble | None, Model]:
    """Ask the Hub, and hold every file that is here against what it has, byte for byte.

    ``name`` is what the Hub calls a model that lies in a folder.
    """
    if model.path is None:
        return hub.ask(model, verify=True)
    with terminal.progress("Comparing the model's files with the Hub's") as advance:
        return hub.ask(model, verify=True, advance=advance, name=name)


def wanted(
    facts: Facts, findings: Iterable[Finding] = (), edited: bool = False
) -> tuple[RemoteFile, ...]:
    """The files that have to be fetched: missing, damaged, or what an error wants fetched again.

    A file of the user's own in the snapshot is fetched only where an error goes by it, or all such
    with ``edited``.
    """
    if facts.hub is None or facts.hub.remote is None:
        return ()
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    named = named_by(errors)
    gone_by = {name for finding in errors for name in GOES_BY.get(finding.code, ())}
    return tuple(
        file
        for file in facts.hub.remote.files
        if file.here in ("missing", "damaged")
        or (
            file.here == "edited"
            and (
                edited
                or file.path in gone_by
                or any(path.endswith(f"/{file.path}") for path in named)
            )
        )
    )


# What the model's processor is chosen by.
_CHOICE = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")

# The files that a finding goes by where it does not name one as damaged, by its code.
GOES_BY = {
    "model-type-unsupported": ("config.json",),
    "model-config-unfitting": ("config.json",),
    "processor-blind": ("config.json", *_CHOICE),
    "processor-fails": ("config.json", *_CHOICE),
    "preprocessor-missing": ("preprocessor_config.json",),
    "preprocessor-stale": (*_CHOICE, "video_preprocessor_config.json"),
    "preprocessor-unfitting": ("config.json", *_CHOICE),
    "tokenizer-unfitting": ("tokenizer_config.json",),
    "tokenizer-broken": ("config.json", "tokenizer.json", "tokenizer_config.json"),
    "chat-template-missing": (
        "chat_template.jinja",
        "chat_template.json",
        "tokenizer_config.json",
    ),
    "weights-unfitting": ("config.json", "model.safetensors.index.json"),
    "quantization-unfitting": ("config.json",),
    "weights-index-wrong": ("model.safetensors.index.json",),
}


def moot(
    facts: Facts,
    findings: Iterable[Finding],
    fetched: Download | None,
    taken: RemoveFiles | None,
) -> list[Finding]:
    """The findings that go by files which are fetched anew, or taken away: they may not hold then.

    If one does all the same, the fix fails at it, and all goes back.
    """
    paths = {file.path for file in fetched.fetched} if fetched else set()
    if taken is not None:
        paths |= {os.path.relpath(path, facts.model.path) for path in taken.paths}
    return [one for one in findings if not paths.isdisjoint(GOES_BY.get(one.code, ()))]


def surplus(facts: Facts, findings: Iterable[Finding]) -> RemoveFiles | None:
    """Files beside the model's own that errors go by, and that the Hub's model does not have.

    Nothing can be fetched in their place: the model runs without them. Null where there are none.
    """
    remote = facts.hub.remote if facts.hub else None
    model = facts.model
    if remote is None or model.path is None:
        return None
    if model.found == "cache" and model.revision != remote.commit:
        return None
    findings = [finding for finding in findings if finding.severity is Severity.ERROR]
    named, known = named_by(findings), {file.path for file in remote.files}
    named |= {f"{model.path}/{file}" for one in findings for file in GOES_BY.get(one.code, ())}
    found = [
        file
        for file in (model.storage.files if model.storage else ())
        if f"{model.path}/{file.name}" in named
        and hub.is_fetched(file.name)
        and file.name not in known
        and file.kind in ("file", "link", "dangling")
    ]
    if not found:
        return None
    names = ", ".join(file.name for file in found)
    return RemoveFiles(
        summary=f"take away what {model.id} does not have on the Hub, and fails of here: {names}",
        paths=tuple(f"{model.path}/{file.name}" for file in found),
        freed_bytes=sum(file.bytes or 0 for file in found),
    )


def strangers(facts: Facts) -> list[str]:
    """The weights here that the model on the Hub does not have; none where it was not asked."""
    remote, weights = facts.hub.remote if facts.hub else None, facts.model.weights
    known = {file.path for file in remote.files} if remote else set()
    return [one.name for one in weights.files if one.name not in known] if known and weights else []


def named_by(findings: Iterable[Finding]) -> set[str]:
    """The files that errors want fetched again, by their paths."""
    return {
        evidence.source
        for finding in findings
        if finding.fix.id == "download" and finding.severity is Severity.ERROR
        for evidence in finding.evidence
    }


def lacking(facts: Facts, findings: Iterable[Finding]) -> list[str]:
    """What would be fetched, as far as that can be told without the Hub: names and bytes."""
    model = facts.model
    if model.path is None:
        weights = f", {size(model.weights_bytes)}" if model.weights_bytes else ""
        return [f"{model.id} (all of it{weights})"]
    named = named_by(findings)
    result = []
    for file in model.storage.files if model.storage else ():
        gone = file.kind in ("dangling", "absent", "special")
        wrong = file.hash_is_right is False and not file.laid_out_anew
        wrong = wrong or (file.expected_bytes is not None and file.bytes != file.expected_bytes)
        is_named = any(path.endswith(f"/{file.name}") for path in named)
        if hub.is_fetched(file.name) and (gone or is_named or (wrong and file.kind == "link")):
            expected = file.expected_bytes
            result.append(
                f"{file.name} ({'size unknown here' if expected is None else size(expected)})"
            )
            named = {path for path in named if not path.endswith(f"/{file.name}")}
    folder = os.path.expanduser(model.path)
    for path in sorted(named):
        name = os.path.relpath(os.path.expanduser(path), folder)
        if hub.is_fetched(name) and not name.startswith(".."):
            result.append(f"{name} (size unknown here)")
    return result


def action(facts: Facts, findings: Iterable[Finding] = (), edited: bool = False) -> Download | None:
    """What would be fetched for these facts; null where nothing is missing or nothing is known."""
    files = wanted(facts, findings, edited)
    if not files:
        return None
    assert facts.hub is not None
    assert facts.hub.remote is not None
    model = facts.model
    folder = os.path.expanduser(model.path or "") if model.found == "folder" else None
    home = reach.home_of(model) or origin.staging(model)
    name = facts.hub.remote.id if folder else model.id
    bytes_to_come = sum(file.bytes - file.fetched_bytes for file in files)
    return Download(
        summary=f"fetch {counted(len(files))} of {name}: {size(bytes_to_come)}" + resumed(files),
        model=name,
        commit=facts.hub.remote.commit,
        home=str(home),
        folder=folder,
        fetched=tuple(
            Fetched(
                path=file.path,
                bytes=file.bytes,
                blob=file.blob,
                why="missing" if file.here == "missing" else "damaged",
            )
            for file in files
        ),
        download_bytes=bytes_to_come,
    )


def counted(count: int) -> str:
    """So many files, in words."""
    return "1 file" if count == 1 else f"{count} files"


def resumed(files: Iterable[RemoteFile]) -> str:
    """That some of it lies there already."""
    there = sum(file.fetched_bytes for file in files)
    return f" ({size(there)} are there already)" if there else ""


def size(count: int) -> str:
    """A size for people."""
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB" if count >= 1000 else f"{count} bytes"
    return f"{count / 1e6:.1f} MB" if count < 1_000_000_000 else f"{count / 1e9:.2f} GB"


def seconds_at(count: int, rate: float | None) -> float | None:
    """How long so many bytes take at a rate in bytes a second; null where that is not known."""
    return count / rate if rate else None


def duration(seconds: float) -> str:
    """A time for people, rounded up to what is worth telling."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def refuse_without_room(download: Download, facts: Facts) -> None:
    """Raise ``Refused`` where the cache has no room for it, or may not be written to."""
    seen = facts.hub
    assert seen is not None
    if seen.locked_folder is not None:
        raise Refused(
            f"You may not write to {os.path.expanduser(seen.locked_folder)}, where the model goes.",
            "Make it yours, or set HF_HUB_CACHE to a folder that you may write to.",
        )
    needed = download.download_bytes + SPARE_DISK
    if seen.free_bytes is not None and seen.free_bytes < needed:
        raise Refused(
            f"The disk of the cache has {size(seen.free_bytes)} free; fetching "
            f"{download.model} needs {size(download.download_bytes)}, and {size(SPARE_DISK)} to "
            "spare.",
            _could_go(facts, needed - seen.free_bytes),
        )


def _could_go(facts: Facts, short: int) -> str:
    """What of the cache could make room, with the commands; the doctor deletes nothing."""
    cache = Path(os.path.expanduser(facts.model.cache))
    chosen = removable.enough(removable.removable(cache, facts.model.id), short)
    if not chosen:
        return "Make room, or set HF_HUB_CACHE to a folder on another disk."
    lines = [f"{one.name} ({size(one.bytes)}): {one.command}" for one in chosen[:5]]
    return f"{size(short)} are missing. What could go: {'; '.join(lines)}"


def measured(download: Download) -> Download:
    """The action with the time that it takes on this line, told in its summary.

    The line is measured for two seconds on the largest file; where that fails, no time is told.
    """
    if download.download_bytes < WORTH_MEASURING:
        return download
    largest = max(download.fetched, key=lambda file: file.bytes)
    try:
        rate = fetch.measure(download.model, download.commit, _remote_file(largest))
    except FetchFailed:
        return download
    seconds = seconds_at(download.download_bytes, rate)
    if rate is None or seconds is None:
        return download
    return msgspec.structs.replace(
        download,
        seconds=round(seconds, 1),
        summary=f"{download.summary}, about {duration(seconds)} "
        f"at {rate * 8 / 1e6:.1f} Mbit/s as measured now",
    )


def stage(download: Download, say: Say) -> None:
    """Fetch and verify, with progress. Nothing that anybody reads has changed afterwards.

    Raises ``Failed`` with one line; what has come is kept for the next time.
    """
    files = [_remote_file(file) for file in download.fetched]
    total = sum(file.bytes for file in files)
    try:
        with watching(total, say) as watch:
            fetch.stage(download.model, download.commit, Path(download.home), files, watch)
    except FetchFailed as error:
        raise Failed(f"{error.trouble.message}{KEPT}") from error
    except CouldNot as error:
        raise Failed(f"{error.message} {error.hint}") from error
    except OSError as error:
        raise Failed(f"the model could not be fetched: {error.strerror or error}.{KEPT}") from error


KEPT = " What has come is kept; repeat, and it goes on from there"


def place(download: Download) -> None:
    """Put what was staged where the cache has it. Raises ``Failed``."""
    home = Path(download.home)
    files = map(_remote_file, download.fetched)
    try:
        if download.folder is not None:
            fetch.place_in(Path(download.folder), home, files)
            return
        fetch.place(home, download.commit, files)
        fetch.refer(home, download.commit)
    except OSError as error:
        raise Failed(f"the model's files could not be put in place: {error}") from error


def settle(download: Download) -> None:
    """It holds: the staged names are not needed any more."""
    fetch.forget(Path(download.home), map(_remote_file, download.fetched))
    if download.folder is not None:
        fetch.leave(Path(download.home))


def _remote_file(file: Fetched) -> RemoteFile:
    return RemoteFile(path=file.path, bytes=file.bytes, blob=file.blob)


def of_trouble(trouble: HubTrouble) -> tuple[str, str]:
    """What the trouble is, and what helps, in a line each."""
    return trouble.message, HELPS[trouble.kind]


HELPS = {
    "offline": "Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE for the download.",
    "gated": "Ask for access on the model's page, then: hf auth login",
    "missing": "Look at the name's spelling; for a private model: hf auth login",
    "token": "Make a new one: hf auth login",
    "certificate": "Mend or unset SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE.",
    "proxy": "Mend or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY (SOCKS needs a package of its own).",
    "unreachable": "Try again when the network is back.",
    "refused": "Ask the model's owner, or try again later.",
}


class _Lines:
    """Progress where there is no terminal: a line now and then."""

    def __init__(self, total: int, say: Say) -> None:
        self._total, self._say = total, say
        self._there = self._fetched = 0
        self._told = self._began = time.monotonic()

    def start(self, file: RemoteFile) -> None:
        """A file begins."""
        self._say(f"Fetching {file.path} ({size(file.bytes)}) …")

    def there(self, count: int) -> None:
        """It lies there already, which says nothing of the line."""
        self._there += count

    def came(self, count: int) -> None:
        """Tell, if it is time."""
        self._there += count
        self._fetched += count
        now = time.monotonic()
        if now - self._told >= LINE_EVERY:
            self._told = now
            rate = self._fetched / (now - self._began)
            self._say(
                f"{size(self._there)} of {size(self._total)}, {rate * 8 / 1e6:.1f} Mbit/s, "
                f"{duration((self._total - self._there) / rate)} left"
            )


class _Bar:
    """Progress in a terminal, by rich: how far, how fast, how much longer."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total)

    def start(self, file: RemoteFile) -> None:
        """A file begins."""
        from doctor.terminal import clean

        self._bar.update(self._task, description=clean(file.path))

    def there(self, count: int) -> None:
        """Move on without taking it for speed."""
        self._bar.tasks[0].completed += count

    def came(self, count: int) -> None:
        """Move on."""
        self._bar.advance(self._task, count)


@contextmanager
def watching(total: int, say: Say) -> Iterator[Watch]:
    """Progress on standard error: a bar with rate and time left in a terminal, else lines."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _Lines(total, say)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, total)


def names(files: Sequence[Fetched]) -> list[str]:
    """The files by name and size, as people read them."""
    return [f"{file.path} ({file.why}, {size(file.bytes)})" for file in files]
