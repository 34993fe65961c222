"""Where the program starts: the user's Python settings are about the target, not about the doctor.

``PYTHONPATH`` and its like are facts about the environment that is examined. The doctor's own
interpreter must not follow them: a ``typing.py`` lying there would break it before its first word.
"""

import os
import sys

SETTINGS = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONWARNINGS")


def main() -> int:
    """Start again in isolation if need be, then run the command line; its exit status."""
    if not sys.flags.isolated and any(os.environ.get(name) for name in SETTINGS):
        os.execv(sys.executable, [sys.executable, "-I", "-m", "doctor", *sys.argv[1:]])  # noqa: S606
    from doctor.cli import main as command_line

    return command_line()
