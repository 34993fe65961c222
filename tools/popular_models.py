"""Make ``doctor/memory/popular_models.json``: the models that ``vlm-doctor models`` knows.

    python tools/popular_models.py CONFIGS MEASURED

CONFIGS is a folder of models' own ``config.json`` files, MEASURED a table of measured runs (the
public check_models project's, as TSV). The configs of the measured models are those that the
estimator is held against. Of the measured runs only the size of the weights is kept, which the
published files have, and what they came to in all; no run's peak takes the place of a prediction.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATH = ROOT / "doctor" / "popular_models.json"
REBUILT = ROOT / "tools" / "estimate_accuracy" / "configs.json"
SURVEY = ROOT / "docs" / "models.json"

# The field report's models and chain, and the sizes beside them: the quantisations that
# mlx-community publishes of each.
PUBLISHED = (
    ("Qwen3-VL-2B-Instruct", "Qwen3-VL-2B-Instruct"),
    ("Qwen3-VL-4B-Instruct", "Qwen3-VL-4B-Instruct"),
    ("Qwen3-VL-8B", "Qwen3-VL-8B-Instruct"),
    ("Qwen2-VL-2B-Instruct", "Qwen2-VL-2B-Instruct"),
    ("Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-3B-Instruct"),
    ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct"),
)
BITS = (4, 8, None)

# Fields of a config that no size depends on.
OF_NO_SIZE = frozenset(
    {"_model", "_note", "architectures", "transformers_version", "initializer_range"}
)


def main(configs: Path, measured: Path) -> None:
    """Write the file."""
    known: dict[str, Any] = {}
    models: list[dict[str, Any]] = []
    runs = of_models(measured)
    for name, published in PUBLISHED:
        config = json.loads((configs / f"{name}.json").read_text())
        known[name] = {"note": config["_note"], "config": without(config), "preprocessor": {}}
        for bits in BITS:
            suffix = "bf16" if bits is None else f"{bits}bit"
            identity = f"mlx-community/{published}-{suffix}"
            models.append(
                entry(identity, name, bits, f"Qwen/{published}", runs.pop(identity, []), config)
            )
    rebuilt = json.loads(REBUILT.read_text())
    for identity, rows in sorted(runs.items()):
        found = rebuilt.get(identity)
        if found is not None:
            known[identity] = {
                "note": found["source"].replace("shared/reference/configs", "a public copy"),
                "config": without(found["config"]),
                "preprocessor": found.get("preprocessor", {}),
            }
        config = found["config"] if found else {}
        models.append(entry(identity, identity if found else None, None, None, rows, config))
    sources = {
        "configs": "public copies of config.json, or rebuilt; each says so itself",
        "recipes": "docs/models.md",
        "measured": "the public check_models project: macOS, Apple M4 Max and M5 Max, 128 GB",
        "chain": "the field report, section 6.3",
    }
    kinds = sorted({model["type"] for model in models})
    content = {
        "sources": sources,
        "recipes": {kind: recipe for kind in kinds if (recipe := recipe_of(kind)) is not None},
        "configs": known,
        "models": models,
    }
    PATH.write_text(json.dumps(content, indent=1) + "\n")


def recipe_of(kind: str) -> str | None:
    """The recipe that runs a type of model, by the survey of ``make models``.

    Its newest pair of releases is the torch-free recipe's, its oldest the report's line without
    torch, which that recipe has.
    """
    releases = json.loads(SURVEY.read_text())["releases"]
    for release, recipe, good in (
        (releases[-1], "torch-free", {"runs"}),
        (releases[0], "report-line", {"runs", "torch"}),
    ):
        said = {
            row["measured"] or row["predicted"] for row in release["rows"] if row["type"] == kind
        }
        if said and said <= good:
            return recipe
    return None


def without(config: dict[str, Any]) -> dict[str, Any]:
    """The config without what no size depends on."""
    return {key: value for key, value in config.items() if key not in OF_NO_SIZE}


def entry(
    identity: str,
    name: str | None,
    bits: int | None,
    original: str | None,
    rows: list[dict[str, str]],
    config: dict[str, Any],
) -> dict[str, Any]:
    """One model of the table."""
    weights = [float(row["weights_gb"]) for row in rows if row["weights_gb"]]
    types = sorted({row["model_type"] for row in rows} - {""})
    return {
        "id": identity,
        "type": config.get("model_type") or (types[-1] if types else None),
        "config": name,
        "bits": bits,
        "original": original,
        "weights_bytes": round(statistics.median(weights) * 1e9) if weights else None,
        "measured": summary(rows),
    }


def of_models(path: Path) -> dict[str, list[dict[str, str]]]:
    """The measured runs by model."""
    result = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            result[row["model"]].append(row)
    return result


def summary(rows: list[dict[str, str]]) -> dict[str, Any] | None:
    """What the runs of one model came to; speeds are of the chip that most of them ran on."""
    peaks = [float(row["peak_max_gb"] or row["peak_gb"]) for row in rows if row["peak_gb"]]
    if not peaks:
        return None
    chips = [row["chip"] for row in rows if row["chip"] and row["gen_tokens_per_s"]]
    chip = statistics.mode(chips) if chips else None
    speeds = [
        float(row["gen_tokens_per_s"])
        for row in rows
        if row["chip"] == chip and row["gen_tokens_per_s"]
    ]
    return {
        "least_peak_bytes": round(min(peaks) * 1e9),
        "most_peak_bytes": round(max(peaks) * 1e9),
        "most_prompt_tokens": max(
            int(row["prompt_tokens"]) for row in rows if row["prompt_tokens"]
        ),
        "chip": chip,
        "tokens_per_second": round(statistics.median(speeds), 1) if speeds else None,
        "runs": sum(int(row["runs"] or 1) for row in rows),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
