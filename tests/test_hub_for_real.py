"""What settings do to huggingface-hub's client: with httpx (from 1.0 on) and with requests."""

from __future__ import annotations

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

# What mlx-vlm does with a model's name (``get_model_path``), as a program of its own.
ASK = """
from huggingface_hub import snapshot_download
print(snapshot_download("org/model", allow_patterns=["*.json"]))
"""
# What the doctor sees of the same settings.
LOOK = """
import os, sys, msgspec
from doctor.probes import hub, model
sys.stdout.buffer.write(msgspec.json.encode(hub.look(model.look("org/model"), os.environ)))
"""


@dataclass
class Client:
    """One release of the client, with a cache that has the model and one that has nothing."""

    python: str
    release: str
    folder: Path
    address: str

    def run(
        self, program: str, python: str, cached: bool, settings: dict[str, str]
    ) -> bytes | None:
        """What a program prints under these settings; null where it fails."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "PYTHON"))
            and not name.upper().endswith(("_PROXY", "_CERT_FILE", "_CA_BUNDLE"))
        }
        home = self.folder / ("warm" if cached else "cold")
        if not cached:
            shutil.rmtree(home, ignore_errors=True)
        variables = {**kept, "HF_ENDPOINT": self.address, "HF_HOME": str(home), **settings}
        if program is LOOK:
            variables["PYTHONPATH"] = str(ROOT)
        run = subprocess.run(
            [python, "-c", program], env=variables, capture_output=True, check=False
        )
        return run.stdout if run.returncode == 0 else None


@pytest.fixture(scope="module", params=["httpx", "requests"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp(request.param)
    release = "2.4.0" if request.param == "httpx" else "0.36.0"
    python = make_environment(folder / "environment", f"huggingface-hub=={release}")
    with serve({NAME: Repository({"config.json": b"{}"})}) as hub:
        made = Client(str(python), release, folder, hub.address)
        assert made.run(ASK, made.python, cached=True, settings={})
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
    for cached in (True, False):
        seen = client.run(LOOK, sys.executable, cached, settings)
        assert seen is not None
        hub = msgspec.json.decode(seen, type=Hub)
        facts = without(recorded("torch-free"), "socksio", "pysocks", "hf-transfer", "hf-xet")
        facts = with_distributions(facts, distribution("huggingface-hub", client.release))
        facts = replace(
            facts,
            hub=hub,
            model=replace(facts.model, id=NAME, found="cache" if cached else "nowhere"),
            variables=settings,
        )
        told = {item.code: item.severity for item in check(facts) if isinstance(item, Finding)}
        runs = client.run(ASK, client.python, cached, settings) is not None
        if cached:
            assert (told == {}) is runs, told
            assert set(told.values()) <= {Severity.ERROR}
        elif settings.get("HF_ENDPOINT", "").endswith(":9") and not told:
            pass  # nobody answers there: that is the network's matter
        else:
            assert (told == {}) is runs, told
