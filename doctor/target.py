"""Which interpreter is examined, and why that one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from doctor.errors import Refused


class Target(NamedTuple):
    """The interpreter to examine, by its whole path (links stay), and how it was found."""

    python: str
    found_by: str


def find(python: str | None, venv: str | None, environment: Mapping[str, str]) -> Target:
    """The target: what was named, else what is active, near or on ``PATH``, in this order.

    Raises ``Refused`` where what was named has no interpreter, or where there is none at all.
    """
    if python is not None:
        path = _named_python(python, environment.get("PATH"))
        return Target(python=path, found_by="--python")
    if venv is not None:
        return Target(python=_in_environment(venv, f"--venv {venv}"), found_by="--venv")
    active = environment.get("VIRTUAL_ENV")
    if active:
        return Target(python=_in_environment(active, "VIRTUAL_ENV"), found_by="VIRTUAL_ENV")
    if os.path.isdir(".venv"):
        return Target(python=_in_environment(".venv", "./.venv"), found_by="./.venv")
    conda = environment.get("CONDA_PREFIX")
    if conda:
        return Target(python=_in_environment(conda, "CONDA_PREFIX"), found_by="CONDA_PREFIX")
    if _has_mlx_vlm():
        return Target(python=sys.executable, found_by="vlm-doctor's own interpreter")
    on_path = _which("python3", environment.get("PATH"))
    if on_path:
        return Target(python=os.path.abspath(on_path), found_by="python3 on PATH")
    raise Refused(
        "There is no Python environment to examine.",
        "Name one with --python PATH or --venv DIR.",
    )


def _named_python(python: str, search_path: str | None) -> str:
    path = os.path.expanduser(python)
    if os.path.isdir(path):
        raise Refused(f"{python} is a folder, not a Python interpreter.", f"Try --venv {python}")
    if os.sep not in path:
        found = _which(path, search_path)
        if found:
            return os.path.abspath(found)
    if os.path.islink(path) and not os.path.exists(path):
        raise Refused(
            f"{python} has lost its Python: {lost_base(path) or os.readlink(path)} is gone.",
            "Make the environment anew, for example with: vlm-doctor fix --new-venv DIR",
        )
    if not os.path.exists(path):
        raise Refused(f"There is no Python interpreter at {python}.", "Check the path.")
    if not os.access(path, os.X_OK):
        raise Refused(f"{python} cannot be run: it is not executable.", "Check the path.")
    return os.path.abspath(path)


def _in_environment(folder: str, said: str) -> str:
    if not folder:
        raise Refused("--venv takes an environment's folder, and it is empty.")
    root = os.path.expanduser(folder)
    if not os.path.isdir(root):
        raise Refused(f"There is no environment at {folder} (from {said}).", "Check the path.")
    for name in ("bin/python", "bin/python3"):
        path = os.path.join(root, name)
        if os.path.islink(path) and not os.path.exists(path):
            raise Refused(
                f"The environment at {folder} has lost its Python: "
                f"{path} points to {os.readlink(path)}, which is gone.",
                "Make it anew, for example with: vlm-doctor fix --new-venv DIR",
            )
        if os.path.exists(path):
            return os.path.abspath(path)
    raise Refused(f"{folder} (from {said}) is no Python environment: it has no bin/python.")


def prefix_of(python: str) -> str:
    """The folder of an interpreter's environment, by where it lies; it is not asked."""
    return os.path.dirname(os.path.dirname(python))


def lost_base(python: str) -> str | None:
    """The folder of the Python that an environment was made from, where it is gone; else null.

    ``pyvenv.cfg`` names it as ``home``: an upgrade of the system's Python takes it away.
    """
    try:
        text = (Path(python).parent.parent / "pyvenv.cfg").read_text(errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == "home" and not os.path.isdir(value.strip()):
            return value.strip()
    return None


def _which(name: str, path: str | None) -> str | None:
    from shutil import which  # mostly an interpreter is named by its path

    return which(name, path=path)


def _has_mlx_vlm() -> bool:
    from importlib.machinery import PathFinder

    return PathFinder.find_spec("mlx_vlm") is not None
