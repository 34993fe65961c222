"""What was proven last, and what of it has changed since."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from doctor import state
from doctor.facts import DamagedFile, Facts
from doctor.proving import last_proof
from tests.conftest import recorded
from tests.facts_of import replace, with_version

CUT = DamagedFile(
    distribution="mlx-vlm", path="lib/mlx_vlm/utils.py", recorded_bytes=30_000, bytes=2000
)


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "state"))
    return str(tmp_path / "environment")


def with_newest(facts: Facts, newest: int) -> Facts:
    return replace(facts, environment=replace(facts.environment, newest_file_ns=newest))


def with_damaged(facts: Facts, *damaged: DamagedFile) -> Facts:
    return replace(facts, environment=replace(facts.environment, damaged=damaged))


def test_what_is_as_it_was_proven_is_unchanged(prefix: str) -> None:
    facts = recorded("torch-free")
    assert last_proof.recall(facts, prefix) is None
    last_proof.remember(facts, prefix)
    proof = last_proof.recall(facts, prefix)
    assert proof is not None
    assert (proof.unchanged, proof.changes) == (True, ())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda facts: with_version(facts, "mlx", "0.1"), "mlx 0.32.4 → 0.1"),
        (
            lambda facts: replace(facts, model=replace(facts.model, path="~/model")),
            "the model's files",
        ),
        (lambda facts: with_damaged(facts, CUT), "lib/mlx_vlm/utils.py whole → 2000 bytes"),
    ],
)
def test_what_has_changed_is_told(prefix: str, changed: object, told: str) -> None:
    facts = recorded("torch-free")
    last_proof.remember(facts, prefix)
    assert callable(changed)
    proof = last_proof.recall(changed(facts), prefix)
    assert proof is not None
    assert not proof.unchanged
    assert told in proof.changes[0]
    assert len(proof.changes) == 1


def test_a_file_that_was_written_since_is_a_change(prefix: str) -> None:
    """An edit that leaves the size as it was is seen by nothing else."""
    facts = recorded("torch-free")
    long_ago = with_newest(facts, 10**18)
    last_proof.remember(long_ago, prefix)
    now = time.time_ns()
    future = with_newest(facts, now + 10**15)
    for earlier in (long_ago, with_newest(facts, now - 10**10)):
        proof = last_proof.recall(earlier, prefix)
        assert proof is not None
        assert proof.unchanged
    proof = last_proof.recall(future, prefix)
    assert proof is not None
    assert proof.changes == ("a file of an installed package was written since",)
    last_proof.remember(future, prefix)
    again = last_proof.recall(future, prefix)
    assert again is not None
    assert again.unchanged


def test_damage_that_was_there_at_the_proof_is_no_change(prefix: str) -> None:
    facts = with_damaged(recorded("torch-free"), CUT)
    last_proof.remember(facts, prefix)
    proof = last_proof.recall(facts, prefix)
    assert proof is not None
    assert proof.unchanged


def test_an_environment_whose_name_is_as_long_as_a_name_may_be_is_remembered(
    tmp_path: Path, prefix: str
) -> None:
    facts = recorded("torch-free")
    for name in ("e" * 255, "и" * 127):
        last_proof.remember(facts, str(tmp_path / name))
        assert last_proof.recall(facts, str(tmp_path / name)) is not None
    assert len(list((state.folder() / "targets").iterdir())) == 2
