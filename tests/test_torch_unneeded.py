"""torch-unneeded: only where neither the model, nor the imports, nor another package needs it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from checks import torch_unneeded
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from tests import probe
from tests.conftest import make_environment, recorded
from tests.facts_of import distribution, replace, with_distributions, without

GB = 1_000_000_000
SIZES = {"torch": 2 * GB, "torchvision": GB, "nvidia-cublas-cu12": 3 * GB, "numpy": 7 * GB}


def idle() -> Facts:
    """The recorded environment with torch, as if the model's processor needed nothing of it."""
    facts = recorded("matched")
    assert facts.environment.processor is not None
    processor = replace(facts.environment.processor, needs=())
    environment = replace(facts.environment, processor=processor, torch_bytes=SIZES)
    return replace(facts, environment=environment)


def note(facts: Facts) -> Finding | None:
    found = list(torch_unneeded.check(facts))
    assert all(isinstance(item, Finding) for item in found)
    assert len(found) < 2
    return found[0] if found and isinstance(found[0], Finding) else None


def test_a_note_with_the_size_of_what_would_go() -> None:
    finding = note(idle())
    assert finding is not None
    assert finding.severity is Severity.NOTE
    assert "6.0 GB" in finding.title  # not numpy, which others require
    assert not finding.fix.automatic
    removed = finding.fix.summary.split()
    assert {"torch", "torchvision", "triton", "nvidia-cudnn-cu12"} <= set(removed)
    assert "numpy" not in removed
    assert "other models" in finding.cause


def test_older_facts_know_no_sizes() -> None:
    facts = idle()
    finding = note(replace(facts, environment=replace(facts.environment, torch_bytes={})))
    assert finding is not None
    assert "GB" not in finding.title


@pytest.mark.parametrize("name", ["report", "matched", "torch-free"])
def test_none_where_it_is_needed_or_not_there(name: str) -> None:
    assert note(recorded(name)) is None


@pytest.mark.parametrize("missing", ["torch", "mlx-vlm"])
def test_none_without(missing: str) -> None:
    assert note(without(idle(), missing)) is None


def test_none_where_a_generation_imports_it() -> None:
    facts = idle()
    imports = facts.environment.imports
    assert imports is not None
    reached = replace(imports, reached=(*imports.reached, "torch"))
    assert note(replace(facts, environment=replace(facts.environment, imports=reached))) is None


@pytest.mark.parametrize("field", ["processor", "imports"])
def test_none_where_it_cannot_be_told(field: str) -> None:
    facts = idle()
    value = getattr(facts.environment, field)
    for unknown in (None, replace(value, unknown="a reason")):
        changed = msgspec.structs.replace(facts.environment, **{field: unknown})
        assert note(replace(facts, environment=changed)) is None


@pytest.mark.parametrize(
    "others",
    [
        [distribution("accelerate", "1.0", "torch>=2.0.0")],
        [distribution("Open_CLIP", "1.0", "TorchVision")],
        [distribution("one", "1", "two[deep]"), distribution("two", "1", 'torch; extra == "deep"')],
        [
            distribution("one", "1", "two[all]"),
            distribution("two", "1", 'two[deep]; extra == "all"', 'torch; extra == "deep"'),
        ],
    ],
)
def test_none_where_another_package_requires_it(others: list[object]) -> None:
    assert note(with_distributions(idle(), *others)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        distribution("safetensors", "0.8.0", 'torch>=1.10; extra == "torch"'),
        distribution("elsewhere", "1", 'torch; sys_platform == "win32"'),
        distribution("torchinfo", "1"),
        distribution("broken", "1", "torch >= ?", "["),
    ],
)
def test_what_requires_it_only_elsewhere_does_not_count(other: object) -> None:
    assert note(with_distributions(idle(), other)) is not None  # type: ignore[arg-type]


def test_what_another_package_requires_stays() -> None:
    facts = with_distributions(idle(), distribution("jax-cuda", "1", "nvidia-cudnn-cu12>=9"))
    finding = note(facts)
    assert finding is not None
    removed = finding.fix.summary.split()
    # cudnn requires cublas, so that stays too.
    assert "nvidia-cudnn-cu12" not in removed
    assert "nvidia-cufft-cu12" in removed


def test_the_probe_adds_up_records(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    probe.write(
        folder,
        {
            "torch-9.dist-info/METADATA": "Name: torch\nVersion: 9\n"
            "Requires-Dist: inner\nRequires-Dist: outer; extra == 'x'\n",
            "torch-9.dist-info/RECORD": 'torch/a.py,sha256=x,10\n"torch/a,b.py",sha256=y,5\n'
            "torch-9.dist-info/RECORD,,\ntorch/c.py,," + "9" * 5000 + "\n",
            "inner-1.dist-info/METADATA": "Name: Inner\nVersion: 1\n",
            "inner-1.dist-info/RECORD": "inner.py,sha256=z,7\n",
            "outer-1.dist-info/METADATA": "Name: outer\nVersion: 1\n",
            "outer-1.dist-info/RECORD": "outer.py,sha256=z,1000\n",
            "torchvision-1.dist-info/METADATA": "Name: torchvision\nVersion: 1\n",
        },
    )
    entry = {"path": str(folder), "kind": "site-packages"}
    found, _ = probe.module("distributions").find([entry], probe.notes())
    sizes = probe.module("disk").torch_bytes(found, probe.notes())
    assert sizes == {"torch": 15, "Inner": 7}
    without_torch = [item for item in found if item["name"] != "torch"]
    assert probe.module("disk").torch_bytes(without_torch, probe.notes()) == {}


def test_no_torch_no_sizes_in_a_real_environment(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment", "idna")
    assert probe.environment_of(probe.ask(python)).torch_bytes == {}
