"""What is kept of the matrix: the truth, and each cell's facts with nothing of this machine."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from tools.accuracy.build import Built
from tools.accuracy.cells import MATRIX

TRUTH = MATRIX / "truth.json"
FACTS = MATRIX / "facts"

# The machine is none of the matrix's concern: one that has room enough for any model.
MACHINE: dict[str, Any] = {
    "os": "Linux",
    "os_version": None,
    "arch": "x86_64",
    "chip": None,
    "ram_total_bytes": 64 * 2**30,
    "ram_available_bytes": 48 * 2**30,
    "swap_total_bytes": 0,
    "swap_used_bytes": 0,
    "memory_pressure": None,
    "gpu_budget_bytes": None,
    "gpu_budget_source": None,
    "processes": [],
}
MARKERS = {"platform_release": "6.1.0", "platform_version": "#1 SMP"}


def truths() -> dict[str, dict[str, Any]]:
    """What is recorded, by the names of the cells."""
    try:
        document: dict[str, dict[str, Any]] = json.loads(TRUTH.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return document


def write_truths(truths: dict[str, dict[str, Any]]) -> None:
    """Write what is recorded, sorted, for people to read the differences."""
    text = json.dumps(truths, indent=1, sort_keys=True, ensure_ascii=False)
    new = TRUTH.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8")
    os.replace(new, TRUTH)


def facts_file(name: str) -> Path:
    """Where the facts of a cell are."""
    return FACTS / f"{name}.json.gz"


def read_facts(name: str) -> bytes:
    """The facts of a cell, as JSON."""
    return gzip.decompress(facts_file(name).read_bytes())


def forget_facts_but(names: set[str]) -> None:
    """Remove the facts of cells that are no more."""
    for path in FACTS.glob("*.json.gz"):
        if path.name.removesuffix(".json.gz") not in names:
            path.unlink()


def keep_facts(built: Built, saved: Path) -> None:
    """Keep what ``check --save-facts`` wrote; the same facts make the same file."""
    facts = json.loads(scrubbed(saved.read_text(encoding="utf-8"), built.folder))
    facts["taken_at"] = "2026-11-25T00:00:00+00:00"
    facts["machine"] = {**facts["machine"], **MACHINE}
    facts["environment"]["interpreter"]["markers"].update(MARKERS)
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    FACTS.mkdir(exist_ok=True)
    facts_file(built.cell.name).write_bytes(gzip.compress(text.encode(), mtime=0))


def scrubbed(text: str, folder: Path) -> str:
    """A text without the folders of this machine: the matrix's becomes ``~/matrix``."""
    home = os.path.expanduser("~")
    inside = "~" + str(folder)[len(home) :] if str(folder).startswith(home + os.sep) else None
    for place in filter(None, (str(folder), inside)):
        text = text.replace(place, "~/matrix")
    return text.replace(home + os.sep, "~/")
