"""Annotations and a job summary for GitHub's runners.

A finding is a workflow command on standard output, escaped as GitHub's toolkit does it
(actions/toolkit, packages/core/src/command.ts); the whole report goes, as Markdown, to the end of
the file that ``GITHUB_STEP_SUMMARY`` names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from doctor.errors import CouldNot
from doctor.findings import Finding
from doctor.formats import contents, markdown
from doctor.language import text
from doctor.reports import Report
from doctor.reports.check import CheckReport
from doctor.reports.fix import FixReport
from doctor.reports.smoke import SmokeReport
from doctor.terminal import clean

LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
# The runner refuses a step's summary of more than 1 MiB.
MOST_SUMMARY_BYTES = 2**20


def render(report: Report) -> str:
    """The annotations, and a last line for the log; the summary is written on the way."""
    summarise(markdown.render(report))
    return "\n".join([*_annotations(report), clean(_last(report))])


def summarise(document: str) -> None:
    """Add a document to the job's summary, where there is one. Raises ``CouldNot``."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    content = (document + "\n\n").encode()
    try:
        there = os.path.getsize(name) if os.path.exists(name) else 0
        if there + len(content) > MOST_SUMMARY_BYTES:
            content = (text("The report is too long for a summary.") + "\n\n").encode()
        with open(name, "ab") as file:
            file.write(content)
    except OSError as error:
        raise CouldNot(f"The job summary could not be written: {error.strerror}.") from None


def command(level: str, title: str, message: str) -> str:
    """A workflow command that annotates; its message may have several lines."""
    lines = "\n".join(clean(line) for line in message.splitlines())
    return f"::{level} title={_property(clean(title))}::{_data(lines)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _annotations(report: Report) -> Iterator[str]:
    if isinstance(report, CheckReport):
        yield from (_finding(finding) for finding in contents.heard(report))
        for gap in report.not_checked:
            yield command("warning", f"{text('not checked')}: {gap.check}", text(gap.reason))
    elif isinstance(report, FixReport):
        # After a fix, only what is still there is worth an annotation.
        if report.after is not None:
            yield from _annotations(report.after)
        elif report.before is not None:
            yield from _annotations(report.before)
        for generation in (report.smoke, report.real_smoke):
            if generation is not None:
                yield from _annotations(generation)
    elif isinstance(report, SmokeReport):
        for stage in report.stages:
            if not stage.passed:
                title = f"vlm-doctor smoke: {stage.name} {text('failed')}"
                yield command("error", title, stage.error or "?")
        if report.understood is False:
            asked = f"{report.prompt}\n{report.answer}"
            yield command("error", text("the picture was not understood"), asked)


def _finding(finding: Finding) -> str:
    lines = [text(finding.cause)]
    lines += [
        f"{text(item.fact)}: {text(item.value)} ({text(item.source)})" for item in finding.evidence
    ]
    way = contents.way_of(finding)
    lines += [way] if way is not None else []
    title = f"{finding.code}: {text(finding.title)}"
    return command(LEVELS[finding.severity.value], title, "\n".join(lines))


def _last(report: Report) -> str:
    if isinstance(report, CheckReport):
        return f"vlm-doctor: {text(report.verdict)}: {contents.verdict_of(report)}"
    if isinstance(report, FixReport):
        return f"vlm-doctor fix: {text(report.outcome)}: {contents.outcome_of(report)}"
    assert isinstance(report, SmokeReport)
    return f"vlm-doctor smoke: {text('passed') if report.passed else text('failed')}"
