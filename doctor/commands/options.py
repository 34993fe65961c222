"""The options that commands share, and what they mean."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from doctor import target
from doctor.errors import Refused
from doctor.transaction import unfinished

# The commands that tell of an interrupted fix in their own reports, or take it back.
TELLING = ("check", "fix", "undo")


def add_target(parser: argparse.ArgumentParser) -> None:
    """The options that name the environment to examine."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--python", metavar="PATH", help="the interpreter to examine")
    group.add_argument("--venv", metavar="DIR", help="the environment to examine")


def add_model(parser: argparse.ArgumentParser) -> None:
    """The option that names the model."""
    parser.add_argument(
        "--model", metavar="M", help="a Hub id or a model's folder (default: Qwen3-VL-4B)"
    )


def add_purpose(parser: argparse.ArgumentParser) -> None:
    """The option that names what is to run."""
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=("image", "video", "server"),
        help="what is to run: pictures (the default), videos, or mlx-vlm's server",
    )


def target_of(options: argparse.Namespace) -> target.Target:
    """The environment that the options name, or the one that is found.

    Where a fix of it or of another was interrupted, this says so, whatever the command is.
    """
    try:
        found = target.find(options.python, options.venv, os.environ)
    except Refused:
        tell_of_interrupted()  # it may not be whole just because a fix was interrupted
        raise
    prefix = target.prefix_of(found.python)
    notice = None if options.command in TELLING else unfinished.notice(prefix)
    _tell([*filter(None, [notice]), *unfinished.notices(but=prefix)])
    return found


def tell_of_interrupted() -> None:
    """Say of every environment whose fix was interrupted that it was."""
    _tell(unfinished.notices())


def _tell(notices: Iterable[str]) -> None:
    for words in notices:
        from doctor.terminal import say  # only where there is something to say

        say(words[0].upper() + words[1:])


def model_of(options: argparse.Namespace) -> str:
    """The model that the options name, or the default."""
    from doctor.probes import model

    return model.DEFAULT if options.model is None else str(options.model)
