"""The table of models: its data, and what is made of them for a machine."""

from __future__ import annotations

import io

import pytest

from doctor.estimate import Estimate, Job, Judgement, Phases, Room, weights_of_config
from doctor.memory import outlook, popular
from doctor.memory.popular import Popular
from doctor.reports import Tool
from doctor.reports.models import ModelRow, ModelsReport
from doctor.terminal import Plain, Terminal
from doctor.texts import models as text

GB = 1_000_000_000
TABLE = popular.load()


def predict(model: Popular, job: Job) -> Estimate | None:
    """A need that grows with the picture and the text, from the bits of the weights."""
    weights = GB * (model.bits or 16) // 2
    peak = weights + sum(w * h for w, h in job.images) * 200 + job.prompt_tokens * 100_000
    return Estimate(
        weights_bytes=weights,
        peak_bytes=peak,
        low_bytes=peak,
        high_bytes=peak,
        phases=Phases(load=weights, vision=peak, prefill=peak, decode=peak),
        vision_tokens=0,
        prompt_tokens=0,
        kv_cache_bytes=0,
        tokens_per_second=20.0,
        exact=True,
        notes=(),
    )


def judged(room: Room) -> Judgement:
    """A judgement of which only the room and the speed matter here."""
    return Judgement(
        room=room,
        need_bytes=0,
        limit_bytes=None,
        limit_source=None,
        close=(),
        swap_bytes=None,
        tokens_per_second=20.0,
        ready=(),
    )


def rows(budget: int) -> tuple[ModelRow, ...]:
    def judge(told: Estimate) -> Judgement:
        return judged("fits" if told.peak_bytes <= budget else "pages")

    return outlook.rows(TABLE, predict, judge, lambda kind: kind and f"recipe of {kind}")


def test_the_reports_models_are_computed() -> None:
    for identity in popular.CHAIN:
        model = TABLE.find(identity)
        assert model is not None
        config = TABLE.config_of(model)
        assert config is not None
        assert config["quantization"]["bits"] == model.bits == 4
        assert config["model_type"] == model.type


def test_every_model_says_something_and_every_part_where_it_is_from() -> None:
    ids = [model.id for model in TABLE.models]
    assert len(ids) == len(set(ids)) > 40
    assert set(TABLE.sources) == {"configs", "recipes", "measured", "chain"}
    for model in TABLE.models:
        assert model.config is not None
        assert TABLE.configs[model.config].note
        assert TABLE.config_of(model)
    assert TABLE.find("nobody/nothing") is None


def test_models_of_16_bits_are_not_quantised() -> None:
    model = TABLE.find("mlx-community/Qwen3-VL-4B-Instruct-bf16")
    assert model is not None
    config = TABLE.config_of(model)
    assert config is not None
    assert "quantization" not in config
    # What is asked for once does not stay in the table.
    assert "quantization" in TABLE.quantised("Qwen3-VL-4B-Instruct", 3)
    assert "quantization" not in TABLE.configs["Qwen3-VL-4B-Instruct"].config


def test_those_that_fit_come_first_and_the_largest_of_them() -> None:
    found = rows(3 * GB)
    rooms = [row.room for row in found]
    assert rooms == sorted(rooms, key=outlook.ROOMS.index)
    fitting = [row.weights_bytes or 0 for row in found if row.room == "fits"]
    assert fitting == sorted(fitting, reverse=True)
    assert 0 < len(fitting) < len(found)
    others = [row.peak_bytes for row in found if row.room == "pages"]
    assert others == sorted(others)


def test_the_largest_picture_and_the_longest_context_that_fit() -> None:
    four = next(row for row in rows(3 * GB) if row.id == popular.CHAIN[0])
    # 1 GB is left above the weights: 5 million pixels, or 5,853 tokens beside the usual picture.
    assert four.largest_picture == 2048
    assert four.longest_context == 4096
    tight = next(row for row in rows(2 * GB + 1) if row.id == popular.CHAIN[0])
    assert (tight.room, tight.largest_picture, tight.longest_context) == ("pages", None, None)
    ample = next(row for row in rows(500 * GB) if row.id == popular.CHAIN[2])
    assert (ample.largest_picture, ample.longest_context) == (4096, 16384)  # it is made for 32,768


def test_what_cannot_be_predicted_is_not_listed() -> None:
    def nothing(model: Popular, job: Job) -> Estimate | None:
        return None if model.id == popular.CHAIN[0] else predict(model, job)

    found = outlook.rows(TABLE, nothing, lambda told: judged("fits"), lambda kind: None)
    assert popular.CHAIN[0] not in {row.id for row in found}
    assert len(found) == len(TABLE.models) - 1


def report(budget: int = 3 * GB) -> ModelsReport:
    return ModelsReport(
        schema="vlm-doctor/report/1",
        command="models",
        tool=Tool(),
        chip="Apple M2",
        ram_total_bytes=8 * 2**30,
        ram_available_bytes=3 * 2**30,
        gpu_budget_bytes=budget,
        gpu_budget_source="sysctl",
        models=rows(budget),
        sources=TABLE.sources,
        plot=None,
        seconds=0.1,
    )


def test_the_text_names_every_model() -> None:
    stream = io.StringIO()
    text.render(report(), Plain(stream))
    said = stream.getvalue()
    for row in report().models:
        there = row.peak_bytes <= 8 * 2**30
        assert (row.id.removeprefix("mlx-community/") in said.split()) == there
    assert "Qwen3-VL-4B-Instruct-4bit" in said


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_line_is_broken_within_a_word(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    text.render(report(), Terminal(stream))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    words = {word for line in lines for word in line.split()}
    assert "Qwen3-VL-4B-Instruct-4bit" in words


def test_the_type_in_a_conversions_name_counts() -> None:
    # The public config of the original says float32; the published conversion has 4.42 GB.
    model = TABLE.find("mlx-community/Qwen2-VL-2B-Instruct-bf16")
    assert model is not None
    config = TABLE.config_of(model)
    assert config is not None
    assert 4.3e9 < weights_of_config(config).total < 4.6e9
