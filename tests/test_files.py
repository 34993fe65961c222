"""The files check, on facts and in a real environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import files
from doctor import plan, registry
from doctor.actions import Advice
from doctor.facts import DamagedFile, Facts
from doctor.findings import Finding, Severity
from doctor.intents import RemoveBroken, UseRecipe
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
    assert list(fix.actions(second, facts)) == [
        UseRecipe(reinstall=("mlx", "numpy")),
        RemoveBroken(name="mlx"),
        RemoveBroken(name="numpy"),
    ]


def test_what_the_recipe_does_without_is_taken_away() -> None:
    """A torchvision cannot be imported without its torch."""
    facts = recorded("matched")
    torch = DamagedFile(distribution="torch", path="torch/_C.so", recorded_bytes=10, bytes=None)
    facts = replace(facts, environment=replace(facts.environment, damaged=(torch,)))
    made = plan.make(facts, registry.examine(facts, ["files"]).findings)
    assert made.recipe == "torch-free"
    gone = [change.name for change in made.changes if change.after is None]
    assert {"torch", "torchvision"} <= set(gone)


def changed(kind: str, size: int | None, used: bool) -> Facts:
    file = DamagedFile(
        distribution="mlx-vlm",
        path="mlx_vlm/x.py",
        recorded_bytes=10,
        bytes=size,
        module="mlx_vlm.x",
        kind=kind,
        used=used,
        problem=None,
    )
    facts = recorded("torch-free")
    return replace(facts, environment=replace(facts.environment, damaged=(file,)))


@pytest.mark.parametrize(
    ("facts", "code", "severity"),
    [
        (changed("source", 12, True), "files-edited", Severity.WARNING),
        (changed("source", 8, True), "files-edited", Severity.WARNING),
        (changed("source", 8, False), "files-edited", Severity.NOTE),
        (changed("compiled", 8, True), "files-edited", Severity.NOTE),
        (changed("data", 12, False), "files-edited", Severity.NOTE),
        (changed("data", 8, False), "files-damaged", Severity.WARNING),
        (changed("source", None, False), "files-damaged", Severity.WARNING),
        (changed("compiled", None, False), "files-damaged", Severity.WARNING),
    ],
)
def test_what_does_no_harm_is_no_error_and_stays(
    facts: Facts, code: str, severity: Severity
) -> None:
    (finding,) = files.check(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == (code, severity)
    assert all(isinstance(action, Advice) for action in fix.actions(finding, facts))


def test_a_library_for_another_python_is_the_platforms() -> None:
    assert list(files.check(changed("compiled", 10, False))) == []


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


# Files of the real packages, how much of them is left (null: they are gone), and the worst code.
VERDICTS = {
    "mlx_vlm/models/qwen3_vl/vision.py": (0.5, "files-damaged"),
    "mlx/_reprlib_fix.py": (None, "files-damaged"),  # only compiled code imports it
    "urllib3/response.py": (0.5, "files-damaged"),
    "PIL/WebPImagePlugin.py": (None, None),
    "mlx/__main__.py": (None, None),
}


def test_the_verdict_on_changed_files_is_that_of_a_real_run(
    doctor: Doctor, fresh: Fixed, tmp_path: Path
) -> None:
    python = clone(fresh.python.parent.parent, tmp_path / "copy")
    target = ("--python", str(python))
    for name, (left, code) in VERDICTS.items():
        path = site_packages(python) / name
        content = path.read_bytes()
        path.unlink()
        if left is not None:
            path.write_bytes(content[: int(len(content) * left)])
        check = doctor.json("check", *target)
        errors = [item["code"] for item in check.report["findings"] if item["severity"] == "error"]
        assert errors == [code] * (code is not None), name
        assert doctor.json("smoke", *target).report["passed"] == (code is None), name
        path.write_bytes(content)
