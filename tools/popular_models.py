"""Make ``doctor/popular_models.json``: the models that people run, for ``vlm-doctor models``.

    python tools/popular_models.py CONFIGS MEASURED

CONFIGS is a folder of models' own ``config.json`` files, MEASURED a table of measured runs (the
public check_models project's, as TSV). What is listed of both, and why, is below. Of the measured
runs only sums are kept, and no run's peak takes the place of a prediction: where the architecture
is known the peak is computed, and elsewhere it is shown as measured.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent.parent / "doctor" / "popular_models.json"

# Known by their configs: the field report's models and chain, and the sizes beside them. The
# quantisations are those that mlx-community publishes of each.
COMPUTED = (
    ("Qwen3-VL-2B-Instruct", "Qwen3-VL-2B-Instruct", (4, 8, None)),
    ("Qwen3-VL-4B-Instruct", "Qwen3-VL-4B-Instruct", (4, 8, None)),
    ("Qwen3-VL-8B", "Qwen3-VL-8B-Instruct", (4, 8, None)),
    ("Qwen2-VL-2B-Instruct", "Qwen2-VL-2B-Instruct", (4, 8, None)),
    ("Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-3B-Instruct", (4, 8, None)),
    ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct", (4, 8, None)),
)

# Fields of a config that no size depends on.
OF_NO_SIZE = frozenset(
    {"_model", "_note", "architectures", "transformers_version", "initializer_range"}
)


def main(configs: Path, measured: Path) -> None:
    """Write the file."""
    known: dict[str, Any] = {}
    models: list[dict[str, Any]] = []
    runs = of_models(measured)
    for name, published, bits in COMPUTED:
        config = json.loads((configs / f"{name}.json").read_text())
        known[name] = {
            "note": config["_note"],
            "config": {key: value for key, value in config.items() if key not in OF_NO_SIZE},
        }
        for width in bits:
            suffix = "bf16" if width is None else f"{width}bit"
            identity = f"mlx-community/{published}-{suffix}"
            models.append(
                {
                    "id": identity,
                    "type": config["model_type"],
                    "config": name,
                    "bits": width,
                    "original": f"Qwen/{published}",
                    "weights_bytes": None,
                    "measured": summary(runs.pop(identity, [])),
                }
            )
    for identity, rows in sorted(runs.items()):
        weights = [float(row["weights_gb"]) for row in rows if row["weights_gb"]]
        types = {row["model_type"] for row in rows} - {""}
        models.append(
            {
                "id": identity,
                "type": sorted(types)[-1] if types else None,
                "config": None,
                "bits": None,
                "original": None,
                "weights_bytes": round(statistics.median(weights) * 1e9) if weights else None,
                "measured": summary(rows),
            }
        )
    sources = {
        "configs": "public copies of the checkpoints' config.json; each says so itself",
        "measured": "the public check_models project: macOS, Apple M4 Max and M5 Max, 128 GB",
        "chain": "the field report, section 6.3",
    }
    PATH.write_text(
        json.dumps({"sources": sources, "configs": known, "models": models}, indent=1) + "\n"
    )


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
