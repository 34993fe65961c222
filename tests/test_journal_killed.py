"""A journal that is killed at any step: what it was about comes back, or holds as a whole."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctor import state
from doctor.transaction import journal, locking
from tests.test_snapshot import TREES, Tree, build, shot

# What Python tells of when a program changes files, or looks at them.
STEPS = ("open", "os.", "shutil.", "fcntl.")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of power cuts would wait for a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        monkeypatch.setenv("VLM_DOCTOR_STATE", str(Path(folder) / "state"))
        yield Path(folder)


def prepare(work: Path) -> Path:
    shutil.rmtree(work / "state", ignore_errors=True)
    target = work / "target"
    shutil.rmtree(target, ignore_errors=True)
    (target / "package" / "inner").mkdir(parents=True)
    (target / "package" / "__init__.py").write_text("version = 1\n")
    (target / "package" / "inner" / "tool").write_text("#!\n")
    (target / "package" / "inner" / "tool").chmod(0o755)
    (target / "package" / "link").symlink_to("__init__.py")
    (target / "mine.txt").write_text("mine\n")
    return target


def change(target: Path) -> None:
    (target / "package" / ".new").write_text("version = 2\n")
    (target / "package" / ".new").replace(target / "package" / "__init__.py")
    shutil.rmtree(target / "package" / "inner")
    (target / "package" / "link").unlink()
    (target / "other").mkdir()
    (target / "other" / "module.py").write_text("x\n")


def fix(target: Path) -> None:
    with locking.lock(str(target)):
        record = journal.new(str(target))
        record.begin(str(target), "a fix", [str(target)], [str(target.parent / "file")])
        change(target)
        record.done()


def failed_fix(target: Path) -> None:
    with locking.lock(str(target)):
        record = journal.new(str(target))
        record.begin(str(target), "a fix", [str(target)])
        change(target)
        record.take_back()


def undo(target: Path) -> str:
    with locking.lock(str(target)):
        return journal.undo(str(target)).outcome


def killed_at(step: int, what: Callable[[Path], object], target: Path) -> bool:
    """Do it in a process that is killed before its so-manieth step; whether it came that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def count_steps(event: str, _: object) -> None:
            nonlocal count
            if event.startswith(STEPS):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count_steps)
        code = 1
        try:
            what(target)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.WEXITSTATUS(status) == 0
    return killed


@pytest.mark.parametrize("what", [fix, failed_fix])
def test_a_fix_killed_at_any_step(work: Path, what: Callable[[Path], object]) -> None:
    target = prepare(work)
    before = shot(os.fsencode(target))
    fix(target)
    after = shot(os.fsencode(target), times=False)
    step = 0
    ends = set()
    while True:
        step += 1
        target = prepare(work)
        before = shot(os.fsencode(target))
        killed = killed_at(step, what, target)
        marked = bool(state.unfinished(str(target)))
        if marked:
            assert undo(target) in ("recovered", "undone")
            ends.add("recovered")
        elif shot(os.fsencode(target), times=False) == after:
            assert undo(target) == "undone"
            ends.add("after")
        else:
            ends.add("before")
        assert shot(os.fsencode(target)) == before, step
        # Nothing is left that takes room or misleads the next one.
        with locking.lock(str(target)):
            assert journal.interrupted(str(target)) == []
        assert list((state.of_target(str(target)) / "fixes").glob("*")) == []
        if not killed:
            break
    assert step > 50
    assert ends == ({"before", "recovered", "after"} if what is fix else {"before", "recovered"})


@pytest.mark.parametrize("finished", [True, False])
def test_an_undo_killed_at_any_step(work: Path, finished: bool) -> None:
    step = 0
    while True:
        step += 1
        target = prepare(work)
        before = shot(os.fsencode(target))
        if finished:
            fix(target)
        else:
            with locking.lock(str(target)):
                journal.new(str(target)).begin(str(target), "a fix", [str(target)])
                change(target)
        killed = killed_at(step, undo, target)
        undo(target)
        assert shot(os.fsencode(target)) == before, step
        if not killed:
            break
    assert step > 20


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=TREES, after=TREES, step=st.integers(1, 400), again=st.integers(1, 200))
def test_any_tree_outlives_any_kill(before: Tree, after: Tree, step: int, again: int) -> None:
    """Random trees, a kill at a random step of the fix, and another of the way back."""
    with pytest.MonkeyPatch.context() as patch:
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            patch.setenv("VLM_DOCTOR_STATE", str(Path(folder) / "state"))
            target = Path(folder) / "target"
            target.mkdir()
            build(os.fsencode(target), before)
            was = shot(os.fsencode(target))

            def changing(target: Path) -> None:
                with locking.lock(str(target)):
                    record = journal.new(str(target))
                    record.begin(str(target), "a fix", [str(target)])
                    build(os.fsencode(target), after)
                    record.done()

            killed_at(step, changing, target)
            killed_at(again, undo, target)
            undo(target)
            assert shot(os.fsencode(target)) == was
