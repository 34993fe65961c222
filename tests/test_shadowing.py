"""The shadowing check, on facts; what the probe sees for it is in test_probe_surroundings."""

from __future__ import annotations

import pytest

from checks import shadowing, versions
from doctor.facts import Facts, ImportProblem, Imports, Shadow
from doctor.findings import Finding, Severity
from fixes import shadowing as fix
from tests.conftest import recorded
from tests.facts_of import distribution, replace


def hidden(place: str = "pythonpath", used: bool = True, problem: str | None = None) -> Facts:
    facts = recorded("torch-free")
    shadow = Shadow(
        module="tokenizers",
        origin="~/work/tokenizers.py",
        hides="lib/python3.11/site-packages/tokenizers/__init__.py",
        place=place,
        standard=False,
        used=used,
        problem=problem,
    )
    return replace(facts, environment=replace(facts.environment, shadows=(shadow,)))


def test_nothing_is_hidden(any_facts: Facts) -> None:
    assert list(shadowing.check(any_facts)) == []


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        (hidden(problem="tokenizers.Tokenizer"), Severity.ERROR),
        (hidden(), Severity.WARNING),
        (hidden(used=False), Severity.NOTE),
        (hidden(place="current-folder", used=False), Severity.NOTE),
    ],
)
def test_how_bad_it_is(facts: Facts, severity: Severity) -> None:
    (finding,) = shadowing.check(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("module-shadowed", severity)
    assert finding.evidence[0].source == "~/work/tokenizers.py"
    (advice,) = fix.actions(finding, facts)
    assert "~/work/tokenizers.py" in advice.summary  # type: ignore[union-attr]


def test_what_it_lacks_is_told_once() -> None:
    problem = ImportProblem(importer="x.py", line=1, module="tokenizers", name="Tokenizer")
    imports = Imports(reached=("tokenizers",), problems=(problem,), unknown=None)
    facts = hidden(problem="tokenizers.Tokenizer")
    facts = replace(facts, environment=replace(facts.environment, imports=imports))
    assert list(versions.check(facts)) == []
    alone = replace(facts, environment=replace(facts.environment, shadows=()))
    assert [item.code for item in versions.check(alone) if isinstance(item, Finding)] == [
        "import-broken"
    ]


def test_one_that_brings_metadata_which_transformers_refuses() -> None:
    facts = hidden(problem=None)
    older = distribution("tokenizers", "0.10.0")
    environment = facts.environment
    both = replace(environment, distributions=(older, *environment.distributions))
    (finding,) = shadowing.check(replace(facts, environment=both))
    assert isinstance(finding, Finding)
    assert finding.severity is Severity.ERROR
    assert "refuses" in finding.cause
    (fine,) = shadowing.check(facts)
    assert isinstance(fine, Finding)
    assert fine.severity is Severity.WARNING
