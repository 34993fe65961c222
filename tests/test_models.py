"""``vlm-doctor models``, as its user types it: on saved facts of Macs, and on bad input."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from doctor import facts as facts_module
from doctor.facts import Facts
from doctor.memory import popular
from tests.conftest import Doctor
from tests.test_wanted_profile import on_a_mac

GIB = 2**30


def saved(folder: Path, facts: Facts) -> str:
    path = folder / "facts.json"
    path.write_bytes(facts_module.encode(facts))
    return str(path)


def by_id(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in report["models"]}


def test_the_reports_tiers(doctor: Doctor, tmp_path: Path) -> None:
    """8 GB, 3 of them available: the 4B model pages; 16 GB: it fits."""
    eight = doctor.json("models", "--facts", saved(tmp_path, on_a_mac()))
    assert eight.code == 0
    rows = by_id(eight.report)
    large, small = rows[popular.CHAIN[0]], rows[popular.CHAIN[1]]
    assert large["room"] == "pages"
    assert 3_000_000_000 < large["peak_bytes"] < 5_500_000_000
    assert small["peak_bytes"] < large["peak_bytes"]
    assert large["recipe"] == "torch-free"
    ample = on_a_mac(
        ram_total_bytes=16 * GIB,
        ram_available_bytes=10 * GIB,
        gpu_budget_bytes=int(10.67 * GIB),
        swap_used_bytes=0,
        memory_pressure="normal",
    )
    sixteen = by_id(doctor.json("models", "--facts", saved(tmp_path, ample)).report)
    assert sixteen[popular.CHAIN[0]]["room"] == "fits"
    assert sixteen[popular.CHAIN[0]]["largest_picture"] >= 1024
    assert sixteen["mlx-community/Qwen3.5-35B-A3B-bf16"]["room"] == "will-not-run"
    # What fits a machine fits a larger one.
    assert {name for name, row in rows.items() if row["room"] == "fits"} <= {
        name for name, row in sixteen.items() if row["room"] == "fits"
    }


def test_the_drawing(doctor: Doctor, tmp_path: Path) -> None:
    facts = saved(tmp_path, on_a_mac())
    path = tmp_path / "memory.svg"
    run = doctor("models", "--facts", facts, "--plot", str(path))
    assert run.code == 0
    assert str(path) in run.out
    drawing = ElementTree.fromstring(path.read_text())
    assert drawing.findtext("{http://www.w3.org/2000/svg}title") == popular.CHAIN[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plot", "none/x.svg"), "could not be written"),
        (("--plot", "x.png"), "written as SVG"),
        (("--plot", "x.svg", "--model", "nobody/nothing"), "not in the table"),
        (("--python", "/bin/python"), "goes with no --python"),
    ],
)
def test_bad_words(doctor: Doctor, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    run = doctor("models", "--facts", saved(tmp_path, on_a_mac()), *words)
    assert run.code == 2
    assert said in run.err
    assert not (doctor.folder / "x.svg").exists()


@pytest.mark.parametrize(
    "machine",
    [
        {"ram_total_bytes": None, "ram_available_bytes": None},
        {"ram_total_bytes": -1},
        {"ram_total_bytes": 10**30, "gpu_budget_bytes": 10**30},
        {"ram_total_bytes": "many"},
        {"chip": "\x1b[31mred" * 50},
    ],
)
def test_strange_machines(doctor: Doctor, tmp_path: Path, machine: dict[str, object]) -> None:
    path = Path(saved(tmp_path, on_a_mac()))
    content = json.loads(path.read_text())
    content["machine"] |= machine
    path.write_text(json.dumps(content))
    run = doctor("models", "--facts", str(path))
    assert run.code in (0, 2)
    assert "\x1b" not in run.out + run.err
    assert run.code == 0 or run.err.count("\n") <= 2
