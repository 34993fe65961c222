"""Which known incidents a pasted text shows. Linear in the text: no pattern ever goes back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from doctor.facts import Struct
from doctor.findings import Severity
from doctor.known import incidents
from doctor.known.incidents import Incident
from doctor.known.pasted import Pasted

# What a hole of a template takes at most, in letters that are no white space.
MOST_IN_A_HOLE = 200
# A text that repeats itself is not searched for ever: so many beginnings are tried, and so many
# places taken.
MOST_BEGINNINGS = 20_000
MOST_PLACES = 50
_QUOTES = "'\"`"


class Match(Struct, frozen=True):
    """An incident, and the place in the squeezed text where one of its errors stands.

    ``letters`` are those of the template that stand there: the more, the surer.
    """

    incident: Incident
    start: int
    end: int
    letters: int


def attribute(text: Pasted) -> tuple[Match, ...]:
    """The incidents that the text shows, the root first.

    Errors come before warnings, the specific before the general, and of those the earlier first:
    the first error of a chain is what set off the others. Where several templates meet in one
    place, the longest tells what it is.
    """
    accepted: list[Match] = []
    for general in (False, True):
        found = [
            match
            for incident in incidents.load().values()
            if incident.general is general and _in_context(incident, text)
            for template in incident.texts
            for match in _matches(incident, template, text)
        ]
        found.sort(key=lambda match: -match.letters)
        for match in found:
            if not any(_hides(other, match) for other in accepted):
                accepted.append(match)
    explained = {name for match in accepted for name in match.incident.instead_of}
    accepted = [match for match in accepted if match.incident.id not in explained]
    order = list(Severity)
    accepted.sort(
        key=lambda match: (
            order.index(match.incident.severity),
            match.incident.general,
            match.start,
        )
    )
    first = {match.incident.id: match for match in reversed(accepted)}
    return tuple(match for match in accepted if first[match.incident.id] is match)


def _hides(sure: Match, other: Match) -> bool:
    """Whether a surer match is about the same words as another incident's."""
    overlaps = sure.start < other.end and other.start < sure.end
    surer = sure.letters > other.letters or (other.incident.general and not sure.incident.general)
    return overlaps and surer and sure.incident.id != other.incident.id


def _in_context(incident: Incident, text: Pasted) -> bool:
    """Whether the rest of the text agrees that a template of this incident is about it."""
    elsewhere = (
        incident.frames
        and 'File"' in text.squeezed
        and not any(squeeze(words) in text.squeezed for words in incident.frames)
    )
    return not elsewhere and all(squeeze(words) in text.squeezed for words in incident.context)


def squeeze(words: str) -> str:
    """Words without white space."""
    return re.sub(r"\s+", "", words)


def _matches(incident: Incident, template: str, text: Pasted) -> Iterator[Match]:
    """The places of one template, the first ones."""
    pieces = [squeeze(piece) for piece in template.split("{}")]
    open_end = template.endswith("{}")
    pieces = [piece for piece in pieces if piece]
    letters = sum(map(len, pieces))
    start, places = -1, 0
    for _ in range(MOST_BEGINNINGS):
        start = text.squeezed.find(pieces[0], start + 1)
        if start < 0 or places == MOST_PLACES:
            return
        end = _end(pieces, text.squeezed, start)
        if end is not None and (open_end or text.is_whole_word(end)):
            yield Match(incident=incident, start=start, end=end, letters=letters)
            places += 1


def _end(pieces: list[str], text: str, start: int) -> int | None:
    """Where the template that begins at ``start`` ends; null where it does not go on."""
    end = start + len(pieces[0])
    for before, piece in itertools.pairwise(pieces):
        limit = end + MOST_IN_A_HOLE
        if before[-1] in _QUOTES and piece[0] == before[-1]:
            # What is between two quotation marks holds none.
            place = text.find(piece[0], end, limit + 1)
            if place < 0 or not text.startswith(piece, place):
                return None
        else:
            place = text.find(piece, end, limit + len(piece))
            if place < 0:
                return None
        end = place + len(piece)
    return end
