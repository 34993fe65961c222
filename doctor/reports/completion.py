"""What ``vlm-doctor completion`` says."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.reports import Tool

Shell = Literal["bash", "zsh", "fish"]


class CompletionReport(Struct, frozen=True):
    """A script for a shell: its whole text."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["completion"]
    tool: Tool
    shell: Shell
    text: str


DOCUMENT = CompletionReport
