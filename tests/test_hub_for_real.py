"""What settings do to huggingface-hub's client: with httpx (from 1.0 on) and with requests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from checks.hub import check
from doctor.facts import Hub
from doctor.findings import Finding, Severity
from tests.conftest import ROOT, make_environment, recorded
from tests.facts_of import distribution, replace, with_distributions, without
from tests.hub_server import Repository, serve

NAME = "org/model"

# What mlx-vlm does with a model's name (``get_model_path``), with the model here and without.
ASK = """
import json, sys
from huggingface_hub import snapshot_download
runs = []
for cache in sys.argv[1:]:
    try:
        snapshot_download("org/model", allow_patterns=["*.json"], cache_dir=cache)
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
        runs.append(False)
    else:
        runs.append(True)
print(json.dumps(runs))
"""
# What the doctor sees of the same settings.
LOOK = """
import os, sys, msgspec
from doctor.probes import model, reach
sys.stdout.buffer.write(msgspec.json.encode(reach.look(model.look("org/model"), os.environ)))
"""


@dataclass
class Client:
    """One release of the client, with a cache that has the model."""

    python: str
    release: str
    folder: Path
    address: str

    def runs(self, settings: dict[str, str]) -> list[bool]:
        """Whether the client is content with the model in the cache, and with an empty cache."""
        cold = self.folder / "cold"
        shutil.rmtree(cold, ignore_errors=True)
        words = (ASK, str(self.folder / "warm"), str(cold))
        result = json.loads(self._run(self.python, words, settings))
        assert isinstance(result, list)
        return result

    def seen(self, settings: dict[str, str]) -> Hub:
        """What the doctor sees."""
        with_doctor = {**settings, "PYTHONPATH": str(ROOT)}
        return msgspec.json.decode(self._run(sys.executable, (LOOK,), with_doctor), type=Hub)

    def _run(self, python: str, words: tuple[str, ...], settings: dict[str, str]) -> bytes:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "PYTHON"))
            and not name.upper().endswith(("_PROXY", "_CERT_FILE", "_CA_BUNDLE"))
        }
        home = {"HF_ENDPOINT": self.address, "HF_HOME": str(self.folder)}
        return subprocess.run(
            [python, "-c", *words],
            env={**kept, **home, **settings},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout


@pytest.fixture(scope="module", params=["httpx", "requests"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp(request.param)
    release = "2.4.0" if request.param == "httpx" else "0.36.0"
    python = make_environment(folder / "environment", f"huggingface-hub=={release}")
    with serve({NAME: Repository({"config.json": b"{}"})}) as hub:
        made = Client(str(python), release, folder, hub.address)
        assert made.runs({}) == [True, True]
        yield made


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTPS_PROXY": "ftp://127.0.0.1:9", "HF_ENDPOINT": "https://127.0.0.1:9"},
        {"HTTPS_PROXY": "127.0.0.1:9"},
        {"SSL_CERT_FILE": "/gone.pem"},
        {"CURL_CA_BUNDLE": "/gone.pem", "HF_ENDPOINT": "https://127.0.0.1:9"},
        {"SSL_CERT_FILE": "/gone.pem", "HF_HUB_OFFLINE": "1"},
        {"HF_ENDPOINT": "127.0.0.1:9"},
        {"HF_ENDPOINT": "127.0.0.1:9", "HF_HUB_OFFLINE": "1"},
        {"HF_ENDPOINT": "http://127.0.0.1:9"},
        {"HF_HUB_ENABLE_HF_TRANSFER": "1"},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()) or "none",
)
def test_the_verdict_is_what_the_client_does(client: Client, settings: dict[str, str]) -> None:
    """With the model in the cache: an error is told where a run by its name fails, and else none.

    Without it: something is told where fetching fails for the settings, not for the network.
    """
    hub = client.seen(settings)
    facts = without(recorded("torch-free"), "socksio", "pysocks", "hf-transfer", "hf-xet")
    facts = with_distributions(facts, distribution("huggingface-hub", client.release))
    for found, runs in zip(("cache", "nowhere"), client.runs(settings), strict=True):
        model = replace(facts.model, id=NAME, found=found)
        about = replace(facts, hub=hub, model=model, variables=settings)
        told = {item.code: item.severity for item in check(about) if isinstance(item, Finding)}
        if found == "cache":
            assert set(told.values()) <= {Severity.ERROR}
        elif settings.get("HF_ENDPOINT", "").endswith(":9") and not told:
            continue  # nobody answers there: that is the network's matter
        assert (told == {}) is runs, told
