"""The cells: environments as data.

``tests/matrix/cells.toml`` has those that people wrote, ``drawn.toml`` those drawn by lot.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from doctor.facts import Struct

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent.parent
MATRIX = ROOT / "tests" / "matrix"

# A third of the cells is judged only at the end: those whose name's hash is divisible by this.
SET_ASIDE_ONE_OF = 3


class Cell(Struct, frozen=True):
    """One environment: how it is made, and what a right diagnosis of it names.

    ``start`` is installed with its dependencies, then each of ``force`` in turn without, then
    ``remove`` is taken out, then each of ``damage`` is done: the name of a function in
    ``damage.py`` and its arguments. ``variables`` are set for whatever runs there. ``folder`` is
    the name of the environment's folder. ``expect`` holds the codes of which one has to be found;
    it is empty where a generation runs. In paths, ``{site}`` is the folder of the packages and
    ``{extra}`` a folder beside the environment.
    """

    name: str
    python: str = "3.11"
    start: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    damage: tuple[tuple[str, ...], ...] = ()
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    system_site_packages: bool = False
    folder: str = "environment"
    expect: tuple[str, ...] = ()

    @property
    def set_aside(self) -> bool:
        """Whether the doctor's verdict on it is not looked at before the rules are written."""
        return (
            self.drawn
            or int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % SET_ASIDE_ONE_OF == 0
        )

    @property
    def drawn(self) -> bool:
        """Whether it was drawn by lot (``draw.py``)."""
        return self.name.startswith("drawn-")

    @property
    def recipe(self) -> str:
        """How the environment is made, as text: where it has changed, it is made anew."""
        fields = msgspec.to_builtins(self)
        del fields["expect"]
        return json.dumps(fields, sort_keys=True)


def load(*paths: Path) -> list[Cell]:
    """All cells, in the order of the files (all of the matrix's, unless others are named).

    Raises ``ValueError`` where a name appears twice, and ``msgspec.ValidationError`` for a field
    that does not exist or has the wrong type.
    """
    cells: dict[str, Cell] = {}
    for path in paths or (MATRIX / "cells.toml", MATRIX / "drawn.toml"):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        _add(document, cells)
    return list(cells.values())


def _add(document: dict[str, Any], cells: dict[str, Cell]) -> None:
    """Add a document's cells to those that are there."""
    for group in document["group"]:
        common = {name: value for name, value in group.items() if name not in ("title", "cells")}
        for name, own in group["cells"].items():
            if name in cells:
                raise ValueError(f"two cells are named {name}")
            cells[name] = _cell({**common, **own, "name": name}, document["starts"])


def _cell(fields: dict[str, Any], starts: dict[str, list[str]]) -> Cell:
    """A cell from its fields; a ``start`` that is a name stands for that list of ``[starts]``."""
    unknown = set(fields) - set(Cell.__struct_fields__)
    if unknown:
        raise ValueError(f"{fields['name']}: no such field: {', '.join(sorted(unknown))}")
    if isinstance(fields.get("start"), str):
        fields["start"] = starts[fields["start"]]
    if isinstance(fields.get("expect"), str):
        fields["expect"] = [fields["expect"]]
    return msgspec.convert(fields, type=Cell)
