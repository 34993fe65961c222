"""Bundles: written without what is private, judged elsewhere, and not trusted."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doctor import cli
from doctor import facts as facts_module
from doctor.errors import Refused
from doctor.support import saved
from tests.conftest import RECORDED, Doctor, make_environment, recorded
from tests.facts_of import replace
from tests.test_redaction import PASSWORD, TOKEN, USER, survives

REPORT = RECORDED / "report.json"


def test_a_bundle_says_elsewhere_what_the_check_says_here(doctor: Doctor, tmp_path: Path) -> None:
    home = tmp_path / "Users" / USER
    environment = home / f"{USER}-projects" / "vlm"
    python = make_environment(environment, "filelock")
    (environment / "lib" / f"sitecustomize-{USER}.txt").write_text("")
    secrets = {
        "HOME": str(home),
        "USER": USER,
        "HF_TOKEN": TOKEN,
        "HF_ENDPOINT": f"https://bot:{PASSWORD}@hub.corp.example/api",
        "UV_INDEX_URL": f"https://bot:{PASSWORD}@pypi.corp.example/simple",
        "PYTHONPATH": f"{doctor.variables['PYTHONPATH']}:/srv/{USER}/lib",
        "SOME_API_KEY": "correct/horse+battery=",
        "HF_HOME": f"/data/{TOKEN}/{USER}",
    }
    here = doctor.json("check", "--python", str(python), **secrets)
    error = doctor.folder / "error.txt"
    error.write_text(f"ImportError: no correct/horse+battery= in {home}/x by w@mail.example\n")
    written = doctor.json(
        "bundle", "b.zip", "--python", str(python), "--smoke", "--error", str(error), **secrets
    )
    assert written.code == 0
    assert {member["name"] for member in written.report["members"]} == {
        "facts.json",
        "smoke.json",
        "error.json",
    }
    elsewhere = doctor.json("check", "--facts", "b.zip", HOME="/home/supporter")
    assert elsewhere.code == here.code == 1
    assert [finding["code"] for finding in elsewhere.report["findings"]] == [
        finding["code"] for finding in here.report["findings"]
    ]
    assert "/home/supporter" not in elsewhere.out
    with zipfile.ZipFile(doctor.folder / "b.zip") as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
        assert json.loads(archive.read("smoke.json"))["passed"] is False
        assert json.loads(archive.read("error.json"))["errors"][0]["type"] == "ImportError"
        assert json.loads(archive.read("manifest.json"))["redacted"]["secret"] >= 2
    for secret in (TOKEN, PASSWORD, "correct/horse+battery=", "corp.example", "mail.example", USER):
        assert survives(secret, text) is None
    again = doctor.json("bundle", "b.zip", "--python", str(python))
    assert again.code == 2
    assert "is there already" in again.report["error"]["message"]


def test_the_summary_says_what_is_in_it(doctor: Doctor) -> None:
    run = doctor("bundle", "b.zip", "--facts", str(REPORT))
    assert run.code == 0
    assert "packages by name and version" in run.out
    assert "Taken out:" in run.out


def test_a_plan_for_another_machine(doctor: Doctor) -> None:
    assert doctor("bundle", "b.zip", "--facts", str(REPORT)).code == 0
    for file in ("b.zip", str(REPORT)):
        run = doctor.json("fix", "--dry-run", "--facts", file)
        assert run.code == 0
        assert run.report["outcome"] == "planned"
        assert run.report["plan"]["disk_bytes"] is None
    assert doctor.json("fix", "--facts", "b.zip", "--yes").code == 2
    assert doctor.json("fix", "--dry-run", "--facts", "b.zip", "--venv", ".").code == 2
    assert (
        doctor.json("fix", "--dry-run", "--facts", str(RECORDED / "torch-free.json")).report[
            "outcome"
        ]
        == "nothing-to-do"
    )


def test_facts_that_are_nested_too_deep_are_refused(doctor: Doctor, tmp_path: Path) -> None:
    facts = json.loads(REPORT.read_text())
    values: object = 1
    for _ in range(900):
        values = {"a": values}
    facts["model"]["values"] = {"config.json": values}
    path = tmp_path / "deep.json"
    path.write_text(json.dumps(facts))
    run = doctor("bundle", "--facts", str(path), str(tmp_path / "out.zip"))
    assert run.code == 2
    assert not (tmp_path / "out.zip").exists()


def test_facts_of_an_older_doctor_are_read(tmp_path: Path) -> None:
    """Every field that has a default came later; facts without them are still facts."""

    def older(value: Any, kind: type[msgspec.Struct]) -> Any:
        defaults = {
            field.encode_name for field in msgspec.structs.fields(kind) if not field.required
        }
        return {name: inner for name, inner in value.items() if name not in defaults}

    document = older(json.loads(REPORT.read_text()), facts_module.Facts)
    for name, kind in (
        ("environment", facts_module.Environment),
        ("machine", facts_module.Machine),
        ("model", facts_module.Model),
    ):
        document[name] = older(document[name], kind)
    assert "imports" not in document["environment"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    assert saved.read(path).model == replace(recorded("report").model, tokenizer=None)
    document["schema"] = "vlm-doctor/facts/99"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="newer doctor"):
        saved.read(path)


# What the doctor that took them said of each: errors and warnings, by their codes.
OLDER = {
    "0.1.0-first-release": ["torchvision-missing"],
    "0.1.0-first-release-model": [],
    "0.1.0-incidents": ["files-damaged"],
    "0.1.0-model-files": [],
    "0.1.0-machine": ["releases-incompatible", "torchvision-missing"],
}


@pytest.mark.parametrize("name", OLDER)
def test_facts_that_an_older_doctor_really_took_are_judged_as_it_did(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(gzip.decompress((RECORDED / "older" / f"{name}.json.gz").read_bytes()))

    def said(*words: str) -> tuple[int, dict[str, Any]]:
        code = cli.main([*words, "--facts", str(path), "--format", "json"])
        return code, json.loads(capfd.readouterr().out)

    code, report = said("check")
    assert code == (1 if OLDER[name] else 0)
    assert report["verdict"] == ("broken" if OLDER[name] else "healthy")
    serious = [item["code"] for item in report["findings"] if item["severity"] != "note"]
    assert sorted(serious) == OLDER[name]
    assert not any(item["decides"] for item in report["not_checked"])
    code, report = said("fix", "--dry-run")
    assert code == 0
    assert report["outcome"] == ("planned" if OLDER[name] else "nothing-to-do")
    if name == "0.1.0-first-release-model":  # the one with least; it takes seconds
        assert said("models")[0] == 0


def test_a_path_that_is_no_text_can_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    facts = replace(recorded("report"), variables={"PYTHONPATH": "/x/\udcff"})
    path.write_bytes(facts_module.encode(facts))
    assert saved.read(path).variables == {"PYTHONPATH": "/x/\\xff"}


def zipped(*members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(REPORT.read_text())
    change(document)
    return json.dumps(document).encode()


def bomb() -> bytes:
    return zipped(("facts.json", b'{"a":"' + b"0" * 60_000_000 + b'"}'))


def lying_bomb() -> bytes:
    """A zip that says that its 40 MB are 100 bytes."""
    data = bytearray(zipped(("facts.json", b" " * 40_000_000)))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + place
        data[start : start + 4] = struct.pack("<I", 100)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped(("facts.json", REPORT.read_bytes())))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


def linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("facts.json")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def number(value: str) -> bytes:
    text = changed(lambda document: document["machine"].update(ram_total_bytes=1234567))
    return text.replace(b"1234567", value.encode())


def deep(document: dict[str, Any]) -> None:
    document["environment"]["distributions"][0]["requires"] = ["a; " + "(" * 400]


FACTS = REPORT.read_bytes()
REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no JSON": lambda: b"\x00\xff",
    "a list": lambda: b"[]",
    "nesting": lambda: b"[" * 1_000_000,
    "nesting in an object": lambda: b'{"schema":' + b'{"a":' * 100_000,
    "another schema": lambda: changed(lambda document: document.update(schema="x")),
    "a wrong type": lambda: changed(lambda document: document.update(variables=[1])),
    "a wrong type within": lambda: changed(
        lambda document: document["environment"]["interpreter"].update(version=3)
    ),
    "a word that does not exist": lambda: changed(
        lambda document: document["machine"].update(memory_pressure="\x1b[31mred")
    ),
    "a number of 30 digits": lambda: number("9" * 30),
    "a number of 10,000 digits": lambda: number("9" * 10_000),
    "a number below nothing": lambda: number("-1"),
    "infinity": lambda: number("1e999"),
    "half a letter": lambda: FACTS.replace(b'"Linux"', b'"\\ud800"'),
    "a text without end": lambda: changed(lambda document: document.update(tool="x" * 3_000_000)),
    "a Python without end": lambda: changed(
        lambda document: document["environment"]["interpreter"].update(version="9" * 300)
    ),
    "a version without end": lambda: changed(
        lambda document: document["environment"]["distributions"][0].update(version="1" * 9_999)
    ),
    "a bomb": bomb,
    "a bomb that lies": lying_bomb,
    "encrypted": encrypted,
    "a link": linked,
    "twice": lambda: zipped(("facts.json", FACTS), ("facts.json", FACTS)),
    "another name": lambda: zipped(("../facts.json", FACTS)),
    "an absolute name": lambda: zipped(("/facts.json", FACTS)),
    "many": lambda: zipped(("facts.json", FACTS), *((f"{n}", b"") for n in range(50))),
    "cut off": lambda: zipped(("facts.json", FACTS))[:-40],
    "damaged": lambda: zipped(("facts.json", FACTS)).replace(b"PK\x01\x02", b"PK\x01\x03"),
    "damaged content": lambda: zipped(("facts.json", FACTS), kind=zipfile.ZIP_STORED).replace(
        b"vlm-doctor/facts/1", b"vlm-doctor/facts/2"
    ),
    "large": lambda: b" " * (saved.MOST_BYTES + 1),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_bundle_is_refused_in_one_line(
    what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(REFUSED[what]())
    for words in (["check"], ["fix", "--dry-run"]):
        assert cli.main([*words, "--facts", str(path)]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert len(err.splitlines()) <= 2
        assert err.isprintable() or err.replace("\n", "").isprintable()
        assert len(err) < 600
    assert os.listdir(tmp_path) == ["b.zip"]


HARMLESS: dict[str, Callable[[], bytes]] = {
    "a member that climbs": lambda: zipped(("../../x", b"x"), ("facts.json", FACTS)),
    "escapes": lambda: changed(
        lambda document: document["environment"]["interpreter"].update(
            executable="\x1b]0;title\x07\x1b[2J\u202e/bin/python"
        )
    ),
    "markup": lambda: changed(
        lambda document: document["model"].update(id="[bold]<script>alert(1)</script>")
    ),
    "nesting in a marker": lambda: changed(deep),
    "paths of this machine": lambda: changed(
        lambda document: document["environment"]["interpreter"].update(prefix="/etc", scripts="/")
    ),
    "ends of lines that are none of ours": lambda: changed(
        lambda document: document["machine"].update(chip="M2\u2028\u2029::error::x")
    ),
    "a key twice": lambda: FACTS.replace(b'"tool"', b'"tool": "x", "tool"', 1),
    "the largest number": lambda: number(str(2**63 - 1)),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_strange_does_no_harm(
    what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(HARMLESS[what]())
    for words in (["check"], ["fix", "--dry-run"]):
        assert cli.main([*words, "--facts", str(path)]) in (0, 1, 2, 3)
        out, err = capfd.readouterr()
        assert "itself failed" not in err
        assert (out + err).replace("\n", "").isprintable()
    assert os.listdir(tmp_path) == ["b.zip"]


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/mem", ".", "nowhere.zip"])
def test_what_is_no_file_is_refused(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--facts", path]) == 2
    assert len(capfd.readouterr().err.splitlines()) <= 2
