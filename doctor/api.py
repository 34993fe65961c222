"""The doctor in programs: the commands as functions that give their reports and print nothing.

``import doctor``, and call ``doctor.check``, ``doctor.fix`` or ``doctor.prove``. A target is named
as on the command line (``python`` or ``venv``), or found as there. What the command line answers
with exit status 2 or 3 and no report raises ``doctor.Refused`` or ``doctor.CouldNot``, both
``doctor.DoctorError`` with ``message`` and ``hint``. Progress goes line by line to ``say``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast, get_args

from doctor import commands, terminal
from doctor.errors import Interrupted, Refused

if TYPE_CHECKING:
    from doctor.facts import Purpose
    from doctor.reports import Report
    from doctor.reports.check import CheckReport
    from doctor.reports.fix import FixReport
    from doctor.reports.smoke import SmokeReport

Place = str | os.PathLike[str]
Say = Callable[[str], None]


def check(
    model: Place | None = None,
    *,
    python: Place | None = None,
    venv: Place | None = None,
    purpose: Purpose | None = None,
    deep: bool = False,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    facts: Place | None = None,
    say: Say | None = None,
) -> CheckReport:
    """What is wrong with an environment and why, without changing anything.

    ``model`` is a Hub id or a model's folder, ``purpose`` what is to run (pictures, if not said).
    ``deep`` compares the contents of files and runs a generation. ``only`` and ``skip`` are checks
    or codes. ``facts`` judges saved facts, or a bundle, instead of an environment.

    The report's ``verdict`` is ``broken``, ``unknown``, ``degraded`` or ``healthy``. Raises
    ``Refused`` where there is no such environment, or where it cannot be examined.
    """
    from doctor.facts import Purpose

    if purpose is not None and purpose not in get_args(Purpose):
        raise Refused(f"purpose is one of {', '.join(get_args(Purpose))}, not {purpose!r}.")
    report = _run(
        "check",
        say,
        model=_path("model", model),
        python=_path("python", python),
        venv=_path("venv", venv),
        purpose=purpose,
        deep=deep,
        only=_names("only", only),
        skip=_names("skip", skip),
        facts=_path("facts", facts),
    )
    return cast("CheckReport", report)


def fix(
    model: Place | None = None,
    *,
    python: Place | None = None,
    venv: Place | None = None,
    dry_run: bool = False,
    recipe: str | None = None,
    new_venv: Place | None = None,
    offline: bool = False,
    wheels: Place | None = None,
    force: bool = False,
    allow_builds: bool = False,
    facts: Place | None = None,
    say: Say | None = None,
) -> FixReport:
    """Repair an environment and prove it with a generation, or put everything back.

    To call it is to consent: nobody is asked. ``dry_run`` only plans; for ``facts`` (saved facts,
    or a bundle) there is nothing else. The other arguments are the command's options. The report's
    ``outcome`` tells what became of it; ``refused`` and ``rolled-back`` come with a ``reason``.
    Raises ``Refused`` where it may not even begin.
    """
    report = _run(
        "fix",
        say,
        model=_path("model", model),
        python=_path("python", python),
        venv=_path("venv", venv),
        yes=True,
        dry_run=dry_run,
        recipe=recipe,
        new_venv=_path("new_venv", new_venv),
        offline=offline,
        wheels=_path("wheels", wheels),
        force=force,
        allow_builds=allow_builds,
        facts=_path("facts", facts),
    )
    return cast("FixReport", report)


def prove(
    model: Place | None = None,
    *,
    python: Place | None = None,
    venv: Place | None = None,
    image: Place | None = None,
    prompt: str | None = None,
    expect: str | None = None,
    say: Say | None = None,
) -> SmokeReport:
    """Run a real generation that looks at a picture: what ``vlm-doctor smoke`` does.

    ``image``, ``prompt`` and ``expect`` (what the answer must contain) are one's own, else the
    doctor asks about a picture that it draws. The report's ``passed`` tells whether all went well.
    """
    report = _run(
        "smoke",
        say,
        model=_path("model", model),
        python=_path("python", python),
        venv=_path("venv", venv),
        image=_path("image", image),
        prompt=prompt,
        expect=expect,
    )
    return cast("SmokeReport", report)


def _run(name: str, say: Say | None, **wanted: object) -> Report:
    """The report of a command, with its own defaults for what is not said."""
    from doctor import cli

    options = cli.parser([name]).parse_args([name])
    for option, value in wanted.items():
        setattr(options, option, value)
    with terminal.heard_by(say or _nobody), _signals_kept():
        try:
            report, _ = commands.run(options)
        except Interrupted:
            raise KeyboardInterrupt from None
    return report


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Leave the program's own handlers as they were: a fix takes the signals that would stop it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _nobody(line: str) -> None:
    """Who does not ask for progress."""


def _path(name: str, place: Place | None) -> str | None:
    """An argument that is a path, as text."""
    try:
        return None if place is None else os.fsdecode(place)
    except TypeError:
        raise Refused(f"{name} takes text or a path, not {place!r}.") from None


def _names(name: str, words: Sequence[str]) -> str | None:
    """An argument that lists checks or codes, as the command line has it; one may stand alone."""
    listed = [words] if isinstance(words, str) else words
    try:
        return ",".join(listed) if listed else None
    except TypeError:
        raise Refused(f"{name} takes names of checks or codes, not {words!r}.") from None
