"""A recipe as a file for other tools: each is read by such a tool."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from doctor.packages import export, recipes
from doctor.terminal import Terminal
from tests.conftest import UV, Doctor, make_environment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLATFORM = "linux-x86_64-cpu" if sys.platform == "linux" else "macos-arm64-metal"
HERE = f"{PLATFORM}-py3{sys.version_info[1]}"
ALL = [(path.parent.name, path.stem) for path in sorted((recipes.FOLDER / "locks").glob("*/*.txt"))]


def pins(text: str) -> dict[str, tuple[str, str]]:
    """Version and hash by name, from the lines of a hashed requirements file."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    matches = [re.fullmatch(r"([\w-]+)==(\S+) --hash=(sha256:[0-9a-f]{64})", one) for one in lines]
    assert all(matches)
    return {match[1]: (match[2], match[3]) for match in matches if match}


def installed(python: Path) -> dict[str, str]:
    listing = [UV, "pip", "freeze", "--python", str(python)]
    text = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    return dict(line.split("==") for line in text.splitlines())


def exported(doctor: Doctor, form: str, recipe: str, lock: str) -> str:
    run = doctor("recipes", "--export", form, "--recipe", recipe, "--lock", lock)
    assert (run.code, run.err) == (0, "")
    document = doctor.json("recipes", "--export", form, "--recipe", recipe, "--lock", lock)
    assert document.report["recipes"][0]["exported"] == {
        "format": form,
        "lock": lock,
        "text": run.out,
    }
    return run.out


def test_requirements_install_with_their_hashes(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(exported(doctor, "requirements", "torch-free", HERE))
    python = make_environment(tmp_path / "environment")
    command = [UV, "--quiet", "pip", "install", "--python", str(python), "--require-hashes"]
    subprocess.run([*command, "--requirements", str(file)], check=True)
    lock = recipes.load_lock("torch-free", HERE)
    assert lock is not None
    assert installed(python) == {name: wheel.version for name, wheel in lock.wheels.items()}
    subprocess.run([UV, "--quiet", "pip", "check", "--python", str(python)], check=True)


def test_pyproject_dependencies_install(doctor: Doctor, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    text = exported(doctor, "pyproject", "torch-free", HERE)
    (project / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "1"\n{text}')
    python = make_environment(tmp_path / "environment")
    command = [UV, "--quiet", "pip", "install", "--python", str(python)]
    subprocess.run([*command, "--requirements", str(project / "pyproject.toml")], check=True)
    found = recipes.load("torch-free")
    assert found is not None
    there = installed(python)
    for pin in map(Requirement, found.requirements):
        if pin.marker is None or pin.marker.evaluate():
            assert pin.specifier.contains(there[pin.name])


@pytest.mark.parametrize(("recipe", "lock"), ALL)
def test_every_lock_can_be_exported_in_every_format(recipe: str, lock: str) -> None:
    found, whole = recipes.load(recipe), recipes.load_lock(recipe, lock)
    place = recipes.place_of(lock)
    assert found is not None and whole is not None and place is not None
    expected = {name: (wheel.version, wheel.hash) for name, wheel in whole.wheels.items()}
    assert pins(export.requirements(found, whole, place)) == expected
    environment = yaml.safe_load(export.conda(found, whole, place))
    assert environment["name"] == f"vlm-{recipe}"
    python, pip, by_pip = environment["dependencies"]
    assert (python, pip) == (f"python={place.python}", "pip>=24.0")
    # conda writes these lines to a requirements file and gives it to pip.
    assert pins("\n".join(by_pip["pip"])) == expected
    listed = tomllib.loads(export.pyproject(found, whole, place))["dependencies"]
    requirements = [Requirement(line) for line in listed]
    assert {one.name for one in requirements} == {
        Requirement(pin).name for pin in found.requirements
    }
    backends = [one for one in requirements if one.extras]
    assert bool(backends) == (place.backend != "metal")


def test_the_lock_of_the_target_is_the_default(doctor: Doctor, empty_environment: Path) -> None:
    run = doctor.json("recipes", "--export", "conda", "--python", str(empty_environment))
    assert run.report["recipes"][0]["exported"]["lock"] == HERE


@pytest.mark.parametrize(
    "words",
    [
        ["--export", "poetry"],
        ["--export", "conda", "--recipe", "no-such-recipe"],
        ["--export", "conda", "--recipe", "../torch-free"],
        ["--export", "conda", "--lock", "linux-x86_64-cpu-py27"],
        ["--export", "conda", "--lock", "../x"],
        ["--export", "conda", "--lock", "linux-aarch64-cpu-py311"],
        ["--export", "conda", "--lock", HERE, "--python", sys.executable],
        ["--export", "conda", "--outdated"],
        ["--recipe", "no-such-recipe"],
        ["--lock", HERE],
    ],
)
def test_wrong_usage(doctor: Doctor, words: list[str]) -> None:
    run = doctor("recipes", *words)
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) <= 2
    assert doctor.json("recipes", *words).report["exit_code"] == 2


def test_a_terminal_breaks_no_line_of_a_file() -> None:
    written = io.StringIO()
    paper = Terminal(written)
    paper._console.width = 20
    line = "package==1.0 --hash=sha256:" + "0" * 64
    paper.verbatim(line + "\n")
    assert written.getvalue() == line + "\n"
