"""The journal: one doctor at a time, recovery after a crash, and undo that loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from doctor import state
from doctor.errors import CouldNot, Refused
from doctor.transaction import journal, locking, repair, unfinished
from tests.conftest import ROOT, UV, Doctor, make_environment, tree
from tests.probe import site_packages


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


def test_who_holds_the_lock_is_known_while_it_is_held(target: Path) -> None:
    assert locking.holder(str(target)) is None
    with locking.lock(str(target)):
        said = str(locking.holder(str(target)))
        assert said.startswith(f"process {os.getpid()}, since 20")
    assert locking.holder(str(target)) is None


def test_a_doctor_with_another_state_folder_is_refused_too(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locking.lock(str(target)):
        monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "another"))
        with pytest.raises(Refused, match="another state folder"), locking.lock(str(target)):
            pass


ORPHAN = """
import os, subprocess, sys, time
from doctor.transaction import locking
with locking.lock(sys.argv[1]):
    ignoring = "trap '' TERM; while :; do sleep 1; done"
    child = subprocess.Popen(["/bin/sh", "-c", ignoring], close_fds=False, start_new_session=True)
    print(child.pid, flush=True)
    time.sleep(100)
"""


def test_what_a_killed_doctor_started_is_ended_before_anything_else(target: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(target)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert owner.stdout is not None
    orphan = psutil.Process(int(owner.stdout.readline()))
    with pytest.raises(Refused, match=f"process {owner.pid}"), locking.lock(str(target)):
        pass
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert orphan.is_running()
    said: list[str] = []
    with locking.lock(str(target), said.append):
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert "still at work" in said[0]


def test_an_unfinished_fix_is_told_from_one_at_work(target: Path) -> None:
    assert unfinished.notice(str(target)) is None
    with locking.lock(str(target)):
        begun(target)
        assert f"process {os.getpid()}" in str(unfinished.notice(str(target)))
    assert unfinished.notice(str(target)) == unfinished.interrupted(str(target))


def cut(folder: Path) -> None:
    path = folder / "journal.json"
    path.write_bytes(path.read_bytes()[:-30])


def edit(folder: Path) -> None:
    path = folder / "journal.json"
    path.write_text(path.read_text().replace("install 2", "install 3"))


def newer(folder: Path) -> None:
    content = json.loads((folder / "journal.json").read_text())
    (folder / "journal.json").write_text(json.dumps({**content, "version": 99}))


def cut_list(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut, "damaged or cut off"),
        (edit, "changed by something else"),
        (newer, "a newer release of vlm-doctor wrote it"),
        (cut_list, "list of files was changed or is cut off"),
    ],
)
def test_a_damaged_journal_is_not_followed(
    target: Path, damage: Callable[[Path], None], why: str
) -> None:
    record = begun(target)
    change(target)
    after = tree(target)
    damage(record.folder)
    with locking.lock(str(target)):
        with pytest.raises(CouldNot, match=why) as refused:
            journal.undo(str(target))
        assert "undo --clear" in refused.value.hint
        assert tree(target) == after
        journal.clear(str(target))
    assert state.unfinished(str(target)) == set()
    assert not record.folder.exists()
    assert tree(target) == after


@pytest.mark.parametrize("damage", [cut, newer, cut_list])
def test_a_damaged_journal_of_a_finished_fix_harms_only_its_undo(
    target: Path, damage: Callable[[Path], None]
) -> None:
    record = begun(target)
    change(target)
    record.done()
    damage(record.folder)
    (entry,) = [item.entry() for item in journal.undoable(str(target))]
    assert entry.problem or damage is cut_list  # the list is only read when it is needed
    with locking.lock(str(target)):
        assert journal.interrupted(str(target)) == []  # the next fix may go on
        with pytest.raises(CouldNot):
            journal.undo(str(target))


def test_undo_says_how_to_get_rid_of_a_damaged_journal(
    doctor: Doctor, empty_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = str(empty_environment.parent.parent)
    monkeypatch.setenv("VLM_DOCTOR_STATE", doctor.variables["VLM_DOCTOR_STATE"])
    record = journal.new(prefix)
    record.begin(prefix, "a fix", [str(site_packages(empty_environment))])
    cut(record.folder)
    target = ("--python", str(empty_environment))
    told = doctor.json("check", *target).report["not_checked"]
    assert "interrupted" in str(told)
    assert "interrupted" in doctor("recipes", "--export", "requirements", *target).err
    run = doctor.json("undo", *target)
    assert run.code == 3
    assert "cannot be followed" in run.report["error"]["message"]
    assert "undo --clear" in run.report["error"]["hint"]
    assert doctor.json("undo", "--clear", *target).report["outcome"] == "cleared"
    assert doctor.json("undo", *target).report["outcome"] == "nothing-to-undo"


def test_undo_needs_no_python(
    doctor: Doctor, empty_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = empty_environment.parent.parent
    monkeypatch.setenv("VLM_DOCTOR_STATE", doctor.variables["VLM_DOCTOR_STATE"])
    before = tree(folder)
    journal.new(str(folder)).begin(str(folder), "a fix", [str(folder / "bin")])
    for path in (folder / "bin").glob("python*"):
        path.unlink()
    run = doctor.json("undo", "--venv", str(folder))
    assert (run.code, run.report["outcome"]) == (0, "recovered")
    assert tree(folder) == before


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A state folder on another file system than the target."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        monkeypatch.setenv("VLM_DOCTOR_STATE", folder)
        yield Path(folder)


@pytest.mark.parametrize("finished", [True, False])
def test_a_state_folder_on_another_disk(target: Path, other_disk: Path, finished: bool) -> None:
    before = tree(target)
    record = journal.new(str(target))
    record.begin(str(target), "a fix", [str(target / "package"), str(target / "other")])
    change(target)
    if finished:
        record.done()
        assert (target / ".vlm-doctor").is_dir()  # links do not reach any further
    with locking.lock(str(target)):
        journal.undo(str(target))
    assert tree(target) == before
    assert not (target / ".vlm-doctor").exists()


def test_small_files_elsewhere_are_copied_and_come_back(
    target: Path, other_disk: Path, tmp_path: Path
) -> None:
    """Such as a model's, whose cache is on neither disk of target and state."""
    model = tmp_path / "cache" / "config.json"
    model.parent.mkdir()
    model.write_text("{}")
    prefix = str(other_disk / "environment")
    os.mkdir(prefix)
    record = journal.new(prefix)
    record.begin(prefix, "a fix", [], [str(model)])
    model.write_text("{ }")
    with locking.lock(prefix):
        assert journal.undo(prefix).outcome == "recovered"
    assert model.read_text() == "{}"


def test_what_somebody_else_wrote_into_a_file_is_left_and_named(target: Path) -> None:
    record = begun(target)
    with (target / "package" / "__init__.py").open("a") as file:
        file.write("mine = 1\n")
    (target / "new.py").write_text("")
    record.take_back()
    assert (target / "package" / "__init__.py").read_text() == "version = 1\nmine = 1\n"
    assert record.left_alone == (str(target / "package" / "__init__.py"),)
    assert not (target / "new.py").exists()


def test_a_folder_that_became_a_link_is_not_followed(target: Path, tmp_path: Path) -> None:
    before = tree(target)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "__init__.py").write_text("not ours\n")
    record = begun(target)
    (target / "package").rename(tmp_path / "moved")
    (target / "package").symlink_to(elsewhere)
    record.take_back()
    assert tree(target) == before
    assert (elsewhere / "__init__.py").read_text() == "not ours\n"


def test_the_space_of_old_fixes_is_given_back(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(journal.MOST_FIXES + 2):
        record = begun(target)
        (target / f"{number}.py").write_text("")
        record.done()
    journal.tidy()
    assert len(journal.undoable(str(target))) == journal.MOST_FIXES
    assert journal.undoable(str(target))[0].id == record.id  # the newest stay
    monkeypatch.setattr(journal, "MOST_DAYS", -1)
    with locking.lock(str(target)):
        journal.tidy()  # not while somebody is at work
    assert len(journal.undoable(str(target))) == journal.MOST_FIXES
    journal.tidy()
    assert journal.undoable(str(target)) == []


def test_an_unfinished_fix_is_never_given_up_for_its_age(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(target)
    monkeypatch.setattr(journal, "MOST_DAYS", -1)
    journal.tidy()
    assert len(journal.interrupted(str(target))) == 1


@pytest.mark.parametrize("mode", ["copy", "hardlink", "clone"])
def test_the_installer_never_writes_into_a_file_that_is_there(tmp_path: Path, mode: str) -> None:
    """What is kept by a link would change with it (uv did so before 0.11)."""
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    files = {
        "demo/__init__.py": "new\n",
        "demo-1.0.data/scripts/demo-script": "#!python\nnew\n",
        "demo-1.0.data/data/share/demo.txt": "new\n",
        "demo-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        "demo-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        "demo-1.0.dist-info/entry_points.txt": "[console_scripts]\ndemo=demo:main\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        names = [*files, "demo-1.0.dist-info/RECORD"]
        archive.writestr(names[-1], "".join(f"{name},,\n" for name in names))
    python = make_environment(tmp_path / "environment")
    folder = tmp_path / "environment"
    paths = [site_packages(python) / "demo" / "__init__.py", folder / "share" / "demo.txt"]
    paths += [folder / "bin" / "demo", folder / "bin" / "demo-script"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text("old\n")
        os.link(path, tmp_path / f"kept{number}")
    install = [UV, "--quiet", "pip", "install", "--python", str(python), "--no-index"]
    subprocess.run([*install, "--link-mode", mode, "--reinstall", str(wheel)], check=True)
    for number, path in enumerate(paths):
        assert path.read_text() != "old\n"
        assert (tmp_path / f"kept{number}").read_text() == "old\n"
