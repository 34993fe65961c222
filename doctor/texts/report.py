"""The report of a fleet: a table of machines, and what would heal how many."""

from __future__ import annotations

from collections.abc import Sequence

from doctor.language import text
from doctor.reports.report import FleetReport, MachineRow
from doctor.terminal import Paper
from doctor.texts import SEVERITY_STYLE, fits
from doctor.texts.check import VERDICT_STYLE

# Machines without errors are counted; the JSON document has all of them.
MOST_ROWS = 100
HEAD = ("MACHINE", "VERDICT", "SYSTEM", "PYTHON", "MLX-VLM", "WHAT", "FIX")


def render(report: FleetReport, out: Paper) -> None:
    """Print the counts, the findings, the fixes, and the machines that need something."""
    out.line(("Machines ", "bold"), f"{len(report.machines)}, from {report.folder}")
    for verdict, count in report.verdicts.items():
        out.line(f"{count} ", (verdict, VERDICT_STYLE[verdict]), indent=2)
    if report.unread:
        out.line((f"{len(report.unread)} could not be read", "yellow"), indent=2)
    if report.findings:
        out.line("")
        out.line(("Findings ", "bold"), "by the machines that have them")
        for finding in report.findings:
            style = SEVERITY_STYLE[finding.severity]
            out.line(
                f"{finding.machines:6} ",
                (f"{finding.severity.value:8}", style),
                finding.code,
            )
    broken = [row for row in report.machines if row.verdict == "broken"]
    if broken:
        out.line("")
        out.line(("Fixes ", "bold"), "by the broken machines that each would heal")
        for fix in report.fixes:
            out.line(f"{fix.heals:6} ", _fix(fix.fix))
        left = sum(1 for row in broken if row.fix is None)
        if left:
            out.line(f"{left:6} ", ("none: something is to be done there by hand", "yellow"))
    shown = [row for row in report.machines if row.verdict != "healthy"][:MOST_ROWS]
    if shown:
        out.line("")
        rows = [HEAD, *(_row(row) for row in shown)]
        if fits(rows, out):
            out.table(rows)
        else:
            _lines(shown, out)
        more = len(report.machines) - len(shown)
        if more:
            out.line(f"and {more} more (--format json has all)")
    for unread in report.unread:
        out.line(("not read ", "yellow"), f"{unread.file}: {unread.reason}")
    out.line(f"({report.seconds:.1f} s)")


def _lines(shown: Sequence[MachineRow], out: Paper) -> None:
    """The machines where the terminal is too narrow for a table."""
    for row in shown:
        file, verdict, system, python, release, what, fix = _row(row)
        out.line((f"{file} ", "bold"), (verdict, VERDICT_STYLE[row.verdict]), f": {what}")
        out.line(f"{system}, Python {python}, mlx-vlm {release}", indent=2)
        out.line(fix, indent=2)


def _row(row: MachineRow) -> tuple[str, ...]:
    return (
        row.file,
        row.verdict,
        f"{row.os} {row.arch}",
        row.python,
        row.mlx_vlm or "none",
        ", ".join(row.errors or row.warnings) or "-",
        _fix(row.fix) if row.fix is not None else row.refused or "-",
    )


def _fix(words: str) -> str:
    """What several steps do, each in the language that is spoken."""
    return text(" and ").join(text(step) for step in words.split(" and "))
