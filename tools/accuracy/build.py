"""Building a cell's environment with uv, once: later runs find it there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from doctor.packages import uv
from tools.accuracy import damage
from tools.accuracy.cells import Cell

# Settings of whoever starts the matrix that would change what the cells are.
UNWANTED = ("PYTHON", "HF_", "VLM_DOCTOR_", "TRANSFORMERS_")


class Built:
    """A cell's environment, and what is around it."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell = cell
        self.folder = folder
        self.home = folder / "cells" / cell.name
        self.prefix = self.home / cell.folder
        self.python = self.prefix / "bin" / "python"
        self.extra = self.home / "extra"
        self.result = self.home / "result.json"

    @property
    def site(self) -> Path:
        """The folder of the packages."""
        return self.prefix / "lib" / f"python{self.cell.python}" / "site-packages"

    def variables(self, cache: str = "cache") -> dict[str, str]:
        """The environment variables for whatever runs in the cell."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(UNWANTED) and name not in ("VIRTUAL_ENV", "CONDA_PREFIX")
        }
        own = {
            name: value.replace("{extra}", str(self.extra)).replace("{site}", str(self.site))
            for name, value in self.cell.variables.items()
        }
        return {
            **kept,
            "HF_HOME": str(self.folder / "hub"),
            "VLM_DOCTOR_STATE": str(self.home / "state"),
            "VLM_DOCTOR_CACHE": str(self.folder / cache),
            **own,
        }

    def make(self) -> None:
        """Make the environment, unless it is there as the data has it.

        Raises ``subprocess.CalledProcessError`` where uv fails, and what ``damage.do`` raises.
        """
        note = self.home / "built.json"
        if note.exists() and note.read_text() == self.cell.recipe:
            return
        shutil.rmtree(self.home, ignore_errors=True)
        self.extra.mkdir(parents=True)
        seen = ["--system-site-packages"] if self.cell.system_site_packages else []
        _uv("venv", "--no-project", "--python", self.cell.python, *seen, str(self.prefix))
        if self.cell.start:
            self._install(*self.cell.start)
        for requirement in self.cell.force:
            self._install("--no-deps", requirement)
        if self.cell.remove:
            _uv("pip", "uninstall", "--python", str(self.python), *self.cell.remove)
        for words in self.cell.damage:
            if words[0] == "install-to":
                place = words[1].replace("{extra}", str(self.extra))
                self._install("--no-deps", "--target", place, *words[2:])
            elif words[0] == "install-editable":
                place = words[1].replace("{extra}", str(self.extra))
                self._install("--no-deps", "--editable", place)
            else:
                damage.do(words, self.site, self.extra)
        self.share_bytecode("cache", f"{self.cell.python}-{'-'.join(self.cell.start)}")
        self.share_bytecode("cache-fix", f"{self.cell.python}-fixed")
        note.write_text(self.cell.recipe)

    def _install(self, *words: str) -> None:
        _uv("pip", "install", "--python", str(self.python), *words)

    def share_bytecode(self, cache: str, key: str) -> None:
        """Let cells that start alike share compiled files, which Python checks by time and size.

        The files themselves are shared through hard links already, so most of them fit.
        """
        shared = self.folder / cache / "shared" / key.replace("/", "_")
        place = self.folder / cache / "bytecode" / str(self.site).lstrip(os.sep)
        shared.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(shared)


def _uv(*words: str) -> None:
    """Run uv with the user's own settings. Raises ``subprocess.CalledProcessError``."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(
        [uv.binary(), "--quiet", *words],
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
