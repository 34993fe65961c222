"""The only place that calls uv, which installs, removes and makes environments.

The index is the user's own, through uv's settings; where there are none, pip's are passed on
(``sources.py``). Every file is known by its hash, so that it does not matter which index gives it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doctor.actions import Build
from doctor.errors import CouldNot
from doctor.facts import Struct
from doctor.packages import sources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Nothing is built from source, not even to learn what it requires.
WHEELS_ONLY = ("--only-binary=:all:",)

# Of several indexes, uv stops at the first that has a package of the name, such as PyTorch's with
# its old copies of numpy. To ask all is safe, since only what has a known hash is installed.
EVERY_INDEX = ("--index-strategy", "unsafe-best-match")
EXTRA_INDEXES = ("UV_INDEX", "UV_EXTRA_INDEX_URL")

# What another of the user's projects may need, and what would let something else in than asked for.
NOT_OURS = (
    *("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_NO_VERIFY_HASHES"),
    *("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE"),
)

# The oldest macOS that MLX has wheels for.
OLDEST_MACOS = "14.0"

# uv's exit status where no set of versions meets what is asked; 2 is for all other failures.
NO_SOLUTION = 1

# How uv warns that a version was withdrawn (PEP 592), with the reason that the index gives.
YANKED = re.compile(
    r"^warning: `([^=`]+)==[^`]+` is yanked(?: \(reason: \"(.*)\"\))?", re.MULTILINE
)

# How uv refuses a file whose hash is another, and one that is no archive.
DIFFERS = re.compile(r"Hash mismatch for `([^=`]+)==([^`]+)`")
DAMAGED = re.compile(r"Failed to download `([^=`]+)==([^`]+)`\s+[^`]*Failed to extract archive")

# How uv says that there is only the source of what it may not build.
NO_WHEEL = re.compile(r"Because ([^=\s]+)==(\S+) has\s+no\s+usable\s+wheels")

INDEX_HINT = "Is there a network, and are uv's or pip's index settings right?"

GATHER_HINT = (
    "Where there is a network, vlm-doctor recipes --download DIR gathers what --wheels DIR needs."
)

NAME = re.compile(r"[A-Za-z0-9._-]+")

Progress = Callable[[str], None]

# What uv draws its errors with.
FRAME = " \N{MULTIPLICATION SIGN}╰─▶│├"


class InstallFailed(Exception):
    """uv could not do what it was asked; the message is its own, shortened."""


class Resolution(Struct, frozen=True):
    """What the index has for some requirements, each taken by itself, by canonical name.

    ``versions`` are what uv picks, ``yanked`` the reasons (maybe empty) why a picked version was
    withdrawn, ``unavailable`` why there is nothing to pick.
    """

    versions: dict[str, str]
    yanked: dict[str, str]
    unavailable: dict[str, str]


class Location(Struct, frozen=True):
    """Where a wheel is: its address (or a path), and the hash that the index says it has."""

    address: str
    hash: str


def install(
    python: str,
    requirements: str,
    reinstall: Sequence[str],
    offline: bool,
    wheels: str | None,
    progress: Progress,
    builds: Sequence[str] = (),
) -> None:
    """Install exactly these hashed requirements into the environment of ``python``.

    Nothing is built from source but ``builds``: no program of a stranger runs, not even its
    ``setup.py``. What a build needs in turn comes as wheels. ``reinstall`` names distributions to
    install anew though their version is there. Raises ``InstallFailed``.
    """
    with tempfile.TemporaryDirectory(prefix="vlm-doctor-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements)
        command = ["pip", "install", "--python", python, "--no-deps", "--require-hashes"]
        command += [*WHEELS_ONLY, *(f"--no-binary={name}" for name in builds)]
        command += ["--requirements", str(file)]
        for name in reinstall:
            command += ["--reinstall-package", name]
        if offline:
            command += ["--offline"]
        if wheels is not None:
            command += ["--no-index", "--find-links", wheels]
        variables = _environment(python)
        *others, last = _ways(variables) if wheels is None else [(variables, ())]
        for environment, options in others:
            with contextlib.suppress(InstallFailed):
                return run([*command, *options], environment, progress)
        environment, options = last
        try:
            run([*command, *options], environment, progress)
        except InstallFailed as error:
            if offline and wheels is None:
                raise InstallFailed(f"without a network: {error} {GATHER_HINT}") from None
            raise


def _ways(environment: dict[str, str]) -> list[tuple[dict[str, str], tuple[str, ...]]]:
    """How to ask the indexes, in the order in which it is tried: variables and options for uv.

    Of several indexes one may lack a package, or have another build of the same version. So it is
    uv's own way first, then the main index alone, at last all of them for every package. pip has
    no order among its indexes: where they are from its settings, the main one comes first.
    """
    if not sources.several(environment, Path.cwd()):
        return [(environment, ())]
    alone = {name: value for name, value in environment.items() if name not in EXTRA_INDEXES}
    ways: list[tuple[dict[str, str], tuple[str, ...]]] = []
    if alone == environment or any(name in os.environ for name in EXTRA_INDEXES):
        ways.append((environment, ()))
    if alone != environment:
        ways.append((alone, ()))
    return [*ways, (environment, EVERY_INDEX)]


def remove(python: str, names: Sequence[str], progress: Progress) -> None:
    """Remove distributions from the environment of ``python``. Raises ``InstallFailed``."""
    run(["pip", "uninstall", "--python", python, *names], _environment(python), progress)


def make_environment(python: str, folder: str, progress: Progress) -> None:
    """Make a virtual environment. Raises ``InstallFailed``."""
    run(["venv", "--no-project", "--python", python, folder], _environment(), progress)


def find_python(version: str) -> str | None:
    """An installed CPython of this version (``3.12``); nothing is downloaded."""
    command = [binary(), "python", "find", "--no-python-downloads", "--no-project", "--system"]
    result = subprocess.run(
        [*command, f"cpython@{version}"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_environment(),
    )
    path = result.stdout.strip()
    return path if result.returncode == 0 and path else None


def resolve(requirements: Sequence[str], platform: str, python: str, deadline: float) -> Resolution:
    """Ask the index for the best version of each requirement on a platform and a Python.

    What they require in turn does not matter, only wheels count, and nothing is downloaded but
    metadata. ``platform`` is uv's name, ``python`` is ``3.11``, ``deadline`` a time of
    ``time.monotonic``. Raises ``CouldNot`` where the index does not answer.
    """
    environment, options = _ways(_environment())[-1]
    code, output, errors = _compile(
        requirements, platform, python, deadline, environment, (*WHEELS_ONLY, *options)
    )
    if code == NO_SOLUTION:
        # Which one it was, uv says in words only. Halving finds it.
        if len(requirements) == 1:
            name = NAME.match(requirements[0])
            why = _why(errors.splitlines())
            return Resolution(
                versions={}, yanked={}, unavailable={name.group(0) if name else "?": why}
            )
        middle = len(requirements) // 2
        halves = [
            resolve(half, platform, python, deadline)
            for half in (requirements[:middle], requirements[middle:])
        ]
        return Resolution(
            versions=halves[0].versions | halves[1].versions,
            yanked=halves[0].yanked | halves[1].yanked,
            unavailable=halves[0].unavailable | halves[1].unavailable,
        )
    pins = (line.partition("==") for line in output.splitlines() if "==" in line)
    return Resolution(
        versions={name: version.strip() for name, _, version in pins},
        yanked=dict(YANKED.findall(errors)),
        unavailable={},
    )


def locate(
    requirements: str, platform: str, python: str, deadline: float
) -> dict[str, tuple[Location, ...]]:
    """Where the index has the wheels of hashed requirements, by canonical name.

    Of several indexes, each may have files of its own. Platform, Python and deadline are as for
    ``resolve``. Raises ``CouldNot`` where the index does not answer, or has none of them.
    """
    found: dict[str, tuple[Location, ...]] = {}
    problem: CouldNot | None = None
    locked = {line.rpartition("=")[2] for line in requirements.splitlines()}
    for packages in _offered(requirements.splitlines(), platform, python, deadline, WHEELS_ONLY):
        if isinstance(packages, CouldNot):
            problem = packages
            continue
        for package in packages:
            found[package["name"]] = found.get(package["name"], ()) + tuple(
                _location(wheel) for wheel in package.get("wheels", [])
            )
        if locked <= {item.hash.rpartition(":")[2] for items in found.values() for item in items}:
            break
    if not found and problem is not None:
        raise problem
    return found


def builds(requirements: str, platform: str, python: str, deadline: float) -> tuple[Build, ...]:
    """What of hashed requirements has its source on the index, and not the wheel that is locked.

    Nothing is built to know that. Platform, Python and deadline are as for ``resolve``. Raises
    ``CouldNot`` where no index answers.
    """
    pins = {}
    for line in requirements.splitlines():
        pin, _, digest = line.partition(" --hash=")
        pins[pin.partition("==")[0]] = (pin, digest)
    wheels: set[str] = set()
    found: dict[str, Build] = {}
    problem: CouldNot | None = None
    pinned = [pin for pin, _ in pins.values()]
    for packages in _offered(pinned, platform, python, deadline, ()):
        if isinstance(packages, CouldNot):
            problem = packages
            continue
        problem = None
        for package in packages:
            wheels |= {_location(wheel).hash for wheel in package.get("wheels", [])}
            if "sdist" in package and package["name"] not in found:
                source = _location(package["sdist"])
                found[package["name"]] = Build(
                    name=package["name"],
                    version=package["version"],
                    address=sources.shown(source.address),
                    hash=source.hash,
                )
    if not found and problem is not None:
        raise problem
    return tuple(build for name, build in found.items() if pins[name][1] not in wheels)


def _location(file: Mapping[str, Any]) -> Location:
    """Where a file is, as a ``pylock.toml`` says it."""
    return Location(
        address=str(file.get("url") or file["path"]),
        hash="sha256:" + str(file["hashes"].get("sha256")),
    )


def _offered(
    requirements: Sequence[str],
    platform: str,
    python: str,
    deadline: float,
    options: Sequence[str],
) -> Iterator[list[dict[str, Any]] | CouldNot]:
    """The packages of a ``pylock.toml`` for requirements, or why there is none, for each way."""
    for environment, more in _ways(_environment()):
        every = ("--format=pylock.toml", *options, *more)
        try:
            code, output, errors = _compile(
                requirements, platform, python, deadline, environment, every
            )
        except CouldNot as error:
            yield error
            continue
        if code == NO_SOLUTION:
            why = f"The package index does not have all that is locked: {_why(errors.splitlines())}"
            yield CouldNot(why, INDEX_HINT)
            continue
        yield tomllib.loads(output).get("packages", [])


def _compile(
    requirements: Sequence[str],
    platform: str,
    python: str,
    deadline: float,
    environment: Mapping[str, str],
    options: Sequence[str],
) -> tuple[int, str, str]:
    """The status (0 or ``NO_SOLUTION``), output and errors of uv for requirements, each by itself.

    Raises ``CouldNot`` where the index does not answer.
    """
    command = [binary(), "pip", "compile", "-", "--no-deps"]
    command += ["--no-header", "--no-annotate", "--no-python-downloads", "--no-progress"]
    # The wheels may be for another Python than this one: any interpreter will do.
    command += ["--color=never", f"--python={sys.executable}"]
    command += [f"--python-platform={platform}", f"--python-version={python}", *options]
    # uv takes the oldest macOS from here; its own default is older than any wheel of MLX.
    variables = {"MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS, **environment}
    code, output, errors = _finish(
        command, "\n".join(requirements) + "\n", variables, deadline - time.monotonic()
    )
    if code not in (0, NO_SOLUTION):
        raise CouldNot(f"The package index did not answer: {_why(errors.splitlines())}", INDEX_HINT)
    return code, output, errors


def _finish(
    command: Sequence[str], text: str, environment: Mapping[str, str], seconds: float
) -> tuple[int, str, str]:
    """Run a command to its end. Raises ``CouldNot`` where it takes longer than ``seconds``."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    )
    with process:
        try:
            output, errors = process.communicate(text, timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            end(process)
            raise CouldNot("The package index did not answer in time.", INDEX_HINT) from None
        except BaseException:
            end(process)
            raise
    return process.returncode, output, errors


def binary() -> str:
    """The uv program that came with the doctor. Raises ``CouldNot`` where it is gone."""
    import uv

    try:
        return os.fsdecode(uv.find_uv_bin())
    except FileNotFoundError:
        raise CouldNot(
            "uv, which installs for the doctor, is not there.", "Install vlm-doctor anew."
        ) from None


def run(arguments: Sequence[str], environment: Mapping[str, str], progress: Progress) -> None:
    """Run uv and pass on what it says. Raises ``InstallFailed`` with its error in one line.

    ``environment`` are the variables that it gets.
    uv gets a process group of its own and is ended with it, whatever ends the doctor's wait.
    """
    try:
        process = subprocess.Popen(
            [binary(), *arguments, "--color", "never"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
            # It inherits the lock of a fix: if that is killed, the next doctor finds uv and ends
            # it. All other descriptors of Python are closed in a child anyway.
            close_fds=False,
        )
    except OSError as error:
        raise InstallFailed(f"uv could not be started: {error.strerror}") from error
    lines: list[str] = []
    with process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line.rstrip())
                progress(line.strip())
            process.wait()
        except BaseException:
            end(process)
            raise
    if process.returncode < 0:
        raise InstallFailed(f"uv was ended by signal {-process.returncode}")
    if process.returncode != 0:
        raise InstallFailed(_why(lines) or f"uv ended with status {process.returncode}")


def end_all() -> None:
    """End every program that the doctor started and that is still at work, with all of its own."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(children, timeout=10)


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
    text = "\n".join(lines)
    differs, damaged = DIFFERS.search(text), DAMAGED.search(text)
    if differs is not None:
        return f"the file of {differs[1]} {differs[2]} is refused: it is not the one that is locked"
    if damaged is not None:
        return f"the file of {damaged[1]} {damaged[2]} is refused: it is damaged"
    sources_only = NO_WHEEL.search(text)
    if sources_only is not None:
        return (
            f"the index has no wheel of {sources_only[1]} {sources_only[2]} for this machine; "
            "with --allow-builds it is built from its source, by its own programs"
        )
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


def _environment(python: str | None = None) -> dict[str, str]:
    """The user's settings for uv, where it works on the environment of ``python``."""
    prefix = os.path.dirname(os.path.dirname(python)) if python else None
    result = sources.variables(os.environ, Path.cwd(), prefix)
    return {name: value for name, value in result.items() if name not in NOT_OURS}
