"""Whether a machine has room for what a generation takes.

MLX uses the GPU's budget well, and allocates up to 1.5 times of it, but never more than 95 % of RAM
(mlx/backend/metal/allocator.cpp): what lies between loads, and waits for the disk. What others hold
now can come free, down to what the system itself needs.
"""

from __future__ import annotations

from doctor.estimate import Estimate
from doctor.estimate.judgement import Room
from doctor.facts import Machine

MOST_OF_BUDGET, MOST_OF_RAM = 1.5, 0.95
# What the system itself holds, in bytes: the field report's figure (its section 6.1, 16 GB).
SYSTEM = 2_000_000_000


def budget(machine: Machine) -> int | None:
    """What a generation may take without waiting for the disk, if all else were closed."""
    total = machine.ram_total_bytes
    if total is None:
        return machine.gpu_budget_bytes
    free_of_others = max(0, total - SYSTEM) if machine.os == "macOS" else total
    known = machine.gpu_budget_bytes
    if known is None or not machine.apple_silicon:
        return free_of_others if known is None else known
    return min(known, free_of_others)


def room_for(told: Estimate, machine: Machine) -> Room:
    """What a generation is on the machine, by the upper end of its estimate.

    Raises ``ValueError`` where nothing is known of the machine's memory.
    """
    whole = budget(machine)
    if whole is None:
        raise ValueError("the machine's memory is not known")
    most = allocatable(machine)
    if most is not None and told.low_bytes > most:
        return "will-not-run"
    if told.high_bytes > whole:
        return "pages"
    available = machine.ram_available_bytes
    if available is not None and told.high_bytes > available:
        return "fits-if-closed"
    return "fits"


def allocatable(machine: Machine) -> int | None:
    """What MLX can allocate at all, in bytes; null where the memory is not known."""
    total = machine.ram_total_bytes
    if total is None:
        return None
    if machine.os == "macOS" and machine.gpu_budget_bytes is not None:
        return int(min(MOST_OF_BUDGET * machine.gpu_budget_bytes, MOST_OF_RAM * total))
    return total + (machine.swap_total_bytes or 0)
