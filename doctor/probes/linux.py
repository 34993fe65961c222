"""What Linux tells of its memory: container limits, zram, and what was swapped in and out.

Containers are limited by control groups, of version 1 or 2, and a group by all those above it: the
least of them counts. File names as in the kernel's documentation (``admin-guide/cgroup-v1/memory``,
``admin-guide/cgroup-v2``, ``admin-guide/blockdev/zram``). ``root`` is where the file system begins.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from doctor.facts import Struct

ROOT = Path("/")


class Limit(Struct, frozen=True):
    """How much memory the groups of this process may hold, and what is left of it, in bytes.

    ``swap_bytes`` is what they may swap (null for no limit), ``source`` the file with the least
    limit.
    """

    total_bytes: int
    available_bytes: int
    swap_bytes: int | None
    source: str


class Files(Struct, frozen=True):
    """The names of the files of one version of control groups.

    ``cache`` is the line of ``stat`` that tells the file cache that the kernel gives back first.
    """

    limits: tuple[str, ...]
    used: str
    stat: str
    cache: str
    swap: str | None


VERSION_2 = Files(
    # Above memory.high the kernel holds the group back and reclaims: that is no room to run in.
    limits=("memory.max", "memory.high"),
    used="memory.current",
    stat="memory.stat",
    cache="inactive_file",
    swap="memory.swap.max",
)
VERSION_1 = Files(
    limits=("memory.limit_in_bytes",),
    used="memory.usage_in_bytes",
    stat="memory.stat",
    cache="total_inactive_file",
    swap=None,
)

# Version 1 writes "no limit" as the largest multiple of the page size that fits.
NO_LIMIT_FROM = 2**60


def container(root: Path = ROOT) -> Limit | None:
    """The limit that counts for this process; null where there is none."""
    mounts = _text(root / "proc/self/mountinfo")
    groups = _text(root / "proc/self/cgroup")
    limits = [
        limit
        for files, folder in group_folders(mounts, groups, root)
        if (limit := _limit(files, folder)) is not None
    ]
    if not limits:
        return None
    swaps = [limit.swap_bytes for limit in limits if limit.swap_bytes is not None]
    least = min(limits, key=lambda limit: limit.total_bytes)
    return Limit(
        total_bytes=least.total_bytes,
        available_bytes=min(limit.available_bytes for limit in limits),
        swap_bytes=min(swaps, default=None),
        source=least.source,
    )


def group_folders(mounts: str, groups: str, root: Path = ROOT) -> Iterator[tuple[Files, Path]]:
    """The folders of the memory groups that this process is in, and of those above them.

    ``mounts`` is ``/proc/self/mountinfo``, ``groups`` is ``/proc/self/cgroup``. Where the group's
    folder is not to be seen (a container that has its own group mounted as the root), the mount
    itself is the group.
    """
    paths: dict[str, str] = {}
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if not dash or len(fields) < 5 or len(kinds) < 3 or kinds[0] not in paths:
            continue
        if kinds[0] == "cgroup" and "memory" not in kinds[2].split(","):
            continue
        begins, place = fields[3], fields[4]
        path = paths[kinds[0]]
        if begins != "/" and (path + "/").startswith(begins + "/"):
            path = path[len(begins) :]
        top = root / place.lstrip("/")
        folder = top / path.strip("/")
        if ".." in path or not folder.is_dir():
            folder = top
        files = VERSION_2 if kinds[0] == "cgroup2" else VERSION_1
        while True:
            yield files, folder
            if folder == top:
                break
            folder = folder.parent


def _limit(files: Files, folder: Path) -> Limit | None:
    """The limit of one group; null where it has none."""
    limits = [
        (limit, name)
        for name in files.limits
        if (limit := _number(folder / name)) is not None and limit < NO_LIMIT_FROM
    ]
    if not limits:
        return None
    least, name = min(limits)
    used = _number(folder / files.used) or 0
    cache = _named(_text(folder / files.stat), files.cache) or 0
    return Limit(
        total_bytes=least,
        available_bytes=max(0, least - max(0, used - cache)),
        swap_bytes=_number(folder / files.swap) if files.swap else None,
        source=str(folder / name),
    )


def zram_bytes(root: Path = ROOT) -> int | None:
    """The memory that swap in zram takes, in bytes; null where there is none.

    Such swap is compressed memory and no disk: it frees less than is swapped out.
    """
    total = None
    for line in _swaps(root):
        name = os.path.basename(line.split(None, 1)[0])
        if name.startswith("zram"):
            # The third figure is mem_used_total.
            figures = _text(root / "sys/block" / name / "mm_stat").split()
            if len(figures) >= 3 and figures[2].isdigit():
                total = (total or 0) + int(figures[2])
    return total


def swap_on_disk(root: Path = ROOT) -> bool | None:
    """Whether any swap is elsewhere than in zram; null where there is none, or it is hidden."""
    names = [line.split(None, 1)[0] for line in _swaps(root)]
    return any(not os.path.basename(name).startswith("zram") for name in names) if names else None


def _swaps(root: Path) -> list[str]:
    """The lines of ``/proc/swaps``, one a device or file."""
    return [line for line in _text(root / "proc/swaps").splitlines()[1:] if line.strip()]


def swapped(root: Path = ROOT) -> tuple[int | None, int | None]:
    """Bytes swapped in and out since the start of the machine; null where that is hidden."""
    text = _text(root / "proc/vmstat")
    size = resource.getpagesize()
    return tuple(  # type: ignore[return-value]
        None if (pages := _named(text, name)) is None else pages * size
        for name in ("pswpin", "pswpout")
    )


def _named(text: str, wanted: str) -> int | None:
    """The number of a ``name number`` line."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == wanted and value.strip().isdigit():
            return int(value)
    return None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
