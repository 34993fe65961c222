"""What can be mended in the cache without the network; the rest has to be fetched."""

from __future__ import annotations

from doctor.actions import Advice, RemoveFiles
from doctor.facts import Facts
from doctor.findings import Finding
from doctor.intents import Intents


def actions(finding: Finding, facts: Facts) -> Intents:
    """What is to be done."""
    storage = facts.model.storage
    if finding.code == "download-unfinished" and storage is not None:
        # An editor's copy is the user's own, and a download may yet go on from its beginning.
        left = [one for one in storage.leftovers if one.kind == "incomplete" and not one.needed]
        if left:
            freed = sum(one.bytes for one in left)
            yield RemoveFiles(
                summary="remove what is left of earlier downloads of the model: "
                f"{len(left)} of its files, {freed / 1e6:.1f} MB",
                paths=tuple(one.path for one in left),
                freed_bytes=freed,
            )
            return
    yield Advice(summary=finding.fix.summary, code=finding.code)
