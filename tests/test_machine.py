"""The machine's probe: its parsers on recorded output, and this machine for real."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from doctor.probes import machine

GIB = 2**30

# The names and the form `name: value` are those of macOS's sysctl(8); the values are those that the
# field report and Apple's headers give (1 normal, 2 warn, 4 critical).
SYSCTL = """kern.memorystatus_vm_pressure_level: 4
iogpu.wired_limit_mb: 0
machdep.cpu.brand_string: Apple M3
"""


def test_sysctl() -> None:
    assert machine.parse_sysctl(SYSCTL) == {
        "kern.memorystatus_vm_pressure_level": "4",
        "iogpu.wired_limit_mb": "0",
        "machdep.cpu.brand_string": "Apple M3",
    }


@pytest.mark.parametrize("text", ["", "sysctl: unknown oid 'x'\n", "no colon\n\n", "\x00:\x01"])
def test_sysctl_that_says_nothing_useful(text: str) -> None:
    parsed = machine.parse_sysctl(text)
    assert machine.PRESSURE_LEVELS.get(parsed.get(machine.SYSCTL_NAMES[0], "")) is None


@pytest.mark.parametrize(
    ("total", "limit", "expected"),
    [
        (8, "0", 5.33),  # MEMORY.md: recommended working sets of older macOS, in GiB
        (16, "0", 10.67),
        (24, "0", 16.0),
        (32, "0", 21.33),
        (64, "0", 48.0),
        (16, "14336", 14.0),  # a limit set by hand counts
        (16, "nonsense", 10.67),
    ],
)
def test_gpu_budget_of_a_mac(total: int, limit: str, expected: float) -> None:
    budget, source = machine.gpu_budget("Darwin", total * GIB, {"iogpu.wired_limit_mb": limit})
    assert budget is not None
    assert budget / GIB == pytest.approx(expected, abs=0.01)
    assert source


def test_no_gpu_budget_where_there_is_no_metal() -> None:
    assert machine.gpu_budget("Linux", 16 * GIB, {}) == (None, None)


def test_a_container_with_cgroup_2(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("4294967296\n")
    (tmp_path / "memory.current").write_text("3221225472\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 1073741824\nfile 2\n")
    assert machine.container_memory(tmp_path) == (4 * GIB, 2 * GIB)


def test_a_container_with_cgroup_1(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("2147483648\n")
    (folder / "memory.usage_in_bytes").write_text("1073741824\n")
    (folder / "memory.stat").write_text("total_inactive_file 0\n")
    assert machine.container_memory(tmp_path) == (2 * GIB, GIB)


@pytest.mark.parametrize("limit", ["max\n", "", "\n"])
def test_no_limit(tmp_path: Path, limit: str) -> None:
    (tmp_path / "memory.max").write_text(limit)
    assert machine.container_memory(tmp_path) == (None, None)


def test_this_machine() -> None:
    found = machine.look()
    assert found.ram_total_bytes is not None
    assert 0 < found.ram_total_bytes <= psutil.virtual_memory().total
    assert found.ram_available_bytes is not None
    assert 0 < found.ram_available_bytes <= found.ram_total_bytes
