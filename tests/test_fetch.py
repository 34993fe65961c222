"""Fetching from a Hub that does what Hubs do, with huggingface-hub's own client."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.hub_server import Fault, Hub, Repository, git_name, of_folder, serve

NAME = "org/model"

# What a fetch of everything that is missing does, as a program of its own: it can be killed, and
# huggingface-hub reads its settings when it is imported.
FETCH = """
import json, sys
from doctor.hub import fetch

from doctor.hub import downloads
from doctor.probes import hub, model, reach

class Watch:
    def __init__(self): self.fetched, self.was_there = 0, 0
    def start(self, file): pass
    def there(self, count): self.was_there += count
    def came(self, count): self.fetched += count

seen = model.look("org/model")
remote, trouble, _ = hub.ask(seen, verify=True)
if trouble is not None:
    print(json.dumps({"trouble": trouble.kind, "message": trouble.message}))
    sys.exit(1)
files = [file for file in remote.files if file.here in ("missing", "damaged")]
home = reach.home_of(seen)
watch = Watch()
try:
    fetch.stage("org/model", remote.commit, home, files, watch)
except fetch.FetchFailed as error:
    print(json.dumps({"trouble": error.trouble.kind, "message": error.trouble.message}))
    sys.exit(1)
fetch.place(home, remote.commit, files)
fetch.refer(home, remote.commit)
fetch.forget(home, files)
print(json.dumps({"files": [file.path for file in files], "fetched": watch.fetched,
                  "was_there": watch.was_there}))
"""


class Machine:
    """A machine with a cache of its own that fetches from a Hub."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.home = folder / "hub" / "models--org--model"
        self.hub = hub
        self._folder = folder

    def variables(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("HF_") and "PROXY" not in name.upper()
        }
        return {
            **kept,
            "HF_HOME": str(self._folder),
            "HF_ENDPOINT": self.hub.address,
            "PYTHONPATH": str(ROOT),
            **more,
        }

    def start(self, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", FETCH],
            env=self.variables(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fetch(self, **more: str) -> dict[str, object]:
        process = self.start(**more)
        out, err = process.communicate(timeout=120)
        assert out, err
        result = json.loads(out)
        assert isinstance(result, dict)
        return result

    def snapshot(self) -> Path:
        return self.home / "snapshots" / (self.home / "refs" / "main").read_text()

    def is_whole(self) -> bool:
        """Whether the snapshot has all that a run needs, through links to blobs that are right."""
        repository = self.hub.repositories[NAME]
        for name, content in repository.files.items():
            path = self.snapshot() / name
            if name.endswith((".json", ".safetensors", ".jinja")) and (
                not path.is_symlink()
                or path.read_bytes() != content
                or path.resolve().name != repository.etag(name)
            ):
                return False
        return not list(self.home.rglob("*.incomplete")) and not list(
            self.home.rglob("*vlm-doctor*")
        )


FILES = of_folder(ROOT / "doctor" / "smoke_model", padded_to=3_000_000)
MORE = {
    "more.safetensors": FILES["model.safetensors"][:2_000_000],
    "vocabulary.json": b"[" + b"0," * 400_000 + b"0]",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve({NAME: Repository({**FILES, **MORE})}) as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path, hub)


def test_what_is_fetched_is_what_the_clients_own_download_makes(machine: Machine) -> None:
    machine.fetch()
    assert machine.is_whole()
    # The client finds its cache whole: it fetches no file, with the Hub and without.
    machine.hub.forget()
    program = (
        "from huggingface_hub import snapshot_download as s; "
        "print(s('org/model', allow_patterns=['*.json', '*.safetensors', '*.jinja']))"
    )
    for more in ({}, {"HF_HUB_OFFLINE": "1"}):
        run = subprocess.run(
            [sys.executable, "-c", program],
            env=machine.variables(**more),
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == str(machine.snapshot())
    assert sum(request.sent for request in machine.hub.asked) == 0


def test_nothing_is_fetched_twice(machine: Machine) -> None:
    machine.fetch()
    machine.hub.forget()
    assert machine.fetch()["files"] == []
    assert sum(request.sent for request in machine.hub.asked) == 0


def test_only_what_is_damaged_or_missing_is_fetched(machine: Machine) -> None:
    machine.fetch()
    weights = (machine.snapshot() / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[1_500_000] ^= 1
    weights.write_bytes(content)  # as an editor does: in place, and of the same size
    (machine.snapshot() / "tokenizer.json").resolve().unlink()
    (machine.snapshot() / "config.json").unlink()
    machine.hub.forget()
    assert machine.fetch()["files"] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert machine.is_whole()
    sent = {request.path.rpartition("#")[2] for request in machine.hub.asked if request.sent}
    assert sent == {"model.safetensors", "tokenizer.json"}  # config.json's blob was there


def test_a_file_of_the_users_own_in_the_snapshot_stays(machine: Machine) -> None:
    machine.fetch()
    template = machine.snapshot() / "chat_template.jinja"
    template.unlink()
    template.write_text("my own")
    assert machine.fetch()["files"] == []
    assert template.read_text() == "my own"


def test_wrong_content_is_thrown_away(machine: Machine) -> None:
    machine.hub.faults.append(Fault("model.safetensors", spoil=True, times=9))
    told = machine.fetch()
    assert told["trouble"] == "refused"
    assert not (machine.home / "snapshots").exists()
    machine.hub.forget()
    machine.fetch()
    assert machine.is_whole()


def test_a_beginning_that_is_none_is_found_out(machine: Machine) -> None:
    etag = machine.hub.repositories[NAME].etag("model.safetensors")
    (machine.home / "blobs").mkdir(parents=True)
    # As a newer client leaves it when it is killed; and something else than the file's beginning.
    (machine.home / "blobs" / f"{etag}.0123abcd.incomplete").write_bytes(b"x" * 1_000_000)
    machine.fetch()
    assert machine.is_whole()


@pytest.mark.parametrize("left", ["{}.incomplete", "{}.0123abcd.incomplete"])
def test_what_the_client_left_is_gone_on_with(machine: Machine, left: str) -> None:
    content, etag = (
        FILES["model.safetensors"],
        machine.hub.repositories[NAME].etag("model.safetensors"),
    )
    (machine.home / "blobs").mkdir(parents=True)
    (machine.home / "blobs" / left.format(etag)).write_bytes(content[:2_900_000])
    machine.fetch()
    assert machine.is_whole()
    assert machine.hub.sent("model.safetensors") == len(content) - 2_900_000


def test_a_hub_that_takes_no_ranges_sends_all_of_it(machine: Machine) -> None:
    etag = machine.hub.repositories[NAME].etag("model.safetensors")
    (machine.home / "blobs").mkdir(parents=True)
    begun = machine.home / "blobs" / f"{etag}.incomplete"
    begun.write_bytes(FILES["model.safetensors"][:1_000_000])
    machine.hub.no_ranges = True
    machine.fetch()
    assert machine.is_whole()


def test_a_line_that_is_cut_for_a_moment_is_no_failure(machine: Machine) -> None:
    machine.hub.faults.append(Fault("model.safetensors", cut_at=1_000_000))
    told = machine.fetch()
    assert machine.is_whole()
    assert told["fetched"] == sum(
        len(content) for name, content in {**FILES, **MORE}.items() if name != "MODEL_CARD.md"
    )


@pytest.mark.parametrize(
    ("repository", "fault", "token", "kind"),
    [
        (Repository({}, token="right", gated=True), None, None, "gated"),
        (Repository({}, token="right", gated=True), None, "wrong", "gated"),
        (Repository({}, token="right"), None, "wrong", "missing"),
        (None, None, None, "missing"),
        (None, None, "right", "missing"),
        (
            Repository({}),
            Fault(
                "/model",
                status=401,
                headers={"X-Error-Message": "Invalid credentials in Authorization header"},
            ),
            "hf_old",
            "token",
        ),
        (Repository({}), Fault("/model", status=403), "hf_old", "refused"),
        (Repository({}), Fault("/model", status=429, times=99), None, "unreachable"),
        (Repository({}), Fault("/model", status=500, times=99), None, "unreachable"),
        (Repository({}), Fault("/model", status=503, times=99), None, "unreachable"),
    ],
)
def test_a_refusal_is_one_clear_line(
    machine: Machine,
    repository: Repository | None,
    fault: Fault | None,
    token: str | None,
    kind: str,
) -> None:
    machine.hub.repositories = {}
    if repository is not None:
        repository.files = dict(FILES)
        machine.hub.repositories[NAME] = repository
    machine.hub.faults = [fault] if fault else []
    told = machine.fetch(**({"HF_TOKEN": token} if token else {}))
    assert told["trouble"] == kind
    message = str(told["message"])
    assert "\n" not in message
    assert "http" not in message
    assert token is None or token not in message
    assert not machine.home.exists()


def test_a_renamed_model_is_fetched_under_the_name_that_was_asked_for(machine: Machine) -> None:
    machine.hub.repositories["new/name"] = machine.hub.repositories[NAME]
    machine.hub.repositories[NAME] = Repository({}, moved_to="new/name")
    machine.fetch()
    machine.hub.repositories[NAME] = machine.hub.repositories["new/name"]
    assert machine.is_whole()


def test_a_token_opens_what_it_is_good_for(machine: Machine) -> None:
    machine.hub.repositories[NAME].token = "right"
    machine.hub.repositories[NAME].gated = True
    machine.fetch(HF_TOKEN="right")
    assert machine.is_whole()


def test_a_revision_that_the_hub_dropped_gives_way_to_todays(machine: Machine) -> None:
    machine.fetch()
    old = machine.snapshot()
    (old / "config.json").resolve().unlink()
    machine.hub.repositories[NAME].files["generation_config.json"] = b"{}"
    machine.fetch()
    assert machine.is_whole()
    assert machine.snapshot() != old
    assert (old / "model.safetensors").exists()


def test_without_links_the_files_lie_in_the_snapshot(machine: Machine) -> None:
    machine.hub.repositories[NAME].files["same.json"] = FILES["generation_config.json"]
    program = FETCH.replace(
        "import json, sys",
        "import json, os, sys\ndef refuse(*_, **__): raise OSError('no links here')\n"
        "os.symlink = os.link = refuse",
    )
    subprocess.run([sys.executable, "-c", program], env=machine.variables(), check=True)
    snapshot = machine.snapshot()
    assert (snapshot / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert not (snapshot / "model.safetensors").is_symlink()
    for name in ("same.json", "generation_config.json"):
        assert (snapshot / name).read_bytes() == FILES["generation_config.json"]
    (snapshot / "model.safetensors").write_bytes(FILES["model.safetensors"][:1000])
    subprocess.run([sys.executable, "-c", program], env=machine.variables(), check=True)
    assert (snapshot / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def cut(machine: Machine, name: str, position: int, kill: bool) -> None:
    """Fetch, cut at this byte of this file (the line, or the whole program), and fetch again."""
    files = {key: value for key, value in {**FILES, **MORE}.items() if key != "MODEL_CARD.md"}
    shutil.rmtree(machine.home, ignore_errors=True)
    machine.hub.forget()
    if kill:
        process = machine.start()

        def watch(sent: str, at: int) -> None:
            if sent == name and at + 65536 > position:
                process.kill()
                process.wait()

        machine.hub.watch = watch
        process.communicate(timeout=120)
        machine.hub.watch = None
        assert process.returncode == -9
    else:
        machine.hub.faults = [
            Fault(name, cut_at=position),
            Fault(name, status=503, times=99),
        ]
        assert machine.fetch()["trouble"] == "unreachable"
    assert not (machine.home / "snapshots").exists()
    whole = {
        key
        for key in files
        if (
            path := machine.home
            / "blobs"
            / f"{machine.hub.repositories[NAME].etag(key)}.incomplete"
        ).exists()
        and path.stat().st_size == len(files[key])
    }
    machine.hub.forget()
    told = machine.fetch()
    assert machine.is_whole()
    for key in whole:
        assert machine.hub.sent(key) == 0, f"{key} was whole, and was fetched again"
    # What came of the cut file counts, but for the piece that was on its way.
    there = int(str(told["was_there"]))
    assert there + int(str(told["fetched"])) == sum(map(len, files.values()))
    assert there >= sum(len(files[key]) for key in whole)
    if not kill:
        assert machine.hub.sent(name) <= len(files[name]) - position + 256 * 1024


# All 50 by ``make cuts``; a few always.
CUTS = int(os.environ.get("VLM_DOCTOR_CUTS", "4"))


@pytest.mark.parametrize("number", range(CUTS))
def test_a_fetch_that_was_cut_goes_on(machine: Machine, number: int) -> None:
    chance = random.Random(number)
    name = ("model.safetensors", "more.safetensors", "vocabulary.json")[number % 3]
    content = {**FILES, **MORE}[name]
    cut(machine, name, chance.randrange(1, len(content)), kill=number % 2 == 1)


def test_names_are_the_hubs_own() -> None:
    assert git_name(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c44298fc1c14")
