"""Installing by hash: from where the user says, what is locked and nothing else, never built."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor import plan
from doctor.packages import uv
from tests.conftest import make_environment
from tests.package_index import Behaviour, Release, serve, source, wheel
from tests.test_gathering import NAMES, PACKAGES, USER, by_name, by_pip_file, home, locked

__all__ = ["home"]  # a fixture


def install(python: Path, lines: str, wheels: Path | None = None) -> list[str]:
    """Install, and what was said meanwhile."""
    said: list[str] = []
    folder = str(wheels) if wheels else None
    uv.install(str(python), lines, (), offline=False, wheels=folder, progress=said.append)
    return said


def lines(*names: str) -> str:
    """The hashed requirements of some packages, all of them by default."""
    return locked(*(names or NAMES)).requirements(set(names or NAMES))


@pytest.mark.parametrize("way", [by_name, by_pip_file])
def test_the_users_own_index_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Path, str], dict[str, str]]
) -> None:
    python = make_environment(home / "environment")
    with serve(PACKAGES, behaviour=Behaviour(user=USER)) as address:
        for name, value in way(home, address).items():
            monkeypatch.setenv(name, value)
        said = install(python, lines())
    assert any("beta-two" in line for line in said)
    assert "s3cret" not in " ".join(said)


def test_the_environments_own_pip_settings_count(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_environment(home / "environment")
    with serve(PACKAGES) as address:
        (home / "environment" / "pip.conf").write_text(f"[global]\nindex-url = {address}\n")
        assert install(python, lines())


@pytest.mark.parametrize("variable", ["UV_NO_VERIFY_HASHES", "UV_NO_BINARY", "UV_CONSTRAINT"])
def test_a_file_that_differs_is_refused_by_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    python = make_environment(home / "environment")
    (home / "wheels").mkdir()
    other = home / "wheels" / "alpha-1.0-py3-none-any.whl"
    other.write_bytes(wheel("alpha", "1.0"))
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("alpha.py", "print('another')")
    (home / "constraints").write_text("alpha<1\n")
    # What would let it in, were it heeded.
    monkeypatch.setenv(variable, str(home / "constraints") if "CONST" in variable else "1")
    with pytest.raises(uv.InstallFailed) as refusal:
        install(python, lines("alpha"), home / "wheels")
    told = "the file of alpha 1.0 is refused: it is not the one that is locked"
    assert str(refusal.value) == told


@pytest.mark.parametrize("cut", [lambda content: content[:-30], lambda content: b"no archive"])
def test_a_file_that_is_damaged_is_refused_by_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, cut: Callable[[bytes], bytes]
) -> None:
    python = make_environment(home / "environment")

    def change(path: str, content: bytes) -> bytes:
        return cut(content) if path.startswith("/files/alpha") else content

    with serve(PACKAGES, behaviour=Behaviour(change=change)) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(uv.InstallFailed, match=r"^the file of alpha 1\.0 is refused"):
            install(python, lines())


def sdist(folder: Path, mark: Path) -> str:
    """A source release whose ``setup.py`` leaves a mark; its hashed requirement."""
    setup = f"open({str(mark)!r}, 'w')\nfrom setuptools import setup\nsetup(name='alpha')\n"
    about = "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
    path = folder / "alpha-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("setup.py", setup), ("PKG-INFO", about)):
            member = tarfile.TarInfo(f"alpha-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return f"alpha==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.mark.parametrize("variable", ["UV_NO_BINARY", "UV_NO_BUILD_ISOLATION"])
def test_no_strangers_program_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    python = make_environment(home / "environment")
    (home / "sources").mkdir()
    requirement = sdist(home / "sources", home / "mark")
    monkeypatch.setenv(variable, "1")
    with pytest.raises(uv.InstallFailed):
        install(python, requirement, home / "sources")
    assert not (home / "mark").exists()


def test_what_has_no_wheel_is_built_where_the_user_allows_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_environment(home / "environment")
    mark = home / "mark"
    packages = {**PACKAGES, "alpha": [Release("1.0", source=source("alpha", "1.0", str(mark)))]}
    made = plan.Plan(actions=(), fingerprint="", requirements=lines())
    with serve(packages) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address.replace("//", "//me:s3cret@"))
        with pytest.raises(uv.InstallFailed, match=r"no wheel of alpha 1\.0 .* --allow-builds"):
            install(python, lines())
        platform, deadline = "x86_64-manylinux_2_35", time.monotonic() + 60
        (build,) = uv.builds(made.requirements, platform, "3.12", deadline)
        assert (
            build.line() == f"alpha 1.0 from {address.replace('simple', 'files')}alpha-1.0.tar.gz"
        )
        assert not mark.exists()  # nothing is built to know that
        made = made.building([build])
        built = [build.name for build in made.builds]
        uv.install(str(python), made.requirements, (), False, None, lambda line: None, built)
    assert mark.exists()
    (module,) = (home / "environment").rglob("alpha.py")
    assert module.read_text() == "built = True\n"


def test_a_wheel_that_differs_is_not_let_in_by_allowing_builds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_environment(home / "environment")
    beta = Release("1.0", source=source("beta-two", "1.0", str(home / "mark")))
    packages = {**PACKAGES, "beta-two": [beta]}
    made = plan.Plan(actions=(), fingerprint="", requirements=lines())
    with serve(packages, behaviour=Behaviour(change=_rebuilt)) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        deadline = time.monotonic() + 60
        made = made.building(uv.builds(lines(), "x86_64-manylinux_2_35", "3.12", deadline))
        built = [build.name for build in made.builds]
        assert built == ["beta-two"]
        with pytest.raises(uv.InstallFailed, match=r"alpha 1\.0 is refused"):
            uv.install(str(python), made.requirements, (), False, None, lambda line: None, built)


def _rebuilt(path: str, content: bytes) -> bytes:
    return content + b"rebuilt" if path.startswith("/files/alpha") else content


INDEXES = [("UV_INDEX", "UV_DEFAULT_INDEX"), ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL")]


@pytest.mark.parametrize(("extra", "main"), INDEXES)
def test_a_package_may_be_at_any_of_several_indexes(
    home: Path, monkeypatch: pytest.MonkeyPatch, extra: str, main: str
) -> None:
    # PyTorch's index has old copies of what many packages require.
    python = make_environment(home / "environment")
    old = {"alpha": [Release("0.9")], "beta-two": [Release("1.0")]}
    with serve(old) as first, serve({"alpha": [Release("1.0")]}) as second:
        monkeypatch.setenv(extra, first)
        monkeypatch.setenv(main, second)
        assert any("beta-two" in line for line in install(python, lines()))


@pytest.mark.parametrize(("extra", "main"), INDEXES)
def test_another_build_at_one_of_several_indexes_does_no_harm(
    home: Path, monkeypatch: pytest.MonkeyPatch, extra: str, main: str
) -> None:
    python = make_environment(home / "environment")
    (home / "wheels").mkdir()

    def rebuild(path: str, content: bytes) -> bytes:
        return content if path.startswith("/simple/") else content + b"rebuilt"

    with serve(PACKAGES, behaviour=Behaviour(change=rebuild)) as first, serve(PACKAGES) as second:
        monkeypatch.setenv(extra, first)
        monkeypatch.setenv(main, second)
        assert any("alpha" in line for line in install(python, lines()))


def test_without_a_network_it_says_what_helps(home: Path) -> None:
    python = make_environment(home / "environment")
    with pytest.raises(uv.InstallFailed, match=r"without a network: .* recipes --download"):
        uv.install(str(python), lines(), (), offline=True, wheels=None, progress=lambda line: None)
