"""A model's files: never written into, and repaired beside a cache that may not be written to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doctor.hub import model_files
from doctor.proving import stand_in
from tests.conftest import Doctor, tree


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that may not be written to; root needs a mount for that."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    mount = shutil.which("mount")
    done = mount and not subprocess.run([mount, "--bind", folder, folder], check=False).returncode
    if not mount or not done:
        pytest.skip("nothing is read-only for root here")
    try:
        subprocess.run([mount, "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_link_is_replaced_and_its_blob_stays(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("old")
    (tmp_path / "config.json").symlink_to("blob")
    model_files.replace(str(tmp_path / "config.json"), b"new")
    assert (tmp_path / "blob").read_text() == "old"
    assert not (tmp_path / "config.json").is_symlink()
    assert (tmp_path / "config.json").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"blob", "config.json"}


def test_a_finished_download_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("damaged")
    kept = tmp_path / "kept"
    os.link(tmp_path / "blob", kept)
    (tmp_path / "blob.incomplete").write_text("whole")
    model_files.move(str(tmp_path / "blob.incomplete"), str(tmp_path / "blob"))
    assert (tmp_path / "blob").read_text() == "whole"
    assert kept.read_text() == "damaged"


def test_an_overlay_has_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "state"))
    snapshot = tmp_path / "models--a--b" / "snapshots" / "rev"
    (snapshot / "1_Pooling").mkdir(parents=True)
    (snapshot / "1_Pooling" / "config.json").write_text("{}")
    (tmp_path / "blob").write_text("content")
    (snapshot / "model.safetensors").symlink_to(tmp_path / "blob")
    folder = Path(model_files.make_overlay(str(snapshot)))
    assert str(folder) == model_files.overlay(str(snapshot))
    assert (folder / "model.safetensors").read_text() == "content"
    assert (folder / "1_Pooling" / "config.json").read_text() == "{}"
    model_files.make_overlay(str(snapshot))  # again, over what is there
    model_files.replace(str(folder / "model.safetensors"), b"repaired")
    assert (tmp_path / "blob").read_text() == "content"


def test_a_model_in_a_cache_that_may_not_be_written_to(
    doctor: Doctor, report_environment: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    stale = json.loads((model / "preprocessor_config.json").read_text())
    stale["image_processor_type"] = "Qwen2_5_VLImageProcessor"
    (model / "preprocessor_config.json").write_text(json.dumps(stale))
    before, environment = tree(model), tree(report_environment.parent.parent)
    target = ("--python", str(report_environment))
    with read_only(model):
        fixed = doctor.json("fix", "--yes", *target, "--model", str(model))
        assert (fixed.code, fixed.report["outcome"]) == (0, "fixed")
        folder = Path(fixed.report["model_folder"])
        assert folder.is_relative_to(tmp_path / "state")
        repaired = json.loads((folder / "preprocessor_config.json").read_text())
        assert repaired["image_processor_type"] == "Qwen2VLImageProcessor"
        assert fixed.report["real_smoke"]["passed"]
        assert tree(model) == before
        assert doctor.json("undo", *target).report["outcome"] == "undone"
    assert not folder.exists()
    assert tree(report_environment.parent.parent) == environment
