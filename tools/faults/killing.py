"""The kill matrix: SIGKILL at hundreds of instants of a fix, of its recovery, and of its undo.

Where a trial is killed is said in one of these ways:

- ``time``: the doctor alone, after so many seconds; what it started lives on.
- ``time-all``: the doctor and all that it started, as when the power goes.
- ``calls``: the doctor, at its so-manieth call that changes something (by strace).
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
import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tools.faults.place import UV, Place, Shot, differences, link

# The calls that change something: files, folders, processes, and what brings them to the disk.
CALLS = (
    "link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,"
    "chmod,fchmod,fchmodat,utimensat,fchown,fchownat,lchown,write,pwrite64,ftruncate,fsync,"
    "fdatasync,syncfs,flock,clone,clone3,vfork,execve,copy_file_range,sendfile"
)
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
    """Where to kill: after ``at`` seconds, or at the ``at``-th call, the ``nth`` of its name."""

    way: str
    at: float
    call: str | None = None
    nth: int | None = None


@dataclass(frozen=True)
class Trial:
    """What happened: ``end`` is ``before`` or ``after`` where all is well, else what is wrong.

    ``said`` is the last line of progress before the end, ``noticed`` whether the next command said
    that a fix was interrupted.
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
        self._log = place.folder / "calls.log"
        self._environment = place.copy()
        self._before = place.shot(self._environment)
        self._after: Shot = {}
        self._number = 0
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, list[tuple[str, int]]] = {}

    @property
    def _target(self) -> tuple[str, str]:
        return "--python", str(self._environment / "bin" / "python")

    def measure(self) -> None:
        """Whole runs: how long they take, which calls they make, and what a fix leaves."""
        self._fixed()  # the first one warms the caches of bytecode and kernels
        self._anew()
        started = time.monotonic()
        self._fixed()
        self.seconds["time"] = self.seconds["time-all"] = time.monotonic() - started
        self._after = self._place.shot(self._environment)
        self._save("undo")
        self._counted("undo", "undo")
        self._check_before("the first undo")
        self._anew()
        self._counted("calls", "fix", "--yes")
        self._anew()
        self._run("fix", "--yes", uv=f"strace -f -e trace={CALLS} -o {self._log} {UV}")
        self.calls["installer"] = _calls(self._log)
        self._log.unlink()
        self._anew()
        call, nth = self.calls["installer"][len(self.calls["installer"]) // 2]
        self._kill(Point("installer", 0, call, nth))
        self._save("recovery")
        self._counted("recovery", "undo")
        self._check_before("the first recovery")
        self._anew()
        self._run("fix", "--yes", uv=UV)
        ended = self._started.with_name("uv-started-and-ended")
        self.seconds["orphan"] = ended.stat().st_mtime - self._started.stat().st_mtime
        self._anew()

    def points(self, most: int, seed: int) -> list[Point]:
        """Points of every way, spread evenly and then moved by chance, in a mixed order."""
        chance = random.Random(seed)
        result = []
        for way, share in SHARES.items():
            number = max(1, round(most * share))
            calls = self.calls.get(way, [])
            whole = self.seconds.get(way, len(calls))
            # Most calls make links. Every other point is at one that does not.
            rare = [at for at, (name, _) in enumerate(calls) if not name.startswith("link")]
            for index in range(number):
                at = whole * (index + chance.random()) / number
                if calls and index % 2:
                    at = rare[int(len(rare) * at / whole)]
                point = (int(at) + 1, *calls[int(at)]) if calls else (round(at, 3), None, None)
                result.append(Point(way, *point))
        chance.shuffle(result)
        return result

    def run(self, point: Point) -> Trial:
        """Kill at one point, recover, and compare."""
        started = time.monotonic()
        said = self._kill(point)
        if self._number % 5:
            process = self._place.start("undo", "--list", *self._target)
            noticed = "was interrupted" in process.communicate()[1]
        else:
            _, report, _ = self._place.run("check", *self._target)
            noticed = any(item["check"] == "journal" for item in report.get("not_checked", ()))
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
        return Trial(point.way, point.at, point.call, said, noticed, end, seconds)

    def _compare(self, known: dict[str, Shot]) -> str:
        now = self._place.shot(self._environment)
        found = next((name for name, shot in known.items() if shot == now), None)
        return found or f"differs: {differences(self._before, now)}"

    def _kill(self, point: Point) -> str:
        """Kill at one point, and return the last thing that was said."""
        if point.way in ("recovery", "undo"):
            self._saved(point.way)
        words = ("undo",) if point.way in ("recovery", "undo") else ("fix", "--yes")
        at = f"-e inject={point.call}:signal=KILL:when={point.nth}"
        if point.way == "installer":
            return self._run(*words, uv=f"strace -f -o {os.devnull} -e trace={CALLS} {at} {UV}")
        if point.way == "orphan":
            return self._orphaned(point.at)
        if not point.way.startswith("time"):
            before = ("strace", "-o", os.devnull, "-e", f"trace={CALLS}", *at.split())
            return _last(self._place.start(*words, *self._target, before=before))
        process = self._place.start(*words, *self._target)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=point.at)
        children = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.kill()
        for child in children if point.way == "time-all" else ():
            with contextlib.suppress(psutil.Error):
                child.kill()
        return _last(process)

    def _save(self, name: str) -> None:
        """Keep the environment and the doctor's state as they are, by links to the same files."""
        for folder in ("environment", "state"):
            link(self._place.folder / folder, self._place.folder / f"{name}-{folder}")

    def _saved(self, name: str) -> None:
        """Put what was kept in the place of the environment and the doctor's state."""
        for folder in ("environment", "state"):
            link(self._place.folder / f"{name}-{folder}", self._place.folder / folder)

    def _orphaned(self, seconds: float) -> str:
        """Kill a fix so long after it started uv, and let uv go on."""
        process = self._place.start("fix", "--yes", *self._target, instead=self._instead(UV))
        while process.poll() is None and not self._started.exists():
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        return _last(process)

    @property
    def _started(self) -> Path:
        return self._place.folder / "uv-started"

    def _instead(self, command: str) -> str:
        """A program that runs this command with uv's words.

        If that is killed, the doctor is killed at once, before it can notice.
        """
        self._started.unlink(missing_ok=True)
        script = self._place.folder / "uv"
        script.write_text(
            f"#!/bin/sh\n"
            f'touch "{self._started}"\n'
            f'{command} "$@"\n'
            f"status=$?\n"
            f'touch "{self._started}-and-ended"\n'
            f"[ $status = 137 ] && kill -9 $PPID\n"
            f"exit $status\n"
        )
        script.chmod(0o755)
        return str(script)

    def _run(self, *words: str, uv: str) -> str:
        return _last(self._place.start(*words, *self._target, instead=self._instead(uv)))

    def _counted(self, name: str, *words: str) -> None:
        before = ("strace", "-o", str(self._log), "-e", f"trace={CALLS}")
        self._place.start(*words, *self._target, before=before).communicate()
        self.calls[name] = _calls(self._log)
        self._log.unlink()

    def _fixed(self) -> None:
        code, report, _ = self._place.run("fix", "--yes", *self._target)
        if report.get("outcome") != "fixed":
            raise SystemExit(f"the fix does not work: {code}, {report}")

    def _check_before(self, what: str) -> None:
        wrong = differences(self._before, self._place.shot(self._environment))
        if wrong:
            raise SystemExit(f"{what} went wrong: {wrong}")

    def _anew(self) -> None:
        """A fresh copy, of which the doctor knows nothing."""
        shutil.rmtree(self._place.folder / "state", ignore_errors=True)
        self._environment = self._place.copy()


def _calls(log: Path) -> list[tuple[str, int]]:
    """The calls in the order that they were made: each name, and which one of that name it is.

    strace counts the calls of each process, and of each name, by themselves.
    """
    counts: Counter[tuple[str, str]] = Counter()
    result = []
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"(\d*)\s*(\w+)\(", line)
        if found is not None:
            process, name = found[1], found[2]
            counts[process, name] += 1
            result.append((name, counts[process, name]))
    return result


def _last(process: subprocess.Popen[str]) -> str:
    """The last line of progress of a process, once it has ended."""
    _, progress = process.communicate()
    lines = [line for line in progress.splitlines() if line.strip()]
    return lines[-1][:80] if lines else ""


def kill(place: Place, most: int, seed: int, results: Path) -> bool:
    """Run the matrix, write its results after every trial, and say whether all went well."""
    matrix = Matrix(place)
    matrix.measure()
    print({name: len(calls) for name, calls in matrix.calls.items()}, matrix.seconds, flush=True)
    base = place.shot(place.base)
    trials: list[Trial] = []
    for point in matrix.points(most, seed):
        trial = matrix.run(point)
        trials.append(trial)
        wrong = [one for one in trials if one.end not in ("before", "after")]
        print(f"{len(trials)}/{most} {trial} wrong: {len(wrong)}", flush=True)
        results.write_text(
            json.dumps(
                {
                    "seed": seed,
                    "calls": {name: len(calls) for name, calls in matrix.calls.items()},
                    "seconds": {name: round(value, 1) for name, value in matrix.seconds.items()},
                    "trials": [asdict(one) for one in trials],
                },
                indent=1,
                ensure_ascii=False,
            )
            + "\n"
        )
    place.hashes.clear()  # every byte is read again: no trial may have written into a shared file
    spoilt = differences(base, place.shot(place.base))
    if spoilt:
        print(f"files were written into: {spoilt}")
    return not spoilt and all(one.end in ("before", "after") for one in trials)
