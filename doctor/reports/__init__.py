"""The reports: the JSON documents of the contract ``vlm-doctor/report/1``, as types.

One module a command, each with its ``DOCUMENT``. The published schema,
``doctor/schema/report-1.json``, is generated from these (``make schema``). Fields are only added,
never renamed.
"""

from __future__ import annotations

import os
from typing import Literal, Protocol

import msgspec

from doctor import __version__, undecoded
from doctor.facts import Facts, Struct
from doctor.packages.requirements import installed

SCHEMA: Literal["vlm-doctor/report/1"] = "vlm-doctor/report/1"

# The packages that the report lists: those whose versions people ask each other for first.
LISTED = (
    "mlx",
    "mlx-metal",
    "mlx-cpu",
    "mlx-vlm",
    "mlx-lm",
    "transformers",
    "tokenizers",
    "huggingface-hub",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
)


class Report(Protocol):
    """What every document has."""

    @property
    def command(self) -> str | None:
        """The command that it is the report of."""


class Tool(Struct, frozen=True):
    """Who made the report."""

    name: str = "vlm-doctor"
    version: str = __version__


class TargetReport(Struct, frozen=True):
    """The environment that was examined. ``packages`` are those that matter, by name."""

    python: str
    version: str
    prefix: str
    found_by: str
    packages: dict[str, str | None]


class ErrorDetail(Struct, frozen=True):
    """One line that says what is wrong, and what can be done."""

    message: str
    hint: str


class ErrorReport(Struct, frozen=True):
    """The document where there is no report to give."""

    schema: Literal["vlm-doctor/report/1"]
    command: str | None
    error: ErrorDetail
    exit_code: int


def encode(report: Report) -> bytes:
    """The report as one JSON document, indented.

    JSON is UTF-8, and a file's name may be none: such bytes are escaped, as in every format.
    """
    try:
        document = msgspec.json.encode(report)
    except UnicodeEncodeError:
        document = msgspec.json.encode(undecoded.document(msgspec.to_builtins(report)))
    return msgspec.json.format(document, indent=2)


def target_report(facts: Facts, elsewhere: bool = False) -> TargetReport:
    """The target as reports show it: with real paths, unless the facts are from ``elsewhere``."""
    interpreter = facts.environment.interpreter
    real = str if elsewhere else os.path.expanduser
    everything = installed(facts.environment)
    return TargetReport(
        python=real(interpreter.executable),
        version=interpreter.version,
        prefix=real(interpreter.prefix),
        found_by=facts.found_by,
        packages={name: everything[name].version for name in LISTED if name in everything},
    )
