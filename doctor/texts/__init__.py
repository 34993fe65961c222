"""Reports for people: plain words beside every symbol, colour only as an extra.

One module a command, each with ``render(report, out)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

from doctor.findings import Severity
from doctor.reports import ErrorReport, Report
from doctor.terminal import Paper

SEVERITY_STYLE = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
}


def render(report: Report, out: Paper) -> None:
    """Print any report."""
    module = importlib.import_module(f"doctor.texts.{report.command}")
    cast("Callable[[Report, Paper], None]", module.render)(report, out)


def fits(rows: Sequence[Sequence[str]], out: Paper) -> bool:
    """Whether a table of these rows goes onto the paper without a break in any cell."""
    width = sum(max(map(len, column)) + 1 for column in zip(*rows, strict=True)) - 1
    return out.columns is None or out.columns >= width


def error(report: ErrorReport, out: Paper) -> None:
    """One line that says what is wrong, and one that helps."""
    out.line(("vlm-doctor: ", "bold"), report.error.message)
    if report.error.hint:
        out.line(report.error.hint, indent=2)
