"""A folder of wheels: what a lock needs of it, by name, version and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from doctor.facts import Struct
from doctor.packages.recipes import LockedWheel


class Folder(Struct, frozen=True):
    """What is in a folder of the wheels that are wanted.

    ``here`` are their files by canonical name. ``differing`` has a file for each wheel of which
    only files with another hash are there, ``missing`` the wheels of which there are none.
    """

    here: dict[str, Path]
    differing: dict[str, Path]
    missing: tuple[LockedWheel, ...]


def look(folder: Path, wanted: Iterable[LockedWheel]) -> Folder:
    """Hold the wheels in a folder against those that are wanted. Raises ``OSError``."""
    files: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            distribution, version, _, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        files.setdefault((str(distribution), str(version)), []).append(path)
    here: dict[str, Path] = {}
    differing: dict[str, Path] = {}
    missing = []
    for wheel in wanted:
        name = wheel.name
        offered = files.get((name, str(Version(wheel.version))), [])
        match = next((path for path in offered if digest(path) == wheel.hash), None)
        if match is not None:
            here[name] = match
        elif offered:
            differing[name] = offered[0]
        else:
            missing.append(wheel)
    return Folder(here=here, differing=differing, missing=tuple(missing))


def problem(folder: Path, wanted: Iterable[LockedWheel]) -> str | None:
    """Why the wheels in a folder do not do for what is wanted, in one line; null where they do.

    Raises ``OSError``.
    """
    found = look(folder, wanted)
    if found.differing:
        name, path = next(iter(found.differing.items()))
        more = f" (nor are {len(found.differing) - 1} others)" if len(found.differing) > 1 else ""
        return f"{path.name} is refused: it is not the file of {name} that is locked{more}"
    if found.missing:
        shown = ", ".join(f"{wheel.name} {wheel.version}" for wheel in found.missing[:4])
        more = f" and {len(found.missing) - 4} more" if len(found.missing) > 4 else ""
        return f"{folder} has no wheel of {shown}{more}"
    return None


def digest(path: Path) -> str:
    """The hash of a file as locks write it. Raises ``OSError``."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return "sha256:" + sha256.hexdigest()
