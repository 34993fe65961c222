"""The files check, on facts and in a real environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import files
from doctor.facts import DamagedFile, Facts
from doctor.findings import Finding, Severity
from doctor.intents import UseRecipe
from fixes import files as fix
from tests.conftest import Doctor, Fixed, recorded
from tests.facts_of import replace
from tests.test_end_to_end import clone, site_packages


def test_whole_environments_have_no_findings(any_facts: Facts) -> None:
    assert list(files.check(any_facts)) == []


def test_damage_is_one_finding_a_distribution() -> None:
    facts = recorded("torch-free")
    damaged = tuple(
        DamagedFile(distribution=name, path=path, recorded_bytes=10, bytes=size)
        for name, path, size in (("numpy", "a.so", 3), ("numpy", "b.so", None), ("mlx", "c.so", 0))
    )
    facts = replace(facts, environment=replace(facts.environment, damaged=damaged))
    first, second = files.check(facts)
    assert isinstance(first, Finding) and isinstance(second, Finding)
    assert (first.code, first.severity) == ("files-damaged", Severity.ERROR)
    assert [item.value for item in first.evidence] == ["3 bytes", "gone"]
    assert list(fix.actions(second, facts)) == [UseRecipe(reinstall=("mlx", "numpy"))]


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [("numpy/_core/_multiarray_umath*.so", "gone"), ("tokenizers/tokenizers*.so", "emptied")],
)
def test_a_damaged_library_is_found_and_mended(
    doctor: Doctor, fresh: Fixed, tmp_path: Path, pattern: str, damage: str
) -> None:
    python = clone(fresh.python.parent.parent, tmp_path / "copy")
    (library,) = site_packages(python).glob(pattern)
    library.unlink()
    if damage == "emptied":
        library.touch()
    target = ("--python", str(python))
    check = doctor.json("check", *target)
    assert (check.code, check.codes[0]) == (1, "files-damaged")
    assert not doctor.json("smoke", *target).report["passed"]
    fixed = doctor.json("fix", "--yes", *target)
    assert (fixed.code, fixed.report["outcome"]) == (0, "fixed")
    assert len(fixed.report["applied"][0]["changes"]) == 1
