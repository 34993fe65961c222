"""What the smoke sees when the pipeline is broken on purpose: PYTHON training/mutations.py

Each mutation breaks what a broken environment breaks, asks the doctor's examination through the
real mlx-vlm, and counts the answers that change.  The smoke passes only if every answer is right,
so one changed answer is enough to be seen; all of them is better.  The table's first columns are
about the doctor's usual examination, the last about it and `--more` others.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from doctor.proving import pictures
from training.ask import MODEL, Eyes

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class Mutation:
    """One way to break the pipeline.

    `number` is that of the ten in the issue; several mutations may stand for one of them.
    `folder` changes a copy of the model's files, `image` the picture (None shows none), `tower`
    what goes into or comes out of the vision tower.
    """

    number: int
    name: str
    folder: Callable[[Path], None] | None = None
    image: Callable[[Any], Any] | None = None
    tower: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any] | None = None


def mutations() -> list[Mutation]:
    """All of them, in the issue's order."""
    return [
        Mutation(1, "picture replaced by grey", image=_grey),
        Mutation(2, "picture replaced by another", image=_another),
        Mutation(3, "red and blue swapped", image=_swapped_channels),
        Mutation(4, "normalised as CLIP's family", folder=_normalisation(*CLIP)),
        Mutation(4, "normalised as ImageNet's (not in training)", folder=_normalisation(*IMAGENET)),
        Mutation(5, "picture not resized", folder=_not_resized),
        Mutation(5, "patches permuted", tower=_permuted),
        Mutation(5, "patches not brought together by fours", tower=_row_by_row),
        Mutation(6, "vision tokens dropped", image=lambda image: None),
        Mutation(6, "vision tokens empty", tower=_emptied),
        Mutation(7, "deepstack features zeroed", tower=_deepstack_zeroed),
        Mutation(7, "second deepstack layer zeroed", tower=_deepstack_halved),
        Mutation(8, "vision tower's weights zeroed", folder=_zeroed("vision_tower.")),
        Mutation(8, "learned positions zeroed", folder=_zeroed("vision_tower.pos_embed.")),
        Mutation(9, "rope section 16, 0, 0", folder=_rope_section(16, 0, 0)),
        Mutation(9, "rope section 12, 2, 2 (not in training)", folder=_rope_section(12, 2, 2)),
        Mutation(9, "rope section 10, 3, 3 (not in training)", folder=_rope_section(10, 3, 3)),
        Mutation(10, "rows and columns swapped", image=_transposed),
        Mutation(10, "columns mirrored", image=_mirrored),
        Mutation(10, "rows and columns of the grid swapped", tower=_grid_swapped),
    ]


def _grey(image: Any) -> Any:
    return image.point(lambda value: 128)


def _another(image: Any) -> Any:
    return pictures.draw(pictures.picture(8_000_000_000 + image.width))


def _swapped_channels(image: Any) -> Any:
    from PIL import Image

    red, green, blue = image.split()
    return Image.merge("RGB", (blue, green, red))


def _transposed(image: Any) -> Any:
    from PIL import Image

    return image.transpose(Image.Transpose.TRANSPOSE)


def _mirrored(image: Any) -> Any:
    from PIL import Image

    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _other_filter(image: Any) -> Any:
    """Resized by Lanczos to what the processor would make of it; no environment's fault."""
    from PIL import Image

    from training.resizing import resized_size

    return image.resize(resized_size(*image.size), Image.Resampling.LANCZOS)


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def _normalisation(
    mean: tuple[float, float, float], deviation: tuple[float, float, float]
) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = {"image_mean": list(mean), "image_std": list(deviation)}
        _edit(folder / "preprocessor_config.json", lambda content: content.update(values))

    return change


def _not_resized(folder: Path) -> None:
    """Every area is allowed, so sides are only rounded to whole vision tokens."""
    values = {
        "size": {"shortest_edge": 1024, "longest_edge": 2**24},
        "min_pixels": 1024,
        "max_pixels": 2**24,
    }
    _edit(folder / "preprocessor_config.json", lambda content: content.update(values))


def _rope_section(*section: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        def edit(content: dict[str, Any]) -> None:
            content["text_config"]["rope_scaling"]["mrope_section"] = list(section)

        _edit(folder / "config.json", edit)

    return change


def _zeroed(start: str) -> Callable[[Path], None]:
    """The weights whose names start so become zero."""

    def change(folder: Path) -> None:
        mx: Any = importlib.import_module("mlx.core")

        path = folder / "model.safetensors"
        zeroed = {
            name: mx.zeros_like(value) if name.startswith(start) else value
            for name, value in mx.load(str(path)).items()
        }
        mx.eval(zeroed)
        path.unlink()
        mx.save_safetensors(str(path), zeroed, {"format": "mlx"})

    return change


def _permuted(tower: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    mx: Any = importlib.import_module("mlx.core")

    order = list(range(given[0].shape[0]))
    random.Random(4).shuffle(order)
    return tower(given[0][mx.array(order)], *given[1:], **named)


def _row_by_row(tower: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The patches row by row, as a processor leaves them that does not know of merging."""
    mx: Any = importlib.import_module("mlx.core")

    _, rows, columns = given[1][0].tolist()
    blocks = mx.arange(rows * columns).reshape(rows // 2, columns // 2, 2, 2)
    order = blocks.transpose(0, 2, 1, 3).reshape(-1)
    return tower(given[0][order], *given[1:], **named)


def _emptied(tower: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    features, deep = tower(*given, **named)
    return features * 0, [layer * 0 for layer in deep]


def _deepstack_zeroed(
    tower: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    features, deep = tower(*given, **named)
    return features, [layer * 0 for layer in deep]


def _deepstack_halved(
    tower: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    features, deep = tower(*given, **named)
    return features, [deep[0], *(layer * 0 for layer in deep[1:])]


def _grid_swapped(tower: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    mx: Any = importlib.import_module("mlx.core")

    return tower(given[0], given[1][:, mx.array([0, 2, 1])], *given[2:], **named)


@contextmanager
def _broken_tower(eyes: Eyes, mutation: Mutation) -> Iterator[None]:
    """The vision tower's class calls the mutation for as long as this lasts."""
    kind = type(eyes.model.vision_tower)
    whole = kind.__call__
    if mutation.tower is not None:
        change = mutation.tower

        def broken(self: Any, *given: Any, **named: Any) -> Any:
            def tower(*inner: Any, **words: Any) -> Any:
                return whole(self, *inner, **words)

            return change(tower, given, named)

        kind.__call__ = broken
    try:
        yield
    finally:
        kind.__call__ = whole


def tried(mutation: Mutation, model: Path, seeds: list[int]) -> list[list[str]]:
    """The answers to each examination under a mutation; an error stands as its own name."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        shutil.copytree(model, folder)
        if mutation.folder is not None:
            mutation.folder(folder)
        eyes = Eyes(folder)
        with _broken_tower(eyes, mutation):
            return [
                [_said(eyes, mutation, what, prompt) for what, prompt, _ in examination]
                for examination in map(pictures.examination, seeds)
            ]


def _said(eyes: Eyes, mutation: Mutation, what: pictures.Picture, prompt: str) -> str:
    image = pictures.draw(what)
    shown = mutation.image(image) if mutation.image else image
    try:
        return eyes.answer(shown, prompt)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        return type(error).__name__


def main() -> None:
    """Print the table, as the model card has it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--seed", type=int, default=pictures.EXAMINATION_SEED)
    parser.add_argument("--more", type=int, default=0, help="further examinations")
    parser.add_argument("--answers", action="store_true", help="print what was answered")
    options = parser.parse_args()
    seeds = [options.seed, *range(1000, 1000 + options.more)]
    expected = [[right for _, _, right in pictures.examination(seed)] for seed in seeds]
    print("| of the ten | mutation | answers changed | cannot see | smoke | seen |")
    print("|---|---|---|---|---|---|")
    controls = [
        Mutation(0, "nothing broken"),
        Mutation(0, "resized by Lanczos, not bicubic: harmless", image=_other_filter),
    ]
    for mutation in [*controls, *mutations()]:
        said = tried(mutation, options.model, seeds)
        changed = sum(a != b for a, b in zip(said[0], expected[0], strict=True))
        blind = sum(a in pictures.UNSEEN.values() for a in said[0])
        failed = sum(a != b for a, b in zip(said, expected, strict=True))
        row = (
            mutation.number or "",
            mutation.name,
            f"{changed} of {len(said[0])}",
            blind,
            "not understood" if changed else "passed",
            f"{failed} of {len(seeds)}",
        )
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if options.answers:
            for right, given in zip(expected[0], said[0], strict=True):
                print(f"    {right}  ->  {given}", flush=True)


if __name__ == "__main__":
    main()
