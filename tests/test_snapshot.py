"""Snapshots: whatever is done to a tree, it comes back byte for byte."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctor.transaction.snapshot import Snapshot

# Any name that a file system takes: spaces, newlines, bytes that are no text, 255 bytes long.
NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
) | st.just(b"n" * 255)
NODES = st.recursive(
    st.tuples(st.just("file"), st.binary(max_size=40), st.sampled_from([0o644, 0o755, 0o600]))
    | st.tuples(st.just("link"), NAMES, st.just(0)),
    lambda children: st.tuples(
        st.just("folder"), st.dictionaries(NAMES, children, max_size=4), st.just(0o755)
    ),
    max_leaves=12,
)
TREES = st.dictionaries(NAMES, NODES, max_size=5)
Tree = dict[bytes, tuple[str, Any, int]]


def build(folder: bytes, tree: Tree) -> None:
    for name, (kind, content, mode) in tree.items():
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            remove(path)
        if kind == "folder":
            os.mkdir(path)
            build(path, content)
        elif kind == "link":
            os.symlink(content, path)
        else:
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, mode)


def remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def shot(folder: bytes, times: bool = True) -> dict[bytes, tuple[object, ...]]:
    """Everything of a tree that has to come back, folders' times included."""
    result: dict[bytes, tuple[object, ...]] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            key = os.path.relpath(path, folder)
            if os.path.islink(path):
                result[key] = ("link", os.readlink(path), status.st_mtime_ns * times)
            elif os.path.isdir(path):
                result[key] = ("folder", status.st_mode, status.st_mtime_ns * times)
            else:
                with open(path, "rb") as file:
                    result[key] = ("file", status.st_mode, status.st_mtime_ns * times, file.read())
    return result


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=TREES, damage=TREES, gone=st.booleans())
def test_any_tree_comes_back_from_any_change(
    before: Tree,
    damage: Tree,
    gone: bool,
) -> None:
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        root.mkdir()
        build(os.fsencode(root), before)
        was = shot(os.fsencode(root))
        (Path(work) / "journal").mkdir()
        taken = Snapshot(Path(work) / "journal", [str(root)], [Path(work) / "store"])
        taken.take_stock()
        checksum = taken.keep()
        assert shot(os.fsencode(root)) == was  # taking it changes nothing
        if gone:
            shutil.rmtree(root)
        else:
            build(os.fsencode(root), damage)
        again = Snapshot(Path(work) / "journal", [str(root)], [Path(work) / "store"])
        again.load(checksum)  # as another process would, after a crash
        again.restore()
        assert shot(os.fsencode(root)) == was
        assert again.changes() == {}


def test_a_root_that_was_not_there_goes_away(tmp_path: Path) -> None:
    root = tmp_path / "share"
    (tmp_path / "journal").mkdir()
    taken = Snapshot(tmp_path / "journal", [str(root)], [tmp_path / "store"])
    taken.take_stock()
    taken.keep()
    (root / "man").mkdir(parents=True)
    (root / "man" / "page").write_text("x")
    taken.restore()
    assert not root.exists()


def test_an_interrupted_restore_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    for number in range(20):
        (root / f"package{number}").mkdir(parents=True)
        (root / f"package{number}" / "module.py").write_text(str(number))
    was = shot(os.fsencode(root))
    (tmp_path / "journal").mkdir()
    taken = Snapshot(tmp_path / "journal", [str(root)], [tmp_path / "store"])
    taken.take_stock()
    taken.keep()
    shutil.rmtree(root)
    calls = 0
    really = os.replace

    def fails_in_the_middle(source: str, destination: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise OSError("power off")
        really(source, destination)

    monkeypatch.setattr(os, "replace", fails_in_the_middle)
    with pytest.raises(OSError, match="power off"):
        taken.restore()
    monkeypatch.undo()
    taken.restore()
    assert shot(os.fsencode(root)) == was


def test_where_no_hard_link_can_be_made_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError

    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"content")
    (root / "file").chmod(0o755)
    was = shot(os.fsencode(root))
    (tmp_path / "journal").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "0").mkdir()
    monkeypatch.setattr(os, "link", no_links)
    taken = Snapshot(tmp_path / "journal", [str(root)], [tmp_path / "store"])
    taken.take_stock()
    taken.keep()
    (root / "file").write_bytes(b"changed in place")
    taken.restore()
    assert shot(os.fsencode(root)) == was


def test_only_what_changed_is_kept_afterwards(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "stays").write_bytes(b"x" * 1000)
    (root / "goes").write_bytes(b"y" * 10)
    (tmp_path / "journal").mkdir()
    taken = Snapshot(tmp_path / "journal", [str(root)], [tmp_path / "store"])
    taken.take_stock()
    taken.keep()
    (root / "goes").unlink()
    changes = taken.changes()
    assert taken.size(changes) == 10
    taken.keep_only(changes)
    kept = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in kept] == [b"y" * 10]
