"""``fix --download`` and ``models --pull`` as their users run them, against a Hub on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Doctor, Fixed, make_doctor, tree
from tests.hub_server import Fault, Hub, Repository, of_folder, serve

NAME = "org/model"
FILES = of_folder(ROOT / "doctor" / "smoke_model", padded_to=3_000_000)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({NAME: Repository(dict(FILES))}) as server:
        yield server


@pytest.fixture
def doctor(tmp_path: Path, hub: Hub) -> Doctor:
    made = make_doctor(tmp_path)
    kept = {key: value for key, value in made.variables.items() if "PROXY" not in key.upper()}
    return Doctor(made.folder, {**kept, "HF_ENDPOINT": hub.address})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The model's folder in the cache."""
    return tmp_path / "hub" / "hub" / "models--org--model"


def snapshot(home: Path) -> Path:
    return home / "snapshots" / (home / "refs" / "main").read_text()


def spoil(home: Path) -> None:
    """Edit a blob in place, of the same size; take one away; leave one half written."""
    weights = (snapshot(home) / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 255
    weights.write_bytes(content)
    (snapshot(home) / "tokenizer.json").resolve().unlink()
    config = (snapshot(home) / "config.json").resolve()
    config.write_bytes(config.read_bytes()[:700])


def test_pulled_repaired_and_taken_back(
    doctor: Doctor, fresh: Fixed, hub: Hub, home: Path, tmp_path: Path
) -> None:
    target = ("--python", str(fresh.python))
    # Cut on the way: nothing that anybody reads is there, and what came is kept.
    hub.faults = [
        Fault("model.safetensors", cut_at=2_000_000),
        Fault("model.safetensors", status=503, times=9),
    ]
    run = doctor.json("models", "--pull", NAME, *target)
    assert (run.code, run.report["outcome"]) == (1, "failed")
    assert not (home / "snapshots").exists()
    assert "is kept" in run.report["reason"]
    hub.forget()

    run = doctor.json("models", "--pull", NAME, *target)
    assert (run.code, run.report["outcome"]) == (0, "pulled")
    assert run.report["smoke"]["model"] == {"id": NAME, "stand_in": False}
    assert hub.sent("model.safetensors") < 1_500_000
    assert hub.sent("config.json") == 0
    good = tree(home)

    spoil(home)
    bad = tree(home)
    hub.forget()
    run = doctor("check", "--model", NAME, *target)
    assert f"Next: vlm-doctor fix --download --model {NAME}" in run.out
    # Without leave nothing is asked of the Hub, and it is said what would be.
    for words in (("--yes",), ("--yes", "--download", "--offline")):
        run = doctor.json("fix", "--model", NAME, *words, *target)
        assert run.code == 1
        assert "config.json" in run.report["reason"]
        assert "tokenizer.json" in run.report["reason"]
        assert hub.asked == []
        assert tree(home) == bad

    run = doctor.json("fix", "--model", NAME, "--dry-run", "--download", *target)
    (step,) = [one for one in run.report["plan"]["actions"] if one["kind"] == "download"]
    assert [(one["path"], one["why"]) for one in step["fetched"]] == [
        ("config.json", "damaged"),
        ("model.safetensors", "damaged"),
        ("tokenizer.json", "missing"),
    ]
    assert tree(home) == bad

    run = doctor.json("fix", "--model", NAME, "--yes", "--download", *target)
    assert (run.code, run.report["outcome"]) == (0, "fixed"), run.report["reason"]
    assert run.report["real_smoke"]["passed"]
    after = tree(home)
    assert {name: entry[-1] for name, entry in after.items() if entry[0] == "file"} == {
        name: entry[-1] for name, entry in good.items() if entry[0] == "file"
    }
    untouched = [name for name in good if good[name] == bad.get(name) and good[name][0] == "file"]
    assert all(after[name] == good[name] for name in untouched)

    assert doctor("undo", *target).code == 0
    assert tree(home) == bad


def test_a_model_that_is_faulty_on_the_hub_leaves_all_as_it_was(
    doctor: Doctor, fresh: Fixed, hub: Hub, home: Path
) -> None:
    target = ("--python", str(fresh.python))
    repository = hub.repositories[NAME]
    weights = bytearray(repository.files["model.safetensors"])
    weights[-900_000:] = bytes(900_000)  # it loads, and sees nothing
    repository.files["model.safetensors"] = bytes(weights)
    run = doctor.json("fix", "--model", NAME, "--yes", "--download", *target)
    assert (run.code, run.report["outcome"]) == (1, "rolled-back")
    assert "the generation that was to prove it failed" in run.report["reason"]
    left = {name: entry for name, entry in tree(home).items() if entry[0] != "folder"}
    # Only what was fetched is kept, for the next time.
    assert all(name.endswith(".incomplete") for name in left)
    assert len(left) == 10
    hub.forget()
    run = doctor.json("models", "--pull", NAME, *target)
    assert (run.code, run.report["outcome"]) == (1, "not-proven")
    assert sum(request.sent for request in hub.asked) == 0


@pytest.mark.parametrize("command", ["fix", "models"])
def test_who_stops_it_loses_nothing(
    doctor: Doctor, fresh: Fixed, hub: Hub, home: Path, command: str
) -> None:
    words = {
        "fix": ["fix", "--model", NAME, "--yes", "--download"],
        "models": ["models", "--pull", NAME],
    }[command]
    process: list[subprocess.Popen[str]] = []

    def watch(name: str, position: int) -> None:
        if name == "model.safetensors" and position >= 1_000_000:
            process[0].send_signal(signal.SIGTERM)
            time.sleep(1)

    hub.watch = watch
    process.append(doctor.start(*words, "--python", str(fresh.python), "--format", "json"))
    out, err = process[0].communicate(timeout=120)
    assert process[0].returncode == 130, err
    assert '"interrupted"' in out
    etags = {hub.repositories[NAME].etag(name): content for name, content in FILES.items()}
    left = [path for path in home.rglob("*") if path.is_file() or path.is_symlink()]
    assert left
    for path in left:  # beginnings, from which a repetition goes on; nothing that anybody reads
        assert path.suffix == ".incomplete"
        assert etags[path.stem].startswith(path.read_bytes())


@pytest.mark.parametrize(
    ("repository", "hint"),
    [
        (Repository(dict(FILES), token="right", gated=True), "Ask for access"),
        (None, "spelling"),
    ],
)
def test_what_the_hub_does_not_give_is_one_line(
    doctor: Doctor,
    empty_environment: Path,
    hub: Hub,
    repository: Repository | None,
    hint: str,
) -> None:
    hub.repositories = {NAME: repository} if repository else {}
    target = ("--python", str(empty_environment))
    for words in (("models", "--pull", NAME), ("fix", "--yes", "--download", "--model", NAME)):
        run = doctor(*words, *target, HF_TOKEN="hf_secret")
        assert run.code == 2
        assert hint in run.out + run.err
        assert "hf_secret" not in run.out + run.err
    run = doctor.json("check", "--online", "--model", NAME, *target, HF_TOKEN="hf_secret")
    assert "hub-refused" in run.codes
    assert "hf_secret" not in run.out


def test_what_would_not_run_or_has_no_room_is_not_begun(
    doctor: Doctor, empty_environment: Path, hub: Hub, home: Path
) -> None:
    target = ("--python", str(empty_environment))
    config = json.loads(FILES["config.json"])
    sizes = {"hidden_size": 16384, "intermediate_size": 65536, "num_hidden_layers": 500}
    config["text_config"] |= sizes
    repository = hub.repositories[NAME]
    repository.files["config.json"] = json.dumps(config).encode()
    run = doctor("models", "--pull", NAME, *target)
    assert run.code == 2
    assert "would not run here" in run.err
    assert "Say --yes" in run.err
    repository.claims["model.safetensors"] = 10**15
    run = doctor("models", "--pull", NAME, "--yes", *target)
    assert run.code == 2
    assert "The disk of the cache has" in run.err
    assert not home.exists()
    assert hub.sent("model.safetensors") == 0


def test_a_cache_that_may_not_be_written_to_is_told_before(
    doctor: Doctor, empty_environment: Path, home: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    home.parent.mkdir(parents=True)
    home.parent.chmod(0o500)
    run = doctor("models", "--pull", NAME, "--python", str(empty_environment))
    home.parent.chmod(0o700)
    assert run.code == 2
    assert f"You may not write to {home.parent}" in run.err


@pytest.mark.parametrize(
    "words",
    [
        ("models", "--pull", ""),
        ("models", "--pull", "a b"),
        ("models", "--pull", NAME, "--facts", "x"),
        ("models", "--yes"),
        ("check", "--online", "--facts", "x"),
    ],
)
def test_wrong_words_are_refused(doctor: Doctor, empty_environment: Path, words: list[str]) -> None:
    run = doctor(*words, "--python", str(empty_environment))
    assert run.code == 2
    assert run.err.startswith(("vlm-doctor: ", "Asking the Hub"))
