"""The journal: one doctor at a time, recovery after a crash, and undo that loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doctor import journal, locking, repair
from doctor.errors import Refused
from tests.conftest import tree


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for an environment, with the doctor's state beside it."""
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "state"))
    folder = tmp_path / "environment"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("version = 1\n")
    (folder / "package" / "link").symlink_to("__init__.py")
    return folder


def change(target: Path) -> None:
    """What an installer does: replace, add, remove."""
    (target / "package" / "new.py").write_text("new\n")
    (target / "package" / "replacement").write_text("version = 2\n")
    (target / "package" / "replacement").rename(target / "package" / "__init__.py")
    (target / "package" / "link").unlink()
    (target / "other").mkdir()
    (target / "other" / "module.py").write_text("x\n")


def begun(target: Path) -> journal.Journal:
    record = journal.new(str(target))
    record.begin(str(target), "install 2 packages", [str(target)])
    return record


def test_a_fix_that_fails_goes_back(target: Path) -> None:
    before = tree(target)
    record = begun(target)
    change(target)
    record.take_back()
    assert tree(target) == before
    assert journal.undoable(str(target)) == []


def test_a_fix_that_was_interrupted_is_noticed_and_taken_back(target: Path) -> None:
    before = tree(target)
    begun(target)
    change(target)
    said: list[str] = []
    assert repair.recover(str(target), said.append)  # as the next process does
    assert tree(target) == before
    assert "interrupted" in said[0]
    assert not repair.recover(str(target), said.append)


def test_what_was_interrupted_before_any_change_is_only_cleared_away(
    target: Path, tmp_path: Path
) -> None:
    begun(target)
    (record,) = (tmp_path / "state").rglob("journal.json")
    record.unlink()
    assert journal.interrupted(str(target)) == []
    assert not record.parent.exists()


def test_undo_takes_back_the_newest_fix(target: Path) -> None:
    before = tree(target)
    record = begun(target)
    change(target)
    record.done()
    (entry,) = [item.entry() for item in journal.undoable(str(target))]
    assert entry.summary == "install 2 packages"
    assert entry.bytes == len("version = 1\n")
    (again,) = journal.undoable(str(target))
    again.take_back()
    assert tree(target) == before


def test_undo_does_not_lose_what_somebody_else_changed_since(target: Path) -> None:
    record = begun(target)
    change(target)
    record.done()
    (target / "package" / "__init__.py").write_text("version = 3\n")
    after = tree(target)
    with pytest.raises(Refused, match="changed after the fix"):
        journal.undoable(str(target))[0].take_back()
    assert tree(target) == after


def test_undo_does_not_lose_what_somebody_put_beside_it(target: Path) -> None:
    record = begun(target)
    change(target)
    record.done()
    (target / "other" / "mine.txt").write_text("mine\n")
    with pytest.raises(Refused, match=r"mine\.txt"):
        journal.undoable(str(target))[0].take_back()
    assert (target / "other" / "mine.txt").exists()


def test_undo_leaves_alone_what_was_installed_elsewhere_since(target: Path) -> None:
    record = begun(target)
    change(target)
    record.done()
    (target / "later").mkdir()
    (target / "later" / "module.py").write_text("later\n")
    journal.undoable(str(target))[0].take_back()
    assert (target / "later" / "module.py").exists()
    assert not (target / "other").exists()


def test_compiled_modules_are_nobodys_change(target: Path) -> None:
    before = tree(target)
    record = begun(target)
    change(target)
    record.done()
    (target / "other" / "__pycache__").mkdir()
    (target / "other" / "__pycache__" / "module.pyc").write_bytes(b"x")
    journal.undoable(str(target))[0].take_back()
    assert tree(target) == before


def test_a_second_doctor_does_not_wait(target: Path) -> None:
    again = locking.lock(str(target))
    refused = pytest.raises(Refused, match=f"process {os.getpid()}")
    with locking.lock(str(target)), refused, again:
        pass
    with locking.lock(str(target)):
        pass


def test_two_environments_do_not_lock_each_other(target: Path, tmp_path: Path) -> None:
    with locking.lock(str(target)), locking.lock(str(tmp_path / "another")):
        pass
