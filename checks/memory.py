"""Is there enough memory for this model?

MLX keeps the weights, the picture's features, the activations and the KV cache in memory. A model
that does not fit still loads: macOS pages it to disk, and each token then takes many times as long.

- `ram-short`: less memory is available than the model is known to want. The rule is the field
  report's: warn below 5 GiB available, for Qwen3-VL-4B in 4 bits (4.2 GB in use, measured). It is a
  warning; an error only where the weights alone are more than MLX can allocate (95 % of RAM).

The doctor asks psutil for total and available memory, and honours the limits of containers. On a
Mac the GPU has a budget of its own, asked of sysctl where it was set by hand.

What helps, in this order: close other applications (`vlm-doctor check` lists the biggest), smaller
pictures, `max_tokens` below 150, a smaller model: Qwen3-VL-4B, then Qwen2-VL-2B. The doctor closes
nothing by itself.
"""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity

CODES = ("ram-short",)

# The field report's rule, section 6.3, in its own unit: `available / 1024**3 < 5`.
WANTED_AVAILABLE_BYTES = 5 * 2**30
# MLX allocates at most this share of RAM (mlx/backend/metal/allocator.cpp).
MOST_OF_RAM = 0.95
# The chain of the report's section 6.3.
SMALLER = "mlx-community/Qwen2-VL-2B-Instruct-4bit"


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    machine, model = facts.machine, facts.model
    total, available = machine.ram_total_bytes, machine.ram_available_bytes
    if total is None or available is None:
        yield NotChecked(reason="the machine's memory is not known", decides=False)
        return
    evidence = [
        Evidence(fact="RAM", value=_gigabytes(total), source="psutil.virtual_memory"),
        Evidence(fact="available", value=_gigabytes(available), source="psutil.virtual_memory"),
    ]
    if machine.gpu_budget_bytes is not None:
        evidence.append(
            Evidence(
                fact="GPU budget",
                value=_gigabytes(machine.gpu_budget_bytes),
                source=machine.gpu_budget_source or "?",
            )
        )
    weights = model.weights_bytes
    if weights is not None:
        evidence.append(
            Evidence(
                fact="the model's weights",
                value=_gigabytes(weights),
                source=model.path or "the doctor's card of this model",
            )
        )
    if weights is not None and weights > MOST_OF_RAM * total + (machine.swap_total_bytes or 0):
        yield _finding(
            facts,
            Severity.ERROR,
            f"{model.id} cannot be loaded: its weights are larger than this machine's memory",
            "MLX allocates at most 95 % of RAM, and the weights alone are more.",
            evidence,
        )
    elif available < WANTED_AVAILABLE_BYTES:
        yield _finding(
            facts,
            Severity.WARNING,
            f"Only {available / 2**30:.1f} GiB of memory is available; the model wants 5",
            "The model will be paged to disk while it runs: slower, by two to three times where "
            "it is bad.",
            evidence,
        )


def _finding(
    facts: Facts, severity: Severity, title: str, cause: str, evidence: list[Evidence]
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
        evidence=tuple(evidence),
        fix=Fix(
            id="advice",
            summary=f"{close}keep max_tokens below 150, make pictures smaller, "
            f"or take a smaller model ({SMALLER})",
            automatic=False,
        ),
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
