"""The accuracy matrix, replayed: the checks on the recorded facts of every cell, against the truth.

The environments themselves are built and run by ``make accuracy``; see ``tools/accuracy``.
"""

from __future__ import annotations

import json
import re
import socket

import pytest

from doctor import facts as facts_module
from doctor import registry
from doctor.findings import Severity
from tools.accuracy import record
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
    secret = re.compile(
        rf"/tmp/|/work/|/root/|/home/|https?://[^ \"]*/simple|\b{re.escape(socket.gethostname())}\b"
    )
    for text in (json.dumps(TRUTHS), *(record.read_facts(cell.name).decode() for cell in STEADY)):
        assert not secret.search(text)
