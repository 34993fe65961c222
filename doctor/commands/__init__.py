"""The commands: one module each.

A module has ``arguments(parser)``, which adds its options, and ``run(options)``, which gives its
report and the exit status of the contract. Only the module of the command that was asked for is
imported.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from doctor.reports import Report

SUMMARIES = {
    "check": "Say what is wrong and why, without changing or running anything.",
    "fix": "Repair the environment from a recipe, and prove it with a generation.",
    "smoke": "Run a real generation that looks at a picture.",
    "models": "Show which models fit this machine, and how; or fetch one.",
    "undo": "Take back the last fix of an environment.",
    "estimate": "Say what a generation takes, and whether it fits this machine.",
    "explain": "Explain a finding's code or an incident, or say what a pasted error is.",
    "recipes": "Show the recipes.",
    "bundle": "Write one file for support: the facts, without what is private.",
    "compare": "Say what differs between two bundles, and what of it decides.",
    "report": "Show many machines in one table, from the bundles that they sent.",
    "completion": "Print a script that completes commands and options in a shell.",
}


def module(name: str) -> ModuleType:
    """The module of a command."""
    return importlib.import_module(f"doctor.commands.{name}")


def run(options: argparse.Namespace) -> tuple[Report, int]:
    """Run the command that the options name.

    One that is about no environment tells of every fix that was interrupted; the others do so in
    ``options.target_of``.
    """
    if not hasattr(options, "python"):
        from doctor.commands.options import tell_of_interrupted

        tell_of_interrupted()
    command = cast(
        "Callable[[argparse.Namespace], tuple[Report, int]]", module(options.command).run
    )
    return command(options)
