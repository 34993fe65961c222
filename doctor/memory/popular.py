"""The models that people run: what is known of each without having it.

``popular_models.json`` is made by ``tools/popular_models.py`` from public configs and measured
runs, and says where each is from. A model's need is computed where its architecture is known; where
it is not, there are measured runs to show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from doctor.facts import Struct

PATH = Path(__file__).parent / "popular_models.json"
GROUP = 64  # weights that share one scale, in mlx-vlm's conversions

HALF = ("-bf16", "-fp16")  # what conversions to 16 bits are called

# The field report's chain (its section 6.3), with the size between that was published since.
CHAIN = (
    "mlx-community/Qwen3-VL-4B-Instruct-4bit",
    "mlx-community/Qwen3-VL-2B-Instruct-4bit",
    "mlx-community/Qwen2-VL-2B-Instruct-4bit",
)


class Measured(Struct, frozen=True):
    """What runs of a model came to, on ``chip``. Sizes in bytes, the prompt with its pictures."""

    least_peak_bytes: int
    most_peak_bytes: int
    most_prompt_tokens: int
    chip: str | None
    tokens_per_second: float | None
    runs: int


class Popular(Struct, frozen=True):
    """One model. ``config`` names its architecture, null where that is not known.

    ``bits`` are those that its weights were quantised to, null where the config says it or they
    were not. ``original`` is what it was converted from, ``weights_bytes`` the size of the
    published files, null where it has to be counted.
    """

    id: str
    type: str | None
    config: str | None
    bits: int | None
    original: str | None
    weights_bytes: int | None
    measured: Measured | None


class Config(Struct, frozen=True):
    """A model's own files, as far as sizes depend on them, and where they are from."""

    note: str
    config: dict[str, Any]
    preprocessor: dict[str, Any]


class Table(Struct, frozen=True):
    """All of it; ``sources`` says where each part is from, ``recipes`` which runs which type."""

    sources: dict[str, str]
    recipes: dict[str, str]
    configs: dict[str, Config]
    models: tuple[Popular, ...]

    def config_of(self, model: Popular) -> dict[str, Any] | None:
        """The model's config, with its quantisation; null where that is not known."""
        if model.config is None:
            return None
        made = self.quantised(model.config, model.bits)
        # The original's own type, which its config keeps, is another where the name says one.
        named = {"dtype": "bfloat16", "torch_dtype": "bfloat16"}
        return {**made, **named} if model.id.endswith(HALF) else made

    def preprocessor_of(self, model: Popular) -> dict[str, Any]:
        """The model's ``preprocessor_config.json``, as far as it is known."""
        return {} if model.config is None else self.configs[model.config].preprocessor

    def quantised(self, name: str, bits: int | None) -> dict[str, Any]:
        """A config with weights of so many bits, as mlx-vlm's conversion writes it."""
        config = self.configs[name].config
        if bits is None:
            return dict(config)
        return {**config, "quantization": {"group_size": GROUP, "bits": bits, "mode": "affine"}}

    def find(self, identity: str) -> Popular | None:
        """A model by its id."""
        return next((model for model in self.models if model.id == identity), None)


def load() -> Table:
    """The table that comes with the doctor."""
    return msgspec.json.decode(PATH.read_bytes(), type=Table)
