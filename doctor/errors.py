"""How the doctor stops: each error is one line for the user, a hint, and an exit code."""

from __future__ import annotations


class DoctorError(Exception):
    """A message of one line, what the user can do about it, and the exit code of the contract."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Refused(DoctorError):
    """Wrong usage, or something that the doctor will not do (exit 2)."""

    exit_code = 2


class CouldNot(DoctorError):
    """The doctor could not do its own work (exit 3)."""

    exit_code = 3


class Interrupted(BaseException):
    """The user, or the system, asked the doctor to stop (SIGINT or SIGTERM; exit 130)."""


class Failed(Exception):
    """A step of a fix did not work out: everything goes back. The message says which, in one line.

    It stays inside the fix, which reports it; the program never ends with it.
    """
