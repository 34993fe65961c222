"""Would a picture reach this model, or is its processor a tokenizer alone, or out of step?

mlx-vlm brings processors for many models (what turns a picture into numbers). Where it has none,
or its own fails, transformers goes on: with the class that the model's files name, then with its
own for the model type, and at last, without a word, with the tokenizer alone. Then the model runs
and answers, and has never seen the picture.

- `processor-blind`: the tokenizer is all that is loaded, and mlx-vlm has nothing of its own to put
  pictures in. You would see no error, or `Loaded processor has no image_processor`.
- `processor-fails`: loading or calling the processor ends in an error that installing a backend
  does not help with. Either the model's processor is code of its own repository, which mlx-vlm does
  not run unless it is told to (`contains custom code which must be executed`), or mlx-vlm's
  processor hands something on that the installed transformers refuses (`unexpected keyword argument
  'padding'`), or it asks for a package that nobody requires (`Package num2words is required`).

The doctor follows what `mlx_vlm.load` does in the source of the installed mlx-vlm and transformers,
with the class names that the model's own files give. Which releases run which models:
`docs/models.md`.
"""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity

CODES = ("processor-blind", "processor-fails")

NEWEST = Fix(
    id="recipe",
    summary="install the newest proven mlx-vlm, which brings processors of its own for more models",
    automatic=True,
)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    processor = facts.environment.processor
    if processor is None or processor.unknown is not None or facts.model.type is None:
        return
    named = Evidence(
        fact="the processor class that the model's files name",
        value=processor.name or "none",
        source=facts.model.path or facts.model.id,
    )
    reason = processor.fails
    if reason is None and processor.packages:
        reason = f"it asks for {' and '.join(processor.packages)}, which is not installed"
    if reason is not None:
        yield Finding(
            code="processor-fails",
            severity=Severity.ERROR,
            title=f"The processor of {facts.model.type} fails here",
            cause=_sentence(reason),
            evidence=(
                named
                if processor.source is None
                else Evidence(
                    fact="the processor", value=processor.name or "?", source=processor.source
                ),
            ),
            fix=NEWEST
            if processor.provider is None or processor.packages
            else Fix(
                id="versions",
                summary="another pair of mlx-vlm and transformers: docs/models.md tells which",
                automatic=False,
            ),
        )
    elif processor.sees is False:
        yield Finding(
            code="processor-blind",
            severity=Severity.ERROR,
            title=f"No picture would reach {facts.model.type}: only its tokenizer is loaded",
            cause="Neither this mlx-vlm nor this transformers has a processor for it. A model of "
            "text alone has none; another may have one in a newer mlx-vlm.",
            evidence=(named,),
            # A model that names a processor has one, in a release that this one is not.
            fix=NEWEST
            if processor.name is not None
            else Fix(
                id="model",
                summary="choose a model that sees (docs/models.md), or a newer mlx-vlm",
                automatic=False,
            ),
        )


def _sentence(reason: str) -> str:
    return reason[0].upper() + reason[1:] + "."
