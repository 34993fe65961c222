"""Where faults are tried: the field report's environment, copied anew for every trial."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uv

ROOT = Path(__file__).parent.parent.parent
UV = os.fsdecode(uv.find_uv_bin())
STARTED = Path(__file__).parent / "started.py"
MLX = "mlx[cpu]==0.30.0" if sys.platform == "linux" else "mlx==0.30.0"
PACKAGES = (
    "mlx-vlm==0.3.9",
    "transformers==4.57.3",
    "tokenizers==0.22.1",
    "huggingface-hub==0.36.0",
    MLX,
)

# A path's type, mode, and link target or content's SHA-256.
Shot = dict[str, tuple[str, int, str]]


@dataclass
class Place:
    """A folder for trials: ``base`` is the environment as it was made, never to be changed.

    Copies are hard links of it: quick to make, and quick to compare, since a file that comes back
    is the very file that it was. Whether any trial wrote into one shows in ``base`` at the end.
    """

    folder: Path
    hashes: dict[tuple[int, int, int], str] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        """The environment as it was made."""
        return self.folder / "base"

    def make(self) -> None:
        """Make the environment, unless it is there."""
        if (self.folder / "ready").exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        python = str(self.base / "bin" / "python")
        quiet = [UV, "--quiet"]
        made = [*quiet, "venv", "--no-project", "--python", sys.executable, str(self.base)]
        subprocess.run(made, check=True)
        subprocess.run([*quiet, "pip", "install", "--python", python, *PACKAGES], check=True)
        # A file of the user's own, and one that he changed.
        packages = next((self.base / "lib").glob("python3*/site-packages"))
        (packages / "a note of mine.txt").write_text("keep this\n")
        patched = packages / "mlx_vlm" / "utils.py"
        text = patched.read_text()
        patched.unlink()  # it may be shared with uv's cache
        patched.write_text(text + "\n# patched by hand\n")
        (self.folder / "ready").touch()

    def copy(self, name: str = "environment") -> Path:
        """A fresh copy, at the same path every time: scripts name their interpreter."""
        to = self.folder / name
        link(self.base, to)
        return to

    def variables(self, **more: str) -> dict[str, str]:
        """The variables for a doctor with its own folders here."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "VLM_DOCTOR_", "PYTHON"))
            and name not in ("VIRTUAL_ENV", "CONDA_PREFIX")
        }
        return {
            **inherited,
            "VLM_DOCTOR_STATE": str(self.folder / "state"),
            "VLM_DOCTOR_CACHE": str(self.folder / "cache"),
            "HF_HOME": str(self.folder / "hub"),
            "PYTHONHASHSEED": "0",
            **more,
        }

    def start(
        self,
        *words: str,
        before: tuple[str, ...] = (),
        instead: str = UV,
        variables: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the doctor and do not wait.

        ``before`` is a command that starts it, ``instead`` the program that it takes for uv.
        """
        return subprocess.Popen(
            [*before, sys.executable, "-I", str(STARTED), instead, *words],
            cwd=self.folder,
            env=self.variables(**(variables or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def run(
        self, *words: str, instead: str = UV, variables: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any], str]:
        """Run the doctor: its exit status, its JSON document, and its progress."""
        process = self.start(*words, "--format", "json", instead=instead, variables=variables)
        out, progress = process.communicate()
        try:
            return process.returncode, json.loads(out), progress
        except ValueError:
            said = f"it ended with {process.returncode} and no document: {progress[-2000:]}"
            return process.returncode, {"outcome": "none", "reason": said}, progress

    def shot(self, folder: Path) -> Shot:
        """A folder and every path below it, Python's compiled modules aside; empty: no folder."""
        result: Shot = {}
        if not folder.exists():
            return result
        result["."] = ("folder", stat.S_IMODE(folder.stat().st_mode), "")
        pending = [os.fspath(folder)]
        while pending:
            with os.scandir(pending.pop()) as items:
                for item in items:
                    if item.name == "__pycache__":
                        continue
                    status = item.stat(follow_symlinks=False)
                    name = os.path.relpath(item.path, folder)
                    mode = stat.S_IMODE(status.st_mode)
                    if item.is_symlink():
                        result[name] = ("link", 0, os.readlink(item.path))
                    elif item.is_dir():
                        result[name] = ("folder", mode, "")
                        pending.append(item.path)
                    else:
                        result[name] = ("file", mode, self._hash(item.path, status))
        return result

    def _hash(self, path: str, status: os.stat_result) -> str:
        key = (status.st_ino, status.st_size, status.st_mtime_ns)
        if key not in self.hashes:
            with open(path, "rb") as file:
                self.hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self.hashes[key]


def link(folder: Path, to: Path) -> None:
    """Copy a folder by links to the same files, faster than Python would."""
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run([shutil.which("cp") or "cp", "-al", str(folder), str(to)], check=True)


def differences(before: Shot, after: Shot) -> list[str]:
    """The paths that are not the same in both, at most a few of them."""
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    return sorted(changed)[:5]
