"""``vlm-doctor completion``: a script that makes a shell complete the doctor's commands."""

from __future__ import annotations

import argparse

from doctor.reports import SCHEMA, Tool
from doctor.reports.completion import CompletionReport, Shell

SHELLS: tuple[Shell, ...] = ("bash", "zsh", "fish")

# What an option's value is, by the word that its help shows for it.
PLACES = {"FILE": "file", "PATH": "file", "A": "file", "B": "file", "DIR": "directory"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to make it for")


def run(options: argparse.Namespace) -> tuple[CompletionReport, int]:
    """Make the script from the command line itself, so that nothing can be forgotten."""
    import shtab

    from doctor import cli, registry
    from doctor.known import incidents

    kinds = {"file": shtab.FILE, "directory": shtab.DIRECTORY}
    parser = cli.parser()
    for action in _actions(parser):
        if isinstance(action.metavar, str) and action.metavar in PLACES:
            action.complete = kinds[PLACES[action.metavar]]  # type: ignore[attr-defined]
        elif action.dest == "code":
            action.choices = [*registry.codes(), *registry.names(), *incidents.load()]
    return CompletionReport(
        schema=SCHEMA,
        command="completion",
        tool=Tool(),
        shell=options.shell,
        text=shtab.complete(parser, options.shell),
    ), 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options of a parser and of its commands."""
    result: list[argparse.Action] = []
    for action in parser._actions:
        result.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                result += _actions(command)
    return result
