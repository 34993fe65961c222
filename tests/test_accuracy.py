"""The accuracy matrix, replayed: the checks on the recorded facts of every cell, against the truth.

The environments themselves are built and run by ``make accuracy``; see ``tools/accuracy``.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from doctor import facts as facts_module
from doctor import registry
from doctor.findings import Severity
from tools.accuracy import damage, record
from tools.accuracy.cells import Cell, load

CELLS = load()
TRUTHS = record.truths()
# Cells whose interpreter does not start, or whose variables end the doctor: there are no facts.
UNSEEN = {"variable-home-of-python", "variable-hub-bad-number"}
STEADY = [
    cell
    for cell in CELLS
    if cell.name not in UNSEEN and TRUTHS[cell.name]["truth"]["runs"] is not None
]


def names(cells: list[Cell]) -> list[str]:
    return [cell.name for cell in cells]


# The cells about which the doctor is wrong today, with what it says: work that is open. A cell that
# is judged rightly has to leave the list, so that it cannot hide a mistake made later.
WRONG: dict[str, str] = json.loads((record.FACTS.parent / "wrong.json").read_text())


def examined(cell: Cell) -> registry.Examination:
    """The checks on the cell's recorded facts."""
    facts = facts_module.decode(record.read_facts(cell.name))
    return registry.examine(facts, registry.names())


@pytest.mark.parametrize("cell", STEADY, ids=lambda c: c.name)
def test_the_verdict_is_the_truth_and_the_cause_is_the_cause(cell: Cell) -> None:
    truth = TRUTHS[cell.name]["truth"]
    examination = examined(cell)
    said = sorted(f.code for f in examination.findings if f.severity is Severity.ERROR)
    gaps = [f"{gap.check}: {gap.reason}" for gap in examination.not_checked]
    right = examination.verdict in (("healthy", "degraded") if truth["runs"] else ("broken",))
    if cell.expect:
        right = right and bool(set(said) & set(cell.expect))
    if cell.name in WRONG:
        assert not right, "it is judged rightly: take it off wrong.json"
    else:
        assert right, f"{truth['errors'] or 'it runs'}: {examination.verdict}, {said}, {gaps}"


def test_every_cell_is_recorded_and_nothing_else() -> None:
    assert sorted(TRUTHS) == sorted(names(CELLS))
    facts = sorted(path.name.removesuffix(".json.gz") for path in record.FACTS.iterdir())
    assert facts == sorted(set(TRUTHS) - UNSEEN)


def test_a_cause_is_expected_only_where_a_generation_does_not_run() -> None:
    for cell in STEADY:
        assert not (cell.expect and TRUTHS[cell.name]["truth"]["runs"]), cell.name


def test_no_cell_is_listed_as_wrong_that_is_not_there() -> None:
    assert set(WRONG) <= {cell.name for cell in STEADY}


def test_the_matrix_is_large_and_balanced() -> None:
    broken = [cell for cell in STEADY if not TRUTHS[cell.name]["truth"]["runs"]]
    assert len(STEADY) >= 140
    assert 0.3 < len(broken) / len(STEADY) < 0.7
    assert 0.25 < len([cell for cell in STEADY if cell.set_aside]) / len(STEADY) < 0.4


def test_nothing_of_the_machine_is_recorded() -> None:
    secrets = ("/tmp/", "/work/", "/root/", "/home/", "/simple/", f'"{socket.gethostname()}"')
    for text in (json.dumps(TRUTHS), *(record.read_facts(cell.name).decode() for cell in STEADY)):
        assert not [secret for secret in secrets if secret in text]


def test_damage_never_reaches_the_installers_cache(tmp_path: Path) -> None:
    site, cache = tmp_path / "site", tmp_path / "cache"
    site.mkdir()
    cache.mkdir()
    for words, left in {
        ("truncate", "a.py", "0.5"): b"x = ",
        ("cut-before", "a.py", "y"): b"x = 1\n",
        ("empty", "*.py"): b"",
        ("zeros", "a.py", "0.5"): b"x = \0\0\0\0\0",
        ("append", "a.py", "z"): b"x = 1\ny=2z",
        ("substitute", "a.py", "1", "{extra}"): f"x = {tmp_path}\ny=2".encode(),
        ("write", "a.py", "new"): b"new",
        ("delete", "a.py"): None,
    }.items():
        (cache / "a.py").write_bytes(b"x = 1\ny=2")
        (site / "a.py").unlink(missing_ok=True)
        (site / "a.py").hardlink_to(cache / "a.py")
        damage.do(words, site, tmp_path)
        assert (cache / "a.py").read_bytes() == b"x = 1\ny=2", words
        assert ((site / "a.py").read_bytes() if (site / "a.py").exists() else None) == left, words


def test_damage_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    for words in (("truncate", "no*.so", "0.5"), ("substitute", "a.py", "x", "y")):
        (tmp_path / "a.py").write_text("")
        with pytest.raises(ValueError, match=r"there is no|does not contain"):
            damage.do(words, tmp_path, tmp_path)


def test_a_second_metadata_folder_says_another_version(tmp_path: Path) -> None:
    (tmp_path / "numpy-2.0.dist-info").mkdir()
    (tmp_path / "numpy-2.0.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 2.0\n")
    damage.do(("second-metadata", "numpy-*.dist-info", "1.16.0"), tmp_path, tmp_path)
    text = (tmp_path / "numpy-1.16.0.dist-info" / "METADATA").read_text()
    assert text == "Name: numpy\nVersion: 1.16.0\n"


def test_the_folders_of_the_machine_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    said = record.scrubbed("/scratch/m/cells/a, ~/m/x, /home/somebody/.local", Path("/scratch/m"))
    assert said == "~/matrix/cells/a, ~/m/x, ~/.local"
    said = record.scrubbed("~/m/cells/a, /home/somebody/m/x", Path("/home/somebody/m"))
    assert said == "~/matrix/cells/a, ~/matrix/x"
