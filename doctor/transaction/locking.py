"""One doctor at a time: locks that die with their owner, and the end of what outlived it.

``lock`` is the doctor's own. ``installer`` is inherited by every program that the doctor starts: so
long as one of them lives, even after the doctor was killed, it is held, and who holds it can be
found. A third lock is on the environment's folder itself: it stops a doctor of another user, or
with another state folder.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from doctor import state
from doctor.errors import Refused

if TYPE_CHECKING:
    import psutil

# Seconds that a program of a killed doctor gets to end after it was asked to, and then to be gone.
GRACE = 5.0

WAIT = "Wait until it is done."


@contextmanager
def lock(prefix: str, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold an environment for oneself. Raises ``Refused`` at once where another doctor holds it.

    A doctor that was killed may have left a program at work: that is ended first, since nothing may
    be put back while somebody installs.
    """
    folder = state.made(state.of_target(prefix))
    with contextlib.ExitStack() as held:
        own = held.enter_context((folder / "lock").open("a+"))
        if not _locked(own.fileno()):
            raise Refused(
                f"Another vlm-doctor is at work on this environment ({_signature(prefix)}).",
                WAIT,
            )
        children = held.enter_context((folder / "installer").open("a"))
        if not _locked(children.fileno()):
            _end_left(folder / "installer", children.fileno(), say)
        os.set_inheritable(children.fileno(), True)
        with contextlib.suppress(
            OSError
        ):  # there is no folder yet, or its file system has no locks
            descriptor = os.open(prefix, os.O_RDONLY)
            held.callback(os.close, descriptor)
            os.set_inheritable(descriptor, True)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    "Another vlm-doctor, of another user or with another state folder, is at work "
                    "on this environment.",
                    WAIT,
                ) from None
        _sign(own)
        yield


@contextmanager
def if_free(folder: Path) -> Iterator[bool]:
    """Hold another environment's folder of state, if nobody is at work on it."""
    with contextlib.ExitStack() as held:
        files = [held.enter_context((folder / name).open("a")) for name in ("lock", "installer")]
        yield all(_locked(file.fileno()) for file in files)


def holder(prefix: str) -> str | None:
    """Who is at work on an environment, in words for people; null where nobody is."""
    try:
        with (state.of_target(prefix) / "lock").open() as file:
            # The lock tells whether there is anybody: numbers of processes are given again.
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signature(prefix)
    except OSError:
        return None
    return None


def _sign(file: IO[str]) -> None:
    """Write down who holds the lock, and since when."""
    since = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "since": since}, file)
    file.flush()


def _signature(prefix: str) -> str:
    try:
        signed = json.loads((state.of_target(prefix) / "lock").read_text())
        return f"process {int(signed['pid'])}, since {signed['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "it has not said which process"


def _locked(descriptor: int) -> bool:
    """Take a lock, if nobody has it. One who only asks whether it is held has it for an instant."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.01)
        else:
            return True
    return False


def _end_left(path: Path, descriptor: int, say: Callable[[str], None]) -> None:
    """End the programs that a killed doctor left at work, and take the lock that they hold.

    Only they can have the file open: the doctor that started them is gone, and any other needs the
    lock that we hold. Raises ``Refused`` where they do not go.
    """
    import psutil

    say("A vlm-doctor was killed, and a program that it started is still at work; ending it …")
    for end in (psutil.Process.terminate, psutil.Process.kill):
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            for process in _having_open(path):
                with contextlib.suppress(psutil.Error):
                    end(process)
            if _locked(descriptor):
                return
            time.sleep(0.1)
    names = ", ".join(f"{process.pid}" for process in _having_open(path))
    raise Refused(
        "A program that a killed vlm-doctor started does not come to an end"
        + (f" (process {names})." if names else "."),
        "End it, and try again.",
    )


def _having_open(path: Path) -> list[psutil.Process]:
    """The other processes that have a file open, as far as we may see."""
    import psutil

    real = os.path.realpath(path)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(one.path == real for one in process.open_files()):
                found.append(process)
    return found
