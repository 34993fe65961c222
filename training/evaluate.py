"""How often the shipped model is right: in any environment with mlx-vlm in it,

    PYTHON training/evaluate.py --out answers.jsonl
    PYTHON training/evaluate.py --compare answers.jsonl other.jsonl

The first asks two questions about each of 1,000 pictures whose seeds training never used: the
whole description and, in turn, the shape, the position or the number; in English and in Russian
by turns.  The second compares the answers of two environments.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from doctor.proving import pictures
from training.ask import MODEL, Eyes

FIRST_SEED = 6_000_000_000
"""Neither training nor its own measurements draw these seeds, nor does the examination."""


def questions(count: int) -> list[tuple[int, str, str]]:
    """Seed, question and language, two for each of `count` pictures."""
    parts = ("shape", "position", "number")
    asked: list[tuple[int, str, str]] = []
    for index in range(count):
        seed = FIRST_SEED + index
        asked.append((seed, "all", pictures.LANGUAGES[index % 2]))
        asked.append((seed, parts[index % 3], pictures.LANGUAGES[(index // 3) % 2]))
    return asked


def evaluate(model: Path, count: int, out: Path) -> None:
    """Ask everything, write each answer as a line of JSON, print the figures."""
    eyes = Eyes(model)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    took: list[float] = []
    with out.open("w", encoding="utf-8") as lines:
        for seed, question, language in questions(count):
            what = pictures.picture(seed)
            began = time.perf_counter()
            said = eyes.answer(pictures.draw(what), pictures.QUESTIONS[question][language])
            took.append(time.perf_counter() - began)
            expected = pictures.answer(what, question, language)
            kind = f"{question} {language}"
            asked[kind] += 1
            right[kind] += said == expected
            record = {"seed": seed, "kind": kind, "answer": said, "expected": expected}
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            lines.flush()
    for kind in sorted(asked):
        print(f"{kind:12} {right[kind]:5} of {asked[kind]:5}")
    total, all_right = sum(asked.values()), sum(right.values())
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("mlx-vlm", "transformers", "mlx", "pillow")
    )
    print(f"all          {all_right:5} of {total:5} = {all_right / total:.4%}  ({versions})")
    middle = sorted(took)[len(took) // 2]
    print(f"load {eyes.load_seconds:.3f} s, answers {took[0]:.3f} s, then {middle:.3f} s (median)")


def compare(first: Path, second: Path) -> None:
    """Print how many answers of two files agree."""
    one, other = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (first, second)
    )
    together = list(zip(one, other, strict=True))
    same = sum(a["answer"] == b["answer"] for a, b in together)
    print(f"the same     {same:5} of {len(together):5} = {same / len(together):.4%}")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--compare", type=Path, nargs=2)
    options = parser.parse_args()
    if options.compare:
        compare(*options.compare)
    elif options.out:
        evaluate(options.model, options.pictures, options.out)
    else:
        parser.error("--out or --compare is needed")


if __name__ == "__main__":
    main()
