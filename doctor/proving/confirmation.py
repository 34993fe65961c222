"""What a generation that was really run says of the predictions: it is right, whatever they say."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from doctor.facts import Facts
from doctor.findings import Finding, NotChecked, Severity


def decides(facts: Facts) -> bool:
    """Whether the generation that was run is the one that the verdict is about, and passed.

    It is where it ran the model that was asked about, or, where that is not here, one of its type.
    """
    generation, model = facts.generation, facts.model
    if generation is None or not generation.passed or facts.purpose != "image":
        return False
    if not generation.stand_in:
        return True
    here = model.path is not None and model.weights_bytes is not None
    return not here and generation.model_type == model.type


def confirmed(
    findings: Iterable[Finding], gaps: Iterable[NotChecked], facts: Facts
) -> tuple[list[Finding], list[NotChecked]]:
    """The findings and gaps after the generation: where it passed, no error stands, and no gap."""
    if not decides(facts):
        return list(findings), list(gaps)
    return (
        [
            msgspec.structs.replace(
                finding,
                severity=Severity.WARNING,
                cause=f"{finding.cause} A generation ran all the same.",
            )
            if finding.severity is Severity.ERROR
            else finding
            for finding in findings
        ],
        [msgspec.structs.replace(gap, decides=False) for gap in gaps],
    )
