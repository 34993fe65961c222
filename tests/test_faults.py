"""Faults on purpose: what ``make faults`` found, and some of it done again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.faults import faulty
from tools.faults.killing import SHARES
from tools.faults.place import Place

RECORDED = Path(__file__).parent / "faults"
KILLED_AT = Path(__file__).parent / "killed_at.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The field report's environment, to be copied for every trial."""
    place = Place(tmp_path_factory.mktemp("faults") / "place")
    place.make()
    return place


@pytest.mark.parametrize(("name", "least"), [("kill", 200), ("kill-new", 20)])
def test_every_kill_that_was_tried_ended_well(name: str, least: int) -> None:
    runs = json.loads((RECORDED / f"{name}.json").read_text())
    trials = [trial for run in runs for trial in run["trials"]]
    assert len(trials) >= least
    assert {trial["way"] for trial in trials} == set(SHARES)
    assert [trial for trial in trials if trial["end"] not in ("before", "after")] == []
    # Before the journal is begun, and after the fix holds, there is nothing to notice.
    assert sum(trial["noticed"] for trial in trials) > len(trials) / 3
    assert {trial["end"] for trial in trials} == {"before", "after"}


def test_every_fault_that_was_tried_ended_as_promised() -> None:
    rows = json.loads((RECORDED / "take-away.json").read_text())
    assert {row["fault"] for row in rows} == {fault.name for fault in faulty.FAULTS}
    assert [row for row in rows if row["wrong"]] == []


# Just before: the first files are kept, half of them are, the journal is begun, uv is started, the
# environment is looked at again, it is proven, and the proven fix is written down.
@pytest.mark.parametrize(
    ("event", "number", "notices"),
    [
        ("subprocess.Popen", 2, False),
        ("os.link", 1, False),
        ("os.link", 2500, False),
        ("os.link", 5000, False),
        ("os.link", 7500, False),
        ("os.rename", 1, True),
        ("subprocess.Popen", 3, True),
        ("subprocess.Popen", 4, True),
        ("subprocess.Popen", 5, True),
        ("os.rename", 2, True),
    ],
)
def test_a_fix_that_is_killed_is_taken_back(
    place: Place, event: str, number: int, notices: bool
) -> None:
    environment = place.copy()
    before = place.shot(environment)
    target = ("--python", str(environment / "bin" / "python"))
    command = [sys.executable, "-I", str(KILLED_AT), event, str(number), "fix", "--yes", *target]
    killed = subprocess.run(
        command, env=place.variables(), cwd=place.folder, capture_output=True, check=False
    )
    assert killed.returncode == -9
    listed = place.start("undo", "--list", *target)
    assert ("was interrupted" in listed.communicate()[1]) == notices
    code, report, _ = place.run("undo", *target)
    assert (code, report["outcome"]) == (0, "recovered" if notices else "nothing-to-undo")
    assert place.shot(environment) == before


@pytest.mark.parametrize(
    "name",
    [
        "uv crashes at once",
        "the target's Python goes away",
        "packages go away after the install",
        "the index: corrupt",
        "SIGTERM at: Keeping",
        "pip installs something else beside uv",
    ],
)
def test_a_fault_ends_as_promised(place: Place, name: str) -> None:
    (fault,) = [fault for fault in faulty.FAULTS if fault.name == name]
    assert faulty.Trials(place).try_out(fault).wrong is None
