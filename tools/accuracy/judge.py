"""What is true of a cell, and what each of the judges says of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from doctor.packages import uv
from doctor.proving import smoke, stand_in
from tools.accuracy.build import Built
from tools.accuracy.cells import ROOT

SEEDS = ("0", "1", "2")
"""Of PYTHONHASHSEED: the order of sets decides which error comes, and might decide whether."""

DOCTOR = Path(sys.executable).parent / "vlm-doctor"
TIME_LIMIT = 900.0  # seconds; installing and proving a recipe takes one minute


def truth(built: Built) -> dict[str, Any]:
    """Whether a generation runs, with each hash seed: the failing stage and its error.

    ``runs`` is null where the seeds do not agree.
    """
    runs: list[bool] = []
    stages: list[str] = []
    errors: list[str] = []
    for seed in SEEDS:
        with _environment({**built.variables(), "PYTHONHASHSEED": seed}):
            report = smoke.run(str(built.python), smoke.Job(model=None, model_id=stand_in.NAME))
        failed = next((stage for stage in report.stages if not stage.passed), None)
        runs.append(report.passed)
        if failed is not None:
            stages.append(failed.name)
            errors.append(" ".join((failed.error or "?").split())[:300])
        elif not report.passed:
            stages.append("answer")
            errors.append(f"it answered {report.answer!r} instead of {report.expected!r}")
    return {
        "runs": runs[0] if len(set(runs)) == 1 else None,
        "stages": list(dict.fromkeys(stages)),
        "errors": list(dict.fromkeys(errors)),
    }


def neighbours(built: Built, stages: list[str]) -> dict[str, Any]:
    """What the usual tests say: the newest pip's check, uv's, and the import of mlx_vlm.

    The import is the first of the generation's ``stages``, so it was tried already.
    """
    pip = [str(_pip(built.folder)), "-m", "pip", "--python", str(built.python), "check"]
    return {
        "pip": _complains(pip, built),
        "uv": _complains([uv.binary(), "pip", "check", "--python", str(built.python)], built),
        "import": {"complains": "import" in stages},
    }


def _pip(folder: Path) -> Path:
    """The interpreter of an environment with the newest pip, which looks into others."""
    python = folder / "pip" / "bin" / "python"
    if not python.exists():
        for words in (
            ("venv", "--no-project", str(folder / "pip")),
            ("pip", "install", "--python", str(python), "--upgrade", "pip"),
        ):
            subprocess.run([uv.binary(), "--quiet", *words], check=True)
    return python


def _complains(command: list[str], built: Built) -> dict[str, Any]:
    """Whether a command fails, and its last line."""
    variables = built.variables()
    # Looking must not change the target.
    variables["PYTHONPYCACHEPREFIX"] = str(Path(variables["VLM_DOCTOR_CACHE"]) / "bytecode")
    code, out, err = _run(command, built, variables)
    lines = [line for line in (out + err).splitlines() if line.strip()]
    return {"complains": code != 0, "says": lines[-1].strip()[:300] if code and lines else None}


def check(built: Built, facts: Path) -> dict[str, Any]:
    """What the doctor says: its verdict, the codes of its errors, and what it could not look at."""
    command = [str(DOCTOR), "check", "--python", str(built.python), "--format", "json"]
    code, out, err = _run([*command, "--save-facts", str(facts)], built, built.variables())
    report = _report(out)
    if report is None or "verdict" not in report:
        return {"verdict": None, "codes": [], "not_checked": [], "failure": (err or out)[-300:]}
    return {
        "verdict": report["verdict"],
        "codes": sorted(
            {item["code"] for item in report["findings"] if item["severity"] == "error"}
        ),
        "not_checked": [f"{item['check']}: {item['reason']}" for item in report["not_checked"]],
        "failure": None if code in (0, 1, 3) else f"exit status {code}",
    }


def fix(built: Built) -> dict[str, Any]:
    """What ``fix`` achieves for real; then it is taken back, which has to leave all as it was.

    ``of`` is the commit of the doctor that did it; what has none is older than this field.
    """
    variables = built.variables("cache-fix")
    before = _tree(built.prefix)
    target = ["--python", str(built.python), "--format", "json"]
    _, out, _ = _run([str(DOCTOR), "fix", "--yes", *target], built, variables)
    report = _report(out) or {}
    _, out, _ = _run([str(DOCTOR), "undo", *target], built, variables)
    undo = _report(out) or {}
    proof = report.get("smoke") or {}
    return {
        "outcome": report.get("outcome"),
        "works": bool(proof.get("passed")) and report.get("outcome") == "fixed",
        "reason": report.get("reason") or (report.get("error") or {}).get("message"),
        "undo": undo.get("outcome"),
        "not_as_before": _differences(before, _tree(built.prefix)),
        "of": _commit(),
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The mode of all that is below a folder, and of files the size and the time."""
    result = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            size, time = (status.st_size, status.st_mtime_ns) if name in files else (0, 0)
            result[os.path.relpath(path, folder)] = (status.st_mode, size, time)
    return result


def _differences(
    before: dict[str, tuple[int, int, int]], after: dict[str, tuple[int, int, int]]
) -> list[str]:
    """A few of the paths that are new, gone or changed."""
    paths = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    return [f"{path}: {before.get(path)} {after.get(path)}" for path in sorted(paths)[:5]]


def _report(out: str) -> dict[str, Any] | None:
    try:
        document = json.loads(out)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _run(command: list[str], built: Built, variables: Mapping[str, str]) -> tuple[int, str, str]:
    result = subprocess.run(
        command,
        env=dict(variables),
        cwd=built.home,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIME_LIMIT,
    )
    return result.returncode, result.stdout, result.stderr


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The smoke's child inherits this process's variables: for a while they are these."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
