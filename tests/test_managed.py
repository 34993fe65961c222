"""Environments of others: what is left to them, and the commands that they are given."""

from __future__ import annotations

import pytest

from doctor import plan, registry
from doctor.actions import Advice, Install
from doctor.facts import Facts, Manager, PathEntry
from doctor.plan import Plan
from tests.conftest import recorded
from tests.facts_of import distribution, replace, with_distributions, with_version, without


def managed(facts: Facts, kind: str, **fields: object) -> Facts:
    manager = replace(Manager(kind=kind, source=f"/project/{kind}.lock"), **fields)
    return replace(facts, environment=replace(facts.environment, manager=manager))


def project(kind: str, facts: Facts | None = None, **locked: str) -> Facts:
    everything = facts or recorded("report")
    versions = {
        item.name: item.version or "" for item in recorded("report").environment.distributions
    }
    return managed(everything, kind, project="/project", locked={**versions, **locked})


def of_conda(facts: Facts, **packages: str) -> Facts:
    """The facts of an environment in which conda installed these, by its own names for them."""
    environment = facts.environment
    interpreter = replace(environment.interpreter, kind="conda", prefix="/opt/conda envs/vlm")
    distributions = tuple(
        replace(item, conda=packages.get(item.name.replace("-", "_")), installer="conda")
        for item in environment.distributions
    )
    facts = replace(
        facts,
        environment=replace(environment, interpreter=interpreter, distributions=distributions),
    )
    return managed(facts, "conda", source="conda-meta")


def as_locked() -> Facts:
    """An environment that has all that the recipe's lock has."""
    facts = recorded("torch-free")
    lock = plan.lock_for(facts, "torch-free")
    assert lock is not None
    kept = {item.name: item for item in facts.environment.distributions}
    return with_distributions(
        facts,
        *(
            replace(kept.get(name) or distribution(name, None), name=name, version=wheel.version)
            for name, wheel in lock.wheels.items()
        ),
    )


def made(facts: Facts) -> Plan:
    return plan.make(facts, registry.examine(facts, registry.names()).findings)


def commands(result: Plan) -> list[str]:
    return [
        command
        for action in result.actions
        if isinstance(action, Advice)
        for command in action.commands
    ]


def installed(result: Plan) -> set[str]:
    return {change.name for change in result.changes}


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("uv", "uv add"),
        ("poetry", "poetry add"),
        ("pdm", "pdm add"),
        ("pipenv", "pipenv install"),
        ("pixi", "pixi add --pypi"),
    ],
)
def test_a_project_is_given_the_requirements_in_its_own_words(kind: str, command: str) -> None:
    result = made(project(kind))
    assert result.refusal is not None and result.refusal.forcible
    assert "--force" in result.refusal.hint
    enter, add = commands(result)
    assert enter == "cd /project"
    assert add.startswith(f"{command} mlx-vlm==0.7.10 transformers==5.23.0 ")
    assert add.endswith(" 'mlx[cpu]==0.32.4'")
    assert "mlx==" not in add


def test_an_environment_that_is_not_as_its_lock_says_is_brought_back_first() -> None:
    locked = {item.name: item.version for item in as_locked().environment.distributions}
    facts = without(as_locked(), "tokenizers")
    result = made(managed(facts, "uv", project="~/my work", locked=locked))
    # The lock has what the recipe has: nothing has to be added.
    assert commands(result) == ["cd ~/'my work'", "uv sync"]
    assert result.refusal is not None


def damaged(facts: Facts) -> Facts:
    """The facts with a tokenizers whose metadata cannot be read."""
    found = next(item for item in facts.environment.distributions if item.name == "tokenizers")
    return with_distributions(facts, replace(found, problem="the metadata names no version"))


def test_what_is_only_installed_anew_does_not_fight_the_lock() -> None:
    result = made(managed(damaged(as_locked()), "uv", project="/project"))
    assert installed(result) == {"tokenizers"}
    assert result.refusal is None
    assert commands(result) == []


def test_where_more_would_change_the_project_installs_it_anew() -> None:
    result = made(project("uv", damaged(recorded("report"))))
    assert commands(result)[:2] == ["cd /project", "uv sync --reinstall-package tokenizers"]
    assert commands(result)[-1].startswith("uv add ")


def test_what_neither_lock_nor_environment_has_is_added_and_not_installed_anew() -> None:
    facts = without(recorded("report"), "mlx-vlm")
    result = made(managed(facts, "pdm", project="/project"))
    assert [command.partition(" mlx")[0] for command in commands(result)] == [
        "cd /project",
        "pdm add",
    ]


def test_what_conda_installed_is_left_to_conda() -> None:
    facts = with_version(recorded("report"), "transformers", "4.50.0")
    result = made(of_conda(facts, numpy="numpy", transformers="transformers"))
    assert result.recipe == "torch-free"
    assert result.refusal is not None and not result.refusal.forcible
    assert "transformers" in result.refusal.reason
    assert "transformers" not in installed(result)
    install, fix, remove, again = commands(result)
    assert install == "conda install --prefix '/opt/conda envs/vlm' transformers=5.23.0"
    assert remove == "conda remove --prefix '/opt/conda envs/vlm' --force transformers"
    assert fix == again and fix.startswith("vlm-doctor fix --python ")


def test_a_recipe_that_needs_nothing_of_conda_goes_first() -> None:
    result = made(of_conda(recorded("report"), transformers="transformers"))
    assert (result.recipe, result.refusal) == ("report-line", None)
    assert "transformers" not in installed(result)


def test_what_conda_installed_for_pixi_is_pixis_to_change() -> None:
    facts = with_version(recorded("report"), "transformers", "4.50.0")
    facts = of_conda(facts, transformers="transformers")
    result = made(managed(facts, "pixi", project="/project"))
    assert result.refusal is not None and "pixi" in result.refusal.reason
    assert [command.partition(" mlx-vlm")[0] for command in commands(result)] == [
        "cd /project",
        "pixi add --pypi",
    ]


def test_condas_own_name_of_a_package_is_used() -> None:
    facts = of_conda(recorded("matched"), torch="pytorch", transformers="transformers")
    facts = with_version(facts, "torch", "2.8.0")
    result = plan.make(facts, [], recipe="report-line")
    assert result.refusal is not None
    assert "pytorch=2.9.1" in commands(result)[0]


def test_what_conda_installed_beside_the_way_stays_as_it_is() -> None:
    # pyyaml is nothing that the recipe is about: the proof will tell whether its version does.
    facts = of_conda(with_version(recorded("report"), "pyyaml", "6.0.1"), PyYAML="pyyaml")
    result = made(facts)
    assert result.refusal is None
    assert "pyyaml" not in installed(result)
    (install,) = [step for step in result.steps if isinstance(step, Install)]
    assert [(change.name, change.before) for change in install.left] == [("pyyaml", "6.0.1")]
    assert commands(result) == []


def test_a_tools_environment_is_mended_and_the_tool_told_afterwards() -> None:
    pipx = made(managed(recorded("report"), "pipx", name="mlx-vlm"))
    assert pipx.refusal is None
    install, inject = commands(pipx)
    assert install == "pipx install --force mlx-vlm==0.7.10"
    assert inject.startswith("pipx inject --force mlx-vlm transformers==5.23.0 ")
    # A program of somebody's that mlx-vlm came with.
    (inject,) = commands(made(managed(recorded("report"), "pipx", name="their-app")))
    assert inject.startswith("pipx inject --force their-app mlx-vlm==0.7.10 ")
    (command,) = commands(made(managed(recorded("report"), "uv-tool", name="mlx-vlm")))
    assert command.startswith("uv tool install --force mlx-vlm==0.7.10 --with ")


@pytest.mark.parametrize(
    ("kind", "owner"), [("homebrew", "Homebrew"), ("debian", "apt"), ("uv-python", "uv")]
)
def test_a_systems_python_is_refused_with_the_way_out(kind: str, owner: str) -> None:
    facts = managed(recorded("report"), kind)
    interpreter = replace(facts.environment.interpreter, externally_managed=True)
    result = made(replace(facts, environment=replace(facts.environment, interpreter=interpreter)))
    assert result.refusal is not None and not result.refusal.forcible
    assert owner in result.refusal.reason
    assert "--new-venv" in result.refusal.hint


@pytest.mark.parametrize("front", [True, False])
def test_a_users_own_install_counts_only_in_front(front: bool) -> None:
    facts = recorded("report")
    interpreter = facts.environment.interpreter
    entry = PathEntry(path="~/.local/lib/python3.11/site-packages", kind="user-site")
    path = (entry, *interpreter.search_path) if front else (*interpreter.search_path, entry)
    environment = replace(facts.environment, interpreter=replace(interpreter, search_path=path))
    mine = replace(
        distribution("transformers", "4.57.3"),
        metadata=f"{entry.path}/transformers-4.57.3.dist-info",
    )
    result = made(with_distributions(replace(facts, environment=environment), mine))
    assert (result.refusal is not None) == front
    if front:
        assert result.refusal is not None and entry.path in result.refusal.reason
        assert commands(result)[0].endswith(" -m pip uninstall transformers")


def test_a_working_copy_is_not_replaced_unasked() -> None:
    facts = recorded("report")
    mine = replace(distribution("mlx-vlm", "0.3.9"), editable="~/src/mlx-vlm")
    result = made(with_distributions(facts, mine))
    assert result.refusal is not None and result.refusal.forcible
    assert "~/src/mlx-vlm" in result.refusal.reason
    untouched = replace(distribution("my-tool", "1.0"), editable="~/src/my-tool")
    assert made(with_distributions(facts, untouched)).refusal is None
