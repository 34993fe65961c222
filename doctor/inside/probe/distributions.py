"""The installed distributions, read from their metadata folders in the order Python reads them."""

from __future__ import annotations

import json
import os
import re
import sys

# The fields of METADATA that are kept.
FIELDS = ("name", "version", "requires-dist", "provides-extra", "requires-python")
# No real record of an editable install comes near this size.
MOST_BYTES = 2_000_000

# No number that is read from files is so long; a hostile one must not stop the reading.
MOST_DIGITS = 15


def find(search_path: list[dict], notes) -> tuple[list[dict], list[str]]:  # type: ignore[no-untyped-def]
    """The distributions, and the leftovers of interrupted installs (names that begin with ``~``).

    Where a name stands twice, both are listed, the one that ``importlib.metadata`` takes first:
    it reads folders in the order of ``sys.path`` and, within one, as the file system lists them.
    """
    found: list[dict] = []
    leftovers: list[str] = []
    seen: set[str] = set()
    for entry in search_path:
        folder = entry["path"]
        # In some environments `lib64` is a link to `lib`, and both are on the path.
        real = os.path.realpath(folder)
        if entry["kind"] == "standard-library" or real in seen:
            continue
        seen.add(real)
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.startswith("~"):
                leftovers.append(os.path.join(folder, name))
            elif name.lower().endswith((".dist-info", ".egg-info")):
                found.append(_read(os.path.join(folder, name), notes))
    return found, leftovers


def wheel_tags(text: str) -> list[str]:
    """The tags of a WHEEL file that bind it to a Python or a platform; none of a pure one's."""
    tags = re.findall(r"^Tag:\s*(\S+)\s*$", text, re.MULTILINE | re.IGNORECASE)
    return [] if any(tag.endswith("-none-any") for tag in tags) else tags


def add_tags(found: list[dict], notes) -> None:  # type: ignore[no-untyped-def]
    """Add to each distribution the ``tags`` of the wheel that it came in."""
    for distribution in found:
        path = os.path.join(distribution["metadata"], "WHEEL")
        distribution["tags"] = notes.of(path, wheel_tags) or []


def of_conda(prefix: str) -> dict[str, str]:
    """The versions that conda believes to have installed, by name (``conda-meta``)."""
    try:
        names = os.listdir(os.path.join(prefix, "conda-meta"))
    except OSError:
        return {}
    # `<name>-<version>-<build>.json`
    parts = (name[: -len(".json")].rsplit("-", 2) for name in names if name.endswith(".json"))
    return {part[0]: part[1] for part in parts if len(part) == 3}


def foreign_scripts(folder: str, executable: str) -> dict[str, str]:
    """Commands in an environment that another Python would run, with that Python's path."""
    own = {os.path.realpath(os.path.dirname(executable)), os.path.realpath(folder)}
    foreign = {}
    for name in ("pip", "pip3", "hf", "huggingface-cli", "mlx_vlm.generate", "mlx_vlm.server"):
        line = _first_line(os.path.join(folder, name)) or ""
        python = line[2:].strip().partition(" ")[0]
        # Launchers of other kinds (`#!/bin/sh`, `#!/usr/bin/env python`) find their Python.
        if line.startswith("#!/") and "python" in os.path.basename(python):
            same = os.path.realpath(python) == os.path.realpath(executable)
            if os.path.realpath(os.path.dirname(python)) not in own and not same:
                foreign[name] = python
    return foreign


def incomplete(found: list[dict]) -> list[str]:
    """The top-level modules of distributions that require what is not installed, or is too old."""
    versions = _versions(found)
    modules: list[str] = []
    for distribution in found:
        if any(_lacks(text, versions) for text in distribution["requires"] if _holds(text)):
            modules += _top_level(distribution["metadata"])
    return modules


def outdated(found: list[dict]) -> frozenset[str]:
    """The top-level modules of distributions that are older than another requires."""
    versions = _versions(found)
    names = {
        canonical(_NAME.match(text).group(0))  # type: ignore[union-attr] what lacks has a name
        for distribution in found
        for text in distribution["requires"]
        if _holds(text) and _lacks(text, versions)
    }
    old = [one["metadata"] for one in found if canonical(one["name"]) in names]
    return frozenset(module for metadata in old for module in _top_level(metadata))


def _versions(found: list[dict]) -> dict:
    """The versions by canonical name; of several the one that Python reads."""
    versions: dict = {}
    for distribution in found:
        versions.setdefault(canonical(distribution["name"]), distribution["version"])
    return versions


_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PYTHON_MARKER = re.compile(r"\s*python_version\s*(<=?|>=?)\s*['\"](\d+(?:\.\d+)*)['\"]\s*")


def _holds(requirement: str) -> bool:
    """Whether a requirement surely counts here: it has no marker, or one on Python's version."""
    marker = requirement.partition(";")[2]
    match = _PYTHON_MARKER.fullmatch(marker)
    if not match:
        return not marker
    own, bound = list(sys.version_info[:2]), numbers(match.group(2))
    return {"<": own < bound, "<=": own <= bound, ">": own > bound, ">=": own >= bound}[
        match.group(1)
    ]


def _lacks(requirement: str, versions: dict) -> bool:
    """Whether a requirement is surely not met: nothing of the name, or a release below its least.

    The probe has no packaging. Only the numbers of a release are compared, and only where they
    tell.
    """
    match = _NAME.match(requirement)
    if not match:
        return False
    if canonical(match.group(0)) not in versions:
        return True
    least = re.search(r">=\s*(\d+(?:\.\d+)*)", requirement)
    release = re.match(r"\d+(?:\.\d+)*", versions[canonical(match.group(0))] or "")
    return bool(least and release and numbers(release.group(0)) < numbers(least.group(1)))


def numbers(release: str) -> list[int]:
    """The numbers of a release, to be compared: ``1.0`` and ``1`` are one."""
    numbers = [int(part[:MOST_DIGITS]) for part in release.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _top_level(metadata: str) -> list[str]:
    """The importable names of a distribution, from its ``top_level.txt`` or its ``RECORD``."""
    names: set[str] = set()
    for file in ("top_level.txt", "RECORD"):
        try:
            with open(os.path.join(metadata, file), encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    first = line.strip().split(",")[0].split("/")[0]
                    names.add(first[: -len(".py")] if first.endswith(".py") else first)
        except OSError:
            continue
        break
    return sorted(name for name in names if name.isidentifier())


def _read(path: str, notes) -> dict:  # type: ignore[no-untyped-def]
    """One distribution; where its metadata is unreadable, what its folder's name tells."""
    stem = os.path.basename(path).rsplit(".", 1)[0]
    name, _, version = stem.partition("-")
    if path.lower().endswith(".egg-info"):
        version = version.split("-py")[0]
    result = {
        "name": name,
        "version": version or None,
        "requires": [],
        "extras": [],
        "requires_python": None,
        "metadata": path,
        "installer": None,
        "editable": None,
        "problem": None,
    }
    try:
        files = set(os.listdir(path))
    except NotADirectoryError:
        files = None
    except OSError as error:
        result["problem"] = _reason(error)
        return result
    if files is None:
        metadata = path
    else:
        metadata = os.path.join(path, "METADATA" if "METADATA" in files else "PKG-INFO")
        if "INSTALLER" in files:
            result["installer"] = notes.of(os.path.join(path, "INSTALLER"), _first) or None
        if "direct_url.json" in files:
            result["editable"] = _editable_folder(os.path.join(path, "direct_url.json"))
    headers = notes.of(metadata, _headers)
    if headers is None:
        result["problem"] = _unreadable(metadata)
        return result
    for field in ("version", "name"):
        told = next(filter(None, headers.get(field, [])), None)
        if told is None:
            result["problem"] = "the metadata names no " + field
        else:
            result[field] = told
    result["requires"] = headers.get("requires-dist", [])
    result["extras"] = headers.get("provides-extra", [])
    result["requires_python"] = (headers.get("requires-python") or [None])[0]
    return result


def _headers(text: str) -> dict[str, list[str]]:
    """The header fields of core metadata by lower-case name; folded lines are joined."""
    head = text.replace("\r\n", "\n").replace("\r", "\n").partition("\n\n")[0]
    fields: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in head.split("\n"):
        if not line:
            break
        if line[0] in " \t":
            if last:
                last[-1] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        if not colon:
            continue
        last = fields.setdefault(name.strip().lower(), [])
        last.append(value.strip())
    return {name: fields[name] for name in FIELDS if name in fields}


def _first(text: str) -> str:
    return text[:200].partition("\n")[0].strip()


def _unreadable(path: str) -> str:
    """Why a file cannot be read."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        return _reason(error)
    return "it is too large"


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(200).strip() or None
    except OSError:
        return None


def _editable_folder(path: str) -> str | None:
    """The source folder of an editable install (PEP 610), or null."""
    try:
        with open(path, encoding="utf-8") as file:
            record = json.loads(file.read(MOST_BYTES))
        if record["dir_info"]["editable"] and record["url"].startswith("file://"):
            from urllib.parse import unquote

            return unquote(record["url"][len("file://") :])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
