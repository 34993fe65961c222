"""Asks a model through the real mlx-vlm; runs in the environment that is measured."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

MODEL = ROOT / "doctor" / "smoke_model"
MOST_TOKENS = 32
"""Twice the longest answer."""


class Eyes:
    """A model loaded by `mlx_vlm.load`, asked by `mlx_vlm.generate`, greedy."""

    def __init__(self, folder: Path = MODEL) -> None:
        self._mlx_vlm: Any = importlib.import_module("mlx_vlm")
        self._prompts: Any = importlib.import_module("mlx_vlm.prompt_utils")
        began = time.perf_counter()
        self.model, self.processor = self._mlx_vlm.load(str(folder))
        self.load_seconds = time.perf_counter() - began
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "picture.png"

    def answer(self, image: Any, prompt: str) -> str:
        """What the model says about a Pillow image; None shows it no picture at all."""
        shown = None
        if image is not None:
            image.save(self._file)
            shown = [str(self._file)]
        text = self._prompts.apply_chat_template(
            self.processor, self.model.config, prompt, num_images=len(shown or [])
        )
        given = self._mlx_vlm.generate(
            self.model,
            self.processor,
            text,
            image=shown,
            max_tokens=MOST_TOKENS,
            temperature=0.0,
            verbose=False,
        )
        return str(getattr(given, "text", given)).strip()
