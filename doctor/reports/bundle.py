"""What ``vlm-doctor bundle`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.reports import Tool


class Member(Struct, frozen=True):
    """One file in a bundle: its name, what it holds, and its size unpacked, in bytes."""

    name: str
    about: str
    bytes: int


class BundleReport(Struct, frozen=True):
    """The bundle that was written.

    ``path`` is where, ``bytes`` its size. ``redacted`` counts what was taken out, by kind.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["bundle"]
    tool: Tool
    path: str
    bytes: int
    members: tuple[Member, ...]
    redacted: dict[str, int]
    seconds: float


DOCUMENT = BundleReport
