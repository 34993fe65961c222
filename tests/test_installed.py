"""The installed check: is there an mlx-vlm at all?"""

from __future__ import annotations

from checks import installed
from doctor.facts import Facts, Module
from doctor.findings import Finding
from doctor.intents import UseRecipe
from fixes import installed as fix
from tests.conftest import recorded
from tests.facts_of import replace, without


def test_environments_with_mlx_vlm(any_facts: Facts) -> None:
    assert list(installed.check(any_facts)) == []


def test_an_environment_without_it() -> None:
    facts = without(recorded("report"), "mlx-vlm")
    (finding,) = installed.check(facts)
    assert isinstance(finding, Finding)
    assert finding.code == "not-installed"
    assert list(fix.actions(finding, facts)) == [UseRecipe(reinstall=("mlx-vlm",))]


def test_metadata_without_the_module_is_half_an_install() -> None:
    facts = recorded("report")
    environment = facts.environment
    for left in (None, Module(origin="lib/python3.11/site-packages/mlx_vlm", kind="namespace")):
        modules = {**environment.modules, "mlx_vlm": left}
        half = replace(facts, environment=replace(environment, modules=modules))
        (finding,) = installed.check(half)
        assert isinstance(finding, Finding)
        assert "half gone" in finding.cause
