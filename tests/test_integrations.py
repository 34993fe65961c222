"""What others call the doctor by: a GitHub action, a pre-commit hook, Ansible."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from doctor import cli
from tests.conftest import RECORDED, ROOT, Doctor, make_environment

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
HOOK: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
COLLECTION = ROOT / "integrations" / "ansible"


def run_action(doctor: Doctor, **inputs: str) -> tuple[int, str, str]:
    """Run the action's last step as GitHub's runner would; the doctor itself is there already."""
    command = doctor.folder / "vlm-doctor" / "bin" / "vlm-doctor"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m doctor "$@"\n')
    command.chmod(0o755)
    return run_steps(doctor, ACTION["runs"]["steps"][-1:], inputs)


def run_steps(
    doctor: Doctor, steps: list[dict[str, Any]], inputs: dict[str, str], checkout: Path = ROOT
) -> tuple[int, str, str]:
    """Run steps of the composite action as the runner does: exit status, log, the action's output.

    Expressions are filled in, each step is a script of bash's with the files and variables that the
    runner promises, and the first that fails ends it.
    """
    given = {name: inputs.get(name, value["default"]) for name, value in ACTION["inputs"].items()}
    known = {f"inputs.{name}": value for name, value in given.items()}
    known["github.action_path"] = str(checkout)
    files = {name: doctor.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    outputs: dict[str, str] = {}
    log, code = "", 0
    for step in steps:
        assert step["shell"] == "bash"
        for file in files.values():
            file.write_text("")
        script = doctor.folder / "step.sh"
        script.write_text(filled_in(step["run"], known))
        run = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=doctor.folder,
            env={
                **doctor.variables,
                **{name: filled_in(value, known) for name, value in step["env"].items()},
                **{name: str(file) for name, file in files.items()},
                "RUNNER_TEMP": str(doctor.folder),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        log += run.stdout + run.stderr + files["GITHUB_STEP_SUMMARY"].read_text()
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, _, value = line.partition("=")
            outputs[f"steps.{step['id']}.outputs.{name}"] = value
        code = run.returncode
        if code:
            break
    return code, log, filled_in(ACTION["outputs"]["works"]["value"], outputs)


def filled_in(text: str, known: dict[str, str]) -> str:
    """A text with its expressions replaced by what they are; one that is not known is empty."""
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known.get(found[1], ""), text)


def test_the_action_annotates_and_tells_whether_it_works(doctor: Doctor) -> None:
    python = make_environment(doctor.folder / "environment", "filelock")
    code, log, works = run_action(doctor, python=str(python))
    assert code == 1
    assert "::error title=not-installed" in log
    assert works == "false"
    code, log, works = run_action(
        doctor, command="fix", python=str(python), arguments="--dry-run --offline"
    )
    assert (code, works) == (0, "true")


def test_the_whole_action_installs_the_doctor_and_runs_it(doctor: Doctor) -> None:
    """Every step of its file, in their order: the doctor is installed from a checkout."""
    checkout = doctor.folder / "checkout"
    for part in ("checks", "doctor", "fixes"):
        shutil.copytree(ROOT / part, checkout / part)
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, checkout)
    python = make_environment(doctor.folder / "environment", "filelock")
    outside = {name: value for name, value in doctor.variables.items() if name != "PYTHONPATH"}
    runner = replace(doctor, variables=outside)
    code, log, works = run_steps(runner, ACTION["runs"]["steps"], {"python": str(python)}, checkout)
    assert (code, works) == (1, "false"), log
    assert "::error title=not-installed" in log
    assert "## vlm-doctor: broken" in log  # the job's summary
    installed = doctor.folder / "vlm-doctor" / "bin" / "vlm-doctor"
    said = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("vlm-doctor ")


def test_a_model_of_the_action_is_one_word_of_the_command(doctor: Doctor) -> None:
    python = make_environment(doctor.folder / "environment", "filelock")
    code, _, _ = run_action(doctor, python=str(python), model='x"; touch stolen; $(touch taken)')
    assert code in (1, 2, 3)
    assert not {"stolen", "taken"} & set(os.listdir(doctor.folder))


def test_the_hook_is_a_command_of_the_doctor(capfd: pytest.CaptureFixture[str]) -> None:
    """pre-commit itself was run once (CONTRIBUTING); here the line that it starts."""
    name, *words = HOOK["entry"].split()
    assert name == "vlm-doctor"
    options = cli.parser(words[:1]).parse_args([*words, *HOOK["args"]])
    assert (options.command, options.venv) == ("check", ".venv")
    pattern = re.compile(HOOK["files"])
    assert pattern.search("pyproject.toml")
    assert pattern.search("a/requirements-dev.txt")
    assert not pattern.search("src/main.py")


def test_what_ansible_did_in_a_room() -> None:
    """``make ansible`` wrote what real targets over SSH did; it is held to what is promised."""
    runs = json.loads((RECORDED / "ansible.json").read_text())["runs"]
    assert list(runs) == ["check", "first", "second", "check afterwards"]
    for name, run in runs.items():
        assert run["unreachable"]["unreachable"] == 1
        assert run["without_python"]["failed"] + run["without_python"]["unreachable"] == 1
        assert "There is no Python" in run["without_python"]["message"]
        assert (run["well"]["outcome"], run["well"]["changed"]) == ("nothing-to-do", 0)
        assert run["broken"]["changed"] == (1 if name in ("check", "first") else 0)
    assert runs["check"]["broken"]["outcome"] == "planned"
    assert runs["first"]["broken"]["outcome"] == "fixed"
    assert runs["first"]["broken"]["findings"]
    assert runs["second"]["broken"]["findings"] == []
    assert runs["first"]["broken"]["facts"] in ("healthy", "degraded")


def test_the_module_describes_every_option_that_it_takes() -> None:
    text = (COLLECTION / "plugins" / "modules" / "vlm_doctor.py").read_text()
    described = yaml.safe_load(text.split('DOCUMENTATION = r"""')[1].split('"""')[0])["options"]
    taken = re.findall(r'^            "(\w+)": \{"type": "(\w+)"', text, re.MULTILINE)
    assert {name: option["type"] for name, option in described.items()} == dict(taken)
    role = yaml.safe_load((COLLECTION / "roles/vlm_doctor/tasks/main.yml").read_text())
    used = role[-1]["vlm.doctor.vlm_doctor"]
    assert set(used) <= set(described)


def test_the_collection_has_what_galaxy_wants() -> None:
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    assert {"namespace", "name", "version", "readme", "authors"} <= set(galaxy)
    assert (COLLECTION / galaxy["readme"]).is_file()
    assert Path(COLLECTION / "roles" / "vlm_doctor" / "defaults" / "main.yml").is_file()
