"""Compiled files on the way that are gone, or shorter than their distribution recorded them.

Sizes only: hashing belongs to a deeper look. A file that is longer is left alone, since signing a
library again, as macOS tools do, adds to it.
"""

from __future__ import annotations

import os

from notes import Notes

COMPILED = (".so", ".dylib", ".pyd", ".metallib")


def find(distributions: list[dict], notes: Notes, reached: list[str]) -> list[dict]:
    """``{"distribution", "path", "recorded_bytes", "bytes"}``; no bytes (null) if it is gone.

    Only distributions that a generation imports from count; ``reached`` are its top-level modules.
    """
    result = []
    for distribution in distributions:
        metadata = distribution["metadata"]
        contents = notes.of(os.path.join(metadata, "RECORD"), recorded)
        if not contents or not set(contents["top"]) & set(reached):
            continue
        for name, expected in contents["compiled"].items():
            path = os.path.normpath(os.path.join(os.path.dirname(metadata), name))
            try:
                size = os.stat(path).st_size
            except OSError:
                size = None
            if size is None or size < expected:
                result.append(
                    {
                        "distribution": distribution["name"],
                        "path": path,
                        "recorded_bytes": expected,
                        "bytes": size,
                    }
                )
    return result


def recorded(text: str) -> dict:
    """The top-level names of a RECORD, and the sizes of its compiled files by their names."""
    import csv  # only where a RECORD is read anew

    top: set[str] = set()
    compiled: dict[str, int] = {}
    try:
        rows = [row for row in csv.reader(text.splitlines()) if len(row) == 3]
    except csv.Error:
        rows = []
    for name, _, size in rows:
        first = name.split("/")[0]
        top.add(first[: -len(".py")] if first.endswith(".py") else first.split(".")[0])
        if (name.endswith(COMPILED) or ".so." in name) and size.isdigit():
            compiled[name] = int(size)
    return {"top": sorted(top), "compiled": compiled}
