"""Planning: which recipe, how much of it, and what it would break. All on facts alone."""

from __future__ import annotations

import pytest

from doctor import plan, registry
from doctor.actions import EditJson, Install, Remove
from doctor.errors import Refused
from doctor.facts import Facts
from doctor.plan import Plan
from tests.conftest import recorded
from tests.facts_of import (
    distribution,
    replace,
    with_distributions,
    with_module,
    with_version,
    without,
)


def made(facts: Facts, recipe: str | None = None, force: bool = False) -> Plan:
    return plan.make(facts, registry.examine(facts, registry.names()).findings, recipe, force)


def change(made_plan: Plan, name: str) -> tuple[str | None, str | None] | None:
    return next(
        ((item.before, item.after) for item in made_plan.changes if item.name == name), None
    )


def on_a_mac(facts: Facts, macos: str = "15.6.1") -> Facts:
    interpreter = facts.environment.interpreter
    markers = {
        **interpreter.markers,
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
    }
    interpreter = replace(interpreter, markers=markers, macos=macos, libc=None)
    facts = replace(facts, environment=replace(facts.environment, interpreter=interpreter))
    facts = without(facts, "mlx-cpu")
    version = next(item.version for item in facts.environment.distributions if item.name == "mlx")
    return with_distributions(facts, distribution("mlx-metal", version))


def with_python(facts: Facts, version: str) -> Facts:
    interpreter = facts.environment.interpreter
    markers = {**interpreter.markers, "python_version": version, "python_full_version": version}
    interpreter = replace(interpreter, version=f"{version}.1", markers=markers)
    return replace(facts, environment=replace(facts.environment, interpreter=interpreter))


def test_the_reports_environment_gets_torch_free() -> None:
    result = made(recorded("report"))
    assert result.recipe == "torch-free"
    assert change(result, "transformers") == ("4.57.3", "5.23.0")
    assert change(result, "mlx-vlm") == ("0.3.9", "0.7.10")
    assert change(result, "numpy") is None  # it is as the lock wants it
    (install,) = [action for action in result.steps if isinstance(action, Install)]
    assert install.download_bytes and install.installed_bytes
    assert result.requirements.count("--hash=sha256:") == len(result.changes)


def test_the_same_environment_on_a_mac() -> None:
    result = made(on_a_mac(recorded("report")))
    assert change(result, "mlx-metal") == ("0.30.0", "0.32.4")
    assert change(result, "mlx-cpu") is None
    (install,) = [action for action in result.steps if isinstance(action, Install)]
    assert install.lock == "macos-arm64-metal-py311"


def test_a_package_that_needs_transformers_4_leads_to_the_reports_line() -> None:
    other = distribution("sentence-transformers", "3.0", "transformers<5")
    result = made(with_distributions(recorded("report"), other))
    assert result.recipe == "report-line"
    assert change(result, "torchvision") == (None, "0.24.1")
    assert change(result, "transformers") is None
    assert result.breaks == ()


def test_a_need_that_is_already_broken_holds_nobody_back() -> None:
    other = distribution("old", "1.0", "transformers<4")
    assert made(with_distributions(recorded("report"), other)).recipe == "torch-free"


def test_a_need_on_an_extra_that_nobody_asked_for_holds_nobody_back() -> None:
    other = distribution("old", "1.0", "transformers<5; extra == 'vision'")
    assert made(with_distributions(recorded("report"), other)).recipe == "torch-free"


def test_where_neither_recipe_fits_it_is_refused_with_the_way_out() -> None:
    other = distribution("stuck", "1.0", "transformers<5", "mlx<0.30.1", "numpy<2.1")
    facts = with_version(with_distributions(recorded("report"), other), "numpy", "2.0.2")
    with pytest.raises(Refused) as refusal:
        made(facts)
    assert "stuck 1.0 requires" in refusal.value.message
    assert "--new-venv" in refusal.value.hint
    forced = made(facts, force=True)
    assert forced.recipe == "torch-free"
    assert {broken.distribution for broken in forced.breaks} == {"stuck 1.0"}
    assert {broken.change.name for broken in forced.breaks} >= {"transformers", "mlx"}


def test_a_named_recipe_is_taken_or_refused() -> None:
    assert made(recorded("report"), recipe="report-line").recipe == "report-line"
    with pytest.raises(Refused, match="no recipe named nonsense"):
        made(recorded("report"), recipe="nonsense")


def test_a_healthy_environment_has_no_plan(any_facts: Facts) -> None:
    if any_facts != recorded("report"):
        assert made(any_facts).steps == ()


def test_an_environment_without_mlx_vlm_gets_the_whole_recipe() -> None:
    facts = recorded("torch-free")
    empty = replace(
        facts,
        environment=replace(
            facts.environment,
            distributions=(),
            modules={},
            transformers=None,
            processor=None,
            imports=None,
            supported_model_types=None,
        ),
    )
    result = made(empty)
    assert len(result.changes) == 65
    assert all(item.before is None for item in result.changes)


def test_torchvision_without_torch_is_taken_away() -> None:
    facts = with_module(recorded("report"), "torchvision")
    facts = with_distributions(facts, distribution("torchvision", "0.24.1", "torch==2.9.1"))
    result = made(facts)
    assert result.recipe == "torch-free"
    assert isinstance(result.steps[0], Remove)
    assert change(result, "torchvision") == ("0.24.1", None)


def test_a_torchvision_that_somebody_needs_is_made_to_work_instead() -> None:
    facts = with_module(recorded("report"), "torchvision")
    facts = with_distributions(
        facts,
        distribution("torchvision", "0.24.1", "torch==2.9.1"),
        distribution("timm", "1.0", "torchvision"),
    )
    result = made(facts)
    assert result.recipe == "report-line"
    assert change(result, "torch") == (None, "2.9.1")


def test_half_of_mlx_is_never_replaced_alone() -> None:
    result = made(with_version(recorded("torch-free"), "mlx-cpu", "0.31.2"))
    assert change(result, "mlx-cpu") == ("0.31.2", "0.32.4")
    assert change(result, "mlx") == ("0.32.4", "0.32.4")
    assert set(result.reinstall) == {"mlx", "mlx-cpu"}


def test_duplicate_metadata_is_installed_anew() -> None:
    facts = recorded("report")
    twice = (*facts.environment.distributions, distribution("numpy", "2.4.6"))
    facts = replace(facts, environment=replace(facts.environment, distributions=twice))
    assert change(made(facts), "numpy") == ("2.4.6", "2.4.6")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (with_python(recorded("report"), "3.9"), "not locked for Python 3.9"),
        (on_a_mac(recorded("report"), macos="13.6"), "needs macOS 14"),
    ],
)
def test_where_there_is_no_lock_it_says_why(facts: Facts, words: str) -> None:
    with pytest.raises(Refused) as refusal:
        made(facts)
    assert words in refusal.value.message
    assert "--new-venv" in refusal.value.hint


def test_the_fingerprint_changes_with_what_a_plan_depends_on() -> None:
    facts = recorded("report")
    before = plan.fingerprint(facts)
    assert plan.fingerprint(recorded("report")) == before
    assert plan.fingerprint(with_version(facts, "numpy", "2.4.5")) != before
    assert plan.fingerprint(without(facts, "dill")) != before
    assert plan.fingerprint(replace(facts, model=replace(facts.model, id="another"))) != before


def test_an_ignored_finding_is_not_fixed() -> None:
    facts = recorded("report")
    ignore = registry.Ignore(code="torchvision-missing", reason="we only use text")
    examination = registry.examine(facts, registry.names(), ignores=[ignore])
    assert examination.verdict == "healthy"
    assert examination.findings[-1].ignored == "we only use text"
    assert not any(
        isinstance(step, (Install, EditJson))
        for step in plan.make(facts, examination.findings).steps
    )
