"""The machine: its memory, swap and pressure, without sudo and without changing anything.

What each system tells is read in ``macos.py`` and ``linux.py``. Nothing here allocates (never
``memory_pressure -l``), and nothing costs more than a few milliseconds, but for the processes.
"""

from __future__ import annotations

import contextlib
import platform

from doctor.facts import Machine, Process
from doctor.probes import linux, macos

# Processes are listed only where something may have to be closed: asking for all of them costs more
# than everything else. The figures are the report's (5 GiB available, 0.5 GB of swap).
LIST_PROCESSES_BELOW_AVAILABLE = 5 * 2**30
LIST_PROCESSES_ABOVE_SWAP = 500_000_000
MOST_PROCESSES = 8


def look() -> Machine:
    """The machine at this moment."""
    import psutil

    memory = psutil.virtual_memory()
    system = platform.system()
    machine = Machine(
        os="macOS" if system == "Darwin" else system,
        os_version=platform.mac_ver()[0] or platform.release() or None,
        arch=platform.machine(),
        chip=None,
        ram_total_bytes=memory.total,
        ram_available_bytes=memory.available,
        swap_total_bytes=None,
        swap_used_bytes=None,
        memory_pressure=None,
        gpu_budget_bytes=None,
        gpu_budget_source=None,
        processes=(),
    )
    if system == "Darwin":
        machine = with_macos(machine, macos.controls(), macos.vm_stat())
    elif system == "Linux":
        machine = with_linux(machine)
    if is_crowded(machine):
        machine = _replace(machine, processes=biggest_processes())
    return machine


def with_macos(machine: Machine, controls: dict[str, str], counts: macos.VmStat | None) -> Machine:
    """The machine with what sysctl and vm_stat say of it."""
    assert machine.ram_total_bytes is not None
    budget, source = macos.gpu_budget(machine.ram_total_bytes, machine.os_version, controls)
    swap_total, swap_used = macos.parse_swap_usage(controls.get("vm.swapusage", ""))
    return _replace(
        machine,
        chip=controls.get("machdep.cpu.brand_string"),
        hardware_model=controls.get("hw.model"),
        swap_total_bytes=swap_total,
        swap_used_bytes=swap_used,
        swap_on_disk=bool(swap_total) if swap_total is not None else None,
        memory_pressure=macos.pressure_of(controls),
        available_percent=macos.number_of(controls, "kern.memorystatus_level"),
        gpu_budget_bytes=budget,
        gpu_budget_source=source,
        gpu_wired_limit_bytes=macos.wired_limit(controls),
        apple_silicon=macos.is_apple_silicon(controls) if controls else None,
        translated=macos.is_translated(controls) if controls else None,
        virtual=macos.is_virtual(controls) if controls else None,
        wired_bytes=counts.wired_bytes if counts else None,
        compressed_bytes=counts.compressor_occupied_bytes if counts else None,
        compressed_from_bytes=counts.compressor_stored_bytes if counts else None,
        swapped_in_bytes=counts.swapped_in_bytes if counts else None,
        swapped_out_bytes=counts.swapped_out_bytes if counts else None,
    )


def with_linux(machine: Machine) -> Machine:
    """The machine with its swap, and with the limits of the container that this process is in."""
    import psutil

    total, available = machine.ram_total_bytes, machine.ram_available_bytes
    assert total is not None
    assert available is not None
    swap_total: int | None = None
    swap_used: int | None = None
    # psutil raises where /proc/vmstat is hidden, as in some containers.
    with contextlib.suppress(OSError, RuntimeError):
        swap = psutil.swap_memory()
        swap_total, swap_used = swap.total, swap.used
    limit = linux.container()
    source = None
    if limit is not None:
        available = min(available, limit.available_bytes)
        if limit.total_bytes < total:
            total, source = limit.total_bytes, limit.source
        if swap_total is not None and limit.swap_bytes is not None:
            swap_total = min(swap_total, limit.swap_bytes)
    swapped_in, swapped_out = linux.swapped()
    return _replace(
        machine,
        ram_total_bytes=total,
        ram_available_bytes=available,
        swap_total_bytes=swap_total,
        swap_used_bytes=swap_used,
        swapped_in_bytes=swapped_in,
        swapped_out_bytes=swapped_out,
        zram_bytes=linux.zram_bytes(),
        swap_on_disk=linux.swap_on_disk(),
        memory_limit_source=source,
    )


def is_crowded(machine: Machine) -> bool:
    """Whether something may have to be closed."""
    available, swap = machine.ram_available_bytes, machine.swap_used_bytes
    return (available is not None and available < LIST_PROCESSES_BELOW_AVAILABLE) or (
        swap is not None and swap > LIST_PROCESSES_ABOVE_SWAP
    )


def biggest_processes() -> tuple[Process, ...]:
    """The programs that hold most memory, the processes of one name together, biggest first."""
    import psutil

    resident: dict[str, int] = {}
    footprint: dict[str, int] = {}
    for process in psutil.process_iter(["name", "memory_info"]):
        name, memory = process.info["name"], process.info["memory_info"]
        if name and memory:
            resident[name] = resident.get(name, 0) + memory.rss
            held = macos.footprint(process.pid)
            if held is not None:
                footprint[name] = footprint.get(name, 0) + held
    found = [
        Process(name=name, resident_bytes=size, footprint_bytes=footprint.get(name))
        for name, size in resident.items()
    ]
    return tuple(sorted(found, key=lambda item: -item.held_bytes)[:MOST_PROCESSES])


def _replace(machine: Machine, **fields: object) -> Machine:
    import msgspec

    return msgspec.structs.replace(machine, **fields)
