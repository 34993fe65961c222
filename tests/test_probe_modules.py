"""Finding modules as the import system finds them, and the builds that packages tell of."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from tests import probe

modules = probe.module("modules")

EXTENSION = importlib.machinery.EXTENSION_SUFFIXES[0]


def find(name: str, *folders: Path) -> tuple[str, Path] | None:
    found = probe.finder(*folders).find(name)
    return (found["kind"], Path(found["origin"])) if found else None


def test_each_kind_of_module(tmp_path: Path) -> None:
    files = [
        "package/__init__.py",
        "package/inner.py",
        f"fast{EXTENSION}",
        "single.py",
        "space/a.py",
    ]
    probe.write(tmp_path, dict.fromkeys(files, ""))
    assert find("package", tmp_path) == ("package", tmp_path / "package/__init__.py")
    assert find("package.inner", tmp_path) == ("module", tmp_path / "package/inner.py")
    assert find("fast", tmp_path) == ("extension", tmp_path / f"fast{EXTENSION}")
    assert find("single", tmp_path) == ("module", tmp_path / "single.py")
    assert find("space", tmp_path) == ("namespace", tmp_path / "space")
    assert find("space.a", tmp_path) == ("module", tmp_path / "space/a.py")


@pytest.mark.parametrize(
    "name", ["gone", "package.gone", "gone.inner", "single.inner", "fast.inner", "", "a/b", "a\0b"]
)
def test_what_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    probe.write(
        tmp_path,
        dict.fromkeys(["package/__init__.py", "single.py", f"fast{EXTENSION}", "a/b.py"], ""),
    )
    assert find(name, tmp_path, tmp_path / "gone") is None


def test_letters_count_on_every_file_system(tmp_path: Path) -> None:
    probe.write(tmp_path, {"pil/__init__.py": ""})
    assert find("PIL", tmp_path) is None


@pytest.mark.parametrize("earlier", ["name/__init__.py", f"name{EXTENSION}", "name.py"])
def test_the_earlier_folder_wins(tmp_path: Path, earlier: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    probe.write(first, {earlier: ""})
    probe.write(second, {"name/__init__.py": ""})
    found = find("name", first, second)
    assert found is not None
    assert found[1] == first / earlier


def test_a_package_further_on_goes_before_a_folder_without_init(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    probe.write(first, {"torch/readme.txt": ""})
    probe.write(second, {"torch/__init__.py": ""})
    assert find("torch", first, second) == ("package", second / "torch/__init__.py")


def test_a_namespace_is_in_all_its_folders(tmp_path: Path) -> None:
    """As ``mlx``, whose Python files and backend come from two distributions."""
    first, second = tmp_path / "first", tmp_path / "second"
    probe.write(first, {"mlx/nn/__init__.py": ""})
    probe.write(second, {f"mlx/core{EXTENSION}": ""})
    assert find("mlx", first, second) == ("namespace", first / "mlx")
    assert find("mlx.core", first, second) == ("extension", second / f"mlx/core{EXTENSION}")
    assert find("mlx.nn", first, second) == ("package", first / "mlx/nn/__init__.py")


def test_an_extension_for_another_python_is_none_here(tmp_path: Path) -> None:
    probe.write(
        tmp_path, {"fast.cpython-36m-x86_64-linux-gnu.so": "", "old.cp36-win_amd64.pyd": ""}
    )
    assert find("fast", tmp_path) is None
    assert find("old", tmp_path) is None


def test_of_a_module_in_several_forms_the_compiled_one_is_taken(tmp_path: Path) -> None:
    probe.write(tmp_path, dict.fromkeys(["a.py", f"a{EXTENSION}", "b/__init__.py", "b.py"], ""))
    assert find("a", tmp_path) == ("extension", tmp_path / f"a{EXTENSION}")
    assert find("b", tmp_path) == ("package", tmp_path / "b/__init__.py")


def test_packages_and_modules_without_source(tmp_path: Path) -> None:
    files = [f"compiled/__init__{EXTENSION}", "closed/__init__.pyc", "single.pyc", "compiled/a.py"]
    probe.write(tmp_path, dict.fromkeys(files, ""))
    assert find("compiled", tmp_path) == ("package", tmp_path / files[0])
    assert find("compiled.a", tmp_path) == ("module", tmp_path / "compiled/a.py")
    assert find("closed", tmp_path) == ("package", tmp_path / "closed/__init__.pyc")
    assert find("single", tmp_path) == ("module", tmp_path / "single.pyc")


def test_a_link_to_nowhere_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "package").symlink_to(tmp_path / "gone")
    assert find("package", tmp_path) is None


def test_an_editable_install_of_setuptools_is_found_by_its_table(tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    probe.write(work, {"src/mlx_vlm/__init__.py": "", "src/mlx_vlm/utils.py": "", "src/one.py": ""})
    mapping = {"mlx_vlm": str(work / "src/mlx_vlm"), "alone": str(work / "src/one")}
    text = f"NAME = 'x'\nMAPPING: dict[str, str] = {mapping!r}\nNAMESPACES = {{}}\n"
    probe.write(site, {"__editable___mlx_vlm_0_7_10_finder.py": text})
    assert find("mlx_vlm", site) == ("package", work / "src/mlx_vlm/__init__.py")
    assert find("mlx_vlm.utils", site) == ("module", work / "src/mlx_vlm/utils.py")
    assert find("alone", site) == ("module", work / "src/one.py")
    assert find("other", site) is None
    probe.write(site, {"mlx_vlm/__init__.py": ""})
    assert find("mlx_vlm", site) == ("package", site / "mlx_vlm/__init__.py")


def test_a_table_of_an_editable_install_that_is_no_table(tmp_path: Path) -> None:
    probe.write(tmp_path, {"__editable___a_finder.py": "MAPPING = make()\n"})
    assert find("a", tmp_path) is None


def test_the_same_as_the_import_system_finds_here() -> None:
    """On the path of the interpreter that runs the tests."""
    entries = [Path(folder) for folder in sys.path if os.path.isdir(folder)]
    finder = probe.finder(*entries)
    names = ["pytest", "json.decoder", "xml", "_ctypes", "packaging.version", "msgspec._core", "py"]
    for name in [*names, "huggingface_hub", "doctor.facts", "no_such_module"]:
        spec = importlib.util.find_spec(name)
        found = finder.find(name)
        assert (spec and spec.origin) == (found and found["origin"]), name


def test_site_packages_inside_the_library_are_not_standard(tmp_path: Path) -> None:
    """As they lie in conda's environments and in a system's Python."""
    library = tmp_path / "lib"
    site = library / "site-packages"
    finder = modules.Finder(
        [
            {"path": str(library), "kind": "standard-library"},
            {"path": str(site), "kind": "site-packages"},
        ]
    )
    assert finder.is_standard(str(library / "json" / "__init__.py"))
    assert not finder.is_standard(str(site / "mlx_vlm" / "__init__.py"))
    assert not finder.is_standard(str(tmp_path / "library" / "a.py"))


@pytest.mark.parametrize(
    ("text", "version", "cuda"),
    [
        ("__version__ = '2.9.1+cpu'\ncuda: Optional[str] = None\n", "2.9.1+cpu", None),
        ("__version__ = '2.9.1+cu128'\ncuda: Optional[str] = '12.8'\n", "2.9.1+cu128", "12.8"),
        ('__version__: str = "2.9.1"\ncuda = "12.8"\n', "2.9.1", "12.8"),
        ("__version__ = '0.24.1'\nif has():\n    cuda = has()\n", "0.24.1", None),
        ("__all__ = ['__version__']\n__version__ = '1.0'\n", "1.0", None),
    ],
)
def test_a_build_as_its_version_file_tells_it(
    tmp_path: Path, text: str, version: str, cuda: str | None
) -> None:
    probe.write(tmp_path, {"torch/__init__.py": "", "torch/version.py": text})
    source = str(tmp_path / "torch/version.py")
    expected = {"version": version, "cuda": cuda, "source": source}
    assert modules.build(probe.finder(tmp_path), "torch") == expected


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"torch/readme.txt": ""},
        {"torch.py": "__version__ = '1'"},
        {"torch/__init__.py": "__version__ = '1'"},
        {"torch/__init__.py": "", "torch/version.py": ""},
        {"torch/__init__.py": "", "torch/version.py": "__version__ = get()\n"},
        {"torch/__init__.py": "", "torch/version.py/inner": ""},
    ],
)
def test_no_build_where_nothing_tells_it(tmp_path: Path, files: dict[str, str]) -> None:
    probe.write(tmp_path, files)
    assert modules.build(probe.finder(tmp_path), "torch") is None
