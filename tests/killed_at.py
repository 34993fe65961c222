"""Starts the doctor and kills it just before it does something for the so-manieth time.

``python -I killed_at.py EVENT NUMBER WORDS…``: the event is one that Python tells its audit hooks
of, such as ``os.link`` or ``subprocess.Popen``.
"""

import os
import signal
import sys
from pathlib import Path

event, number = sys.argv[1], int(sys.argv[2])
count = 0


def kill(name: str, _: object) -> None:
    """Count, and kill."""
    global count  # noqa: PLW0603 the hook has no other memory
    if name == event:
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)


sys.path.insert(0, str(Path(__file__).parent.parent))

from doctor.cli import main  # noqa: E402

sys.addaudithook(kill)
sys.exit(main(sys.argv[3:]))
