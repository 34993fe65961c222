"""The reports of ``vlm-doctor models``."""

from __future__ import annotations

from doctor.reports.pull import PullReport
from doctor.terminal import Paper
from doctor.texts import pull


def render(report: PullReport, out: Paper) -> None:
    """Print the report."""
    pull.render(report, out)
