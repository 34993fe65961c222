"""What a generation imports and calls, followed once, and noted while no file of it changes."""

from __future__ import annotations

import json

from modules import Finder
from notes import Notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# The packages that grow against each other: the trace of imports goes through all that is loaded.
FOLLOWED = frozenset({"mlx", "mlx_lm", "mlx_vlm", "transformers", "huggingface_hub", "tokenizers"})


def follow(
    finder: Finder,
    notes: Notes,
    starts: list[str],
    incomplete: list[str],
    closed: frozenset,
    outdated: frozenset,
    module: str | None,
    model_type: str | None,
) -> dict:
    """``{"imports", "with_calls", "misfits"}`` of what nothing is in doubt of.

    ``imports`` is the summary of the imports from ``starts`` (``imports.follow`` says what the
    arguments are), ``with_calls`` the same after the calls of a generation were followed too, and
    ``misfits`` those that do not fit (``calls.follow``).
    """

    def compute() -> dict:
        import calls  # later looks do without them
        import imports

        tracer = imports.follow(finder, notes, starts, incomplete, closed=closed, outdated=outdated)
        result = {"imports": tracer.summary()}
        result["misfits"] = calls.follow(finder, notes, tracer, module, model_type)
        result["with_calls"] = tracer.summary()
        return result

    asked = [starts, incomplete, sorted(closed), sorted(outdated), module, model_type]
    return _noted(finder, notes, ["followed", *asked], compute)


def loads(finder: Finder, notes: Notes, module: str) -> bool | None:
    """Whether a module can be imported; null where that cannot be told."""

    def compute() -> dict:
        import imports

        return imports.trace(finder, notes, [module], [])

    traced = _noted(finder, notes, ["loads", module], compute)
    return None if traced["unknown"] else not traced["problems"]


def _noted(finder: Finder, notes: Notes, asked: list, compute: Callable[[], dict]) -> dict:
    def with_folders() -> dict:
        result = compute()
        # A module that comes, goes or hides another changes the folder that it is in.
        for folder in finder.listed():
            notes.watch(folder)
        return result

    name = json.dumps([*asked, finder.folders])
    return notes.of_all(name, with_folders, lambda result: True)
