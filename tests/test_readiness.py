"""The field report's criteria, before a run and after it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from doctor.readiness import judged
from doctor.reports import SCHEMA, Tool
from doctor.reports.smoke import SmokeModel, SmokeReport
from tests.conftest import recorded
from tests.facts_of import REPORT_MAC

FACTS = msgspec.structs.replace(recorded("torch-free"), machine=REPORT_MAC)

RAN = SmokeReport(
    schema=SCHEMA,
    command="smoke",
    tool=Tool(),
    model=SmokeModel(id="mlx-community/Qwen3-VL-4B-Instruct-4bit", stand_in=False),
    passed=True,
    stages=(),
    load_seconds=2.8,
    generation_tokens=100,
    tokens_per_second=16.3,
    time_to_first_token_seconds=1.0,
    peak_memory_bytes=4_000_000_000,
    ram_delta_bytes=0,
    swap_delta_bytes=900_000_000,
    pressure_before="normal",
    pressure_after="critical",
    prompt=None,
    answer=None,
    expected=None,
    seconds=10.0,
    settings={"max_tokens": 100},
)


def met(report: SmokeReport) -> dict[str, bool | None]:
    return {row.name: row.met for row in judged(report, FACTS).ready}


def test_the_field_reports_own_run_is_not_ready() -> None:
    rows = {row.name: row for row in judged(RAN, FACTS).ready}
    assert [row.measured for row in rows.values()] == ["16", "900 MB", "critical"]
    assert not any(row.met for row in rows.values())
    assert all(row.predicted is not None for row in rows.values())


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"tokens_per_second": 30.0}, "tokens-per-second", True),
        ({"swap_delta_bytes": -5}, "swap-bytes", True),
        ({"swap_delta_bytes": None}, "swap-bytes", None),
        ({"pressure_after": "warn"}, "memory-pressure", True),
        ({"pressure_before": None, "pressure_after": None}, "memory-pressure", None),
    ],
)
def test_each_criterion_by_what_was_measured(
    changes: dict[str, Any], name: str, expected: bool | None
) -> None:
    assert met(msgspec.structs.replace(RAN, **changes))[name] is expected


def test_a_stand_in_and_a_run_that_failed_say_nothing() -> None:
    small = SmokeModel(id="own", stand_in=True)
    assert met(msgspec.structs.replace(RAN, model=small)) == {}
    assert met(msgspec.structs.replace(RAN, tokens_per_second=None)) == {}
