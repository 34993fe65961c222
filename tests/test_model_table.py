"""The published table: what was predicted against what really happened, and measured again here."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MLX_EXTRA, RECORDED, ROOT, make_environment
from tools import model_table

RESULTS = json.loads(model_table.RESULTS.read_text())["releases"]
WITH_TORCH = json.loads((RECORDED / "processors-with-torch.json").read_text())["releases"]
EVERYTHING = [(result, row) for result in RESULTS + WITH_TORCH for row in result["rows"]]

# What is not foretold: that tokenizer has no `image_token`, which transformers' processor of 4.57
# asks for; the model's files and the class of the tokenizer decide it together.
NOT_FORETOLD = {("0.3.9", "florence2")}

# The models that the field report names, by type.
OF_THE_REPORT = {
    *("qwen3_vl", "qwen3_vl_moe", "qwen2_vl", "qwen2_5_vl", "deepseek_vl_v2", "multi_modality"),
    *("internvl_chat", "pixtral", "llava_next", "llava_qwen2", "gemma3", "smolvlm"),
}


def test_no_prediction_but_the_known_one_was_wrong() -> None:
    wrong = {
        (result["versions"]["mlx-vlm"], row["type"])
        for result, row in EVERYTHING
        if row["measured"] and row["predicted"] != "unknown"
        if not model_table.agree(row["predicted"], row["measured"])
    }
    assert wrong == NOT_FORETOLD


def test_enough_was_measured_for_that_to_mean_something() -> None:
    happened = Counter(row["measured"] for _, row in EVERYTHING if row["measured"])
    for word in ("runs", "torch", "blind", "code", "fails", "unsupported"):
        assert happened[word] >= 5, word
    same = [row for _, row in EVERYTHING if row["measured"] == row["predicted"]]
    assert len(same) > 0.98 * sum(happened.values())


def test_every_model_of_the_report_has_its_row_in_every_release() -> None:
    for result in RESULTS:
        measured = {row["type"] for row in result["rows"] if row["model"] and row["measured"]}
        assert measured >= OF_THE_REPORT


def test_the_table_is_what_the_results_say() -> None:
    assert model_table.TABLE.read_text() == model_table.render(RESULTS)


def test_nothing_of_this_machine_is_published() -> None:
    for path in (model_table.TABLE, model_table.RESULTS, model_table.FIRST):
        text = path.read_text()
        assert str(ROOT) not in text
        assert "/tmp/" not in text
        assert "http" not in text.replace("https://huggingface.co", "")


@pytest.mark.parametrize(
    ("foretold", "happened", "right"),
    [
        ("runs", "runs", True),
        ("torch", "blind", True),
        ("runs", "torch", False),
        ("torch", "runs", False),
        ("fails", "unsupported", True),
    ],
)
def test_when_a_verdict_is_right(foretold: str, happened: str, right: bool) -> None:
    assert model_table.agree(foretold, happened) is right


def asked_and_measured(python: Path, folder: Path, *types: str) -> dict[str, tuple[str, str]]:
    """What is foretold and what happens, here and now, by model."""
    known = [family for family in model_table.families() if family["type"] in types]
    answer = model_table.ask(python, [model_table.question(family) for family in known])
    really = model_table.measure(python, model_table.DATA / "families.json", folder, *types)
    return {
        family["model"]: (
            model_table.predicted(row, torch=False)[0],
            model_table.measured(really[family["model"]])[0],
        )
        for family, row in zip(known, answer["survey"], strict=True)
    }


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        (
            ("mlx-vlm==0.7.10", "transformers==5.23.0", f"mlx{MLX_EXTRA}==0.32.4"),
            {
                "Qwen3-VL": "runs",
                "LLaVA 1.5": "fails",
                "Pixtral 12B (mistral-community)": "fails",
                "LFM2-VL": "runs",
                "Command A Vision": "torch",
                "Qwen3 (text)": "blind",
            },
        ),
        (
            ("mlx-vlm==0.6.3", "transformers==5.5.4", f"mlx{MLX_EXTRA}==0.32.4"),
            {
                "Qwen3-VL": "runs",
                "LLaVA 1.5": "runs",
                "Pixtral 12B (mistral-community)": "torch",
                "LFM2-VL": "runs",
                "Command A Vision": "torch",
            },
        ),
    ],
)
def test_measured_again(
    tmp_path: Path, packages: tuple[str, ...], expected: dict[str, str]
) -> None:
    python = make_environment(tmp_path / "environment", *packages)
    types = ("qwen3_vl", "llava", "lfm2_vl", "cohere2_vision", "qwen3")
    said = asked_and_measured(python, tmp_path / "folders", *types)
    for model, word in expected.items():
        assert said[model] == (word, word), model


def test_the_probe_answers_for_many_kinds_at_once() -> None:
    """In an environment without mlx-vlm nothing is supported, and nothing crashes."""
    questions: list[dict[str, Any]] = [{"model_type": "qwen3_vl"}, {"model_type": "\0../x"}]
    answer = model_table.ask(Path(sys.executable), questions)
    assert [row["supported"] for row in answer["survey"]] == [False, False]
    assert [row["processor"] for row in answer["survey"]] == [None, None]
