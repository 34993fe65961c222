"""Modules in the place of others, and start-up code: what the probe says, and what Python does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import installed_packages, probe

startup = probe.module("startup")


@pytest.fixture
def environment(tmp_path: Path) -> tuple[Path, Path]:
    """An interpreter with the packages, and their folder."""
    python = installed_packages.make(tmp_path / "environment")
    return python, probe.site_packages(python)


# What lies on PYTHONPATH, and the module that a generation fails by.
HIDING: dict[str, tuple[dict[str, str], str | None]] = {
    "another module, without the name": ({"other.py": "x = 1"}, "other"),
    "another package, without a module": ({"other/__init__.py": "tool = 1"}, "other"),
    "another package that does": (
        {"other/__init__.py": "tool = 1", "other/extra.py": ""},
        None,
    ),
    "one that is required by what is reached": ({"single.py": "x = 1"}, "single"),
    "one that itself imports what is not there": (
        {"single.py": "import not_there\nLEVEL = 1"},
        "single",
    ),
    "Python's own, without what is used": ({"queue.py": "x = 1"}, "queue"),
    "Python's own, with what is used": ({"queue.py": "Queue = LifoQueue = 1"}, None),
    "Python's own, used by Python's own": ({"heapq.py": "x = 1"}, "heapq"),
    "Python's own, on nobody's way": ({"turtle.py": "x = 1"}, None),
    "a name that Python has built in": ({"sys.py": "raise SystemExit", "time.py": "x = 1"}, None),
    "a folder without modules": ({"other/notes.txt": ""}, None),
    "nothing of these": ({"mine.py": "x = 1"}, None),
}


@pytest.mark.parametrize("name", HIDING)
def test_what_lies_on_pythonpath(
    name: str,
    environment: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python, _ = environment
    files, fails_by = HIDING[name]
    monkeypatch.setenv("PYTHONPATH", str(probe.write(tmp_path / "path", files)))
    assert installed_packages.runs(python) == (fails_by is None)
    answer = installed_packages.ask(python)
    probe.environment_of(answer)
    named = [shadow["module"] for shadow in answer["shadows"] if shadow["problem"]]
    assert named == ([fails_by] if fails_by else [])


def test_a_hiding_module_is_told_with_what_it_hides(
    environment: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, site = environment
    folder = probe.write(tmp_path / "path", {"single.py": "LEVEL = 2"})
    monkeypatch.setenv("PYTHONPATH", str(folder))
    assert installed_packages.ask(python)["shadows"] == [
        {
            "module": "single",
            "origin": str(folder / "single.py"),
            "hides": str(site / "single.py"),
            "place": "pythonpath",
            "standard": False,
            "used": True,
            "problem": None,
        }
    ]


@pytest.mark.parametrize(
    ("files", "module"),
    [
        ({"single/__init__.py": "x = 1"}, "single"),  # a package comes before a module
        ({"mlx_vlm/utils/__init__.py": "x = 1"}, "mlx_vlm.utils"),
        ({"other.py": "x = 1"}, None),
        ({"queue.py": "x = 1"}, None),  # Python's own library comes first
    ],
)
def test_what_lies_beside_the_packages(
    environment: tuple[Path, Path], files: dict[str, str], module: str | None
) -> None:
    python, site = environment
    probe.write(site, files)
    assert installed_packages.runs(python) == (module is None)
    shadows = installed_packages.ask(python)["shadows"]
    assert [shadow["module"] for shadow in shadows if shadow["problem"]] == [module] * bool(module)


def test_the_current_folder_is_told_and_hides_nothing(
    environment: tuple[Path, Path], tmp_path: Path
) -> None:
    python, site = environment
    folder = probe.write(tmp_path / "here", {"other.py": "", "queue.py": "", "sys.py": ""})
    shadows = installed_packages.ask(python, folder=str(folder))["shadows"]
    told = {shadow["module"]: (shadow["place"], shadow["problem"]) for shadow in shadows}
    assert told == {"other": ("current-folder", None), "queue": ("current-folder", None)}
    assert installed_packages.ask(python, folder=str(site))["shadows"] == []


# What lies beside the packages, whether a run succeeds, and the effects that are told.
STARTUP: dict[str, tuple[dict[str, str], bool, list[str]]] = {
    "ends Python": ({"sitecustomize.py": "import sys\nsys.exit(0)"}, False, ["ends"]),
    "ends Python in a function": (
        {"sitecustomize.py": "from sys import exit as leave\ndef main():\n    leave(1)\nmain()"},
        False,
        ["ends"],
    ),
    "raises an end": ({"sitecustomize.py": "raise SystemExit"}, False, ["ends"]),
    "ends Python for good": (
        {"sitecustomize.py": "import os\ntry:\n    os._exit(0)\nexcept BaseException:\n    pass"},
        False,
        ["ends"],
    ),
    "ends Python from a .pth file": ({"zz.pth": "import sys; sys.exit(0)"}, False, ["ends"]),
    "ends Python from a module of a .pth file": (
        {"zz.pth": "import zz_start", "zz_start.py": "exec('raise SystemExit')"},
        False,
        ["ends"],
    ),
    "catches its own end": (
        {"sitecustomize.py": "import sys\ntry:\n    sys.exit(1)\nexcept SystemExit:\n    pass"},
        True,
        ["may-end"],
    ),
    "would end an older Python": (
        {"sitecustomize.py": "import sys\nif sys.version_info < (3, 0):\n    sys.exit(1)"},
        True,
        [],
    ),
    "would end Python as a program": (
        {"sitecustomize.py": "import sys\nif __name__ == '__main__':\n    sys.exit(1)"},
        True,
        [],
    ),
    "ends Python where a variable says so": (
        {"sitecustomize.py": "import os, sys\nif 'NOT_SET' in os.environ:\n    sys.exit(1)"},
        True,
        ["may-end"],
    ),
    "takes modules away where a variable says so": (
        {
            "sitecustomize.py": "import os, sys, other\nif 'NOT_SET' in os.environ:\n"
            "    sys.modules['other.extra'] = None\n    other.tool = None\n"
        },
        True,
        ["may-take", "may-take"],
    ),
    "clears the path where a variable says so": (
        {"sitecustomize.py": "import os, sys\nif 'NOT_SET' in os.environ:\n    sys.path.clear()"},
        True,
        ["may-take"],
    ),
    "puts nothing on the path": (
        {"sitecustomize.py": "import sys\nsys.path[:0] = []\nsys.path[1:1] = ()"},
        True,
        [],
    ),
    "goes deep": (
        {
            "sitecustomize.py": "import sys\nn = 999\nif n == 0: pass\n"
            + "".join(f"elif n == {n}: pass\n" for n in range(1, 900))
            + "sys.path.append('gone')\n"
        },
        True,
        ["path-last"],
    ),
    "fails before it ends Python": (
        {"sitecustomize.py": "raise ValueError\nraise SystemExit"},
        True,
        [],
    ),
    "does not parse": ({"sitecustomize.py": "def ("}, True, []),
    "imports what is not there": ({"zz.pth": "import not_there"}, True, []),
    "takes a module away": (
        {"sitecustomize.py": "import sys\nsys.modules['other.extra'] = None"},
        False,
        ["absent"],
    ),
    "takes a name away": (
        {"sitecustomize.py": "import other.inner\nother.inner.value = None"},
        True,
        ["absent"],
    ),
    "patches": (
        {"sitecustomize.py": "import other\nother.tool = lambda: 5"},
        True,
        ["patch"],
    ),
    "sets a variable": (
        {"sitecustomize.py": "import os\nos.environ['HF_HUB_OFFLINE'] = '1'"},
        True,
        ["environment"],
    ),
    "changes how modules are found": (
        {"sitecustomize.py": "import sys\nsys.meta_path.append(sys.meta_path[0])"},
        True,
        ["hook"],
    ),
    "takes the packages off the path": (
        {"sitecustomize.py": "import sys\nsys.path[:] = [p for p in sys.path if 'site' not in p]"},
        False,
        ["path-without"],
    ),
    "clears the path": (
        {"sitecustomize.py": "import sys\nsys.path.clear()"},
        False,
        ["path-without"],
    ),
    "takes a folder off the path that is not there": (
        {"sitecustomize.py": "import sys\nsys.path = [p for p in sys.path if 'zz' not in p]"},
        True,
        ["path-without"],
    ),
    "another's usercustomize": ({"usercustomize.py": "raise SystemExit"}, True, []),
    "what virtualenv writes": (
        {"_virtualenv.pth": "import _virtualenv", "_virtualenv.py": "import sys\nsys.meta_path"},
        True,
        [],
    ),
}


def test_a_secret_that_is_set_is_not_told(environment: tuple[Path, Path]) -> None:
    python, site = environment
    probe.write(
        site,
        {"zz.pth": "import os; os.environ['HF_TOKEN'] = 'hf_abcdefgh'; os.environ['HF_HUB'] = 'h'"},
    )
    files = installed_packages.ask(python)["startup"]
    effects = [effect["detail"] for file in files for effect in file["effects"]]
    assert effects == ["HF_TOKEN=…", "HF_HUB=h"]


@pytest.mark.parametrize("name", STARTUP)
def test_startup_code(name: str, environment: tuple[Path, Path]) -> None:
    python, site = environment
    files, succeeds, kinds = STARTUP[name]
    probe.write(site, files)
    assert installed_packages.runs(python) == succeeds
    answer = installed_packages.ask(python)
    probe.environment_of(answer)
    effects = [effect for file in answer["startup"] for effect in file["effects"]]
    assert [effect["kind"] for effect in effects] == kinds
    fatal = [
        one["kind"] == "ends" or (one["kind"] in ("absent", "path-without") and one["on_the_way"])
        for one in effects
    ]
    assert any(fatal) != succeeds


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("sitecustomize.py", "import sys\nsys.path.insert(0, {folder!r})"),
        ("sitecustomize.py", "import sys\nsys.path[:0] = [{folder!r}]"),
        ("sitecustomize.py", "import sys\nsys.path = [{folder!r}] + sys.path"),
        ("zz.pth", "import sys; sys.path.insert(0, {folder!r})"),
        (
            "sitecustomize.py",
            "import os, sys\nhere = 1\n"
            "sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'first'))",
        ),
    ],
)
def test_folders_that_startup_code_adds_are_looked_into(
    environment: tuple[Path, Path], file: str, code: str
) -> None:
    python, site = environment
    folder = probe.write(site / "first", {"single.py": "x = 1"})
    probe.write(site, {file: code.format(folder=str(folder))})
    assert not installed_packages.runs(python)
    (shadow,) = installed_packages.ask(python)["shadows"]
    assert (shadow["module"], shadow["place"]) == ("single", "startup")
    assert shadow["problem"]


def test_a_line_of_a_pth_file_is_named(environment: tuple[Path, Path]) -> None:
    python, site = environment
    probe.write(site, {"zz.pth": "# a comment\n\nimport sys; sys.path.append('gone')\n"})
    (file,) = installed_packages.ask(python)["startup"]
    assert [effect["line"] for effect in file["effects"]] == [3]


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        # What Homebrew and others put beside Python's own library shuffles its folders.
        (
            "import os, re, sys\n"
            "if not os.path.isdir('/gone'):\n"
            "    sys.path = [re.sub('/long', '/short', path) for path in sys.path]\n"
            "    sys.path.append('/library')\n",
            [],
        ),
        ("import sys\nsys.exit(1)\n", ["ends"]),
    ],
)
def test_of_pythons_own_startup_code_only_harm_is_told(
    tmp_path: Path, code: str, kinds: list[str]
) -> None:
    folder = probe.write(tmp_path / "library", {"sitecustomize.py": code})
    entries = [{"path": str(folder), "kind": "standard-library"}]
    finder = probe.module("modules").Finder(entries)
    found = probe.module("startup").find(entries, finder, probe.notes(), set())
    assert [kind for file in found for _, kind, _ in file["effects"]] == kinds


def test_startup_code_of_a_distribution_is_its_own(environment: tuple[Path, Path]) -> None:
    python, site = environment
    probe.write(site, {"zz.pth": "import sys; sys.meta_path.append(sys.meta_path[0])"})
    assert installed_packages.ask(python)["startup"]
    with open(site / "other-1.0.dist-info" / "RECORD", "a") as record:
        record.write("zz.pth,,1\n")
    assert installed_packages.ask(python)["startup"] == []


def test_another_mlx_vlm_is_no_mlx_vlm(
    environment: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, _ = environment
    folder = probe.write(tmp_path / "path", {"mlx_vlm.py": "x = 1"})
    monkeypatch.setenv("PYTHONPATH", str(folder))
    assert not installed_packages.runs(python)
    (shadow,) = installed_packages.ask(python)["shadows"]
    assert (shadow["module"], shadow["problem"]) == ("mlx_vlm", "mlx_vlm.load")
