"""A fix that was begun and did not end: whoever looks at the environment has to say so."""

from __future__ import annotations

from doctor import state

NOTICE = "an earlier fix of this environment was interrupted; to put it back: vlm-doctor undo"


def is_there(prefix: str) -> bool:
    """Whether a fix of the environment at ``prefix`` was interrupted."""
    if not (state.of_target(prefix) / "fixes").exists():
        return False
    from doctor import journal

    return any(item.status == "started" for item in journal.all_of(prefix))
