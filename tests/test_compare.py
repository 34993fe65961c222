"""Two bundles side by side: what differs, and what of it decides."""

from __future__ import annotations

import gzip
import json
import typing
from pathlib import Path

import pytest

from doctor import cli
from doctor import facts as facts_module
from doctor.facts import Facts, StartupEffect, StartupFile
from doctor.reports.compare import Group, GroupName
from doctor.support import comparison
from tests.conftest import RECORDED, Doctor, recorded
from tests.facts_of import on_machine, replace

MATRIX = Path(__file__).parent / "matrix" / "facts"


def matrix(name: str) -> Facts:
    return facts_module.decode(gzip.decompress((MATRIX / f"{name}.json.gz").read_bytes()))


def group(found: comparison.Comparison, name: str) -> Group:
    return next(group for group in found.groups if group.name == name)


def test_the_packages_decide_and_the_memory_does_not() -> None:
    a = on_machine(recorded("report"), ram_available_bytes=30_000_000_000, arch="riscv")
    b = on_machine(recorded("matched"), ram_available_bytes=20_000_000_000)
    found = comparison.compare(a, b)
    assert (found.a.verdict, found.b.verdict) == ("broken", "healthy")
    packages, machine = group(found, "packages"), group(found, "machine")
    assert packages.decides
    assert packages.exact
    assert packages.a_with_b.verdict == "healthy"
    assert list(packages.a_with_b.gone) == ["torchvision-missing"]
    assert packages.b_with_a.verdict == "broken"
    assert not machine.decides
    named = {item.name for item in found.differences if item.findings}
    assert {"torch", "torchvision"} <= named
    assert "mpmath" not in named
    assert [item.code for item in found.only_a] == ["torchvision-missing"]
    assert found.only_b == ()


def test_a_machine_may_decide() -> None:
    a = recorded("matched")
    b = on_machine(a, ram_total_bytes=2 * 10**9, ram_available_bytes=10**9, swap_total_bytes=0)
    found = comparison.compare(a, b)
    assert [item.name for item in found.groups] == ["machine"]
    assert group(found, "machine").decides
    assert group(found, "machine").b_with_a.verdict == "healthy"


def test_files_may_decide() -> None:
    a = recorded("matched")
    effect = StartupEffect(line=1, kind="ends", detail="sys.exit", on_the_way=True)
    file = StartupFile(path="lib/x.pth", kind="pth", effects=(effect,))
    b = replace(a, environment=replace(a.environment, startup=(file,)))
    found = comparison.compare(a, b)
    assert group(found, "files").decides == (found.a.verdict != found.b.verdict)
    assert [item.findings for item in found.differences] == [
        tuple(item.code for item in found.only_b)
    ]


@pytest.mark.parametrize("name", ["0.4.4-torch-only", "newest-without-tqdm", "shadow-random"])
def test_swapping_every_group_makes_the_one_the_other(name: str) -> None:
    a, b = matrix("0.3.10-today"), matrix(name)
    mixed = a
    for part in typing.get_args(GroupName):
        mixed = comparison.with_group(mixed, b, part, True)
    of_the_taking = {"tool": "", "taken_at": "", "found_by": "", "generation": None}
    assert replace(mixed, **of_the_taking) == replace(b, **of_the_taking)


def test_the_same_twice(doctor: Doctor, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(RECORDED / "report.json")
    assert cli.main(["compare", path, path]) == 0
    assert "Nothing differs." in capfd.readouterr().out
    run = doctor.json("compare", path, str(RECORDED / "matched.json"))
    assert run.code == 0
    assert run.report["groups"][0]["name"] == "packages"
    assert doctor.json("compare", path, "nowhere.zip").code == 2
    assert cli.main(["compare", path, str(RECORDED / "matched.json")]) == 0
    out = capfd.readouterr().out
    assert "This decides: the packages" in out
    assert "This does not: the machine" in out
    assert json.loads(run.out)["both"] == ["model-not-cached"]
