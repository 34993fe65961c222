"""Reports in GitHub's Markdown, to paste into an issue.

What came from somebody's metadata must not become markup there, nor call people or other issues:
GitHub looks for mentions and references after it has made HTML, so that a backslash does not stop
them. Names, values and paths therefore stand in code spans, where GitHub looks for nothing; in
sentences every mark is escaped, and an empty comment parts ``@`` and ``#`` from what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from doctor import __version__
from doctor.actions import Advice, Download, Install, Remove
from doctor.findings import Finding
from doctor.formats import contents
from doctor.formats.sheet import Block, Page, Rows, Verbatim, blocks
from doctor.language import text
from doctor.reports import Report
from doctor.reports.check import CheckReport, PlanReport
from doctor.reports.fix import FixReport
from doctor.reports.smoke import SmokeReport
from doctor.terminal import clean

# What CommonMark or GitHub gives a meaning to, and the dots and colons of addresses.
MARKS = re.compile(r"[\\`*_\[\]<>#|~$&]|(?<=www)\.|:(?=//)")
# What GitHub turns into links to people and issues, even after a backslash. The comment must not
# come first in a line: that would begin a block of HTML, where nothing is escaped any more.
REFERENCES = re.compile(r"@(?=\w)|(?<=\\#)(?=\d)|(?<=GH-)(?=\d)")
# A longer table is folded up.
MOST_ROWS = 8
# What would begin a list.
LIST = re.compile(r"^(\d*)(?=[-+.)](\s|$))")


def sentence(words: str) -> str:
    """A sentence as it is, in one line, whatever stands in it."""
    escaped = MARKS.sub(lambda found: "\\" + found.group(), clean(words).strip())
    parted = REFERENCES.sub(lambda found: found.group() + "<!-- -->", escaped)
    return LIST.sub(lambda found: found.group() + "\\", parted)


def code(value: str) -> str:
    """A code span of a value, whatever backticks it has."""
    shown = clean(value)
    if not shown:
        return "—"
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if longest or shown != shown.strip() else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already; in a cell, a bar has to be escaped once more."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", cell) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def block(value: str) -> list[str]:
    """A block of code of several lines."""
    lines = [clean(line) for line in value.splitlines()]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *lines, fence, ""]


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines that a click unfolds. The title is the doctor's own."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "</details>", ""]


def render(report: Report) -> str:
    """The report as a document."""
    if isinstance(report, CheckReport):
        lines = [f"## vlm-doctor: {text(report.verdict)}", "", *_check(report)]
    elif isinstance(report, FixReport):
        lines = _fix(report)
    elif isinstance(report, SmokeReport):
        word = text("passed") if report.passed else text("failed")
        lines = [f"## vlm-doctor smoke: {word}", "", *_smoke(report)]
    else:
        found = [line for item in blocks(report) for line in _block(item)]
        said = re.sub(r"\n{3,}", "\n\n", "\n".join(found).strip())
        lines = [f"## vlm-doctor {report.command}", "", said, ""]
    return "\n".join([*lines, f"<sub>vlm-doctor {__version__}</sub>"])


def _block(item: Block) -> list[str]:
    """A block of a report: a paragraph, or an item of a list where it is indented."""
    if isinstance(item, Rows):
        cells = ([sentence(cell) for cell in row] for row in item.rows)
        return ["", *table([""] * len(item.rows[0]), cells)]
    if isinstance(item, Page):
        return [item.markdown]
    if isinstance(item, Verbatim):
        return ["", *block(item.text)]
    if item.indent:
        return [f"{' ' * (item.indent - 2)}- {sentence(item.text)}"]
    return ["", sentence(item.text), ""]


def _check(report: CheckReport) -> list[str]:
    findings = contents.heard(report)
    said = contents.verdict_of(report)
    lines = [sentence(f"{said[:1].upper()}{said[1:]} ({contents.counts(findings)})."), ""]
    for finding in findings:
        lines += _finding(finding)
    for finding in report.findings:
        if finding.ignored is not None:
            reason = sentence(finding.ignored)
            lines.append(f"- {text('ignored')} {code(finding.code)}: {reason}")
    for gap in report.not_checked:
        lines.append(f"- **{text('not checked')}** {code(gap.check)}: {sentence(text(gap.reason))}")
    if lines[-1]:
        lines.append("")
    if report.plan.actions:
        lines += [f"### {text('Plan')}", "", *_plan(report.plan)]
    where = [
        (sentence(row.label), code(row.value) if row.code else sentence(row.value))
        for row in contents.where(report)
    ]
    lines += folded(text("Where"), table(("", ""), where))
    lines += folded(text("Packages"), _packages(report))
    return lines


def _packages(report: CheckReport) -> list[str]:
    rows = []
    for package in contents.packages(report):
        planned = _version(package.planned) if package.changes else ""
        wrong = ", ".join(code(finding.code) for finding in package.wrong)
        rows.append((code(package.name), _version(package.version), wrong, planned))
    return table(
        (text("Package"), text("version"), text("what is wrong"), text("new version")), rows
    )


def _version(version: str | None) -> str:
    return code(version) if version is not None else text("none")


def _finding(finding: Finding) -> list[str]:
    title = f"{text(finding.severity.value)}: {sentence(text(finding.title))}"
    lines = [f"### {title} {code(finding.code)}", "", sentence(text(finding.cause)), ""]
    way = contents.way_of(finding)
    if way is not None:
        lines += [sentence(way), ""]
    if finding.evidence:
        rows = [
            (sentence(text(item.fact)), code(text(item.value)), code(text(item.source)))
            for item in finding.evidence
        ]
        head = (text("what was seen"), text("value"), text("where"))
        lines += folded(text("Evidence"), table(head, rows))
    if finding.incident:
        lines += [f"{text('Known incident')}: {code(finding.incident)}", ""]
    return lines


def _plan(plan: PlanReport) -> list[str]:
    lines = []
    for action in plan.actions:
        if isinstance(action, Advice):
            lines.append(f"- **{text('yours to do')}** {sentence(text(action.summary))}")
            lines += [f"  - {code(command)}" for command in action.commands]
        else:
            lines.append(f"- {sentence(text(action.summary))}")
        if isinstance(action, (Install, Remove)):
            rows = [
                (code(change.name), _version(change.before), _version(change.after))
                for change in action.changes
            ]
            shown = table((text("Package"), text("version"), text("new version")), rows)
            lines += ["", *(folded(text("Changes"), shown) if len(rows) > MOST_ROWS else shown)]
            left = contents.left_of(action) if isinstance(action, Install) else None
            lines += [sentence(left), ""] if left else []
        if isinstance(action, Advice) and action.commands:
            lines += ["", *block("\n".join(action.commands))]
        if isinstance(action, Download):
            files = [(code(row.label), sentence(row.value)) for row in contents.files_of(action)]
            lines += ["", *table(("", ""), files)]
    refused = contents.refused_of(plan)
    lines += [f"**{text('refused')}** {sentence(refused)}", ""] if refused else []
    lines += [f"- {sentence(line)}" for line in contents.to_fetch(plan)]
    lines += [f"- **{text('breaks')}** {sentence(text(broken))}" for broken in plan.breaks]
    return [*lines, ""]


def _fix(report: FixReport) -> list[str]:
    reason = f" ({sentence(text(report.reason))})" if report.reason else ""
    lines = [f"## vlm-doctor fix: {text(report.outcome)}", ""]
    lines += [f"{sentence(contents.outcome_of(report))}{reason}.", ""]
    if report.plan.actions:
        lines += [f"### {text('Plan')}", "", *_plan(report.plan)]
    for generation in (report.smoke, report.real_smoke):
        if generation is not None:
            lines += [f"### {text('Generation')}", "", *_smoke(generation)]
    for title, examined in (("Before", report.before), ("After", report.after)):
        if examined is not None:
            lines += folded(f"{text(title)}: {text(examined.verdict)}", _check(examined))
    return lines


def _smoke(report: SmokeReport) -> list[str]:
    lines = [f"{text('model')}: {code(report.model.id)}", ""]
    rows = []
    for stage in report.stages:
        took = contents.seconds(stage.seconds) if stage.seconds is not None else ""
        word = text("passed") if stage.passed else f"**{text('failed')}**"
        rows.append((code(stage.name), word, took, code(stage.error) if stage.error else ""))
    lines += table((text("stage"), "", "", text("error")), rows)
    for stage in report.stages:
        if stage.traceback:
            lines += folded(text("Traceback"), block(stage.traceback))
    asked = [
        (code(item.prompt or ""), code(item.answer or ""), code(item.expected or ""))
        for item in report.answers
    ]
    if asked:
        lines += table((text("asked"), text("answered"), text("in the picture")), asked)
    if report.understood is False:
        lines += [f"**{text('the picture was not understood')}**", ""]
    measured = [(row.label, sentence(row.value)) for row in contents.measured(report)]
    if measured and report.answer is not None:
        lines += table(("", ""), measured)
    watched = [(row.label, sentence(row.value)) for row in contents.watched(report)]
    if watched:
        lines += [f"{text('Peak memory of each phase')}:", "", *table(("", ""), watched)]
    return lines
