"""The pages that explain: of a code, of an incident, of a whole check; Markdown, in English.

A code's page is a file in ``checks/pages``; an incident's is made from its data; a check's is its
docstring. The first two have the same parts.
"""

from __future__ import annotations

from pathlib import Path

import checks
from doctor import registry
from doctor.known import incidents
from doctor.known.incidents import MARKS, Incident

FOLDER = Path(checks.__path__[0]) / "pages"

# What every page tells, after what the finding means.
PARTS = (
    "How the doctor knows",
    "What you would see",
    "What the fix does",
    "By hand",
    "Sources",
)


def of_code(code: str) -> str:
    """The page of a code, and the incidents that it reports."""
    page = (FOLDER / f"{code}.md").read_text(encoding="utf-8").rstrip()
    known = [item for item in incidents.load().values() if code in item.codes]
    if known:
        page += "\n\n## Known incidents\n\n"
        page += "\n".join(f"- `{item.id}`: {item.title}" for item in known)
    return page


def of_check(name: str) -> str:
    """The page of a whole check."""
    return "# " + (registry.module(name).__doc__ or "").strip()


def of_incident(incident: Incident) -> str:
    """The page of an incident."""
    if incident.codes:
        codes = ", ".join(f"`{code}`" for code in incident.codes)
        knows = f"`vlm-doctor check` reports it as {codes}."
        fix = f"What `vlm-doctor fix` does about it, the page of `{incident.codes[0]}` tells."
    else:
        knows = "`vlm-doctor check` does not look for it; `vlm-doctor explain --error` knows it."
        fix = "`vlm-doctor fix` does nothing about it."
    texts = "\n".join(f"- `{text.replace('{}', '…')}`" for text in incident.texts)
    sources = "\n".join(f"- {source}" for source in incident.sources)
    known = f"Known as `{incident.id}`; {MARKS[incident.mark]}."
    parts = (
        f"{knows}\n\n{known}",
        texts or "No error of its own: it runs, and goes wrong without a word.",
        fix,
        incident.remedy,
        sources or "The source of the packages, and what was tried with them.",
    )
    headed = (f"## {title}\n\n{text}" for title, text in zip(PARTS, parts, strict=True))
    return "\n\n".join((f"# {incident.title}", incident.cause, *headed))
