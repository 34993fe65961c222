"""The demo (``make demo``): an environment broken as the field report's was, and its repair.

Everything is real: the report's packages from the user's own index, a generation that fails with
the report's error, the doctor's check, its fix, and a generation that works.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import uv

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".demo"
ENVIRONMENT = FOLDER / "environment"
PYTHON = ENVIRONMENT / "bin" / "python"
DOCTOR = Path(sys.executable).parent / "vlm-doctor"

# Section 1.1 and 4.1 of the field report, without torch and torchvision. On Linux MLX needs a
# backend of its own; on a Mac it comes by itself.
MLX = "mlx[cpu]==0.30.0" if sys.platform == "linux" else "mlx==0.30.0"
PACKAGES = [
    "mlx-vlm==0.3.9",
    "transformers==4.57.3",
    "tokenizers==0.22.1",
    "huggingface-hub==0.36.0",
    MLX,
]


def main() -> int:
    """Run the demo; 0 if every step ended as it should."""
    started = time.perf_counter()
    if sys.platform == "linux" and shutil.which("g++") is None:
        print(
            "The demo runs a real generation, and on Linux MLX's CPU backend compiles its kernels "
            "for that.\nThere is no g++ here. Install a C++ compiler first (Debian, Ubuntu: apt "
            "install g++).",
            file=sys.stderr,
        )
        return 2
    python = _python()
    if python is None:
        print(
            "The report's packages need Python 3.10 to 3.13, and none is here; "
            "for example: uv python install 3.12",
            file=sys.stderr,
        )
        return 2
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    environment = {
        **os.environ,
        # The doctor's own folders, so that the demo leaves nothing behind.
        "VLM_DOCTOR_STATE": str(FOLDER / "state"),
        "VLM_DOCTOR_CACHE": str(FOLDER / "cache"),
        # Chance decides whether the report's error names PyTorch or Torchvision: take it out.
        "PYTHONHASHSEED": "0",
    }
    environment.pop("VIRTUAL_ENV", None)
    tool = os.fsdecode(uv.find_uv_bin())

    _title("1. The report's environment: its packages, and no torchvision")
    _run([tool, "venv", "--no-project", "--python", python, str(ENVIRONMENT)], environment, 0)
    _run([tool, "pip", "install", "--python", str(PYTHON), *PACKAGES], environment, 0)

    _title("2. A real generation there fails, with the report's own error")
    doctor = [str(DOCTOR)]
    target = ["--python", str(PYTHON)]
    output = _run([*doctor, "smoke", *target], environment, 1)
    if "AutoVideoProcessor" not in output:
        print("The error is not the report's.", file=sys.stderr)
        return 1

    _title("3. The doctor says why, without running anything")
    _run([*doctor, "check", *target], environment, 1)

    _title("4. It repairs the environment, and proves the repair with a generation")
    _run([*doctor, "fix", "--yes", *target], environment, 0)

    _title("5. A generation works now")
    _run([*doctor, "smoke", *target], environment, 0)

    _title("6. And the doctor finds no errors any more")
    _run([*doctor, "check", *target], environment, 0)

    _title(f"Done in {time.perf_counter() - started:.0f} s. The environment is in {ENVIRONMENT}")
    return 0


def _python() -> str | None:
    """A Python that the report's mlx 0.30.0 has wheels for: this one, or another that is here."""
    if platform.python_implementation() == "CPython" and sys.version_info[:2] <= (3, 13):
        return sys.executable
    return next(
        (path for minor in (13, 12, 11, 10) if (path := shutil.which(f"python3.{minor}"))), None
    )


def _title(text: str) -> None:
    print(f"\n=== {text} ===\n", flush=True)


def _run(command: list[str], environment: dict[str, str], expected: int) -> str:
    """Run a command for all to see, and return what it said; another exit status is the end."""
    shown = [os.path.relpath(word) if word.startswith(str(ROOT)) else word for word in command]
    shown[0] = Path(shown[0]).name
    print(f"$ {' '.join(shown)}", flush=True)
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        print("  " + line, end="", flush=True)
        lines.append(line)
    code = process.wait()
    print(f"  (exit status {code})", flush=True)
    if code != expected:
        print(f"This should have ended with {expected}.", file=sys.stderr)
        sys.exit(1)
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
