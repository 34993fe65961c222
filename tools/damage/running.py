"""Generations in a recipe's environment, and what damage does to them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

from tools.damage.judge import ROOT

HERE = Path(__file__).parent

# Logits differ by 0.0003 between runs of the same model; what is more has been computed otherwise.
SAME = 0.002


class Target:
    """A recipe's environment that generates with one model after another."""

    def __init__(self, python: Path, base: Path) -> None:
        self._python = python
        self._variables = {
            **os.environ,
            "HF_HOME": str(base / "home"),
            "HF_HUB_CACHE": str(base / "models"),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "PYTHONPYCACHEPREFIX": str(base / "bytecode"),
        }
        self._process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                str(self._python),
                str(HERE / "generation.py"),
                str(ROOT / "doctor/proving/pictures.py"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._variables,
        )

    def run(self, model: str) -> dict[str, Any]:
        """What the generation says of a model."""
        if (
            self._process.poll() is not None
        ):  # a fix that goes back ends all that it might have begun
            self.end()
            self._process = self._started()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"model": model}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        assert isinstance(said, dict)
        return said

    def end(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError), self._process:
            pass  # its input ends, and with it the process


def outcome(said: dict[str, Any], good: dict[str, Any]) -> dict[str, Any]:
    """``fails``, ``differs`` (it computes something else) or ``same``, and how."""
    if said["error"] is not None:
        return {"outcome": "fails", "error": said["error"][:200]}
    distance = 0.0
    for here, there in zip(said["logits"], good["logits"], strict=True):
        if len(here) != len(there):
            return {"outcome": "differs", "distance": None}
        gaps = [abs(one - other) for one, other in zip(here, there, strict=True)]
        if any(math.isnan(gap) for gap in gaps):
            return {"outcome": "differs", "distance": None}
        distance = max(distance, *gaps)
    same = distance <= SAME and said["answers"] == good["answers"]
    return {"outcome": "same" if same else "differs", "distance": round(distance, 4)}
