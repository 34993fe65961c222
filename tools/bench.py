"""Measure whole processes side by side (``make bench``): the doctor's check against its neighbours.

All commands are run in turn (A B C A B C ...), so that a change of the machine's speed hits all
alike. Medians and ratios count; single figures of a busy machine do not.

Two environments are looked at: the torch-free recipe with the newest pip, and the same with the
packages of ``bench_packages.txt``, 300 distributions in all. A first check is one with an empty
cache of the doctor's: nothing read before, no bytecode of the probe. The files themselves are warm.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uv
from rich.console import Console
from rich.table import Table

from doctor.packages import recipes

ROOT = Path(__file__).parent.parent
MORE_PACKAGES = Path(__file__).parent / "bench_packages.txt"
FOLDER = ROOT / ".cache" / "bench"
# Installed as users install it: an editable install starts slower.
TOOL = FOLDER / "tool"
DOCTOR = TOOL / "bin" / "vlm-doctor"
COLD = FOLDER / "cold-cache"
ROUNDS = 15

PIP, HF = "python -m pip check", "hf env"
FIRST, LATER = "vlm-doctor check, the first", "vlm-doctor check"


@dataclass(frozen=True)
class Contestant:
    """One command on one environment; ``cold`` empties the doctor's cache before each run."""

    name: str
    environment: Path
    command: tuple[str, ...]
    cold: bool = False


@dataclass(frozen=True)
class Limit:
    """What must hold of two medians, or of one and a number of seconds."""

    what: str
    value: float
    most: float
    unit: str


def main() -> None:
    """Build the environments, measure, and say whether the limits hold."""
    tool = os.fsdecode(uv.find_uv_bin())
    small, large = FOLDER / "small", FOLDER / "large"
    _make_environments(tool, small, large)
    contestants = _contestants(tool, small, large)
    times: dict[Contestant, list[float]] = {contestant: [] for contestant in contestants}
    for round_number in range(ROUNDS + 1):
        for contestant in contestants:
            seconds = _seconds(contestant)
            if round_number:  # the first round warms the disk and every command's own caches
                times[contestant].append(seconds)
    medians = {
        (contestant.name, contestant.environment): statistics.median(values)
        for contestant, values in times.items()
    }
    out = Console()
    out.print(f"{ROUNDS} rounds, Python {sys.version.split()[0]}; {_versions(tool, small)}")
    out.print(_table(times, medians))
    for limit in _limits(medians, small, large):
        verdict = "holds" if limit.value <= limit.most else "MISSED"
        out.print(f"{limit.what}: {limit.value:.2f}{limit.unit} (at most {limit.most}) {verdict}")


def _make_environments(tool: str, small: Path, large: Path) -> None:
    interpreter = f"{sys.version_info[0]}.{sys.version_info[1]}"
    platform, backend = (
        ("linux-x86_64", "cpu") if sys.platform == "linux" else ("macos-arm64", "metal")
    )
    place = recipes.Place(platform=platform, backend=backend, python=interpreter)
    lock = recipes.FOLDER / "locks" / recipes.DEFAULT / f"{place.name}.txt"
    for environment, files in ((small, [lock]), (large, [lock, MORE_PACKAGES])):
        made_of = "".join(file.read_text() for file in files)
        ready = environment / "made-of.txt"
        if ready.exists() and ready.read_text() == made_of:
            continue
        _quietly(tool, "venv", "--clear", "--no-project", f"--python={sys.executable}", environment)
        install = (tool, "pip", "install", "--python", environment, "--no-deps", "pip")
        _quietly(*install, *(word for file in files for word in ("--requirements", file)))
        ready.write_text(made_of)
    _quietly(tool, "venv", "--clear", "--no-project", f"--python={sys.executable}", TOOL)
    _quietly(tool, "pip", "install", "--python", TOOL, "--compile-bytecode", ROOT)


def _quietly(tool: str, *words: str | Path) -> None:
    subprocess.run([tool, "--quiet", *map(str, words)], check=True)


def _contestants(tool: str, small: Path, large: Path) -> list[Contestant]:
    result = []
    for environment in (small, large):
        python = str(environment / "bin" / "python")
        check = (str(DOCTOR), "check", "--python", python)
        result += [
            Contestant(PIP, environment, (python, "-m", "pip", "check")),
            Contestant("uv pip check", environment, (tool, "pip", "check", "--python", python)),
            Contestant(HF, environment, (str(environment / "bin" / "hf"), "env")),
            Contestant(LATER, environment, check),
            Contestant(f"{LATER} --format json", environment, (*check, "--format", "json")),
            Contestant(FIRST, environment, check, cold=True),
        ]
    return result


def _seconds(contestant: Contestant) -> float:
    variables = {
        **os.environ,
        "VLM_DOCTOR_STATE": str(FOLDER / "state"),
        "VLM_DOCTOR_CACHE": str(COLD if contestant.cold else FOLDER / "cache"),
    }
    variables.pop("VIRTUAL_ENV", None)
    if contestant.cold:
        shutil.rmtree(COLD, ignore_errors=True)
    started = time.perf_counter()
    subprocess.run(
        contestant.command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - started


def _limits(medians: dict[tuple[str, Path], float], small: Path, large: Path) -> list[Limit]:
    later = medians[LATER, small]
    return [
        Limit("the first check", medians[FIRST, small], 3.0, " s"),
        Limit("the first check of 300", medians[FIRST, large], 3.0, " s"),
        Limit("a later check, of pip check", later / medians[PIP, small], 0.4, ""),
        Limit("a later check, of hf env", later / medians[HF, small], 0.5, ""),
        Limit("a later check of 300, of one of 60", medians[LATER, large] / later, 1.5, ""),
    ]


def _table(times: dict[Contestant, list[float]], medians: dict[tuple[str, Path], float]) -> Table:
    table = Table("distributions", "command", "median", "least", "most", "of pip check")
    for contestant, values in times.items():
        median = medians[contestant.name, contestant.environment]
        table.add_row(
            str(_count(contestant.environment)),
            contestant.name,
            f"{median:.3f} s",
            f"{min(values):.3f} s",
            f"{max(values):.3f} s",
            f"{median / medians[PIP, contestant.environment]:.2f}",
        )
    return table


def _count(environment: Path) -> int:
    return len(list((environment / "lib").glob("*/site-packages/*.dist-info")))


def _versions(tool: str, environment: Path) -> str:
    python = str(environment / "bin" / "python")
    commands = (
        [python, "-m", "pip", "--version"],
        [tool, "--version"],
        [python, "-c", "import huggingface_hub as h; print('hf', h.__version__)"],
        [str(DOCTOR), "--version"],
    )
    return ", ".join(_first_line(command) for command in commands)


def _first_line(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.split(" from ")[0].splitlines()[0].strip()


if __name__ == "__main__":
    main()
