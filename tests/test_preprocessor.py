"""The preprocessor check and its fix: a file in the snapshot, never a blob."""

from __future__ import annotations

import json

import pytest

from checks import preprocessor
from doctor.actions import Advice, EditJson
from doctor.facts import Facts, FileState, ImageProcessorClass, ModelFile
from doctor.findings import Finding, NotChecked
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
