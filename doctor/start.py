"""Where the program starts: the user's Python settings are about the target, not about the doctor.

``PYTHONPATH`` and its like are facts about the environment that is examined. The doctor's own
interpreter must not follow them: a ``typing.py`` lying there would break it before its first word.
"""

import contextlib
import gc
import os
import sys
from typing import NoReturn

SETTINGS = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONWARNINGS")


def main() -> NoReturn:
    """Start again without those settings if need be, run the command line, and end with its status.

    All that has to be put in order is by then. To free every object one by one, as Python does when
    it ends, would cost a tenth of a check.
    """
    if not sys.flags.ignore_environment and any(os.environ.get(name) for name in SETTINGS):
        # Started as a module, the folder of that module must not come onto the path; started as a
        # program, the user's own packages must stay on it, since the doctor may be one of them.
        as_module = os.path.basename(sys.argv[0]) == "__main__.py"
        again = ["-I", "-m", "doctor"] if as_module else ["-E", sys.argv[0]]
        os.execv(sys.executable, [sys.executable, *again, *sys.argv[1:]])  # noqa: S606
    gc.disable()  # a check lives a quarter of a second and leaves no garbage worth collecting
    try:
        from doctor.cli import main as command_line

        status = command_line()
    except KeyboardInterrupt:  # before there was anybody to say it
        with contextlib.suppress(OSError):
            os.write(2, b"vlm-doctor: Interrupted; nothing was changed.\n")
        status = 130
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
    os._exit(status)
