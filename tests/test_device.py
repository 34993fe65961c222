"""What MLX said of its device: read, remembered, and believed only while it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doctor import state
from doctor.memory import device
from doctor.memory.device import Device
from tests.conftest import RECORDED, Fixed
from tests.facts_of import REPORT_MAC, replace

ANSWERS = json.loads((RECORDED / "machines/device_info.json").read_text())


def test_recorded_answers() -> None:
    found = [device.parse(answer["info"]) for answer in ANSWERS]
    assert [(item.name, item.gpu_budget_bytes, item.largest_buffer_bytes) for item in found] == [
        (None, 188_743_680_000, 115_964_116_992),
        ("Apple M4 Pro", 40_200_896_512, 30_150_672_384),
        ("Apple M5 Max", 60_129_542_144, 41_747_087_360),
        ("Intel(R) Xeon(R) Processor", None, None),  # the CPU backend tells nothing of memory
    ]


def test_a_cuda_device() -> None:
    """The keys are those of MLX's backend/gpu/device_info.h."""
    found = device.parse({"device_name": "NVIDIA X", "total_memory": 2**34, "free_memory": 5})
    assert (found.gpu_budget_bytes, found.largest_buffer_bytes) == (2**34, None)
    assert found.gpu_budget_source is not None
    assert "CUDA" in found.gpu_budget_source


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "8", None, 2**60, [1]])
def test_sizes_that_are_none(value: object) -> None:
    info = {"max_recommended_working_set_size": value, "max_buffer_length": value, "device_name": 7}
    assert device.parse(info) == Device(
        name=None, gpu_budget_bytes=None, gpu_budget_source=None, largest_buffer_bytes=None
    )


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "state"))
    return str(tmp_path / "environment")


def test_it_is_remembered_for_the_environment(prefix: str) -> None:
    asked = device.parse(ANSWERS[1]["info"])
    assert device.recalled(prefix, REPORT_MAC) == REPORT_MAC
    device.remember(prefix, REPORT_MAC, asked)
    known = device.recalled(prefix, replace(REPORT_MAC, ram_available_bytes=1))
    assert known.gpu_budget_bytes == 40_200_896_512
    assert known.gpu_largest_buffer_bytes == 30_150_672_384
    assert known.gpu_budget_source is not None
    assert "asked of MLX" in known.gpu_budget_source
    assert device.recalled(prefix + "-other", REPORT_MAC) == REPORT_MAC


@pytest.mark.parametrize(
    "change",
    [{"os_version": "26.0"}, {"ram_total_bytes": 2**34}, {"gpu_wired_limit_bytes": 2**33}],
)
def test_it_is_forgotten_where_the_machine_is_another(
    prefix: str, change: dict[str, object]
) -> None:
    device.remember(prefix, REPORT_MAC, device.parse(ANSWERS[1]["info"]))
    other = replace(REPORT_MAC, **change)
    assert device.recalled(prefix, other) == other


@pytest.mark.parametrize("content", ["", "{", "[]", '{"device": 1}', "\x00"])
def test_a_damaged_memory_is_none(prefix: str, content: str) -> None:
    folder = state.of_target(prefix)
    folder.mkdir(parents=True)
    (folder / "device.json").write_text(content)
    assert device.recalled(prefix, REPORT_MAC) == REPORT_MAC


def test_a_state_folder_that_cannot_be_written_to_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "file"))
    device.remember("/x", REPORT_MAC, device.parse(ANSWERS[1]["info"]))
    assert device.recalled("/x", REPORT_MAC) == REPORT_MAC


def test_a_smoke_asks_and_a_check_knows(fresh: Fixed, tmp_path: Path) -> None:
    smoke = fresh.doctor.json("smoke", "--python", str(fresh.python))
    assert smoke.report["device"]["name"]
    assert smoke.report["watch"] is None
    facts = tmp_path / "facts.json"
    fresh.doctor.json("check", "--python", str(fresh.python), "--save-facts", str(facts))
    machine = json.loads(facts.read_text())["machine"]
    assert machine["gpu_name"] == smoke.report["device"]["name"]
    # MLX's CPU backend, which runs here, has no budget.
    assert smoke.report["device"]["gpu_budget_bytes"] == machine["gpu_budget_bytes"]
