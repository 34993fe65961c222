"""Which known incident a finding is: pure, from the findings of all checks and the facts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.known import incidents
from doctor.known.conditions import evidence
from doctor.known.incidents import Incident


def named(findings: Iterable[Finding], facts: Facts) -> list[Finding]:
    """The findings with their incidents' names, one finding for each cause.

    Where a check has found by itself what is also known as an incident, the two become one: the
    check's finding stays, with its own evidence, and is as severe as the incident is known to be.
    Of two that carry a name already (a generation's error, and the condition that foretells it) the
    worse stays.
    """
    by_rule: list[Finding] = []
    by_name: dict[str, Finding] = {}
    for finding in findings:
        if finding.incident is None:
            by_rule.append(finding)
            continue
        other = by_name.setdefault(finding.incident, finding)
        if _worse(other.severity, finding.severity) is not other.severity:
            by_name[finding.incident] = finding
    result = []
    for finding in by_rule:
        incident = _incident_of(finding, facts)
        if incident is not None:
            known = by_name.pop(incident.id, None)
            severity = known.severity if known else finding.severity
            finding = msgspec.structs.replace(  # noqa: PLW2901
                finding, incident=incident.id, severity=_worse(finding.severity, severity)
            )
        result.append(finding)
    return [*result, *by_name.values()]


def _incident_of(finding: Finding, facts: Facts) -> Incident | None:
    """The incident that this finding reports: rather one whose condition on the facts holds."""
    candidates = [
        incident
        for incident in incidents.load().values()
        if finding.code in incident.codes
        and (incident.about or incident.when)
        and _is_about(finding, incident)
        and _holds(incident, facts)
    ]
    return min(candidates, key=lambda incident: not incident.when, default=None)


def _is_about(finding: Finding, incident: Incident) -> bool:
    # Where a finding is about files, its sources are these files; elsewhere they are who told it.
    files = [item.source for item in finding.evidence if finding.code.startswith("files-")]
    seen = [*(f"{item.fact}: {item.value}" for item in finding.evidence), *files]
    return not incident.about or any(words in line for words in incident.about for line in seen)


def _holds(incident: Incident, facts: Facts) -> bool:
    return not incident.when or any(
        evidence(condition, facts) is not None for condition in incident.when
    )


def _worse(first: Severity, second: Severity) -> Severity:
    return min(first, second, key=list(Severity).index)
