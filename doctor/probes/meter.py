"""A meter of memory that can be read many times a second.

On Linux every figure is a small file. On macOS the commands that tell pressure and swap traffic
take some milliseconds each, and are asked once a second; psutil asks the kernel for the rest.
"""

from __future__ import annotations

import sys
import time

import psutil

from doctor.facts import Pressure, Struct
from doctor.probes import linux, macos

# Seconds between two questions to macOS's commands.
COMMANDS_EVERY = 1.0


class Reading(Struct, frozen=True):
    """Memory at one moment, in bytes; null where the system does not tell.

    ``at`` is the time (seconds since 1970), ``process_bytes`` what the watched process
    holds, ``swapped_in_bytes`` and ``swapped_out_bytes`` count since the machine's start.
    """

    at: float
    process_bytes: int | None
    available_bytes: int | None
    swap_used_bytes: int | None
    swapped_in_bytes: int | None
    swapped_out_bytes: int | None
    pressure: Pressure | None


class Meter:
    """Reads the memory of the machine and of one process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._asked_at = float("-inf")
        self._pressure: Pressure | None = None
        self._counts: macos.VmStat | None = None

    def read(self) -> Reading:
        """The memory now."""
        now = time.time()
        available = psutil.virtual_memory().available
        if sys.platform == "darwin":
            if time.monotonic() - self._asked_at >= COMMANDS_EVERY:
                self._asked_at = time.monotonic()
                self._pressure = macos.pressure_of(macos.controls(macos.PRESSURE_NAME))
                self._counts = macos.vm_stat()
            swapped_in = self._counts.swapped_in_bytes if self._counts else None
            swapped_out = self._counts.swapped_out_bytes if self._counts else None
        else:
            swapped_in, swapped_out = linux.swapped()
            limit = linux.container()
            available = min(available, limit.available_bytes) if limit else available
        return Reading(
            at=now,
            process_bytes=self._process_bytes(),
            available_bytes=available,
            swap_used_bytes=_swap_used(),
            swapped_in_bytes=swapped_in,
            swapped_out_bytes=swapped_out,
            pressure=self._pressure,
        )

    def _process_bytes(self) -> int | None:
        held = macos.footprint(self._pid)
        if held is not None:
            return held
        try:
            return psutil.Process(self._pid).memory_info().rss
        except psutil.Error:
            return None


def _swap_used() -> int | None:
    # psutil raises where /proc/vmstat or the sysctl is hidden, as in some containers.
    try:
        return psutil.swap_memory().used
    except (OSError, RuntimeError):
        return None
