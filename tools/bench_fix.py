"""Measure what a safe fix costs (part of ``make bench``): against the same install, done bare.

Bare is ``uv pip install`` of the same requirements into a copy of the same environment, and the
same generation in a process of its own: no look, no check, no way back. Each begins as it is for a
user who has run ``vlm-doctor check``: wheels in uv's cache, nothing of the new versions compiled.
They run in turn. The journal's part is measured by itself: choosing what to keep, keeping it, and
writing down what was changed.

The clock says what the user waits; processor time, of all processes together, does not depend on
what else the machine does, but takes no account of what runs side by side.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doctor import plan, target
from doctor.facts import Facts
from doctor.look import look
from doctor.plan import Plan
from doctor.probes import model
from doctor.proving import smoke, stand_in
from doctor.registry import examine, names
from doctor.transaction import journal, repair
from tools.faults.place import ROOT, UV, Place

FOLDER = ROOT / ".cache" / "bench-fix"


@dataclass
class Cost:
    """Seconds by the clock, and of processor time, our own and that of our children."""

    clock: float = 0.0
    processor: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add what happens within."""
        clock, processor = time.perf_counter(), _processor()
        yield
        self.clock += time.perf_counter() - clock
        self.processor += _processor() - processor

    def __str__(self) -> str:
        """Both, for people."""
        return f"{self.clock:.2f} s ({self.processor:.2f} s of processor)"


def _processor() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main() -> None:
    """Measure, and say whether the limits hold."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    gc.disable()  # as the doctor itself does when it starts
    place = Place(FOLDER)
    place.make()
    os.environ.update(place.variables())
    python = str(place.folder / "environment" / "bin" / "python")
    costs: list[tuple[Cost, Cost, Cost]] = []
    for _ in range(rounds):
        fix, bare = _fix(place, python), _bare(place, python)
        kept, share = _journal(place, python)
        print(f"fix {fix}, bare {bare}, journal {kept}", flush=True)
        costs.append((fix, bare, kept))
    limits = [("what is kept, of the size of what is replaced", share, 1.1)]
    for by in ("clock", "processor"):
        fix, bare, kept = (
            statistics.median(getattr(cost, by) for cost in each)
            for each in zip(*costs, strict=True)
        )
        print(f"medians by {by}: fix {fix:.2f} s, bare {bare:.2f} s, journal {kept:.2f} s")
        limits += [
            (f"by {by}: a fix, of the same install and generation done bare", fix / bare, 1.3),
            (f"by {by}: the journal, of the bare", kept / bare, 0.1),
        ]
    for what, value, most in limits:
        print(f"{what}: {value:.2f} (at most {most}) {'holds' if value <= most else 'MISSED'}")


def _anew(place: Place) -> None:
    """A fresh copy of the environment, that was checked once."""
    for name in ("state", "cache"):
        shutil.rmtree(place.folder / name, ignore_errors=True)
    place.start("check", "--python", str(place.copy() / "bin" / "python")).communicate()


def _fix(place: Place, python: str) -> Cost:
    _anew(place)
    cost = Cost()
    with cost.measured():
        process = place.start("fix", "--yes", "--python", python)
        process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the fix ended with {process.returncode}")
    return cost


def _plan(python: str) -> tuple[Facts, Plan]:
    facts = look(target.find(python, None, {}), model.DEFAULT, os.environ)
    return facts, plan.make(facts, examine(facts, names()).findings)


def _install(place: Place, python: str, made: Plan) -> list[str]:
    """The command that installs what a plan installs."""
    requirements = place.folder / "requirements.txt"
    requirements.write_text(made.requirements)
    command = [UV, "--quiet", "pip", "install", "--python", python, "--no-deps"]
    return [*command, "--require-hashes", "--requirements", str(requirements)]


def _bare(place: Place, python: str) -> Cost:
    _anew(place)
    install = _install(place, python, _plan(python)[1])
    cost = Cost()
    with cost.measured():
        subprocess.run(install, check=True)
        report = smoke.run(python, smoke.Job(model=None, model_id=stand_in.NAME))
    if not report.passed:
        raise SystemExit(f"the generation failed: {repair.failure_of(report)}")
    return cost


def _journal(place: Place, python: str) -> tuple[Cost, float]:
    """What a journal costs, and what it keeps, as a share of what was replaced."""
    _anew(place)
    facts, made = _plan(python)
    prefix = str(place.folder / "environment")
    record = journal.new(prefix)
    cost = Cost()
    with cost.measured():
        record.begin(prefix, "a fix", *repair.kept(facts, made))
        record.changed_by_others()
    subprocess.run(_install(place, python, made), check=True)
    with cost.measured():
        record.done()
    replaced = 0
    for folder, _, files in os.walk(place.base):
        for path in (Path(folder, name) for name in files):
            if not path.is_symlink() and not _same(place, path):
                replaced += path.stat().st_size
    kept = sum(path.stat().st_size for path in record.folder.rglob("*") if path.is_file())
    return cost, kept / replaced


def _same(place: Place, path: Path) -> bool:
    """Whether a file of the environment as it was made is still in the changed one."""
    there = place.folder / "environment" / path.relative_to(place.base)
    return there.exists() and there.stat().st_ino == path.stat().st_ino


if __name__ == "__main__":
    main()
