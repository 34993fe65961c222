"""What people ran into: the known incidents, as data.

They are written in the TOML files of ``checks/known``, one file a group. Parsing those takes longer
than a check may, so that ``make incidents`` writes all of them to one JSON file, and that is read.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import msgspec

import checks
from doctor.facts import Struct
from doctor.findings import Severity

FOLDER = Path(checks.__path__[0]) / "known"
COMPILED = FOLDER / "incidents.json"

# How an incident was verified: in a real environment, in the source of the packages, or only in a
# report of somebody who had it.
Mark = Literal["reproduced", "code", "reported"]

MARKS: dict[Mark, str] = {
    "reproduced": "reproduced in a real environment",
    "code": "read in the source of the packages",
    "reported": "read in reports; not reproduced here",
}


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """What has to be true of the facts; all of what is given.

    ``installed`` are requirements that the installed distributions meet, ``absent`` distributions
    that are not there, ``too_old`` those below what transformers accepts when it uses them.
    ``imported`` are top-level modules that a generation gets to, ``needs`` backends of which the
    model's processor needs one. ``os`` is a name as in the machine's facts.
    """

    installed: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    too_old: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    os: str | None = None
    model_types: tuple[str, ...] = ()
    other_model_types: tuple[str, ...] = ()
    tokenizer_class: tuple[str, ...] = ()
    extra_special_tokens: tuple[str, ...] = ()
    tokenizer_files: tuple[str, ...] = ()
    no_tokenizer_files: tuple[str, ...] = ()


class Incident(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that people ran into.

    ``codes`` are the findings that report it, the first one first; none where no check sees it.
    Such a finding is this incident's where one of ``about`` stands in its evidence and ``when``
    holds, of the two what is given; where neither is given the code alone does not tell. Of
    ``when`` one condition has to hold. ``sources`` are issues, as ``owner/repository#number``, or
    repositories.

    ``texts`` are the errors that its user sees; ``{}`` stands for anything, and white space does
    not count. ``context`` must stand somewhere in what was pasted; where that shows a traceback, so
    must one of ``frames``: these texts could be anybody's. A ``general`` incident is named after
    all others; one that is ``instead_of`` others explains them too.
    """

    id: str
    title: str
    cause: str
    remedy: str
    mark: Mark
    codes: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    general: bool = False
    instead_of: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()
    severity: Severity = Severity.ERROR
    sources: tuple[str, ...] = ()


@functools.cache
def load() -> dict[str, Incident]:
    """All incidents by id, in the order of the files."""
    incidents = msgspec.json.decode(COMPILED.read_bytes(), type=tuple[Incident, ...])
    return {incident.id: incident for incident in incidents}
