"""What mends a damaged file of a model: a copy of it that lies beside it, or fetching it again."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.actions import PutFile
from doctor.facts import Facts, StoredFile
from doctor.findings import Fix


def fix_of(facts: Facts, *names: str) -> Fix:
    """The fix for damage to one of these files: ``restore`` where one has a copy, or ``download``.

    A copy has the hash that the Hub gave the file (``StoredFile.backup``), so that it is the file.
    """
    copies = [file for file in restorable(facts) if file.name in names]
    if copies:
        return Fix(
            id="restore",
            summary=f"put back {copies[0].name} as the Hub gave it, from {copies[0].backup}",
            automatic=True,
        )
    return Fix(
        id="download", summary=f"fetch {' and '.join(names)} again (hf download)", automatic=False
    )


def restorable(facts: Facts) -> Iterator[StoredFile]:
    """The files whose blob was edited, and of which there is a copy that is right."""
    storage = facts.model.storage
    for file in storage.files if storage else ():
        if file.backup is not None and file.blob is not None and file.hash_is_right is not True:
            yield file


def restored(facts: Facts) -> Iterator[PutFile]:
    """The copies, put in the place of the blobs."""
    storage = facts.model.storage
    for file in restorable(facts):
        assert storage is not None
        yield PutFile(
            summary=f"put back {file.name} as the Hub gave it, from {file.backup}",
            path=f"{storage.home}/blobs/{file.blob}",
            source=file.backup,
            hash=file.expected_hash,
        )
