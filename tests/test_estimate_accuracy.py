"""The recorded runs again: how near the estimates come must not get worse unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Fixed
from tools.estimate_accuracy import linux, mac, weights


@pytest.fixture(scope="module")
def told() -> list[mac.Run]:
    """The predictions for every fourth run, the weights as the files' headers sum."""
    return list(mac.runs(headers=True, every=4))


def test_the_fitted_models(told: list[mac.Run]) -> None:
    found = mac.figures(run for run in told if not run.aside)
    assert found.within >= 0.97
    assert found.median <= 0.025
    assert found.covered >= 0.95
    assert found.false_refusals <= 0.05


def test_the_models_set_aside(told: list[mac.Run]) -> None:
    """Nothing was fitted to them; where their code was read since is said in the README."""
    found = mac.figures(run for run in told if run.aside)
    assert found.within >= 0.97
    assert found.median <= 0.02
    assert found.covered >= 0.9
    assert found.false_refusals <= 0.05


@pytest.mark.parametrize("headers", [True, False])
def test_nothing_that_does_not_fit_is_said_to(told: list[mac.Run], headers: bool) -> None:
    """Of 484 runs on six simulated machines each, the weights from headers or counted."""
    runs = told if headers else mac.runs(headers=False, every=4)
    assert mac.figures(runs).false_fits == 0


def test_speed_by_bandwidth(told: list[mac.Run]) -> None:
    speed = mac.figures(told).speed_median
    assert speed is not None and speed <= 0.12


def test_small_models_on_the_cpu_backend() -> None:
    found = list(linux.errors())
    assert len({kind for kind, *_ in found}) >= 14
    assert max(abs(weights) for _, _, weights, _ in found) < 0.01
    errors = sorted(abs(peak) for *_, peak in found)
    assert errors[-1] <= 0.1
    assert errors[len(errors) // 2] < 0.04


def test_weights_of_real_conversions_as_recorded() -> None:
    rows = json.loads(weights.RECORDED.read_bytes())
    assert len({row["way"] for row in rows}) >= 12
    assert max(abs(row["told"] / row["held"] - 1) for row in rows) < 0.01


def test_weights_of_a_real_conversion(fresh: Fixed, tmp_path: Path) -> None:
    rows = weights.measured(
        str(fresh.python), tmp_path, ("pixtral-medium",), ("affine-3", "mixed_4_8")
    )
    errors = [row["told"] / row["held"] - 1 for row in rows]
    assert len(errors) == 2
    assert max(abs(error) for error in errors) < 0.01
