"""A room of machines, from the bundles that they sent."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import msgspec
import pytest

from doctor import cli, texts
from doctor.reports.report import FleetReport, MachineRow, Unread
from doctor.support import fleet
from doctor.terminal import Terminal
from tests.conftest import RECORDED, Doctor

MATRIX = Path(__file__).parent / "matrix" / "facts"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Four machines in two folders, a file that is no bundle, and one that is not meant."""
    folder = tmp_path / "room"
    (folder / "first floor").mkdir(parents=True)
    for name in ("0.3.10-today", "0.7.10-today"):
        facts = gzip.decompress((MATRIX / f"{name}.json.gz").read_bytes())
        with zipfile.ZipFile(folder / "first floor" / f"{name}.zip", "w") as archive:
            archive.writestr("facts.json", facts)
    for name in ("report", "matched"):
        (folder / f"{name}.json").write_bytes((RECORDED / f"{name}.json").read_bytes())
    (folder / "torn.zip").write_bytes(b"PK\x03\x04")
    (folder / "notes.txt").write_text("call them on Monday")
    return folder


def test_machines_findings_and_what_heals_how_many(doctor: Doctor, room: Path) -> None:
    run = doctor.json("report", "--fleet", str(room))
    assert run.code == 1
    report = run.report
    assert report["verdicts"]["broken"] == 2
    assert [row["file"] for row in report["machines"][:2]] == [
        "first floor/0.3.10-today.zip",
        "report.json",
    ]
    assert report["findings"][0] == {
        "code": "torchvision-missing",
        "severity": "error",
        "machines": 2,
    }
    assert report["fixes"] == [{"fix": "recipe torch-free", "heals": 2}]
    assert [item["file"] for item in report["unread"]] == ["torn.zip"]


def test_the_table_for_people(room: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--fleet", str(room)]) == 1
    out = capfd.readouterr().out
    assert "2 broken" in out
    assert "recipe torch-free" in out
    assert "not read torn.zip" in out


def test_a_narrow_terminal_gets_lines(
    doctor: Doctor, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = doctor.json("report", "--fleet", str(room)).out
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    texts.render(msgspec.json.decode(text, type=FleetReport), Terminal(stream))
    out = stream.getvalue()
    assert max(map(len, out.splitlines())) <= 40
    assert "report.json broken: torchvision-missing\n" in out
    assert "MACHINE" not in out


def test_exit_codes(room: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (room / "report.json").unlink()
    (room / "first floor" / "0.3.10-today.zip").unlink()
    assert cli.main(["report", "--fleet", str(room)]) == 3  # one could not be read
    (room / "torn.zip").unlink()
    assert cli.main(["report", "--fleet", str(room)]) == 0
    assert cli.main(["report", "--fleet", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "empty").mkdir()
    assert cli.main(["report", "--fleet", str(tmp_path / "empty")]) == 2
    assert cli.main(["report"]) == 2
    assert "There are no bundles" in capfd.readouterr().err


def test_many_are_shared_among_processes(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = fleet.bundles(room)
    alone = fleet.judge(room, paths)
    monkeypatch.setattr(fleet, "FEW", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert fleet.judge(room, paths) == alone
    assert [type(item) for item in alone].count(MachineRow) == 4
    assert [type(item) for item in alone].count(Unread) == 1
