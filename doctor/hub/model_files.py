"""Writing a model's files: always a new file in the place of what was there, never into it.

A snapshot's files are links to blobs that are named by their content and shared by all revisions:
writing through such a link would damage them all. And the way back of a fix may keep a file by a
hard link, so that what is written into it is written into the kept one too.

A cache that may not be written to (read-only, or somebody else's) is repaired beside it: an overlay
is a folder of the doctor's own with a link to every file of the snapshot, where the repaired one is
a file. It is a model's folder like any other, and is named in the result: who loads the Hub's id
still gets the damaged one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from doctor import state
from doctor.transaction.snapshot import TEMPORARY, nearest


def replace(path: str, content: bytes) -> None:
    """Put a file with this content in place of the file or link at ``path``, at once or not at all.

    Raises ``OSError``.
    """
    temporary = temporary_of(path)
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(temporary, path)


def put_in_place(finished: str, path: str) -> None:
    """Give a finished file or link the name ``path``; a folder of that name goes.

    Raises ``OSError``.
    """
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    os.replace(finished, path)


def move(source: str, path: str) -> None:
    """Put a finished file, such as a download, in place of what is at ``path``.

    Both have to be on one file system. Raises ``OSError``.
    """
    descriptor = os.open(source, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    put_in_place(source, path)


def temporary_of(path: str) -> str:
    """Where a file is written before it takes its place."""
    return os.path.join(os.path.dirname(path), TEMPORARY)


def writable(path: str) -> bool:
    """Whether a file can be put in place of ``path``: it is the folder that decides."""
    return os.access(nearest(os.path.dirname(path)), os.W_OK)


def overlay(snapshot: str) -> str:
    """Where the overlay of a model's folder is, whether it is there or not."""
    real = os.path.realpath(snapshot)
    return str(state.folder() / "models" / f"{Path(real).name}-{state.name_of(real)}")


def make_overlay(snapshot: str) -> str:
    """Make the overlay of a model's folder, if it is not there, and return its path.

    Raises ``OSError``.
    """
    folder = overlay(snapshot)
    for parent, folders, files in os.walk(snapshot):
        there = os.path.join(folder, os.path.relpath(parent, snapshot))
        os.makedirs(there, exist_ok=True)
        for name in (*files, *(one for one in folders if os.path.islink(f"{parent}/{one}"))):
            link = os.path.join(there, name)
            if not os.path.lexists(link):
                os.symlink(os.path.realpath(os.path.join(parent, name)), link)
    return folder
