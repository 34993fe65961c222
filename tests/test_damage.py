"""Damage to a model's files, made anew, and judged by what a generation really did with it.

The generations themselves are run by ``make damage``, in both recipes' environments; what they did
is in ``tests/damage``. Here one case in eight is judged, and one in thirty repaired.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.conftest import MLX_EXTRA, REPORT_PACKAGES, make_environment
from tools.damage import judge, repairing
from tools.damage.__main__ import cases
from tools.damage.kinds import KINDS
from tools.damage.running import Target

PACKAGES = {
    "torch-free": ("mlx-vlm==0.7.10", "transformers==5.23.0", f"mlx{MLX_EXTRA}==0.32.4"),
    # Without torch: what the probe reads of the model's code is the same.
    "report-line": REPORT_PACKAGES,
}


def test_there_are_enough_kinds() -> None:
    for recipe in PACKAGES:
        recorded = judge.truth_of(recipe)
        harm = {
            case.partition("/")[0] for case, one in recorded.items() if one["outcome"] != "same"
        }
        none = {
            case.partition("/")[0] for case, one in recorded.items() if one["outcome"] == "same"
        }
        assert len(harm) >= 100 and len(none - harm) >= 20
    aside = sum(kind.set_aside for kind in KINDS.values())
    assert len(KINDS) / 4 < aside < len(KINDS) / 2


@pytest.mark.parametrize("recipe", PACKAGES)
def test_the_verdict_is_what_a_generation_did(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("VLM_DOCTOR_CACHE", str(tmp_path / "notes"))
    python = make_environment(tmp_path / "environment", *PACKAGES[recipe])
    wrong = json.loads(judge.WRONG.read_text("utf-8"))[recipe]
    chosen = [
        case for case, _, _ in cases([]) if hashlib.sha256(case.encode()).digest()[0] % 8 == 0
    ]
    told = judge.judge(recipe, python, tmp_path / "models", chosen)
    assert len(told) > 60
    # What an error names is what was damaged, by what the kind itself says of it.
    assert {case: one["says"] for case, one in told.items() if one["misnamed"]} == {}
    # Those that it is wrong about today are listed; one that it judges rightly has to leave.
    found = {case: one["wrong"] for case, one in told.items() if one["wrong"]}
    assert found == {case: why for case, why in wrong.items() if case in told}


@pytest.mark.parametrize("recipe", PACKAGES)
def test_what_repairs_did_when_they_were_recorded(recipe: str) -> None:
    truth, repairs = judge.truth_of(recipe), judge.repairs_of(recipe)
    assert len(repairs) >= 700 and set(repairs) <= {case for case, _, _ in cases([])}
    for case, repair in repairs.items():
        assert "harmed" not in repair, case
        assert repair.get("undone") is not False, case
        assert repair.get("after", "same") == "same", case
        happened = judge.truth(truth, case)
        assert happened is not None
        if happened["outcome"] == "same":
            assert repair["outcome"] in ("fixed", "nothing-to-do"), case
        elif case.endswith("/cache"):
            assert repair["outcome"] == "fixed", case
        elif happened["outcome"] == "fails":
            # Where a folder comes from nobody knows: it is said what its owner has to do.
            assert repair["outcome"] == "fixed" or repair["reason"], case


def test_a_model_in_the_cache_is_repaired_and_nothing_else_of_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"VLM_DOCTOR_{name}", str(tmp_path / name))
    python = make_environment(tmp_path / "environment", *PACKAGES["torch-free"])
    truth = judge.truth_of("torch-free")
    chosen = [
        (kind, where)
        for case, kind, where in cases([])
        if where == "cache" and hashlib.sha256(case.encode()).digest()[1] % 32 == 0
    ]
    assert len(chosen) > 6
    target = Target(python, tmp_path)
    with repairing.hub_at_work() as hub:
        repairs = repairing.Repairs(python, hub, target)
        for kind, where in chosen:
            told = repairs.repaired(kind, where, tmp_path / "models", undo=True)
            assert told.get("after", "same") == "same", (kind.name, told)
            assert told.get("undone") is not False, (kind.name, told)
            assert "harmed" not in told, (kind.name, told)
            if judge.truth(truth, f"{kind.name}/cache")["outcome"] != "same":  # type: ignore[index]
                assert told["outcome"] == "fixed", (kind.name, told)
    target.end()
