"""The report of a comparison."""

from __future__ import annotations

from doctor.findings import Finding
from doctor.reports.compare import CompareReport, Difference, Group, GroupName, Swapped
from doctor.terminal import Paper
from doctor.texts import SEVERITY_STYLE
from doctor.texts.check import VERDICT_STYLE

GROUP_WORDS: dict[GroupName, str] = {
    "python": "Python itself",
    "packages": "the packages",
    "files": "the packages' files",
    "variables": "the variables",
    "machine": "the machine",
    "hub": "the way to the Hub",
    "model": "the model",
}

# Of each group that does not decide; the JSON document has all.
MOST_SHOWN = 12


def render(report: CompareReport, out: Paper) -> None:
    """Print both sides, what decides, and the rest of what differs."""
    for name, side in (("A", report.a), ("B", report.b)):
        out.line(
            (f"{name} ", "bold"),
            f"{side.file}: ",
            (side.verdict, VERDICT_STYLE[side.verdict]),
            f" (Python {side.python}, {side.model}, {side.taken_at})",
        )
    out.line("")
    for name, findings in (("A", report.only_a), ("B", report.only_b)):
        for finding in findings:
            _finding(name, finding, out)
    if report.both:
        out.line(("in both ", "dim"), ", ".join(report.both))
    if report.only_a or report.only_b or report.both:
        out.line("")
    deciding = [group for group in report.groups if group.decides]
    for group in deciding:
        out.line(
            ("This decides: ", "bold"),
            GROUP_WORDS[group.name],
            "" if group.exact else _inexact(group),
        )
        _swapped("A", "B", group, group.a_with_b, report.a.verdict, out)
        _swapped("B", "A", group, group.b_with_a, report.b.verdict, out)
        _table(report, group, out)
    if not report.groups:
        out.line("Nothing differs.")
    elif not deciding:
        out.line("None of the differences changes the verdict.")
    for group in report.groups:
        if not group.decides:
            out.line(("This does not: ", "bold"), GROUP_WORDS[group.name])
            _table(report, group, out)


def _finding(side: str, finding: Finding, out: Paper) -> None:
    out.line(
        f"only in {side}: ",
        (f"{finding.severity.value} ", SEVERITY_STYLE[finding.severity]),
        finding.title,
        f"  [{finding.code}]",
    )


def _inexact(group: Group) -> str:
    return " (more than one group differs of those that were looked at together: not exact)"


def _swapped(side: str, other: str, group: Group, after: Swapped, before: str, out: Paper) -> None:
    changes = [f"- {code}" for code in after.gone] + [f"+ {code}" for code in after.new]
    words = GROUP_WORDS[group.name]
    if after.verdict == before:
        told = f"{side} with what {other} has there ({words}) stays as it was: "
    else:
        told = f"{side} with what {other} has there ({words}) would be: "
    out.line(
        told,
        (after.verdict, VERDICT_STYLE[after.verdict]),
        f" ({', '.join(changes)})" if changes else "",
        indent=2,
    )


def _table(report: CompareReport, group: Group, out: Paper) -> None:
    differences = sorted(
        (item for item in report.differences if item.group == group.name),
        key=lambda item: not item.findings,
    )
    rows = [_row(item) for item in differences[:MOST_SHOWN]]
    out.table([("", "A", "|", "B", ""), *rows], indent=4)
    if len(differences) > MOST_SHOWN:
        out.line(f"and {len(differences) - MOST_SHOWN} more (--format json has all)", indent=4)


def _row(item: Difference) -> tuple[str, ...]:
    named = f"[{', '.join(item.findings)}]" if item.findings else ""
    return (item.name, item.a or "none", "|", item.b or "none", named)
