"""The torchvision check: what the processor needs, and whether torch and torchvision are a pair."""

from __future__ import annotations

import pytest

from checks import torchvision
from doctor.facts import Build, Facts
from doctor.findings import Finding, NotChecked, Severity
from doctor.intents import RemoveBroken, UseRecipe
from fixes import torchvision as fix
from tests.conftest import recorded
from tests.facts_of import distribution, replace, with_distributions, with_module, without


def only(facts: Facts) -> Finding:
    (finding,) = torchvision.check(facts)
    assert isinstance(finding, Finding)
    return finding


def with_builds(facts: Facts, torch: str, pair: str) -> Facts:
    builds: dict[str, Build | None] = {
        name: Build(version=version, cuda=None, source=f"{name}/version.py")
        for name, version in (("torch", torch), ("torchvision", pair))
    }
    return replace(facts, environment=replace(facts.environment, builds=builds))


def test_the_reports_environment_lacks_torchvision() -> None:
    finding = only(recorded("report"))
    assert (finding.code, finding.severity) == ("torchvision-missing", Severity.ERROR)
    assert "AutoVideoProcessor" in finding.evidence[0].fact
    assert finding.evidence[0].source.endswith("video_processing_auto.py")
    assert finding.fix.automatic


def test_torch_alone_does_not_help() -> None:
    facts = with_module(recorded("report"), "torch")
    facts = with_distributions(facts, distribution("torch", "2.9.1"))
    assert only(facts).code == "torchvision-missing"


@pytest.mark.parametrize("name", ["torch-free", "matched"])
def test_environments_that_run_are_left_alone(name: str) -> None:
    assert list(torchvision.check(recorded(name))) == []


def test_torchvision_without_torch_is_worse_than_nothing_with_transformers_4() -> None:
    facts = with_module(recorded("report"), "torchvision")
    facts = with_distributions(facts, distribution("torchvision", "0.24.1", "torch==2.9.1"))
    finding = only(facts)
    assert (finding.code, finding.severity) == ("torchvision-without-torch", Severity.ERROR)
    assert "worse" in finding.cause
    intents = list(fix.actions(finding, facts))
    assert RemoveBroken(name="torchvision") in intents
    assert UseRecipe() in intents


def test_torchvision_without_torch_is_harmless_where_transformers_asks_for_both() -> None:
    facts = with_module(recorded("torch-free"), "torchvision")
    facts = with_distributions(facts, distribution("torchvision", "0.24.1", "torch==2.9.1"))
    finding = only(facts)
    assert (finding.code, finding.severity) == ("torchvision-without-torch", Severity.NOTE)
    assert list(fix.actions(finding, facts)) == []


def test_a_pair_of_different_releases() -> None:
    facts = with_distributions(recorded("matched"), distribution("torch", "2.8.0"))
    finding = only(facts)
    assert (finding.code, finding.severity) == ("torchvision-mismatch", Severity.ERROR)
    assert any("2.9.1" in evidence.value for evidence in finding.evidence)


def test_a_pair_of_different_builds_whose_metadata_is_content() -> None:
    facts = with_builds(recorded("matched"), "2.9.1+cpu", "0.24.1+cu130")
    assert only(facts).code == "torchvision-mismatch"


@pytest.mark.parametrize(
    ("torch", "pair"),
    [("2.9.1+cu128", "0.24.1+cu128"), ("2.9.1", "0.24.1"), ("2.9.1+cu128", "0.24.1+cu126")],
)
def test_builds_that_go_together(torch: str, pair: str) -> None:
    assert list(torchvision.check(with_builds(recorded("matched"), torch, pair))) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.9.1", None),
        ("2.9.1+cpu", "cpu"),
        ("2.9.1+cu128", "cu12"),
        ("2.13.0+cu130", "cu13"),
        ("2.9.1+rocm6.4", "rocm6.4"),
    ],
)
def test_compute_platform(version: str, expected: str | None) -> None:
    assert torchvision.compute_platform(version) == expected


def test_a_processor_that_could_not_be_read_is_said_and_not_guessed() -> None:
    facts = recorded("torch-free")
    assert facts.environment.processor is not None
    unknown = replace(facts.environment.processor, unknown="it inherits how it is loaded")
    facts = replace(facts, environment=replace(facts.environment, processor=unknown))
    (gap,) = torchvision.check(facts)
    assert isinstance(gap, NotChecked)
    assert "inherits" in gap.reason


def test_nothing_is_said_of_an_environment_without_mlx_vlm() -> None:
    assert list(torchvision.check(without(recorded("report"), "mlx-vlm"))) == []
