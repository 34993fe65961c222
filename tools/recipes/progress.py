"""Progress of the makers of recipes, for the person who waits."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """One line of progress, on standard error."""
    print(line, file=sys.stderr, flush=True)
