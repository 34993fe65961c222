"""Whole small models of other kinds: what check foretells is what a real smoke does with them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import MLX_EXTRA, REPORT_PACKAGES, ROOT, make_doctor, make_environment

MAKER = ROOT / "tools" / "models" / "whole.py"

NEWEST = ("mlx-vlm==0.7.10", "transformers==5.23.0", f"mlx{MLX_EXTRA}==0.32.4")
BETWEEN = ("mlx-vlm==0.6.3", "transformers==5.5.4", f"mlx{MLX_EXTRA}==0.32.4")

# Their weights are those of chance, so that only whether it runs counts, and not what they answer.
EXPECTED = {
    NEWEST: {
        "gemma3": "runs",
        "idefics3": "runs",
        "llava": "processor-fails",
        "paligemma": "runs",
        "pixtral": "runs",
        "qwen2_vl": "runs",
        "qwen2_5_vl": "runs",
        "smolvlm": "runs",
    },
    BETWEEN: {"llava": "runs", "pixtral": "torchvision-missing", "smolvlm": "torchvision-missing"},
    REPORT_PACKAGES: {"gemma3": "runs", "llava": "runs", "qwen2_vl": "torchvision-missing"},
}


@pytest.mark.parametrize("packages", EXPECTED, ids=["newest", "between", "report"])
def test_the_verdict_is_what_a_real_run_does(tmp_path: Path, packages: tuple[str, ...]) -> None:
    python = make_environment(tmp_path / "environment", *packages)
    doctor = make_doctor(tmp_path)
    kinds = EXPECTED[packages]
    making = [str(python), str(MAKER), str(tmp_path / "models"), *kinds]
    made = subprocess.run(making, check=True, stdout=subprocess.PIPE).stdout
    assert set(json.loads(made).values()) == {None}
    for kind, expected in kinds.items():
        model = ("--model", str(tmp_path / "models" / kind), "--python", str(python))
        check = doctor.json("check", *model)
        smoke = doctor.json("smoke", *model, "--prompt", "What is this?")
        ran = all(stage["passed"] for stage in smoke.report["stages"])
        errors = [f["code"] for f in check.report["findings"] if f["severity"] == "error"]
        if expected == "runs":
            assert (ran, check.report["verdict"] != "broken", errors) == (True, True, []), kind
        else:
            assert (ran, check.report["verdict"]) == (False, "broken"), kind
            assert expected in errors, kind
