"""The known incidents: their data, the check that sees them, and their names on findings."""

from __future__ import annotations

import re

import pytest

from checks import incidents as check
from checks import versions
from doctor import pages, registry
from doctor.facts import Facts, Generation, Imports, Tokenizer
from doctor.findings import Finding, Severity
from doctor.intents import UseRecipe
from doctor.known import incidents, naming
from doctor.known.conditions import evidence
from doctor.known.incidents import Condition
from fixes import incidents as fix
from tests.conftest import Doctor, recorded
from tests.facts_of import (
    distribution,
    on_machine,
    replace,
    with_distributions,
    with_version,
    without,
)
from tools import compile_incidents


def found(facts: Facts) -> dict[str, Finding]:
    """What the check finds, by incident."""
    items = [item for item in check.check(facts) if isinstance(item, Finding)]
    return {str(item.incident): item for item in items}


def with_tokenizer(facts: Facts, **fields: object) -> Facts:
    tokenizer = Tokenizer(class_name=None, extra_special_tokens=None, files=("tokenizer.json",))
    return replace(facts, model=replace(facts.model, tokenizer=replace(tokenizer, **fields)))


def reaching(facts: Facts, *modules: str) -> Facts:
    imports = Imports(reached=("mlx_vlm", *modules), problems=(), unknown=None)
    return replace(facts, environment=replace(facts.environment, imports=imports))


def with_least(facts: Facts, **least: str) -> Facts:
    """The facts of a transformers that accepts these least releases."""
    transformers = facts.environment.transformers
    assert transformers is not None
    environment = replace(facts.environment, transformers=replace(transformers, least=least))
    return replace(facts, environment=environment)


# --- the data


def test_what_is_read_is_what_is_written() -> None:
    assert incidents.COMPILED.read_bytes() == compile_incidents.text(), "run: make incidents"


@pytest.mark.parametrize("incident", incidents.load().values(), ids=lambda item: item.id)
def test_every_incident_is_complete(incident: incidents.Incident) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", incident.id)
    assert incident.title and incident.cause.endswith(".") and incident.remedy.endswith(".")
    assert set(incident.codes) <= set(registry.codes())
    assert incident.texts or incident.codes
    for source in incident.sources:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+(#\d+)?", source)
    assert set(incident.instead_of) <= set(incidents.load())
    if incident.when and incident.codes[0] in check.CODES:
        # What a check says of its own accord is more than hearsay, or it is only a note.
        assert incident.mark != "reported" or incident.severity is Severity.NOTE
    page = pages.of_incident(incident)
    assert incident.title in page and incident.remedy in page and incident.id in page


# --- the check


def test_environments_that_run_have_none(any_facts: Facts) -> None:
    assert found(any_facts) == {}


def test_no_mlx_vlm_no_incident() -> None:
    assert found(without(recorded("torch-free"), "mlx-vlm", "jinja2")) == {}


def test_one_release_of_transformers_and_no_other() -> None:
    facts = reaching(with_version(recorded("report"), "mlx-lm", "0.31.3"), "mlx_lm")
    for version, expected in (("5.12.1", False), ("5.13.0", True), ("5.13.1", False)):
        names = found(with_version(facts, "transformers", version))
        assert ("mlx-lm-transformers-5-13-0" in names) is expected
    finding = found(with_version(facts, "transformers", "5.13.0"))["mlx-lm-transformers-5-13-0"]
    assert (finding.code, finding.severity) == ("releases-incompatible", Severity.ERROR)
    assert {"0.31.3", "5.13.0"} <= {item.value for item in finding.evidence}
    assert list(fix.actions(finding, facts)) == [UseRecipe()]


def test_what_a_generation_does_not_import_is_no_matter() -> None:
    facts = with_version(recorded("report"), "mlx-lm", "0.31.3")
    assert found(reaching(with_version(facts, "transformers", "5.13.0"))) == {}


def test_a_compiled_package_of_numpy_1() -> None:
    facts = with_version(recorded("torch-free"), "opencv-python", "4.9.0.80")
    assert found(reaching(facts)) == {}
    (finding,) = found(reaching(facts, "cv2")).values()
    assert (finding.incident, finding.severity) == ("numpy-abi", Severity.ERROR)
    assert found(reaching(with_version(facts, "numpy", "1.26.4"), "cv2")) == {}


@pytest.mark.parametrize(
    ("version", "least", "expected"),
    [("3.0.3", "3.1.0", True), ("3.1.0", "3.1.0", False), ("3.1.5", "3.1.6", True)],
)
def test_jinja2_below_what_transformers_accepts(version: str, least: str, expected: bool) -> None:
    facts = with_least(with_version(recorded("torch-free"), "jinja2", version), jinja2=least)
    assert ("jinja2-unfit" in found(facts)) is expected
    without_templates = replace(facts, model=replace(facts.model, type="paligemma"))
    assert found(without_templates) == {}


def test_no_jinja2_at_all() -> None:
    assert set(found(without(recorded("torch-free"), "jinja2"))) == {"jinja2-unfit"}


def test_an_old_torch_matters_only_where_one_is_needed() -> None:
    old = distribution("torch", "2.2.2")
    needed, free = recorded("report"), recorded("torch-free")
    facts = with_least(with_distributions(needed, old), torch="2.4")
    assert set(found(facts)) == {"torch-too-old"}
    assert found(with_least(with_distributions(needed, old), torch="2.1")) == {}
    assert found(with_least(with_distributions(free, old), torch="2.4")) == {}


def test_a_tokenizer_of_transformers_5() -> None:
    named = with_tokenizer(recorded("report"), class_name="TokenizersBackend")
    listed = with_tokenizer(recorded("report"), extra_special_tokens="list")
    assert found(named)["tokenizer-class-newer"].code == "tokenizer-unfitting"
    assert found(listed)["tokenizer-tokens-list"].severity is Severity.ERROR
    for facts in (named, listed):
        assert found(with_version(facts, "transformers", "5.0.0")) == {}
    assert found(with_tokenizer(recorded("report"), extra_special_tokens="object")) == {}


@pytest.mark.parametrize(
    ("model_type", "mlx_vlm", "transformers", "expected"),
    [  # as measured by importing mlx_vlm.models.<type> in real environments
        ("internvl_chat", "0.3.9", "5.17.0", False),
        ("internvl_chat", "0.3.9", "5.18.0", True),
        ("internvl_chat", "0.3.11", "5.23.0", False),
        ("hunyuan_vl", "0.3.10", "5.18.0", True),
        ("hunyuan_vl", "0.4.1", "5.17.0", False),
        ("hunyuan_vl", "0.4.1", "5.23.0", True),
        ("hunyuan_vl", "0.4.2", "5.23.0", False),
        ("qwen3_vl", "0.3.9", "5.23.0", False),
    ],
)
def test_an_image_processor_that_transformers_refuses(
    model_type: str, mlx_vlm: str, transformers: str, expected: bool
) -> None:
    facts = with_version(recorded("report"), "mlx-vlm", mlx_vlm)
    facts = with_version(facts, "transformers", transformers)
    facts = replace(facts, model=replace(facts.model, type=model_type))
    assert ("image-processor-base" in found(facts)) is expected


def test_two_copies_of_ffmpeg_are_a_note_on_a_mac() -> None:
    facts = with_distributions(recorded("torch-free"), distribution("av", "14.0.0"))
    assert found(facts) == {}
    finding = found(on_machine(facts, os="macOS"))["ffmpeg-twice"]
    assert finding.severity is Severity.NOTE
    assert list(fix.actions(finding, facts)) == []


def test_facts_of_an_older_doctor_are_judged(any_facts: Facts) -> None:
    condition = Condition(tokenizer_class=("X",), installed=("mlx-vlm",))
    older = replace(any_facts, model=replace(any_facts.model, tokenizer=None))
    assert evidence(condition, older) is None
    assert evidence(Condition(too_old=("torch",)), older) is None


# --- names


@pytest.mark.parametrize(
    ("environment", "name", "version", "incident"),
    [
        ("torch-free", "tokenizers", "0.22.2", "tokenizers-range"),
        ("torch-free", "huggingface-hub", "1.30.0", "huggingface-hub-range"),
        ("torch-free", "mlx-cpu", "0.31.2", "mlx-halves-mismatch"),
        ("torch-free", "mlx", "0.30.0", "mlx-too-old"),
        ("torch-free", "numpy", "1.16.6", None),
    ],
)
def test_findings_of_other_checks_get_their_incident(
    environment: str, name: str, version: str, incident: str | None
) -> None:
    examination = registry.examine(
        with_version(recorded(environment), name, version), registry.names()
    )
    assert incident in {finding.incident for finding in examination.findings}


def test_the_reports_failure_has_a_name() -> None:
    (error,) = registry.examine(recorded("report"), registry.names()).errors()
    assert (error.code, error.incident) == ("torchvision-missing", "video-processor-torchvision")


def test_a_second_backend_is_the_stale_one() -> None:
    facts = with_distributions(recorded("torch-free"), distribution("mlx-cuda", "0.30.0"))
    (error,) = registry.examine(facts, registry.names()).errors()
    assert (error.code, error.incident) == ("backend-mismatch", "mlx-cuda-stale")


def test_one_cause_is_one_finding_and_as_severe_as_it_is_known_to_be() -> None:
    facts = without(recorded("torch-free"), "jinja2")
    (by_rule,) = [item for item in versions.check(facts) if isinstance(item, Finding)]
    assert by_rule.severity is Severity.WARNING
    (finding,) = naming.named([by_rule, *found(facts).values()], facts)
    assert (finding.code, finding.incident) == ("versions-conflict", "jinja2-unfit")
    assert finding.severity is Severity.ERROR
    assert finding.evidence == by_rule.evidence


def test_a_generation_that_failed_is_never_only_a_note() -> None:
    facts = with_distributions(recorded("torch-free"), distribution("fastmlx", "0.2.1"))
    note = found(facts)["fastmlx-abandoned"]
    assert note.severity is Severity.NOTE
    said = "NameError: name 'vlm_models' is not defined"
    generation = Generation(
        model="M", model_type="qwen3_vl", stand_in=True, passed=False, stage="load", error=said
    )
    facts = replace(facts, generation=generation)
    examination = registry.examine(facts, registry.names())
    assert examination.verdict == "broken"
    (error,) = examination.errors()
    assert (error.code, error.incident) == ("generation-failed", "fastmlx-abandoned")


# --- explain


def test_an_incident_is_explained(doctor: Doctor) -> None:
    run = doctor("explain", "mlx-lm-transformers-5-13-0")
    assert run.code == 0
    assert "5.13.0" in run.out and "dryvist/nix-ai#1119" in run.out
    report = doctor.json("explain", "mlx-lm-transformers-5-13-0").report
    assert (report["code"], report["check"]) == ("releases-incompatible", "incidents")
    assert [item["id"] for item in report["incidents"]] == ["mlx-lm-transformers-5-13-0"]
