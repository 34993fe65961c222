"""The recipes: readable, locked by hash, whole, and the same pins everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doctor.packages import recipes
from tests.conftest import UV
from tools.recipes.writing import digest, read_proofs

LOCKS = [
    (path.parent.name, path.stem) for path in sorted((recipes.FOLDER / "locks").glob("*/*.txt"))
]
MARKERS = {"linux": ("linux", "Linux"), "macos": ("darwin", "Darwin")}


def lock(recipe: str, name: str) -> recipes.Lock:
    found = recipes.load_lock(recipe, name)
    assert found is not None
    return found


def test_both_recipes_are_there_and_torch_free_comes_first() -> None:
    assert recipes.names() == ["torch-free", "report-line"]


@pytest.mark.parametrize("recipe", ["torch-free", "report-line"])
@pytest.mark.parametrize("python", ["310", "311", "312", "313"])
@pytest.mark.parametrize("platform", ["macos-arm64-metal", "linux-x86_64-cpu"])
def test_the_promised_locks_exist(recipe: str, python: str, platform: str) -> None:
    assert recipes.load_lock(recipe, f"{platform}-py{python}") is not None


@pytest.mark.parametrize(("recipe", "name"), LOCKS)
def test_a_lock_holds_hashes_and_no_addresses(recipe: str, name: str) -> None:
    text = (recipes.FOLDER / "locks" / recipe / f"{name}.txt").read_text()
    assert "://" not in text
    assert "index" not in text.lower()
    wheels = lock(recipe, name).wheels
    assert wheels
    for wheel in wheels.values():
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", wheel.hash)
        assert wheel.name == canonicalize_name(wheel.name)
        assert wheel.download_bytes is not None
        assert wheel.installed_bytes is not None


@pytest.mark.parametrize(("recipe", "name"), LOCKS)
def test_a_lock_keeps_the_recipes_pins(recipe: str, name: str) -> None:
    found = recipes.load(recipe)
    assert found is not None
    wheels = lock(recipe, name).wheels
    minor = int(name.rpartition("py3")[2])
    sys_platform, system = MARKERS[name.partition("-")[0]]
    markers = {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.0",
        "sys_platform": sys_platform,
        "platform_system": system,
    }
    pins = [Requirement(text) for text in found.requirements]
    active = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(markers)]
    assert active
    for pin in active:
        assert pin.specifier.contains(wheels[canonicalize_name(pin.name)].version), pin


@pytest.mark.parametrize("name", [name for recipe, name in LOCKS if recipe == "torch-free"])
def test_torch_free_has_nothing_of_torch(name: str) -> None:
    assert not {"torch", "torchvision", "torchaudio", "triton"} & set(
        lock("torch-free", name).wheels
    )


def test_the_extras_are_the_recipes_pins() -> None:
    for name in recipes.names():
        found = recipes.load(name)
        assert found is not None
        text = (recipes.FOLDER / f"{name}.requirements.txt").read_text()
        lines = {str(Requirement(line)) for line in text.splitlines() if line and line[0] != "#"}
        assert {str(Requirement(pin)) for pin in found.requirements} <= lines


@pytest.mark.parametrize("recipe", ["torch-free", "report-line"])
def test_the_doctor_can_live_in_either_recipes_environment(recipe: str, tmp_path: Path) -> None:
    # The doctor's own requirements and the recipe's lock must have a solution together.
    if sys.platform != "linux":
        name = f"macos-arm64-metal-py3{sys.version_info[1]}"
    else:
        name = f"linux-x86_64-cpu-py3{sys.version_info[1]}"
    wheels = lock(recipe, name).wheels.values()
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("".join(f"{wheel.name}=={wheel.version}\n" for wheel in wheels))
    command = [UV, "pip", "compile", "--quiet", "--constraint", str(constraints)]
    project = Path(__file__).parent.parent / "pyproject.toml"
    result = subprocess.run([*command, str(project)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "huggingface-hub==" in result.stdout


@pytest.mark.parametrize("name", ["../torch-free", "nothing", "", "torch-free.toml", "."])
def test_what_is_no_recipe(name: str) -> None:
    assert recipes.load(name) is None


@pytest.mark.parametrize("recipe", ["torch-free", "report-line"])
def test_what_is_called_proven_are_these_very_locks(recipe: str) -> None:
    proofs = read_proofs((recipes.FOLDER / f"{recipe}.toml").read_text())
    assert proofs
    for name, proof in proofs.items():
        text = (recipes.FOLDER / "locks" / recipe / f"{name}.txt").read_text()
        assert proof.pins == digest(text), name
    found = recipes.load(recipe)
    assert found is not None
    assert found.proven == {name: proof.on.isoformat() for name, proof in proofs.items()}


def test_a_place_has_the_name_of_its_locks() -> None:
    for _, name in LOCKS:
        place = recipes.place_of(name)
        assert place is not None and place.name == name
    for name in ("", "linux-x86_64-cpu", "linux-x86_64-cpu-py", "plan9-cpu-py311", "x-py3x"):
        assert recipes.place_of(name) is None
