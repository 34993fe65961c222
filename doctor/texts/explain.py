"""The page of a code, or what a pasted error is."""

from __future__ import annotations

from doctor.known.incidents import MARKS
from doctor.language import Foreign
from doctor.reports.explain import ExplainReport, IncidentReport
from doctor.terminal import Paper
from doctor.texts import SEVERITY_STYLE


def render(report: ExplainReport, out: Paper) -> None:
    """Print the page, or the incidents that the text shows."""
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
        out.line("Recognised: ", Foreign(shown), f" (line {last.line})")
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
    out.line((f"line {incident.line}: ", "dim"), Foreign(incident.seen or ""), indent=4)
    out.line(f"What helps: {incident.remedy}", indent=2)
    if incident.codes:
        out.line(f"vlm-doctor check reports it as {' or '.join(incident.codes)}.", indent=2)
    known = MARKS[incident.mark]
    if incident.sources:
        known += f"; see {', '.join(incident.sources)}"
    out.line((known[0].upper() + known[1:], "dim"), indent=2)
    out.line("")
