"""The swap check: the report's levels."""

from __future__ import annotations

import pytest

from checks import swap
from doctor.findings import Finding, NotChecked, Severity
from tests.conftest import recorded
from tests.facts_of import REPORT_MAC, on_machine, replace

MB = 1_000_000


@pytest.mark.parametrize(
    ("used", "severity", "words"),
    [
        (1, Severity.NOTE, "5 to 10 %"),
        (500 * MB, Severity.NOTE, "5 to 10 %"),
        (501 * MB, Severity.WARNING, "slower"),
        (1_700 * MB, Severity.WARNING, "30 to 50 %"),
        (2_600 * MB, Severity.WARNING, "2 to 3 times"),
        (60_000 * MB, Severity.WARNING, "2 to 3 times"),
    ],
)
def test_levels(used: int, severity: Severity, words: str) -> None:
    (finding,) = swap.check(on_machine(recorded("report"), swap_used_bytes=used))
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("swap-high", severity)
    assert words in finding.cause


def test_swap_in_zram_waits_for_no_disk() -> None:
    facts = on_machine(recorded("report"), swap_used_bytes=2_600 * MB, swap_on_disk=False)
    (finding,) = swap.check(facts)
    assert isinstance(finding, Finding)
    assert finding.severity is Severity.NOTE
    assert "zram" in finding.cause


def test_no_swap_no_word() -> None:
    assert list(swap.check(on_machine(recorded("report"), swap_used_bytes=0))) == []


def test_swap_that_is_not_known_is_said() -> None:
    (gap,) = swap.check(on_machine(recorded("report"), swap_used_bytes=None))
    assert isinstance(gap, NotChecked)


def test_the_reports_mac() -> None:
    found = list(swap.check(replace(recorded("report"), machine=REPORT_MAC)))
    assert [item.code for item in found if isinstance(item, Finding)] == [
        "swap-high",
        "memory-pressure",
    ]
    assert all(item.severity is Severity.WARNING for item in found if isinstance(item, Finding))
