"""The command line: it parses, calls one command, prints its report, and gives its exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from doctor import __version__
from doctor.errors import CouldNot, DoctorError, Interrupted, Refused

EPILOG = """exit status: 0 no errors (check), works (fix, smoke); 1 errors found, not fixed, failed;
2 wrong usage or refused; 3 the doctor could not do its work, or the verdict is unknown;
130 interrupted"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the doctor's own: one line, exit 2, JSON where it was asked for."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed."""
        raise Refused(message[0].upper() + message[1:] + ".", f"See: {self.prog} --help")


def parser() -> Parser:
    """The command line of the contract."""
    top = Parser(
        prog="vlm-doctor",
        description="Says whether a vision-language model runs with MLX here, and makes it run.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"vlm-doctor {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str, *, target: bool = True, model: bool = True) -> Parser:
        result = commands.add_parser(
            name, help=summary, description=summary, allow_abbrev=False, epilog=EPILOG
        )
        result.add_argument(
            "--format", choices=("text", "json"), default="text", help="of the report"
        )
        if target:
            group = result.add_mutually_exclusive_group()
            group.add_argument("--python", metavar="PATH", help="the interpreter to examine")
            group.add_argument("--venv", metavar="DIR", help="the environment to examine")
        if model:
            result.add_argument(
                "--model", metavar="M", help="a Hub id or a model's folder (default: Qwen3-VL-4B)"
            )
        return result

    check = command("check", "Say what is wrong and why, without changing or running anything.")
    check.add_argument(
        "--for",
        dest="purpose",
        choices=("image", "video", "server"),
        help="what is to run: pictures (the default), videos, or mlx-vlm's server",
    )
    check.add_argument("--only", metavar="C,…", help="only these checks or codes")
    check.add_argument("--skip", metavar="C,…", help="not these checks or codes")
    check.add_argument("--facts", metavar="FILE", help="judge facts saved elsewhere")
    check.add_argument("--save-facts", metavar="FILE", help="save the facts as well")

    fix = command("fix", "Repair the environment from a recipe, and prove it with a generation.")
    fix.add_argument("--yes", action="store_true", help="do not ask")
    fix.add_argument("--dry-run", action="store_true", help="only show the plan")
    fix.add_argument("--recipe", metavar="R", help="use this recipe")
    fix.add_argument("--new-venv", metavar="DIR", help="make a fresh environment instead")
    fix.add_argument("--offline", action="store_true", help="use no network")
    fix.add_argument("--wheels", metavar="DIR", help="install from the wheels in this folder")
    fix.add_argument("--force", action="store_true", help="even if other packages break")

    smoke = command("smoke", "Run a real generation that looks at a picture.")
    smoke.add_argument("--image", metavar="FILE", help="a picture of your own")
    smoke.add_argument("--prompt", metavar="P", help="what to ask")
    smoke.add_argument("--expect", metavar="TEXT", help="what the answer must contain")

    undo = command("undo", "Take back the last fix of an environment.", model=False)
    group = undo.add_mutually_exclusive_group()
    group.add_argument("--list", action="store_true", help="show what can be taken back")
    group.add_argument("--clear", action="store_true", help="give up the ways back")

    explain = command(
        "explain",
        "Explain a finding's code or an incident, or say what a pasted error is.",
        target=False,
        model=False,
    )
    asked = explain.add_mutually_exclusive_group(required=True)
    asked.add_argument("code", nargs="?", metavar="CODE", help="a code, a check or an incident")
    asked.add_argument("--error", metavar="FILE", help="a traceback or log (-: standard input)")

    recipes = command("recipes", "Show the recipes.", model=False)
    group = recipes.add_mutually_exclusive_group()
    group.add_argument(
        "--outdated", action="store_true", help="ask the package index what has moved since"
    )
    group.add_argument(
        "--export",
        choices=("requirements", "pyproject", "conda"),
        help="print one as a file for another tool",
    )
    recipes.add_argument("--recipe", metavar="R", help="only this recipe")
    recipes.add_argument(
        "--lock", metavar="L", help="the lock to use (default: the target's), as listed"
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit status of the contract."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:  # it was closed by whoever started us
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 until the end
    signal.signal(signal.SIGTERM, _stop)
    as_json = _wants_json(words)
    name = next((word for word in words if not word.startswith("-")), None)
    try:
        options = parser().parse_args(words)
        # Imported only now: asking for help or the version needs none of it.
        from doctor import commands

        report, code = commands.run(options)
        _print(report, as_json)
        return code
    except DoctorError as error:
        return _fail(name, error.message, error.hint, error.exit_code, as_json)
    except (KeyboardInterrupt, Interrupted):
        return _fail(name, "Interrupted; nothing was changed.", "", 130, as_json)
    except BrokenPipeError:
        # The reader of our output went away; there is nobody to tell. Silence Python's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except Exception as error:
        hint = f"Please report this. The details are in {_save_traceback()}"
        message = f"The doctor itself failed: {type(error).__name__}: {error}"
        return _fail(name, message, hint, 3, as_json)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM does: the same as Ctrl-C."""
    raise Interrupted


def _wants_json(words: Sequence[str]) -> bool:
    """Whether JSON was asked for, also where the rest of the line is wrong."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(
        word == "--format=json" or (word, following) == ("--format", "json")
        for word, following in pairs
    )


def _print(report: object, as_json: bool) -> None:
    """Print a report on standard output. Raises ``CouldNot`` where that cannot be written to."""
    try:
        if as_json:
            from doctor.report import encode

            sys.stdout.buffer.write(encode(report) + b"\n")  # type: ignore[arg-type]
        else:
            from doctor import terminal, text

            text.render(report, terminal.paper(sys.stdout))  # type: ignore[arg-type]
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What could not be written must not be tried again by Python's own flush at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CouldNot(f"The report could not be written: {error.strerror}.") from None


def _fail(command: str | None, message: str, hint: str, code: int, as_json: bool) -> int:
    """Say in one line why there is no report: on standard error, or as the JSON document."""
    from doctor.report import SCHEMA, ErrorDetail, ErrorReport

    report = ErrorReport(
        schema=SCHEMA,
        command=command,
        error=ErrorDetail(message=" ".join(message.split()), hint=hint),
        exit_code=code,
    )
    if as_json:
        _print(report, as_json=True)
    else:
        from doctor import terminal, text

        text.error(report, terminal.paper(sys.stderr))
    return code


def _save_traceback() -> str:
    """Write the traceback of the doctor's own failure to a file, for a bug report."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="vlm-doctor-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return file.name
