"""What macOS tells of its memory without sudo: readers, and pure parsers of their text.

The names are those of Apple's XNU sources. ``kern.memorystatus_vm_pressure_level`` is asked by
name, since it is masked from ``sysctl -a``. ``sysctl`` writes numbers as the user's locale does
(``used = 379,25M``): the commands are run in the C locale, and the parsers take both.
"""

from __future__ import annotations

import ctypes
import functools
import re
import struct
import sys

from doctor.facts import Pressure, Struct
from doctor.probes.commands import output_of

PRESSURE_NAME = "kern.memorystatus_vm_pressure_level"
SYSCTL_NAMES = (
    PRESSURE_NAME,
    "kern.memorystatus_level",
    "vm.swapusage",
    "iogpu.wired_limit_mb",
    "machdep.cpu.brand_string",
    "hw.optional.arm64",
    "hw.model",
    "kern.hv_vmm_present",
    "sysctl.proc_translated",
)
PRESSURE_LEVELS: dict[str, Pressure] = {"1": "normal", "2": "warn", "4": "critical"}

# Share of RAM that Metal recommends as its working set, for when it cannot be asked (Apple
# publishes no formula). Before macOS 26: two thirds up to 36 GB, three quarters above. macOS 26, by
# the least RAM that each share was seen with: an M3 of 16 GB (AlexsJones/llmfit#754), 24, 32, 64
# and 128 GB. 8 GB under macOS 26 was not seen: the older share is the smaller one, and stays.
OLDER_SHARES = ((0, 2 / 3), (37 * 2**30, 3 / 4))
NEWER_SHARES = (
    (0, 2 / 3),
    (16 * 2**30, 0.74),
    (32 * 2**30, 0.78),
    (64 * 2**30, 0.81),
    (128 * 2**30, 0.84),
)
NEWER_FROM = 26

_UNITS = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

# struct rusage_info_v0 of <sys/resource.h>: a UUID, then ten 64-bit numbers, of which the eighth is
# the physical footprint, what Activity Monitor shows as a program's memory.
_RUSAGE_BYTES, _FOOTPRINT_AT = 96, 72


class VmStat(Struct, frozen=True):
    """What ``vm_stat`` counts, in bytes; null for a line that it does not print.

    ``compressor_stored_bytes`` is the size of what was compressed, ``compressor_occupied_bytes``
    the memory that it takes now. Swapped in and out count since the start of the machine.
    """

    wired_bytes: int | None
    compressor_stored_bytes: int | None
    compressor_occupied_bytes: int | None
    swapped_in_bytes: int | None
    swapped_out_bytes: int | None


def controls(*names: str) -> dict[str, str]:
    """What sysctl says of these names (default: all that are of use)."""
    return parse_sysctl(output_of("/usr/sbin/sysctl", *(names or SYSCTL_NAMES)))


def pressure() -> Pressure | None:
    """Memory pressure now; null where the system names none (anything but macOS)."""
    return pressure_of(controls(PRESSURE_NAME)) if sys.platform == "darwin" else None


def vm_stat() -> VmStat | None:
    """The counts of this moment; null where they cannot be had."""
    return parse_vm_stat(output_of("/usr/bin/vm_stat"))


def parse_sysctl(text: str) -> dict[str, str]:
    """``name: value`` lines of sysctl; names that it does not know are not in its output."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {
        name.strip(): value.strip()
        for name, colon, value in pairs
        if colon and name.strip() != "sysctl"
    }


def parse_swap_usage(text: str) -> tuple[int | None, int | None]:
    """Total and used bytes of ``total = 2048.00M  used = 1470.06M  …``, null where unsaid."""
    found = {
        name: int(float(number.replace(",", ".")) * _UNITS[unit])
        for name, number, unit in re.findall(r"(\w+) = (\d+(?:[.,]\d+)?)([BKMGT])", text)
    }
    return found.get("total"), found.get("used")


def parse_vm_stat(text: str) -> VmStat | None:
    """The counts in bytes: the page size is in the first line. Null where that is not there."""
    size = re.search(r"page size of (\d+) bytes", text)
    if size is None:
        return None
    pages = {
        name: int(count) * int(size[1])
        for name, count in re.findall(r'^"?([^":\n]+)"?:\s+(\d+)\.?\s*$', text, re.MULTILINE)
    }
    return VmStat(
        wired_bytes=pages.get("Pages wired down"),
        compressor_stored_bytes=pages.get("Pages stored in compressor"),
        compressor_occupied_bytes=pages.get("Pages occupied by compressor"),
        swapped_in_bytes=pages.get("Swapins"),
        swapped_out_bytes=pages.get("Swapouts"),
    )


def pressure_of(found: dict[str, str]) -> Pressure | None:
    """The pressure that macOS names; null where it names none."""
    return PRESSURE_LEVELS.get(found.get(PRESSURE_NAME, ""))


def number_of(found: dict[str, str], name: str) -> int | None:
    """A whole number that sysctl gave; null where it did not."""
    value = found.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else None


def is_apple_silicon(found: dict[str, str]) -> bool:
    """Whether the hardware is, also for a Python under Rosetta: Intel Macs have no such name."""
    return found.get("hw.optional.arm64") == "1"


def is_translated(found: dict[str, str]) -> bool:
    """Whether the doctor, and what it starts, runs under Rosetta: Intel Macs have no such name."""
    return found.get("sysctl.proc_translated") == "1"


def is_virtual(found: dict[str, str]) -> bool:
    """Whether this macOS is a guest: its Metal is an imitation, where it has one."""
    return found.get("kern.hv_vmm_present") == "1" or found.get("hw.model", "").startswith(
        "VirtualMac"
    )


def wired_limit(found: dict[str, str]) -> int | None:
    """What the GPU may wire at most, in bytes, where somebody set it by hand (0 is the default)."""
    megabytes = number_of(found, "iogpu.wired_limit_mb")
    return megabytes * 2**20 if megabytes else None


def gpu_budget(total_bytes: int, os_version: str | None, found: dict[str, str]) -> tuple[int, str]:
    """What the GPU may hold, in bytes, and where that figure is from.

    A limit set by hand comes first, then the usual share of RAM.
    """
    limit = wired_limit(found)
    if limit is not None:
        return limit, "sysctl iogpu.wired_limit_mb"
    major = (os_version or "").partition(".")[0]
    shares = NEWER_SHARES if major.isdigit() and int(major) >= NEWER_FROM else OLDER_SHARES
    share = max(share for least, share in shares if total_bytes >= least)
    return int(total_bytes * share), "Metal's usual share of RAM, not asked of Metal"


def footprint(pid: int) -> int | None:
    """The physical footprint of a process in bytes; null for other users' and where it is no macOS.

    Resident memory can miss what the GPU holds; the footprint does not.
    """
    library = _libproc()
    if library is None:
        return None
    buffer = ctypes.create_string_buffer(_RUSAGE_BYTES)
    if library.proc_pid_rusage(ctypes.c_int(pid), ctypes.c_int(0), buffer) != 0:
        return None
    return footprint_in(buffer.raw)


def footprint_in(rusage: bytes) -> int:
    """The physical footprint in a ``rusage_info_v0``."""
    return int(struct.unpack_from("=Q", rusage, _FOOTPRINT_AT)[0])


@functools.cache
def _libproc() -> ctypes.CDLL | None:
    if sys.platform != "darwin":
        return None
    try:
        return ctypes.CDLL("/usr/lib/libproc.dylib")
    except OSError:
        return None
