"""Would the model come from the Hub, and do its settings let a generation through?

Who gives mlx-vlm a model's name has it ask the Hub on each run, also where the model is here
already. Some settings end that before anything is asked; others matter only while a model has to be
fetched.

- `hub-settings`: every request ends in an error at once, so that a generation by the model's name
  does too: a variable names a file of certificates that is not there, a proxy of a kind that is not
  known or whose package is missing (`Using SOCKS proxy, but the 'socksio' package is not
  installed`, `Missing dependencies for SOCKS support`), or `HF_ENDPOINT` is no address. What is in
  the cache does not help; a model's folder does.
- `hub-download`: the model is not here, and fetching it would fail: `HF_HUB_ENABLE_HF_TRANSFER` is
  set and hf_transfer is not installed (huggingface-hub before 1.0; later ones ignore it), or a
  folder of the cache may not be written to.
- `hub-disk-short`: the model is not here, and the cache's disk has no room for it.
- `hub-offline`: the model is not here, and `HF_HUB_OFFLINE` forbids to fetch it.
- `hub-refused`: the Hub was asked (`--online`) and said no: there is no such model, it is private
  or gated, or the token is not good for it. An error where the model is not here.
- `hub-renamed`: the Hub was asked, and knows the model by another name. The old one still leads
  there.
- `hub-xet`: the model is not here, and the installed hf-xet (before 1.5.2) is known to stop without
  a word on poor lines. `HF_HUB_DISABLE_XET=1` fetches without it.
- `hub-no-links`: the cache's file system knows no links, so that each revision of a model takes its
  whole space again.

The doctor reads the variables and the installed packages, and asks the Hub nothing unless told to.
Whether a token is there is told, never which. huggingface-hub from 1.0 on speaks through httpx,
before that through requests: what was tried with 0.36 and 2.4 is in `tests/test_hub_for_real.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from doctor.facts import Facts, Hub
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.packages.requirements import installed

CODES = (
    "hub-settings",
    "hub-download",
    "hub-disk-short",
    "hub-offline",
    "hub-refused",
    "hub-renamed",
    "hub-xet",
    "hub-no-links",
)

# huggingface-hub speaks through httpx from this release on, through requests before.
FIRST_WITH_HTTPX = Version("1.0.dev0")
# The first hf-xet without the stalls on poor lines (huggingface/huggingface_hub#4640).
FIRST_GOOD_XET = Version("1.5.2")
# What httpx takes for a proxy (``httpx._config.Proxy``); requests takes SOCKS 4 as well.
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
SOCKS = ("socks5", "socks5h", "socks4", "socks4a")
# Bytes that a cache's disk should have beside the model.
SPARE_DISK = 200_000_000


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    hub = facts.hub
    if hub is None or facts.model.found == "folder":
        return
    release = _version(facts, "huggingface-hub")
    if release is not None:
        yield from _settings(facts, hub, release)
    yield from _asked(facts, hub)
    if facts.model.found != "cache":
        yield from _fetching(facts, hub, release)


def _version(facts: Facts, name: str) -> Version | None:
    found = installed(facts.environment).get(name)
    try:
        return Version(found.version) if found and found.version else None
    except InvalidVersion:
        return None


def _settings(facts: Facts, hub: Hub, release: Version) -> CheckResult:
    """What ends every request before it is made."""
    with_httpx = release >= FIRST_WITH_HTTPX
    problems = [*_certificates(hub, with_httpx), *_proxies(facts, hub, with_httpx)]
    # In offline mode requests are not made; httpx's client is, and fails for all but the address.
    if hub.offline and not with_httpx:
        problems = []
    if _is_no_address(hub.endpoint) and not (hub.offline and with_httpx):
        assert hub.endpoint is not None
        problems.append(("HF_ENDPOINT", hub.endpoint or "empty", "is no address (https://…)"))
    for name, value, why in problems:
        yield Finding(
            code="hub-settings",
            severity=Severity.ERROR,
            title=f"{name} {why}: nothing can be asked of the Hub",
            cause="mlx-vlm asks the Hub at each run by a model's name, and huggingface-hub "
            f"{release} ends there.",
            evidence=(Evidence(fact=name, value=value, source="the environment's variables"),),
            fix=Fix(id="advice", summary=f"mend {name}, or unset it", automatic=False),
        )


def _is_no_address(endpoint: str | None) -> bool:
    return endpoint is not None and not endpoint.startswith(("http://", "https://"))


def _certificates(hub: Hub, with_httpx: bool) -> Iterator[tuple[str, str, str]]:
    names = ["SSL_CERT_FILE"] if with_httpx else ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
    if not with_httpx and (hub.endpoint or "https:").startswith("http:"):
        return  # requests looks for it only when it needs it
    # requests takes the first of the two that is set.
    first = next((name for name in names if name in hub.variables), None)
    if first is not None and first in hub.lost_certificates:
        yield first, hub.lost_certificates[first], "names a file that is not there"


def _proxies(facts: Facts, hub: Hub, with_httpx: bool) -> Iterator[tuple[str, str, str]]:
    everything = installed(facts.environment)
    exceptions = hub.variables.get("NO_PROXY", "")
    names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"]
    if with_httpx:
        if "*" in exceptions.split(","):
            return
        can_socks = "socksio" in everything
    else:
        if exceptions:
            return  # it may well be that the Hub is among them
        scheme = "HTTP_PROXY" if (hub.endpoint or "").startswith("http:") else "HTTPS_PROXY"
        names = [scheme] if scheme in hub.variables else ["ALL_PROXY"]
        can_socks = "pysocks" in everything
    for name in names:
        value = hub.variables.get(name)
        if value is None or "://" not in value:
            continue
        kind = value.partition("://")[0].lower()
        known = kind in PROXY_SCHEMES or (not with_httpx and kind in SOCKS)
        if not known:
            yield name, value, f"names a proxy of a kind that is not known ({kind})"
        elif kind in SOCKS and not can_socks:
            package = "socksio" if with_httpx else "PySocks"
            yield name, value, f"names a SOCKS proxy, which takes the package {package}"


def _asked(facts: Facts, hub: Hub) -> CheckResult:
    """What the Hub said, where it was asked."""
    trouble, remote, model = hub.trouble, hub.remote, facts.model
    if trouble is not None and trouble.kind in ("gated", "missing", "token", "refused"):
        here = model.found == "cache"
        yield Finding(
            code="hub-refused",
            severity=Severity.NOTE if here else Severity.ERROR,
            title=trouble.message.rstrip("."),
            cause="It is here already, and is not fetched again."
            if here
            else "It is not here, and cannot be fetched.",
            evidence=(
                Evidence(
                    fact="the Hub's answer", value=trouble.kind, source=hub.endpoint or "the Hub"
                ),
                Evidence(
                    fact="token",
                    value="present" if hub.token else "none",
                    source="HF_TOKEN and the token file",
                ),
            ),
            fix=Fix(id="advice", summary=HELPS[trouble.kind], automatic=False),
        )
    elif trouble is not None:
        yield NotChecked(reason=f"what the Hub has: {trouble.message}", decides=False)
    if remote is not None and remote.id != model.id:
        yield Finding(
            code="hub-renamed",
            severity=Severity.NOTE,
            title=f"The Hub calls {model.id} now {remote.id}",
            cause="The old name leads to the new one as long as nobody else takes it.",
            evidence=(Evidence(fact="name", value=remote.id, source=hub.endpoint or "the Hub"),),
            fix=Fix(id="advice", summary=f"use --model {remote.id}", automatic=False),
        )


HELPS = {
    "gated": "ask for access on the model's page, then: hf auth login",
    "missing": "look at the name's spelling; for a private model: hf auth login",
    "token": "make a new token: hf auth login",
    "refused": "give the token the right to read this model, on the Hub's settings page",
}


def _fetching(facts: Facts, hub: Hub, release: Version | None) -> CheckResult:
    """What stands in the way of fetching a model that is not here."""
    model = facts.model
    everything = installed(facts.environment)
    if hub.offline:
        yield _finding(
            "hub-offline",
            Severity.NOTE,
            f"HF_HUB_OFFLINE is set: {model.id} cannot be fetched",
            "Nothing may be asked of the Hub, and the model is not here.",
            Evidence(fact="HF_HUB_OFFLINE", value="set", source="the environment's variables"),
            "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE for the first run",
        )
    transfer = facts.variables.get("HF_HUB_ENABLE_HF_TRANSFER", "")
    if (
        transfer.upper() in ("1", "ON", "YES", "TRUE")
        and release is not None
        and release < FIRST_WITH_HTTPX
        and "hf-transfer" not in everything
    ):
        yield _finding(
            "hub-download",
            Severity.WARNING,
            "HF_HUB_ENABLE_HF_TRANSFER is set, and hf_transfer is not installed: no download works",
            f"huggingface-hub {release} then refuses to fetch anything.",
            Evidence(
                fact="HF_HUB_ENABLE_HF_TRANSFER",
                value=transfer,
                source="the environment's variables",
            ),
            "unset HF_HUB_ENABLE_HF_TRANSFER",
        )
    if hub.locked_folder is not None:
        yield _finding(
            "hub-download",
            Severity.WARNING,
            f"You may not write to {hub.locked_folder}, where the model would go",
            "A download ends there.",
            Evidence(fact="writable", value="no", source=hub.locked_folder),
            "make the folder yours, or set HF_HUB_CACHE to one that you may write to",
        )
    weights, free = model.weights_bytes, hub.free_bytes
    if weights is not None and free is not None and free < weights + SPARE_DISK:
        yield _finding(
            "hub-disk-short",
            Severity.WARNING,
            f"The cache's disk has {free / 1e9:.1f} GB free; {model.id} "
            f"takes {weights / 1e9:.1f} GB",
            "A download fills the disk and ends there.",
            Evidence(fact="free", value=f"{free / 1e9:.2f} GB", source=model.cache),
            "see what could go: hf cache ls; then: hf cache rm NAME",
        )
    xet = _version(facts, "hf-xet")
    disabled = facts.variables.get("HF_HUB_DISABLE_XET", "").upper() in ("1", "ON", "YES", "TRUE")
    if xet is not None and xet < FIRST_GOOD_XET and not disabled and not hub.offline:
        yield _finding(
            "hub-xet",
            Severity.NOTE,
            f"hf-xet {xet} is known to stop without a word on poor lines",
            "huggingface-hub fetches large files through it where it is installed; 1.5.2 and later "
            "have that mended.",
            Evidence(fact="hf-xet", value=str(xet), source="huggingface/huggingface_hub#4640"),
            "if a download stands still: HF_HUB_DISABLE_XET=1, or vlm-doctor models --pull",
        )
    if hub.links is False:
        yield _finding(
            "hub-no-links",
            Severity.NOTE,
            f"The cache lies on a file system without links ({hub.filesystem})",
            "Each revision of a model takes its whole space again.",
            Evidence(fact="file system", value=str(hub.filesystem), source=model.cache),
            "set HF_HUB_CACHE to a folder on another disk",
        )


def _finding(
    code: str, severity: Severity, title: str, cause: str, evidence: Evidence, summary: str
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        title=title,
        cause=cause,
        evidence=(evidence,),
        fix=Fix(id="advice", summary=summary, automatic=False),
    )
