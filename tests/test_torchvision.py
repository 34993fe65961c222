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
    [
        ("2.9.1+cu128", "0.24.1+cu128"),
        ("2.9.1", "0.24.1"),
        ("2.9.1+cu128", "0.24.1+cu126"),
        # One without CUDA loads beside any torch of its release.
        ("2.9.1+cu128", "0.24.1+cpu"),
        ("2.9.1+rocm6.4", "0.24.1+cpu"),
        # Builds from source: the label is a commit. This pair was seen to run.
        ("2.9.1a0+gitd38164a", "0.24.1a0+d801a34"),
        ("2.9.1a0+gitd38164a", "0.24.1+cu128"),
    ],
)
def test_builds_that_go_together(torch: str, pair: str) -> None:
    assert list(torchvision.check(with_builds(recorded("matched"), torch, pair))) == []


def test_the_cuda_that_torch_names_counts_where_its_label_tells_nothing() -> None:
    facts = with_builds(recorded("matched"), "2.9.1a0+gitd38164a", "0.24.1+cu130")
    built = Build(version="2.9.1a0+gitd38164a", cuda="12.8", source="torch/version.py")
    builds = {**facts.environment.builds, "torch": built}
    facts = replace(facts, environment=replace(facts.environment, builds=builds))
    assert only(facts).code == "torchvision-mismatch"


@pytest.mark.parametrize(
    ("version", "cuda", "expected"),
    [
        ("2.9.1", None, None),
        ("2.9.1+cpu", None, "cpu"),
        ("2.9.1+cu128", None, "cu12"),
        ("2.13.0+cu130", "13.0", "cu13"),
        ("2.9.1a0+gitd38164a", "12.8", "cu12"),
        ("2.9.1+rocm6.4", None, "rocm"),
        ("0.24.1a0+d801a34", None, None),
        ("0.24.1+cpufeatures", None, None),
    ],
)
def test_compute_platform(version: str, cuda: str | None, expected: str | None) -> None:
    build = Build(version=version, cuda=cuda, source="version.py")
    assert torchvision.compute_platform(build) == expected


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
