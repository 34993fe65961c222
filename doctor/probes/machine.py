"""The machine: its memory, swap and pressure, without sudo and without changing anything.

The parsers are pure functions from text, tested on recorded output. Where each figure comes from:
sysctl names as in Apple's XNU sources (``kern.memorystatus_vm_pressure_level`` is asked by name,
since it is masked from ``sysctl -a``); container limits as in the kernel's cgroup documentation.
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
from pathlib import Path

from doctor.facts import Machine, Pressure, Process

SYSCTL_NAMES = (
    "kern.memorystatus_vm_pressure_level",
    "iogpu.wired_limit_mb",
    "machdep.cpu.brand_string",
    "hw.optional.arm64",
    "hw.model",
    "kern.hv_vmm_present",
)
PRESSURE_LEVELS: dict[str, Pressure] = {"1": "normal", "2": "warn", "4": "critical"}

# Share of RAM that Metal recommends as its working set, for when it cannot be asked: two thirds up
# to 36 GB and three quarters above, as measured on macOS before 26 (Apple publishes no formula).
METAL_SHARE_SMALL, METAL_SHARE_LARGE = 2 / 3, 3 / 4
METAL_LARGE_FROM_BYTES = 37 * 2**30

# Processes are listed only where something may have to be closed: asking for all of them costs more
# than everything else. The figures are the report's (5 GiB available, 0.5 GB of swap).
LIST_PROCESSES_BELOW_AVAILABLE = 5 * 2**30
LIST_PROCESSES_ABOVE_SWAP = 500_000_000
MOST_PROCESSES = 8


def look() -> Machine:
    """The machine at this moment."""
    import psutil

    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    swap_total: int | None = None
    swap_used: int | None = None
    # psutil raises where /proc/vmstat or the sysctl is hidden, as in some containers.
    with contextlib.suppress(OSError, RuntimeError):
        swap = psutil.swap_memory()
        swap_total, swap_used = swap.total, swap.used
    system = platform.system()
    controls: dict[str, str] = {}
    if system == "Darwin":
        controls = parse_sysctl(_run(["/usr/sbin/sysctl", *SYSCTL_NAMES]))
    elif system == "Linux":
        limit, used = container_memory(Path("/sys/fs/cgroup"))
        if limit is not None and limit < total:
            total = limit
            available = min(available, max(0, limit - (used or 0)))
    crowded = available < LIST_PROCESSES_BELOW_AVAILABLE or (
        swap_used is not None and swap_used > LIST_PROCESSES_ABOVE_SWAP
    )
    budget, source = gpu_budget(system, total, controls)
    return Machine(
        os="macOS" if system == "Darwin" else system,
        os_version=platform.mac_ver()[0] or platform.release() or None,
        arch=platform.machine(),
        chip=controls.get("machdep.cpu.brand_string"),
        ram_total_bytes=total,
        ram_available_bytes=available,
        swap_total_bytes=swap_total,
        swap_used_bytes=swap_used,
        memory_pressure=PRESSURE_LEVELS.get(
            controls.get("kern.memorystatus_vm_pressure_level", "")
        ),
        gpu_budget_bytes=budget,
        gpu_budget_source=source,
        processes=_biggest_processes() if crowded else (),
        apple_silicon=is_apple_silicon(controls) if controls else None,
        virtual=is_virtual(controls) if controls else None,
    )


def pressure() -> Pressure | None:
    """Memory pressure now; null where the system tells none (anything but macOS)."""
    if sys.platform != "darwin":
        return None
    controls = parse_sysctl(_run(["/usr/sbin/sysctl", SYSCTL_NAMES[0]]))
    return PRESSURE_LEVELS.get(controls.get(SYSCTL_NAMES[0], ""))


def parse_sysctl(text: str) -> dict[str, str]:
    """``name: value`` lines of sysctl; names that it does not know are not in its output."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def is_apple_silicon(controls: dict[str, str]) -> bool:
    """Whether the hardware is, also for a Python under Rosetta: Intel Macs have no such name."""
    return controls.get("hw.optional.arm64") == "1"


def is_virtual(controls: dict[str, str]) -> bool:
    """Whether this macOS is a guest: its Metal is an imitation, where it has one."""
    return controls.get("kern.hv_vmm_present") == "1" or controls.get("hw.model", "").startswith(
        "VirtualMac"
    )


def gpu_budget(
    system: str, total_bytes: int, controls: dict[str, str]
) -> tuple[int | None, str | None]:
    """What the GPU may hold, in bytes, and where that figure is from; null where there is no Metal.

    A limit set by hand (``iogpu.wired_limit_mb``, 0 for none) comes first, then the usual share.
    """
    if system != "Darwin":
        return None, None
    limit = controls.get("iogpu.wired_limit_mb", "0")
    if limit.isdigit() and int(limit) > 0:
        return int(limit) * 2**20, "sysctl iogpu.wired_limit_mb"
    large = total_bytes >= METAL_LARGE_FROM_BYTES
    share = METAL_SHARE_LARGE if large else METAL_SHARE_SMALL
    return int(total_bytes * share), "Metal's usual share of RAM, not asked of Metal"


def container_memory(root: Path) -> tuple[int | None, int | None]:
    """The memory limit and use of this container in bytes (cgroup v2, then v1), null for none.

    Use does not count the file cache that the kernel gives back first.
    """
    for limit_file, used_file, stat_file, cache_key in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        limit = _number(root / limit_file)
        if limit is None:
            continue
        used = _number(root / used_file)
        if used is not None:
            for line in _text(root / stat_file).splitlines():
                name, _, value = line.partition(" ")
                if name == cache_key and value.strip().isdigit():
                    used = max(0, used - int(value))
        return limit, used
    return None, None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _run(command: list[str]) -> str:
    """The output of a system tool; empty where it is not there or does not answer."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout


def _biggest_processes() -> tuple[Process, ...]:
    """The programs that hold most memory, the processes of one name together, biggest first."""
    import psutil

    sizes: dict[str, int] = {}
    for process in psutil.process_iter(["name", "memory_info"]):
        name, memory = process.info["name"], process.info["memory_info"]
        if name and memory:
            sizes[name] = sizes.get(name, 0) + memory.rss
    ordered = sorted(sizes.items(), key=lambda item: -item[1])[:MOST_PROCESSES]
    return tuple(Process(name=name, resident_bytes=size) for name, size in ordered)
