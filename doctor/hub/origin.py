"""Where a model's folder comes from: which model of the Hub it is, by what lies in it.

`hf download --local-dir` notes of each file the revision and the hash, in
``.cache/huggingface/download``, and not the model's name. Names that are likely are taken from the
folder's path (``owner/name`` as LM Studio has it, ``owner--name``, ``owner_name``) and from the
first heading of README.md. The Hub is believed, not the name: a file of the folder has to have the
hash that the Hub gives it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from doctor.facts import Model, Remote, StoredFile

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

# A smaller file may be the same in many models.
LEAST_BYTES = 500
MOST_README_BYTES = 4000


def candidates(folder: Path) -> list[str]:
    """The names that the folder may have on the Hub, the likeliest first."""
    return list(dict.fromkeys(name for name in _names(folder) if _ID.fullmatch(name)))


def _names(folder: Path) -> Iterator[str]:
    try:
        with (folder / "README.md").open("rb") as stream:
            text = stream.read(MOST_README_BYTES).decode("utf-8", "replace")
    except OSError:
        text = ""
    heading = re.search(r"^# +\[?([^\s\]]+)", text, re.MULTILINE)
    if heading:
        yield heading[1]
    yield f"{folder.parent.name}/{folder.name}"
    for between in ("--", "__", "_"):
        owner, found, name = folder.name.removeprefix("models--").partition(between)
        if found:
            yield f"{owner}/{name}"


def is_of(before: Model, model: Model, remote: Remote, said: bool) -> bool:
    """Whether the folder is of this model: a file has the hash that the Hub gives it.

    ``model`` was held against the Hub's list (``StoredFile.hash_is_right``), ``before`` was not.
    Where nobody has ``said`` so, it takes the weights, or a note that they were fetched there: a
    model that was trained further has all the other files in common, and must not be replaced.
    """
    hashes = {file.path: file.blob for file in remote.files if file.bytes >= LEAST_BYTES}
    right = {file.name for file in _stored(model) if file.hash_is_right}
    if said:
        return not right.isdisjoint(hashes)
    right |= {one.name for one in _stored(before) if one.expected_hash == hashes.get(one.name, "")}
    return any(name.endswith(".safetensors") for name in right & hashes.keys())


def _stored(model: Model) -> tuple[StoredFile, ...]:
    return model.storage.files if model.storage else ()


def staging(model: Model) -> Path:
    """Where files for a folder are kept until they are whole: beside what hf keeps there."""
    return Path(os.path.expanduser(model.path or "")) / ".cache" / "huggingface" / "vlm-doctor"
