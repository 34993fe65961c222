"""``vlm-doctor undo``: take back an interrupted fix, else the newest; list them; give them up."""

from __future__ import annotations

import argparse
import os
import time

import msgspec

from doctor import journal, unfinished
from doctor.commands.options import add_target, target_of
from doctor.errors import CouldNot
from doctor.look import look
from doctor.probes import model
from doctor.reports import SCHEMA, Tool
from doctor.reports.undo import UndoReport
from doctor.terminal import say


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--list", action="store_true", help="show what can be taken back")
    group.add_argument("--clear", action="store_true", help="give up the ways back")


def run(options: argparse.Namespace) -> tuple[UndoReport, int]:
    """Take back an interrupted fix, else the newest one; or list them, or give them up."""
    started = time.perf_counter()
    facts = look(target_of(options), model.DEFAULT, os.environ)
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    restored = 0
    with journal.lock(prefix, say):
        left = journal.interrupted(prefix)
        journals = [item for item in journal.all_of(prefix) if item.status == "done"]
        if options.list:
            outcome = "listed"
            if left is not None:
                say(unfinished.NOTICE)
        elif left is not None:
            outcome, restored = "recovered", _taken_back(left)
        elif options.clear:
            outcome = "cleared"
            for item in journals:
                item.discard()
            journals = []
        elif journals:
            outcome, restored = "undone", _taken_back(journals.pop(0))
        else:
            outcome = "nothing-to-undo"
    report = msgspec.convert(
        {
            "schema": SCHEMA,
            "command": "undo",
            "tool": Tool(),
            "outcome": outcome,
            "entries": [item.entry() for item in journals],
            "restored": restored,
            "seconds": round(time.perf_counter() - started, 3),
        },
        type=UndoReport,
    )
    return report, 0


def _taken_back(record: journal.Journal) -> int:
    """Take a fix back. Raises ``CouldNot`` where that does not work; it can then be repeated."""
    try:
        return record.take_back()
    except OSError as error:
        raise CouldNot(
            f"Not everything could be put back: {error}", "Repeat: vlm-doctor undo"
        ) from error
