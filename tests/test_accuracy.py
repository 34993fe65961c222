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

# Nobody looks at the cells that are set aside before the rules are written.
OPENED = False

CELLS = load()
TRUTHS = record.truths()
STEADY = [
    cell for cell in CELLS if cell.name in TRUTHS and TRUTHS[cell.name]["truth"]["runs"] is not None
]


def names(cells: list[Cell]) -> list[str]:
    return [cell.name for cell in cells]


@pytest.mark.parametrize(
    "cell", [c for c in STEADY if OPENED or not c.set_aside], ids=lambda c: c.name
)
def test_the_verdict_is_the_truth(cell: Cell) -> None:
    truth = TRUTHS[cell.name]["truth"]
    examination = registry.examine(
        facts_module.decode(record.read_facts(cell.name)), registry.names()
    )
    said = sorted(
        finding.code for finding in examination.findings if finding.severity is Severity.ERROR
    )
    gaps = [f"{gap.check}: {gap.reason}" for gap in examination.not_checked]
    if truth["runs"]:
        assert examination.verdict in ("healthy", "degraded"), f"it runs: {said}; {gaps}"
    else:
        assert examination.verdict == "broken", f"{truth['errors']}: {gaps}"
        assert set(said) & set(cell.expect), f"{truth['errors']}: the doctor says {said}"


def test_every_cell_is_recorded_and_nothing_else() -> None:
    assert sorted(TRUTHS) == sorted(names(CELLS))
    facts = sorted(path.name.removesuffix(".json.gz") for path in record.FACTS.iterdir())
    assert facts == sorted(TRUTHS)


def test_a_cause_is_expected_where_and_only_where_a_generation_does_not_run() -> None:
    for cell in STEADY:
        assert bool(cell.expect) is not TRUTHS[cell.name]["truth"]["runs"], cell.name


def test_the_matrix_is_large_and_balanced() -> None:
    broken = [cell for cell in STEADY if not TRUTHS[cell.name]["truth"]["runs"]]
    assert len(STEADY) >= 140
    assert 0.3 < len(broken) / len(STEADY) < 0.7
    assert 0.25 < len([cell for cell in STEADY if cell.set_aside]) / len(STEADY) < 0.4


def test_nothing_of_the_machine_is_recorded() -> None:
    secret = re.compile(
        rf"/tmp/|/work/|/root/|/home/|https?://[^ \"]*/simple|{re.escape(socket.gethostname())}\b"
    )
    for text in (json.dumps(TRUTHS), *(record.read_facts(name).decode() for name in TRUTHS)):
        assert not secret.search(text)
