"""Reports as one page of HTML that needs nothing else: no script, no request, no other file.

Everything is escaped by the template engine. Should markup slip through all the same, the page's
content policy lets nothing run and nothing be fetched; even its style sheet is named by its hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

import jinja2
import markupsafe

from doctor import language
from doctor.facts import Struct
from doctor.formats import contents, picture, sheet
from doctor.memory import plots
from doctor.reports import Report
from doctor.reports.check import CheckReport
from doctor.reports.smoke import SmokeReport
from doctor.terminal import clean
from doctor.texts.check import next_command
from doctor.texts.fix import undo_command

TEMPLATES = Path(__file__).parent / "templates"


def render(report: Report) -> str:
    """The report as a page."""
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    named = f"{report.command}.html"
    own = (TEMPLATES / named).is_file()
    page = engine().get_template(named if own else "sheet.html")
    return page.render(
        report=report,
        groups=[] if own else _groups(report),
        language=language.current(),
        style=markupsafe.Markup(style),  # noqa: S704 the doctor's own file
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


class Group(Struct, frozen=True):
    """Neighbouring blocks of a report: ``kind`` is ``line``, ``list``, ``table`` or ``text``."""

    kind: str
    items: tuple[object, ...]


def _groups(report: Report) -> list[Group]:
    """A report that has no template of its own, with what is indented as lists."""
    found: list[Group] = []
    for block in sheet.blocks(report):
        if isinstance(block, sheet.Rows):
            found.append(Group(kind="table", items=block.rows))
        elif isinstance(block, sheet.Paragraph) and block.indent:
            before = found.pop().items if found and found[-1].kind == "list" else ()
            found.append(Group(kind="list", items=(*before, block.text)))
        elif isinstance(block, sheet.Paragraph):
            found.append(Group(kind="line", items=(block.text,)))
        else:
            words = block.markdown if isinstance(block, sheet.Page) else block.text
            found.append(Group(kind="text", items=(words,)))
    return found


@functools.cache
def engine() -> jinja2.Environment:
    """The template engine. A name that a template misspells is an error, not an empty place."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.globals |= {"_": language.text, "contents": contents, "pictures_of": picture.pictures_of}
    made.globals |= {"drawing_of": drawing_of}
    made.globals |= {
        "memory_plot": memory_plot,
        "next_command": next_command,
        "undo_command": undo_command,
    }
    made.filters |= {"prose": prose, "said": language.text}
    return made


def drawing_of(report: SmokeReport) -> markupsafe.Markup | None:
    """The memory of a watched run over its phases; null where nobody watched, or MLX told none."""
    phases = report.watch.phases if report.watch is not None else ()
    peaks = {str(phase.name): phase.mlx_peak_bytes for phase in phases if phase.mlx_peak_bytes}
    if not peaks:
        return None
    budget = report.device.gpu_budget_bytes if report.device is not None else None
    drawn = plots.svg(report.model.id, peaks, budget_bytes=budget)
    return markupsafe.Markup(drawn)  # noqa: S704 plots escapes what is from outside


def memory_plot(report: CheckReport) -> markupsafe.Markup:
    """The drawing of what a generation takes: an SVG, which escapes by itself."""
    memory = report.memory
    assert memory is not None
    phases = {clean(language.text(name)): size for name, size in memory.phases.items()}
    words = language.text("what there is for it here")
    drawn = plots.svg(
        clean(report.model.id), phases, memory.pictures, memory.budget_bytes, budget_words=words
    )
    return markupsafe.Markup(drawn)  # noqa: S704


def _shown(value: object) -> object:
    """What a template prints: control characters of foreign text made visible."""
    return clean(value) if type(value) is str else value


def prose(words: str) -> markupsafe.Markup:
    """A sentence of the doctor's in its user's language; what stands in backticks is code."""
    escaped = str(markupsafe.escape(clean(language.text(words))))
    return markupsafe.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))  # noqa: S704
