"""Parameters by following a model's code, on code of the kinds that mlx-vlm has.

The real releases' code is followed in ``test_damage.py``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests import probe

CONFIG = """
    import inspect
    from dataclasses import dataclass, field
    from typing import List, Optional

    class BaseModelConfig:
        @classmethod
        def from_dict(cls, params):
            if not params:
                return cls()
            known = inspect.signature(cls).parameters
            return cls(**{k: v for k, v in params.items() if k in known})

    @dataclass
    class TextConfig(BaseModelConfig):
        hidden_size: int
        num_layers: int = 2
        kind: str = "plain"
        wide: Optional[int] = None
        def __post_init__(self):
            if self.wide is None:
                self.wide = 4 * self.hidden_size
            if self.kind not in ["plain", "tied"]:
                raise ValueError(f"no such kind: {self.kind}")

    @dataclass
    class VisionConfig(BaseModelConfig):
        depth: int = 1
        marks: List[int] = field(default_factory=lambda: [0])

    @dataclass
    class ModelConfig(BaseModelConfig):
        text_config: TextConfig
        vision_config: VisionConfig
        image_token_id: int = 99
"""
MODEL = """
    import mlx.core as mx
    import mlx.nn as nn
    from .config import ModelConfig, TextConfig, VisionConfig
    from .parts import Block as B, tower

    class Norm(nn.Module):
        def __init__(self, dims):
            super().__init__()
            self.weight = mx.ones((dims,))
            self._hidden = mx.zeros((3,))

    class LanguageModel(nn.Module):
        def __init__(self, config: TextConfig):
            super().__init__()
            self.embed = nn.Embedding(100, config.hidden_size)
            self.layers = [B(config, i) for i in range(config.num_layers)]
            self.norm = Norm(config.hidden_size)
            if config.kind != "tied":
                self.head = nn.Linear(config.hidden_size, 100, bias=False)

    class Model(nn.Module):
        def __init__(self, config: ModelConfig):
            super().__init__()
            self.config = config
            self.language_model = LanguageModel(config.text_config)
            self.eyes = [nn.Conv2d(3, 8, kernel_size=(4, 4)) for _ in config.vision_config.marks]
            self.strange = tower(config)
"""
PARTS = """
    import mlx.nn as nn
    from elsewhere import something

    class Base(nn.Module):
        def __init__(self, width, *, inner=None):
            super().__init__()
            self.up = nn.Linear(width, inner or width)

    class Block(Base):
        def __init__(self, config, number):
            super().__init__(config.hidden_size, inner=config.wide)
            self.gate = nn.Sequential(nn.Linear(config.wide, 1), nn.SiLU()) if number else None
            self.drop = nn.Dropout(0.1)

    def tower(config):
        return something(config)
"""


def expected(folder: Path, config: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    package = folder / "mlx_vlm" / "models" / "small"
    package.mkdir(parents=True)
    for above in (folder / "mlx_vlm", package.parent):
        (above / "__init__.py").touch()
    (package / "__init__.py").write_text(
        "from .model import Model, LanguageModel\n"
        "from .config import ModelConfig, TextConfig, VisionConfig\n"
    )
    for name, text in (("config", CONFIG), ("model", model), ("parts", PARTS)):
        (package / f"{name}.py").write_text(textwrap.dedent(text))
    finder = probe.module("modules").Finder([{"path": str(folder), "kind": "site-packages"}])
    notes = probe.module("notes").Notes(None)
    answer = probe.module("parameters").expected(finder, notes, "mlx_vlm.models.small", config)
    assert isinstance(answer, dict)
    return answer


def test_a_models_parameters(tmp_path: Path) -> None:
    answer = expected(tmp_path, {"text_config": {"hidden_size": 8, "other": 1}})
    assert (answer["fails"], answer["unknown"]) == (None, None)
    shapes = {pattern: (shape, numbers) for pattern, shape, numbers, _ in answer["groups"]}
    assert shapes == {
        "language_model.embed.weight": ([100, 8], ""),
        "language_model.layers.*.up.weight": ([32, 8], "0-1"),
        "language_model.layers.*.up.bias": ([32], "0-1"),
        "language_model.layers.*.gate.layers.0.weight": ([1, 32], "1"),
        "language_model.layers.*.gate.layers.0.bias": ([1], "1"),
        "language_model.norm.weight": ([8], ""),
        "language_model.head.weight": ([100, 8], ""),
        "eyes.*.weight": ([8, 4, 4, 3], "0"),
        "eyes.*.bias": ([8], "0"),
    }
    assert answer["open"] == ["strange"]
    assert answer["marks"] == {"image_token_id": 99}
    quantised = {pattern for pattern, *_, quantises in answer["groups"] if quantises}
    assert "language_model.layers.*.up.weight" in quantised
    assert "language_model.norm.weight" not in quantised


def test_values_decide_what_is_made(tmp_path: Path) -> None:
    config = {
        "text_config": {"hidden_size": 8, "kind": "tied", "wide": 5, "num_layers": 1},
        "vision_config": {"marks": [1, 2, 3]},
    }
    shapes = {pattern: shape for pattern, shape, *_ in expected(tmp_path, config)["groups"]}
    assert "language_model.head.weight" not in shapes
    assert shapes["language_model.layers.*.up.weight"] == [5, 8]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ({}, "hidden_size"),
        ({"hidden_size": 8, "kind": "round"}, "no such kind: round"),
        ({"hidden_size": "8", "wide": "x"}, "TypeError"),
        ({"hidden_size": -8}, "ValueError"),
    ],
)
def test_what_the_code_refuses(tmp_path: Path, text: dict[str, Any], word: str) -> None:
    answer = expected(tmp_path, {"text_config": text})
    assert word in answer["fails"]
    assert answer["groups"] == []


def test_what_cannot_be_followed_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    finder = probe.module("modules").Finder([{"path": str(tmp_path), "kind": "site-packages"}])
    notes = probe.module("notes").Notes(None)
    answer = probe.module("parameters").expected(finder, notes, "mlx_vlm.models.gone", {})
    assert answer["unknown"] and answer["fails"] is None


@pytest.mark.parametrize("layers", [10**9, 10**30])
def test_code_without_an_end_ends(tmp_path: Path, layers: int) -> None:
    config = {"text_config": {"hidden_size": 8, "num_layers": layers}}
    assert "language_model" in expected(tmp_path, config)["open"]


HEAD = """
    import mlx.core as mx
    import mlx.nn as nn
    from elsewhere import something
    from .config import ModelConfig, TextConfig, VisionConfig

    class LanguageModel(nn.Module):
        pass

    class Callables(list):
        def __call__(self, x):
            return x

    class Numbered(nn.Module):
        def __init__(self, *layers):
            super().__init__()
            for number, layer in enumerate(layers):
                self[str(number)] = layer

    class Below(nn.Module):
        def __init__(self, bias=True):
            super().__init__()
            self.up = nn.Linear(2, 3, bias)

    class Above(Below):
        def __init__(self):
            super().__init__(**{"bias": False})

    class Model(nn.Module):
        def build(self):
            self.x = []
            with something():
                self.x.append(nn.RMSNorm(2))

        def __init__(self, config):
            super().__init__()
"""

# What ``__init__`` does besides, and what is then known: names of parameters, and with ``?`` those
# below which nothing is said. A ``?`` alone: nothing is said of the whole model.
WAYS: dict[str, tuple[str, list[str]]] = {
    "a list of a class of its own": (
        "self.x = Callables([nn.Linear(2, 3)])\nself.x.append(nn.RMSNorm(2))",
        ["x.*.bias 0", "x.*.weight 0", "x.*.weight 1"],
    ),
    "numbers as names of attributes": (
        "self.x = Numbered(nn.Linear(2, 3, bias=False), nn.SiLU(), nn.RMSNorm(2))",
        ["x.*.weight 0", "x.*.weight 2"],
    ),
    "something strange in a list": (
        "self.x = []\nself.x.append(something())\nself.x.append(nn.RMSNorm(2))",
        ["x.*.weight 1", "x.0 ?"],
    ),
    "a list that may have one more": (
        "self.x = []\nif something():\n    self.x.append(nn.RMSNorm(2))",
        ["?"],
    ),
    "a list with something of any length": ("self.x = []\nself.x.extend(something())", ["?"]),
    "an item of any name": ("self.x = {}\nself.x[something()] = nn.RMSNorm(2)", ["?"]),
    "an attribute of any name": ("setattr(self, something(), nn.RMSNorm(2))", ["?"]),
    "a slice in place of another": ("self.x = [nn.RMSNorm(2)]\nself.x[:1] = []", ["?"]),
    "a slice that is deleted": ("self.x = [nn.RMSNorm(2)]\ndel self.x[:1]", ["?"]),
    "an attribute that is deleted": ("self.x = nn.RMSNorm(2)\ndel self.x", []),
    "a method that cannot be followed": ("self.build()", ["?"]),
    "keys that are not known": (
        "sizes = {something(i): i for i in range(2)}\nself.x = nn.Linear(sizes[1], 3)",
        ["x.bias", "x.weight"],
    ),
    "a key of mlx": (
        "self.x = nn.RMSNorm({mx.float16: 2}[mx.float16])",
        ["x.weight"],
    ),
    "an argument of a later release": ("self.x = nn.RMSNorm(2, quick=True)", ["x ?"]),
    "the largest of what is not known": (
        "self.x = nn.RMSNorm(max([something(), 2]))",
        ["x.weight"],
    ),
    "an order by a function": (
        "self.x = nn.RMSNorm(sorted([3, 2], key=lambda one: -one)[0])",
        ["x.weight"],
    ),
    "a name of the function around": (
        "n = 5\ndef size(n=2):\n    return n\nself.x = [nn.RMSNorm(3) for _ in range(size())]",
        ["x.*.weight 0-1"],
    ),
    "a range that is too long": ("self.x = list(range(10**30))", ["?"]),
    "many of one": ("self.x = 10**12 * [nn.RMSNorm(2)]", ["x ?"]),
    "arguments of the class above": ("self.x = Above()", ["x.up.weight"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_known_is_never_taken_for_absent(tmp_path: Path, way: str) -> None:
    code, known = WAYS[way]
    model = textwrap.dedent(HEAD) + textwrap.indent(code, " " * 8) + "\n"
    answer = expected(tmp_path, {"text_config": {"hidden_size": 8}}, model)
    assert answer["fails"] is None
    told = [f"{pattern} {numbers}".strip() for pattern, _, numbers, _ in answer["groups"]]
    told += [f"{name} ?" for name in answer["open"]]
    assert sorted(told) == (known if known != ["?"] else [])
    assert (answer["unknown"] is not None) is (known == ["?"])
