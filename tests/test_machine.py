"""The machine's probe: its parsers on recorded output, and this machine for real."""

from __future__ import annotations

import json
import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from doctor.facts import Machine
from doctor.probes import linux, machine, macos
from doctor.probes.meter import Meter
from tests.conftest import RECORDED
from tests.facts_of import REPORT_MAC, replace

GIB = 2**30
MACHINES = RECORDED / "machines"

MAC = replace(REPORT_MAC, chip=None, memory_pressure=None, swap_used_bytes=None)


def text(name: str) -> str:
    return (MACHINES / name).read_text(encoding="utf-8")


# vm_stat: counts of the recordings, times the page size that their first line names.


@pytest.mark.parametrize(
    ("name", "page", "wired", "stored", "occupied", "swapped_in", "swapped_out"),
    [
        ("vm_stat-intel.txt", 4096, 715_958, 0, 0, 0, 0),
        ("vm_stat-15.7-m1-pro-16gb.txt", 16384, 159_117, 1_022_243, 454_496, 470_789, 929_703),
        ("vm_stat-26.2-8gb.txt", 16384, 135_317, 1_485_412, 175_907, 20_555_316, 22_549_618),
        ("vm_stat-m5-tagged.txt", 16384, 212_960, 1_511_018, 425_595, 41_640_278, 69_884_827),
        ("vm_stat-mini-32gb.txt", 16384, 138_995, 298_447, 123_624, 0, 0),
    ],
)
def test_vm_stat(
    name: str,
    page: int,
    wired: int,
    stored: int,
    occupied: int,
    swapped_in: int,
    swapped_out: int,
) -> None:
    assert macos.parse_vm_stat(text(name)) == macos.VmStat(
        wired_bytes=wired * page,
        compressor_stored_bytes=stored * page,
        compressor_occupied_bytes=occupied * page,
        swapped_in_bytes=swapped_in * page,
        swapped_out_bytes=swapped_out * page,
    )


def test_the_compressor_of_the_m1_pro_as_its_own_top_told_it() -> None:
    counts = macos.parse_vm_stat(text("vm_stat-15.7-m1-pro-16gb.txt"))
    assert counts is not None
    assert counts.compressor_occupied_bytes is not None
    assert counts.wired_bytes is not None
    # `top` at the same moment: "PhysMem: 15G used (2497M wired, 7090M compressor)".
    assert counts.compressor_occupied_bytes / 2**20 == pytest.approx(7090, rel=0.01)
    assert counts.wired_bytes / 2**20 == pytest.approx(2497, rel=0.01)


@pytest.mark.parametrize(
    "said", ["", "zsh: command not found: vm_stat\n", "\x00", "Pages free: 1."]
)
def test_vm_stat_that_says_nothing_useful(said: str) -> None:
    assert macos.parse_vm_stat(said) is None


def test_a_line_that_vm_stat_does_not_print_is_not_known() -> None:
    old = "Mach Virtual Memory Statistics: (page size of 4096 bytes)\nPages wired down:  2.\n"
    counts = macos.parse_vm_stat(old)
    assert counts is not None
    assert (counts.wired_bytes, counts.swapped_out_bytes) == (8192, None)


# vm.swapusage, in two locales


def test_swap_usage() -> None:
    sizes = [macos.parse_swap_usage(line) for line in text("swapusage.txt").splitlines()]
    assert [
        (total / 2**20, used / 2**20)
        for total, used in sizes
        if total is not None and used is not None
    ] == [
        (1024, 379.25),
        (4096, 2743.5),
        (0, 0),
        (1024, 2.5),
        (2048, pytest.approx(1470.06)),
        (9216, 7742),
        (7168, pytest.approx(6655.06)),
    ]


@pytest.mark.parametrize("said", ["", "sysctl: unknown oid 'vm.swapusage'", "total = xM used = "])
def test_swap_usage_that_says_nothing_useful(said: str) -> None:
    assert macos.parse_swap_usage(said) == (None, None)


# sysctl


def test_a_loaded_mac() -> None:
    found = macos.parse_sysctl(text("sysctl-m-48gb-loaded.txt"))
    mac = machine.with_macos(replace(MAC, ram_total_bytes=48 * GIB), found, macos.parse_vm_stat(""))
    assert (mac.memory_pressure, mac.available_percent) == ("warn", 41)
    assert mac.swap_used_bytes is not None
    assert mac.swap_used_bytes / 2**20 == pytest.approx(11625.69)
    assert (mac.wired_bytes, mac.swapped_out_bytes) == (None, None)


def test_a_mac_that_tells_what_it_is() -> None:
    found = macos.parse_sysctl(text("sysctl-m2.txt"))
    counts = macos.parse_vm_stat(text("vm_stat-26.2-8gb.txt"))
    mac = machine.with_macos(MAC, found, counts)
    assert (mac.chip, mac.hardware_model) == ("Apple M2", "Mac14,7")
    assert (mac.apple_silicon, mac.translated, mac.virtual) == (True, False, False)
    assert mac.memory_pressure is None  # it was not asked
    assert mac.swapped_out_bytes == 22_549_618 * 16384
    assert mac.compressed_bytes == 175_907 * 16384


def test_a_limit_that_nobody_set_is_none() -> None:
    found = macos.parse_sysctl(text("sysctl-m2-pro-26.5.txt"))
    mac = machine.with_macos(
        replace(MAC, ram_total_bytes=32 * GIB, os_version="26.5.1"), found, None
    )
    assert mac.gpu_wired_limit_bytes is None
    assert mac.gpu_budget_bytes == int(32 * GIB * 0.78)


def test_what_macos_says_of_its_hardware() -> None:
    intel = macos.parse_sysctl(
        "sysctl: unknown oid 'hw.optional.arm64'\nhw.model: MacBookPro16,1\n"
        "kern.hv_vmm_present: 0\n"
    )
    guest = macos.parse_sysctl("hw.optional.arm64: 1\nhw.model: VirtualMac2,1\n")
    rosetta = macos.parse_sysctl("hw.optional.arm64: 1\nsysctl.proc_translated: 1\n")
    assert set(intel) == {"hw.model", "kern.hv_vmm_present"}
    assert not macos.is_apple_silicon(intel) and not macos.is_translated(intel)
    assert macos.is_virtual(guest) and not macos.is_virtual(intel)
    assert macos.is_virtual({"kern.hv_vmm_present": "1"})
    assert macos.is_apple_silicon(rosetta) and macos.is_translated(rosetta)


@pytest.mark.parametrize(
    "said",
    ["", "sysctl: unknown oid 'x'\n", "no colon\n\n", "\x00:\x01", f"{macos.PRESSURE_NAME}: ²"],
)
def test_sysctl_that_says_nothing_useful(said: str) -> None:
    found = macos.parse_sysctl(said)
    assert macos.pressure_of(found) is None
    assert macos.number_of(found, macos.PRESSURE_NAME) is None
    assert macos.wired_limit(found) is None


@pytest.mark.parametrize(
    ("total", "release", "limit", "expected"),
    [
        (8, "15.6.1", "0", 5.33),  # MEMORY.md: recommended working sets, in GiB
        (16, "15.6.1", "0", 10.67),
        (24, "14.5", "0", 16.0),
        (32, None, "0", 21.33),
        (64, "15.0", "0", 48.0),
        (8, "26.2", "0", 5.33),  # not seen: the smaller share stays
        (16, "26.2", "0", 11.84),
        (24, "26.2", "0", 17.76),
        (32, "26.2", "0", 24.96),
        (64, "26.2", "0", 51.84),
        (128, "26.2", "0", 107.52),
        (16, "26.2", "14336", 14.0),  # a limit set by hand counts
        (16, "15.6.1", "nonsense", 10.67),
    ],
)
def test_gpu_budget_of_a_mac(total: int, release: str | None, limit: str, expected: float) -> None:
    budget, source = macos.gpu_budget(total * GIB, release, {"iogpu.wired_limit_mb": limit})
    assert budget / GIB == pytest.approx(expected, abs=0.01)
    assert source


def test_the_footprint_in_what_the_kernel_fills_in() -> None:
    """As <sys/resource.h> lays out rusage_info_v0: a UUID and ten numbers."""
    names = [
        "user_time", "system_time", "pkg_idle_wkups", "interrupt_wkups", "pageins",
        "wired_size", "resident_size", "phys_footprint", "start_abstime", "exit_abstime",
    ]  # fmt: skip
    numbers = {name: number for number, name in enumerate(names, start=1)}
    record = struct.pack("=16s10Q", b"\xff" * 16, *numbers.values())
    assert macos.footprint_in(record) == numbers["phys_footprint"]


# Linux: control groups


def system(folder: Path, mountinfo: str, groups: str, files: dict[str, str]) -> Path:
    """A file system with these files of the kernel's."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/mountinfo").write_text(mountinfo)
    (folder / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


MOUNT_2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNT_1 = "35 31 0:32 {} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


def test_a_container_with_cgroup_2(tmp_path: Path) -> None:
    """In a container with a namespace of its own, its group is the root."""
    files = {
        "sys/fs/cgroup/memory.max": "4294967296\n",
        "sys/fs/cgroup/memory.high": "max\n",
        "sys/fs/cgroup/memory.current": "3221225472\n",
        "sys/fs/cgroup/memory.swap.max": "0\n",
        "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 1073741824\nfile 2\n",
    }
    limit = linux.container(system(tmp_path, MOUNT_2, "0::/\n", files))
    assert limit is not None
    assert (limit.total_bytes, limit.available_bytes) == (4 * GIB, 2 * GIB)
    assert limit.swap_bytes == 0
    assert limit.source.endswith("memory.max")


def test_the_least_of_nested_groups_counts(tmp_path: Path) -> None:
    """A service's own group has no limit, its slice has one, and is nearly full."""
    top = "sys/fs/cgroup/user.slice"
    files = {
        f"{top}/memory.max": "max\n",
        f"{top}/memory.high": f"{8 * GIB}\n",
        f"{top}/memory.current": f"{7 * GIB}\n",
        f"{top}/a.scope/memory.max": f"{16 * GIB}\n",
        f"{top}/a.scope/memory.current": f"{GIB}\n",
    }
    limit = linux.container(system(tmp_path, MOUNT_2, "0::/user.slice/a.scope\n", files))
    assert limit is not None
    assert (limit.total_bytes, limit.available_bytes) == (8 * GIB, GIB)
    assert limit.swap_bytes is None
    assert limit.source.endswith("user.slice/memory.high")


def test_a_container_with_cgroup_1(tmp_path: Path) -> None:
    """The host's path is not to be seen inside: the mount is the group (no namespace)."""
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    }
    groups = "9:cpu,cpuacct:/docker/8f1a\n4:memory:/docker/8f1a\n0::/docker/8f1a\n"
    mounts = MOUNT_1.format("/docker/8f1a")
    limit = linux.container(system(tmp_path, mounts, groups, files))
    assert limit is not None
    assert (limit.total_bytes, limit.available_bytes) == (2 * GIB, GIB)


def test_lxc_mounts_its_group_where_the_host_has_it(tmp_path: Path) -> None:
    """The layout that VictoriaMetrics/VictoriaMetrics#84 shows."""
    place = "/sys/fs/cgroup/memory/lxc/victoriametrics1-1.vm.p"
    mounts = f"40 35 0:32 /lxc/victoriametrics1-1.vm.p {place} rw - cgroup cgroup rw,memory\n"
    files = {
        f"{place[1:]}/memory.limit_in_bytes": "5010795520\n",
        f"{place[1:]}/memory.usage_in_bytes": "0\n",
    }
    groups = "10:memory:/lxc/victoriametrics1-1.vm.p\n"
    limit = linux.container(system(tmp_path, mounts, groups, files))
    assert limit is not None
    assert limit.total_bytes == 5_010_795_520


def test_recorded_nested_groups_without_limits(tmp_path: Path) -> None:
    shutil.copytree(MACHINES / "cgroup1-nested", tmp_path / "system")
    root = tmp_path / "system"
    folders = [
        folder
        for files, folder in linux.group_folders(
            (root / "proc/self/mountinfo").read_text(),
            (root / "proc/self/cgroup").read_text(),
            root,
        )
        if files is linux.VERSION_1
    ]
    assert [str(folder.relative_to(root / "sys/fs/cgroup")) for folder in folders] == [
        "memory/process_api/a8140000",
        "memory/process_api",
        "memory",
    ]
    assert linux.container(root) is None
    # The same with a limit two groups up.
    (folders[1] / "memory.limit_in_bytes").write_text(f"{15 * GIB}\n")
    used = int((folders[1] / "memory.usage_in_bytes").read_text())
    limit = linux.container(root)
    assert limit is not None
    assert limit.total_bytes == 15 * GIB
    assert 15 * GIB - used <= limit.available_bytes < 15 * GIB


@pytest.mark.parametrize("limit", ["max\n", "", "\n", "²\n", "9223372036854771712\n"])
def test_no_limit(tmp_path: Path, limit: str) -> None:
    files = {"sys/fs/cgroup/memory.max": limit}
    assert linux.container(system(tmp_path, MOUNT_2, "0::/\n", files)) is None


@pytest.mark.parametrize(
    ("mounts", "groups"),
    [
        ("", ""),
        ("nonsense", "nonsense"),
        (MOUNT_2, "0::/../../etc\n"),
        (" - cgroup2 a b\n", "0::/\n"),
        (MOUNT_2, "::\n"),
    ],
)
def test_files_of_the_kernel_that_are_not_as_expected(
    tmp_path: Path, mounts: str, groups: str
) -> None:
    assert linux.container(system(tmp_path, mounts, groups, {})) is None


# Linux: swap


def test_swap_in_zram(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/swaps").write_text(text("swaps-zram.txt"))
    assert linux.zram_bytes(tmp_path) is None  # the device tells nothing
    (tmp_path / "sys/block/zram0").mkdir(parents=True)
    (tmp_path / "sys/block/zram0/mm_stat").write_text(text("mm_stat-zram.txt"))
    assert linux.zram_bytes(tmp_path) == 64_512_000
    assert linux.swap_on_disk(tmp_path) is False
    with (tmp_path / "proc/swaps").open("a") as file:
        file.write("/dev/sda2                               partition       976892  0  -2\n")
    assert linux.swap_on_disk(tmp_path) is True


def test_no_swap_is_on_no_disk(tmp_path: Path) -> None:
    assert linux.swap_on_disk(tmp_path) is None


def test_swap_traffic(tmp_path: Path) -> None:
    assert linux.swapped(tmp_path) == (None, None)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("pgpgin 5\npswpin 3\npswpout 7\npswpout_zero 9\n")
    size = resource.getpagesize()
    assert linux.swapped(tmp_path) == (3 * size, 7 * size)


# This machine


def test_this_machine() -> None:
    found = machine.look()
    assert found.ram_total_bytes is not None
    assert 0 < found.ram_total_bytes <= psutil.virtual_memory().total
    assert found.ram_available_bytes is not None
    assert 0 < found.ram_available_bytes <= found.ram_total_bytes
    assert found.swapped_out_bytes is not None


def test_a_crowded_machine_lists_its_biggest_programs() -> None:
    calm = replace(MAC, ram_available_bytes=6 * GIB)
    assert not machine.is_crowded(calm)
    assert machine.is_crowded(replace(calm, ram_available_bytes=4 * GIB))
    assert machine.is_crowded(replace(calm, swap_used_bytes=600_000_000))
    listed = machine.biggest_processes()
    assert 0 < len(listed) <= machine.MOST_PROCESSES
    sizes = [process.held_bytes for process in listed]
    assert sizes == sorted(sizes, reverse=True)


def test_the_meter_sees_what_a_process_takes() -> None:
    code = "input(); taken = bytearray(b'x') * 80_000_000; print('taken', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        meter = Meter(child.pid)
        before = meter.read().process_bytes
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "taken\n"
        after = meter.read().process_bytes
        child.stdin.write("\n")
    assert before is not None
    assert after is not None
    assert after - before > 60_000_000


def test_the_meter_of_a_process_that_is_gone() -> None:
    reading = Meter(2**22 + 1).read()
    assert reading.process_bytes is None
    assert reading.available_bytes is not None


def test_what_mlx_says_of_its_device_is_recorded_as_json() -> None:
    assert all(isinstance(item["info"], dict) for item in json.loads(text("device_info.json")))


def test_machines_of_older_facts_can_still_be_read() -> None:
    assert Machine.__struct_defaults__.count(None) >= 10
