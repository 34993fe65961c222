"""``check --for``: pictures, videos and the server have needs of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from doctor import facts as facts_module
from tests import probe
from tests.conftest import MLX_EXTRA, RECORDED, Doctor, make_environment, recorded, remove_packages
from tests.facts_of import replace

processors = probe.module("processors")
readers = probe.module("processor_source")
PURPOSES = ("image", "video", "server")

# A processor that lives without its part for videos, as mlx-vlm's would be written.
SURVIVES = """
class ThisProcessor(ProcessorMixin):
    @classmethod
    def from_pretrained(cls, path):
        images = ThisImageProcessor()
        try:
            videos = AutoVideoProcessor.from_pretrained(path)
        except ImportError:
            videos = None
        return cls(images, videos)

install_auto_processor_patch("this", ThisProcessor)
"""
AUTO = "class AutoVideoProcessor:\n    pass\n"
RULES = """BASE_FILE_REQUIREMENTS = {
    lambda name, content: "video_processing_" in name: ("torch", "torchvision"),
}
"""


def test_a_part_for_videos_is_needed_for_videos_alone(tmp_path: Path) -> None:
    probe.write(
        tmp_path,
        {
            "mlx_vlm/__init__.py": "",
            "mlx_vlm/utils.py": "",
            "mlx_vlm/models/this/processing.py": SURVIVES,
            "transformers/__init__.py": "",
            "transformers/utils/import_utils.py": RULES,
            "transformers/models/auto/video_processing_auto.py": AUTO,
        },
    )
    needs = {}
    for purpose in PURPOSES:
        question = {"model_type": "this", "purpose": purpose}
        answer = processors.processor(probe.finder(tmp_path), probe.notes(), question)
        assert (answer["name"], answer["unknown"]) == ("ThisProcessor", None)
        assert answer["takes_videos"] is True
        needs[purpose] = [need["backends"] for need in answer["needs"]]
    assert needs == {"image": [], "video": [["torch", "torchvision"]], "server": []}


def test_what_functions_about_videos_import() -> None:
    text = """
import numpy
def load_video(path):
    import cv2
    from decord.bridge import reader
    from .utils import resize
    try:
        import av
    except ImportError:
        av = None
def load_image(path):
    import elsewhere
"""
    assert readers.video_imports(text) == ["cv2", "decord.bridge"]
    assert readers.video_imports("def load_video(:") == []


@pytest.mark.parametrize(
    ("version", "purpose", "more"),
    [
        ("0.3.9", "image", []),
        ("0.3.9", "video", ["mlx_vlm.video_generate"]),
        ("0.3.9", "server", ["mlx_vlm.server"]),
        ("0.7.10", "video", ["cv2"]),
        ("0.7.10", "server", ["mlx_vlm.server", "mlx_vlm.server.cli"]),
    ],
)
def test_what_a_purpose_begins_with(
    tmp_path: Path, version: str, purpose: str, more: list[str]
) -> None:
    finder = probe.finder(probe.install(tmp_path, f"mlx-vlm=={version}"))
    starts: list[Any] = [
        processors.starts(finder, probe.notes(), {"purpose": one}, None) for one in (purpose, None)
    ]
    assert starts[0] == starts[1] + more


def test_facts_remember_what_they_were_taken_for(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    facts = recorded("torch-free")
    assert facts.purpose == "image"  # they are older than the question
    path.write_bytes(facts_module.encode(replace(facts, purpose="server")))
    run = doctor.json("check", "--facts", str(path))
    assert run.report["purpose"] == "server"
    assert "mlx-vlm's server with this model runs here" in doctor("check", "--facts", str(path)).out
    refused = doctor("check", "--facts", str(path), "--for", "video")
    assert (refused.code, "taken for server" in refused.err) == (2, True)
    words = ["check", "--facts", str(RECORDED / "torch-free.json"), "--for"]
    assert doctor(*words, "image").code == 0
    assert doctor(*words, "server").code == 2
    assert doctor(*words, "audio").code == 2


def test_a_processor_that_knows_no_videos_is_not_called_healthy(
    doctor: Doctor, tmp_path: Path
) -> None:
    path = tmp_path / "facts.json"
    facts = recorded("torch-free")
    assert facts.environment.processor is not None
    for takes, verdict in ((True, "healthy"), (False, "unknown")):
        processor = replace(facts.environment.processor, takes_videos=takes)
        environment = replace(facts.environment, processor=processor)
        changed = replace(facts, environment=environment, purpose="video")
        path.write_bytes(facts_module.encode(changed))
        assert doctor.json("check", "--facts", str(path)).report["verdict"] == verdict


def test_each_purpose_in_a_real_environment(doctor: Doctor, tmp_path: Path) -> None:
    """Without fastapi there is no server; without opencv, nothing reads a video's pictures."""
    python = make_environment(
        tmp_path / "environment", "mlx-vlm==0.7.10", f"mlx{MLX_EXTRA}==0.32.4"
    )

    def verdicts() -> dict[str, str]:
        return {
            purpose: doctor.json(
                "check", "--python", str(python), "--for", purpose, "--skip", "hub"
            ).report["verdict"]
            for purpose in PURPOSES
        }

    def works(*words: str) -> bool:
        command = [str(python), *words]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert set(verdicts().values()) == {"healthy"}
    assert works("-m", "mlx_vlm.server", "--help")
    remove_packages(python, "fastapi")
    assert verdicts() == {"image": "degraded", "video": "degraded", "server": "broken"}
    assert not works("-m", "mlx_vlm.server", "--help")
    remove_packages(python, "opencv-python")
    assert verdicts() == {"image": "degraded", "video": "broken", "server": "broken"}
    load_video = "import mlx_vlm.utils as u; u.load_video('no-such-file.mp4')"
    tried = subprocess.run([python, "-c", load_video], capture_output=True, text=True, check=False)
    assert "No module named 'cv2'" in tried.stderr
