"""The whole probe in real environments: what is on the path, and what must not run there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from doctor.facts import Environment
from doctor.probes import environment
from tests import probe

# Longer than any probe takes, shorter than anybody would wait for a test.
FOREVER = 300


@pytest.fixture(autouse=True)
def own_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of whoever runs the tests; no files outside of this test's folder."""
    for name in list(os.environ):
        if name.startswith("PYTHON"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VLM_DOCTOR_CACHE", str(tmp_path / "doctor-cache"))
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "user"))


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return probe.make_venv(tmp_path / "venv")


def look(python: str | Path, **question: object) -> Environment:
    return probe.environment_of(probe.ask(python, **question))


def paths(seen: Environment) -> list[str]:
    return [entry.path for entry in seen.interpreter.search_path]


def kinds(seen: Environment) -> dict[str, str]:
    return {entry.path: entry.kind for entry in seen.interpreter.search_path}


def ordinary_path(python: str | Path) -> list[str]:
    """``sys.path`` of an ordinary start, less the current folder."""
    path = probe.say(python, "import json, sys; print(json.dumps(sys.path[1:]))")
    assert isinstance(path, list)
    return path


def base_python() -> str:
    """The interpreter that the environment of these tests was made from."""
    return str(getattr(sys, "_base_executable", sys.executable))


@pytest.mark.parametrize("minor", probe.MINORS)
def test_every_python_answers_however_broken_its_start_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minor: int
) -> None:
    base = probe.interpreters().get(minor)
    if base is None:
        pytest.skip(f"there is no Python 3.{minor} on this machine")
    python = probe.make_venv(tmp_path / "venv", base)
    site = probe.site_packages(python)
    probe.write(site, {"mlx_vlm/__init__.py": "from .gone import a", "mlx_vlm/models/x.py": ""})
    probe.write(site, {"a-1.dist-info/METADATA": "Name: a\nVersion: 1\nRequires-Dist: b\n"})
    spoilt = "print('rubbish')\nraise SystemExit(9)\n"
    probe.write(site, {"sitecustomize.py": spoilt, "spoilt.pth": "import os; os._exit(9)\n"})
    shadows = probe.write(
        tmp_path / "shadows", {"json.py": spoilt, "os.py": spoilt, "re.py": spoilt}
    )
    monkeypatch.setenv("PYTHONPATH", str(shadows))
    before = probe.tree(tmp_path / "venv")
    seen = look(python, modules=["mlx_vlm", "json"], notes=tmp_path / "notes")
    assert probe.tree(tmp_path / "venv") == before
    assert seen.interpreter.version.startswith(f"3.{minor}.")
    assert seen.interpreter.markers["python_version"] == f"3.{minor}"
    assert seen.interpreter.markers["sys_platform"] == sys.platform
    assert seen.interpreter.prefix == str(tmp_path / "venv")
    assert seen.interpreter.kind == "virtual"
    assert [(one.name, one.requires) for one in seen.distributions] == [("a", ("b",))]
    assert seen.modules["json"] is not None
    assert seen.modules["json"].origin == str(shadows / "json.py")
    assert seen.imports is not None
    assert [one.module for one in seen.imports.problems] == [
        "mlx_vlm.gone",
        "mlx_vlm.prompt_utils",
        "jinja2",
        "PIL",
    ]


def test_the_python_of_these_tests_is_among_those_that_were_found() -> None:
    assert sys.version_info[1] in probe.interpreters()
    assert len(set(probe.interpreters().values())) == len(probe.interpreters())


def test_an_empty_environment(tmp_path: Path, python: Path) -> None:
    seen = look(python)
    site = str(probe.site_packages(python))
    assert kinds(seen)[site] == "site-packages"
    assert set(kinds(seen).values()) == {"standard-library", "site-packages"}
    assert seen.distributions == ()
    assert seen.leftovers == ()
    interpreter = seen.interpreter
    assert interpreter.executable == str(python)
    assert interpreter.prefix == str(tmp_path / "venv")
    assert interpreter.base_prefix == sys.base_prefix
    assert interpreter.base_is_there
    assert interpreter.site_packages == interpreter.platform_site_packages == site
    assert interpreter.scripts == str(python.parent)
    assert interpreter.writable
    assert not interpreter.externally_managed
    assert (seen.transformers, seen.processor, seen.imports) == (None, None, None)


def test_the_markers_are_those_that_packaging_evaluates_with(python: Path) -> None:
    from packaging.markers import default_environment

    expected = dict(default_environment())
    assert look(python).interpreter.markers == expected


@pytest.mark.parametrize("options", [(), ("--system-site-packages",)])
def test_the_path_is_that_of_an_ordinary_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """With folders from ``PYTHONPATH``, from ``.pth`` files and of the user, in this order."""
    python = probe.make_venv(tmp_path / "venv", base_python(), *options)
    user = Path(
        probe.say(python, "import json, site; print(json.dumps(site.getusersitepackages()))")
    )
    folders = [tmp_path / name for name in ("one", "two", "three", "four")]
    for folder in (*folders, user):
        folder.mkdir(parents=True)
    probe.write(user, {"user.pth": f"{folders[0]}\n"})
    site = probe.site_packages(python)
    probe.write(
        site, {"b.pth": f"# a comment\n\n{folders[1]}\nrelative\ngone\n", "a.pth": str(site)}
    )
    probe.write(
        site, {"c.pth": f"{folders[1]}\n{folders[2]}\r\n", "relative/a.py": "", "d.txt": "x"}
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folders[3]), str(tmp_path / "gone")]))
    seen = look(python)
    assert paths(seen) == ordinary_path(python)
    assert kinds(seen)[str(folders[3])] == kinds(seen)[str(tmp_path / "gone")] == "pythonpath"
    for folder in (folders[1], folders[2], site / "relative"):
        assert kinds(seen)[str(folder)] == "pth"
    assert (str(user) in paths(seen)) == (str(folders[0]) in paths(seen)) == bool(options)
    if options:
        assert kinds(seen)[str(user)] == "user-site"
        assert kinds(seen)[str(folders[0])] == "pth"


def test_the_path_of_a_base_interpreter_is_that_of_an_ordinary_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = probe.say(
        base_python(), "import json, site; print(json.dumps(site.getusersitepackages()))"
    )
    Path(user).mkdir(parents=True)
    assert paths(look(base_python())) == ordinary_path(base_python())
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    assert user not in paths(look(base_python()))
    assert paths(look(base_python())) == ordinary_path(base_python())


def test_the_modules_of_the_base_are_seen_from_inside_where_they_are_shared(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    probe.write(probe.site_packages(base), {"shared.py": "", "a-1.dist-info/METADATA": "Name: a\n"})
    alone = probe.make_venv(tmp_path / "alone", str(base))
    together = probe.make_venv(tmp_path / "together", str(base), "--system-site-packages")
    seen = look(alone, modules=["shared"])
    assert (seen.modules["shared"], seen.distributions) == (None, ())
    seen = look(together, modules=["shared"])
    assert seen.modules["shared"] is not None
    assert [one.name for one in seen.distributions] == ["a"]


def test_of_a_module_in_a_pth_folder_and_in_the_base_the_first_is_taken(tmp_path: Path) -> None:
    """An editable install in the environment goes before the copy in its base."""
    base = make_base(tmp_path / "base")
    probe.write(probe.site_packages(base), {"mlx_vlm/__init__.py": ""})
    python = probe.make_venv(tmp_path / "venv", str(base), "--system-site-packages")
    work = probe.write(tmp_path / "work", {"mlx_vlm/__init__.py": ""})
    probe.write(probe.site_packages(python), {"__editable__.mlx_vlm.pth": f"{work}\n"})
    seen = look(python, modules=["mlx_vlm"])
    assert seen.modules["mlx_vlm"] is not None
    real = probe.say(python, "import json, mlx_vlm; print(json.dumps(mlx_vlm.__file__))")
    assert seen.modules["mlx_vlm"].origin == real == str(work / "mlx_vlm/__init__.py")


EFFECTS = {
    "prints": "print('rubbish')",
    "prints much": "print('x' * 1_000_000)",
    "raises": "raise ValueError('rubbish')",
    "exits": "import sys; sys.exit(3)",
    "dies": "import os; os._exit(3)",
    "sleeps": f"import time; time.sleep({FOREVER})",
    "shuts the output": "import os; os.close(1); os.close(2)",
}


def starts(python: Path, trap: Path) -> bool:
    """Whether an ordinary start of this interpreter runs into the trap."""
    process = subprocess.Popen(
        [python, "-c", "pass"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None and not trap.exists():
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    return trap.exists()


def assert_it_does_not_run(python: Path, trap: Path) -> None:
    began = time.monotonic()
    seen = look(python)
    assert time.monotonic() - began < FOREVER / 5
    assert seen.interpreter.executable == str(python)
    assert not trap.exists()
    assert starts(python, trap), "this trap catches nobody"


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_code_in_a_pth_file_does_not_run(tmp_path: Path, python: Path, effect: str) -> None:
    trap = tmp_path / "trap"
    line = f"import os; open({str(trap)!r}, 'w').close(); {EFFECTS[effect]}\n"
    probe.write(probe.site_packages(python), {"trap.pth": line})
    assert_it_does_not_run(python, trap)


@pytest.mark.parametrize("effect", EFFECTS)
def test_sitecustomize_does_not_run(tmp_path: Path, python: Path, effect: str) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w').close()\n{EFFECTS[effect]}\n"
    probe.write(probe.site_packages(python), {"sitecustomize.py": code})
    assert_it_does_not_run(python, trap)


@pytest.mark.parametrize("effect", EFFECTS)
def test_usercustomize_does_not_run(tmp_path: Path, effect: str) -> None:
    python = probe.make_venv(tmp_path / "venv", base_python(), "--system-site-packages")
    user = probe.say(python, "import json, site; print(json.dumps(site.getusersitepackages()))")
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w').close()\n{EFFECTS[effect]}\n"
    probe.write(Path(user), {"usercustomize.py": code})
    assert_it_does_not_run(python, trap)


@pytest.mark.parametrize("name", ["json", "os", "site", "ast", "sitecustomize", "source", "notes"])
def test_a_module_on_pythonpath_that_shadows_another_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: Path, name: str
) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w').close()\nraise ValueError\n"
    shadows = probe.write(tmp_path / "shadows", {f"{name}.py": code})
    monkeypatch.setenv("PYTHONPATH", str(shadows))
    monkeypatch.chdir(shadows)
    seen = look(python, modules=[name])
    assert not trap.exists()
    found = seen.modules[name]
    assert found is not None
    # From Python 3.11 on it holds a copy of its own of these, which is found first.
    frozen = sys.version_info >= (3, 11) and name in ("os", "site")
    assert (found.origin == str(shadows / f"{name}.py")) != frozen
    subprocess.run([python, "-c", f"import {name}"], check=False, stderr=subprocess.DEVNULL)
    if name not in ("os", "site"):
        assert trap.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYTHONHOME", "/no/such/folder"),
        ("PYTHONSTARTUP", "/no/such/file"),
        ("PYTHONIOENCODING", "nonsense"),
        ("PYTHONINSPECT", "1"),
        ("PYTHONVERBOSE", "1"),
        ("PYTHONWARNINGS", "error"),
        ("PYTHONOPTIMIZE", "2"),
    ],
)
def test_variables_of_python_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, python: Path, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert look(python).interpreter.executable == str(python)


@pytest.mark.parametrize("bytes_", [b"\xff\xfe\x00", b"\xef\xbb\xbfrelative\n", b"relative\0\n"])
def test_pth_files_of_any_bytes(tmp_path: Path, python: Path, bytes_: bytes) -> None:
    site = probe.site_packages(python)
    (site / "relative").mkdir()
    (site / "odd.pth").write_bytes(bytes_)
    (site / "folder.pth").mkdir()
    (site / "nowhere.pth").symlink_to(tmp_path / "gone")
    pth = [path for path, kind in kinds(look(python)).items() if kind == "pth"]
    assert pth == ([str(site / "relative")] if b"\xef" in bytes_ else [])


def make_base(folder: Path) -> Path:
    """A base interpreter of its own: a copy of the executable, and links to Python's library."""
    real = Path(base_python()).resolve()
    base = Path(sys.base_prefix)
    stdlib = Path(os.__file__).parent.relative_to(base)
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / real.name
    python.write_bytes(real.read_bytes())
    python.chmod(0o755)
    for inside in (stdlib.parent, stdlib):
        (folder / inside).mkdir(parents=True, exist_ok=True)
        for path in (base / inside).iterdir():
            if path.name not in ("site-packages", stdlib.name):
                (folder / inside / path.name).symlink_to(path)
    (folder / stdlib / "site-packages").mkdir()
    return python


def stdlib_of(python: Path) -> Path:
    return Path(
        probe.say(python, "import json, sysconfig as s; print(json.dumps(s.get_path('stdlib')))")
    )


def test_a_base_interpreter(tmp_path: Path) -> None:
    python = make_base(tmp_path / "base")
    seen = look(python)
    assert seen.interpreter.kind == "system"
    assert seen.interpreter.prefix == seen.interpreter.base_prefix == str(tmp_path / "base")
    assert not seen.interpreter.externally_managed
    assert kinds(seen)[str(probe.site_packages(python))] == "site-packages"


def test_a_base_interpreter_whose_site_packages_lie_inside_its_library(tmp_path: Path) -> None:
    python = make_base(tmp_path / "base")
    site = probe.site_packages(python)
    assert stdlib_of(python) in site.parents
    probe.write(site, {"mlx_vlm/__init__.py": "from .models import gone", "mlx_vlm/models.py": ""})
    seen = look(python, modules=["mlx_vlm"])
    assert seen.imports is not None
    assert seen.imports.reached == ("mlx_vlm",)
    problems = [(one.module, one.name) for one in seen.imports.problems]
    assert problems[0] == ("mlx_vlm.models", "gone")


def test_an_externally_managed_base_and_an_environment_on_it(tmp_path: Path) -> None:
    python = make_base(tmp_path / "base")
    (stdlib_of(python) / "EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
    assert look(python).interpreter.externally_managed
    assert not look(probe.make_venv(tmp_path / "venv", str(python))).interpreter.externally_managed


def test_an_environment_of_conda(tmp_path: Path) -> None:
    python = make_base(tmp_path / "base")
    (tmp_path / "base" / "conda-meta").mkdir()
    assert look(python).interpreter.kind == "conda"
    assert look(probe.make_venv(tmp_path / "venv", str(python))).interpreter.kind == "virtual"


def test_a_folder_that_nothing_can_be_written_into(python: Path) -> None:
    site = probe.site_packages(python)
    site.rmdir()
    assert look(python).interpreter.writable  # it would be made
    site.touch()
    assert not look(python).interpreter.writable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_one_may_not_write_into(python: Path) -> None:
    site = probe.site_packages(python)
    site.chmod(0o555)
    assert not look(python).interpreter.writable
    site.chmod(0o755)


def test_what_the_c_library_is(python: Path) -> None:
    libc = look(python).interpreter.libc
    try:
        expected = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError):
        expected = None
    assert libc == expected


def test_names_of_files_in_any_bytes_and_letters(python: Path) -> None:
    """The answer still goes through the doctor's facts and back."""
    site = probe.site_packages(python)
    (site / "~größe 漢字").mkdir()
    odd = os.fsencode(site) + b"/~\xff\xfe"
    try:
        os.mkdir(odd)
    except OSError:
        odd = b""  # this file system takes no such names
    import msgspec

    seen = look(python)
    assert str(site / "~größe 漢字") in seen.leftovers
    assert len(seen.leftovers) == (2 if odd else 1)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Environment) == seen


def test_the_bytecode_of_the_probe_stays_with_the_doctor(tmp_path: Path, python: Path) -> None:
    before = probe.tree(Path(environment.PROBE))
    look(python)
    assert probe.tree(Path(environment.PROBE)) == before
    assert list((tmp_path / "doctor-cache").rglob("*.pyc"))


def test_the_answer_is_one_json_object_between_markers(python: Path) -> None:
    question: dict[str, Any] = {"modules": [], "model_type": None}
    result = subprocess.run(
        [python, "-I", "-S", str(environment.PROBE), "a marker", ""],
        input=json.dumps(question).encode(),
        capture_output=True,
        check=True,
    )
    before, answer, after = result.stdout.decode().split("\na marker\n")
    assert (before, after, result.stderr) == ("", "", b"")
    assert json.loads(answer)["interpreter"]["executable"] == str(python)
