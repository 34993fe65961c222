"""``fix --download`` and ``models --pull`` as their users run them, against a Hub on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor.hub import removable
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
        ("fix", "--from", NAME),
    ],
)
def test_wrong_words_are_refused(doctor: Doctor, empty_environment: Path, words: list[str]) -> None:
    run = doctor(*words, "--python", str(empty_environment))
    assert run.code == 2
    assert run.err.startswith(("vlm-doctor: ", "Asking the Hub"))


def fetched(doctor: Doctor, *names: str) -> None:
    """What huggingface-hub itself puts into the doctor's cache."""
    program = "import sys, huggingface_hub as h; [h.snapshot_download(n) for n in sys.argv[1:]]"
    subprocess.run(
        [sys.executable, "-c", program, *names],
        env=doctor.variables,
        check=True,
        stderr=subprocess.DEVNULL,
    )


def changed(hub: Hub, name: str) -> None:
    """Another revision of a model on the Hub, with one file of its own."""
    files = hub.repositories[name].files
    files["generation_config.json"] = b'{"_of": "a later revision"}\n'


def test_old_revisions_go_only_where_that_is_said(
    doctor: Doctor, fresh: Fixed, hub: Hub, home: Path
) -> None:
    pull_it = ("models", "--pull", NAME, "--python", str(fresh.python))
    hub.repositories["org/copy"] = Repository(dict(FILES))  # with the same commit
    fetched(doctor, NAME, "org/copy")
    copy = tree(home.with_name("models--org--copy"))
    old = snapshot(home)
    kept = (old / "config.json").resolve()
    gone = (old / "generation_config.json").resolve()
    changed(hub, NAME)
    run = doctor.json(*pull_it, "--dry-run", "--drop-old")
    assert (run.report["outcome"], run.report["freed_bytes"]) == ("planned", None)
    assert old.exists()
    run = doctor.json(*pull_it, "--drop-old")
    assert (run.code, run.report["outcome"]) == (0, "pulled")
    # What a run needs of the old revision is in the new one too, but for the one file.
    ours = ("generation_config.json", "MODEL_CARD.md")
    assert run.report["freed_bytes"] == sum(len(FILES[name]) for name in ours)
    assert not old.exists() and not gone.exists()
    assert tree(home.with_name("models--org--copy")) == copy
    assert kept.exists() and snapshot(home) != old
    assert (snapshot(home) / "config.json").read_bytes() == FILES["config.json"]


def test_what_could_make_room(doctor: Doctor, empty_environment: Path, hub: Hub) -> None:
    hub.repositories |= {f"org/{name}": Repository(dict(FILES)) for name in ("other", "third")}
    hub.repositories["org/other"].files["README.md"] = b"# Another commit\n"
    fetched(doctor, NAME, "org/other")
    changed(hub, "org/other")
    fetched(doctor, "org/other")
    cache = Path(doctor.variables["HF_HOME"]) / "hub"
    old, other = removable.removable(cache, NAME)
    # The old revision frees the one file that the new one does not share.
    assert old.name == "an old revision of org/other"
    assert old.bytes == len(FILES["generation_config.json"])
    assert old.command.startswith("hf cache rm ")
    assert (other.name, other.command) == ("org/other", "hf cache rm model/org/other")
    assert removable.enough((old, other), old.bytes) == (old,)
    assert removable.enough((old, other), 10**15) == (old, other)
    assert removable.removable(cache / "nowhere", NAME) == ()
    hub.repositories["org/third"].claims["model.safetensors"] = 10**15
    run = doctor("models", "--pull", "org/third", "--yes", "--python", str(empty_environment))
    assert run.code == 2
    assert f"What could go: {old.name}" in run.err and other.command in run.err
    assert sorted(path.name for path in cache.iterdir() if path.name.startswith("models--")) == [
        "models--org--model",
        "models--org--other",
    ]


def test_without_a_network_it_is_not_the_users_fault(
    doctor: Doctor, empty_environment: Path
) -> None:
    words = ("models", "--pull", NAME, "--python", str(empty_environment))
    nobody = "http://127.0.0.1:9"
    run = doctor(*words, HF_ENDPOINT=nobody)
    assert run.code == 3
    assert "could not be reached" in run.err
    run = doctor.json(*words, HF_ENDPOINT=nobody)
    assert run.report["exit_code"] == 3
    # That nothing may be asked is a setting of the user's.
    assert doctor(*words, HF_HUB_OFFLINE="1").code == 2


def test_a_fresh_environment_with_its_model(doctor: Doctor, home: Path, tmp_path: Path) -> None:
    environment = tmp_path / "new"
    words = ("fix", "--new-venv", str(environment), "--download", "--model", NAME, "--yes")
    run = doctor.json(*words)
    assert (run.code, run.report["outcome"]) == (0, "fixed"), run.report["reason"]
    assert run.report["real_smoke"]["passed"]
    assert (snapshot(home) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def in_a_folder(place: Path, name: str) -> Path:
    """A model's folder as ``hf download --local-dir`` leaves it, and then it is damaged."""
    folder = place / name
    folder.mkdir(parents=True)
    for file, content in FILES.items():
        (folder / file).write_bytes(content)
    (folder / "config.json").write_bytes(FILES["config.json"][:300])
    (folder / "tokenizer.json").unlink()
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_folder_is_fetched_anew_where_the_hub_knows_its_files(
    doctor: Doctor, fresh: Fixed, hub: Hub, tmp_path: Path
) -> None:
    target = ("--python", str(fresh.python), "--yes", "--download")
    named, nameless = in_a_folder(tmp_path, "org/model"), in_a_folder(tmp_path, "mine")
    before = tree(named)
    run = doctor.json("fix", "--model", str(named), *target)
    assert (run.code, run.report["outcome"]) == (0, "fixed"), run.report["reason"]
    after = tree(named)
    assert {key: entry[-1] for key, entry in after.items() if key in FILES} == FILES
    # Nothing else was touched, and nothing is left of the fetch.
    for key in before.keys() - {"config.json"}:
        assert after[key] == before[key]
    assert not [key for key, entry in after.items() if entry[0] == "file" and ".cache" in key]
    assert doctor("undo", "--python", str(fresh.python)).code == 0
    assert {k: v for k, v in tree(named).items() if v[0] == "file"} == {
        k: v for k, v in before.items() if v[0] == "file"
    }

    # No name, and nothing is known: it is said what its owner can say.
    before = tree(nameless)
    run = doctor.json("fix", "--model", str(nameless), *target)
    assert run.code == 1
    assert "--from ID" in run.report["reason"]
    # A wrong name is not believed.
    other = {**FILES, "model.safetensors": b"other", "chat_template.jinja": b"other"}
    hub.repositories["org/wrong"] = Repository({key: value + b" " for key, value in other.items()})
    run = doctor.json("fix", "--model", str(nameless), "--from", "org/wrong", *target)
    assert run.code == 2
    assert "another model" in (run.report.get("reason") or run.report["error"]["message"])
    assert tree(nameless) == before
    run = doctor.json("fix", "--model", str(nameless), "--from", NAME, "--dry-run", *target)
    (step,) = [one for one in run.report["plan"]["actions"] if one["kind"] == "download"]
    assert [one["path"] for one in step["fetched"]] == ["config.json", "tokenizer.json"]
    assert tree(nameless) == before
