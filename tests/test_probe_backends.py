"""What transformers takes for available, and what torch cannot be loaded without."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from checks import versions
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from tests import probe
from tests.conftest import recorded
from tests.facts_of import distribution, replace, with_distributions, with_version, without

tables = probe.module("transformers_tables")
libraries = probe.module("libraries")
distributions = probe.module("distributions")

# As in transformers 5.23 and 4.57, shortened.
NEW = """
ACCELERATE_MIN_VERSION = "1.1.0"


def _is_package_available(pkg_name, return_version=False):
    package_exists = find_spec(pkg_name) is not None
    if package_exists and return_version:
        pass
    return package_exists, None


def is_accelerate_available(min_version: str = ACCELERATE_MIN_VERSION) -> bool:
    if not is_torch_available():
        return False
    return False


def is_tokenizers_available() -> bool:
    return _is_package_available("tokenizers")[0]


END = 1
"""
OLD = """
def _is_package_available(pkg_name, return_version=False):
    package_exists = find_spec(pkg_name) is not None
    if package_exists:
        pass


def is_accelerate_available(min_version: str = "0.26"):
    return True


END = 1
"""


def test_what_a_guard_asks_for() -> None:
    assert tables.guard(NEW, "accelerate") == {"guard_needs": ["torch"], "guard_least": "1.1.0"}
    assert tables.guard(NEW, "tokenizers") == {"guard_needs": [], "guard_least": None}
    assert tables.guard(OLD, "accelerate") == {"guard_needs": [], "guard_least": "0.26"}
    assert tables.guard(OLD, "tokenizers") == {}
    assert [tables.module_suffices(text) for text in (NEW, OLD, "")] == [True, False, None]


@pytest.mark.parametrize(
    ("requirement", "version", "lacks"),
    [
        ("a>=2", "1.9", True),
        ("a>=2", "2.0.0", False),
        ("a >= 2.0", "2", False),
        ("a<2,>=1.5", "1.10", False),
        ("a", None, False),
        ("a>=1", "what", False),
        ("b", "1", True),
    ],
)
def test_what_is_surely_too_old(requirement: str, version: str | None, lacks: bool) -> None:
    assert distributions._lacks(requirement, {"a": version}) is lacks


def errors(facts: Facts) -> list[str]:
    return [
        finding.title.partition(" is ")[0]
        for finding in versions.check(facts)
        if isinstance(finding, Finding) and finding.severity is Severity.ERROR
    ]


def guarded(facts: Facts, **fields: Any) -> Facts:
    """Facts in which transformers enforces accelerate behind a guard."""
    transformers = facts.environment.transformers
    assert transformers is not None
    assert transformers.enforced is not None
    enforced = tuple(
        replace(entry, guard_needs=("torch",), guard_least="1.1.0")
        if entry.requirement.startswith("accelerate")
        else entry
        for entry in transformers.enforced
    )
    changed = replace(transformers, enforced=enforced, **fields)
    return replace(facts, environment=replace(facts.environment, transformers=changed))


def test_a_package_that_the_guard_passes_over_is_not_refused() -> None:
    facts = guarded(
        with_distributions(recorded("torch-free"), distribution("accelerate", "0.20.3"))
    )
    assert errors(facts) == []
    facts = with_distributions(facts, distribution("torch", "2.9.1"))
    assert errors(facts) == []  # below what the guard wants, it is as good as absent
    facts = with_version(facts, "accelerate", "1.0.9")
    assert errors(facts) == []


def test_a_package_whose_metadata_is_gone_is_asked_for_by_its_module() -> None:
    gone = without(recorded("torch-free"), "tokenizers")
    assert errors(guarded(gone, module_suffices=True)) == ["tokenizers"]
    assert "tokenizers" not in errors(guarded(gone, module_suffices=False))


def library(path: Path, needed: Path, folder: str) -> None:
    """A real shared library that needs another, which it looks for in ``folder``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".c")
    source.write_text("int own(void);\nint use(void) { return own(); }\n")
    subprocess.run(
        ["gcc", "-shared", "-o", path, source, needed, f"-Wl,-rpath,{folder}"],
        check=True,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site folder with torch's library, and the one of another package that it needs."""
    own = tmp_path / "nvidia" / "own" / "lib" / "libown.so.2"
    own.parent.mkdir(parents=True)
    source = tmp_path / "own.c"
    source.write_text("int own(void) { return 1; }\n")
    subprocess.run(["gcc", "-shared", "-o", own, source, "-Wl,-soname,libown.so.2"], check=True)
    library(tmp_path / "torch" / "_C.so", own, "$ORIGIN/../nvidia/own/lib")
    return tmp_path


def missing(site: Path) -> list[str]:
    found = libraries.missing([str(site / "torch" / "_C.so")], [str(site)])
    return [one["name"] for one in found]


def test_a_library_whose_package_is_gone_is_missing(site: Path) -> None:
    assert missing(site) == []
    (site / "nvidia" / "own").rename(site / "nvidia" / "elsewhere")
    assert missing(site) == []  # torch looks through all of them
    (site / "nvidia").rename(site / "gone")
    assert missing(site) == ["libown.so.2"]


def test_what_the_system_may_have_is_not_missing(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "nvidia").rename(site / "gone")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(site / "gone" / "own" / "lib"))
    assert missing(site) == []


def test_a_library_that_a_module_loads_by_name(tmp_path: Path) -> None:
    judge = probe.module("damage")._judge_named
    path = tmp_path / "_C.so"
    path.write_bytes(b"\x7fELF cut off")
    for text, harmed in (("load('_C')", True), ("load('_C_other')", False)):
        (tmp_path / "extension.py").write_text(text)
        file = {"path": str(path), "bytes": 12, "recorded_bytes": 24, "kind": "compiled"}
        judge({**file, "problem": None}, {})
        told: dict[str, Any] = {**file, "problem": None}
        judge(told, {"other.extension": str(tmp_path / "extension.py")})
        assert (told["problem"] is not None) is harmed
