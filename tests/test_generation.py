"""The deep check: contents are compared, and a generation is run and believed."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from checks import generation as check
from doctor import registry
from doctor.facts import Facts, Generation
from doctor.findings import Finding, NotChecked, Severity
from doctor.plan import make
from doctor.probes import contents
from tests.conftest import Doctor, make_environment, recorded
from tests.facts_of import distribution, replace


def ran(facts: Facts, passed: bool, **fields: object) -> Facts:
    values = {"model": "M", "model_type": "qwen3_vl", "stand_in": True, **fields}
    return replace(facts, generation=Generation(passed=passed, **values))  # type: ignore[arg-type]


def with_record(facts: Facts, folder: Path, files: dict[str, bytes]) -> Facts:
    """Facts of an environment in ``folder`` with one distribution that recorded these files."""
    site = folder / "site"
    metadata = site / "thing-1.0.dist-info"
    metadata.mkdir(parents=True)
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
        path = site / name
        if path.resolve().is_relative_to(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (metadata / "RECORD").write_text("\n".join([*rows, "thing-1.0.dist-info/RECORD,,"]) + "\n")
    interpreter = replace(facts.environment.interpreter, prefix=str(folder))
    found = replace(distribution("thing", "1.0"), metadata="site/thing-1.0.dist-info")
    return replace(
        facts,
        environment=replace(facts.environment, interpreter=interpreter, distributions=(found,)),
    )


def test_contents_that_kept_their_size_are_seen(tmp_path: Path) -> None:
    files = {"thing/a.py": b"x = 1\n", "thing/core.so": b"\x7fELF....", "thing/data.bin": b"0000"}
    facts = with_record(recorded("torch-free"), tmp_path, files)
    assert contents.altered(facts.environment) == ()
    (tmp_path / "site/thing/core.so").write_bytes(b"\x7fELF...\0")
    (tmp_path / "site/thing/a.py").write_bytes(b"x = 22\n")  # another size: told without hashing
    steps: list[tuple[int, int]] = []
    (file,) = contents.altered(facts.environment, lambda done, total: steps.append((done, total)))
    assert (file.path, file.kind) == ("site/thing/core.so", "compiled")
    assert sum(done for done, _ in steps) == steps[0][1] == 18


def test_only_regular_files_of_the_environment_are_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_bytes(b"1111")
    folder = tmp_path / "environment"
    files = {"../../outside.txt": b"0000", str(outside): b"0000", "pipe": b"0000", "gone": b"0000"}
    facts = with_record(recorded("torch-free"), folder, files)
    (folder / "site/pipe").unlink()
    os.mkfifo(folder / "site/pipe")
    (folder / "site/gone").unlink()
    assert contents.altered(facts.environment) == ()


def test_without_a_generation_it_says_nothing(any_facts: Facts) -> None:
    assert list(check.check(any_facts)) == []


def test_a_generation_that_fails_is_an_error_with_its_own_words() -> None:
    facts = ran(recorded("torch-free"), False, stage="load", error="ValueError: what nobody knows")
    (finding,) = check.check(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("generation-failed", Severity.ERROR)
    assert finding.evidence[0].value == "ValueError: what nobody knows"
    assert registry.examine(facts, registry.names()).verdict == "broken"
    plan = make(facts, [replace(finding, check="generation")])
    assert len(plan.reinstall) > 20  # everything anew


def test_a_known_error_is_named() -> None:
    text = "ImportError: cannot import name 'maybe_quantize_kv_cache' from 'mlx_lm.generate' (x.py)"
    (finding,) = check.check(ran(recorded("torch-free"), False, stage="import", error=text))
    assert isinstance(finding, Finding)
    assert finding.incident is not None


def test_a_generation_that_took_too_long_decides_nothing() -> None:
    facts = ran(recorded("torch-free"), False, stage="load", error="too long", timed_out=True)
    (gap,) = check.check(facts)
    assert isinstance(gap, NotChecked)
    assert registry.examine(facts, registry.names()).verdict == "unknown"


def test_what_ran_runs() -> None:
    facts = recorded("report")
    before = registry.examine(facts, registry.names())
    after = registry.examine(ran(facts, True), registry.names())
    assert (before.verdict, after.verdict) == ("broken", "degraded")
    assert [f.code for f in before.findings if f.severity is not Severity.NOTE] == [
        f.code for f in after.findings if f.severity is not Severity.NOTE
    ]


@pytest.mark.parametrize("fields", [{"model_type": "llava"}, {"model_type": None}])
def test_a_generation_of_another_type_proves_nothing(fields: dict[str, object]) -> None:
    facts = recorded("report")
    before = registry.examine(facts, registry.names())
    assert registry.examine(ran(facts, True, **fields), registry.names()) == before


def test_the_stand_in_does_not_speak_for_a_model_that_is_here() -> None:
    facts = recorded("report")
    here = replace(facts, model=replace(facts.model, path="~/model", weights_bytes=1))
    assert registry.examine(ran(here, True), registry.names()).verdict == "broken"
    assert registry.examine(ran(here, True, stand_in=False), registry.names()).verdict != "broken"


def test_pictures_say_nothing_of_videos() -> None:
    facts = replace(recorded("report"), purpose="video")
    assert registry.examine(ran(facts, True), registry.names()).verdict == "broken"


def test_for_real_an_environment_without_mlx_fails_at_the_import(
    doctor: Doctor, tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "environment", "packaging==25.0")
    run = doctor.json("check", "--deep", "--python", str(python), "--only", "generation,files")
    assert run.code == 1
    (finding,) = run.report["findings"]
    assert finding["code"] == "generation-failed"
    assert "No module named" in finding["evidence"][0]["value"]


def test_it_goes_with_an_environment_only(doctor: Doctor) -> None:
    run = doctor("check", "--deep", "--facts", "x.json")
    assert (run.code, run.err.count("\n")) == (2, 1)
