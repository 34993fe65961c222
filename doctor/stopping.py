"""Stopping when it is asked for: at once where that is safe, else when it is.

SIGINT is Ctrl-C, SIGTERM the system's, SIGHUP a terminal that was closed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from doctor.errors import Interrupted

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Stop:
    """Lets SIGINT, SIGTERM and SIGHUP stop a fix once, so that everything goes back before the end.

    The first one raises ``Interrupted``; more of them change nothing. Where Python swallowed that
    (it does in some of its own callbacks), ``check`` raises it at the next step.
    """

    def __init__(self) -> None:
        self._asked = self._too_late = False
        self._old: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Stop:
        """Take the signals. Python gives them to the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup has to go on
                self._old[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back, unless the end is near: what was done has to be reported."""
        if self._too_late:
            return
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        asked_before, self._asked = self._asked, True
        if not asked_before and not self._too_late:
            raise Interrupted

    def check(self) -> None:
        """Raise ``Interrupted`` if it was asked for."""
        if self._asked and not self._too_late:
            raise Interrupted

    def no_more(self) -> None:
        """From here on nothing is stopped."""
        self._too_late = True

    def again(self) -> None:
        """From here on it may be stopped. Raises ``Interrupted`` if that was asked for before."""
        self._too_late = False
        self.check()
