"""The weights of models that were really converted, against MLX's count after loading.

``python -m tools.estimate_accuracy.weights PYTHON [way …]`` with an environment's interpreter that
has mlx-vlm makes, converts and loads small models there (``tools/models/weights.py``), reads their
headers here, and writes ``tests/measured/weights.json``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doctor.estimate import Job, Library, estimate, weights_of_headers
from doctor.probes import safetensors
from tools.estimate_accuracy.linux import MEASURED

SCRIPT = Path(__file__).parent.parent / "models" / "weights.py"
RECORDED = MEASURED.parent / "weights.json"
# Kinds, by the models of ``cpu.json`` whose sizes they have: of tied and untied words, with a
# tower of their own or of SigLIP's kind, and of layers that keep a state.
MODELS = ("qwen3_vl-medium", "gemma3-medium", "pixtral-medium", "qwen3_5-fresh")
FIELDS = ("model_type", "text_config", "vision_config", "tie_word_embeddings")


def measured(
    python: str, folder: Path, models: tuple[str, ...] = MODELS, ways: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """For each model and way: its ``kind``, ``way``, what MLX ``held`` and what was ``told``."""
    known = json.loads(MEASURED.read_bytes())["models"]
    kinds = {}
    for name in models:
        config = known[name]["config"]
        kinds[config["model_type"]] = {key: config[key] for key in FIELDS if key in config}
    (folder / "kinds.json").write_text(json.dumps(kinds))
    ended = subprocess.run(
        [python, SCRIPT, folder, folder / "kinds.json", *ways],
        cwd=SCRIPT.parent,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    for line in ended.stdout.splitlines():
        found = json.loads(line)
        if "error" in found:
            raise SystemExit(f"{found['kind']}, {found['way']}: {found['error']}")
        target = Path(found.pop("folder"))
        config = json.loads((target / "config.json").read_bytes())
        weights = weights_of_headers(safetensors.look(target))
        assert weights is not None  # they have just been written
        told = estimate(config, weights, Job(images=()), Library(backend="cpu"))
        yield {**found, "told": told.weights_bytes}


def main() -> None:
    """Measure, print and write the record."""
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(sys.argv[1], Path(folder), ways=tuple(sys.argv[2:])))
    for row in rows:
        print(f"{row['kind']}, {row['way']}: {row['told'] / row['held'] - 1:+.3%}")
    worst = max(abs(row["told"] / row["held"] - 1) for row in rows)
    print(f"{len(rows)} conversions, worst {worst:.2%}")
    RECORDED.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
