"""The leftovers check, and what the probe sees for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from checks import leftovers
from doctor.errors import Refused
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.target import Target, find
from fixes import leftovers as fix
from tests import probe
from tests.conftest import recorded
from tests.facts_of import distribution, replace

distributions = probe.module("distributions")


def with_environment(facts: Facts, **fields: object) -> Facts:
    return replace(facts, environment=replace(facts.environment, **fields))


def only(facts: Facts) -> Finding:
    (finding,) = leftovers.check(facts)
    assert isinstance(finding, Finding)
    return finding


def test_environments_that_are_as_installed_have_no_findings(any_facts: Facts) -> None:
    assert list(leftovers.check(any_facts)) == []


def test_two_metadata_folders_of_one_package() -> None:
    facts = recorded("torch-free")
    stale = distribution("transformers", "4.57.3")
    finding = only(with_environment(facts, distributions=(*facts.environment.distributions, stale)))
    assert (finding.code, finding.severity) == ("metadata-duplicated", Severity.WARNING)
    assert [item.value for item in finding.evidence][-1] == "4.57.3"
    elsewhere = replace(stale, metadata="/home/me/.local/transformers-4.57.3.dist-info")
    both = (*facts.environment.distributions, elsewhere)
    assert list(leftovers.check(with_environment(facts, distributions=both))) == []


def test_two_metadata_folders_of_which_the_first_is_refused() -> None:
    facts = recorded("torch-free")
    stale = distribution("tokenizers", "0.10.0")
    finding = only(with_environment(facts, distributions=(stale, *facts.environment.distributions)))
    assert (finding.code, finding.severity) == ("metadata-duplicated", Severity.ERROR)


def test_two_metadata_folders_of_a_package_on_nobodys_way() -> None:
    facts = recorded("torch-free")
    added = (distribution("flask", "1.0"), distribution("Flask", "2.0"))
    both = (*facts.environment.distributions, *added)
    assert list(leftovers.check(with_environment(facts, distributions=both))) == []


def test_conda_and_pip_disagree() -> None:
    facts = recorded("torch-free")
    numpy = next(item for item in facts.environment.distributions if item.name == "numpy")
    books = {"numpy": "1.26.0", "python": "3.11.7", "jinja2": "3.1.6", "flask": "1.0"}
    finding = only(with_environment(facts, conda=books))
    assert finding.code == "metadata-duplicated"
    assert [item.value for item in finding.evidence] == ["1.26.0", numpy.version]


def test_two_metadata_folders_that_tell_no_version() -> None:
    facts = recorded("torch-free")
    nameless = distribution("transformers", None)
    doubled = (nameless, *facts.environment.distributions)
    assert "None" not in only(with_environment(facts, distributions=doubled)).cause


def test_leftovers_are_notes_and_stay() -> None:
    facts = with_environment(
        recorded("torch-free"),
        leftovers=("lib/python3.11/site-packages/~ransformers",),
        foreign_scripts={"pip": "/usr/local/bin/python3"},
    )
    findings = [item for item in leftovers.check(facts) if isinstance(item, Finding)]
    assert [item.code for item in findings] == ["install-leftover"] * 2
    assert {item.severity for item in findings} == {Severity.NOTE}
    assert "~ransformers" in findings[0].fix.summary
    assert all(type(action).__name__ == "Advice" for action in fix.actions(findings[0], facts))


def test_what_conda_wrote(tmp_path: Path) -> None:
    names = ["numpy-1.26.0-py311_0.json", "python-dateutil-2.9.0-pyhd8.json", "history", "x.json"]
    probe.write(tmp_path, {f"conda-meta/{name}": "" for name in names})
    assert distributions.of_conda(str(tmp_path)) == {
        "numpy": "1.26.0",
        "python-dateutil": "2.9.0",
    }
    assert distributions.of_conda(str(tmp_path / "nowhere")) == {}


@pytest.mark.parametrize(
    ("line", "foreign"),
    [
        ("#!/opt/another/bin/python3", True),
        ("#!{folder}/bin/python3", False),
        ("#!{executable}", False),
        ("#!/bin/sh", False),
        ("#!/usr/bin/env python3", False),
        ("", False),
        ("import sys", False),
    ],
)
def test_commands_of_another_python(tmp_path: Path, line: str, foreign: bool) -> None:
    python = probe.make_venv(tmp_path / "environment")
    folder = python.parent.parent
    text = line.format(folder=folder, executable=sys.executable) + "\n"
    (python.parent / "pip").write_text(text)
    said = distributions.foreign_scripts(str(python.parent), str(python))
    assert bool(said) == foreign


def test_an_environment_that_has_lost_its_python_says_which(tmp_path: Path) -> None:
    python = probe.make_venv(tmp_path / "environment")
    home = tmp_path / "gone" / "bin"
    settings = python.parent.parent / "pyvenv.cfg"
    settings.write_text(f"home = {home}\n")
    python.unlink()
    python.symlink_to(home / "python3")
    with pytest.raises(Refused, match="has lost its Python") as refused:
        find(str(python), None, {})
    assert str(home) in str(refused.value)
    # A launcher that is there and starts a Python that is not.
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    from doctor.probes import environment

    target = Target(python=str(python), found_by="a test")
    with (
        pytest.raises(Refused, match="was made from") as refused,
        environment.Probe(target, None) as begun,
    ):
        begun.answer()
    assert str(home) in str(refused.value)
