"""The processor check: whether a picture would reach the model."""

from __future__ import annotations

import pytest

from checks import processor
from doctor.actions import Advice
from doctor.facts import Facts, Processor
from doctor.findings import Finding, Severity
from doctor.intents import UseRecipe
from fixes import processor as fix
from tests.conftest import recorded
from tests.facts_of import replace


def with_processor(facts: Facts, **fields: object) -> Facts:
    """The facts with another answer about the model's processor."""
    assert facts.environment.processor is not None
    changed: Processor = replace(facts.environment.processor, **fields)
    return replace(facts, environment=replace(facts.environment, processor=changed))


def only(facts: Facts) -> Finding:
    (finding,) = processor.check(facts)
    assert isinstance(finding, Finding)
    assert finding.severity is Severity.ERROR
    return finding


def test_what_is_known_to_run_is_left_alone(any_facts: Facts) -> None:
    assert list(processor.check(any_facts)) == []


@pytest.mark.parametrize("sees", [True, None])
def test_only_a_model_that_surely_does_not_see_is_complained_of(sees: bool | None) -> None:
    assert list(processor.check(with_processor(recorded("torch-free"), sees=sees))) == []


def test_a_tokenizer_alone() -> None:
    facts = with_processor(recorded("torch-free"), name=None, provider=None, sees=False)
    finding = only(facts)
    assert finding.code == "processor-blind"
    assert finding.evidence[0].value == "none"
    (advice,) = fix.actions(finding, facts)
    assert isinstance(advice, Advice)


def test_a_processor_of_another_release() -> None:
    """The model names one, so that it is to be had."""
    facts = with_processor(recorded("report"), provider=None, sees=False)
    finding = only(facts)
    assert finding.code == "processor-blind"
    assert list(fix.actions(finding, facts)) == [UseRecipe()]


def test_code_of_the_models_own_repository() -> None:
    reason = "its processor is code of its own repository"
    facts = with_processor(recorded("report"), provider=None, source=None, fails=reason)
    finding = only(facts)
    assert finding.code == "processor-fails"
    assert "code of its own repository" in finding.cause
    assert list(fix.actions(finding, facts)) == [UseRecipe()]


def test_a_processor_of_mlx_vlm_that_fails_in_this_pair_of_releases() -> None:
    facts = with_processor(recorded("torch-free"), fails="mlx-vlm calls it with `padding`")
    finding = only(facts)
    assert finding.code == "processor-fails"
    assert finding.evidence[0].source.endswith("processing_qwen3_vl.py")
    assert not finding.fix.automatic
    (advice,) = fix.actions(finding, facts)
    assert isinstance(advice, Advice)


def test_a_package_that_nobody_requires() -> None:
    facts = with_processor(recorded("matched"), packages=("num2words",))
    finding = only(facts)
    assert finding.code == "processor-fails"
    assert "num2words" in finding.cause
    assert list(fix.actions(finding, facts)) == [UseRecipe()]


def test_nothing_is_said_where_it_could_not_be_told() -> None:
    facts = with_processor(recorded("torch-free"), sees=False, unknown="it could not be read")
    assert list(processor.check(facts)) == []
    nothing = replace(facts, environment=replace(facts.environment, processor=None))
    assert list(processor.check(nothing)) == []
