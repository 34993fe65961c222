"""What fixes ask for, before the planner has worked out what that means here."""

from __future__ import annotations

from collections.abc import Iterable

from doctor.actions import Advice, EditJson, PutFile, RemoveFiles
from doctor.facts import Struct


class UseRecipe(Struct, frozen=True):
    """Bring the environment to a recipe.

    ``reinstall`` names distributions to install anew though their version is right, since their
    files or metadata are not; ``everything`` is all of the recipe.
    """

    reinstall: tuple[str, ...] = ()
    everything: bool = False


class RemoveBroken(Struct, frozen=True):
    """Remove a distribution that cannot be imported, unless the recipe replaces it."""

    name: str


Intent = UseRecipe | RemoveBroken | EditJson | PutFile | RemoveFiles | Advice
Intents = Iterable[Intent]
