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

# The formats that every command has, and those that some have besides: a page of what is a table
# to look at, and annotations of what a runner waits for.
EVERYWHERE = ("text", "json", "markdown")
DOCUMENTS = ("markdown", "github", "html")
ANNOTATED = ("check", "fix", "smoke")
PAGED = (*ANNOTATED, "compare", "estimate", "models", "recipes", "report")


def of_command(command: str) -> tuple[str, ...]:
    """The formats that a command's report can have."""
    github = ("github",) if command in ANNOTATED else ()
    html = ("html",) if command in PAGED else ()
    return (*EVERYWHERE, *github, *html)


def render(report: Report, format_name: str) -> str:
    """A report as a document of one of ``DOCUMENTS``."""
    module = importlib.import_module(f"doctor.formats.{format_name}")
    return cast("Callable[[Report], str]", module.render)(report)
