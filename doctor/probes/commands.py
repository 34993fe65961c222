"""Asking tools of the system, in the C locale and with a limit."""

from __future__ import annotations

import os
import subprocess

TIME_LIMIT = 5.0


def output_of(*command: str) -> str:
    """What a tool prints; empty where it is not there or does not answer."""
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout
