"""The report of a pull."""

from __future__ import annotations

from doctor.hub.downloads import names, size
from doctor.reports.pull import PullReport
from doctor.terminal import Paper
from doctor.texts import check, smoke

WORDS = {
    "pulled": ("bold green", "it is here whole, and a generation has proved it"),
    "nothing-to-do": ("bold green", "it is here whole already, and a generation has proved it"),
    "planned": ("cyan", "this is what would be done; nothing was changed"),
    "declined": ("yellow", "nothing was fetched"),
    "not-proven": ("bold red", "it is here whole, and the generation did not pass"),
    "failed": ("bold red", "not all of it was fetched"),
    "interrupted": ("yellow", "not all of it was fetched; repeat, and it goes on from there"),
}


def render(report: PullReport, out: Paper) -> None:
    """Print what was found before, what was fetched, and the proof."""
    for finding in report.findings:
        check.show(finding, out)
    if report.download is not None and report.outcome in ("planned", "declined", "failed"):
        out.line(f"To fetch: {report.download.summary}")
        for line in names(report.download.fetched):
            out.line("- ", line, indent=2)
        if report.free_bytes is not None:
            out.line(f"Free on the cache's disk: {size(report.free_bytes)}")
        out.line("")
    if report.smoke is not None:
        smoke.render(report.smoke, out)
        out.line("")
    if report.freed_bytes is not None:
        out.line(f"Old revisions are gone: {size(report.freed_bytes)} freed")
    for gap in report.not_checked:
        if gap.decides:
            out.line(("not checked ", "yellow"), f"{gap.check}: {gap.reason}")
    style, words = WORDS[report.outcome]
    reason = f" ({report.reason})" if report.reason else ""
    out.line((report.outcome, style), f": {words}{reason} ({report.seconds:.1f} s)")
