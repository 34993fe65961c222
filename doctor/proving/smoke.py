"""The proof: a real generation, in the target's interpreter, that looks at a picture."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from doctor import state
from doctor.errors import CouldNot, Refused
from doctor.facts import Facts, Struct
from doctor.memory import device, watch
from doctor.memory.run_profile import Profile
from doctor.packages import uv
from doctor.probes import macos
from doctor.probes.meter import Meter, Reading
from doctor.proving import pictures, stand_in
from doctor.reports import SCHEMA, TargetReport, Tool
from doctor.reports.smoke import Answer, PhaseName, SmokeModel, SmokeReport, Stage, StageName

EVENTS = "events.jsonl"
GENERATION = Path(__file__).parent.parent / "inside" / "generation"
STAGES: tuple[StageName, ...] = ("import", "load", "see", "generate")

# Seconds for the whole child. The first import after an install compiles every module (21 s were
# measured with torch on a slow disk) and MLX's CPU backend compiles its kernels (7 s); a real model
# has to be read from disk.
TIME_LIMIT = 600.0
TIMED_OUT = f"it took longer than {TIME_LIMIT:.0f} seconds and was ended"
# The longest sentence of the doctor's own model has 16 tokens; a real model describes a picture in
# more words, and has to get to the number.
MOST_TOKENS, LEAST_TOKENS = 160, 16


class Job(Struct, frozen=True):
    """What to generate.

    ``model`` is a folder; null for the doctor's own model. ``image``, ``prompt`` and ``expected``
    (what the answer has to contain) are the user's. ``profile`` is how to run a real model; of it
    the doctor's own takes the tokens only: it knows pictures of one size, and its heads are too
    small for a quantised cache.
    """

    model: str | None
    model_id: str
    image: str | None = None
    prompt: str | None = None
    expected: str | None = None
    profile: Profile | None = None

    @property
    def settings(self) -> dict[str, object]:
        """The arguments of the generation, besides the question."""
        if self.profile is None:
            return {"max_tokens": MOST_TOKENS}
        whole = self.profile.generation()
        if self.model is not None:
            return whole
        return {"max_tokens": max(self.profile.max_tokens, LEAST_TOKENS)}

    @property
    def examination(self) -> str | None:
        """The function of ``pictures`` that asks the questions; null where the user asks.

        The doctor's own model is asked several questions about several pictures, and has to answer
        word for word. A real model is asked about one, in English and in Russian, and has to name
        what is there.
        """
        if self.image is not None or self.prompt is not None or self.expected is not None:
            return None
        return "examination" if self.model is None else "for_other_models"


def job_of(facts: Facts) -> Job:
    """The real model where it is here whole enough to be tried, else the stand-in."""
    path = facts.model.path
    if path is None or facts.model.weights_bytes is None:
        return Job(model=None, model_id=stand_in.NAME)
    return Job(model=os.path.expanduser(path), model_id=facts.model.id)


def run(
    python: str,
    job: Job,
    target: TargetReport | None = None,
    screen: watch.Screen | None = None,
) -> SmokeReport:
    """Generate, and report on it. With a screen the run is watched, and shown there.

    Raises ``Refused`` where the job's picture cannot be used, and ``CouldNot`` where the doctor's
    own model is damaged.
    """
    started = time.perf_counter()
    if job.image is not None and not os.path.isfile(job.image):
        raise Refused(f"There is no picture at {job.image}.")
    damaged = stand_in.damage() if job.model is None else None
    if damaged is not None:
        raise CouldNot(
            f"The doctor's own model is damaged ({damaged}); nothing is said of the environment.",
            "Install vlm-doctor anew.",
        )
    pressure_before = macos.pressure()
    memory_before = _memory()
    with tempfile.TemporaryDirectory(prefix="vlm-doctor-") as folder:
        work = Path(folder)
        (work / "job.json").write_text(
            json.dumps(
                {
                    "model": job.model or str(stand_in.FOLDER),
                    "image": os.path.abspath(job.image) if job.image else None,
                    "prompt": job.prompt,
                    "expected": job.expected,
                    "examination": job.examination,
                    "pictures": pictures.__file__,
                    "generation": job.settings,
                    "watch": screen is not None,
                }
            )
        )
        ended, readings = _child(python, work, screen)
        events = _events(work / EVENTS)
    memory_after = _memory()
    problem = next((event["picture"] for event in events if "picture" in event), None)
    if problem is not None:
        raise Refused(f"{job.image} cannot be used: {problem}.")
    measured: dict[str, Any] = next((event for event in events if "answers" in event), {})
    found = next((event["device"] for event in events if "device" in event), None)
    stages = _stages(events, ended)
    answers = tuple(Answer(**answer) for answer in measured.get("answers", ()))
    wrong = [answer for answer in answers if not is_right(answer, job.examination)]
    shown = (*wrong, *answers, Answer(prompt=job.prompt, expected=job.expected, answer=None))[0]
    finished = len(stages) == len(STAGES) and all(stage.passed for stage in stages)
    return SmokeReport(
        schema=SCHEMA,
        command="smoke",
        tool=Tool(),
        target=target,
        model=SmokeModel(id=job.model_id, stand_in=job.model is None),
        passed=finished and not wrong,
        stages=stages,
        load_seconds=next((stage.seconds for stage in stages if stage.name == "load"), None),
        generation_tokens=measured.get("generation_tokens"),
        prompt_tokens=measured.get("prompt_tokens"),
        tokens_per_second=measured.get("tokens_per_second"),
        time_to_first_token_seconds=measured.get("time_to_first_token_seconds"),
        peak_memory_bytes=measured.get("peak_memory_bytes"),
        ram_delta_bytes=_difference(memory_before[0], memory_after[0]),
        swap_delta_bytes=_difference(memory_before[1], memory_after[1]),
        pressure_before=pressure_before,
        pressure_after=macos.pressure(),
        prompt=shown.prompt,
        answer=shown.answer,
        expected=shown.expected,
        seconds=round(time.perf_counter() - started, 3),
        answers=answers,
        understood=not wrong
        if finished and any(answer.expected is not None for answer in answers)
        else None,
        image=os.path.abspath(job.image) if job.image else None,
        device=None if found is None else device.parse(found),
        settings=job.settings,
        watch=None if screen is None else watch.report(readings, events),
    )


def is_right(answer: Answer, examination: str | None) -> bool:
    """Whether an answer will do.

    In the examination of the doctor's own model it has to be the expected sentence; of a real model
    it has to name what is in the picture (``pictures.names``); else it has to contain what the user
    expects, if anything.
    """
    if answer.answer is None or answer.expected is None:
        return answer.expected is None
    if examination == "examination":
        return answer.answer == answer.expected
    if examination == "for_other_models":
        return pictures.names(pictures.for_other_models()[0][0], answer.answer)
    return answer.expected.casefold() in answer.answer.casefold()


def _child(
    python: str, work: Path, screen: watch.Screen | None
) -> tuple[str | None, Sequence[Reading]]:
    """Run the generation: null if it ended by itself, else why it did not; and what was watched."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(state.cache() / "bytecode")}
    # A generation must not go looking on the network: what is proven is what is here.
    environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        process = subprocess.Popen(
            [python, str(GENERATION), str(work / "job.json"), str(work / EVENTS)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            # It inherits the lock of a fix: if that is killed, the next doctor finds and ends it.
            close_fds=False,
        )
    except OSError as error:
        raise CouldNot(f"{python} could not be started: {error.strerror}.") from error
    readings: Sequence[Reading] = ()
    try:
        if screen is None:
            _, errors = process.communicate(timeout=TIME_LIMIT)
        else:

            def phase() -> PhaseName | None:
                begun = [watch.phase_of(event) for event in _events(work / EVENTS)]
                return next((name for name in reversed(begun) if name is not None), None)

            with watch.watching(Meter(process.pid), screen, phase) as readings:
                _, errors = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        uv.end(process)
        return TIMED_OUT, readings
    except BaseException:
        uv.end(process)
        raise
    return _why(process.returncode, errors), readings


def _why(status: int, errors: str) -> str | None:
    """Why a generation did not end by itself, by its exit status and what it said last."""
    lines = [line for line in errors.splitlines() if line.strip()]
    if status < 0:
        last = f": {lines[-1].strip()[:200]}" if lines else ""
        return f"the process crashed (signal {-status}){last}"
    if status > 0:
        return lines[-1].strip()[:300] if lines else f"exit status {status}"
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
