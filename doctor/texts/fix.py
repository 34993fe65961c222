"""The report of a fix."""

from __future__ import annotations

from doctor.actions import WriteProfile
from doctor.findings import Severity
from doctor.reports.fix import FixReport
from doctor.terminal import Paper
from doctor.texts import check, smoke

FIX_WORDS = {
    "fixed": ("bold green", "it works now, and a generation has proved it"),
    "nothing-to-do": ("bold green", "nothing has to be done"),
    "planned": ("cyan", "this is what would be done; nothing was changed"),
    "declined": ("yellow", "nothing was changed"),
    "rolled-back": ("bold red", "not fixed; everything is as it was before"),
    "refused": ("bold red", "nothing was changed"),
    "interrupted": ("yellow", "everything is as it was before"),
    "failed": ("bold red", "not fixed"),
}


def _profile(action: WriteProfile, tried: bool, out: Paper) -> None:
    """How to run the model on this machine."""
    found = action.profile
    out.line(("Run profile ", "bold"), action.path)
    for step in found.steps:
        out.line("- ", step, indent=2)
    before, after = found.peak_before_bytes / 1e9, found.peak_bytes / 1e9
    out.line(f"predicted peak {after:.1f} GB, without it {before:.1f} GB", indent=2)
    if not tried or found.model != found.asked_for:
        out.line("this model is not here: it was not tried", indent=2)
    if not found.fits:
        out.line(("warning ", "yellow"), "even so it will wait for the disk", indent=2)
    out.line(found.command(), indent=2, whole=True)
    out.line("")


def render(report: FixReport, out: Paper) -> None:
    """Print what was done, and the proof."""
    if report.outcome in ("planned", "refused") and report.plan.actions:
        check.plan(report.plan, out)
        out.line("")
    elif report.outcome not in ("fixed", "nothing-to-do") and report.before is not None:
        for finding in report.before.findings:
            if finding.severity is Severity.ERROR:
                check.show(finding, out)
    for generation in (report.smoke, report.real_smoke):
        if generation is not None:
            smoke.render(generation, out)
            out.line("")
    for action in report.applied:
        if isinstance(action, WriteProfile):
            _profile(action, report.real_smoke is not None, out)
    style, words = FIX_WORDS[report.outcome]
    reason = (" (", report.reason, ")") if report.reason else ()
    out.line((report.outcome, style), ": ", words, *reason, f" ({report.seconds:.1f} s)")
    if report.model_folder is not None:
        out.line(f"The repaired model, to be loaded from there: {report.model_folder}")
    if report.outcome == "fixed":
        out.line(f"To take it back: {undo_command(report)}", whole=True)


def undo_command(report: FixReport) -> str:
    """The command that takes this fix back, with the environment where it was named."""
    return "vlm-doctor undo" + ("" if report.before is None else check.named(report.before))
