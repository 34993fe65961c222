"""The preprocessor check and its fix: a file in the snapshot, never a blob."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checks import preprocessor
from doctor.actions import Advice, EditJson
from doctor.facts import Facts, FileState, ImageProcessorClass, ModelFile, Value
from doctor.findings import Finding, NotChecked, Severity
from doctor.intents import UseRecipe
from doctor.transaction import repair
from fixes import preprocessor as fix
from tests.conftest import recorded
from tests.facts_of import replace


def with_model(
    facts: Facts,
    state: FileState = "ok",
    named: str | None = "Qwen2VLImageProcessorFast",
    exists: bool | None = True,
    replacement: str | None = "Qwen2VLImageProcessor",
    path: str = "~/model/preprocessor_config.json",
) -> Facts:
    file = ModelFile(path=path, state=state, problem=None if state == "ok" else "because")
    model = replace(
        facts.model,
        found="folder",
        path="~/model",
        image_processor_type=named,
        image_processor_named_by="preprocessor_config.json" if named else None,
        files={"preprocessor_config.json": file},
    )
    shown = None
    if named:
        shown = ImageProcessorClass(
            named=named, exists=exists, replacement=replacement, source="image_processing_auto.py"
        )
    environment = replace(facts.environment, image_processor=shown)
    return replace(facts, model=model, environment=environment)


def test_a_class_that_exists_is_not_stale() -> None:
    # The field report calls Qwen2VLImageProcessorFast removed; it is there.
    assert list(preprocessor.check(with_model(recorded("report")))) == []


def test_a_class_that_does_not_exist_is_stale() -> None:
    facts = with_model(recorded("report"), named="Qwen2_5_VLImageProcessor", exists=False)
    (finding,) = preprocessor.check(facts)
    assert isinstance(finding, Finding)
    assert finding.code == "preprocessor-stale"
    assert "Qwen2_5_VLImageProcessor" in finding.title
    assert finding.evidence[1].source == "image_processing_auto.py"


def test_a_class_that_could_not_be_looked_up_is_not_called_stale() -> None:
    assert list(preprocessor.check(with_model(recorded("report"), exists=None))) == []


def test_an_mlx_vlm_that_ignores_the_class_has_no_stale_one() -> None:
    facts = with_model(recorded("torch-free"), named="Gone", exists=False)
    assert list(preprocessor.check(facts)) == []


@pytest.mark.parametrize(
    ("environment", "state", "code"),
    [
        ("matched", "missing", "preprocessor-missing"),
        ("matched", "broken", "preprocessor-broken"),
        ("matched", "not-an-object", "preprocessor-broken"),
        ("matched", "too-large", "preprocessor-broken"),
        # What follows was measured with real generations on the torch-free recipe.
        ("torch-free", "missing", None),
        ("torch-free", "broken", "preprocessor-broken"),
        ("torch-free", "not-an-object", "preprocessor-broken"),
    ],
)
def test_files_that_cannot_be_used(environment: str, state: FileState, code: str | None) -> None:
    found = list(preprocessor.check(with_model(recorded(environment), state, named=None)))
    assert [item.code for item in found if isinstance(item, Finding)] == ([code] if code else [])


def test_a_file_that_may_not_be_read_is_said() -> None:
    (gap,) = preprocessor.check(with_model(recorded("matched"), "unreadable", named=None))
    assert isinstance(gap, NotChecked)


def test_the_fix_of_a_stale_class_is_an_edit_of_that_field() -> None:
    facts = with_model(recorded("matched"), named="Gone", exists=False)
    (finding,) = preprocessor.check(facts)
    assert isinstance(finding, Finding)
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, EditJson)
    assert (action.path, action.field, action.value) == (
        "~/model/preprocessor_config.json",
        ("image_processor_type",),
        "Qwen2VLImageProcessor",
    )
    text = json.dumps({"image_processor_type": "Gone", "patch_size": 16})
    assert json.loads(repair.edited(text, action.field, action.value)) == {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 16,
    }


def test_a_class_named_in_processor_config_is_repaired_there() -> None:
    facts = with_model(recorded("matched"), named="Gone", exists=False)
    file = ModelFile(path="~/model/processor_config.json", state="ok", problem=None)
    files = {**facts.model.files, "processor_config.json": file}
    model = replace(facts.model, files=files, image_processor_named_by="processor_config.json")
    facts = replace(facts, model=model)
    (finding,) = preprocessor.check(facts)
    assert isinstance(finding, Finding)
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, EditJson)
    text = json.dumps({"image_processor": {"image_processor_type": "Gone"}, "x": 1})
    assert json.loads(repair.edited(text, action.field, action.value)) == {
        "image_processor": {"image_processor_type": "Qwen2VLImageProcessor"},
        "x": 1,
    }


def test_without_a_replacement_the_recipe_is_the_fix() -> None:
    facts = with_model(recorded("matched"), named="Gone", exists=False, replacement=None)
    (finding,) = preprocessor.check(facts)
    assert isinstance(finding, Finding)
    assert list(fix.actions(finding, facts)) == [UseRecipe()]


def test_what_stood_in_a_broken_file_is_not_invented() -> None:
    facts = with_model(recorded("matched"), "broken", named=None)
    (finding,) = preprocessor.check(facts)
    assert isinstance(finding, Finding)
    assert not finding.fix.automatic
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, Advice)


def with_values(facts: Facts, model_type: str = "qwen3_vl", **values: Value) -> Facts:
    """A good file of this type with other values; null takes one away."""
    good: dict[str, Value] = {
        "patch_size": 16,
        "merge_size": 2,
        "max_pixels": 1_000_000,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    said = {key: value for key, value in {**good, **values}.items() if value is not None}
    config: dict[str, Value] = {
        "vision_config.patch_size": 16,
        "vision_config.spatial_merge_size": 2,
    }
    facts = with_model(facts)
    model = replace(
        facts.model,
        type=model_type,
        values={"preprocessor_config.json": said, "config.json": config},
    )
    return replace(facts, model=model)


HARMLESS: list[dict[str, Value]] = [
    {},
    {"do_normalize": True, "do_rescale": True, "rescale_factor": 0.00392156862745098},
    {"rescale_factor": 0.00784313725490196},
    {"image_mean": [0.5], "image_std": [0.5]},
    {"image_mean": [0.5001, 0.5, 0.5]},
    {"max_pixels": None},
    # Points as they are, for a model that takes them so.
    {"model_type": "gemma4", "do_normalize": False},
    {"model_type": "gemma4", "image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]},
    {"model_type": "some", "do_rescale": False, "image_mean": [123.7, 116.3, 103.5]},
    {"model_type": "some", "do_rescale": False, "do_normalize": False},
]


@pytest.mark.parametrize("values", HARMLESS)
def test_pictures_that_are_prepared_as_usual(values: dict[str, Any]) -> None:
    assert list(preprocessor.check(with_values(recorded("matched"), **values))) == []


@pytest.mark.parametrize(
    ("values", "severity"),
    [
        ({"patch_size": 14}, Severity.ERROR),
        ({"patch_size": "16"}, Severity.ERROR),
        ({"do_rescale": False}, Severity.ERROR),
        ({"rescale_factor": 1.0}, Severity.ERROR),
        ({"do_normalize": False}, Severity.WARNING),
        ({"image_mean": [0.0, 0.0, 0.0]}, Severity.WARNING),
        ({"image_mean": None, "image_std": None}, Severity.WARNING),
        ({"max_pixels": 1024}, Severity.WARNING),
    ],
)
def test_pictures_that_the_model_does_not_know(values: dict[str, Any], severity: Severity) -> None:
    (finding,) = preprocessor.check(with_values(recorded("matched"), **values))
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("preprocessor-unfitting", severity)


def test_what_mlx_vlms_own_processor_does_not_read_is_not_judged() -> None:
    facts = with_values(recorded("torch-free"), do_rescale=False, do_normalize=False)
    processor = facts.environment.processor
    assert processor is not None
    for settings, count in (((), 0), (("do_rescale", "do_normalize"), 1)):
        seen = replace(processor, settings=settings, reads_preprocessor_config=True)
        environment = replace(facts.environment, processor=seen)
        found = list(preprocessor.check(replace(facts, environment=environment)))
        assert len(found) == count


def test_what_is_nested_in_the_processors_file_counts_more() -> None:
    facts = with_values(recorded("matched"), do_rescale=False)
    nested: dict[str, Value] = {"image_processor.do_rescale": True}
    values = {**facts.model.values, "processor_config.json": nested}
    facts = replace(facts, model=replace(facts.model, values=values))
    assert list(preprocessor.check(facts)) == []


def test_a_class_of_another_family_is_named_anew() -> None:
    facts = with_model(recorded("matched"), named="CLIPImageProcessor")
    shown = facts.environment.image_processor
    assert shown is not None
    shown = replace(shown, lacks="image_grid_thw")
    facts = replace(facts, environment=replace(facts.environment, image_processor=shown))
    (finding,) = preprocessor.check(facts)
    assert isinstance(finding, Finding)
    assert finding.code == "preprocessor-unfitting"
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, EditJson)
    assert action.value == "Qwen2VLImageProcessor"
