"""A repaired preprocessor_config.json in the model's snapshot, never in a blob."""

from __future__ import annotations

from doctor.actions import Advice, EditJson
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.hub.mending import restored
from doctor.intents import Intents, UseRecipe

# Where the class is named in each of the two files that may name it.
FIELDS = {
    "preprocessor_config.json": ("image_processor_type",),
    "processor_config.json": ("image_processor", "image_processor_type"),
}


def actions(finding: Finding, facts: Facts) -> Intents:
    """The class that this transformers has, or the recipe that needs no such file."""
    image_processor = facts.environment.image_processor
    named_by = facts.model.image_processor_named_by
    if finding.fix.id == "restore":
        yield from restored(facts)
    elif finding.fix.id == "download":
        yield Advice(summary=finding.fix.summary, code=finding.code)
    elif any(fact.fact == "video_processor_type" for fact in finding.evidence):
        yield from _video(facts)
    elif (
        finding.fix.id == "preprocessor"
        and named_by is not None
        and image_processor is not None
        and image_processor.replacement
    ):
        path = facts.model.files[named_by].path
        yield EditJson(
            summary=f"in {path}, name {image_processor.replacement} "
            f"in place of {image_processor.named}",
            path=path,
            field=FIELDS[named_by],
            value=image_processor.replacement,
        )
    else:
        yield UseRecipe()


def _video(facts: Facts) -> Intents:
    """The class for videos that this transformers has, named in the model's file."""
    video = facts.environment.video_processor
    if video is None or not video.replacement:
        yield UseRecipe()
        return
    path = facts.model.files["video_preprocessor_config.json"].path
    yield EditJson(
        summary=f"in {path}, name {video.replacement} in place of {video.named}",
        path=path,
        field=("video_processor_type",),
        value=video.replacement,
    )
