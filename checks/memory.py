"""Is there enough memory for this model?

MLX keeps the weights, the picture's features, the activations and the KV cache in memory. A model
that does not fit still loads: macOS pages it to disk, and each token then takes many times as long.

- `ram-short`: less memory is there than a generation needs. What it needs is worked out from the
  headers of the model's weights, its `config.json` and the installed mlx-vlm and mlx, for a picture
  of 1024 x 768 and an answer of 256 tokens (`vlm-doctor estimate` does it for others). Where the
  model's sizes are not known, the rule is the field report's: warn below 5 GiB available, which it
  measured with Qwen3-VL-4B in 4 bits. It is a warning; an error only where the weights alone are
  more than MLX can allocate (95 % of RAM and what swap there is).

The need is held against what is available and, on a Mac, what its GPU uses well. The doctor asks
psutil for total and available memory and honours the limits of containers; the GPU's budget is
asked of MLX where a generation was run, else it is sysctl's limit or Metal's usual share.

What helps, in this order: close other applications (`vlm-doctor check` lists the biggest), smaller
pictures, `max_tokens` below 150, a smaller model: Qwen3-VL-4B, then Qwen2-VL-2B. The doctor closes
nothing by itself.
"""

from __future__ import annotations

from doctor.estimate import Estimate, Judgement, NotEstimable, estimate_of, judge
from doctor.estimate.judgement import MOST_OF_RAM
from doctor.facts import Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity

CODES = ("ram-short",)

# The field report's rule, section 6.3, in its own unit: `available / 1024**3 < 5`.
WANTED_AVAILABLE_BYTES = 5 * 2**30
# The chain of the report's section 6.3.
SMALLER = "mlx-community/Qwen2-VL-2B-Instruct-4bit"
# The model that the report's rule was measured with, and those that need no less.
MEASURED_WEIGHTS_BYTES = 2_500_000_000


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    machine, model = facts.machine, facts.model
    total, available = machine.ram_total_bytes, machine.ram_available_bytes
    if total is None or available is None:
        yield NotChecked(reason="the machine's memory is not known", decides=False)
        return
    told: Estimate | None = None
    try:
        told = estimate_of(facts)
    except NotEstimable as error:
        if model.found in ("cache", "folder"):
            yield NotChecked(reason=f"what the model needs: {error}", decides=False)
    evidence = _evidence(facts, total, available, told)
    weights = told.weights_bytes if told else model.weights_bytes
    verdict = judge(told, machine) if told else None
    if weights is not None and weights > MOST_OF_RAM * total + (machine.swap_total_bytes or 0):
        yield _finding(
            facts,
            Severity.ERROR,
            f"{model.id} cannot be loaded: its weights are larger than this machine's memory",
            "MLX allocates at most 95 % of RAM, and the weights alone are more.",
            evidence,
        )
    elif told is not None and verdict is not None and verdict.room != "fits":
        yield _finding(facts, Severity.WARNING, _title(told, verdict), _cause(verdict), evidence)
    elif available < WANTED_AVAILABLE_BYTES and (
        told is None or told.weights_bytes >= MEASURED_WEIGHTS_BYTES
    ):
        yield _finding(
            facts,
            Severity.WARNING,
            f"Only {available / 2**30:.1f} GiB of memory is available; the model wants 5",
            "The model will be paged to disk while it runs: slower, by two to three times where "
            "it is bad.",
            evidence,
        )


def _title(told: Estimate, verdict: Judgement) -> str:
    limit = verdict.limit_bytes
    there = f", and there are {_gigabytes(limit)}" if limit is not None else ""
    return f"A generation needs about {_gigabytes(told.peak_bytes)}{there}"


def _cause(verdict: Judgement) -> str:
    if verdict.room == "fits-if-closed":
        return f"It fits once these are closed: {', '.join(verdict.close)}."
    return (
        "The model will be paged to disk while it runs: slower, by two to three times where it is "
        "bad."
    )


def _evidence(
    facts: Facts, total: int, available: int, told: Estimate | None
) -> tuple[Evidence, ...]:
    machine, model = facts.machine, facts.model
    asked = machine.memory_limit_source or "psutil.virtual_memory"
    evidence = [
        Evidence(fact="RAM", value=_gigabytes(total), source=asked),
        Evidence(fact="available", value=_gigabytes(available), source=asked),
    ]
    if machine.gpu_budget_bytes is not None:
        evidence.append(
            Evidence(
                fact="GPU budget",
                value=_gigabytes(machine.gpu_budget_bytes),
                source=machine.gpu_budget_source or "?",
            )
        )
    weights = told.weights_bytes if told else model.weights_bytes
    if weights is not None:
        evidence.append(
            Evidence(
                fact="the model's weights",
                value=_gigabytes(weights),
                source=model.path or "the doctor's card of this model",
            )
        )
    if told is not None:
        evidence.append(
            Evidence(
                fact="peak of a generation",
                value=f"{_gigabytes(told.peak_bytes)} "
                f"({_gigabytes(told.low_bytes)} to {_gigabytes(told.high_bytes)})",
                source="computed, for a picture of 1024 x 768",
            )
        )
    return tuple(evidence)


def _finding(
    facts: Facts, severity: Severity, title: str, cause: str, evidence: tuple[Evidence, ...]
) -> Finding:
    biggest = ", ".join(
        f"{process.name} ({_gigabytes(process.held_bytes)})"
        for process in facts.machine.processes[:3]
    )
    close = f"close what you do not need ({biggest}); " if biggest else ""
    return Finding(
        code="ram-short",
        severity=severity,
        title=title,
        cause=cause,
        evidence=evidence,
        fix=Fix(
            id="advice",
            summary=f"{close}keep max_tokens below 150, make pictures smaller, "
            f"or take a smaller model ({SMALLER})",
            automatic=False,
        ),
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
