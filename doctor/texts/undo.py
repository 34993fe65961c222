"""The report of an undo."""

from __future__ import annotations

from doctor.language import counted
from doctor.reports.undo import UndoReport
from doctor.terminal import Paper


def render(report: UndoReport, out: Paper) -> None:
    """Print what was taken back, or can be."""
    able = sum(1 for entry in report.entries if entry.problem is None)
    restored = counted(report.restored, "{} path put back", "{} paths put back")
    words = {
        "undone": f"The last fix was taken back ({restored}).",
        "recovered": f"An interrupted fix was taken back ({restored}).",
        "nothing-to-undo": "There is nothing to take back.",
        "listed": counted(
            able, "{} fix can be taken back.", "{} fixes can be taken back, the newest first."
        ),
        "cleared": "The ways back were given up, and their space with them.",
    }
    if report.environment is not None:
        out.line(("Environment ", "bold"), report.environment)
    nothing = report.outcome == "listed" and not able
    out.line(words["nothing-to-undo" if nothing else report.outcome])
    for entry in report.entries:
        if entry.problem is not None:
            out.line(f"{entry.id}  cannot be taken back: {entry.problem}", indent=2)
            continue
        kept = f"{entry.bytes / 1e6:.0f} MB kept until {entry.kept_until}"
        out.line(f"{entry.finished_at}  {entry.summary} ({kept})", indent=2)
