"""The command line: usage, exit codes, JSON whatever happens, facts, explanations."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from doctor import cli, registry
from doctor import facts as facts_module
from doctor.facts import Model
from tests.conftest import RECORDED, ROOT, Doctor, make_environment
from tests.facts_of import replace
from tools import write_schema

# A name that no file can have: the limit is 255.
LONG = "n" * 300
REPORT, TORCH_FREE = (str(RECORDED / f"{name}.json") for name in ("report", "torch-free"))


def test_the_published_schema_is_the_types_schema() -> None:
    assert write_schema.PATH.read_text() == write_schema.text()


def test_the_contracts_codes_exist() -> None:
    promised = {
        "versions-conflict",
        "torchvision-missing",
        "preprocessor-stale",
        "ram-short",
        "swap-high",
        "not-installed",
        "model-not-cached",
    }
    assert promised <= set(registry.codes())
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", code) for code in registry.codes())


@pytest.mark.parametrize("code", registry.codes())
def test_every_code_is_explained_where_it_is_found(doctor: Doctor, code: str) -> None:
    run = doctor("explain", code)
    assert run.code == 0
    assert run.out.startswith("# ")


def test_every_check_has_its_fix() -> None:
    import importlib

    for name in registry.names():
        assert callable(importlib.import_module(f"fixes.{name}").actions)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["check", "--nonsense"],
        ["check", "--format", "xml"],
        ["check", "--only", "nonsense"],
        ["check", "--only", ""],
        ["check", "--skip", "torch,nonsense"],
        ["check", "--facts", "/no/such/file"],
        ["check", "--facts", REPORT, "--python", "python3"],
        ["check", "--facts", REPORT, "--model", "another/model"],
        ["check", "--model", ""],
        ["fix", "--wheels", "/no/such/folder"],
        ["fix", "--new-venv", "/etc"],
        ["fix", "--new-venv", ""],
        ["check", "--venv", ""],
        ["fix", "--new-venv", "x", "--python", "y"],
        ["explain"],
        ["explain", "no-such-code"],
        ["undo", "--list", "--clear"],
    ],
)
def test_wrong_usage_is_one_line_and_2(doctor: Doctor, words: list[str]) -> None:
    run = doctor(*words)
    assert run.code == 2
    assert run.out == ""
    assert len(run.err.splitlines()) <= 2
    document = doctor(*words, "--format", "json")
    if "xml" not in words:
        assert document.code == 2
        assert document.report["exit_code"] == 2


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--model", LONG],
        ["check", "--venv", LONG],
        ["bundle", LONG, "--facts", REPORT],
        ["estimate", LONG],
        ["fix", "--wheels", LONG],
        ["fix", "--new-venv", "x", "--recipe", LONG],
        ["recipes", "--recipe", LONG],
        ["report", "--fleet", LONG],
        ["undo", "--venv", LONG],
        # What is empty, or no file, is not taken for something else.
        ["fix", "--wheels", ""],
        ["fix", "--profile", ""],
        ["fix", "--profile", "/"],
        ["recipes", "--recipe", ""],
        # Options that have no effect together are not passed over.
        ["models", "--model", "someone/something"],
        ["fix", "--facts", REPORT, "--dry-run", "--wheels", "."],
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "failed" not in said.err


def test_a_name_that_is_no_utf_8_is_escaped_in_the_document(doctor: Doctor, tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    refused = doctor("check", "--venv", folder, "--format", "json")
    assert (refused.code, refused.report["exit_code"]) == (2, 2)
    assert "caf\\xe9" in refused.report["error"]["message"]
    bundle = doctor("bundle", f"{folder}/b.zip", "--python", sys.executable, "--format", "json")
    assert bundle.code == 0
    assert "caf\\xe9" in bundle.report["path"]


def test_a_name_that_is_no_utf_8_looks_the_same_everywhere(
    doctor: Doctor, empty_environment: Path, tmp_path: Path
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.rename(empty_environment.parent.parent, folder)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    stray = os.fsencode(f"{folder}/lib/{version}/site-packages")
    os.mkdir(stray + b"/stra\xdfe-1.0.dist-info")  # metadata that only the probe sees
    for form in ("text", "markdown", "html", "json"):
        run = doctor("check", "--venv", folder, "--format", form, "--save-facts", f"{form}.json")
        shown = run.out.replace("\\\\", "\\")
        assert "caf\\xe9" in shown, form
        assert not re.search(r"caf(?!\\xe9)|udc|\ufffd", shown), form
    facts = (doctor.folder / "text.json").read_text()
    assert "caf\\\\xe9" in facts
    assert "stra\\\\xdfe-1.0.dist-info" in facts


def test_a_smoke_says_that_the_named_model_is_not_the_one_that_runs(doctor: Doctor) -> None:
    run = doctor(
        *("smoke", "--python", sys.executable, "--model", "nobody/nothing"),
        *("--image", "/no/such/picture.png"),
    )
    assert run.code == 2
    assert "nobody/nothing is not on this machine" in run.err


def test_a_setting_of_the_hubs_that_nobody_can_read_is_named(doctor: Doctor) -> None:
    run = doctor("check", "--python", sys.executable, HF_HUB_DOWNLOAD_TIMEOUT="soon")
    assert run.code == 2
    assert "'soon'" in run.err
    assert "HF_HUB_DOWNLOAD_TIMEOUT" in run.err
    assert len(run.err.splitlines()) <= 3


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["check", "--help"]])
def test_help(doctor: Doctor, words: list[str]) -> None:
    run = doctor(*words)
    assert run.code == 0
    assert "vlm-doctor" in run.out


def test_facts_are_judged_as_on_the_spot(doctor: Doctor) -> None:
    broken, works = (
        doctor.json("check", "--facts", REPORT),
        doctor.json("check", "--facts", TORCH_FREE),
    )
    assert (broken.code, broken.report["verdict"]) == (1, "broken")
    assert broken.codes[0] == "torchvision-missing"
    actions = broken.report["plan"]["actions"]
    assert {"name": "mlx-vlm", "from": "0.3.9", "to": "0.7.10"} in actions[0]["changes"]
    assert works.report["plan"]["actions"] == []
    assert (works.code, works.report["verdict"]) == (0, "healthy")
    assert works.report["target"]["packages"]["mlx-vlm"] == "0.7.10"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"schema": "vlm-doctor/facts/9"}',
        Path(REPORT).read_bytes().replace(b"vlm-doctor/facts/1", b"vlm-doctor/facts/9"),
        Path(REPORT).read_bytes().replace(b'"distributions": [', b'"distributions": [1,'),
        Path(REPORT).read_bytes()[:-50],
    ],
)
def test_what_is_no_file_of_facts(doctor: Doctor, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    run = doctor("check", "--facts", str(path))
    assert run.code == 2
    assert "facts" in run.err


def test_facts_go_through_json_both_ways() -> None:
    text = Path(REPORT).read_bytes()
    facts = facts_module.decode(text)
    assert facts_module.decode(facts_module.encode(facts)) == facts
    assert len(text) < 2_000_000


def test_facts_hold_no_home_and_no_prefix(
    doctor: Doctor, empty_environment: Path, tmp_path: Path
) -> None:
    path = tmp_path / "facts.json"
    prefix = str(empty_environment.parent.parent)
    doctor("check", "--python", str(empty_environment), "--save-facts", str(path), HOME=prefix)
    text = path.read_text()
    assert prefix not in text
    assert "~/bin/python" in text
    found = facts_module.decode(path.read_bytes())
    assert found.environment.interpreter.site_packages.startswith("lib/")


def test_secrets_are_told_only_as_set(
    doctor: Doctor, empty_environment: Path, tmp_path: Path
) -> None:
    path = tmp_path / "facts.json"
    words = ("check", "--python", str(empty_environment), "--save-facts", str(path))
    run = doctor(*words, HF_TOKEN="hf_abcdefsecret")
    assert "hf_abcdefsecret" not in path.read_text() + run.out + run.err
    assert '"HF_TOKEN": "set"' in path.read_text()


def test_only_and_skip(doctor: Doctor) -> None:
    words = ["check", "--facts", REPORT]
    assert doctor.json(*words, "--only", "torchvision").codes == ["torchvision-missing"]
    assert doctor.json(*words, "--only", "model-not-cached").codes == ["model-not-cached"]
    skipped = doctor.json(*words, "--skip", "torchvision,model-not-cached")
    assert (skipped.code, skipped.codes) == (0, [])
    assert skipped.report["not_checked"] == [
        {
            "check": "--skip",
            "reason": "left out, as asked: torchvision, model-not-cached",
            "decides": False,
        }
    ]
    assert "not checked --only: all but swap was left out" in doctor(*words, "--only", "swap").out


def test_a_project_may_ignore_a_finding_and_say_why(doctor: Doctor) -> None:
    (doctor.folder / "pyproject.toml").write_text(
        "[tool.vlm-doctor]\n"
        'ignore = [{code = "torchvision-missing", reason = "this service reads text only"}]\n'
    )
    run = doctor.json("check", "--facts", REPORT)
    assert (run.code, run.report["verdict"]) == (0, "healthy")
    ignored = [finding for finding in run.report["findings"] if finding["ignored"]]
    assert [finding["code"] for finding in ignored] == ["torchvision-missing"]
    assert "this service reads text only" in doctor("check", "--facts", REPORT).out


@pytest.mark.parametrize("table", ["ignore = 3", 'ignore = [{code = "x"}]', "ignore = ["])
def test_a_project_whose_table_is_wrong_is_told(doctor: Doctor, table: str) -> None:
    (doctor.folder / "pyproject.toml").write_text(f"[tool.vlm-doctor]\n{table}\n")
    run = doctor("check", "--facts", REPORT)
    assert run.code == 2
    assert "pyproject.toml" in run.err


def test_a_verdict_that_is_open_is_3(doctor: Doctor, tmp_path: Path) -> None:
    facts = facts_module.decode(Path(TORCH_FREE).read_bytes())
    unknown = Model(
        **{
            **msgspec.structs.asdict(facts.model),
            "id": "someone/new",
            "found": "nowhere",
            "type": None,
        }
    )
    path = tmp_path / "facts.json"
    path.write_bytes(facts_module.encode(replace(facts, model=unknown)))
    run = doctor.json("check", "--facts", str(path))
    assert (run.code, run.report["verdict"]) == (3, "unknown")
    assert run.report["not_checked"][0]["check"] == "model"


def test_a_check_that_crashes_is_one_line_among_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_module.decode(Path(REPORT).read_bytes())

    def crashes(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(registry.module("swap"), "check", crashes)
    examination = registry.examine(facts, registry.names())
    assert [gap.reason for gap in examination.not_checked] == [
        "the check failed: RuntimeError: a defect"
    ]
    assert examination.verdict == "broken"


def test_recipes(doctor: Doctor) -> None:
    run = doctor.json("recipes")
    assert [recipe["name"] for recipe in run.report["recipes"]] == ["torch-free", "report-line"]
    assert "mlx-vlm==0.7.10" in doctor("recipes").out


def test_a_reader_that_goes_away_is_no_failure_to_report(doctor: Doctor) -> None:
    with doctor.start("check", "--facts", REPORT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_modules_on_pythonpath_do_not_break_the_doctor(doctor: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    for name in ("json", "argparse"):
        (folder / f"{name}.py").write_text("raise RuntimeError('not Python's own')\n")
    run = doctor.json("check", "--facts", TORCH_FREE, PYTHONPATH=f"{ROOT}:{folder}")
    assert run.code == 0


def test_a_closed_standard_output(doctor: Doctor) -> None:
    command = [sys.executable, "-m", "doctor", "check", "--facts", TORCH_FREE, "--format", "json"]
    result = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command],
        env=doctor.variables,
        cwd=doctor.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def redirected(doctor: Doctor, redirections: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The doctor, started by a shell with its standard streams elsewhere."""
    return subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'exec "$@" {redirections}',
            "sh",
            sys.executable,
            "-m",
            "doctor",
            *words,
        ],
        env=doctor.variables,
        cwd=doctor.folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_a_full_disk_under_standard_output(doctor: Doctor, form: str) -> None:
    reported = redirected(doctor, ">/dev/full", "check", "--facts", TORCH_FREE, "--format", form)
    assert reported.returncode == 3
    assert reported.stderr.splitlines() == [
        "vlm-doctor: The report could not be written: No space left on device."
    ]
    refused = redirected(doctor, ">/dev/full", "check", "--facts", "/no", "--format", form)
    assert (refused.returncode, refused.stderr) == (2, "vlm-doctor: /no does not exist.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_an_error_that_nobody_can_hear_keeps_its_exit_status(doctor: Doctor) -> None:
    assert redirected(doctor, "2>/dev/full", "check", "--facts", "/no").returncode == 2


def test_a_reader_that_goes_away_before_an_error_changes_no_status(doctor: Doctor) -> None:
    with doctor.start("check", "--facts", "/no", "--format", "json") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 2


def test_progress_stays_off_standard_output_where_standard_error_is_closed(doctor: Doctor) -> None:
    words = ["smoke", "--python", sys.executable, "--model", "nobody/nothing", "--image", "/no"]
    result = redirected(doctor, "2>&-", *words, "--format", "json")
    assert json.loads(result.stdout)["exit_code"] == result.returncode == 2


def test_a_fix_without_any_standard_input_refuses(doctor: Doctor, empty_environment: Path) -> None:
    result = redirected(doctor, "<&-", "fix", "--python", str(empty_environment))
    assert result.returncode == 2
    assert "--yes" in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("answer", "outcome"), [(b"n\n", "declined"), (b"\x04", "declined"), (b"", "interrupted")]
)
def test_a_question_stays_off_standard_output(
    doctor: Doctor, empty_environment: Path, answer: bytes, outcome: str
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "doctor", "fix", "--python", str(empty_environment)]
    with subprocess.Popen(
        [*command, "--format", "json"],
        cwd=doctor.folder,
        env=doctor.variables,
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        seen = b""
        while b"[y/N]" not in seen and select.select([ours], [], [], 60)[0]:
            seen += os.read(ours, 10_000)
        os.write(ours, answer)
        if not answer:
            process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        document = json.loads(process.stdout.read())
    os.close(ours)
    assert document["outcome"] == outcome


def test_the_document_names_a_command_or_none(doctor: Doctor) -> None:
    for words in (("--format", "json", "check"), ("chekc", "--format", "json")):
        assert doctor(*words).report["command"] is None


def test_a_closed_terminal_ends_a_generation_too(doctor: Doctor, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment")
    asleep = tmp_path / "asleep"
    site = next((python.parent.parent / "lib").glob("python3*")) / "site-packages"
    (site / "mlx.py").write_text(
        f"import os, pathlib, time\n"
        f"pathlib.Path({str(asleep)!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    with doctor.start("smoke", "--python", str(python)) as process:
        while process.poll() is None and not (asleep.exists() and asleep.read_text()):
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert not psutil.pid_exists(int(asleep.read_text()))
