"""Asking the target's own interpreter what is there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from doctor import state
from doctor.errors import Refused
from doctor.target import Target, lost_base

PROBE = Path(__file__).parent.parent / "inside" / "probe"

# Seconds. A bare interpreter answers in 0.1; a cold disk or a loaded machine needs more. The first
# start of a freshly installed framework Python on macOS may take several seconds.
TIME_LIMIT = 40.0

# An answer about 300 packages has half a megabyte.
MOST_BYTES = 20_000_000

# Looked for by name. The probe adds what the trace of imports reaches.
MODULES = (
    "mlx.core",
    "mlx_vlm",
    "mlx_lm",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "torch",
    "torchvision",
)


class Probe:
    """The target's own interpreter, looking at its environment while the doctor does other things.

    It begins at once with what does not depend on a model, and goes on when it is asked. Leaving
    the ``with`` block ends it, whatever it is doing. Raises ``Refused`` where it cannot be started.
    """

    def __init__(self, target: Target, notes: Path | None) -> None:
        """Start it. ``notes`` is where it keeps what it has read in files; null: nowhere."""
        self._target = target
        self._marker = "vlm-doctor-" + os.urandom(12).hex()
        command = [
            target.python,
            "-I",
            "-S",
            "-X",
            f"pycache_prefix={state.cache() / 'bytecode'}",
            str(PROBE),
            self._marker,
            "" if notes is None else str(notes),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(
                f"{target.python} could not be started: {error.strerror}.",
                "Is it a Python interpreter for this machine?",
            ) from None

    def ask(self, question: Mapping[str, object]) -> None:
        """Tell it what it is asked; see ``answer`` in the probe's ``__main__``."""
        data = json.dumps(question).encode()
        # A question may be longer than a pipe holds, and an interpreter that hangs never reads it.
        threading.Thread(target=_write, args=(self._process, data), daemon=True).start()

    def answer(self) -> dict[str, object]:
        """The probe's JSON; raises ``Refused`` where the interpreter gives no usable answer."""
        output, errors, in_time = _read(self._process)
        if not in_time:
            raise Refused(
                f"{self._target.python} did not answer within {TIME_LIMIT:.0f} seconds.",
                "Try it by hand; on a very slow machine, try again.",
            )
        parts = output.decode("utf-8", "replace").split("\n" + self._marker + "\n")
        if len(parts) != 3:
            raise _no_answer(self._target, self._process.returncode, errors)
        answer = json.loads(parts[1])
        assert isinstance(answer, dict)
        return answer

    def __enter__(self) -> Probe:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        if self._process.returncode is None:
            _end(self._process)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def probe(target: Target) -> Probe:
    """A probe of the target that keeps its notes in the doctor's cache."""
    return Probe(target, state.cache() / "notes" / state.name_of(target.python))


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Give a probe its question; one that has ended already says why by what it printed."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError), process.stdin as stream:
        stream.write(data)


def _read(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes, bool]:
    """What a probe says, at most so much, what it complains of, and whether it ended in time.

    Its process group is ended in any case: a time-out must leave nothing behind.
    """
    parts: dict[str, bytes] = {}

    def read(name: str, stream: IO[bytes]) -> None:
        parts[name] = stream.read(MOST_BYTES)
        if len(parts[name]) == MOST_BYTES:
            _end(process)  # it floods us

    assert process.stdout is not None and process.stderr is not None
    readers = [
        threading.Thread(target=read, args=(name, stream), daemon=True)
        for name, stream in (("output", process.stdout), ("errors", process.stderr))
    ]
    for reader in readers:
        reader.start()
    # A wait with a limit sleeps up to 50 ms at a time (subprocess.Popen._wait), a fifth of a check.
    # One without wakes at once; it is done in a thread, and the limit is on that.
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    try:
        waiter.join(TIME_LIMIT)
        in_time = not waiter.is_alive()
    finally:
        _end(process)
    for reader in readers:
        reader.join(timeout=5)
    for stream in (process.stdout, process.stderr):
        stream.close()
    return parts.get("output", b""), parts.get("errors", b""), in_time


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the probe's process group, if any of it is left."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)


def _no_answer(target: Target, code: int, errors: bytes) -> Refused:
    """Why there was no answer: too old a Python, none at all, or one that fails."""
    version = _version(target.python)
    base = lost_base(target.python)
    if version is None and base is not None:
        return Refused(
            f"{target.python} does not start: the Python that its environment was made from, "
            f"in {base}, is gone.",
            "Make the environment anew, for example with: vlm-doctor fix --new-venv DIR",
        )
    if version is None:
        return Refused(
            f"{target.python} is not a Python interpreter that works (exit status {code}).",
            "Name another with --python PATH or --venv DIR.",
        )
    if version < (3, 9):
        return Refused(
            f"{target.python} is Python {version[0]}.{version[1]}: too old to be examined.",
            "mlx-vlm needs Python 3.10 or newer: vlm-doctor fix --new-venv DIR",
        )
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:300] if lines else f"exit status {code}"
    return Refused(
        f"{target.python} could not be examined: {last}",
        "Please report this: it should not happen.",
    )


def _version(python: str) -> tuple[int, int] | None:
    """The version of an interpreter that could not run the probe; null if it is none."""
    code = "import sys; sys.stdout.write('\\nversion=%d.%d\\n' % sys.version_info[:2])"
    try:
        process = subprocess.Popen(
            [python, "-S", "-E", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError:
        return None
    output, _, _ = _read(process)
    found = re.search(rb"^version=(\d+)\.(\d+)$", output, re.MULTILINE)
    return (int(found.group(1)), int(found.group(2))) if found else None
