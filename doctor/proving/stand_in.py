"""The doctor's own small Qwen3-VL, for where the real model is not there.

It answers about pictures that ``pictures.py`` draws, so that a generation proves that the picture
reached the model. ``smoke_model/MODEL_CARD.md`` says what it is, how it was made, and its limits.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "smoke_model"
TYPE = "qwen3_vl"
NAME = "the doctor's own small Qwen3-VL"


def damage() -> str | None:
    """The file of the model that is not as it was shipped, or null."""
    try:
        checksums: dict[str, str] = json.loads((FOLDER / "checksums.json").read_text())
        for name, expected in checksums.items():
            if hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != expected:
                return name
    except (OSError, ValueError) as error:
        return str(error)
    return None
