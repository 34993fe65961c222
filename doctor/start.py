"""Where the program starts: the user's Python settings are about the target, not about the doctor.

``PYTHONPATH`` and its like are facts about the environment that is examined. The doctor's own
interpreter must not follow them: a ``typing.py`` lying there would break it before its first word.
"""

import gc
import os
import sys

SETTINGS = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONWARNINGS")


def main() -> int:
    """Start again without those settings if need be, then run the command line; its exit status."""
    if not sys.flags.ignore_environment and any(os.environ.get(name) for name in SETTINGS):
        # Started as a module, the folder of that module must not come onto the path; started as a
        # program, the user's own packages must stay on it, since the doctor may be one of them.
        as_module = os.path.basename(sys.argv[0]) == "__main__.py"
        again = ["-I", "-m", "doctor"] if as_module else ["-E", sys.argv[0]]
        os.execv(sys.executable, [sys.executable, *again, *sys.argv[1:]])  # noqa: S606
    gc.disable()  # a check lives a quarter of a second and leaves no garbage worth collecting
    from doctor.cli import main as command_line

    return command_line()
