"""The script of a completion, as it is."""

from __future__ import annotations

from doctor.reports.completion import CompletionReport
from doctor.terminal import Paper


def render(report: CompletionReport, out: Paper) -> None:
    """Print the script."""
    out.verbatim(report.text)
