"""Gathering a lock's wheels: from real indexes on loopback, by hash, and on from a break."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from doctor.errors import CouldNot, Refused
from doctor.packages import gathering, wheels
from doctor.packages.recipes import Lock, LockedWheel, Place
from doctor.reports.recipes import DownloadReport
from tests.conftest import Doctor
from tests.package_index import Behaviour, Release, serve, wheel

USER = "me:s3cret"
NAMES = ("alpha", "beta-two")
PLACE = Place(platform="macos-arm64", backend="metal", python="3.12")


def locked(*names: str) -> Lock:
    """A lock of one release of each of these packages."""
    return Lock(
        recipe="test",
        name=PLACE.name,
        wheels={
            name: LockedWheel(
                name=name,
                version="1.0",
                hash="sha256:" + hashlib.sha256(wheel(name, "1.0")).hexdigest(),
                download_bytes=len(wheel(name, "1.0")),
                installed_bytes=0,
            )
            for name in names
        },
    )


PACKAGES = {name: [Release("1.0")] for name in NAMES}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a current folder and a cache of this test's own, with no settings of uv and pip."""
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "SSL_")) or name.lower().endswith(("_proxy", "_bundle")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setattr("doctor.packages.by_hash.PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gather(folder: Path, lock: Lock | None = None) -> tuple[DownloadReport, list[str]]:
    """Gather with the settings of this process, and what was said meanwhile."""
    said: list[str] = []
    report = gathering.gather(lock or locked(*NAMES), PLACE, folder, os.environ, said.append)
    return report, said


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WHOLE = ["alpha-1.0-py3-none-any.whl", "beta_two-1.0-py3-none-any.whl", f"test-{PLACE.name}.txt"]


def by_variable(folder: Path, address: str) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": address.replace("//", f"//{USER}@")}


def by_old_variable(folder: Path, address: str) -> dict[str, str]:
    return {"UV_INDEX_URL": address.replace("//", f"//{USER}@")}


def by_name(folder: Path, address: str) -> dict[str, str]:
    name, password = USER.split(":")
    credentials = {"UV_INDEX_OUR_OWN_USERNAME": name, "UV_INDEX_OUR_OWN_PASSWORD": password}
    return {"UV_INDEX": f"our-own={address}", **credentials}


def by_uv_file(folder: Path, address: str) -> dict[str, str]:
    url = address.replace("//", f"//{USER}@")
    (folder / "uv.toml").write_text(f'[[index]]\nurl = "{url}"\ndefault = true\n')
    return {}


def by_netrc(folder: Path, address: str) -> dict[str, str]:
    name, password = USER.split(":")
    (folder / ".netrc").write_text(f"machine 127.0.0.1 login {name} password {password}\n")
    (folder / ".netrc").chmod(0o600)
    return {"UV_DEFAULT_INDEX": address}


def by_pip_variable(folder: Path, address: str) -> dict[str, str]:
    return {"PIP_INDEX_URL": address.replace("//", f"//{USER}@")}


def by_pip_file(folder: Path, address: str) -> dict[str, str]:
    url = address.replace("//", f"//{USER}@")
    (folder / ".pip").mkdir()
    (folder / ".pip" / "pip.conf").write_text(f"[global]\nindex-url = {url}\n")
    return {}


WAYS = (by_variable, by_old_variable, by_name, by_uv_file, by_netrc, by_pip_variable, by_pip_file)


@pytest.mark.parametrize("way", WAYS)
def test_the_users_settings_and_credentials_are_honoured_and_never_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Path, str], dict[str, str]]
) -> None:
    how = Behaviour(user=USER)
    with serve(PACKAGES, behaviour=how) as address:
        for name, value in way(home, address).items():
            monkeypatch.setenv(name, value)
        report, said = gather(home / "wheels")
        how.user = "somebody:else"
        monkeypatch.setenv("UV_CACHE_DIR", str(home / "another-cache"))
        with pytest.raises(CouldNot) as refusal:
            gather(home / "others")
    assert names(home / "wheels") == WHOLE
    assert report.fetched == 2
    shown = " ".join([*said, str(report), refusal.value.message, refusal.value.hint])
    assert "s3cret" not in shown
    assert "401" in shown or way is by_name  # of several indexes, uv only says that none has it


def test_the_total_is_said_first_and_what_is_there_is_not_fetched_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Behaviour()
    with serve(PACKAGES, behaviour=how) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        first, said = gather(home / "wheels")
        before = len(how.asked)
        second, again = gather(home / "wheels")
    size = sum(item.download_bytes or 0 for item in locked(*NAMES).wheels.values())
    assert said[0].startswith("test for macos-arm64-metal-py312: 2 wheels, ")
    assert (first.bytes, first.fetched_bytes) == (size, size)
    assert (second.fetched, second.fetched_bytes, len(how.asked)) == (0, 0, before)
    assert "2 are here, 0 kB to fetch" in again[0]


def test_a_connection_that_ends_early_is_taken_up_where_it_ended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Behaviour(cut=[100, 150])
    with serve({"alpha": [Release("1.0")]}, behaviour=how) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        gather(home / "wheels", locked("alpha"))
    ranges = [wanted for path, wanted in how.asked if path.startswith("/files/")]
    assert ranges == [None, "bytes=100-", "bytes=150-"]
    assert wheels.digest(home / "wheels" / WHOLE[0]) == locked("alpha").wheels["alpha"].hash


def test_a_later_run_goes_on_where_an_earlier_one_was_stopped(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Behaviour(cut=[100, 100, 100, 100])
    with serve({"alpha": [Release("1.0")]}, behaviour=how) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(CouldNot, match="ended too early"):
            gather(home / "wheels", locked("alpha"))
        assert names(home / "wheels") == [WHOLE[0] + ".part"]
        how.asked.clear()
        gather(home / "wheels", locked("alpha"))
    assert [wanted for path, wanted in how.asked if path.startswith("/files/")] == ["bytes=100-"]
    assert WHOLE[0] in names(home / "wheels")


def test_a_beginning_of_something_else_is_given_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "wheels").mkdir()
    (home / "wheels" / (WHOLE[0] + ".part")).write_bytes(b"not the beginning")
    with serve({"alpha": [Release("1.0")]}) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        gather(home / "wheels", locked("alpha"))
    assert names(home / "wheels") == [WHOLE[0], WHOLE[2]]


@pytest.mark.parametrize("longer", [b"", b"and more"])
def test_a_file_that_differs_is_refused_by_name_and_not_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, longer: bytes
) -> None:
    def change(path: str, content: bytes) -> bytes:
        return content[:-1] + b"?" + longer if "beta" in path and "/files/" in path else content

    with serve(PACKAGES, behaviour=Behaviour(change=change)) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(CouldNot, match=r"^beta_two-1.0-py3-none-any.whl is refused"):
            gather(home / "wheels")
    assert names(home / "wheels") == [WHOLE[0]]


def test_an_index_with_builds_of_its_own_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = locked("alpha")
    other = LockedWheel(
        name="alpha", version="1.0", hash="sha256:" + 64 * "0", download_bytes=9, installed_bytes=9
    )
    with serve(PACKAGES) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(CouldNot, match="alpha"):
            gather(home / "wheels", Lock(recipe="test", name=wanted.name, wheels={"alpha": other}))
    assert names(home / "wheels") == []


def test_a_package_may_be_at_any_of_several_indexes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PyTorch's index has old copies of what many packages require.
    old = {"alpha": [Release("0.9")], "beta-two": [Release("1.0")]}
    with serve(old) as first, serve({"alpha": [Release("1.0")]}) as second:
        monkeypatch.setenv("UV_INDEX", first)
        monkeypatch.setenv("UV_DEFAULT_INDEX", second)
        gather(home / "wheels")
    assert names(home / "wheels") == WHOLE


@pytest.mark.parametrize("statuses", [[503], [500, 429]])
def test_a_busy_server_is_asked_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, statuses: list[int]
) -> None:
    with serve(PACKAGES, behaviour=Behaviour(statuses=statuses)) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        gather(home / "wheels")
    assert names(home / "wheels") == WHOLE


def test_a_file_that_is_gone_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(PACKAGES, behaviour=Behaviour(statuses=[404])) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(CouldNot, match="404"):
            gather(home / "wheels")


def test_a_folder_of_wheels_may_be_the_source(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = home / "source"
    source.mkdir()
    for name, file in zip(NAMES, WHOLE, strict=False):
        (source / file).write_bytes(wheel(name, "1.0"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    gather(home / "wheels")
    assert names(home / "wheels") == WHOLE


def test_a_proxy_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".pip").mkdir()
    with serve(PACKAGES, host="packages.invalid") as proxy:
        (home / ".pip" / "pip.conf").write_text(
            f"[global]\nindex-url = http://packages.invalid/simple/\n"
            f"proxy = {proxy.removesuffix('/simple/')}\n"
        )
        gather(home / "wheels")
    assert names(home / "wheels") == WHOLE


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_a_companys_certificates_are_trusted_where_it_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(home / "company.pem"))
    with serve(PACKAGES, context=context) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(CouldNot):
            gather(home / "wheels")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv(name, str(home / "company.pem"))
        gather(home / "wheels")
    assert names(home / "wheels") == WHOLE


def test_certificates_that_cannot_be_read_are_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(PACKAGES) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        monkeypatch.setenv("SSL_CERT_FILE", str(home / "not-there.pem"))
        with pytest.raises(CouldNot, match=r"not-there\.pem"):
            gather(home / "wheels")


def test_where_the_folder_cannot_be_made_nothing_is_begun(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(Refused, match="cannot be used"):
        gather(home / "file")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lock", "nonsense"), "no lock named nonsense"),
        (("--recipe", "nonsense"), "no recipe named nonsense"),
        (("--lock", "linux-aarch64-cpu-py312"), "source only"),
        (("--lock", PLACE.name, "--outdated"), "not allowed"),
    ],
)
def test_the_command_says_what_it_cannot_gather(
    doctor: Doctor, words: tuple[str, ...], said: str
) -> None:
    run = doctor.json("recipes", "--download", "wheels", *words)
    assert run.code == 2
    assert said in run.report["error"]["message"]
    assert not (doctor.folder / "wheels").exists()


def test_the_command_says_first_how_much_and_then_that_nothing_answers(doctor: Doctor) -> None:
    nobody = {"UV_DEFAULT_INDEX": f"http://{USER}@127.0.0.1:9/simple/", "UV_HTTP_RETRIES": "0"}
    none = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    run = doctor.json("recipes", "--download", "wheels", "--lock", PLACE.name, **nobody, **none)
    assert run.code == 3
    assert "wheels, " in run.err and " MB to fetch" in run.err
    assert run.report["error"]["message"].startswith("The package index did not answer")
    assert "s3cret" not in run.out + run.err
