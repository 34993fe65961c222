"""How the tests reach the probe: its modules, whole runs of it, and environments to run it in."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import uv

from doctor.facts import Environment
from doctor.probes import environment
from doctor.target import Target

# The Pythons that the probe must run on.
MINORS = range(9, 15)


def module(name: str) -> Any:
    """One module of the probe, imported as the probe itself imports it."""
    folder = str(environment.PROBE)
    if folder not in sys.path:
        sys.path.append(folder)
    imported: ModuleType = importlib.import_module(name)
    return imported


def ask(python: str | Path, **question: object) -> dict[str, Any]:
    """The answer of the whole probe, started as the doctor starts it; ``notes`` is its file."""
    notes = question.pop("notes", None)
    assert notes is None or isinstance(notes, Path)
    asked: dict[str, object] = {
        "model_type": None,
        "processor_class": None,
        "image_processor_type": None,
        "purpose": "image",
        "modules": [],
        **question,
    }
    target = Target(python=str(python), found_by="a test")
    with environment.Probe(target, notes) as asking:
        asking.ask(asked)
        return asking.answer()


def environment_of(answer: dict[str, Any]) -> Environment:
    """The answer as the doctor's facts have it; raises where it does not fit them."""
    return msgspec.convert(answer, type=Environment)


def finder(*folders: Path, kind: str = "site-packages") -> Any:
    """A finder of modules in these folders and nowhere else."""
    return module("modules").Finder([{"path": str(folder), "kind": kind} for folder in folders])


def notes(path: Path | None = None) -> Any:
    """Notes that are kept at ``path``, or not at all."""
    return module("notes").Notes(None if path is None else str(path))


def write(folder: Path, files: dict[str, str]) -> Path:
    """Make files below a folder, by relative path and text."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def make_venv(folder: Path, python: str = sys.executable, *options: str) -> Path:
    """The interpreter of a new virtual environment without pip."""
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", *options, folder], check=True)
    return folder / "bin" / "python"


def say(python: str | Path, code: str) -> Any:
    """What an ordinary start of an interpreter prints as JSON."""
    output = subprocess.run([python, "-c", code], check=True, capture_output=True).stdout
    return json.loads(output)


def site_packages(python: str | Path) -> Path:
    return Path(
        say(python, "import json, sysconfig as s; print(json.dumps(s.get_path('purelib')))")
    )


def install(folder: Path, *requirements: str) -> Path:
    """Install real packages into a folder, and nothing that they require."""
    command = [uv.find_uv_bin(), "--quiet", "pip", "install", "--no-config", "--no-deps"]
    # For a Python that all of them are made for: they are only read.
    command += ["--python-version", "3.13", "--target", str(folder), *requirements]
    subprocess.run(command, check=True)
    return folder


@cache
def interpreters() -> dict[int, str]:
    """The CPythons of this machine by minor version; the one that runs the tests is among them."""
    found: dict[int, str] = {}
    for candidate in (sys.executable, *_candidates()):
        minor = _minor(candidate)
        if minor is not None and minor in MINORS:
            found.setdefault(minor, candidate)
    return found


def _candidates() -> Iterable[str]:
    for minor in MINORS:
        on_path = shutil.which(f"python3.{minor}")
        if on_path:
            yield on_path
    listing = [uv.find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"]
    result = subprocess.run(listing, capture_output=True, check=False)
    if result.returncode == 0:
        for python in json.loads(result.stdout):
            yield str(python["path"])
    pyenv = shutil.which("pyenv")  # its commands on PATH start only the version that is chosen
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, check=True, text=True).stdout
        for executable in sorted(Path(root.strip()).glob("versions/*/bin/python3")):
            yield str(executable)


def _minor(python: str) -> int | None:
    """The minor version of a CPython 3; null for anything else."""
    code = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
    try:
        result = subprocess.run(
            [python, "-I", "-S", "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except OSError:
        return None
    name, _, version = result.stdout.strip().partition(" ")
    major, _, minor = version.partition(" ")
    return int(minor) if (result.returncode, name, major) == (0, "cpython", "3") else None


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with its size and time."""
    found: dict[str, tuple[int, int]] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(root, name))
            found[os.path.join(root, name)] = (status.st_size, status.st_mtime_ns)
    return found
