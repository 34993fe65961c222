"""Reading installed distributions from their metadata, as Python itself reads them."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import pytest

from tests import probe

distributions = probe.module("distributions")

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def dist_info(folder: Path, name: str, version: str, more: str = "") -> Path:
    path = folder / f"{name}-{version}.dist-info"
    probe.write(path, {"METADATA": METADATA.format(name=name, version=version) + more})
    return path


def find(*folders: Path, kind: str = "site-packages") -> list[dict[str, Any]]:
    entries = [{"path": str(folder), "kind": kind} for folder in folders]
    found, _ = distributions.find(entries, probe.notes())
    assert isinstance(found, list)
    return found


def only(*folders: Path) -> dict[str, Any]:
    (found,) = find(*folders)
    return found


def test_a_whole_distribution(tmp_path: Path) -> None:
    more = (
        "Requires-Python: >=3.9\n"
        "Requires-Dist: numpy>=1.17\n"
        'Requires-Dist: torch; extra == "torch"\n'
        "Provides-Extra: torch\n"
        "\n"
        "Requires-Dist: only-in-the-readme\n"
    )
    path = dist_info(tmp_path, "mlx_vlm", "0.7.10", more)
    probe.write(path, {"INSTALLER": "uv\n", "RECORD": ""})
    assert only(tmp_path) == {
        "name": "mlx_vlm",
        "version": "0.7.10",
        "requires": ["numpy>=1.17", 'torch; extra == "torch"'],
        "extras": ["torch"],
        "requires_python": ">=3.9",
        "metadata": str(path),
        "installer": "uv",
        "editable": None,
        "problem": None,
    }


def test_nothing_is_sought_in_the_standard_library_or_in_a_folder_that_is_gone(
    tmp_path: Path,
) -> None:
    dist_info(tmp_path, "a", "1")
    assert find(tmp_path, kind="standard-library") == []
    assert find(tmp_path / "gone") == []
    (tmp_path / "file").touch()
    assert find(tmp_path / "file") == []


def test_of_duplicates_the_first_is_the_one_that_python_takes(tmp_path: Path) -> None:
    for number in range(8):
        dist_info(tmp_path, "a_b", f"1.{number}")
    found = find(tmp_path)
    assert len(found) == 8
    context = importlib.metadata.DistributionFinder.Context(name="a-b", path=[str(tmp_path)])
    first = next(iter(importlib.metadata.Distribution.discover(context=context)))
    assert found[0]["version"] == first.version


def test_of_two_folders_the_earlier_on_the_path_comes_first(tmp_path: Path) -> None:
    first, second = tmp_path / "z", tmp_path / "a"
    dist_info(first, "a", "1")
    dist_info(second, "a", "2")
    assert [one["version"] for one in find(first, second)] == ["1", "2"]


def test_a_folder_that_is_on_the_path_by_two_names_is_read_once(tmp_path: Path) -> None:
    """As ``lib64``, which is a link to ``lib`` in some environments."""
    dist_info(tmp_path / "lib", "a", "1")
    (tmp_path / "lib64").symlink_to(tmp_path / "lib")
    assert len(find(tmp_path / "lib64", tmp_path / "lib")) == 1


def test_leftovers_of_interrupted_installs_are_no_distributions(tmp_path: Path) -> None:
    (tmp_path / "~lx_vlm").mkdir()
    dist_info(tmp_path, "~lx_vlm", "0.3.9")
    dist_info(tmp_path, "mlx_vlm", "0.3.9")
    entry = {"path": str(tmp_path), "kind": "site-packages"}
    found, leftovers = distributions.find([entry], probe.notes())
    assert [one["name"] for one in found] == ["mlx_vlm"]
    expected = [str(tmp_path / "~lx_vlm"), str(tmp_path / "~lx_vlm-0.3.9.dist-info")]
    assert sorted(leftovers) == expected


def test_metadata_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "torch-2.9.1.dist-info").mkdir()
    found = only(tmp_path)
    assert (found["name"], found["version"]) == ("torch", "2.9.1")
    assert found["requires"] == []
    assert found["problem"] == os.strerror(2)


def test_metadata_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "torch-2.9.1.dist-info" / "METADATA").mkdir(parents=True)
    found = only(tmp_path)
    assert (found["name"], found["version"]) == ("torch", "2.9.1")
    assert found["problem"] == os.strerror(21)


def test_a_link_to_nowhere_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "torch-2.9.1.dist-info").symlink_to(tmp_path / "gone")
    found = only(tmp_path)
    assert (found["name"], found["version"]) == ("torch", "2.9.1")
    assert found["problem"] == os.strerror(2)


@pytest.mark.parametrize(
    ("metadata", "name", "version", "problem"),
    [
        ("Name: Other\n", "Other", "1", "the metadata names no version"),
        ("Name: Other\nVersion:\n", "Other", "1", "the metadata names no version"),
        ("Version: 2\n", "some", "2", "the metadata names no name"),
        ("Name:\nVersion: 2\n", "some", "2", "the metadata names no name"),
        ("", "some", "1", "the metadata names no name"),
        ("\nName: Other\nVersion: 2\n", "some", "1", "the metadata names no name"),
        ("\0\1\2", "some", "1", "the metadata names no name"),
    ],
)
def test_metadata_that_says_too_little(
    tmp_path: Path, metadata: str, name: str, version: str, problem: str
) -> None:
    probe.write(tmp_path, {"some-1.dist-info/METADATA": metadata})
    found = only(tmp_path)
    assert (found["name"], found["version"], found["problem"]) == (name, version, problem)


def test_a_folder_that_names_no_version(tmp_path: Path) -> None:
    (tmp_path / "some.dist-info").mkdir()
    found = only(tmp_path)
    assert (found["name"], found["version"]) == ("some", None)


@pytest.mark.parametrize(
    "between",
    [
        "License: BSD\n        \n        Redistribution\n\t\n        and use\n",
        "Summary: folded\n  on two lines\n",
        "Summary: a\u2028\u2028b\x0c\x85c\n",
        "summary: other letters\n",
        "no header at all\n",
    ],
)
def test_what_stands_between_does_not_hide_the_requirements(tmp_path: Path, between: str) -> None:
    dist_info(tmp_path, "a", "1", between + "REQUIRES-DIST: numpy\n")
    assert only(tmp_path)["requires"] == ["numpy"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_folded_headers_are_joined_with_any_line_ending(tmp_path: Path, ending: str) -> None:
    lines = ["Name: a", "Version: 1", "Requires-Dist: numpy", " <2,", "\t>=1", "", "Name: b"]
    path = tmp_path / "a-1.dist-info"
    path.mkdir()
    (path / "METADATA").write_bytes(ending.join(lines).encode())
    assert only(tmp_path)["requires"] == ["numpy <2, >=1"]


def test_a_folded_line_before_any_header(tmp_path: Path) -> None:
    probe.write(tmp_path, {"a-1.dist-info/METADATA": " folded\nName: a\nVersion: 1\n"})
    assert only(tmp_path)["problem"] is None


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a-1.dist-info"
    path.mkdir()
    (path / "METADATA").write_bytes(b"Name: a\nAuthor: J\xf6rg\nVersion: 1\nRequires-Dist: b\n")
    (path / "INSTALLER").write_bytes(b"\xff\xfe\n")
    found = only(tmp_path)
    assert (found["name"], found["version"], found["requires"]) == ("a", "1", ["b"])
    assert found["installer"] == "\ufffd\ufffd"


def test_no_more_of_a_hostile_file_is_read_than_real_ones_have(tmp_path: Path) -> None:
    most = probe.module("notes").MOST_BYTES
    dist_info(tmp_path, "a", "1", "Requires-Dist: b\nSummary: " + "x" * most)
    found = only(tmp_path)
    assert (found["name"], found["requires"]) == ("a", [])
    assert found["problem"] == "it is too large"


def test_an_egg_info_file(tmp_path: Path) -> None:
    probe.write(tmp_path, {"some_tool-1.2-py3.11.egg-info": "Name: some-tool\nVersion: 1.2\n"})
    found = only(tmp_path)
    assert (found["name"], found["version"], found["problem"]) == ("some-tool", "1.2", None)


def test_an_egg_info_folder(tmp_path: Path) -> None:
    text = "Name: some-tool\nVersion: 1.2\nRequires-Dist: a\n"
    probe.write(tmp_path, {"some_tool-1.2-py3.11.egg-info/PKG-INFO": text})
    found = only(tmp_path)
    assert (found["name"], found["version"], found["requires"]) == ("some-tool", "1.2", ["a"])


def test_an_egg_info_that_is_empty_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "some_tool-1.2-py3.11.egg-info").mkdir()
    (tmp_path / "develop.egg-info").mkdir()
    found = {one["name"]: one["version"] for one in find(tmp_path)}
    assert found == {"some_tool": "1.2", "develop": None}


@pytest.mark.parametrize(
    ("record", "editable"),
    [
        ('{"url": "file:///src/my%20vlm", "dir_info": {"editable": true}}', "/src/my vlm"),
        ('{"url": "file:///src/vlm", "dir_info": {"editable": false}}', None),
        ('{"url": "file:///src/vlm", "dir_info": {}}', None),
        ('{"url": "file:///vlm.whl", "archive_info": {}}', None),
        ('{"url": "https://host/vlm", "dir_info": {"editable": true}}', None),
        ('{"url": 5, "dir_info": {"editable": true}}', None),
        ('["url"]', None),
        ("5", None),
        ("null", None),
        ("{", None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_the_source_of_an_editable_install(
    tmp_path: Path, record: str, editable: str | None
) -> None:
    path = dist_info(tmp_path, "a", "1")
    probe.write(path, {"direct_url.json": record})
    found = only(tmp_path)
    assert (found["name"], found["editable"], found["problem"]) == ("a", editable, None)


def test_an_editable_record_that_cannot_be_read(tmp_path: Path) -> None:
    path = dist_info(tmp_path, "a", "1")
    (path / "direct_url.json").mkdir()
    (path / "INSTALLER").mkdir()
    found = only(tmp_path)
    assert (found["editable"], found["installer"], found["problem"]) == (None, None, None)


def incomplete(folder: Path) -> list[str]:
    result = distributions.incomplete(find(folder))
    assert isinstance(result, list)
    return result


@pytest.mark.parametrize(
    ("requirement", "counts"),
    [
        ("x>=2", True),
        ("x>=2; python_version < '4'", True),
        ('x>=2;python_version>="3.99"', False),
        ("x>=2; extra == 'all'", False),
        ("x>=2; python_version < '4' and sys_platform == 'linux'", False),
        ("x>=1", False),
    ],
)
def test_what_is_older_than_another_requires(
    tmp_path: Path, requirement: str, counts: bool
) -> None:
    dist_info(tmp_path, "x", "1").joinpath("top_level.txt").write_text("ex\n")
    path = dist_info(tmp_path, "asking", "1", f"Requires-Dist: {requirement}\n")
    (path / "top_level.txt").write_text("asking\n")
    found = find(tmp_path)
    assert distributions.outdated(found) == ({"ex"} if counts else set())
    assert distributions.incomplete(found) == (["asking"] if counts else [])


def test_incomplete_are_the_modules_of_what_lacks_a_requirement(tmp_path: Path) -> None:
    whole = dist_info(tmp_path, "whole", "1", "Requires-Dist: Some.Other>=1\n")
    probe.write(whole, {"top_level.txt": "whole\n"})
    dist_info(tmp_path, "some_other", "1")
    lacking = dist_info(
        tmp_path, "lacking", "1", "Requires-Dist: some-other\nRequires-Dist: x[y]\n"
    )
    record = (
        "lacking/__init__.py,sha256=0,1\n"
        "lacking/sub/a.py,,\n"
        "single.py,,\n"
        "lacking-1.dist-info/METADATA,,\n"
        "../../../bin/lacking,,\n"
        "fast.cpython-311-x86_64-linux-gnu.so,,\n"
    )
    probe.write(lacking, {"RECORD": record})
    assert incomplete(tmp_path) == ["lacking", "single"]


def test_the_list_of_modules_is_believed_before_the_record(tmp_path: Path) -> None:
    lacking = dist_info(tmp_path, "lacking", "1", "Requires-Dist: gone\n")
    probe.write(lacking, {"top_level.txt": "one\n_two\n\n", "RECORD": "three/__init__.py,,\n"})
    assert incomplete(tmp_path) == ["_two", "one"]


@pytest.mark.parametrize("requirement", ['gone; sys_platform == "win32"', "[nonsense", ""])
def test_a_requirement_that_may_not_count_makes_nothing_incomplete(
    tmp_path: Path, requirement: str
) -> None:
    path = dist_info(tmp_path, "a", "1", f"Requires-Dist: {requirement}\n")
    probe.write(path, {"top_level.txt": "a\n"})
    assert incomplete(tmp_path) == []


def test_a_number_of_any_length_can_be_compared(tmp_path: Path) -> None:
    path = dist_info(tmp_path, "a", "1", f"Requires-Dist: b>={'9' * 5000}\n")
    probe.write(path, {"top_level.txt": "a\n"})
    dist_info(tmp_path, "b", "1.2")
    assert incomplete(tmp_path) == ["a"]


def test_an_egg_info_file_that_lacks_a_requirement_names_no_modules(tmp_path: Path) -> None:
    probe.write(tmp_path, {"a-1.egg-info": "Name: a\nVersion: 1\nRequires-Dist: gone\n"})
    assert incomplete(tmp_path) == []


def test_a_real_environment_is_read_as_python_reads_it() -> None:
    """The one that runs the tests."""
    folder = importlib.metadata.distribution("pytest").locate_file("")
    found = {one["metadata"]: one for one in find(Path(str(folder)))}
    real = list(importlib.metadata.distributions(path=[str(folder)]))
    assert len(found) == len(real) > 5
    for distribution in real:
        path = str(distribution._path)  # type: ignore[attr-defined]
        one = found[path]
        assert one["name"] == distribution.metadata["Name"]
        assert one["version"] == distribution.version
        assert one["requires"] == (distribution.metadata.get_all("Requires-Dist") or [])
        assert one["extras"] == (distribution.metadata.get_all("Provides-Extra") or [])
        python = distribution.metadata.get_all("Requires-Python") or [None]
        assert one["requires_python"] == python[0]
        assert one["problem"] is None
