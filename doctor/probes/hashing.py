"""The hashes of a model's files (``check --deep``): every byte is read, so it takes its time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from doctor.facts import Model
from doctor.probes import storage


def hashed(model: Model, advance: Callable[[int, int], object] | None = None) -> Model:
    """The model with every file's hash compared whose hash the Hub told.

    ``advance`` takes the bytes that were read since it was called last, and all that are to be.
    """
    if model.storage is None or model.path is None:
        return model
    folder = Path(os.path.expanduser(model.path))
    left = [
        file
        for file in model.storage.files
        if file.expected_hash is not None
        and file.hash_is_right is None
        and file.kind in ("file", "link")
    ]
    total = sum(file.bytes or 0 for file in left)

    def told(read: int) -> None:
        if advance is not None:
            advance(read, total)

    done = {file.name: storage.with_hash(folder / file.name, file, told) for file in left}
    files = tuple(done.get(file.name, file) for file in model.storage.files)
    return msgspec.structs.replace(
        model, storage=msgspec.structs.replace(model.storage, files=files)
    )
