"""What a generation imports is noted, and followed anew when anything of it changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import probe

followed = probe.module("followed")

FILES = {
    "app/__init__.py": "from app import part\nfrom helper import name\nimport spaces.inner",
    "app/part.py": "import sys",
    "helper.py": "name = 1",
    "spaces/inner.py": "",
}


def follow(folder: Path, cache: Path | None, *path: Path) -> Any:
    notes = probe.notes(cache)
    path = path or (folder / "first", folder / "second")
    found = followed.follow(
        probe.finder(*path),
        notes,
        ["app"],
        ["app", "helper"],
        frozenset(),
        frozenset(),
        None,
        None,
    )
    notes.save()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "first").mkdir()
    probe.write(tmp_path / "second", FILES)
    return tmp_path


def a_name_is_gone(folder: Path) -> None:
    (folder / "second/helper.py").write_text("other = 1")


def a_module_is_gone(folder: Path) -> None:
    (folder / "second/app/part.py").unlink()


def a_package_is_gone(folder: Path) -> None:
    shutil.rmtree(folder / "second/spaces")


def a_module_is_hidden(folder: Path) -> None:
    (folder / "first/helper.py").write_text("")


def a_module_is_hidden_by_a_folder_beside_it(folder: Path) -> None:
    probe.write(folder / "second", {"helper/__init__.py": ""})


CHANGES = (
    a_name_is_gone,
    a_module_is_gone,
    a_package_is_gone,
    a_module_is_hidden,
    a_module_is_hidden_by_a_folder_beside_it,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(folder: Path, change: Callable[[Path], None]) -> None:
    cache = folder / "notes"
    assert follow(folder, cache)["imports"]["problems"] == []
    change(folder)
    found = follow(folder, cache)
    assert found == follow(folder, None)
    assert found["imports"]["problems"] != []


def test_what_did_not_change_is_not_followed_again(folder: Path) -> None:
    cache = folder / "notes"
    first = follow(folder, cache)
    kept = cache.read_bytes()
    path = folder / "second/helper.py"
    times = os.stat(path)
    path.write_text("maen = 1")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert follow(folder, cache) == first
    assert cache.read_bytes() == kept


def test_another_search_path_is_another_question(folder: Path) -> None:
    cache = folder / "notes"
    first = follow(folder, cache)
    probe.write(folder / "third", {"helper.py": ""})
    other = follow(folder, cache, folder / "third", folder / "second")
    assert [one["name"] for one in other["imports"]["problems"]] == ["name"]
    assert follow(folder, cache) == first
