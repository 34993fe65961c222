"""``vlm-doctor undo``: take back an interrupted fix, else the newest; list them; give them up."""

from __future__ import annotations

import argparse
import os
import time

import msgspec

from doctor import state, target
from doctor.commands.options import add_target, target_of
from doctor.look import look
from doctor.probes import model
from doctor.reports import SCHEMA, Tool
from doctor.reports.undo import UndoReport
from doctor.stopping import Stop
from doctor.terminal import say
from doctor.transaction import journal, locking, unfinished


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--list", action="store_true", help="show what can be taken back")
    group.add_argument("--clear", action="store_true", help="give up the ways back")


def run(options: argparse.Namespace) -> tuple[UndoReport, int]:
    """Take back an interrupted fix, else the newest one; or list them, or give them up."""
    started = time.perf_counter()
    prefix = _prefix(options)
    done = journal.Undone("nothing-to-undo")
    with locking.lock(prefix, say):
        if options.list:
            outcome = "listed"
            if state.unfinished(prefix):
                words = unfinished.interrupted(prefix)
                say(words[0].upper() + words[1:])
        elif options.clear and not any(item.status for item in journal.interrupted(prefix)):
            kept = journal.undoable(prefix) or state.unfinished(prefix)
            outcome = "cleared" if kept else "nothing-to-undo"
            journal.clear(prefix)
        else:
            with Stop() as stop:
                stop.no_more()  # half an undo helps nobody
                done = journal.undo(prefix)
            outcome = done.outcome
        entries = [item.entry() for item in journal.undoable(prefix)]
    for words in done.words():
        say(words)
    journal.tidy()
    report = msgspec.convert(
        {
            "schema": SCHEMA,
            "command": "undo",
            "tool": Tool(),
            "outcome": outcome,
            "entries": entries,
            "restored": done.restored,
            "environment": prefix,
            "seconds": round(time.perf_counter() - started, 3),
        },
        type=UndoReport,
    )
    return report, 0


def _prefix(options: argparse.Namespace) -> str:
    """The environment's folder: the one that was named, if there is a journal for it.

    Its Python may be gone, or not run, just because a fix was interrupted: then nothing but the
    folder is asked for.
    """
    named: str | None = None
    if options.venv is not None:
        named = os.path.abspath(os.path.expanduser(options.venv))
    elif options.python is not None:
        named = target.prefix_of(os.path.abspath(os.path.expanduser(options.python)))
    if named is not None and journal.is_known(named):
        return named
    found = target_of(options)
    prefix = target.prefix_of(found.python)
    if journal.is_known(prefix):
        return prefix
    facts = look(found, model.DEFAULT, os.environ)
    return os.path.expanduser(facts.environment.interpreter.prefix)
