"""Which run profile is called for, and ``fix`` that writes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from checks import memory
from doctor import registry
from doctor.errors import Refused
from doctor.estimate.judgement import INTERPRETER_BYTES
from doctor.facts import Facts, encode
from doctor.findings import Finding
from doctor.memory import ladder, popular, run_profile, wanted_profile
from doctor.probes import model
from doctor.proving import stand_in
from tests.conftest import Fixed, recorded
from tests.facts_of import REPORT_MAC, replace

GIB = 2**30


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLM_DOCTOR_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def on_a_mac(**machine: object) -> Facts:
    """The report's Mac, with the torch-free recipe on it."""
    facts = recorded("torch-free")
    interpreter = facts.environment.interpreter
    markers = {**interpreter.markers, "sys_platform": "darwin", "platform_machine": "arm64"}
    environment = replace(facts.environment, interpreter=replace(interpreter, markers=markers))
    mac = replace(REPORT_MAC, apple_silicon=True, **machine)
    return replace(facts, environment=environment, machine=mac)


AMPLE = on_a_mac(ram_total_bytes=32 * GIB, ram_available_bytes=24 * GIB, gpu_budget_bytes=21 * GIB)


def findings(facts: Facts) -> tuple[Finding, ...]:
    return registry.examine(facts, ["memory"]).findings


def test_the_reports_mac_gets_the_reports_way_out(config: Path) -> None:
    facts = on_a_mac()
    assert findings(facts)
    step = wanted_profile.wanted(facts, findings(facts), None)
    assert step is not None
    found = step.profile
    assert found.asked_for == popular.CHAIN[0]
    assert found.model in popular.CHAIN[1:]  # a smaller model of the chain
    assert found.fits
    assert found.peak_bytes <= 3 * GIB < found.peak_before_bytes
    assert Path(step.path).parent == config / "profiles"
    assert not config.exists()  # planning writes nothing
    assert step.files() == (step.path,)


def test_the_steps_before_a_smaller_model() -> None:
    """With a byte less than the usual job may take, the pictures are made smaller."""
    usual = wanted_profile.candidates(AMPLE, popular.load())[0].predict(ladder.USUAL)
    assert usual is not None
    less = replace(AMPLE.machine, ram_available_bytes=usual.high_bytes + INTERPRETER_BYTES - 1)
    tight = wanted_profile.for_machine(replace(AMPLE, machine=less))
    assert tight is not None
    assert (tight.model, tight.steps) == (popular.CHAIN[0], ("pictures of 1536 pixels at most",))
    assert tight.peak_bytes < tight.peak_before_bytes == usual.peak_bytes


def test_where_memory_does_not_warn_nothing_is_written() -> None:
    assert not [item for item in findings(AMPLE) if item.severity.value == "warning"]
    assert wanted_profile.wanted(AMPLE, findings(AMPLE), None) is None


def test_the_user_can_ask_for_one(tmp_path: Path) -> None:
    step = wanted_profile.wanted(AMPLE, (), str(tmp_path / "mine.toml"))
    assert step is not None
    assert step.path == str(tmp_path / "mine.toml")
    assert step.profile.steps == ()
    with pytest.raises(Refused, match="cannot be written"):
        wanted_profile.wanted(AMPLE, (), str(tmp_path / "none" / "x.toml"))


def test_a_file_that_says_so_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    step = wanted_profile.wanted(AMPLE, (), str(path))
    assert step is not None
    # The figures of the machine change from minute to minute, and how to run the model does not.
    path.write_text(run_profile.to_toml(replace(step.profile, budget_bytes=1)))
    assert wanted_profile.wanted(AMPLE, (), str(path)) is None
    path.write_text(run_profile.to_toml(replace(step.profile, max_tokens=7)))
    assert wanted_profile.wanted(AMPLE, (), str(path)) is not None


def test_a_finding_that_is_ignored_calls_for_nothing() -> None:
    facts = on_a_mac()
    ignored = tuple(replace(item, ignored="I know") for item in findings(facts))
    assert wanted_profile.wanted(facts, ignored, None) is None


def test_a_model_that_nothing_is_known_of_gets_none(tmp_path: Path) -> None:
    other = replace(AMPLE, model=replace(AMPLE.model, id="nobody/nothing", path=None))
    assert wanted_profile.wanted(other, findings(on_a_mac()), None) is None
    with pytest.raises(Refused, match="cannot be told"):
        wanted_profile.wanted(other, (), str(tmp_path / "x.toml"))


def test_the_files_of_a_model_that_is_here_come_first() -> None:
    found = wanted_profile.for_machine(replace(AMPLE, model=model.look(str(stand_in.FOLDER))))
    assert found is not None
    assert found.peak_bytes < 1_000_000_000  # its own weights have some megabytes


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "/", "\x1b", "a" * 400, "ü/ü"])
def test_a_models_name_stays_in_the_folder(config: Path, name: str) -> None:
    place = wanted_profile.place_of(name)
    assert place.parent == config / "profiles"
    assert place.suffix == ".toml" and len(place.name) < 120


def test_memory_is_the_check_that_calls_for_it() -> None:
    assert memory.CODES == ("ram-short",)


# For real


def test_a_plan_shows_the_profile_and_writes_nothing(fresh: Fixed, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    words = ("--python", str(fresh.python), "--profile", str(path))
    run = fresh.doctor.json("fix", "--dry-run", *words)
    assert (run.code, run.report["outcome"]) == (0, "planned")
    (action,) = run.report["plan"]["actions"]
    assert (action["kind"], action["path"]) == ("write-profile", str(path))
    assert not path.exists()
    saved = fresh.doctor.folder / "facts.json"
    saved.write_bytes(encode(on_a_mac()))
    refused = fresh.doctor("fix", "--dry-run", "--facts", str(saved), "--profile", str(path))
    assert refused.code == 2


def test_fix_proves_writes_and_takes_back(fresh: Fixed, tmp_path: Path) -> None:
    """The doctor's own model as somebody's: it runs as the profile says, which is then written."""
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    path = tmp_path / "profile.toml"
    path.write_text("what was there before\n")
    words = ("--python", str(fresh.python))
    asked = ("--model", str(folder), "--profile", str(path))
    run = fresh.doctor.json("fix", "--yes", *words, *asked)
    assert (run.code, run.report["outcome"]) == (0, "fixed")
    written = run_profile.read(path)
    assert written.model == str(folder)
    real = run.report["real_smoke"]
    assert real["passed"]
    assert real["settings"] == json.loads(json.dumps(written.generation()))
    assert real["watch"]["samples"] >= 2
    speed, swap, _ = real["ready"]
    assert (speed["name"], speed["measured"]) == (
        "tokens-per-second",
        f"{real['tokens_per_second']:.0f}",
    )
    # The swap that was there before is context: what counts is what grew.
    assert swap["met"] is (real["watch"]["swap_growth_bytes"] < 500e6)
    again = fresh.doctor.json("fix", "--yes", *words, *asked)
    assert again.report["outcome"] == "nothing-to-do"
    undone = fresh.doctor.json("undo", *words)
    assert undone.code == 0
    assert path.read_text() == "what was there before\n"
