"""What torch, and what it brings with it, weigh on disk: the sizes that their RECORDs tell."""

from __future__ import annotations

import os
import re

from distributions import MOST_DIGITS, canonical
from notes import Notes

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def torch_bytes(found: list[dict], notes: Notes) -> dict[str, int]:
    """Bytes by name of distribution, for torch and its like and all that they require.

    Without torch there is nothing; what has no RECORD (a conda package, say) is left out.
    """
    by_name: dict[str, dict] = {}
    for distribution in found:
        by_name.setdefault(canonical(distribution["name"]), distribution)
    if "torch" not in by_name:
        return {}
    sizes: dict[str, int] = {}
    queue = [name for name in by_name if name.startswith("torch")]
    seen = set(queue)
    while queue:
        distribution = by_name[queue.pop()]
        path = os.path.join(distribution["metadata"], "RECORD")
        weight = notes.of(path, recorded_bytes)
        if weight is not None:
            sizes[distribution["name"]] = weight
        for requirement in distribution["requires"]:
            if "extra" in requirement.partition(";")[2]:
                continue
            match = _NAME.match(requirement)
            name = canonical(match.group(0)) if match else ""
            if name in by_name and name not in seen:
                seen.add(name)
                queue.append(name)
    return sizes


def recorded_bytes(text: str) -> int:
    """The sum of the sizes in a RECORD: the last field of each line, where there is one."""
    sizes = (line.rpartition(",")[2] for line in text.splitlines())
    return sum(int(size) for size in sizes if size.isdecimal() and len(size) <= MOST_DIGITS)
