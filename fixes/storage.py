"""What can be mended in the cache without the network; the rest has to be fetched."""

from __future__ import annotations

from checks import model, preprocessor, tokenizer, weights
from checks.storage import wrong
from doctor.actions import Advice, PutFile, RemoveFiles
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.hub.mending import restored
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """What is to be done."""
    storage = facts.model.storage
    if storage is None:
        return
    if finding.fix.id == "reference" and facts.model.revision is not None:
        yield PutFile(
            summary=finding.fix.summary,
            path=f"{storage.home}/refs/main",
            text=facts.model.revision,
        )
    elif finding.fix.id == "restore":
        # An edit that works is its maker's wish. One that fails is taken back.
        if fails(facts):
            yield from restored(facts)
    elif finding.fix.id == "clear":
        # An editor's copy is the user's own, and a download may yet go on from its beginning.
        damaged = {file.blob for file in storage.files if wrong(file) is not None}
        left = [
            one
            for one in storage.leftovers
            if one.kind == "incomplete" and not one.needed and one.of not in damaged
        ]
        if left:
            freed = sum(one.bytes for one in left)
            yield RemoveFiles(
                summary="remove what is left of earlier downloads of the model: "
                f"{len(left)} of its files, {freed / 1e6:.1f} MB",
                paths=tuple(one.path for one in left),
                freed_bytes=freed,
            )
    else:
        yield Advice(summary=finding.fix.summary, code=finding.code)


def fails(facts: Facts) -> bool:
    """Whether the model, as it lies, ends a generation."""
    return any(
        isinstance(said, Finding) and said.severity is Severity.ERROR
        for check in (model, preprocessor, tokenizer, weights)
        for said in check.check(facts)
    )
