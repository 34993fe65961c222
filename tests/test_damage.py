"""Damage to a model's files, made anew, and judged by what a generation really did with it.

The generations themselves are run by ``make damage``, in both recipes' environments; what they did
is in ``tests/damage``. Here one case in eight is judged.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.conftest import MLX_EXTRA, REPORT_PACKAGES, make_environment
from tools.damage import judge
from tools.damage.__main__ import cases
from tools.damage.kinds import KINDS

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
    wrong = json.loads(judge.WRONG.read_text())[recipe]
    chosen = [
        case for case, _, _ in cases([]) if hashlib.sha256(case.encode()).digest()[0] % 8 == 0
    ]
    told = judge.judge(recipe, python, tmp_path / "models", chosen)
    assert len(told) > 60
    # Those that it is wrong about today are listed; one that it judges rightly has to leave.
    found = {case: one["wrong"] for case, one in told.items() if one["wrong"]}
    assert found == {case: why for case, why in wrong.items() if case in told}
