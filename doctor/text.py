"""Reports for people, in the terminal: plain words beside every symbol, colour only as an extra.

Everything that came from somebody's metadata is printed as text, never as markup, and control
characters are made visible: a package's name must not be able to steer the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from doctor.actions import Advice, Install, Remove
from doctor.findings import Finding, Severity
from doctor.report import (
    CheckReport,
    ErrorReport,
    ExplainReport,
    FixReport,
    PlanReport,
    RecipesReport,
    Report,
    SmokeReport,
    UndoReport,
)

WIDTH_OF_FILES = 1000

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
VERDICT_WORDS = {
    "broken": "a generation with this model will not run here",
    "unknown": "not everything that decides could be looked at",
    "degraded": "it runs, but see the warnings",
    "healthy": "a generation with this model runs here",
}


def console(stream: IO[str]) -> Console:
    """A console on a stream: plain where it is no terminal, and for ``NO_COLOR``.

    A file or a pipe gets lines of any length: whatever reads it wraps or searches by itself.
    """
    width = None if stream.isatty() else WIDTH_OF_FILES
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def clean(text: str) -> str:
    """The text with every control character made visible (a newline becomes a space)."""
    return "".join(
        " "
        if letter in "\n\t"
        else f"\\x{ord(letter):02x}"
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co")
        else letter
        for letter in text
    )


def render(report: Report, out: Console) -> None:
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


def error(report: ErrorReport, out: Console) -> None:
    """One line that says what is wrong, and one that helps."""
    _line(out, ("vlm-doctor: ", "bold"), report.error.message)
    if report.error.hint:
        _line(out, report.error.hint, indent=2)


def _line(out: Console, *parts: str | tuple[str, str], indent: int = 0) -> None:
    text = Text()
    for part in parts:
        if isinstance(part, tuple):
            text.append(clean(part[0]), part[1])
        else:
            text.append(clean(part))
    out.print(Padding(text, (0, 0, 0, indent), expand=False))


def _check(report: CheckReport, out: Console) -> None:
    _where(report, out)
    for finding in report.findings:
        if finding.ignored is None:
            _finding(finding, out)
    for finding in report.findings:
        if finding.ignored is not None:
            _line(out, ("ignored ", "dim"), f"{finding.code}: {finding.ignored}")
    for gap in report.not_checked:
        _line(out, ("not checked ", "yellow"), f"{gap.check}: {gap.reason}")
    if report.proof is not None:
        if report.proof.unchanged:
            _line(out, f"Unchanged since a generation proved it on {report.proof.proven_at}.")
        else:
            shown = ", ".join(report.proof.changes[:6])
            more = len(report.proof.changes) - 6
            shown += f" and {more} more" if more > 0 else ""
            _line(out, f"Changed since a generation proved it on {report.proof.proven_at}: {shown}")
    _verdict(report, out)


def _where(report: CheckReport, out: Console) -> None:
    target, machine, model = report.target, report.machine, report.model
    _line(
        out,
        ("Python ", "bold"),
        f"{target.version} at {target.python} (found by {target.found_by})",
    )
    versions = ", ".join(f"{name} {version}" for name, version in target.packages.items())
    _line(out, ("Packages ", "bold"), versions or "none of those that matter")
    memory = f"{machine.ram_total_bytes / 1e9:.0f} GB" if machine.ram_total_bytes else "? GB"
    chip = f"{machine.chip}, " if machine.chip else ""
    _line(out, ("Machine ", "bold"), f"{chip}{machine.os} {machine.arch}, {memory} of memory")
    cached = "here" if model.cached else "not on this machine"
    _line(out, ("Model ", "bold"), f"{model.id} ({model.type or 'type unknown'}, {cached})")
    out.print()


def _finding(finding: Finding, out: Console) -> None:
    _line(
        out,
        (f"{finding.severity.value} ", SEVERITY_STYLE[finding.severity]),
        (finding.title, "bold"),
        f"  [{finding.code}]",
    )
    _line(out, finding.cause, indent=2)
    for evidence in finding.evidence:
        _line(out, (f"{evidence.fact}: ", "dim"), evidence.value, indent=4)
        _line(out, (f"from {evidence.source}", "dim"), indent=6)
    way = "vlm-doctor fix will" if finding.fix.automatic else "You can"
    if finding.fix.id != "none":
        _line(out, f"{way}: {finding.fix.summary}", indent=2)
    out.print()


def _verdict(report: CheckReport, out: Console) -> None:
    _line(
        out,
        (report.verdict, VERDICT_STYLE[report.verdict]),
        f": {VERDICT_WORDS[report.verdict]} ({report.seconds:.2f} s)",
    )
    if report.verdict == "broken":
        automatic = any(
            finding.fix.automatic and finding.severity is Severity.ERROR
            for finding in report.findings
        )
        if automatic:
            _line(out, f"Next: vlm-doctor fix{_named(report)}")


def _named(report: CheckReport) -> str:
    """The option that names the same environment again, where it was named."""
    if report.target.found_by in ("--python", "--venv"):
        return f" --python {report.target.python}"
    return ""


def plan(report: PlanReport, out: Console) -> None:
    """What a fix would do."""
    _line(out, ("Plan", "bold"), f" (recipe {report.recipe})" if report.recipe else "")
    for action in report.actions:
        if isinstance(action, Advice):
            continue
        _line(out, f"- {action.summary}", indent=2)
        if isinstance(action, (Install, Remove)):
            table = Table(show_header=False, box=None, padding=(0, 1, 0, 0), pad_edge=False)
            for change in action.changes:
                table.add_row(
                    Text(clean(change.name)),
                    Text(clean(change.before or "none")),
                    Text("→"),
                    Text(clean(change.after or "none")),
                )
            out.print(Padding(table, (0, 0, 0, 6), expand=False))
    if report.download_bytes:
        _line(out, f"To fetch: {report.download_bytes / 1e6:.0f} MB at most", indent=2)
    if report.disk_bytes:
        _line(out, f"Disk, with the way back: {report.disk_bytes / 1e6:.0f} MB", indent=2)
    for broken in report.breaks:
        _line(out, ("breaks ", "bold red"), broken, indent=2)
    for action in report.actions:
        if isinstance(action, Advice):
            _line(out, ("yours to do ", "yellow"), action.summary, indent=2)


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


def _fix(report: FixReport, out: Console) -> None:
    if report.outcome in ("planned", "refused") and report.plan.actions:
        plan(report.plan, out)
        out.print()
    elif report.outcome not in ("fixed", "nothing-to-do") and report.before is not None:
        for finding in report.before.findings:
            if finding.severity is Severity.ERROR:
                _finding(finding, out)
    for smoke in (report.smoke, report.real_smoke):
        if smoke is not None:
            _smoke(smoke, out)
            out.print()
    style, words = FIX_WORDS[report.outcome]
    reason = f" ({report.reason})" if report.reason else ""
    _line(out, (report.outcome, style), f": {words}{reason} ({report.seconds:.1f} s)")
    if report.outcome == "fixed":
        _line(out, "To take it back: vlm-doctor undo")


def _smoke(report: SmokeReport, out: Console) -> None:
    _line(out, ("Generation ", "bold"), f"with {report.model.id}")
    for stage in report.stages:
        seconds = f" {stage.seconds:.2f} s" if stage.seconds is not None else ""
        if stage.passed:
            _line(out, ("passed ", "green"), f"{stage.name}{seconds}", indent=2)
        else:
            _line(out, ("failed ", "bold red"), f"{stage.name}{seconds}: {stage.error}", indent=2)
            if stage.traceback:
                for line in stage.traceback.splitlines()[-8:]:
                    _line(out, (line, "dim"), indent=4)
    if report.answer is not None:
        _line(out, f"asked: {report.prompt}", indent=2)
        _line(out, f"answered: {report.answer}", indent=2)
        if report.expected is not None:
            _line(out, f"expected: {report.expected}", indent=2)
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
        _line(out, ", ".join(measured), indent=2)
    _line(
        out,
        ("passed", "bold green") if report.passed else ("failed", "bold red"),
        f" in {report.seconds:.1f} s",
        indent=2,
    )


def _undo(report: UndoReport, out: Console) -> None:
    words = {
        "undone": f"The last fix was taken back ({report.restored} paths put back).",
        "recovered": f"An interrupted fix was taken back ({report.restored} paths put back).",
        "nothing-to-undo": "There is nothing to take back.",
        "listed": f"{len(report.entries)} fixes can be taken back, the newest first.",
        "cleared": "The ways back were given up, and their space with them.",
    }
    _line(out, words[report.outcome])
    for entry in report.entries:
        size = f"{entry.bytes / 1e6:.0f} MB kept"
        _line(out, f"{entry.finished_at}  {entry.summary} ({size})", indent=2)


def _recipes(report: RecipesReport, out: Console) -> None:
    for recipe in report.recipes:
        _line(out, (recipe.name, "bold"), f": {recipe.summary}")
        _line(out, f"for {recipe.for_whom}", indent=2)
        for requirement in recipe.requirements:
            _line(out, requirement, indent=4)
        _line(out, f"locked for {len(recipe.locks)}: {', '.join(recipe.locks)}", indent=2)


def _explain(report: ExplainReport, out: Console) -> None:
    from rich.markdown import Markdown

    out.print(Markdown(report.page))
