"""A fix that was begun and did not end: whoever looks at the environment has to say so."""

from __future__ import annotations

from doctor import state

INTERRUPTED = "an earlier fix of this environment was interrupted; to put it back: vlm-doctor undo"


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
    return INTERRUPTED
