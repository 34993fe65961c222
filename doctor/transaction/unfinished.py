"""A fix that was begun and did not end: every command has to say so."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator

from doctor import state


def interrupted(prefix: str) -> str:
    """What to say of an environment whose fix was interrupted."""
    command = f"vlm-doctor undo --venv {shlex.quote(prefix)}"
    return f"an earlier fix of {prefix} was interrupted; to put it back: {command}"


def notice(prefix: str) -> str | None:
    """What to say of an unfinished fix of the environment at ``prefix``; null where there is none.

    This is asked by every command: where there is none it costs the look at one folder.
    """
    if not state.unfinished(prefix):
        return None
    from doctor.transaction import locking

    holder = locking.holder(prefix)
    if holder is not None:
        return f"another vlm-doctor is changing this environment right now ({holder})"
    return interrupted(prefix)


def notices(but: str | None = None) -> Iterator[str]:
    """What to say of interrupted fixes of all environments, ``but`` one that is spoken of anyway.

    An environment that another doctor is at work on is none of them.
    """
    spoken_of = None if but is None else state.of_target(but)
    for folder in state.targets():
        if folder == spoken_of:
            continue
        for name in _names(folder / "unfinished"):
            prefix = _prefix(folder / "fixes" / name / "journal.json")
            if prefix is None:
                continue
            from doctor.transaction import locking

            if locking.holder(prefix) is None:
                yield interrupted(prefix)
                break


def _names(folder: os.PathLike[str]) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _prefix(journal: os.PathLike[str]) -> str | None:
    """The environment of a journal; null where it cannot be read."""
    try:
        with open(journal, encoding="utf-8") as file:
            return str(json.load(file)["head"]["prefix"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
