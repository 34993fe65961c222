"""The proof: a real generation, in the target's interpreter, that looks at a picture."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from doctor import stand_in, state, uv
from doctor.errors import CouldNot, Refused
from doctor.probes import machine
from doctor.report import SCHEMA, SmokeModel, SmokeReport, Stage, StageName, TargetReport, Tool

GENERATION = Path(__file__).parent / "inside" / "generation"
STAGES: tuple[StageName, ...] = ("import", "load", "see", "generate")

# Seconds for the whole child. The first import after an install compiles every module (21 s were
# measured with torch on a slow disk) and MLX's CPU backend compiles its kernels (7 s); a real model
# has to be read from disk.
TIME_LIMIT = 600.0
MOST_TOKENS = 32
PROMPT = "What is in this picture?"


class Job:
    """What to generate: with which model, of which picture, asked what, expecting what."""

    def __init__(
        self,
        model: str | None,
        model_id: str,
        image: str | None = None,
        prompt: str | None = None,
        expected: str | None = None,
    ) -> None:
        self.model = model
        self.model_id = model_id
        self.image = image
        self.prompt = prompt or PROMPT
        self.expected = expected


def run(python: str, job: Job, target: TargetReport | None = None) -> SmokeReport:
    """Generate once and report on it. A stand-in is made where the job names no model.

    Raises ``Refused`` where the job's picture is not there.
    """
    started = time.perf_counter()
    if job.image is not None and not os.path.isfile(job.image):
        raise Refused(f"There is no picture at {job.image}.")
    pressure_before = machine.pressure()
    memory_before = _memory()
    with tempfile.TemporaryDirectory(prefix="vlm-doctor-") as folder:
        work = Path(folder)
        model = job.model or str(stand_in.write(work / "stand-in"))
        image = os.path.abspath(job.image) if job.image else str(_picture(work / "picture.ppm"))
        (work / "job.json").write_text(
            json.dumps(
                {
                    "model": model,
                    "prompt": job.prompt,
                    "image": image,
                    "max_tokens": MOST_TOKENS,
                }
            )
        )
        ended = _child(python, work)
        events = _events(work / "events.jsonl")
    memory_after = _memory()
    measured: dict[str, Any] = next((event for event in events if "answer" in event), {})
    stages = _stages(events, ended)
    answer = measured.get("answer")
    understood = job.expected is None or (
        answer is not None and job.expected.casefold() in str(answer).casefold()
    )
    return SmokeReport(
        schema=SCHEMA,
        command="smoke",
        tool=Tool(),
        target=target,
        model=SmokeModel(id=job.model_id, stand_in=job.model is None),
        passed=len(stages) == len(STAGES) and all(stage.passed for stage in stages) and understood,
        stages=stages,
        load_seconds=next((stage.seconds for stage in stages if stage.name == "load"), None),
        generation_tokens=measured.get("generation_tokens"),
        tokens_per_second=measured.get("tokens_per_second"),
        time_to_first_token_seconds=measured.get("time_to_first_token_seconds"),
        peak_memory_bytes=measured.get("peak_memory_bytes"),
        ram_delta_bytes=_difference(memory_before[0], memory_after[0]),
        swap_delta_bytes=_difference(memory_before[1], memory_after[1]),
        pressure_before=pressure_before,
        pressure_after=machine.pressure(),
        prompt=job.prompt,
        answer=answer,
        expected=job.expected,
        seconds=round(time.perf_counter() - started, 3),
    )


def _child(python: str, work: Path) -> str | None:
    """Run the generation; null if it ended by itself, else why it did not get to its end."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(state.cache() / "bytecode")}
    # A generation must not go looking on the network: what is proven is what is here.
    environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        process = subprocess.Popen(
            [python, str(GENERATION), str(work / "job.json"), str(work / "events.jsonl")],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CouldNot(f"{python} could not be started: {error.strerror}.") from error
    try:
        _, errors = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        uv.end(process)
        return f"it took longer than {TIME_LIMIT:.0f} seconds and was ended"
    except BaseException:
        uv.end(process)
        raise
    if process.returncode < 0:
        lines = [line for line in errors.splitlines() if line.strip()]
        last = f": {lines[-1].strip()[:200]}" if lines else ""
        return f"the process crashed (signal {-process.returncode}){last}"
    if process.returncode > 0:
        lines = [line for line in errors.splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else f"exit status {process.returncode}"
    return None


def _events(path: Path) -> list[dict[str, Any]]:
    """What the child wrote; a line that a crash cut off is left out."""
    events = []
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def _stages(events: list[dict[str, Any]], ended: str | None) -> tuple[Stage, ...]:
    """The stages as far as they got; one that was begun and not ended failed with the process."""
    stages: list[Stage] = []
    for name in STAGES:
        said = {event["state"]: event for event in events if event.get("stage") == name}
        result = said.get("passed") or said.get("failed")
        if result is not None:
            stages.append(
                Stage(
                    name=name,
                    passed="passed" in said,
                    seconds=result["seconds"],
                    error=result.get("error"),
                    traceback=result.get("traceback"),
                )
            )
        else:
            reason = ended or "the process ended without a word"
            stages.append(Stage(name=name, passed=False, seconds=None, error=reason))
        if not stages[-1].passed:
            break
    return tuple(stages)


def compiler_is_missing(report: SmokeReport) -> bool:
    """Whether the generation failed because MLX's CPU backend found no C++ compiler."""
    failed = next((stage for stage in report.stages if not stage.passed), None)
    if failed is None or shutil.which("g++") is not None:
        return False
    text = (failed.error or "") + (failed.traceback or "")
    return "g++" in text or "compile" in text.lower()


def _memory() -> tuple[int | None, int | None]:
    """Memory in use and swap in use, in bytes."""
    memory = psutil.virtual_memory()
    try:
        swap = psutil.swap_memory().used
    except (OSError, RuntimeError):
        swap = None
    return memory.total - memory.available, swap


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _picture(path: Path) -> Path:
    """A small picture, a blue square on red, in a format (PPM) that needs no library to write."""
    rows = []
    for row in range(96):
        for column in range(96):
            inside = 24 <= row < 72 and 24 <= column < 72
            rows.append(b"\x20\x40\xe0" if inside else b"\xe0\x30\x20")
    path.write_bytes(b"P6\n96 96\n255\n" + b"".join(rows))
    return path
