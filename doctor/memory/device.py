"""What MLX said of its device, remembered: only a run in the target can ask; a check runs nothing.

The answer holds for one environment and one state of the machine: the same release of the system,
the same memory, the same limit set by hand.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec

from doctor import state
from doctor.facts import Machine, Struct

# More than any machine has: an answer beyond it is none.
MOST_BYTES = 2**50


class Device(Struct, frozen=True):
    """MLX's device. Sizes in bytes; null where MLX tells none, as its CPU backend does.

    ``gpu_budget_bytes`` is what it uses well: Metal's recommended working set, or a CUDA card's
    memory. ``largest_buffer_bytes`` is what a single array may have.
    """

    name: str | None
    gpu_budget_bytes: int | None
    gpu_budget_source: str | None
    largest_buffer_bytes: int | None


class Remembered(Struct, frozen=True):
    """A device, when it was asked, and on what."""

    device: Device
    asked_on: str
    os_version: str | None
    memory_bytes: int | None
    wired_limit_bytes: int | None


# The keys of ``mx.device_info()`` that tell the budget, best first, and what they are (MLX's
# ``backend/gpu/device_info.h``; Metal's are in ``backend/metal``).
BUDGETS = (
    ("max_recommended_working_set_size", "Metal's recommended working set, asked of MLX"),
    ("total_memory", "the CUDA device's memory, asked of MLX"),
)


def parse(info: Mapping[str, object]) -> Device:
    """The device that ``mx.device_info()`` describes."""
    budget, source = next(
        ((size, words) for key, words in BUDGETS if (size := _size(info.get(key))) is not None),
        (None, None),
    )
    name = info.get("device_name")
    return Device(
        name=name if isinstance(name, str) else None,
        gpu_budget_bytes=budget,
        gpu_budget_source=source,
        largest_buffer_bytes=_size(info.get("max_buffer_length")),
    )


def _size(value: object) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST_BYTES
    return value if known and isinstance(value, int) else None


def remember(prefix: str, machine: Machine, device: Device) -> None:
    """Keep what was said. A state folder that is not writable forgets."""
    content = Remembered(
        device=device,
        asked_on=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        os_version=machine.os_version,
        memory_bytes=machine.ram_total_bytes,
        wired_limit_bytes=machine.gpu_wired_limit_bytes,
    )
    state.remember(prefix, "device.json", msgspec.json.encode(content))


def recalled(prefix: str, machine: Machine) -> Machine:
    """The machine with what MLX said of its device, where that still holds."""
    try:
        text = (state.of_target(prefix) / "device.json").read_bytes()
        known = msgspec.json.decode(text, type=Remembered)
    except (OSError, msgspec.MsgspecError):
        return machine
    now = (machine.os_version, machine.ram_total_bytes, machine.gpu_wired_limit_bytes)
    if (known.os_version, known.memory_bytes, known.wired_limit_bytes) != now:
        return machine
    device = known.device
    if device.gpu_budget_bytes is not None:
        machine = msgspec.structs.replace(
            machine,
            gpu_budget_bytes=device.gpu_budget_bytes,
            gpu_budget_source=f"{device.gpu_budget_source} on {known.asked_on}",
        )
    return msgspec.structs.replace(
        machine, gpu_largest_buffer_bytes=device.largest_buffer_bytes, gpu_name=device.name
    )
