"""The kill matrix: SIGKILL at hundreds of instants of a fix, of its recovery, and of its undo.

Where a trial is killed is said in one of these ways:

- ``time``: the doctor alone, after so many seconds; what it started lives on.
- ``time-all``: the doctor and all that it started, as when the power goes.
- ``calls``: the doctor, at its so-manieth call that changes something (``count.c`` counts).
- ``installer``: uv and the doctor, at uv's so-manieth such call.
- ``orphan``: the doctor, so many seconds after uv was started; uv goes on.
- ``recovery``: a fix was killed in the middle, and the undo that takes it back is at such a call.
- ``undo``: a fix that was finished is taken back, and that is killed at such a call.

After each, the next command has to say whether a fix was interrupted, and ``undo`` to bring back
what was; a fix that got to its end has to be whole.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tools.faults.place import ROOT, UV, Place, Shot, differences, link

TIMED = ("time", "time-all", "orphan")

# Which part of the trials each way gets.
SHARES = {
    "time": 0.14,
    "time-all": 0.06,
    "calls": 0.4,
    "installer": 0.14,
    "orphan": 0.06,
    "recovery": 0.1,
    "undo": 0.1,
}


@dataclass(frozen=True)
class Point:
    """Where to kill: after ``at`` seconds, or at the ``at``-th call."""

    way: str
    at: float


@dataclass(frozen=True)
class Trial:
    """What happened: ``end`` is ``before`` or ``after`` where all is well, else what is wrong.

    ``call`` is the call that it was killed before (``end``: it came to its end), ``said`` the last
    line of progress, ``noticed`` whether the next command said that a fix was interrupted.
    """

    way: str
    at: float
    call: str | None
    said: str
    noticed: bool
    end: str
    seconds: float


class Matrix:
    """All trials on one environment, one after the other."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._counter = place.folder / "count.so"
        self._count = place.folder / "count"
        self._uv_count = place.folder / "uv-count"
        self._started = place.folder / "uv-started"
        self._environment = place.copy()
        self._before = place.shot(self._environment)
        self._after: Shot = {}
        self._number = 0
        # Of each way, how long it takes in seconds, or how many calls it makes.
        self.whole: dict[str, float] = {}
        source = str(Path(__file__).parent / "count.c")
        compiler = shutil.which("cc") or "cc"
        options = ["-shared", "-fPIC", "-O2", "-o", str(self._counter)]
        subprocess.run([compiler, *options, source, "-ldl"], check=True)

    @property
    def _target(self) -> tuple[str, str]:
        return "--python", str(self._environment / "bin" / "python")

    def _fix(self, uv: str, counted: int | None = None) -> subprocess.Popen[str]:
        """Start a fix."""
        return self._start("fix", "--yes", *self._target, uv=uv, counted=counted)

    def _undo(self, counted: int) -> subprocess.Popen[str]:
        """Start an undo, with its calls counted."""
        return self._start("undo", *self._target, counted=counted)

    def measure(self) -> None:
        """Whole runs: how long they take, how many calls they make, and what a fix leaves."""
        started = time.monotonic()
        process = self._fix(self._counted_uv(0), 0)
        _, progress = process.communicate()
        self.whole["time"] = self.whole["time-all"] = time.monotonic() - started
        self.whole["calls"] = _calls(self._count)
        self.whole["installer"] = _calls(self._uv_count)
        ended = self._started.with_name("uv-ended").stat().st_mtime
        self.whole["orphan"] = ended - self._started.stat().st_mtime
        if process.returncode != 0:
            raise SystemExit(f"the fix does not work: {progress}")
        self._after = self._place.shot(self._environment)
        self._save("undo")
        self._undo(0).communicate()
        self.whole["undo"] = _calls(self._count)
        self._check_before("the first undo")
        self._anew()
        self._kill(Point("installer", self.whole["installer"] // 2))
        self._save("recovery")
        self._undo(0).communicate()
        self.whole["recovery"] = _calls(self._count)
        self._check_before("the first recovery")
        self._anew()

    def points(self, most: int, seed: int) -> list[Point]:
        """Points of every way, spread evenly and then moved by chance, in a mixed order."""
        chance = random.Random(seed)
        result = []
        for way, share in SHARES.items():
            number = max(1, round(most * share))
            for index in range(number):
                at = self.whole[way] * (index + chance.random()) / number
                counted = way not in TIMED
                result.append(Point(way, int(at) + 1 if counted else round(at, 3)))
        chance.shuffle(result)
        return result

    def run(self, point: Point) -> Trial:
        """Kill at one point, recover, and compare."""
        started = time.monotonic()
        self._uv_count.unlink(missing_ok=True)
        said = self._kill(point)
        call = None
        if point.way not in TIMED:
            count = self._uv_count if point.way == "installer" else self._count
            call = count.read_text().split()[1] if count.exists() else "end"
        if self._number % 10:
            process = self._place.start("undo", "--list", *self._target)
            noticed = "was interrupted" in process.communicate()[1]
        else:
            _, report, said_now = self._place.run("check", *self._target)
            noticed = any(item["check"] == "journal" for item in report.get("not_checked", ()))
            noticed = noticed or "was interrupted" in said_now
        self._number += 1
        if noticed:
            code, report, _ = self._place.run("undo", *self._target)
            if code == 0 and report["outcome"] in ("recovered", "undone"):
                end = self._compare({"before": self._before})
            else:
                end = f"undo ended with {code}: {report}"
        else:
            end = self._compare({"before": self._before, "after": self._after})
        if end != "before":
            self._anew()
        seconds = round(time.monotonic() - started, 1)
        return Trial(point.way, point.at, call, said, noticed, end, seconds)

    def _compare(self, known: dict[str, Shot]) -> str:
        now = self._place.shot(self._environment)
        found = next((name for name, shot in known.items() if shot == now), None)
        return found or f"differs: {differences(self._before, now)}"

    def _kill(self, point: Point) -> str:
        """Kill at one point, and return the last thing that was said."""
        if point.way in ("recovery", "undo"):
            self._saved(point.way)
            return _last(self._undo(int(point.at)))
        if point.way == "calls":
            return _last(self._fix(UV, int(point.at)))
        if point.way == "installer":
            return _last(self._fix(self._counted_uv(int(point.at))))
        process = self._fix(self._counted_uv(0))
        if point.way == "orphan":
            while process.poll() is None and not self._started.exists():
                time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=point.at)
        running = process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True) if running else []
        process.kill()
        for child in children if point.way == "time-all" else ():
            with contextlib.suppress(psutil.Error):
                child.kill()
        return _last(process)

    def _start(
        self, *words: str, uv: str = UV, counted: int | None = None
    ) -> subprocess.Popen[str]:
        """Start the doctor, maybe with its calls counted, to be killed at one of them (0: none)."""
        self._count.unlink(missing_ok=True)
        variables = {} if counted is None else self._counting(self._count, counted)
        return self._place.start(*words, instead=uv, variables=variables)

    def _counting(self, count: Path, at: int) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._counter), "FAULTS_COUNT": str(count), "FAULTS_AT": str(at)}

    def _counted_uv(self, at: int) -> str:
        """A program that is uv with its calls counted.

        If it is killed at one, the doctor is killed at once, before it can notice.
        """
        self._started.unlink(missing_ok=True)
        self._uv_count.unlink(missing_ok=True)
        counting = self._counting(self._uv_count, at)
        settings = " ".join(f'{name}="{value}"' for name, value in counting.items())
        script = self._place.folder / "uv"
        script.write_text(
            f"#!/bin/sh\n"
            f'touch "{self._started}"\n'
            f'{settings} "{UV}" "$@"\n'
            f"status=$?\n"
            f'touch "{self._place.folder}/uv-ended"\n'
            f"[ $status = 137 ] && kill -9 $PPID\n"
            f"exit $status\n"
        )
        script.chmod(0o755)
        return str(script)

    def _save(self, name: str) -> None:
        """Keep the environment and the doctor's state as they are, by links to the same files."""
        for folder in ("environment", "state"):
            link(self._place.folder / folder, self._place.folder / f"{name}-{folder}")

    def _saved(self, name: str) -> None:
        """Put what was kept in the place of the environment and the doctor's state."""
        for folder in ("environment", "state"):
            link(self._place.folder / f"{name}-{folder}", self._place.folder / folder)

    def _check_before(self, what: str) -> None:
        wrong = differences(self._before, self._place.shot(self._environment))
        if wrong:
            raise SystemExit(f"{what} went wrong: {wrong}")

    def _anew(self) -> None:
        """A fresh copy, of which the doctor knows nothing."""
        shutil.rmtree(self._place.folder / "state", ignore_errors=True)
        self._environment = self._place.copy()


class FreshMatrix(Matrix):
    """The same for ``fix --new-venv``: where there was nothing, there is nothing, or all of it."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._anew()
        self._before = {}

    @property
    def _target(self) -> tuple[str, str]:
        return "--venv", str(self._environment)

    def _fix(self, uv: str, counted: int | None = None) -> subprocess.Popen[str]:
        words = ("fix", "--yes", "--new-venv", str(self._environment))
        return self._start(*words, uv=uv, counted=counted)

    def _anew(self) -> None:
        """No environment, of which the doctor knows nothing."""
        for name in ("state", "environment"):
            shutil.rmtree(self._place.folder / name, ignore_errors=True)


def _calls(count: Path) -> int:
    """How many calls were counted."""
    return int(count.read_text().split()[0])


def _last(process: subprocess.Popen[str]) -> str:
    """The last line of progress of a process, once it was killed or has ended well."""
    _, progress = process.communicate()
    if process.returncode not in (-signal.SIGKILL, 0):
        raise SystemExit(f"the doctor ended with {process.returncode}: {progress}")
    lines = [line for line in progress.splitlines() if line.strip()]
    return lines[-1][:80] if lines else ""


def kill(
    place: Place, most: int, seed: int, results: Path, more: bool, fresh: bool = False
) -> bool:
    """Run the matrix, write its results after every trial, and say whether all went well.

    The results are a list of such runs, each with the commit that it was of; with ``more`` this one
    is added to it. ``fresh`` is about ``fix --new-venv``.
    """
    runs = json.loads(results.read_text()) if more and results.exists() else []
    matrix = FreshMatrix(place) if fresh else Matrix(place)
    matrix.measure()
    whole = {name: round(value, 1) for name, value in matrix.whole.items()}
    print(whole, flush=True)
    git = [shutil.which("git") or "git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(
        git, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    base = place.shot(place.base)
    trials: list[Trial] = []
    for point in matrix.points(most, seed):
        trials.append(matrix.run(point))
        wrong = [one for one in trials if one.end not in ("before", "after")]
        print(f"{len(trials)}/{most} {trials[-1]} wrong: {len(wrong)}", flush=True)
        made = [asdict(one) for one in trials]
        result = {"commit": commit, "seed": seed, "whole": whole, "trials": made}
        results.write_text(json.dumps([*runs, result], indent=1, ensure_ascii=False) + "\n")
    place.hashes.clear()  # every byte is read again: no trial may have written into a shared file
    spoilt = differences(base, place.shot(place.base))
    if spoilt:
        print(f"files were written into: {spoilt}")
    return not spoilt and all(one.end in ("before", "after") for one in trials)
