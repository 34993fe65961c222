"""What somebody else installs while a fix is at work is told from what the fix installs."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor.transaction import journal, unfinished
from tests.conftest import tree

OURS = ("mine",)


def put(site: Path, name: str, version: str) -> None:
    """Install a distribution of one module, as installers do: replacing, never writing into it."""
    remove(site, name)
    package, metadata = site / name, site / f"{name}-{version}.dist-info"
    (package / "__pycache__").mkdir(parents=True)
    metadata.mkdir()
    (package / "__init__.py").write_text(f"version = {version!r}\n")
    (package / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"compiled")
    (metadata / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    files = (f"{name}/__init__.py", f"{metadata.name}/METADATA", f"{metadata.name}/RECORD")
    (metadata / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def remove(site: Path, name: str) -> None:
    """Take a distribution away, with its folders."""
    for folder in (site / name, *site.glob(f"{name}-*.dist-info")):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        if folder.exists():
            folder.rmdir()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages: one that the fix replaces, and two that are others'."""
    monkeypatch.setenv("VLM_DOCTOR_STATE", str(tmp_path / "state"))
    folder = tmp_path / "environment" / "site-packages"
    folder.mkdir(parents=True)
    for name in ("mine", "theirs", "old"):
        put(folder, name, "1.0")
    return folder


def begun(site: Path) -> journal.Journal:
    """A fix of ``mine``, begun, with others at work too: one changed, one new, one gone."""
    record = journal.new(str(site.parent))
    record.take_stock(str(site.parent), "a fix", [str(site)], ours=OURS)
    record.keep()
    put(site, "mine", "2.0")
    put(site, "theirs", "2.0")
    put(site, "new", "1.0")
    remove(site, "old")
    return record


SAID = ("new 1.0", "theirs 2.0")


def expected(site: Path, mine: str) -> dict[str, str]:
    """The modules that are to be there, with their versions."""
    return {"mine": mine, "theirs": "2.0", "new": "1.0", "old": "1.0"}


def modules(site: Path) -> dict[str, str]:
    """The modules that are there, with their versions."""
    return {path.parent.name: path.read_text().split("'")[1] for path in site.glob("*/__init__.py")}


@pytest.mark.parametrize("killed", [True, False])
def test_going_back_leaves_what_others_did(site: Path, killed: bool) -> None:
    record = begun(site)
    if killed:
        done = journal.recover(str(site.parent))  # as the next process does
        assert any("theirs 2.0" in words for words in done.words())
        others = done.others
    else:
        record.take_back()
        others = record.others
    assert others == SAID
    assert modules(site) == expected(site, "1.0")
    assert not (site / "mine-2.0.dist-info").exists()
    assert (site / "old-1.0.dist-info" / "METADATA").exists()  # what is only gone comes back
    assert (site / "new" / "__pycache__" / "__init__.cpython-311.pyc").exists()


def test_an_undo_takes_back_only_the_fix(site: Path) -> None:
    record = begun(site)
    record.done()
    assert record.others == SAID
    assert journal.undo(str(site.parent)).outcome == "undone"
    assert modules(site) == expected(site, "1.0")


def test_what_is_half_installed_goes_back(site: Path) -> None:
    # Without a RECORD nobody can say whose it is: an installer of ours may have been killed.
    before = tree(site)
    record = journal.new(str(site.parent))
    record.take_stock(str(site.parent), "a fix", [str(site)], ours=OURS)
    record.keep()
    (site / "half").mkdir()
    (site / "half" / "__init__.py").write_text("")
    (site / "mine" / "__init__.py").unlink()
    record.take_back()
    assert tree(site) == before
    assert record.others == ()


def test_what_was_the_fixs_comes_back_even_if_others_wrote_over_it(site: Path) -> None:
    record = journal.new(str(site.parent))
    record.take_stock(str(site.parent), "a fix", [str(site)], ours=OURS)
    record.keep()
    put(site, "new", "1.0")
    (site / "new-1.0.dist-info" / "RECORD").write_text("mine/__init__.py,,\nnew/__init__.py,,\n")
    (site / "mine" / "__init__.py").unlink()
    (site / "mine" / "__init__.py").write_text("version = '9'\n")
    record.take_back()
    assert modules(site)["mine"] == "1.0"
    assert modules(site)["new"] == "1.0"


def test_every_environment_that_was_interrupted_is_told_of(site: Path, tmp_path: Path) -> None:
    prefix = str(site.parent)
    assert list(unfinished.notices()) == []
    begun(site)
    assert list(unfinished.notices()) == [unfinished.interrupted(prefix)]
    assert prefix in unfinished.interrupted(prefix)
    assert list(unfinished.notices(but=prefix)) == []
    assert list(unfinished.notices(but=str(tmp_path))) == [unfinished.interrupted(prefix)]
