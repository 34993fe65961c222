"""Does a generation run? Only `vlm-doctor check --deep` tries it.

All other checks read files and predict. This one knows: the generation was run, in the environment
itself, with the model if it is on this machine, else with the doctor's own small Qwen3-VL.

- `generation-failed`: it did not run, or it ran and did not understand the picture. The stage tells
  how far it got: `import`, `load` (the model and its processor), `see` (the picture), `generate`,
  `answer` (it spoke, but not of what is in the picture).

You would see the error that the finding shows. Where it is one that is known, the finding names the
incident, and `vlm-doctor explain INCIDENT` tells more.

Where the generation passes, no other finding is called an error, and nothing that could not be
looked at makes the verdict `unknown`: what ran, runs.

`vlm-doctor fix` installs the whole recipe anew. By hand: make a fresh environment from
`vlm-doctor recipes --export requirements`.
"""

from __future__ import annotations

from doctor.facts import Facts, Generation
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.known.incidents import Incident

CODES = ("generation-failed",)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    generation = facts.generation
    if generation is None or generation.passed:
        return
    if generation.timed_out:
        yield NotChecked(reason=f"the generation with {generation.model}: {generation.error}")
        return
    incident = _incident(generation)
    if generation.stage == "answer":
        title = f"{generation.model} runs, and does not understand what it sees"
    else:
        title = f"A generation with {generation.model} fails ({generation.stage})"
    yield Finding(
        code="generation-failed",
        severity=Severity.ERROR,
        title=title,
        cause=incident.cause if incident else "It was run, and this is how it ended.",
        evidence=(
            Evidence(
                fact="it ended with",
                value=generation.error or "nothing",
                source=f"a generation in {facts.environment.interpreter.executable}",
            ),
        ),
        fix=Fix(id="recipe", summary="install the whole recipe anew", automatic=True),
        incident=incident.id if incident else None,
    )


def _incident(generation: Generation) -> Incident | None:
    """The known incident that the error shows."""
    from doctor.known import (  # only where a generation failed: they cost a check 20 ms
        attribution,
        pasted,
    )

    text = "\n".join(filter(None, (generation.traceback, generation.error)))
    found = attribution.attribute(pasted.Pasted(text, cut=False))
    return found[0].incident if found else None
