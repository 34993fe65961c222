"""What the installed mlx-vlm needs for many kinds of model at once; for the published table.

One process answers for all: what the kinds have in common is read once.
"""

from __future__ import annotations

import os
import sys

import imports
import processor_source
import processors
from modules import Finder
from notes import Notes


def survey(finder: Finder, notes: Notes, asked: list[dict]) -> list[dict]:
    """For each question (as ``processors.processor`` takes it) what a generation would need.

    ``{"model_type", "supported", "vision", "processor", "missing", "later"}``. ``vision`` tells
    that mlx-vlm has eyes for it: a vision model or a processor of its own. ``missing`` are the
    modules that imports on the way ask for and that are not there, ``later`` those that functions
    of the model's folder import when they are called.
    """
    supported = set(processors.supported_model_types(finder, notes) or ())
    common = _missing(finder, notes, processors.starts(finder, notes, {}, None))
    result = []
    for question in asked:
        model_type = question["model_type"].lower()
        described = processors.processor(finder, notes, question)
        folder = processors.model_folder(finder, notes, model_type)
        bound = folder and notes.of(os.path.join(folder, "__init__.py"), processor_source.binds)
        starts = processors.starts(finder, notes, question, described)
        missing = _missing(finder, notes, starts) - common
        result.append(
            {
                "model_type": model_type,
                "supported": model_type in supported and "Model" in (bound or ()),
                "vision": bool(
                    {"VisionModel", "ImageProcessor"} & set(bound or ())
                    or (described and described["provider"] == "mlx-vlm" and described["sees"])
                ),
                "processor": described,
                "missing": sorted(missing),
                "later": sorted(_later(finder, notes, folder) - missing - common),
            }
        )
    return result


def _missing(finder: Finder, notes: Notes, starts: list[str]) -> set[str]:
    """The top-level modules that imports on the way ask for in vain."""
    problems = imports.trace(finder, notes, starts, [])["problems"]
    tops = {problem["module"].partition(".")[0] for problem in problems}
    return {top for top in tops if finder.find(top) is None}


def _later(finder: Finder, notes: Notes, folder: str | None) -> set[str]:
    try:
        files = sorted(os.listdir(folder)) if folder else []
    except OSError:
        return set()
    names: set[str] = set()
    for file in files:
        if file.endswith(".py"):
            path = os.path.join(folder or "", file)
            names.update(notes.of(path, processor_source.imports_within) or ())
    names -= set(sys.builtin_module_names)
    return {name for name in names if finder.find(name) is None}
