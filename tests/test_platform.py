"""The platform check, on facts of machines that we do not have."""

from __future__ import annotations

import pytest

from checks import platform
from doctor.facts import DamagedFile, Facts, StrayLibrary
from doctor.findings import Finding, Severity
from doctor.intents import UseRecipe
from fixes import platform as fix
from tests.conftest import recorded
from tests.facts_of import REPORT_MAC, distribution, on_machine, replace, with_distributions

Found = list[tuple[str, Severity]]

MAC_TAG = "cp311-cp311-macosx_14_0_arm64"


def on(facts: Facts, **fields: object) -> Facts:
    """The facts with another interpreter; ``system`` and ``processor`` are its markers."""
    interpreter = facts.environment.interpreter
    markers = dict(interpreter.markers)
    if "system" in fields:
        markers["sys_platform"] = str(fields.pop("system"))
    if "processor" in fields:
        markers["platform_machine"] = str(fields.pop("processor"))
    interpreter = replace(interpreter, markers=markers, **fields)
    return replace(facts, environment=replace(facts.environment, interpreter=interpreter))


def on_a_mac(tag: str = MAC_TAG, macos: str = "15.6.1", processor: str = "arm64") -> Facts:
    """The torch-free environment as it would be on a Mac, its mlx from a wheel of this tag."""
    facts = on(recorded("torch-free"), system="darwin", processor=processor, libc=None, macos=macos)
    facts = replace(facts, machine=REPORT_MAC)
    return with_distributions(facts, replace(distribution("mlx", "0.32.4"), tags=(tag,)))


def found(facts: Facts) -> Found:
    return [
        (item.code, item.severity) for item in platform.check(facts) if isinstance(item, Finding)
    ]


def title(facts: Facts) -> str:
    (finding,) = platform.check(facts)
    assert isinstance(finding, Finding)
    return finding.title


def test_environments_that_run_have_no_findings(any_facts: Facts) -> None:
    assert found(any_facts) == []
    assert found(on_a_mac()) == []


def test_a_python_under_rosetta() -> None:
    facts = on_machine(on_a_mac(processor="x86_64"), apple_silicon=True)
    assert found(facts)[0] == ("platform-unsupported", Severity.ERROR)
    assert any(
        "Rosetta" in item.title for item in platform.check(facts) if isinstance(item, Finding)
    )


def test_an_intel_mac() -> None:
    facts = on_machine(on_a_mac(processor="x86_64"), apple_silicon=False)
    first = next(item for item in platform.check(facts) if isinstance(item, Finding))
    assert (first.code, first.title) == ("platform-unsupported", "This is an Intel Mac")
    assert not first.fix.automatic


def test_an_mlx_of_ones_own_runs_where_there_are_no_wheels() -> None:
    facts = on(recorded("torch-free"), processor="riscv64")
    own = replace(distribution("mlx", "0.32.4"), tags=("cp311-cp311-linux_riscv64",))
    assert found(with_distributions(facts, own)) == []
    assert found(facts)[0] == ("platform-unsupported", Severity.ERROR)


@pytest.mark.parametrize(
    ("tag", "macos", "reason"),
    [
        ("cp311-cp311-macosx_14_0_arm64", "13.6", "macOS 14.0 or newer"),
        ("cp311-cp311-macosx_26_0_arm64", "15.6.1", "macOS 26.0 or newer"),
        ("cp311-cp311-macosx_11_0_universal2", "15.6", None),
        ("cp311-cp311-macosx_11_0_x86_64", "15.6", "x86_64"),
        ("cp311-cp311-manylinux_2_35_aarch64", "15.6", "Linux"),
        # SYSTEM_VERSION_COMPAT hides which macOS it is.
        ("cp311-cp311-macosx_14_0_arm64", "10.16", None),
    ],
)
def test_mlx_for_another_mac(tag: str, macos: str, reason: str | None) -> None:
    facts = on_a_mac(tag, macos)
    wheels = [item for item in found(facts) if item[0] == "wheel-unsuitable"]
    assert wheels == ([("wheel-unsuitable", Severity.ERROR)] if reason else [])
    if reason:
        assert reason in title(facts)


@pytest.mark.parametrize(
    ("tag", "suits"),
    [
        ("cp311-cp311-manylinux_2_35_x86_64", True),
        ("cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("cp39.cp310-abi3-manylinux2014_x86_64", True),
        ("py3-none-manylinux_2_17_x86_64", True),
        ("py2.py3-none-any", True),
        ("cp311-cp311-linux_x86_64", True),
        ("cp312-abi3-manylinux_2_17_x86_64", False),
        ("cp310-cp310-manylinux_2_17_x86_64", False),
        ("cp311-cp311-manylinux_2_17_aarch64", False),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
        ("cp311-cp311-macosx_14_0_arm64", False),
        ("cp311-cp311-win_amd64", False),
        ("cp311-cp311-manylinux_2_99_x86_64", False),
        ("pp311-pypy311_pp73-manylinux_2_17_x86_64", False),
        ("nonsense", True),
    ],
)
def test_which_tags_suit_this_linux(tag: str, suits: bool) -> None:
    from packaging.tags import compatible_tags, cpython_tags, parse_tag

    facts = on(recorded("torch-free"), libc="glibc 2.36", version="3.11.7")
    item = replace(distribution("numpy", "2.0"), tags=(tag,))
    assert (platform.unsuitable(item, facts.environment.interpreter) is None) == suits
    if tag != "nonsense":
        # What packaging says of a glibc 2.36.
        names = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
        names += ["manylinux2014_x86_64", "linux_x86_64"]
        known = {
            *cpython_tags((3, 11), ["cp311"], names),
            *compatible_tags((3, 11), "cp311", names),
        }
        assert bool(parse_tag(tag) & known) == suits


def test_an_old_glibc_matters_to_mlx_and_is_a_risk_for_others() -> None:
    facts = on(recorded("torch-free"), libc="glibc 2.31")
    tag = "cp311-cp311-manylinux_2_35_x86_64"
    mlx = replace(distribution("mlx", "0.32.4"), tags=(tag,))
    numpy = replace(distribution("numpy", "2.4.6"), tags=(tag,))
    assert found(with_distributions(facts, mlx)) == [("wheel-unsuitable", Severity.ERROR)]
    assert found(with_distributions(facts, numpy)) == [("wheel-unsuitable", Severity.WARNING)]
    assert "glibc 2.35" in title(with_distributions(facts, mlx))


def test_another_pythons_modules_are_an_error_where_the_trace_misses_them() -> None:
    facts = recorded("torch-free")
    tagged = replace(distribution("numpy", "2.4.6"), tags=("cp312-cp312-manylinux_2_27_x86_64",))
    facts = with_distributions(facts, tagged)
    assert found(facts) == [("wheel-unsuitable", Severity.WARNING)]
    missed = DamagedFile(
        distribution="numpy",
        path="numpy/x.cpython-312-x86_64-linux-gnu.so",
        recorded_bytes=10,
        bytes=10,
        module="numpy.x",
        problem="it is compiled for another Python",
    )
    facts = replace(facts, environment=replace(facts.environment, damaged=(missed,)))
    (finding,) = platform.check(facts)
    assert isinstance(finding, Finding) and finding.severity is Severity.ERROR
    assert list(fix.actions(finding, facts)) == [UseRecipe(reinstall=("numpy",))]


def test_a_package_that_does_not_want_this_python() -> None:
    facts = recorded("torch-free")
    newer = replace(distribution("mlx-audio", "0.6.2"), requires_python=">=3.13")
    assert found(with_distributions(facts, newer)) == [("wheel-unsuitable", Severity.WARNING)]
    for odd in ("no version at all", ">=" + "9" * 5000):
        assert found(with_distributions(facts, replace(newer, requires_python=odd))) == []


def test_a_package_that_is_not_for_so_new_a_python() -> None:
    older = replace(distribution("mlx-audio", "0.6.2"), requires_python="<3.11")
    (finding,) = platform.check(with_distributions(recorded("torch-free"), older))
    assert isinstance(finding, Finding)
    assert "newer" not in finding.fix.summary


def test_the_placeholder() -> None:
    facts = with_distributions(recorded("torch-free"), distribution("mlx", "0.0.0"))
    assert found(facts) == [("wheel-unsuitable", Severity.ERROR)]


def test_a_virtual_mac_is_a_warning() -> None:
    facts = on_machine(on_a_mac(), virtual=True)
    assert found(facts) == [("platform-unsupported", Severity.WARNING)]


@pytest.mark.parametrize("lacks", ["_ZN3mlx4core4sqrt", None])
def test_another_copy_of_the_library(lacks: str | None) -> None:
    facts = recorded("torch-free")
    stray = StrayLibrary(path="/opt/homebrew/lib/libmlx.dylib", lacks=lacks)
    facts = replace(facts, environment=replace(facts.environment, stray_libraries=(stray,)))
    severity = Severity.ERROR if lacks else Severity.WARNING
    assert found(facts) == [("environment-variable", severity)]
    assert title(facts).startswith("DYLD_LIBRARY_PATH")


def test_variables() -> None:
    facts = replace(on_a_mac(), variables={"MLX_METAL_FAST_SYNCH": "1"})
    assert found(facts) == []
    old = with_distributions(facts, distribution("mlx", "0.24.1"))
    assert found(old) == [("environment-variable", Severity.WARNING)]
    assert found(replace(old, variables={"MLX_METAL_FAST_SYNCH": "0"})) == []
    assert found(on_a_mac(macos="10.16")) == [("environment-variable", Severity.WARNING)]
