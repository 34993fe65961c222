"""Making recipes: resolved at a real index, run or not, written whole or not at all."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest

from tests.conftest import tree
from tests.package_index import Release, serve
from tools.recipes import __main__ as program
from tools.recipes.writing import Proof, read_proofs, still_true, with_proofs

TOML = """\
name = "{name}"
requirements = ["front"]
never = ["torch"]

[backends]
metal = []
cpu = ["cpu-only"]

[verified]
"""
PACKAGES = {"front": [Release("1.0"), Release("2.0")], "cpu-only": [Release("1.0")]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    result = tmp_path / "recipes"
    result.mkdir()
    (result / "tried.toml").write_text(TOML.format(name="tried"))
    return result


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    with serve(PACKAGES, as_json=True) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        return program.main(["--folder", str(folder), *words])


def test_locks_sizes_and_extras(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(folder, monkeypatch, "--no-run") == 0
    locks = {path.stem: path.read_text() for path in (folder / "locks" / "tried").iterdir()}
    assert len(locks) == 15
    assert "front==2.0 --hash=sha256:" in locks["macos-arm64-metal-py313"]
    assert "cpu-only" not in locks["macos-arm64-metal-py313"]
    assert "cpu-only==1.0" in locks["linux-aarch64-cpu-py310"]
    assert '"installed": null' not in (folder / "sizes.json").read_text()
    extra = (folder / "tried.requirements.txt").read_text()
    assert 'cpu-only; sys_platform == "linux"' in extra
    assert read_proofs((folder / "tried.toml").read_text()) == {}


def test_one_recipe_leaves_the_others_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "other.toml").write_text(TOML.format(name="other").replace("front", "front<2"))
    assert make(folder, monkeypatch, "--no-run") == 0
    before = tree(folder)
    (folder / "tried.toml").write_text(TOML.format(name="tried").replace("front", "front<2"))
    assert make(folder, monkeypatch, "--no-run", "--recipe", "tried") == 0
    after = tree(folder)
    assert {key for key in before if "other" in key and before[key] != after[key]} == set()
    assert "front==1.0" in (folder / "locks/tried/linux-x86_64-cpu-py311.txt").read_text()
    assert len((folder / "sizes.json").read_text().splitlines()) == 4  # two wheels, two brackets


@pytest.mark.skipif(sys.platform != "linux", reason="the lock of this machine is a Linux one")
def test_a_lock_that_does_not_run_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What installs well and has no mlx in it does not generate.
    before = tree(folder)
    assert make(folder, monkeypatch) == 1
    assert tree(folder) == before
    assert "does not run: ModuleNotFoundError" in capsys.readouterr().err


def test_no_such_recipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(folder, monkeypatch, "--recipe", "nothing") == 1


def test_a_proof_holds_for_the_pins_that_ran() -> None:
    day = datetime.date(2026, 1, 2)
    text = "# a heading\nfront==1.0 --hash=sha256:00\n"
    proof = Proof(on=day, where="Python 3.11.7, Linux x86_64", pins="")
    ran = Proof(on=day, where="here", pins="0" * 16)
    toml = with_proofs("name = 'x'\n", {"a": proof, "b": ran})
    assert read_proofs(toml) == {"a": proof, "b": ran}
    # Written twice, it stands there once.
    assert with_proofs(toml, {"a": proof, "b": ran}) == toml
    assert still_true({"a": proof, "b": ran}, {}, {"a": text, "b": text}) == {}
