"""Reports as documents: Markdown to paste, annotations for GitHub's runners, a page of HTML.

The terminal's text is made by ``doctor.texts``. A format is a module with ``render(report)``, which
gives the whole document. Nothing that came from somebody's metadata can be markup in any of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from doctor.reports import Report

# The formats that every command has, and those that these commands have besides.
EVERYWHERE = ("text", "json", "markdown")
DOCUMENTS = ("markdown", "github", "html")
COMMANDS = ("check", "fix", "smoke")


def of_command(command: str) -> tuple[str, ...]:
    """The formats that a command's report can have."""
    return (*EVERYWHERE, *DOCUMENTS[1:]) if command in COMMANDS else EVERYWHERE


def render(report: Report, format_name: str) -> str:
    """A report as a document of one of ``DOCUMENTS``."""
    module = importlib.import_module(f"doctor.formats.{format_name}")
    return cast("Callable[[Report], str]", module.render)(report)
