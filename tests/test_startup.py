"""The start-up check, on facts; what the probe reads for it is in test_probe_surroundings."""

from __future__ import annotations

import pytest

from checks import startup
from doctor.facts import Facts, StartupEffect, StartupFile
from doctor.findings import Finding, Severity
from doctor.intents import UseRecipe
from fixes import startup as fix
from tests.conftest import recorded
from tests.facts_of import replace


def with_effects(*effects: tuple[str, str | None, bool]) -> Facts:
    facts = recorded("torch-free")
    file = StartupFile(
        path="lib/python3.11/site-packages/sitecustomize.py",
        kind="sitecustomize",
        effects=tuple(
            StartupEffect(line=number, kind=kind, detail=detail, on_the_way=on_the_way)
            for number, (kind, detail, on_the_way) in enumerate(effects, 1)
        ),
    )
    return replace(facts, environment=replace(facts.environment, startup=(file,)))


def test_no_code(any_facts: Facts) -> None:
    assert list(startup.check(any_facts)) == []


@pytest.mark.parametrize(
    ("effect", "severity"),
    [
        (("ends", None, False), Severity.ERROR),
        (("absent", "transformers", True), Severity.ERROR),
        (("absent", "torch", False), None),
        (("replaced", "numpy", True), Severity.WARNING),
        (("replaced", "flask", False), None),
        (("patch", "transformers.AutoProcessor", True), Severity.WARNING),
        (("patch", "flask.Flask", False), None),
        (("hook", "sys.meta_path", False), Severity.WARNING),
        (("path-first", None, False), Severity.WARNING),
        (("path-first", "/opt/tools", False), Severity.NOTE),
        (("may-end", None, False), Severity.NOTE),
        (("may-take", "transformers", False), Severity.NOTE),
        (("environment", "HF_HUB_OFFLINE=1", False), Severity.NOTE),
        (("environment", "EDITOR=vi", False), None),
    ],
)
def test_how_bad_an_effect_is(
    effect: tuple[str, str | None, bool], severity: Severity | None
) -> None:
    findings = [item for item in startup.check(with_effects(effect)) if isinstance(item, Finding)]
    assert [item.severity for item in findings] == [severity] * (severity is not None)


def test_a_file_is_one_finding_with_the_worst_first() -> None:
    facts = with_effects(("may-end", None, False), ("ends", None, False))
    (finding,) = startup.check(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("startup-code", Severity.ERROR)
    assert finding.evidence[0].source.endswith("sitecustomize.py:2")
    assert not any(isinstance(action, UseRecipe) for action in fix.actions(finding, facts))
