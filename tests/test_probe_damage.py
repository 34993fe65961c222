"""Files that are not as they were installed: what the probe says, and what Python does."""

from __future__ import annotations

import importlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import installed_packages, probe

damage = probe.module("damage")
libraries = probe.module("libraries")

Changes = dict[str, "str | None"]

INNER = installed_packages.PACKAGES["other"]["other/inner.py"]
UTILS = installed_packages.PACKAGES["mlx_vlm"]["mlx_vlm/utils.py"]

# The changes, and the files that a generation fails by.
HARMFUL: dict[str, tuple[Changes, list[str]]] = {
    "followed: gone": ({"mlx_vlm/utils.py": None}, ["mlx_vlm/utils.py"]),
    "followed: emptied": ({"mlx_vlm/utils.py": ""}, ["mlx_vlm/utils.py"]),
    "followed: does not parse": ({"mlx_vlm/utils.py": UTILS[:10]}, ["mlx_vlm/utils.py"]),
    "followed: parses, and lost what it calls itself": (
        {"mlx_vlm/utils.py": UTILS[: UTILS.index("\n\n\n") + 1]},
        ["mlx_vlm/utils.py"],
    ),
    "followed: longer, and lost what it calls itself": (
        {"mlx_vlm/utils.py": UTILS.replace("def helper", "def another_helper")},
        ["mlx_vlm/utils.py"],
    ),
    "reached: gone": ({"other/inner.py": None}, ["other/inner.py"]),
    "reached: lost a name": ({"other/inner.py": INNER[:10]}, ["other/inner.py"]),
    "reached: does not parse": ({"other/inner.py": INNER + "def ("}, ["other/inner.py"]),
    "required by what is reached: gone": ({"single.py": None}, ["single.py"]),
    "required by what is reached: lost an attribute": (
        {"single.py": "OTHER = 1, 2, 3\n"},
        ["single.py"],
    ),
}

HARMLESS: dict[str, Changes] = {
    "nothing": {},
    "a comment": {"mlx_vlm/utils.py": UTILS + "# a comment\n", "other/inner.py": INNER + "# one\n"},
    "no line end": {"mlx_vlm/utils.py": UTILS[:-1]},
    "a patch": {"mlx_vlm/utils.py": UTILS.replace("return 1", "return 1000")},
    "optional and gone": {"other/fast.py": None},
    "never imported: gone": {"other/unused.py": None, "mlx_vlm/unused.py": None},
    "tests are gone": {"other/tests/test_other.py": None},
    "data is gone": {"other/data.json": None},
    "files of nobody": {"other/notes.txt": "", "mlx_vlm/added.py": "import gone", "x.py": "("},
}


@pytest.fixture
def environment(tmp_path: Path) -> tuple[Path, Path]:
    """An interpreter with the packages, and their folder."""
    python = installed_packages.make(tmp_path / "environment")
    return python, probe.site_packages(python)


@pytest.mark.parametrize("name", HARMFUL)
def test_what_a_run_fails_by_is_named(name: str, environment: tuple[Path, Path]) -> None:
    python, site = environment
    changes, files = HARMFUL[name]
    installed_packages.change(site, changes)
    assert not installed_packages.runs(python)
    answer = installed_packages.ask(python)
    probe.environment_of(answer)
    named = [file["path"] for file in answer["damaged"] if file["problem"]]
    assert named == [str(site / file) for file in files]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_run_does_not_fail_by_is_no_problem(
    name: str, environment: tuple[Path, Path]
) -> None:
    python, site = environment
    installed_packages.change(site, HARMLESS[name])
    assert installed_packages.runs(python)
    answer = installed_packages.ask(python)
    assert [file for file in answer["damaged"] if file["problem"]] == []
    assert answer["imports"]["problems"] == []


def test_an_edit_on_the_way_is_told_from_one_that_is_not(environment: tuple[Path, Path]) -> None:
    python, site = environment
    (site / "mlx_vlm" / "utils.py").write_text(UTILS + "# edited\n")
    (site / "mlx_vlm" / "unused.py").write_text("# edited, and never imported\n")
    (site / "other" / "data.json").unlink()
    answer = installed_packages.ask(python)
    told = {Path(file["path"]).name: (file["kind"], file["used"]) for file in answer["damaged"]}
    assert told == {
        "utils.py": ("source", True),
        "unused.py": ("source", False),
        "data.json": ("data", False),
    }


def test_of_two_metadata_folders_the_one_that_fits_counts(environment: tuple[Path, Path]) -> None:
    python, site = environment
    stale = site / "other-0.1.dist-info"
    shutil.copytree(site / "other-1.0.dist-info", stale)
    (stale / "RECORD").write_text("other/__init__.py,,5\nother/gone.py,,7\n")
    assert installed_packages.ask(python)["damaged"] == []


def test_a_library_for_another_python_is_not_found(environment: tuple[Path, Path]) -> None:
    python, site = environment
    name = "other/inner.cpython-38-x86_64-linux-gnu.so"
    (site / "other" / "inner.py").rename(site / name)
    record = site / "other-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("other/inner.py", name))
    assert not installed_packages.runs(python)
    (file,) = installed_packages.ask(python)["damaged"]
    assert file["problem"] == "it is compiled for another Python"


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a\0b", "/etc/passwd", "x" * 5000])
def test_a_hostile_record_does_no_harm(name: str, environment: tuple[Path, Path]) -> None:
    python, site = environment
    with open(site / "other-1.0.dist-info" / "RECORD", "a") as record:
        record.write(f"{name},,99999999999999999999\n{name}/__init__.py,,3\n{name}.so,,x\n")
        record.write("other/two.py,,²\n")
    probe.environment_of(installed_packages.ask(python))


# A compiled module that is surely there.
EXTENSION = Path(str(importlib.import_module("msgspec._core").__file__))


def imports_extension(path: Path) -> bool:
    """Whether this Python can load the module, in a process of its own: it may crash."""
    code = "import importlib.machinery as m, sys\nspec = m.ModuleSpec('_core', None, "
    code += "origin=sys.argv[1])\nm.ExtensionFileLoader('_core', sys.argv[1]).create_module(spec)"
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="cuts an ELF library")
@pytest.mark.parametrize("cut", [0, 2000, -1, None])
def test_a_cut_library_loads_if_all_that_is_loaded_is_there(
    tmp_path: Path, cut: int | None
) -> None:
    library = tmp_path / EXTENSION.name
    shutil.copy(EXTENSION, library)
    loaded = libraries.describe(str(library))["loaded_bytes"]
    # -1: one page too short; null: only what is for debuggers is gone
    os.truncate(library, loaded if cut is None else loaded - 4096 if cut < 0 else cut)
    assert imports_extension(library) == (cut is None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF library")
def test_the_libraries_that_a_real_one_needs() -> None:
    described = libraries.describe(str(EXTENSION))
    listed = subprocess.run(["ldd", EXTENSION], capture_output=True, text=True, check=True).stdout
    assert described["needed"]
    assert all(name in listed for name in described["needed"])


def mach_o(*commands: bytes) -> bytes:
    body = b"".join(commands)
    return struct.pack("<8I", 0xFEEDFACF, 0x0100000C, 0, 6, len(commands), len(body), 0, 0) + body


def text_command(kind: int, offset: int, text: bytes) -> bytes:
    """A load command that ends with a text, as LC_LOAD_DYLIB and LC_RPATH do."""
    padded = text + b"\0" * (8 - len(text) % 8)
    head = struct.pack("<3I", kind, offset + len(padded), offset)
    return head + b"\0" * (offset - len(head)) + padded


def test_a_library_of_macos(tmp_path: Path) -> None:
    segment = struct.pack("<2I16s4Q4I", 0x19, 72, b"__TEXT", 0, 4096, 0, 4096, 5, 5, 0, 0)
    thin = mach_o(
        segment,
        text_command(0x0C, 24, b"@rpath/libmlx.dylib"),
        text_command(0x8000001C, 12, b"@loader_path/lib"),
    )
    expected: dict[str, Any] = {
        "loaded_bytes": 4096,
        "needed": ["@rpath/libmlx.dylib"],
        "folders": [f"{tmp_path}/lib"],
    }
    (tmp_path / "core.so").write_bytes(thin.ljust(4096, b"\0"))
    assert libraries.describe(str(tmp_path / "core.so")) == expected
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libmlx.dylib").write_bytes(mach_o())
    loaded = libraries.closure([str(tmp_path / "core.so")], {})
    assert os.path.realpath(tmp_path / "lib" / "libmlx.dylib") in loaded
    fat = struct.pack(">2I", 0xCAFEBABE, 1) + struct.pack(">5I", 0, 0, 8192, 4096, 12)
    (tmp_path / "fat.so").write_bytes(fat.ljust(8192, b"\0") + thin.ljust(4096, b"\0"))
    assert libraries.describe(str(tmp_path / "fat.so")) == {**expected, "loaded_bytes": 12288}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF",
        b"\x7fELF\x02\x01" + b"\xff" * 200,
        b"\xcf\xfa\xed\xfe" + b"\xff" * 60,
        b"\xcf\xfa\xed\xfe" + b"\xff" * 28 + b"\0" * 60,  # thousands of millions of commands
        b"x",
    ],
)
def test_what_is_no_library(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.so").write_bytes(content)
    assert libraries.describe(str(tmp_path / "x.so")) is None
    assert libraries.describe(str(tmp_path / "gone.so")) is None
    assert libraries.closure([str(tmp_path / "x.so")], {}) == {os.path.realpath(tmp_path / "x.so")}


@pytest.mark.parametrize(
    ("content", "zeros", "told"),
    [
        (b"x" * 200_000, 0, 200_000),
        (b"x" * 130_000, 70_000, 130_000),
        (b"x" * 190_000, 10_000, 200_000),
        (b"x" * 100 + b"\0" * 70_000 + b"x", 100_000, 70_101),
        (b"", 200_000, 0),
    ],
)
def test_zeros_that_nobody_wrote(tmp_path: Path, content: bytes, zeros: int, told: int) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(content + bytes(zeros))
    assert damage.bytes_before_zeros(str(path)) == told
    assert damage.bytes_before_zeros(str(tmp_path)) is None


def test_when_the_last_of_the_files_was_written_is_told(tmp_path: Path) -> None:
    notes = probe.notes()
    for name, written in (("a.py", 5 * 10**17), ("b.py", 7 * 10**17)):
        (tmp_path / name).write_text("x = 1\n")
        os.utime(tmp_path / name, ns=(written, written))
    damage.find([("some", str(tmp_path), {"a.py": 6, "gone.py": 1})], notes, probe.finder(tmp_path))
    assert notes.newest == 5 * 10**17
    damage.find([("some", str(tmp_path), {"b.py": 6})], notes, probe.finder(tmp_path))
    assert notes.newest == 7 * 10**17


def test_a_library_that_ends_with_zeros_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(b"x" * 130_000 + bytes(70_000))
    expected = [("some", str(tmp_path), {"library.so": 200_000})]
    [found] = damage.find(expected, probe.notes(), probe.finder(tmp_path))
    assert (found["recorded_bytes"], found["bytes"]) == (200_000, 130_000)
