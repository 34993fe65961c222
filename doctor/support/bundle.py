"""A bundle: what a supporter needs, in one zip of JSON files that anybody can open.

``facts.json`` is what the checks judge; ``smoke.json`` (a generation's report) and ``error.json``
(what a pasted error is) are there if they were asked for. ``manifest.json`` says what is in it.
Everything went through one ``Redactor``.
"""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import msgspec

from doctor.errors import Refused
from doctor.facts import Facts, Struct
from doctor.reports import Tool
from doctor.reports.bundle import Member
from doctor.reports.explain import ExplainReport
from doctor.reports.smoke import SmokeReport
from doctor.support.redaction import Identity, Redactor
from doctor.support.saved import FACTS

SCHEMA = "vlm-doctor/bundle/1"
SMOKE = "smoke.json"
ERROR = "error.json"
MANIFEST = "manifest.json"

# Members carry no time of their own: it would tell the time zone.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


class Manifest(Struct, frozen=True):
    """What a bundle has: its members with what they are, and how much was taken out, by kind."""

    schema: str
    tool: Tool
    about: str
    members: tuple[Member, ...]
    redacted: dict[str, int]


ABOUT = (
    "Facts about a Python environment, for support. Names of the user and the machine, home "
    "folders, tokens, passwords, private URLs, e-mail, IP and MAC addresses were replaced by "
    "redacted-<what>-<number>. To judge it: vlm-doctor check --facts FILE"
)


def write(
    path: Path,
    facts: Facts,
    known: Identity,
    smoke: SmokeReport | None,
    error: ExplainReport | None,
) -> Manifest:
    """Write a bundle. Raises ``Refused`` where there is a file already, or none can be."""
    parts: list[tuple[str, str, msgspec.Struct]] = [(FACTS, _about(facts), facts)]
    if smoke is not None:
        outcome = "passed" if smoke.passed else "failed"
        parts.append((SMOKE, f"a generation with {smoke.model.id}, which {outcome}", smoke))
    if error is not None:
        parts.append((ERROR, f"the error that was pasted: {_count(error.errors, 'error')}", error))
    redactor = Redactor(known, [msgspec.to_builtins(part) for _, _, part in parts])
    written = [
        (name, about, msgspec.json.format(msgspec.json.encode(redactor.struct(part)), indent=1))
        for name, about, part in parts
    ]
    manifest = Manifest(
        schema=SCHEMA,
        tool=Tool(),
        about=ABOUT,
        members=tuple(
            Member(name=name, about=redactor.text(about), bytes=len(data))
            for name, about, data in written
        ),
        redacted=redactor.counts,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    try:
        with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in [(MANIFEST, text), *((name, data) for name, _, data in written)]:
                entry = zipfile.ZipInfo(name, _NO_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, data)
    except FileExistsError:
        raise Refused(f"{path} is there already.", "Name another file.") from None
    except OSError as error_:
        with contextlib.suppress(OSError):
            path.unlink()
        raise Refused(f"{path} could not be written: {error_.strerror}.") from None
    return manifest


def _about(facts: Facts) -> str:
    environment = facts.environment
    parts = [
        f"Python {environment.interpreter.version} and its paths",
        f"{_count(environment.distributions, 'package')} by name and version",
        "the machine's memory",
    ]
    if facts.machine.processes:
        parts.append(f"the names of the {len(facts.machine.processes)} biggest programs")
    if facts.variables:
        parts.append(f"variables ({', '.join(sorted(facts.variables))})")
    parts.append(f"what the files of {facts.model.id} say of its type")
    return "; ".join(parts)


def _count(items: tuple[object, ...], what: str) -> str:
    return f"1 {what}" if len(items) == 1 else f"{len(items)} {what}s"
