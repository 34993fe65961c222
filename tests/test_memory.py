"""The memory check: the report's rule on the report's Mac, and its edges."""

from __future__ import annotations

import pytest

from checks import memory
from doctor.actions import Advice
from doctor.facts import Facts, Process
from doctor.findings import Finding, NotChecked, Severity
from fixes import memory as fix
from tests.conftest import recorded
from tests.facts_of import REPORT_MAC, on_machine, replace

GIB = 2**30


def only(facts: Facts) -> Finding:
    (finding,) = memory.check(facts)
    assert isinstance(finding, Finding)
    return finding


def test_the_reports_mac_is_short_of_memory() -> None:
    facts = replace(recorded("report"), machine=REPORT_MAC)
    finding = only(facts)
    assert (finding.code, finding.severity) == ("ram-short", Severity.WARNING)
    assert "3.2 GB" in finding.title
    assert "peak of a generation" in [evidence.fact for evidence in finding.evidence]
    assert "GPU budget" in [evidence.fact for evidence in finding.evidence]
    assert "max_tokens below 150" in finding.fix.summary
    assert "Qwen2-VL-2B" in finding.fix.summary
    assert list(fix.actions(finding, facts)) == [
        Advice(summary=finding.fix.summary, code="ram-short")
    ]


@pytest.mark.parametrize(
    ("available", "warns"), [(5 * GIB - 1, True), (5 * GIB, False), (9 * GIB, False)]
)
def test_the_reports_rule(available: int, warns: bool) -> None:
    facts = on_machine(recorded("report"), ram_total_bytes=16 * GIB, ram_available_bytes=available)
    assert bool(list(memory.check(facts))) is warns


def test_weights_larger_than_all_memory_are_an_error() -> None:
    facts = on_machine(
        recorded("report"),
        ram_total_bytes=3 * GIB,
        ram_available_bytes=2 * GIB,
        swap_total_bytes=0,
    )
    assert only(facts).severity is Severity.ERROR


def test_what_to_close_comes_biggest_first() -> None:
    processes = (
        Process(name="Browser", resident_bytes=3_000_000_000),
        Process(name="Editor", resident_bytes=1_000_000_000),
    )
    facts = on_machine(recorded("report"), ram_available_bytes=GIB, processes=processes)
    assert "Browser (3.0 GB), Editor (1.0 GB)" in only(facts).fix.summary


def test_memory_that_is_not_known_is_said() -> None:
    (gap,) = memory.check(on_machine(recorded("report"), ram_available_bytes=None))
    assert isinstance(gap, NotChecked)
    assert not gap.decides
