"""Measure what a safe fix costs (part of ``make bench``): against the same install, done bare.

Bare is ``uv pip install`` of the same requirements into a copy of the same environment, and the
same generation in a process of its own: no look, no check, no way back. Both begin with warm caches
and run in turn. The journal's part is measured by itself: keeping what is there, and writing down
what was changed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from doctor import plan, target
from doctor.look import look
from doctor.plan import Plan
from doctor.probes import model
from doctor.proving import smoke, stand_in
from doctor.registry import examine, names
from doctor.transaction import journal, repair
from tools.faults.place import ROOT, UV, Place

FOLDER = ROOT / ".cache" / "bench-fix"


def main() -> None:
    """Measure, and say whether the limits hold."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    place = Place(FOLDER)
    place.make()
    os.environ.update(place.variables())
    python = str(place.folder / "environment" / "bin" / "python")
    fixes, bares, journals = [], [], []
    share = 0.0
    for number in range(rounds + 1):
        fix = _fix(place, python)
        bare = _bare(place, python)
        kept, share = _journal(place, python)
        print(f"fix {fix:.1f} s, bare {bare:.1f} s, journal {kept:.2f} s", flush=True)
        if number:  # the first round warms the disk and the caches
            fixes.append(fix)
            bares.append(bare)
            journals.append(kept)
    fix, bare, kept = map(statistics.median, (fixes, bares, journals))
    print(f"{rounds} rounds, medians: fix {fix:.1f} s, bare {bare:.1f} s, journal {kept:.2f} s")
    for what, value, most in (
        ("a fix, of the same install and generation done bare", fix / bare, 1.3),
        ("the journal's time, of the bare", kept / bare, 0.1),
        ("what is kept, of the size of what is replaced", share, 1.1),
    ):
        print(f"{what}: {value:.2f} (at most {most}) {'holds' if value <= most else 'MISSED'}")


def _anew(place: Place) -> None:
    shutil.rmtree(place.folder / "state", ignore_errors=True)
    place.copy()


def _fix(place: Place, python: str) -> float:
    _anew(place)
    started = time.perf_counter()
    process = place.start("fix", "--yes", "--python", python)
    process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the fix ended with {process.returncode}")
    return time.perf_counter() - started


def _plan(python: str) -> tuple[Plan, list[str], list[str]]:
    facts = look(target.find(python, None, {}), model.DEFAULT, os.environ)
    made = plan.make(facts, examine(facts, names()).findings)
    return made, *repair.kept(facts, made)


def _bare(place: Place, python: str) -> float:
    _anew(place)
    made, _, _ = _plan(python)
    requirements = place.folder / "requirements.txt"
    requirements.write_text(made.requirements)
    install = [UV, "--quiet", "pip", "install", "--python", python, "--no-deps"]
    install += ["--require-hashes", "--requirements", str(requirements)]
    started = time.perf_counter()
    subprocess.run(install, check=True)
    report = smoke.run(python, smoke.Job(model=None, model_id=stand_in.NAME))
    if not report.passed:
        raise SystemExit(f"the generation failed: {repair.failure_of(report)}")
    return time.perf_counter() - started


def _journal(place: Place, python: str) -> tuple[float, float]:
    """The seconds that a journal takes, and what it keeps, as a share of what was replaced."""
    _anew(place)
    _, roots, alone = _plan(python)
    prefix = str(place.folder / "environment")
    record = journal.new(prefix)
    started = time.perf_counter()
    record.begin(prefix, "a fix", roots, alone)
    seconds = time.perf_counter() - started
    requirements = place.folder / "requirements.txt"
    install = [UV, "--quiet", "pip", "install", "--python", python, "--no-deps"]
    subprocess.run([*install, "--requirements", str(requirements)], check=True)
    started = time.perf_counter()
    record.done()
    seconds += time.perf_counter() - started
    replaced = 0
    for folder, _, files in os.walk(place.base):
        for path in (Path(folder, name) for name in files):
            if not path.is_symlink() and not _same(place, path):
                replaced += path.stat().st_size
    kept = sum(path.stat().st_size for path in record.folder.rglob("*") if path.is_file())
    return seconds, kept / replaced


def _same(place: Place, path: Path) -> bool:
    """Whether a file of the environment as it was made is still in the changed one."""
    there = place.folder / "environment" / path.relative_to(place.base)
    return there.exists() and there.stat().st_ino == path.stat().st_ino


if __name__ == "__main__":
    main()
