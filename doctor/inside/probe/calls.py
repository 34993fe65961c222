"""The calls that a generation makes, and that do not fit: followed once, and noted.

``walk.py`` does the following. What it finds stays true for as long as the files are as they were.
"""

from __future__ import annotations

import json

from imports import Tracer
from modules import Finder
from notes import Notes


def follow(
    finder: Finder, notes: Notes, tracer: Tracer, module: str | None, model_type: str | None
) -> list[dict]:
    """The calls that a generation makes and that do not fit.

    ``module`` is the model's module in mlx-vlm, or null. Imports that fail, and attributes that
    modules lack, become problems of the tracer.
    """

    def compute() -> dict:
        from walk import Walk  # later looks do without it

        before = finder.asked()
        walk = Walk(finder, notes, tracer)
        walk.generation(module, model_type)
        found = {name: finder.find(name) for name in sorted(finder.asked() - before)}
        return {
            "imports": walk.imports,
            "lacking": walk.lacking,
            "misfits": walk.misfits,
            "found": found,
        }

    def holds(result: dict) -> bool:
        return all(finder.find(name) == found for name, found in result["found"].items())

    asked = json.dumps(["calls", module, model_type, tracer.asked, finder.folders])
    seen = notes.of_all(asked, compute, holds)
    for path, line, target, name in seen["imports"]:
        if tracer.load(target, (path, line)) and name is not None:
            tracer.take(target, name, (path, line))
    for path, line, target, name in seen["lacking"]:
        tracer.problem((path, line), target, name)
    return list(seen["misfits"])
