"""What ``vlm-doctor recipes`` says."""

from __future__ import annotations

from typing import Literal

import msgspec

from doctor.facts import Struct
from doctor.reports import Tool


class PinReport(Struct, frozen=True):
    """A main pin of a recipe and the newest version at the user's index (null: none is there)."""

    name: str
    pinned: str
    newest: str | None
    newer: bool | None


class YankedPin(Struct, frozen=True):
    """A locked version that was withdrawn, and the index's reason."""

    name: str
    version: str
    reason: str | None


class GonePin(Struct, frozen=True):
    """A locked version that the user's index does not have, and what uv says of it."""

    name: str
    version: str
    reason: str


class OutdatedReport(Struct, frozen=True):
    """What has moved at the user's index since a lock was made."""

    lock: str
    pins: tuple[PinReport, ...]
    yanked: tuple[YankedPin, ...]
    gone: tuple[GonePin, ...]


class ExportReport(Struct, frozen=True):
    """A recipe as a file for another tool: its whole text, made from a lock."""

    format: Literal["requirements", "pyproject", "conda"]
    lock: str
    text: str


class DownloadReport(Struct, frozen=True):
    """The wheels of a lock, gathered in a folder.

    ``requirements`` is the hashed requirements file beside them, for other installers. ``bytes``
    are those of all ``wheels``, ``fetched_bytes`` of the ``fetched`` that were not there yet.
    """

    lock: str
    folder: str
    requirements: str
    wheels: int
    bytes: int | None
    fetched: int
    fetched_bytes: int


class RecipeReport(Struct, frozen=True):
    """One recipe and the platforms that it is locked for.

    ``proven`` tells when a lock last ran a generation (a date), by the lock's name. ``outdated`` is
    there with ``--outdated``, ``exported`` with ``--export``, ``downloaded`` with ``--download``;
    ``no_lock`` then says why the recipe has no lock for the environment in question.
    """

    name: str
    summary: str
    for_whom: str
    requirements: tuple[str, ...]
    locks: tuple[str, ...]
    proven: dict[str, str] = msgspec.field(default_factory=dict)
    outdated: OutdatedReport | None = None
    exported: ExportReport | None = None
    no_lock: str | None = None
    downloaded: DownloadReport | None = None


class RecipesReport(Struct, frozen=True):
    """What ``vlm-doctor recipes`` says."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["recipes"]
    tool: Tool
    recipes: tuple[RecipeReport, ...]


DOCUMENT = RecipesReport
