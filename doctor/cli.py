"""The command line: it parses, calls one command, prints its report, and gives its exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Collection, Sequence
from types import FrameType
from typing import IO, TYPE_CHECKING, NoReturn

from doctor import __version__, commands, formats, language, undecoded
from doctor.commands import SUMMARIES
from doctor.errors import CouldNot, DoctorError, Interrupted, Refused

if TYPE_CHECKING:
    from doctor.reports import Report

EPILOG = (
    "exit status: 0 no errors (check), works (fix, smoke); 1 errors found, not fixed, failed; "
    "2 wrong usage or refused; 3 the doctor could not do its work, or the verdict is unknown; "
    "130 interrupted"
)


class Unprintable(CouldNot):
    """The report could not be written to standard output."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the doctor's own: one line, exit 2, JSON where it was asked for.

    Its help is in the language that is spoken, argparse's own words too.
    """

    def format_help(self) -> str:
        """The help page."""
        for action in self._actions:
            for part in (action, *getattr(action, "_choices_actions", ())):
                part.help = language.text(part.help) if part.help else part.help
        for group in self._action_groups:
            group.title = language.text(group.title) if group.title else group.title
        self.description = language.text(self.description or "")
        self.epilog = language.text(self.epilog or "")
        usage, colon, rest = super().format_help().partition(":")
        return language.text(usage) + colon + rest

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed."""
        raise Refused(message[0].upper() + message[1:] + ".", f"See: {self.prog} --help")


def parser(asked: Collection[str] = tuple(SUMMARIES)) -> Parser:
    """The command line of the contract; of the commands that were not asked for, only the names.

    Options are added by the command's own module, and importing those costs time.
    """
    top = Parser(
        prog="vlm-doctor",
        description="Says whether a vision-language model runs with MLX here, and makes it run.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"vlm-doctor {__version__}")
    names = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in SUMMARIES.items():
        command = names.add_parser(
            name, help=summary, description=summary, allow_abbrev=False, epilog=EPILOG
        )
        command.add_argument(
            "--format", choices=formats.of_command(name), default="text", help="of the report"
        )
        command.add_argument(
            "--lang",
            choices=language.LANGUAGES,
            help="the language of the report (default: the locale's)",
        )
        if name in asked:
            commands.module(name).arguments(command)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit status of the contract."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup has to go on
            signal.signal(number, _stop)
    language.use(language.choose(words, os.environ))
    as_json = _wants_json(words)
    name = next((word for word in words if not word.startswith("-")), None)
    if name not in SUMMARIES:
        name = None
    try:
        options = parser([name] if name else []).parse_args(words)
        report, code = commands.run(options)
        _print(report, options.format)
        return code
    except Unprintable as error:
        return _fail(name, error.message, error.hint, error.exit_code, as_json=False)
    except DoctorError as error:
        return _fail(name, error.message, error.hint, error.exit_code, as_json)
    except (KeyboardInterrupt, Interrupted):
        return _fail(name, "Interrupted; no environment was changed.", "", 130, as_json)
    except BrokenPipeError:
        _silence(sys.stdout)  # the reader of our output went away; there is nobody to tell
        return 3
    except Exception as error:
        hint = f"Please report this. The details are in {_save_traceback()}"
        message = f"The doctor itself failed: {type(error).__name__}: {error}"
        return _fail(name, message, hint, 3, as_json)


def _open_streams() -> None:
    """Give the standard streams that whoever started us has closed somewhere to go.

    Python has none of them then, and would print progress on standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 until the end


def _silence(stream: IO[str]) -> None:
    """What could not be written must not be tried again by Python's own flush at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """What SIGTERM and a closed terminal (SIGHUP) do: the same as Ctrl-C."""
    raise Interrupted


def _wants_json(words: Sequence[str]) -> bool:
    """Whether JSON was asked for, also where the rest of the line is wrong."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(
        word == "--format=json" or (word, following) == ("--format", "json")
        for word, following in pairs
    )


def _print(report: Report, format_name: str) -> None:
    """Print a report on standard output. Raises ``Unprintable`` where it cannot be written to."""
    try:
        if format_name == "json":
            from doctor.reports import encode

            sys.stdout.buffer.write(encode(report) + b"\n")
        elif format_name in formats.DOCUMENTS:
            document = formats.render(report, format_name)
            # Files of these formats are UTF-8, wherever they are made.
            sys.stdout.buffer.write(undecoded.shown(document).encode() + b"\n")
        else:
            from doctor import terminal, texts

            texts.render(report, terminal.paper(sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _silence(sys.stdout)
        raise Unprintable(f"The report could not be written: {error.strerror}.") from None


def _fail(command: str | None, message: str, hint: str, code: int, as_json: bool) -> int:
    """Say in one line why there is no report: on standard error, or as the JSON document."""
    from doctor.reports import SCHEMA, ErrorDetail, ErrorReport

    report = ErrorReport(
        schema=SCHEMA,
        command=command,
        error=ErrorDetail(message=" ".join(message.split()), hint=hint),
        exit_code=code,
    )
    if as_json:
        try:
            _print(report, "json")
            return code
        except BrokenPipeError:
            _silence(sys.stdout)
            return code
        except Unprintable:
            pass  # then it is said where people read
    from doctor import terminal, texts

    try:
        texts.error(report, terminal.paper(sys.stderr))
    except OSError:
        _silence(sys.stderr)
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
