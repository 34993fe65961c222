"""The whole way, for real: real environments from the index, real damage, real generations."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from doctor.packages import gathering, recipes
from doctor.packages.recipes import Lock
from doctor.probes import environment
from doctor.proving import pictures, smoke, stand_in
from tests.conftest import (
    MLX_EXTRA,
    REPORT_PACKAGES,
    UV,
    Doctor,
    Fixed,
    make_environment,
    remove_packages,
    tree,
)

TORCH_FREE = ("mlx-vlm==0.7.10", f"mlx{MLX_EXTRA}==0.32.4")


def clone(environment: Path, to: Path) -> Path:
    """A copy of an environment for a test to damage; the path of its interpreter."""
    shutil.copytree(environment, to, symlinks=True)
    return to / "bin" / "python"


def site_packages(python: Path) -> Path:
    (folder,) = (python.parent.parent / "lib").glob("python3*/site-packages")
    return folder


# Runs the doctor's generation, and writes down which lines of the packages were run.
LINES = """
import json, runpy, sys
generation, job, events, lines = sys.argv[1:]
seen = set()

def follow(frame, event, argument):
    path = frame.f_code.co_filename
    if "site-packages" not in path:
        return None
    def line(frame, event, argument):
        seen.add((path, frame.f_lineno))
        return line
    return line(frame, event, argument)

sys.argv = [generation, job, events]
sys.settrace(follow)
try:
    runpy.run_path(generation, run_name="__main__")
finally:
    sys.settrace(None)
    with open(lines, "w") as file:
        json.dump(sorted(seen), file)
"""

# Follows the same generation without running it, in the same Python.
WALKED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import imports, interpreter, modules, walk
from notes import Notes
finder, notes = modules.Finder(interpreter.search_path()), Notes(None)
module = "mlx_vlm.models.qwen3_vl"
tracer = imports.follow(finder, notes, ["mlx_vlm", "mlx_vlm.prompt_utils", module], [])
seen = []

class Watched(walk.Walk):
    def _statement(self, node, frame):
        seen.append([*self._place(node, frame), node.end_lineno])
        return super()._statement(node, frame)

watched = Watched(finder, notes, tracer)
watched.generation(module, "qwen3_vl")
print(json.dumps({"seen": seen, "misfits": watched.misfits, "lacking": watched.lacking}))
"""


def test_what_is_followed_is_what_runs(tmp_path: Path) -> None:
    """Every statement that the doctor takes for sure is one that a real generation runs."""
    python = str(make_environment(tmp_path / "e", *TORCH_FREE))
    walked = subprocess.run(
        [python, "-I", "-S", "-c", WALKED, str(environment.PROBE)],
        check=True,
        capture_output=True,
        text=True,
    )
    followed = json.loads(walked.stdout)
    assert followed["misfits"] == followed["lacking"] == []
    job = {
        "model": str(stand_in.FOLDER),
        "image": None,
        "prompt": None,
        "expected": None,
        "examination": None,
        "pictures": pictures.__file__,
        "generation": {"max_tokens": 20},
        "watch": False,
    }
    (tmp_path / "job").write_text(json.dumps(job))
    paths = [str(smoke.GENERATION), *(str(tmp_path / name) for name in ("job", "events", "lines"))]
    subprocess.run([python, "-c", LINES, *paths], check=True, capture_output=True)
    real = {(path, line) for path, line in json.loads((tmp_path / "lines").read_text())}
    followed_lines = {tuple(one) for one in followed["seen"]}
    assert len(followed_lines) > 300
    # The first line of what has many is not always the one that Python counts; and Python makes
    # nothing of a text, a `pass`, a `global` or the head of a `try`.
    missed = [
        (path, first)
        for path, first, last in sorted(followed_lines)
        if not any((path, line) in real for line in range(first, last + 1))
        and not is_nothing(path, first)
    ]
    assert missed == []


def is_nothing(path: str, line: int) -> bool:
    text = Path(path).read_text().splitlines()[line - 1].strip()
    return text.startswith(('"', "'", 'r"', "pass", "global", "nonlocal", "try:"))


def test_a_call_that_does_not_fit_is_seen_and_mended(doctor: Doctor, tmp_path: Path) -> None:
    """mlx-vlm 0.6.0 gives mlx-lm's make_logits_processors more than 0.29.1 takes."""
    python = make_environment(
        tmp_path / "e", "mlx-vlm==0.6.0", f"mlx{MLX_EXTRA}==0.32.4", "transformers==5.23.0"
    )
    make_environment(tmp_path / "e", "mlx-lm==0.29.1", without_dependencies=True)
    target = ("--python", str(python))
    failed = doctor.json("smoke", *target)
    stages = {stage["name"]: stage for stage in failed.report["stages"]}
    assert stages["see"]["passed"]
    assert "make_logits_processors() takes" in stages["generate"]["error"]
    found = doctor.json("check", *target)
    assert found.report["verdict"] == "broken"
    (finding,) = [one for one in found.report["findings"] if one["severity"] == "error"]
    assert finding["title"].startswith("mlx-lm 0.29.1 is installed")
    assert any("make_logits_processors" in one["fact"] for one in finding["evidence"])
    assert doctor.json("fix", "--yes", *target).report["outcome"] == "fixed"


def test_the_reports_environment_is_diagnosed_repaired_and_proven(
    doctor: Doctor, report_environment: Path
) -> None:
    target = ("--python", str(report_environment))
    folder = report_environment.parent.parent
    before = tree(folder)

    failed = doctor.json("smoke", *target)
    assert failed.code == 1
    stages = {stage["name"]: stage for stage in failed.report["stages"]}
    assert stages["import"]["passed"]
    assert "AutoVideoProcessor requires the Torchvision library" in stages["load"]["error"]
    assert "AutoVideoProcessor" in stages["load"]["traceback"]

    found = doctor.json("check", *target)
    assert (found.code, found.report["verdict"]) == (1, "broken")
    assert found.codes[0] == "torchvision-missing"
    assert tree(folder) == before  # looking and a failed generation change nothing

    planned = doctor.json("fix", "--dry-run", *target)
    assert (planned.code, planned.report["outcome"]) == (0, "planned")
    assert planned.report["plan"]["download_bytes"] > 0
    assert planned.report["plan"]["disk_bytes"] > planned.report["plan"]["download_bytes"]
    assert tree(folder) == before

    unasked = doctor.json("fix", *target)
    assert (unasked.code, unasked.report["outcome"]) == (2, "refused")
    assert "--yes" in unasked.report["reason"]
    assert tree(folder) == before

    fixed = doctor.json("fix", "--yes", *target)
    assert (fixed.code, fixed.report["outcome"]) == (0, "fixed")
    assert fixed.report["before"]["verdict"] == "broken"
    assert fixed.report["after"]["verdict"] in ("healthy", "degraded")
    assert fixed.report["smoke"]["passed"]
    versions = fixed.report["after"]["target"]["packages"]
    assert (versions["mlx-vlm"], versions["transformers"]) == ("0.7.10", "5.23.0")
    assert "torch" not in versions

    after = tree(folder)
    again = doctor.json("fix", "--yes", *target)
    assert (again.code, again.report["outcome"]) == (0, "nothing-to-do")
    assert tree(folder) == after

    proven = doctor.json("check", *target)
    assert proven.code == 0
    assert proven.report["proof"]["unchanged"]

    smoke = doctor.json("smoke", *target)
    assert smoke.code == 0
    report = smoke.report
    assert [stage["name"] for stage in report["stages"]] == ["import", "load", "see", "generate"]
    assert report["generation_tokens"] >= 1
    assert report["tokens_per_second"] > 0
    assert report["peak_memory_bytes"] > 0
    assert report["model"]["stand_in"]

    listed = doctor.json("undo", "--list", *target)
    assert len(listed.report["entries"]) == 1
    undone = doctor.json("undo", *target)
    assert (undone.code, undone.report["outcome"]) == (0, "undone")
    assert tree(folder) == before
    nothing = doctor.json("undo", *target)
    assert (nothing.code, nothing.report["outcome"]) == (0, "nothing-to-undo")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_fix_leaves_everything_as_it_was(
    doctor: Doctor, report_environment: Path, number: signal.Signals
) -> None:
    folder = report_environment.parent.parent
    before = tree(folder)
    process = doctor.start("fix", "--yes", "--python", str(report_environment), "--format", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Uninstalled"):  # uv is in the middle of its work
            break
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert json.loads(out)["outcome"] == "interrupted"
    assert tree(folder) == before


@pytest.mark.parametrize("moment", ["Resolved", "Uninstalled", "Checking again"])
def test_a_killed_fix_is_taken_back_by_the_next_command(
    doctor: Doctor, report_environment: Path, moment: str
) -> None:
    folder = report_environment.parent.parent
    before = tree(folder)
    target = ("--python", str(report_environment))
    process = doctor.start("fix", "--yes", *target)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(moment):
            break
    process.kill()  # the installer that it started lives on
    process.communicate()
    assert "interrupted" in str(doctor.json("check", *target).report["not_checked"])
    assert "interrupted" in doctor("recipes").err
    run = doctor.json("undo", *target)
    assert (run.code, run.report["outcome"]) == (0, "recovered")
    time.sleep(1)  # were anything still at work, it would show
    assert tree(folder) == before


def test_a_wheel_that_differs_is_refused_and_everything_goes_back(
    doctor: Doctor, report_environment: Path, tmp_path: Path
) -> None:
    folder = report_environment.parent.parent
    before = tree(folder)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "mlx_vlm-0.7.10-py3-none-any.whl").write_bytes(b"not what was locked")
    run = doctor.json(
        "fix", "--yes", "--offline", "--wheels", str(wheels), "--python", str(report_environment)
    )
    assert (run.code, run.report["outcome"]) == (1, "rolled-back")
    assert run.report["reason"].startswith("mlx_vlm-0.7.10-py3-none-any.whl is refused")
    assert tree(folder) == before
    assert run.report["plan"]["sources"][0]["location"] == str(wheels)


def test_what_is_missing_comes_from_a_folder_without_any_network(
    fresh: Fixed, tmp_path: Path
) -> None:
    python = clone(fresh.python.parent.parent, tmp_path / "copy")
    remove_packages(python, "tokenizers")
    install = next(step for step in fresh.run.report["applied"] if step["kind"] == "install")
    place, lock = (
        recipes.place_of(install["lock"]),
        recipes.load_lock("torch-free", install["lock"]),
    )
    assert place is not None and lock is not None
    only = Lock(
        recipe=lock.recipe, name=lock.name, wheels={"tokenizers": lock.wheels["tokenizers"]}
    )
    wheels = tmp_path / "wheels"
    gathering.gather(only, place, wheels, os.environ, lambda line: None)
    command = [sys.executable, "-m", "doctor", "fix", "--yes", "--offline", "--format", "json"]
    command += ["--wheels", str(wheels), "--python", str(python)]
    # Linux can take the network away for one program; elsewhere --offline has to do.
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*alone, "true"], check=False).returncode == 0:
        command = alone + command
    run = subprocess.run(
        command,
        cwd=fresh.doctor.folder,
        env={**fresh.doctor.variables, "UV_CACHE_DIR": str(tmp_path / "no-cache")},
        capture_output=True,
        check=False,
    )
    report = json.loads(run.stdout)
    assert (run.returncode, report["outcome"]) == (0, "fixed")
    assert report["plan"]["sources"] == [
        {"kind": "folder", "location": str(wheels), "setting": "--wheels"}
    ]


def test_without_a_network_and_without_a_cache_everything_goes_back(
    doctor: Doctor, report_environment: Path, tmp_path: Path
) -> None:
    folder = report_environment.parent.parent
    before = tree(folder)
    run = doctor.json(
        *("fix", "--yes", "--offline", "--python", str(report_environment)),
        UV_CACHE_DIR=str(tmp_path / "no-cache"),
    )
    assert (run.code, run.report["outcome"]) == (1, "rolled-back")
    assert "network" in run.report["reason"].lower() or "cache" in run.report["reason"].lower()
    assert tree(folder) == before


def test_a_fresh_environment_from_the_recipe(fresh: Fixed) -> None:
    assert (fresh.run.code, fresh.run.report["outcome"]) == (0, "fixed")
    kinds = [action["kind"] for action in fresh.run.report["applied"]]
    assert kinds == ["new-environment", "install"]
    check = fresh.doctor.json("check", "--python", str(fresh.python))
    assert check.code == 0
    assert check.report["proof"]["unchanged"]


def test_what_a_fresh_environment_takes_is_told_before(doctor: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    run = doctor.json("fix", "--dry-run", "--new-venv", str(folder))
    assert (run.code, run.report["outcome"]) == (0, "planned")
    plan = run.report["plan"]
    assert [action["kind"] for action in plan["actions"]] == ["new-environment", "install"]
    changes = plan["actions"][1]["changes"]
    assert {"name": "mlx-vlm", "from": None, "to": "0.7.10"} in changes
    assert 50_000_000 < plan["download_bytes"] < plan["disk_bytes"]
    assert not folder.exists()


def test_a_dry_run_looks_into_the_folder_of_wheels(
    doctor: Doctor, report_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "wheels").mkdir()
    words = ("fix", "--dry-run", "--python", str(report_environment), "--wheels")
    run = doctor.json(*words, str(tmp_path / "wheels"))
    assert (run.code, run.report["outcome"]) == (1, "rolled-back")
    assert "has no wheel of" in run.report["reason"]


def test_a_fresh_environment_that_cannot_be_made_leaves_nothing(
    doctor: Doctor, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    run = doctor.json(
        *("fix", "--yes", "--offline", "--new-venv", str(folder)),
        UV_CACHE_DIR=str(tmp_path / "no-cache"),
    )
    assert (run.code, run.report["outcome"]) == (1, "rolled-back")
    assert not folder.exists()


def test_an_empty_environment_gets_the_recipe(doctor: Doctor, empty_environment: Path) -> None:
    target = ("--python", str(empty_environment))
    assert doctor.json("check", *target).codes[0] == "not-installed"
    run = doctor.json("fix", "--yes", *target)
    assert (run.code, run.report["outcome"]) == (0, "fixed")


def test_only_what_is_on_the_way_is_touched(
    doctor: Doctor, report_environment: Path, tmp_path: Path
) -> None:
    make_environment(report_environment.parent.parent, "six==1.16.0", "attrs==25.3.0")
    folder = site_packages(report_environment)
    (folder / "six.py").write_text((folder / "six.py").read_text() + "# patched by hand\n")
    run = doctor.json("fix", "--yes", "--python", str(report_environment))
    assert run.code == 0
    assert "# patched by hand" in (folder / "six.py").read_text()
    changed = {
        change["name"] for action in run.report["applied"] for change in action.get("changes", ())
    }
    assert not {"six", "attrs", "mlx-lm", "httpx"} & changed


def test_a_stale_class_is_repaired_in_the_snapshot_and_never_in_the_blob(
    doctor: Doctor, tmp_path: Path, report_environment: Path
) -> None:
    # The environment lacks torchvision too, so that one fix has to mend packages and file alike.
    home = tmp_path / "hub" / "hub" / "models--someone--stale"
    revision = "2fd8dacbdb8f1e54b8c005f081ec5bf79c56376b"
    blobs = Path(shutil.copytree(stand_in.FOLDER, home / "blobs"))
    snapshot = home / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(revision)
    stale = json.loads((blobs / "preprocessor_config.json").read_text())
    stale["image_processor_type"] = "Qwen2_5_VLImageProcessor"
    (blobs / "preprocessor_config.json").write_text(json.dumps(stale))
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    before = tree(home)
    target = ("--python", str(report_environment), "--model", "someone/stale")

    found = doctor.json("check", *target)
    assert "preprocessor-stale" in found.codes
    fixed = doctor.json("fix", "--yes", *target)
    assert (fixed.code, fixed.report["outcome"]) == (0, "fixed")
    assert fixed.report["real_smoke"]["passed"]
    repaired = snapshot / "preprocessor_config.json"
    assert not repaired.is_symlink()
    assert json.loads(repaired.read_text())["image_processor_type"] == "Qwen2VLImageProcessor"
    assert tree(blobs) == {
        name.removeprefix("blobs/"): what
        for name, what in before.items()
        if name.startswith("blobs/")
    }
    assert doctor.json("undo", "--python", str(report_environment)).code == 0
    assert tree(home) == before


def test_a_model_that_only_its_owner_can_mend_is_not_called_fixed(
    doctor: Doctor, report_environment: Path, tmp_path: Path
) -> None:
    before = tree(report_environment.parent.parent)
    model = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    (model / "config.json").write_text('{"model_type": ')
    run = doctor.json("fix", "--yes", "--python", str(report_environment), "--model", str(model))
    assert (run.code, run.report["outcome"]) == (1, "rolled-back")
    assert "config.json" in run.report["reason"]
    assert tree(report_environment.parent.parent) == before


@pytest.mark.parametrize(
    ("remove", "code", "severity"),
    [
        (["requests"], "versions-conflict", "error"),
        (["pillow"], "versions-conflict", "error"),
        (["tokenizers"], "versions-conflict", "error"),
        (["jinja2"], "versions-conflict", "error"),
        (["mlx-cpu" if sys.platform == "linux" else "mlx-metal"], "backend-missing", "error"),
        (["fastapi", "uvicorn"], "versions-conflict", "warning"),
        (["datasets"], "versions-conflict", "warning"),
    ],
)
def test_the_prediction_is_what_a_generation_does(
    doctor: Doctor, fresh: Fixed, tmp_path: Path, remove: list[str], code: str, severity: str
) -> None:
    python = clone(fresh.python.parent.parent, tmp_path / "copy")
    remove_packages(python, *remove)
    target = ("--python", str(python))
    check, smoke = doctor.json("check", *target), doctor.json("smoke", *target)
    assert (check.report["verdict"] == "broken") == (not smoke.report["passed"])
    found = [(finding["code"], finding["severity"]) for finding in check.report["findings"]]
    assert (code, severity) in found


def test_a_generation_that_fails_for_no_reason_that_a_check_finds_is_mended_too(
    doctor: Doctor, fresh: Fixed, tmp_path: Path
) -> None:
    python = clone(fresh.python.parent.parent, tmp_path / "copy")
    module = site_packages(python) / "mlx_vlm" / "models" / "qwen3_vl" / "language.py"
    text = module.read_text()
    module.unlink()  # the file may be shared with uv's cache
    module.write_text(text.replace("class LanguageModel", "class LanguageModel_", 1))
    target = ("--python", str(python))
    assert not doctor.json("smoke", *target).report["passed"]
    run = doctor.json("fix", "--yes", *target)
    assert (run.code, run.report["outcome"]) == (0, "fixed")
    assert doctor.json("smoke", *target).code == 0


def test_an_externally_managed_python_is_refused_with_the_way_out(
    doctor: Doctor, tmp_path: Path
) -> None:
    # An installation of its own: this Python's program, and its standard library by links.
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    system = tmp_path / "system"
    library = system / "lib" / name
    library.mkdir(parents=True)
    (library / "site-packages").mkdir()
    (system / "bin").mkdir()
    python = system / "bin" / name
    shutil.copy2(Path(sys.base_prefix) / "bin" / name, python)
    for path in Path(os.__file__).parent.iterdir():
        if path.name != "site-packages":
            (library / path.name).symlink_to(path)
    (library / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=Use the system's.\n")
    before = tree(system)
    run = doctor.json("fix", "--yes", "--python", str(python))
    assert (run.code, run.report["outcome"]) == (2, "refused")
    assert "externally managed" in run.report["reason"]
    assert "--new-venv" in run.report["reason"]
    assert tree(system) == before


def test_a_projects_environment_is_changed_by_its_project(doctor: Doctor, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    pins = ", ".join(f'"{pin}"' for pin in REPORT_PACKAGES)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "seeing"\nversion = "0.1"\n'
        f'requires-python = ">={sys.version_info[0]}.{sys.version_info[1]}"\n'
        f"dependencies = [{pins}]\n"
    )
    variables = {**doctor.variables, "PATH": f"{Path(UV).parent}:{doctor.variables['PATH']}"}

    def run_there(command: str) -> None:
        subprocess.run(
            ["sh", "-ec", command], cwd=project, env=variables, check=True, capture_output=True
        )

    run_there(f"uv sync --python {sys.executable}")
    python = project / ".venv" / "bin" / "python"
    before = tree(project)
    refused = doctor.json("fix", "--yes", "--python", str(python))
    assert (refused.code, refused.report["outcome"]) == (2, "refused")
    assert "uv" in refused.report["reason"] and tree(project) == before
    commands = [
        command
        for action in refused.report["plan"]["actions"]
        for command in action.get("commands", ())
    ]
    run_there("\n".join(commands))
    assert doctor.json("check", "--python", str(python)).report["verdict"] == "healthy"


def test_an_environment_that_may_not_be_written_to_is_refused(
    doctor: Doctor, empty_environment: Path
) -> None:
    # Root may write into any folder, so that a mode alone would not stop these tests everywhere.
    folder = site_packages(empty_environment)
    shutil.rmtree(folder)
    folder.write_text("no folder")
    run = doctor.json("fix", "--yes", "--python", str(empty_environment))
    assert (run.code, run.report["outcome"]) == (2, "refused")
    assert "may not be written to" in run.report["reason"]
    assert "--new-venv" in run.report["reason"]


def test_a_second_doctor_is_refused_at_once(doctor: Doctor, report_environment: Path) -> None:
    target = ("--python", str(report_environment))
    first = doctor.start("fix", "--yes", *target)
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("Install"):
            break
    started = time.monotonic()
    second = doctor.json("fix", "--yes", *target)
    assert second.code == 2
    assert f"process {first.pid}" in second.report["error"]["message"]
    assert time.monotonic() - started < 30
    first.communicate(timeout=200)
    assert first.returncode == 0
