"""Measure whole processes side by side (``make bench``): the doctor's check against its neighbours.

All commands look at the same environment, in turn (A B C A B C ...), so that a change of the
machine's speed hits all alike. Medians and ratios count; single figures of a busy machine do not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import uv
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".cache" / "bench"
ENVIRONMENT = FOLDER / "environment"
PYTHON = ENVIRONMENT / "bin" / "python"
# Installed as users install it: an editable install starts slower.
TOOL = FOLDER / "tool"
DOCTOR = TOOL / "bin" / "vlm-doctor"
ROUNDS = 15


def main() -> None:
    """Build the environment of the torch-free recipe, with the newest pip in it, and measure."""
    environment = {
        **os.environ,
        "VLM_DOCTOR_STATE": str(FOLDER / "state"),
        "VLM_DOCTOR_CACHE": str(FOLDER / "cache"),
    }
    environment.pop("VIRTUAL_ENV", None)
    tool = os.fsdecode(uv.find_uv_bin())
    if not PYTHON.exists():
        quiet = [tool, "--quiet"]
        subprocess.run(
            [*quiet, "venv", "--no-project", "--python", sys.executable, str(ENVIRONMENT)],
            check=True,
        )
        requirements = ["mlx-vlm==0.7.10", "mlx[cpu]==0.32.4" if sys.platform == "linux" else "mlx"]
        subprocess.run(
            [*quiet, "pip", "install", "--python", str(PYTHON), *requirements, "pip"], check=True
        )
    subprocess.run(
        [tool, "--quiet", "venv", "--clear", "--no-project", "--python", sys.executable, str(TOOL)],
        check=True,
    )
    subprocess.run(
        [tool, "--quiet", "pip", "install", "--python", str(TOOL), "--compile-bytecode", str(ROOT)],
        check=True,
    )
    commands = {
        "python -m pip check": [str(PYTHON), "-m", "pip", "check"],
        "vlm-doctor check": [str(DOCTOR), "check", "--python", str(PYTHON)],
        "vlm-doctor check --format json": [
            *(str(DOCTOR), "check", "--python", str(PYTHON)),
            *("--format", "json"),
        ],
        "hf env": [str(ENVIRONMENT / "bin" / "hf"), "env"],
        "uv pip check": [tool, "pip", "check", "--python", str(PYTHON)],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for round_number in range(ROUNDS + 1):
        for name, command in commands.items():
            seconds = _seconds(command, environment)
            if round_number:  # the first round warms the disk and every command's own caches
                times[name].append(seconds)
    baseline = statistics.median(times["python -m pip check"])
    table = Table("command", "median", "least", "most", "of pip check")
    for name, values in times.items():
        median = statistics.median(values)
        table.add_row(
            name,
            f"{median:.3f} s",
            f"{min(values):.3f} s",
            f"{max(values):.3f} s",
            f"{median / baseline:.2f}",
        )
    out = Console()
    count = len(list((ENVIRONMENT / "lib").glob("*/site-packages/*.dist-info")))
    versions = ", ".join(
        _first_line(command)
        for command in (
            [str(PYTHON), "-m", "pip", "--version"],
            [tool, "--version"],
            [str(PYTHON), "-c", "import huggingface_hub as h; print('hf', h.__version__)"],
            [str(DOCTOR), "--version"],
        )
    )
    out.print(f"{count} distributions, {ROUNDS} rounds, Python {sys.version.split()[0]}")
    out.print(versions, highlight=False)
    out.print(table)


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - started


def _first_line(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.split(" from ")[0].splitlines()[0].strip()


if __name__ == "__main__":
    main()
