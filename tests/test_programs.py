"""The doctor in programs: as a library and as a plugin of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import doctor
from tests.conftest import RECORDED, ROOT, Doctor, make_environment

REPORT, MATCHED = (str(RECORDED / f"{name}.json") for name in ("report", "matched"))


def test_the_library_gives_reports_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("VLM_DOCTOR_CACHE", str(tmp_path / "cache"))
    python = make_environment(tmp_path / "environment", "filelock")
    heard: list[str] = []
    checked = doctor.check(python=python)
    assert (checked.verdict, checked.findings[0].code) == ("broken", "not-installed")
    assert doctor.check(python=python, skip=["installed"]).findings[0].code != "not-installed"
    planned = doctor.fix(python=python, dry_run=True)
    assert planned.outcome == "planned"
    proven = doctor.prove(venv=tmp_path / "environment", say=heard.append)
    assert not proven.passed
    assert heard[0].startswith("Generating with")
    assert doctor.fix(facts=REPORT, dry_run=True).plan.recipe == "torch-free"
    assert capfd.readouterr() == ("", "")


def test_what_the_library_cannot_do_it_raises() -> None:
    with pytest.raises(doctor.Refused, match="no environment at /nowhere") as refusal:
        doctor.check(venv="/nowhere")
    assert isinstance(refusal.value, doctor.DoctorError)
    assert refusal.value.hint
    with pytest.raises(doctor.DoctorError, match="no check and no code"):
        doctor.check(facts=REPORT, only=["x"])
    with pytest.raises(doctor.Refused, match="--dry-run"):
        doctor.fix(facts=REPORT)
    with pytest.raises(AttributeError):
        doctor.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("venv", 3, "venv takes text or a path, not 3"),
        ("model", ["a/b"], "model takes text or a path"),
        ("only", 3, "only takes names of checks or codes, not 3"),
        ("only", [3], "only takes names of checks or codes"),
        ("only", [""], "--only takes names of checks or codes, and it is empty"),
        ("purpose", "pictures", "purpose is one of image, video, server"),
    ],
)
def test_the_library_says_which_argument_is_none(argument: str, value: object, said: str) -> None:
    with pytest.raises(doctor.Refused, match=said):
        doctor.check(**{"facts": REPORT, argument: value})  # type: ignore[arg-type]


def test_the_library_is_typed(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import doctor\n"
        "verdict: str = doctor.check('a/b', venv='.venv').verdict\n"
        "passed: bool = doctor.prove().passed\n"
        "outcome: int = doctor.fix().outcome\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.count("error:") == 1
    assert "use.py:4" in run.stdout


TESTS = f"""
import pytest

@pytest.mark.requires_vlm(facts={REPORT!r})
def test_broken():
    raise AssertionError("it must not run")

@pytest.mark.requires_vlm(facts={MATCHED!r})
def test_runs():
    pass

@pytest.mark.requires_vlm("mlx-community/another", facts={MATCHED!r})
def test_refused():
    raise AssertionError("it must not run")

@pytest.mark.requires_vlm(venv="environment")
def test_empty(vlm_report):
    raise AssertionError("it must not run")

@pytest.mark.requires_vlm(facts={MATCHED!r})
def test_report(vlm_report):
    assert vlm_report.verdict in ("healthy", "degraded")

def test_other():
    pass
"""


def test_pytest_skips_with_the_doctors_reason(doctor: Doctor) -> None:
    make_environment(doctor.folder / "environment", "filelock")
    (doctor.folder / "test_mine.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "--strict-markers", "-W", "error", "test_mine.py"],
        cwd=doctor.folder,
        env=doctor.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "3 passed, 3 skipped" in run.stdout
    assert "vlm-doctor: qwen3_vl needs torch and torchvision here" in run.stdout
    assert "[torchvision-missing]" in run.stdout
    assert "mlx-vlm is not installed here [not-installed]" in run.stdout
    assert "not mlx-community/another" in run.stdout
