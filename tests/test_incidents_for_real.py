"""Incidents in real environments: what `check` says is what the real error is named after."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from doctor.facts import decode
from doctor.proving import stand_in
from tests.conftest import (
    MLX_EXTRA,
    REPORT_PACKAGES,
    Doctor,
    Run,
    make_environment,
    remove_packages,
)

TORCH_FREE = ("mlx-vlm==0.7.10", f"mlx{MLX_EXTRA}==0.32.4", "transformers==5.23.0")


@dataclass(frozen=True)
class Case:
    """An environment: what is installed, then forced in one by one, then removed."""

    incident: str
    code: str
    installed: tuple[str, ...] = TORCH_FREE
    forced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


CASES = (
    Case("tokenizers-range", "versions-conflict", forced=("tokenizers==0.22.2",)),
    Case(
        "huggingface-hub-range",
        "versions-conflict",
        forced=("huggingface-hub==1.30.0", "httpx==0.28.1", "httpcore==1.0.9", "h11==0.16.0"),
    ),
    Case("http-client-missing", "versions-conflict", removed=("httpx2",)),
    Case(
        "mlx-lm-transformers-5-13-0",
        "releases-incompatible",
        installed=(
            *("mlx-vlm==0.6.3", "transformers==5.13.0", "mlx-lm==0.31.3"),
            f"mlx{MLX_EXTRA}==0.32.4",
        ),
    ),
    Case("mlx-too-old", "versions-conflict", forced=("mlx==0.30.0", "mlx-cpu==0.30.0")),
    Case("mlx-halves-mismatch", "backend-mismatch", forced=("mlx-cpu==0.31.2",)),
    Case("mlx-backend-missing", "backend-missing", removed=("mlx-cpu",)),
    Case("mlx-files-removed", "files-damaged", forced=("mlx-cpu==0.31.2", "mlx-cpu==0.32.4")),
    Case("jinja2-unfit", "versions-conflict", removed=("jinja2",)),
    Case(
        "jinja2-unfit",
        "releases-incompatible",
        installed=("mlx-vlm==0.6.3", "transformers==5.5.4", f"mlx{MLX_EXTRA}==0.32.4"),
        forced=("jinja2==3.0.3",),
    ),
    Case("video-processor-torchvision", "torchvision-missing", installed=REPORT_PACKAGES),
    Case(
        "video-processor-torchvision",
        "torchvision-missing",
        installed=("mlx-vlm==0.4.4", "transformers==5.23.0", f"mlx{MLX_EXTRA}==0.32.4"),
    ),
)


def named(doctor: Doctor, error: str) -> str:
    """The incident that an error's text is named after, as its user would ask."""
    path = doctor.folder / "error.txt"
    path.write_text(error)
    run = doctor.json("explain", "--error", str(path))
    assert run.code == 0, error
    return str(run.report["incidents"][0]["id"])


def incidents(run: Run) -> set[tuple[str, str | None]]:
    """The codes of a check's errors, each with its incident."""
    return {
        (finding["code"], finding["incident"])
        for finding in run.report["findings"]
        if finding["severity"] == "error"
    }


@pytest.mark.skipif(not MLX_EXTRA, reason="the backends of these environments are Linux's")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.incident}-{case.code}")
def test_the_check_and_the_real_error_agree(doctor: Doctor, tmp_path: Path, case: Case) -> None:
    folder = tmp_path / "environment"
    python = make_environment(folder, *case.installed)
    for requirement in case.forced:
        make_environment(folder, requirement, without_dependencies=True)
    if case.removed:
        remove_packages(python, *case.removed)
    found = doctor.json("check", "--python", str(python))
    assert (case.code, case.incident) in incidents(found)

    smoke = doctor.json("smoke", "--python", str(python))
    assert smoke.code == 1
    failed = next(stage for stage in smoke.report["stages"] if not stage["passed"])
    assert named(doctor, failed["traceback"] or failed["error"]) == case.incident


def model(folder: Path, **changes: object) -> Path:
    """A copy of the doctor's own model with another tokenizer_config.json."""
    shutil.copytree(stand_in.FOLDER, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def load_tokenizer(python: Path, folder: Path) -> str:
    """What transformers says when it loads a model's tokenizer."""
    code = "import sys, transformers; transformers.AutoTokenizer.from_pretrained(sys.argv[1])"
    command = [str(python), "-c", code, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    return result.stderr


@pytest.mark.parametrize(
    ("incident", "changes", "told"),
    [
        # The processor of Qwen3-VL names its tokenizer's class itself: a generation runs.
        ("tokenizer-class-newer", {"tokenizer_class": "TokenizersBackend"}, False),
        ("tokenizer-tokens-list", {"extra_special_tokens": ["<a>", "<b>"]}, True),
    ],
)
def test_a_tokenizer_that_transformers_4_cannot_read(
    doctor: Doctor,
    report_environment: Path,
    incident: str,
    changes: dict[str, object],
    told: bool,
) -> None:
    folder = model(doctor.folder / "model", **changes)
    target = ("--python", str(report_environment))
    saved = doctor.folder / "facts.json"
    found = doctor.json("check", *target, "--model", str(folder), "--save-facts", str(saved))
    assert (("tokenizer-unfitting", incident) in incidents(found)) == told
    transformers = decode(saved.read_bytes()).environment.transformers
    assert transformers is not None
    assert transformers.least == {"torch": "2.1", "jinja2": "3.1.0"}
    assert named(doctor, load_tokenizer(report_environment, folder)) == incident


def test_a_tokenizer_that_has_to_be_converted(doctor: Doctor, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment", *TORCH_FREE)  # it brings no protobuf
    folder = model(doctor.folder / "model", tokenizer_class="LlamaTokenizer")
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    found = doctor.json("check", "--python", str(python), "--model", str(folder))
    assert ("tokenizer-unfitting", "tokenizer-library-missing") in incidents(found)
    assert named(doctor, load_tokenizer(python, folder)) == "tokenizer-library-missing"
