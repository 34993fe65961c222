"""What has moved at the index: asked of real indexes on loopback, through the real uv."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import psutil
import pytest

from doctor.errors import CouldNot
from doctor.packages import recipes, upstream
from doctor.packages.recipes import Lock, LockedWheel, Place, Recipe
from tests.conftest import Doctor
from tests.package_index import Release, serve

NAME = "linux-x86_64-cpu-py311"
PLACE = Place(platform="linux-x86_64", backend="cpu", python="3.11")


def recipe_and_lock(*main: str, others: tuple[str, ...] = ()) -> tuple[Recipe, Lock]:
    wheels = {}
    for pin in (*main, *others):
        name, _, version = pin.partition("==")
        wheels[name] = LockedWheel(
            name=name, version=version, hash="", download_bytes=None, installed_bytes=None
        )
    recipe = Recipe(
        name="tried",
        summary="",
        for_whom="",
        promises=(),
        requirements=main,
        backends={},
        locks=(),
        unavailable={},
        proven={},
    )
    return recipe, Lock(recipe="tried", name=NAME, wheels=wheels)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    for name in ("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("as_json", [False, True])
def test_newer_yanked_and_gone(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    packages = {
        # The newest that counts is neither a pre-release nor withdrawn.
        "front": [Release("1.0"), Release("1.5"), Release("2.0", "a mistake"), Release("3.0rc1")],
        "same": [Release("4.1")],
        "inner": [Release("0.9", 'it said "no"' if as_json else "it is broken"), Release("1.0")],
        "silent": [Release("1.0", "")],
        "lost": [Release("2.0")],
    }
    recipe, lock = recipe_and_lock(
        "front==1.0",
        "same==4.1",
        "nowhere==1.0",
        others=("inner==0.9", "silent==1.0", "lost==1.0", "kept==1.0"),
    )
    packages["kept"] = [Release("1.0")]
    with serve(packages, as_json) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        report = upstream.ask(recipe, lock, PLACE)
    assert [(pin.name, pin.newest, pin.newer) for pin in report.pins] == [
        ("front", "1.5", True),
        ("same", "4.1", False),
        ("nowhere", None, None),
    ]
    assert [pin.name for pin in report.yanked] == ["inner", "silent"]
    assert report.yanked[0].reason in ('it said "no"', "it is broken")
    assert [pin.name for pin in report.gone] == ["lost", "nowhere"]
    assert "lost==1.0" in report.gone[0].reason


def whole_index() -> dict[str, list[Release]]:
    """An index that has all of the torch-free lock, one version yanked, one package moved on."""
    lock = recipes.load_lock("torch-free", NAME)
    assert lock is not None
    packages = {name: [Release(wheel.version)] for name, wheel in lock.wheels.items()}
    packages["click"] = [Release(lock.wheels["click"].version, "it took a wrong turn")]
    packages["mlx-vlm"].append(Release("99.0"))
    return packages


WORDS = ("recipes", "--outdated", "--recipe", "torch-free", "--lock", NAME)


def test_the_command_asks_the_users_own_index(doctor: Doctor) -> None:
    with serve(whole_index()) as address:
        # Also where only pip was told of it.
        only = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
        run = doctor.json(*WORDS, PIP_INDEX_URL=address, **only)
        text = doctor(*WORDS, UV_DEFAULT_INDEX=address)
    assert (run.code, text.code) == (0, 0)
    outdated = run.report["recipes"][0]["outdated"]
    assert outdated["lock"] == NAME
    assert [pin["name"] for pin in outdated["pins"] if pin["newer"]] == ["mlx-vlm"]
    assert [pin["reason"] for pin in outdated["yanked"]] == ["it took a wrong turn"]
    assert outdated["gone"] == []
    assert "99.0" in text.out and "it took a wrong turn" in text.out


def test_an_index_that_knows_nothing(doctor: Doctor) -> None:
    with serve({}) as address:
        run = doctor(*WORDS, UV_DEFAULT_INDEX=address)
    assert run.code == 3
    assert run.out == ""
    assert "The package index has none of mlx-vlm" in run.err


def test_nobody_answers(doctor: Doctor) -> None:
    with socket.socket() as unused:  # bound and not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/simple/"
        run = doctor(*WORDS, UV_DEFAULT_INDEX=address, UV_HTTP_RETRIES="0")
    assert run.code == 3
    assert "The package index did not answer" in run.err
    assert len(run.err.splitlines()) == 3  # what it does, what is wrong, what helps


def test_an_index_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, lock = recipe_and_lock("front==1.0")
    monkeypatch.setattr(upstream, "TIME_LIMIT", 2.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{mute.getsockname()[1]}/simple/")
        started = time.monotonic()
        with pytest.raises(CouldNot, match="did not answer in time"):
            upstream.ask(recipe, lock, PLACE)
    assert time.monotonic() - started < 10
    assert not [child for child in psutil.Process().children() if child.name() == "uv"]
