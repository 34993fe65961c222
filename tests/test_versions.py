"""The versions check, on facts of real environments and variations of them."""

from __future__ import annotations

import pytest

from checks import versions
from doctor.facts import Facts, ImportProblem, Imports, Misfit
from doctor.findings import Finding, NotChecked, Severity
from doctor.intents import RemoveBroken, UseRecipe
from fixes import versions as fix
from tests.conftest import recorded
from tests.facts_of import distribution, replace, with_distributions, with_version, without


def findings(facts: Facts) -> dict[str, Finding]:
    """What the check finds, by title's first word (the distribution)."""
    found = [item for item in versions.check(facts) if isinstance(item, Finding)]
    return {finding.title.split()[0]: finding for finding in found}


def with_problem(facts: Facts, module: str, name: str | None) -> Facts:
    problem = ImportProblem(importer="mlx_vlm/utils.py", line=3, module=module, name=name)
    imports = Imports(reached=("mlx_vlm",), problems=(problem,), unknown=None)
    return replace(facts, environment=replace(facts.environment, imports=imports))


def test_environments_that_go_together_have_no_findings(any_facts: Facts) -> None:
    assert list(versions.check(any_facts)) == []


@pytest.mark.parametrize(
    ("environment", "name", "version"),
    [
        ("report", "tokenizers", "0.23.1"),
        ("report", "huggingface-hub", "1.5.0"),
        ("torch-free", "tokenizers", "0.22.2"),
        ("torch-free", "huggingface-hub", "1.30.0"),
        ("torch-free", "numpy", "1.16.6"),
        ("torch-free", "safetensors", "0.7.0"),
    ],
)
def test_what_transformers_enforces_is_an_error(environment: str, name: str, version: str) -> None:
    facts = with_version(recorded(environment), name, version)
    found = findings(facts)[name]
    assert (found.code, found.severity) == ("versions-conflict", Severity.ERROR)
    sources = " ".join(evidence.source for evidence in found.evidence)
    assert "dependency_versions_table.py" in sources
    assert any(evidence.value == version for evidence in found.evidence)


def test_tokenizers_is_enforced_only_where_it_is_installed() -> None:
    found = findings(without(recorded("torch-free"), "tokenizers"))["tokenizers"]
    # It is required all the same; the trace of imports tells whether that matters.
    assert found.severity is Severity.WARNING
    assert "is not installed" in found.title


def test_who_logs_in_where_is_not_told() -> None:
    facts = recorded("torch-free")
    distributions = facts.environment.distributions
    vlm = next(one for one in distributions if one.name == "mlx-vlm")
    needs = "lacking @ https://somebody:hunter2@host.example/lacking.whl"
    told = with_distributions(facts, replace(vlm, requires=(*vlm.requires, needs)))
    said = str(findings(told)["lacking"].evidence)
    assert "https://host.example/lacking.whl" in said
    assert "hunter2" not in said


def test_a_need_that_nothing_imports_is_a_warning() -> None:
    found = findings(without(recorded("torch-free"), "fastapi"))["fastapi"]
    assert (found.code, found.severity) == ("versions-conflict", Severity.WARNING)


@pytest.mark.parametrize(
    ("name", "module"),
    [("requests", "requests"), ("pillow", "PIL"), ("pyyaml", "yaml")],
)
def test_a_need_that_is_imported_is_an_error(name: str, module: str) -> None:
    facts = with_problem(without(recorded("torch-free"), name), module, None)
    found = findings(facts)[name]
    assert (found.code, found.severity) == ("versions-conflict", Severity.ERROR)
    assert f"import {module}" in [evidence.value for evidence in found.evidence]
    assert len(findings(facts)) == 1


def test_the_reports_own_pins_cannot_go_together() -> None:
    facts = with_version(recorded("report"), "mlx-lm", "0.21.4")
    facts = with_problem(facts, "mlx_lm.generate", "maybe_quantize_kv_cache")
    found = findings(facts)["mlx-lm"]
    assert (found.code, found.severity) == ("versions-conflict", Severity.ERROR)
    assert "mlx-lm>=0.23.0" in found.title


def test_a_broken_import_without_a_broken_requirement() -> None:
    facts = with_problem(recorded("torch-free"), "transformers.processing_utils", "Gone")
    found = findings(facts)["A"]
    assert (found.code, found.severity) == ("import-broken", Severity.ERROR)
    assert "from transformers.processing_utils import Gone" in found.title


def with_misfit(facts: Facts) -> Facts:
    misfit = Misfit(
        caller="mlx_vlm/generate/ar.py",
        line=270,
        function="mlx_lm.sample_utils.make_logits_processors",
        definition="mlx_lm/sample_utils.py",
        definition_line=72,
        passes="7 by position",
        takes="(logit_bias, repetition_penalty, repetition_context_size)",
        why="it takes at most 3 by position",
    )
    imports = Imports(reached=("mlx_vlm",), problems=(), unknown=None, misfits=(misfit,))
    return replace(facts, environment=replace(facts.environment, imports=imports))


def test_a_call_that_does_not_fit_makes_a_broken_requirement_an_error() -> None:
    facts = with_version(recorded("report"), "mlx-lm", "0.21.4")
    assert findings(facts)["mlx-lm"].severity is Severity.WARNING
    (found,) = findings(with_misfit(facts)).values()
    assert (found.code, found.severity) == ("versions-conflict", Severity.ERROR)
    sources = [evidence.source for evidence in found.evidence]
    assert sources[-2:] == ["mlx_vlm/generate/ar.py:270", "mlx_lm/sample_utils.py:72"]


def test_a_call_that_does_not_fit_without_a_broken_requirement() -> None:
    facts = with_misfit(recorded("report"))
    (found,) = findings(facts).values()
    assert (found.code, found.severity) == ("call-unfitting", Severity.ERROR)
    caller, callee = found.evidence
    assert "at most 3" in caller.value and "7 by position" in caller.value
    assert callee.value == "(logit_bias, repetition_penalty, repetition_context_size)"
    assert list(fix.actions(found, facts)) == [UseRecipe(reinstall=("mlx-lm", "mlx-vlm"))]


def test_imports_that_could_not_be_traced_are_said() -> None:
    imports = Imports(reached=(), problems=(), unknown="there are too many modules to follow")
    facts = recorded("torch-free")
    facts = replace(facts, environment=replace(facts.environment, imports=imports))
    (gap,) = versions.check(facts)
    assert isinstance(gap, NotChecked)
    assert "too many modules" in gap.reason


def test_extras_and_markers_are_honoured() -> None:
    base = recorded("torch-free")
    needs = distribution(
        "mlx-lm",
        "0.32.2",
        "nowhere; sys_platform == 'win32'",
        "neither; extra == 'test'",
        "pillow[special]",
        "colours; python_version >= '3.9'",
    )
    pillow = distribution("pillow", "13.0.0", "sparkles; extra == 'special'")
    facts = with_distributions(base, needs, pillow)
    facts = with_distributions(
        facts, distribution("mlx-vlm", "0.7.10", "mlx-lm", "mlx>=0.32", "transformers")
    )
    assert sorted(findings(facts)) == ["colours", "sparkles"]


def test_an_extra_is_one_however_it_is_written() -> None:
    facts = with_distributions(
        recorded("torch-free"),
        distribution("mlx-vlm", "0.7.10", "huggingface-hub[hf_xet]"),
        distribution("huggingface-hub", "2.4.0", "chunks; extra == 'hf-xet'"),
    )
    assert "chunks" in findings(facts)


def test_a_version_of_any_length_is_judged() -> None:
    long = "9" * 5000  # Python makes no number of so many digits
    facts = with_distributions(
        recorded("torch-free"),
        distribution("mlx-vlm", "0.7.10", f"numpy>={long}", f"x; python_version < '{long}'"),
        distribution("transformers", long),
    )
    assert findings(facts)["numpy"].severity is Severity.WARNING


def test_a_release_candidate_meets_a_lower_bound() -> None:
    facts = with_distributions(
        recorded("torch-free"),
        distribution("mlx-vlm", "0.7.10", "transformers>=5.0.0rc3"),
        distribution("transformers", "5.24.0rc1"),
    )
    assert findings(facts) == {}


def test_what_nobody_can_read_requires_nothing() -> None:
    facts = with_distributions(
        recorded("torch-free"),
        distribution("mlx-vlm", "0.7.10", "not a requirement !!", "mlx >=", "transformers"),
    )
    assert findings(facts) == {}


def test_mlx_and_its_backend_from_different_releases() -> None:
    found = findings(with_version(recorded("torch-free"), "mlx-cpu", "0.31.2"))["mlx"]
    assert (found.code, found.severity) == ("backend-mismatch", Severity.ERROR)
    assert {"0.32.4", "0.31.2"} <= {evidence.value for evidence in found.evidence}


def test_a_second_backend_of_another_release_is_found_too() -> None:
    facts = with_distributions(recorded("torch-free"), distribution("mlx-cuda", "0.30.0"))
    found = findings(facts)["mlx"]
    assert found.code == "backend-mismatch"
    assert "mlx-cuda" in found.title


def test_mlx_without_a_backend() -> None:
    found = findings(without(recorded("torch-free"), "mlx-cpu"))["mlx"]
    assert (found.code, found.severity) == ("backend-missing", Severity.ERROR)


def test_damaged_metadata_is_said() -> None:
    facts = recorded("torch-free")
    pillow = replace(distribution("pillow", "13.0.0"), problem="No such file or directory")
    found = findings(with_distributions(facts, pillow))["The"]
    assert (found.code, found.severity) == ("metadata-unreadable", Severity.WARNING)


def test_damaged_metadata_of_what_transformers_asks_for_is_an_error() -> None:
    numpy = replace(distribution("numpy", "2.4.6"), problem="No such file or directory")
    found = findings(with_distributions(recorded("torch-free"), numpy))["The"]
    assert (found.code, found.severity) == ("metadata-unreadable", Severity.ERROR)


def test_the_fix_takes_both_halves_of_mlx_and_the_strange_backend_away() -> None:
    facts = with_distributions(recorded("torch-free"), distribution("mlx-cuda", "0.30.0"))
    intents = list(fix.actions(findings(facts)["mlx"], facts))
    (recipe,) = [intent for intent in intents if isinstance(intent, UseRecipe)]
    assert {"mlx", "mlx-cpu"} <= set(recipe.reinstall)
    assert RemoveBroken(name="mlx-cuda") in intents
