"""Reports for people: plain words beside every symbol, colour only as an extra."""

from __future__ import annotations

from collections.abc import Callable

from doctor.actions import Advice, Install, Remove
from doctor.findings import Finding, Severity
from doctor.incidents import MARKS
from doctor.report import (
    CheckReport,
    ErrorReport,
    ExplainReport,
    FixReport,
    IncidentReport,
    OutdatedReport,
    PlanReport,
    RecipesReport,
    Report,
    SmokeReport,
    UndoReport,
)
from doctor.terminal import Paper

SEVERITY_STYLE = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
}
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


def render(report: Report, out: Paper) -> None:
    """Print any report."""
    printers: dict[type, Callable[..., None]] = {
        CheckReport: _check,
        FixReport: _fix,
        SmokeReport: _smoke,
        UndoReport: _undo,
        RecipesReport: _recipes,
        ExplainReport: _explain,
        ErrorReport: error,
    }
    printers[type(report)](report, out)


def error(report: ErrorReport, out: Paper) -> None:
    """One line that says what is wrong, and one that helps."""
    out.line(("vlm-doctor: ", "bold"), report.error.message)
    if report.error.hint:
        out.line(report.error.hint, indent=2)


def _check(report: CheckReport, out: Paper) -> None:
    _where(report, out)
    for finding in report.findings:
        if finding.ignored is None:
            _finding(finding, out)
    for finding in report.findings:
        if finding.ignored is not None:
            out.line(("ignored ", "dim"), f"{finding.code}: {finding.ignored}")
    for gap in report.not_checked:
        out.line(("not checked ", "yellow"), f"{gap.check}: {gap.reason}")
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
    memory = f"{machine.ram_total_bytes / 1e9:.0f} GB" if machine.ram_total_bytes else "? GB"
    chip = f"{machine.chip}, " if machine.chip else ""
    out.line(("Machine ", "bold"), f"{chip}{machine.os} {machine.arch}, {memory} of memory")
    cached = "here" if model.cached else "not on this machine"
    out.line(("Model ", "bold"), f"{model.id} ({model.type or 'type unknown'}, {cached})")
    out.line("")


def _finding(finding: Finding, out: Paper) -> None:
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
        out.line(f"{way}: {finding.fix.summary}", indent=2)
    out.line("")


def _verdict(report: CheckReport, out: Paper) -> None:
    words = VERDICT_WORDS[report.verdict].format(PURPOSE_WORDS[report.purpose])
    out.line((report.verdict, VERDICT_STYLE[report.verdict]), f": {words} ({report.seconds:.2f} s)")
    if report.verdict == "broken":
        automatic = any(
            finding.fix.automatic and finding.severity is Severity.ERROR
            for finding in report.findings
        )
        if automatic:
            out.line(f"Next: vlm-doctor fix{_named(report)}")


def _named(report: CheckReport) -> str:
    """The option that names the same environment again, where it was named."""
    if report.target.found_by in ("--python", "--venv"):
        return f" --python {report.target.python}"
    return ""


def plan(report: PlanReport, out: Paper) -> None:
    """What a fix would do."""
    out.line(("Plan", "bold"), f" (recipe {report.recipe})" if report.recipe else "")
    for action in report.actions:
        if isinstance(action, Advice):
            continue
        out.line(f"- {action.summary}", indent=2)
        if isinstance(action, (Install, Remove)):
            out.table(
                [
                    (change.name, change.before or "none", "→", change.after or "none")
                    for change in action.changes
                ],
                indent=6,
            )
    if report.download_bytes:
        out.line(f"To fetch: {report.download_bytes / 1e6:.0f} MB at most", indent=2)
    if report.disk_bytes:
        out.line(f"Disk, with the way back: {report.disk_bytes / 1e6:.0f} MB", indent=2)
    for broken in report.breaks:
        out.line(("breaks ", "bold red"), broken, indent=2)
    for action in report.actions:
        if isinstance(action, Advice):
            out.line(("yours to do ", "yellow"), action.summary, indent=2)


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


def _fix(report: FixReport, out: Paper) -> None:
    if report.outcome in ("planned", "refused") and report.plan.actions:
        plan(report.plan, out)
        out.line("")
    elif report.outcome not in ("fixed", "nothing-to-do") and report.before is not None:
        for finding in report.before.findings:
            if finding.severity is Severity.ERROR:
                _finding(finding, out)
    for smoke in (report.smoke, report.real_smoke):
        if smoke is not None:
            _smoke(smoke, out)
            out.line("")
    style, words = FIX_WORDS[report.outcome]
    reason = f" ({report.reason})" if report.reason else ""
    out.line((report.outcome, style), f": {words}{reason} ({report.seconds:.1f} s)")
    if report.outcome == "fixed":
        out.line("To take it back: vlm-doctor undo")


def _smoke(report: SmokeReport, out: Paper) -> None:
    out.line(("Generation ", "bold"), f"with {report.model.id}")
    for stage in report.stages:
        seconds = f" {stage.seconds:.2f} s" if stage.seconds is not None else ""
        if stage.passed:
            out.line(("passed ", "green"), f"{stage.name}{seconds}", indent=2)
        else:
            out.line(("failed ", "bold red"), f"{stage.name}{seconds}: {stage.error}", indent=2)
            if stage.traceback:
                for line in stage.traceback.splitlines()[-8:]:
                    out.line((line, "dim"), indent=4)
    for answer in report.answers:
        out.line(f"asked: {answer.prompt}", indent=2)
        out.line(f"answered: {answer.answer}", indent=4)
        if answer.expected not in (None, answer.answer):
            out.line(f"in the picture: {answer.expected}", indent=4)
    if report.understood is False:
        out.line(("failed ", "bold red"), "the picture was not understood", indent=2)
    measured = []
    if report.tokens_per_second is not None:
        measured.append(f"{report.tokens_per_second:.1f} tokens/s")
    if report.time_to_first_token_seconds is not None:
        measured.append(f"first token after {report.time_to_first_token_seconds:.2f} s")
    if report.peak_memory_bytes is not None:
        measured.append(f"peak {report.peak_memory_bytes / 1e6:.0f} MB")
    if report.ram_delta_bytes is not None:
        measured.append(f"RAM {report.ram_delta_bytes / 1e6:+.0f} MB")
    if report.swap_delta_bytes is not None:
        measured.append(f"swap {report.swap_delta_bytes / 1e6:+.0f} MB")
    if report.pressure_after is not None:
        measured.append(f"pressure {report.pressure_before} → {report.pressure_after}")
    if measured and report.answer is not None:
        out.line(", ".join(measured), indent=2)
    out.line(
        ("passed", "bold green") if report.passed else ("failed", "bold red"),
        f" in {report.seconds:.1f} s",
        indent=2,
    )


def _undo(report: UndoReport, out: Paper) -> None:
    words = {
        "undone": f"The last fix was taken back ({report.restored} paths put back).",
        "recovered": f"An interrupted fix was taken back ({report.restored} paths put back).",
        "nothing-to-undo": "There is nothing to take back.",
        "listed": f"{len(report.entries)} fixes can be taken back, the newest first.",
        "cleared": "The ways back were given up, and their space with them.",
    }
    out.line(words[report.outcome])
    for entry in report.entries:
        size = f"{entry.bytes / 1e6:.0f} MB kept"
        out.line(f"{entry.finished_at}  {entry.summary} ({size})", indent=2)


def _recipes(report: RecipesReport, out: Paper) -> None:
    for recipe in report.recipes:
        if recipe.exported is not None:
            out.verbatim(recipe.exported.text)
            continue
        out.line((recipe.name, "bold"), f": {recipe.summary}")
        if recipe.no_lock is not None:
            out.line(("not asked ", "yellow"), recipe.no_lock, indent=2)
        elif recipe.outdated is not None:
            _outdated(recipe.outdated, out)
        else:
            out.line(f"for {recipe.for_whom}", indent=2)
            for requirement in recipe.requirements:
                out.line(requirement, indent=4)
            out.line(f"locked for {len(recipe.locks)}: {', '.join(recipe.locks)}", indent=2)
            proven = ", ".join(f"{lock} ({day})" for lock, day in recipe.proven.items())
            out.line(f"ran a generation: {proven or 'none yet'}", indent=2)


def _outdated(report: OutdatedReport, out: Paper) -> None:
    out.line(f"{report.lock}, at your package index:", indent=2)
    words = {True: "newer", False: "", None: "not there"}
    out.table(
        [
            ("package", "pinned", "newest", ""),
            *(
                (pin.name, pin.pinned, pin.newest or "none", words[pin.newer])
                for pin in report.pins
            ),
        ],
        indent=4,
    )
    for yanked in report.yanked:
        reason = f": {yanked.reason}" if yanked.reason else ""
        out.line(("yanked ", "bold red"), f"{yanked.name} {yanked.version}{reason}", indent=2)
    for gone in report.gone:
        out.line(("gone ", "bold red"), f"{gone.name} {gone.version}: {gone.reason}", indent=2)
    if not (report.yanked or report.gone):
        out.line("None of the lock's versions was yanked.", indent=2)


def _explain(report: ExplainReport, out: Paper) -> None:
    pasted = report.errors or any(incident.line for incident in report.incidents)
    if report.page and not pasted:
        out.page(report.page)
        return
    if report.cut:
        out.line("The text is very long: only its end was looked at.")
    for incident in report.incidents:
        _incident(incident, out)
    if report.incidents:
        return
    if report.errors:
        last = report.errors[-1]
        shown = f"{last.type}: {last.message}" if last.message else last.type
        out.line(f"Recognised: {shown} (line {last.line})")
    else:
        out.line("No exception was recognised in the text.")
    out.line("No incident is known that looks like this.")
    out.line("vlm-doctor check and vlm-doctor smoke may still tell what is wrong.")


def _incident(incident: IncidentReport, out: Paper) -> None:
    out.line(
        (f"{incident.severity.value} ", SEVERITY_STYLE[incident.severity]),
        (incident.title, "bold"),
        f"  [{incident.id}]",
    )
    out.line(incident.cause, indent=2)
    out.line((f"line {incident.line}: ", "dim"), incident.seen or "", indent=4)
    out.line(f"What helps: {incident.remedy}", indent=2)
    if incident.codes:
        out.line(f"vlm-doctor check reports it as {' or '.join(incident.codes)}.", indent=2)
    known = MARKS[incident.mark]
    if incident.sources:
        known += f"; see {', '.join(incident.sources)}"
    out.line((known[0].upper() + known[1:], "dim"), indent=2)
    out.line("")
