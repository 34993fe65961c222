"""The registry of kinds of damage: each a function that does one thing to a ``Place``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from tools.damage.places import Place

Damage = Callable[[Place], object]


@dataclass(frozen=True)
class Kind:
    """One kind of damage, or of harmless change.

    ``layouts`` are those that it is tried in (``folder``, ``cache``), ``sharded`` that the weights
    lie in three files.
    """

    name: str
    damage: Damage
    layouts: tuple[str, ...]
    sharded: bool

    @property
    def set_aside(self) -> bool:
        """Whether the kind belongs to the third that no rule is written for, by its name's hash."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % 3 == 0

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of which each says what is wrong with such a model, where a run fails of it."""
        families = [start for start in EXPECTED if self.name.startswith(start)]
        return EXPECTED[max(families, key=len)] if families else ()


KINDS: dict[str, Kind] = {}

# By how the names of a family's kinds begin; the longest beginning counts.
EXPECTED: dict[str, tuple[str, ...]] = {}

BOTH = ("folder", "cache")


def kind(
    name: str, layouts: tuple[str, ...] = BOTH, sharded: bool = False
) -> Callable[[Damage], Damage]:
    """Register a kind of damage under its name."""

    def register(damage: Damage) -> Damage:
        assert name not in KINDS, name
        KINDS[name] = Kind(name, damage, layouts, sharded)
        return damage

    return register
