"""``vlm-doctor explain``: the page of a code or an incident, or what a pasted error is."""

from __future__ import annotations

import argparse

from doctor import pages, registry
from doctor.errors import Refused
from doctor.known import incidents
from doctor.reports import SCHEMA, Tool
from doctor.reports.explain import ExplainReport, incident_report


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("code", nargs="?", metavar="CODE", help="a code, a check or an incident")
    asked.add_argument("--error", metavar="FILE", help="a traceback or log (-: standard input)")


def run(options: argparse.Namespace) -> tuple[ExplainReport, int]:
    """The page of a code, a check or an incident; or what a pasted error is."""
    if options.error is not None:
        return explain_error(options.error)
    name = registry.check_of_code(options.code)
    known = incidents.load().get(options.code)
    if name is not None:
        code: str | None = options.code
        page = pages.of_code(options.code)
    elif options.code in registry.names():
        code = name = options.code
        page = pages.of_check(options.code)
    elif known is not None:
        code = known.codes[0] if known.codes else None
        name = registry.check_of_code(code) if code else None
        page = pages.of_incident(known)
    else:
        raise Refused(
            f"There is no code and no incident {options.code}.",
            f"Codes: {', '.join(registry.codes())}. An error's text: vlm-doctor explain --error",
        )
    return ExplainReport(
        schema=SCHEMA,
        command="explain",
        tool=Tool(),
        code=code,
        check=name,
        page=page,
        incidents=(incident_report(known),) if known else (),
    ), 0


def explain_error(name: str) -> tuple[ExplainReport, int]:
    """What a pasted error is; exit status 1 where no incident is known that it shows."""
    from doctor.known import attribution, pasted

    text = pasted.read(name)
    found = attribution.attribute(text)
    codes = found[0].incident.codes if found else ()
    return ExplainReport(
        schema=SCHEMA,
        command="explain",
        tool=Tool(),
        code=codes[0] if codes else None,
        check=registry.check_of_code(codes[0]) if codes else None,
        page="\n\n".join(pages.of_incident(match.incident) for match in found),
        incidents=tuple(
            incident_report(
                match.incident, text.shown(match.start, match.end), text.line_of(match.start) + 1
            )
            for match in found
        ),
        errors=text.errors(),
        cut=text.cut,
    ), 0 if found else 1
