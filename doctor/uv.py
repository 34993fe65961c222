"""The only place that calls uv, which installs, removes and makes environments.

The index is the user's own, through uv's settings; where there are none, pip's variables are
passed on. Nothing is ever built from source: no program of a stranger runs during an install.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from doctor.errors import CouldNot

# uv's setting for each of pip's, for users who only ever told pip where their index is.
PIP_SETTINGS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}

Progress = Callable[[str], None]

# What uv draws its errors with.
FRAME = " \N{MULTIPLICATION SIGN}╰─▶│├"


class InstallFailed(Exception):
    """uv could not do what it was asked; the message is its own, shortened."""


def install(
    python: str,
    requirements: str,
    reinstall: Sequence[str],
    offline: bool,
    wheels: str | None,
    progress: Progress,
) -> None:
    """Install exactly these hashed requirements into the environment of ``python``.

    ``reinstall`` names distributions to install anew though their version is there. Raises
    ``InstallFailed``.
    """
    with tempfile.TemporaryDirectory(prefix="vlm-doctor-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements)
        command = ["pip", "install", "--python", python, "--no-deps", "--require-hashes"]
        command += ["--no-build", "--requirements", str(file)]
        for name in reinstall:
            command += ["--reinstall-package", name]
        if offline:
            command += ["--offline"]
        if wheels is not None:
            command += ["--no-index", "--find-links", wheels]
        run(command, progress)


def remove(python: str, names: Sequence[str], progress: Progress) -> None:
    """Remove distributions from the environment of ``python``. Raises ``InstallFailed``."""
    run(["pip", "uninstall", "--python", python, *names], progress)


def make_environment(python: str, folder: str, progress: Progress) -> None:
    """Make a virtual environment. Raises ``InstallFailed``."""
    run(["venv", "--no-project", "--python", python, folder], progress)


def find_python(version: str) -> str | None:
    """An installed CPython of this version (``3.12``); nothing is downloaded."""
    command = [binary(), "python", "find", "--no-python-downloads", "--no-project", "--system"]
    result = subprocess.run(
        [*command, f"cpython@{version}"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_environment(os.environ),
    )
    path = result.stdout.strip()
    return path if result.returncode == 0 and path else None


def binary() -> str:
    """The uv program that came with the doctor. Raises ``CouldNot`` where it is gone."""
    import uv

    try:
        return os.fsdecode(uv.find_uv_bin())
    except FileNotFoundError:
        raise CouldNot(
            "uv, which installs for the doctor, is not there.", "Install vlm-doctor anew."
        ) from None


def run(arguments: Sequence[str], progress: Progress) -> None:
    """Run uv and pass on what it says. Raises ``InstallFailed`` with its last lines.

    uv gets a process group of its own and is ended with it, whatever ends the doctor's wait.
    """
    process = subprocess.Popen(
        [binary(), *arguments, "--color", "never"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=_environment(os.environ),
        start_new_session=True,
        # It inherits the lock on the environment: while it works, nobody else may, even if the
        # doctor is killed. All other descriptors of Python are closed in a child anyway.
        close_fds=False,
    )
    lines: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            progress(line.strip())
        process.wait()
    except BaseException:
        end(process)
        raise
    if process.returncode != 0:
        raise InstallFailed(_why(lines) or f"uv ended with status {process.returncode}")


def end(process: subprocess.Popen[str]) -> None:
    """End a child and its group, and wait until it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=5)
            return
        except subprocess.TimeoutExpired:
            continue


def _why(lines: Sequence[str]) -> str:
    """The error of uv in one line, without the frame that it draws around it."""
    start = next(
        (
            index
            for index, line in enumerate(lines)
            if line.lstrip(FRAME).startswith("error")
            or line.lstrip().startswith("\N{MULTIPLICATION SIGN}")
        ),
        max(0, len(lines) - 3),
    )
    words = (line.strip(FRAME) for line in lines[start:])
    return " ".join(word for word in words if word)[:600]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The user's settings for uv. Colours, another environment and old caches must not matter."""
    result = dict(variables)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON"):
        result.pop(name, None)
    for pip_name, uv_name in PIP_SETTINGS.items():
        if variables.get(pip_name) and not variables.get(uv_name):
            result[uv_name] = variables[pip_name]
    return result
