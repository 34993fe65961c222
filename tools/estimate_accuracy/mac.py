"""The estimate against the runs of ``tests/measured/peaks.tsv`` (a Mac's GPU).

Its models' files are not here. Their configs are in ``configs.json``, each with where it is from;
weights are counted from the config (``counted``), or taken as the files' headers would give them,
which is what MLX holds after loading (``headers``). Where a picture's size is not recorded, one of
three by two is taken whose tokens fill what the prompt leaves.
A third of the models is set aside by the hash of their names.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from doctor.estimate import Estimate, Job, Library, WeightSizes, estimate, judge, weights_of_config
from doctor.estimate.architecture import Architecture, read
from doctor.estimate.pictures import see
from doctor.facts import Machine

RUNS = Path(__file__).parent.parent.parent / "tests" / "measured" / "peaks.tsv"
CONFIGS = Path(__file__).parent / "configs.json"
# Widths of pictures that are tried; two thirds of it is the height.
WIDTHS = (64, 128, 256, 384, 512, 640, 768, 896, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 6000)
# A chat template and a short question.
LEAST_TEXT = 12
# A rule that says so many more tokens than there were may be wrong by a row; beyond, the recorded
# picture is another one.
OFF = 0.1
# Metal's share of RAM, on macOS 26 (MEMORY.md's table), for simulated machines.
SIMULATED = {8: 0.667, 16: 0.74, 24: 0.74, 32: 0.78, 48: 0.8, 64: 0.81}
# Where fits or not is a matter of the last percents, neither answer is wrong.
CLEARLY = 0.85


@dataclass(frozen=True)
class Run:
    """One measured run and what was predicted for it. Sizes in bytes."""

    model: str
    aside: bool
    measured: float
    measured_weights: float
    speed: float | None
    told: Estimate

    @property
    def error(self) -> float:
        """How much too high the predicted peak is, as a share."""
        return self.told.peak_bytes / self.measured - 1


def set_aside(model: str) -> bool:
    """Whether a model is kept from fitting: every third, by the hash of its name."""
    return int(hashlib.sha256(model.encode()).hexdigest(), 16) % 3 == 0


def runs(headers: bool, every: int = 1) -> Iterator[Run]:
    """The runs with their predictions; weights by the headers' sum, or counted from the config.

    ``every`` takes only each so-manieth run, in the order of the file.
    """
    known = json.loads(CONFIGS.read_bytes())
    with RUNS.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    loaded: dict[str, list[float]] = {}
    for row in rows:
        if row["weights_gb"]:
            loaded.setdefault(row["model"], []).append(float(row["weights_gb"]) * 1e9)
    prepared = {model: _prepared(known[model]) for model in loaded}
    for row in rows[::every]:
        model = row["model"]
        config, preprocessor, architecture, counted = prepared[model]
        weight = statistics.median(loaded[model])
        weights = _scaled(counted, weight) if headers else counted
        size, text = _picture(row, architecture, preprocessor)
        told = estimate(
            config,
            weights,
            Job(
                images=(size,),
                prompt_tokens=text,
                max_tokens=int(float(row["gen_tokens"])),
                prefill_step_size=int(row["prefill_step"]),
            ),
            Library(mlx_vlm=row["mlx_vlm"], mlx=row["mlx"], backend="metal"),
            preprocessor,
            row["chip"],
        )
        speed = float(row["gen_tokens_per_s"]) if row["gen_tokens_per_s"] else None
        yield Run(
            model=model,
            aside=set_aside(model),
            measured=float(row["peak_gb"]) * 1e9,
            measured_weights=weight,
            speed=speed if float(row["gen_tokens"]) >= 50 else None,
            told=told,
        )


Prepared = tuple[dict[str, Any], dict[str, Any], Architecture, WeightSizes]


def _prepared(entry: dict[str, Any]) -> Prepared:
    config = dict(entry["config"])
    quantised = bool(config.pop("_quantised_vision", False))
    return (
        config,
        entry.get("preprocessor", {}),
        read(config),
        weights_of_config(config, quantised),
    )


def _scaled(counted: WeightSizes, total: float) -> WeightSizes:
    """The counted weights with the sum that the files' headers have."""
    share = total / counted.total
    scaled = {
        name: int(getattr(counted, name) * share)
        for name in ("total", "vision", "embedding", "experts", "head", "largest")
    }
    return msgspec.structs.replace(counted, **scaled, source="headers")


def _picture(
    row: dict[str, str], architecture: Architecture, preprocessor: dict[str, Any]
) -> tuple[tuple[int, int], int]:
    """A run's picture, and the tokens of text that its prompt leaves beside it.

    A few recorded sizes are of another picture than the run's: the prompt has no room for it.
    """
    prompt = int(row["prompt_tokens"])
    if row["width"]:
        size = int(row["width"]), int(row["height"])
        counted = see(architecture, preprocessor, *size)[0].counted
        if counted <= prompt + OFF * counted:
            return size, max(0, prompt - counted)
    chosen = _filling(row["model"], prompt, architecture, preprocessor)
    return chosen, max(0, prompt - see(architecture, preprocessor, *chosen)[0].counted)


@functools.cache
def _choice(model: str) -> dict[int, tuple[int, int]]:
    return {}


def _filling(
    model: str, prompt: int, architecture: Architecture, preprocessor: dict[str, Any]
) -> tuple[int, int]:
    """The largest picture of three by two whose tokens a prompt has room for."""
    known = _choice(model)
    if prompt not in known:
        known[prompt] = WIDTHS[0], WIDTHS[0] * 2 // 3
        for width in WIDTHS:
            size = width, width * 2 // 3
            if see(architecture, preprocessor, *size)[0].counted <= prompt - LEAST_TEXT:
                known[prompt] = size
    return known[prompt]


def machine(gib: int) -> Machine:
    """A simulated Mac with so much memory, all of it free."""
    total = gib * 2**30
    return Machine(
        os="macOS",
        os_version="26.0",
        arch="arm64",
        chip="Apple M5 Max",
        ram_total_bytes=total,
        ram_available_bytes=total,
        swap_total_bytes=0,
        swap_used_bytes=0,
        memory_pressure="normal",
        gpu_budget_bytes=int(total * SIMULATED[gib]),
        gpu_budget_source="simulated",
        processes=(),
    )


@dataclass(frozen=True)
class Figures:
    """The errors of some runs: shares of runs, and relative errors."""

    runs: int
    models: int
    within: float
    median: float
    weights_within: float
    covered: float
    false_fits: int
    false_refusals: float
    speed_median: float | None


def figures(told: Iterable[Run]) -> Figures:
    """The figures of some runs.

    ``within`` is the share of peaks within 15 %, ``median`` the median error, ``weights_within``
    the share of models whose weights are within 1 %, ``covered`` that of peaks between low and
    high. ``false_fits`` counts peaks above a simulated machine's budget that were said to fit,
    ``false_refusals`` is the share, of those clearly below it, that were said not to.
    """
    told = list(told)
    errors = [abs(run.error) for run in told]
    weights = {run.model: run.told.weights_bytes / run.measured_weights - 1 for run in told}
    fits = refusals = clear = 0
    for run in told:
        for gib in SIMULATED:
            simulated = machine(gib)
            budget = simulated.gpu_budget_bytes or 0
            said = judge(run.told, simulated).room == "fits"
            fits += said and run.measured > budget
            clear += run.measured < CLEARLY * budget
            refusals += not said and run.measured < CLEARLY * budget
    speeds = [
        abs(run.told.tokens_per_second / run.speed - 1)
        for run in told
        if run.speed and run.told.tokens_per_second
    ]
    return Figures(
        runs=len(told),
        models=len(weights),
        within=sum(error <= 0.15 for error in errors) / len(errors),
        median=statistics.median(errors),
        weights_within=sum(abs(error) <= 0.01 for error in weights.values()) / len(weights),
        covered=sum(run.told.low_bytes <= run.measured <= run.told.high_bytes for run in told)
        / len(told),
        false_fits=fits,
        false_refusals=refusals / clear,
        speed_median=statistics.median(speeds) if speeds else None,
    )
