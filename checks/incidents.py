"""Is this a combination that others are known to have failed with?

What packages say of themselves, and what their source shows, does not tell everything: a release
that calls another one in a way that only that one refuses, a binary interface that changed, a
tokenizer that was saved by a newer library. Such things are learnt from people who ran into them.

You would see, for example: `AttributeError: 'str' object has no attribute '__module__'` when
mlx_vlm is imported, or `Tokenizer class TokenizersBackend does not exist`.

The doctor keeps them as data, in the files of `checks/known`: what its user sees, the cause, what
helps, the condition on the environment, how it was verified, and the issues where it was reported.
A finding of any check that is a known incident carries its name; `vlm-doctor explain` takes that
name, and `vlm-doctor explain --error FILE` names the incident of a pasted error.

- `releases-incompatible`: installed releases that accept each other by their metadata and are known
  not to work together.
- `tokenizer-unfitting`: the model's tokenizer needs a library, or a release of transformers, that
  is not here.

`vlm-doctor fix` moves to a recipe that was proven. By hand, do what the finding says.
"""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import CheckResult, Finding, Fix, Severity
from doctor.known import incidents
from doctor.known.conditions import evidence
from doctor.packages.requirements import installed

CODES = ("releases-incompatible", "tokenizer-unfitting")


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says: one for each incident whose condition holds."""
    if "mlx-vlm" not in installed(facts.environment):
        return
    for incident in incidents.load().values():
        if not incident.codes or incident.codes[0] not in CODES:
            continue
        seen = next(
            (
                found
                for condition in incident.when
                if (found := evidence(condition, facts)) is not None
            ),
            None,
        )
        if seen is not None:
            yield Finding(
                code=incident.codes[0],
                severity=incident.severity,
                title=incident.title,
                cause=incident.cause,
                evidence=seen,
                fix=Fix(
                    id="advice" if incident.severity is Severity.NOTE else "recipe",
                    summary=incident.remedy
                    if incident.severity is Severity.NOTE
                    else "install the versions of a recipe that was proven to work together",
                    automatic=incident.severity is not Severity.NOTE,
                ),
                incident=incident.id,
            )
