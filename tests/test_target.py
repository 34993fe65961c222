"""Which interpreter is examined: what was named, else what is active, near, or on PATH."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Doctor, make_environment


def found_by(doctor: Doctor, *words: str, **variables: str) -> tuple[str, str]:
    target = doctor.json("check", *words, **variables).report["target"]
    return target["found_by"], target["prefix"]


def test_the_order(doctor: Doctor, tmp_path: Path) -> None:
    active, near, named, other = (
        str(make_environment(folder).parent.parent)
        for folder in (
            tmp_path / "active",
            doctor.folder / ".venv",
            tmp_path / "named",
            tmp_path / "other",
        )
    )
    variables = {"VIRTUAL_ENV": active}
    assert found_by(doctor, "--python", f"{named}/bin/python", **variables) == ("--python", named)
    assert found_by(doctor, "--venv", other, **variables) == ("--venv", other)
    assert found_by(doctor, **variables) == ("VIRTUAL_ENV", active)
    assert found_by(doctor) == ("./.venv", near)
    shutil.rmtree(near)
    assert found_by(doctor, CONDA_PREFIX=other) == ("CONDA_PREFIX", other)
    path = f"{named}/bin:/usr/bin:/bin"
    assert found_by(doctor, PATH=path) == ("python3 on PATH", named)


def test_conda_is_recognised_by_its_folder(doctor: Doctor, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "conda")
    (tmp_path / "conda" / "conda-meta").mkdir()
    facts = tmp_path / "facts.json"
    doctor("check", "--python", str(python), "--save-facts", str(facts))
    assert '"kind": "conda"' in facts.read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--python", "/no/such/python"], "There is no Python interpreter at /no/such/python"),
        (["--venv", "/no/such/environment"], "There is no environment at /no/such/environment"),
        (["--python", "/tmp"], "is a folder"),
        (["--python", "/bin/true"], "not a Python interpreter"),
        (["--venv", "/etc"], "no Python environment"),
        (["--venv", "~nobody-of-this-name/x"], "There is no environment at ~nobody-of-this-name/x"),
        (["--venv", "x" * 300], "There is no environment at xxx"),
        (["--python", "x", "--venv", "y"], "not allowed with"),
    ],
)
def test_what_cannot_be_examined_is_refused_in_one_line(
    doctor: Doctor, words: list[str], says: str
) -> None:
    run = doctor("check", *words)
    assert run.code == 2
    assert run.out == ""
    assert says in run.err
    document = doctor.json("check", *words)
    assert document.code == 2
    assert document.report["exit_code"] == 2
    assert says in document.report["error"]["message"]


def test_a_file_that_may_not_be_run(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    run = doctor("check", "--python", str(path))
    assert run.code == 2
    assert "not executable" in run.err


def test_an_environment_whose_python_is_gone(doctor: Doctor, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "dead")
    python.unlink()
    python.symlink_to(tmp_path / "gone" / "python3")
    run = doctor("check", "--venv", str(tmp_path / "dead"))
    assert run.code == 2
    assert "lost its Python" in run.err
    assert "--new-venv" in run.err


def test_no_interpreter_at_all(doctor: Doctor, tmp_path: Path) -> None:
    run = doctor("check", PATH=str(tmp_path))
    assert run.code == 2
    assert "no Python environment to examine" in run.err


def test_a_program_that_prints_rubbish_is_no_python(doctor: Doctor, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nhead -c 100000 /dev/zero\necho '{\"interpreter\": 1}'\n")
    fake.chmod(0o755)
    run = doctor("check", "--python", str(fake))
    assert run.code == 2
    assert "not a Python interpreter" in run.err


def test_a_program_that_floods_is_ended(doctor: Doctor, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nyes\n")
    fake.chmod(0o755)
    run = doctor("check", "--python", str(fake))
    assert run.code == 2
    assert "not a Python interpreter" in run.err


def test_a_python_that_prints_before_and_after_its_answer(doctor: Doctor, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(
        f'#!/bin/sh\necho "{{}} rubbish"\n{sys.executable} "$@"\necho "[more]"\necho err >&2\n'
    )
    fake.chmod(0o755)
    assert doctor.json("check", "--python", str(fake)).report["target"]["version"]


def test_a_python_that_is_too_old(doctor: Doctor, tmp_path: Path) -> None:
    # It answers as Python 3.7 does: it knows its version and fails on everything newer.
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *version_info*) printf '\\nversion=3.7\\n' ;;\n"
        "  *) echo 'SyntaxError: invalid syntax' >&2; exit 1 ;;\n"
        "esac\n"
    )
    fake.chmod(0o755)
    run = doctor("check", "--python", str(fake))
    assert run.code == 2
    assert "Python 3.7: too old" in run.err
