"""Gathering the wheels of a lock into a folder, for this or another platform."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from doctor.errors import CouldNot, Refused
from doctor.packages import sources, uv, wheels
from doctor.packages.by_hash import PART, Fetcher
from doctor.packages.recipes import UV_PLATFORMS, Lock, LockedWheel, Place
from doctor.reports.recipes import DownloadReport

# Seconds for the index to say where the files are.
TIME_LIMIT = 120.0

# Seconds between two lines about one long file.
PULSE = 5.0

# Below this, sizes are told in kB.
SMALL_BYTES = 1_000_000


def gather(
    lock: Lock, place: Place, folder: Path, variables: Mapping[str, str], say: Callable[[str], None]
) -> DownloadReport:
    """Bring all wheels of a lock into ``folder``, and a requirements file for them.

    What is there already stays, what was begun goes on. Raises ``Refused`` where the folder cannot
    be used, ``CouldNot`` where a file cannot be had or differs from the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = wheels.look(folder, lock.wheels.values())
    except OSError as error:
        raise Refused(f"{folder} cannot be used: {error.strerror}.") from None
    wanted = [wheel for name, wheel in lock.wheels.items() if name not in found.here]
    total, left = _bytes(lock.wheels.values()), _bytes(wanted)
    say(
        f"{lock.recipe} for {place.name}: {len(lock.wheels)} wheels, {_megabytes(total)} in all; "
        f"{len(found.here)} are here, {_megabytes(left)} to fetch"
    )
    _has_room(folder, wanted)
    try:
        fetched = _fetch(lock, wanted, place, folder, variables, say)
        file = folder / f"{lock.recipe}-{lock.name}.txt"
        file.write_text(lock.requirements(set(lock.wheels)))
    except OSError as error:
        raise CouldNot(f"{folder} could not be written to: {error.strerror}.") from None
    return DownloadReport(
        lock=lock.name,
        folder=str(folder),
        requirements=str(file),
        wheels=len(lock.wheels),
        bytes=total,
        fetched=len(wanted),
        fetched_bytes=fetched,
    )


def _fetch(
    lock: Lock,
    wanted: list[LockedWheel],
    place: Place,
    folder: Path,
    variables: Mapping[str, str],
    say: Callable[[str], None],
) -> int:
    """Fetch the wheels; the bytes of them."""
    if not wanted:
        return 0
    deadline = time.monotonic() + TIME_LIMIT
    lines = lock.requirements({wheel.name for wheel in wanted})
    located = uv.locate(lines, UV_PLATFORMS[place.platform], place.python, deadline)
    settings = sources.variables(variables, Path.cwd(), None)
    fetcher = Fetcher(sources.addresses(settings, Path.cwd()), settings)
    done = 0
    for number, wheel in enumerate(wanted, 1):
        offered = located.get(wheel.name, ())
        location = next((item for item in offered if item.hash == wheel.hash), None)
        if location is None:
            raise CouldNot(
                f"The package index has no file of {wheel.name} {wheel.version} that is the one "
                "that is locked.",
                "Is it a mirror that is out of date, or one with builds of its own?",
            )
        name = _file_name(location.address, wheel)
        say(f"[{number}/{len(wanted)}] {name} {_megabytes(wheel.download_bytes)}")
        fetcher.fetch(
            location.address,
            folder / name,
            wheel.hash,
            wheel.download_bytes,
            _pulse(name, wheel.download_bytes, say),
        )
        done += (folder / name).stat().st_size
    return done


def _pulse(name: str, size: int | None, say: Callable[[str], None]) -> Callable[[int], None]:
    """Say now and then how far a long file is."""
    last = time.monotonic()

    def tell(position: int) -> None:
        nonlocal last
        if time.monotonic() - last > PULSE:
            last = time.monotonic()
            say(f"  {name}: {position / 1e6:.0f} of {_megabytes(size)}")

    return tell


def _file_name(address: str, wheel: LockedWheel) -> str:
    """The file's name, from its address: a wheel's, and of this distribution."""
    path = urlsplit(address).path if "://" in address else address
    name = unquote(path).rsplit("/", 1)[-1]
    try:
        right = parse_wheel_filename(name)[0] == wheel.name and os.sep not in name
    except InvalidWheelFilename:
        right = False
    if not right:
        raise CouldNot(f"The package index calls the wheel of {wheel.name} {name!r}.")
    return name


def _has_room(folder: Path, wanted: list[LockedWheel]) -> None:
    """Raises ``Refused`` where what is to be fetched does not fit on the disk."""
    begun = sum(path.stat().st_size for path in folder.glob(f"*.whl{PART}"))
    needed = (_bytes(wanted) or 0) - begun
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Refused(f"The disk has {_megabytes(free)} free; {_megabytes(needed)} are to come.")


def _bytes(items: Iterable[LockedWheel]) -> int | None:
    sizes = [wheel.download_bytes for wheel in items]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _megabytes(size: int | None) -> str:
    if size is None:
        return "of unknown size"
    return f"{size / 1e6:.1f} MB" if size >= SMALL_BYTES else f"{size / 1e3:.0f} kB"
