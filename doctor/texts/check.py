"""The report of a check, and of a plan."""

from __future__ import annotations

import shlex

from doctor.actions import Advice, Download, Install, Remove
from doctor.findings import Finding, Severity
from doctor.hub import downloads
from doctor.language import Foreign
from doctor.probes.model import DEFAULT
from doctor.reports.check import CheckReport, PlanReport
from doctor.terminal import Paper
from doctor.texts import SEVERITY_STYLE

VERDICT_STYLE = {
    "broken": "bold red",
    "unknown": "yellow",
    "degraded": "yellow",
    "healthy": "bold green",
}
PURPOSE_WORDS = {
    "image": "a generation with this model",
    "video": "a generation with videos and this model",
    "server": "mlx-vlm's server with this model",
}
VERDICT_WORDS = {
    "broken": "{} will not run here",
    "unknown": "not everything that decides could be looked at",
    "degraded": "{} runs, but see the warnings",
    "healthy": "{} runs here",
}


def render(report: CheckReport, out: Paper) -> None:
    """Print what was found and the verdict."""
    _where(report, out)
    for finding in report.findings:
        if finding.ignored is None:
            show(finding, out)
    for finding in report.findings:
        if finding.ignored is not None:
            out.line(("ignored ", "dim"), f"{finding.code}: ", Foreign(finding.ignored))
    for gap in report.not_checked:
        out.line(("not checked ", "yellow"), f"{gap.check}: ", gap.reason)
    if report.proof is not None:
        if report.proof.unchanged:
            out.line(f"Unchanged since a generation proved it on {report.proof.proven_at}.")
        else:
            shown = ", ".join(report.proof.changes[:6])
            more = len(report.proof.changes) - 6
            shown += f" and {more} more" if more > 0 else ""
            out.line(f"Changed since a generation proved it on {report.proof.proven_at}: {shown}")
    _verdict(report, out)


def _where(report: CheckReport, out: Paper) -> None:
    target, machine, model = report.target, report.machine, report.model
    out.line(
        ("Python ", "bold"),
        f"{target.version} at {target.python} (found by {target.found_by})",
    )
    versions = ", ".join(f"{name} {version}" for name, version in target.packages.items())
    out.line(("Packages ", "bold"), versions or "none of those that matter")
    memory = f"{machine.ram_total_bytes / 1e9:.1f} GB" if machine.ram_total_bytes else "? GB"
    chip = f"{machine.chip}, " if machine.chip else ""
    out.line(("Machine ", "bold"), f"{chip}{machine.os} {machine.arch}, {memory} of memory")
    cached = "here" if model.cached else "not on this machine"
    kind = model.type or "type unknown"
    out.line(("Model ", "bold"), f"{model.id} (", kind, ", ", cached, ")")
    out.line("")


def show(finding: Finding, out: Paper) -> None:
    """Print one finding."""
    out.line(
        (f"{finding.severity.value} ", SEVERITY_STYLE[finding.severity]),
        (finding.title, "bold"),
        f"  [{finding.code}]",
        (f" {finding.incident}" if finding.incident else "", "dim"),
    )
    out.line(finding.cause, indent=2)
    for evidence in finding.evidence:
        out.line((f"{evidence.fact}: ", "dim"), evidence.value, indent=4)
        out.line((f"from {evidence.source}", "dim"), indent=6)
    way = "vlm-doctor fix will" if finding.fix.automatic else "You can"
    if finding.fix.id != "none":
        out.line(f"{way}: ", finding.fix.summary, indent=2)
    out.line("")


def _verdict(report: CheckReport, out: Paper) -> None:
    words = VERDICT_WORDS[report.verdict].format(PURPOSE_WORDS[report.purpose])
    took = f" ({report.seconds:.2f} s)"
    out.line((report.verdict, VERDICT_STYLE[report.verdict]), ": ", words, took)
    following = next_command(report)
    if following is not None:
        out.line(f"Next: {following}", whole=True)
    elif report.verdict == "broken" and report.plan.refused is not None:
        out.line("vlm-doctor fix will not do it: ", report.plan.refused)
        _advice(report.plan, out, commands_only=True)


def next_command(report: CheckReport) -> str | None:
    """The command that would mend what is broken; null where there is none."""
    if report.verdict != "broken":
        return None
    errors = [
        one for one in report.findings if one.severity is Severity.ERROR and one.ignored is None
    ]
    # What lies in the Hub's cache (it has a revision) can be fetched from there again.
    asked_for = " " + shlex.join(("--model", report.model.id))
    if report.model.revision is not None and any(one.fix.id == "download" for one in errors):
        return f"vlm-doctor fix --download{asked_for}{named(report)}"
    if any(one.fix.automatic for one in errors) and report.plan.refused is None:
        return f"vlm-doctor fix{'' if report.model.id == DEFAULT else asked_for}{named(report)}"
    return None


def named(report: CheckReport) -> str:
    """The option that names the same environment again, where it was named."""
    if report.target.found_by in {"--python", "--venv", "--new-venv"}:
        return f" --python {shlex.quote(report.target.python)}"
    return ""


def plan(report: PlanReport, out: Paper) -> None:
    """What a fix would do."""
    out.line(("Plan", "bold"), f" (recipe {report.recipe})" if report.recipe else "")
    for action in report.actions:
        if isinstance(action, Advice):
            continue
        out.line("- ", action.summary, indent=2)
        if isinstance(action, (Install, Remove)):
            out.table(
                [
                    (change.name, change.before or "none", "→", change.after or "none")
                    for change in action.changes
                ],
                indent=6,
            )
        if isinstance(action, Install) and action.left:
            left = ", ".join(f"{change.name} {change.before}" for change in action.left)
            out.line(f"left to conda: {left}", indent=4)
        elif isinstance(action, Download):
            out.table(
                [(file.path, file.why, downloads.size(file.bytes)) for file in action.fetched],
                indent=6,
            )
    for source in report.sources:
        out.line(f"From {source.line()}", indent=2)
    for build in report.builds:
        out.line(f"Built from source, by its own programs: {build.line()}", indent=2)
    if report.download_bytes:
        out.line(f"To fetch: {report.download_bytes / 1e6:.0f} MB at most", indent=2)
    if report.disk_bytes:
        out.line(f"Disk, with the way back: {report.disk_bytes / 1e6:.0f} MB", indent=2)
    for broken in report.breaks:
        out.line(("breaks ", "bold red"), broken, indent=2)
    _advice(report, out)


def _advice(report: PlanReport, out: Paper, commands_only: bool = False) -> None:
    for action in report.actions:
        if isinstance(action, Advice) and (action.commands or not commands_only):
            out.line(("yours to do ", "yellow"), action.summary, indent=2)
            for command in action.commands:
                out.verbatim(f"      {command}")
