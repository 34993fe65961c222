"""The Hub's settings, judged on facts; what of it is true is in ``test_hub_for_real.py``."""

from __future__ import annotations

from typing import Any

import pytest

from checks.hub import check
from doctor.facts import Facts, Hub, HubTrouble, Model, Remote, RemoteFile
from doctor.findings import Finding, NotChecked, Severity
from doctor.hub import downloads
from doctor.probes.reach import public
from tests.conftest import recorded
from tests.facts_of import distribution, replace, with_distributions, without

QUIET = Hub(
    endpoint=None,
    token=False,
    offline=False,
    variables={},
    lost_certificates={},
    filesystem="apfs",
    links=True,
    locked_folder=None,
    free_bytes=100_000_000_000,
)
# huggingface-hub's release in the recorded environments: 0.36.0 and 2.4.0.
WITH_REQUESTS, WITH_HTTPX = "report", "torch-free"


def facts_with(name: str = WITH_HTTPX, found: str = "card", **settings: object) -> Facts:
    facts = recorded(name)
    model = replace(facts.model, found=found, weights_bytes=3_090_000_000)
    return replace(facts, hub=replace(QUIET, **settings), model=model)


def said(facts: Facts) -> dict[str, Severity]:
    return {item.code: item.severity for item in check(facts) if isinstance(item, Finding)}


@pytest.mark.parametrize("name", [WITH_REQUESTS, WITH_HTTPX])
@pytest.mark.parametrize("found", ["card", "nowhere", "cache", "folder"])
def test_usual_settings_are_no_matter(name: str, found: str) -> None:
    usual = {
        "HTTPS_PROXY": "http://proxy:3128",
        "HTTP_PROXY": "proxy:3128",
        "NO_PROXY": "localhost",
        "SSL_CERT_FILE": "/etc/certificates.pem",
    }
    assert not list(check(facts_with(name, found, variables=usual, token=True)))


def test_older_facts_are_judged_without() -> None:
    assert not list(check(replace(recorded(WITH_HTTPX), hub=None)))


@pytest.mark.parametrize("found", ["card", "cache"])
@pytest.mark.parametrize(
    ("name", "variables", "fails"),
    [
        (WITH_HTTPX, {"ALL_PROXY": "socks5://proxy:1080"}, True),
        (WITH_HTTPX, {"HTTP_PROXY": "socks4://proxy:1080"}, True),
        (WITH_HTTPX, {"HTTPS_PROXY": "ftp://proxy:1080"}, True),
        (WITH_HTTPX, {"ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": "localhost"}, True),
        (WITH_HTTPX, {"ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": "*"}, False),
        (WITH_REQUESTS, {"ALL_PROXY": "socks5://proxy:1080"}, True),
        (WITH_REQUESTS, {"HTTPS_PROXY": "ftp://proxy:1080"}, True),
        (WITH_REQUESTS, {"HTTP_PROXY": "socks5://proxy:1080"}, False),  # the Hub's is https
        (WITH_REQUESTS, {"ALL_PROXY": "socks5://p:1", "HTTPS_PROXY": "http://p:1"}, False),
        (WITH_REQUESTS, {"ALL_PROXY": "socks5://p:1", "NO_PROXY": "localhost"}, False),
    ],
)
def test_proxies_that_no_request_gets_through(
    name: str, variables: dict[str, str], fails: bool, found: str
) -> None:
    facts = facts_with(name, found, variables=variables)
    assert said(facts) == ({"hub-settings": Severity.ERROR} if fails else {})


@pytest.mark.parametrize(("name", "package"), [(WITH_HTTPX, "socksio"), (WITH_REQUESTS, "PySocks")])
def test_a_socks_proxy_is_used_with_its_package(name: str, package: str) -> None:
    facts = facts_with(name, variables={"ALL_PROXY": "socks5://proxy:1080"})
    assert not said(with_distributions(facts, distribution(package, "1.0")))


@pytest.mark.parametrize(
    ("name", "variable", "fails"),
    [
        (WITH_HTTPX, "SSL_CERT_FILE", True),
        (WITH_HTTPX, "REQUESTS_CA_BUNDLE", False),
        (WITH_REQUESTS, "SSL_CERT_FILE", False),
        (WITH_REQUESTS, "REQUESTS_CA_BUNDLE", True),
        (WITH_REQUESTS, "CURL_CA_BUNDLE", True),
    ],
)
def test_a_file_of_certificates_that_is_not_there(name: str, variable: str, fails: bool) -> None:
    lost = {variable: "/gone.pem"}
    facts = facts_with(name, "cache", variables=lost, lost_certificates=lost)
    assert said(facts) == ({"hub-settings": Severity.ERROR} if fails else {})


def test_offline_mode_spares_requests_and_not_httpx() -> None:
    lost = {"SSL_CERT_FILE": "/gone.pem", "REQUESTS_CA_BUNDLE": "/gone.pem"}
    settings: dict[str, Any] = {"variables": lost, "lost_certificates": lost, "offline": True}
    assert not said(facts_with(WITH_REQUESTS, "cache", **settings))
    assert said(facts_with(WITH_HTTPX, "cache", **settings)) == {"hub-settings": Severity.ERROR}


@pytest.mark.parametrize("endpoint", ["hub.example.org", ""])
def test_an_endpoint_that_is_no_address(endpoint: str) -> None:
    assert "hub-settings" in said(facts_with(endpoint=endpoint))
    assert not said(facts_with(endpoint="http://hub.example.org"))


def test_hf_transfer_is_asked_for_by_old_releases_only() -> None:
    for name, fails in ((WITH_REQUESTS, True), (WITH_HTTPX, False)):
        facts = facts_with(name)
        facts = replace(facts, variables={"HF_HUB_ENABLE_HF_TRANSFER": "1"})
        assert said(facts) == ({"hub-download": Severity.WARNING} if fails else {})
        assert not said(with_distributions(facts, distribution("hf_transfer", "0.1.9")))
        assert not said(replace(facts, model=replace(facts.model, found="cache")))
        assert not said(replace(facts, variables={"HF_HUB_ENABLE_HF_TRANSFER": "0"}))


@pytest.mark.parametrize(
    ("settings", "code", "severity"),
    [
        ({"offline": True}, "hub-offline", Severity.NOTE),
        ({"locked_folder": "~/.cache"}, "hub-download", Severity.WARNING),
        ({"free_bytes": 3_000_000_000}, "hub-disk-short", Severity.WARNING),
        ({"links": False, "filesystem": "exfat"}, "hub-no-links", Severity.NOTE),
    ],
)
def test_what_stands_in_the_way_of_a_fetch(
    settings: dict[str, Any], code: str, severity: Severity
) -> None:
    assert said(facts_with(**settings)) == {code: severity}
    assert not said(facts_with(found="cache", **settings))


def test_an_old_hf_xet_is_worth_knowing_where_it_is_used() -> None:
    facts = with_distributions(facts_with(), distribution("hf-xet", "1.5.1"))
    assert said(facts) == {"hub-xet": Severity.NOTE}
    assert not said(with_distributions(facts, distribution("hf-xet", "1.5.2")))
    assert not said(without(facts, "hf-xet"))
    assert not said(replace(facts, variables={"HF_HUB_DISABLE_XET": "1"}))


@pytest.mark.parametrize("kind", ["gated", "missing", "token", "refused"])
def test_a_refusal_matters_where_the_model_is_not_here(kind: str) -> None:
    trouble = HubTrouble(kind=kind, message="No.")  # type: ignore[arg-type]
    assert said(facts_with(trouble=trouble)) == {"hub-refused": Severity.ERROR}
    assert said(facts_with(found="cache", trouble=trouble)) == {"hub-refused": Severity.NOTE}


@pytest.mark.parametrize("kind", ["unreachable", "proxy", "certificate"])
def test_no_network_is_no_finding(kind: str) -> None:
    trouble = HubTrouble(kind=kind, message="It could not be reached.")  # type: ignore[arg-type]
    (gap,) = check(facts_with(trouble=trouble))
    assert isinstance(gap, NotChecked)
    assert not gap.decides


def test_a_renamed_model_is_told() -> None:
    remote = Remote(id="new/name", commit="0" * 40, gated=False, files=())
    assert said(facts_with(remote=remote)) == {"hub-renamed": Severity.NOTE}
    same = replace(remote, id=recorded(WITH_HTTPX).model.id)
    assert not said(facts_with(remote=same))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://name:secret@proxy:3128/", "http://proxy:3128/"),
        ("https://secret@hub.example.org", "https://hub.example.org"),
        ("name:secret@proxy:3128", "proxy:3128"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "proxy:3128"),
    ],
)
def test_passwords_are_not_kept(address: str, shown: str) -> None:
    assert public(address) == shown


def test_the_field_reports_download_takes_what_arithmetic_says() -> None:
    seconds = downloads.seconds_at(3_090_000_000, 25e6 / 8)
    assert seconds == pytest.approx(988.8)
    assert downloads.duration(988.8) == "16 min"
    assert downloads.seconds_at(1, None) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (95, "2 min"), (7260, "2 h 01 min")]
)
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert downloads.duration(seconds) == words


def _listed(*files: RemoteFile) -> Facts:
    remote = Remote(id="org/model", commit="0" * 40, gated=False, files=files)
    model = Model(
        id="org/model",
        found="card",
        path=None,
        revision=None,
        type="qwen3_vl",
        processor_class=None,
        image_processor_type=None,
        image_processor_named_by=None,
        files={},
        weights_bytes=10,
        cache="/cache",
    )
    return replace(recorded(WITH_HTTPX), model=model, hub=replace(QUIET, remote=remote))


def test_only_what_is_missing_or_damaged_is_wanted() -> None:
    def file(name: str, **fields: object) -> RemoteFile:
        return replace(RemoteFile(path=name, bytes=100, blob="a" * 40), **fields)

    facts = _listed(
        file("a.json", here="whole"),
        file("b.json", here="missing", fetched_bytes=40),
        file("c.json", here="damaged"),
        file("d.json", here="edited"),
        file("e.json"),
    )
    action = downloads.action(facts)
    assert action is not None
    assert [(one.path, one.why) for one in action.fetched] == [
        ("b.json", "missing"),
        ("c.json", "damaged"),
    ]
    assert action.download_bytes == 160
    assert action.files()[0] == f"/cache/models--org--model/blobs/{'a' * 40}"
    assert downloads.action(_listed(file("a.json", here="whole"))) is None
