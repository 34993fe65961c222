"""The reports: the JSON documents of the contract ``vlm-doctor/report/1``, as types.

The published schema, ``doctor/schema/report-1.json``, is generated from these (``make schema``).
Fields are only added, never renamed.
"""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from doctor import __version__
from doctor.actions import AnyAction, Install
from doctor.facts import Facts, Pressure, Purpose, Struct
from doctor.findings import Finding, NotChecked, Severity, Verdict
from doctor.incidents import Incident, Mark
from doctor.plan import Plan
from doctor.registry import Examination
from doctor.requirements import installed

SCHEMA: Literal["vlm-doctor/report/1"] = "vlm-doctor/report/1"

Outcome = Literal[
    "fixed",
    "nothing-to-do",
    "planned",
    "declined",
    "rolled-back",
    "refused",
    "interrupted",
    "failed",
]


class Tool(Struct, frozen=True):
    """Who made the report."""

    name: str = "vlm-doctor"
    version: str = __version__


class TargetReport(Struct, frozen=True):
    """The environment that was examined. ``packages`` are those that matter, by name."""

    python: str
    version: str
    prefix: str
    found_by: str
    packages: dict[str, str | None]


class MachineReport(Struct, frozen=True):
    """The machine; sizes in bytes, null where they are not known."""

    os: str
    os_version: str | None
    arch: str
    chip: str | None
    ram_total_bytes: int | None
    ram_available_bytes: int | None
    swap_used_bytes: int | None
    memory_pressure: Pressure | None
    gpu_budget_bytes: int | None


class ModelReport(Struct, frozen=True):
    """The model that was asked about; sizes in bytes, null where they are not known."""

    id: str
    revision: str | None
    path: str | None
    type: str | None
    cached: bool
    weights_bytes: int | None
    peak_bytes: int | None = None


class PlanReport(Struct, frozen=True):
    """What a fix would do.

    ``download_bytes`` is fetched; ``disk_bytes`` is needed for that, the install and the way back.
    """

    actions: tuple[AnyAction, ...]
    recipe: str | None = None
    download_bytes: int | None = None
    disk_bytes: int | None = None
    breaks: tuple[str, ...] = ()


class Proof(Struct, frozen=True):
    """The last generation that proved this environment, and what has changed since."""

    proven_at: str
    unchanged: bool
    changes: tuple[str, ...]


class CheckReport(Struct, frozen=True):
    """What ``vlm-doctor check`` says; ``purpose`` is what it was asked for (``--for``)."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["check"]
    tool: Tool
    target: TargetReport
    machine: MachineReport
    model: ModelReport
    verdict: Verdict
    findings: tuple[Finding, ...]
    not_checked: tuple[NotChecked, ...]
    plan: PlanReport
    seconds: float
    proof: Proof | None = None
    purpose: Purpose = "image"


StageName = Literal["import", "load", "see", "generate"]


class Stage(Struct, frozen=True):
    """One stage of a smoke generation."""

    name: StageName
    passed: bool
    seconds: float | None
    error: str | None
    traceback: str | None = None


class SmokeModel(Struct, frozen=True):
    """The model that generated: a stand-in of the doctor's own, or a real one."""

    id: str
    stand_in: bool


class Answer(Struct, frozen=True):
    """One question about a picture, the expected answer (null: any), and what was answered."""

    prompt: str | None
    expected: str | None
    answer: str | None


class SmokeReport(Struct, frozen=True):
    """What a smoke generation did. Sizes in bytes, times in seconds, null where not measured.

    ``prompt``, ``answer`` and ``expected`` are of the first wrong answer, else of the first.
    ``understood`` tells whether the picture was; null where nothing was expected or it did not get
    so far.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["smoke"]
    tool: Tool
    model: SmokeModel
    passed: bool
    stages: tuple[Stage, ...]
    load_seconds: float | None
    generation_tokens: int | None
    tokens_per_second: float | None
    time_to_first_token_seconds: float | None
    peak_memory_bytes: int | None
    ram_delta_bytes: int | None
    swap_delta_bytes: int | None
    pressure_before: Pressure | None
    pressure_after: Pressure | None
    prompt: str | None
    answer: str | None
    expected: str | None
    seconds: float
    target: TargetReport | None = None
    answers: tuple[Answer, ...] = ()
    understood: bool | None = None


class FixReport(Struct, frozen=True):
    """What ``vlm-doctor fix`` did; ``after`` and ``smoke`` are null where it did not get there."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["fix"]
    tool: Tool
    outcome: Outcome
    reason: str | None
    before: CheckReport | None
    plan: PlanReport
    applied: tuple[AnyAction, ...]
    smoke: SmokeReport | None
    real_smoke: SmokeReport | None
    after: CheckReport | None
    seconds: float


class UndoEntry(Struct, frozen=True):
    """One fix that can be taken back."""

    id: str
    finished_at: str
    summary: str
    bytes: int


class UndoReport(Struct, frozen=True):
    """What ``vlm-doctor undo`` did, and what can still be taken back."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["undo"]
    tool: Tool
    outcome: Literal["undone", "recovered", "nothing-to-undo", "listed", "cleared"]
    entries: tuple[UndoEntry, ...]
    restored: int
    seconds: float


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


class RecipeReport(Struct, frozen=True):
    """One recipe and the platforms that it is locked for.

    ``proven`` tells when a lock last ran a generation (a date), by the lock's name. ``outdated`` is
    there with ``--outdated``, ``exported`` with ``--export``; ``no_lock`` then says why the recipe
    has no lock for the environment in question.
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


class RecipesReport(Struct, frozen=True):
    """What ``vlm-doctor recipes`` says."""

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["recipes"]
    tool: Tool
    recipes: tuple[RecipeReport, ...]


class IncidentReport(Struct, frozen=True):
    """A known incident, and where a pasted text shows it (null where none was asked about).

    ``codes`` are the findings that report it. ``mark`` tells how it was verified, ``sources`` are
    issues as ``owner/repository#number``, ``line`` counts from 1.
    """

    id: str
    title: str
    severity: Severity
    cause: str
    remedy: str
    codes: tuple[str, ...]
    mark: Mark
    sources: tuple[str, ...]
    seen: str | None = None
    line: int | None = None


class ErrorSeen(Struct, frozen=True):
    """An exception, or a crash, that the text shows: its type, message, and line (from 1)."""

    type: str
    message: str
    line: int


class ExplainReport(Struct, frozen=True):
    """The page of one code or incident, or what a pasted error is.

    Of a pasted error ``incidents`` are those that it shows, the root first, and ``errors`` the
    exceptions that were recognised in it, the last ones in their order; ``code`` and ``check`` are
    those of the first incident, null where there is none. ``cut`` tells that only the end of a very
    long text was looked at.
    """

    schema: Literal["vlm-doctor/report/1"]
    command: Literal["explain"]
    tool: Tool
    code: str | None
    check: str | None
    page: str
    incidents: tuple[IncidentReport, ...] = ()
    errors: tuple[ErrorSeen, ...] = ()
    cut: bool = False


class ErrorDetail(Struct, frozen=True):
    """One line that says what is wrong, and what can be done."""

    message: str
    hint: str


class ErrorReport(Struct, frozen=True):
    """The document where there is no report to give."""

    schema: Literal["vlm-doctor/report/1"]
    command: str | None
    error: ErrorDetail
    exit_code: int


Report = (
    CheckReport | FixReport | SmokeReport | UndoReport | RecipesReport | ExplainReport | ErrorReport
)

# The packages that the report lists: those whose versions people ask each other for first.
LISTED = (
    "mlx",
    "mlx-metal",
    "mlx-cpu",
    "mlx-vlm",
    "mlx-lm",
    "transformers",
    "tokenizers",
    "huggingface-hub",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
)


def encode(report: Report) -> bytes:
    """The report as one JSON document, indented."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def target_report(facts: Facts) -> TargetReport:
    """The target as reports show it: real paths where the facts are this machine's."""
    interpreter = facts.environment.interpreter
    everything = installed(facts.environment)
    return TargetReport(
        python=os.path.expanduser(interpreter.executable),
        version=interpreter.version,
        prefix=os.path.expanduser(interpreter.prefix),
        found_by=facts.found_by,
        packages={name: everything[name].version for name in LISTED if name in everything},
    )


def plan_report(made: Plan, kept_bytes: int | None) -> PlanReport:
    """The plan as reports show it.

    ``kept_bytes`` is what the way back takes; without it the need for disk is not known. With it,
    the need is what is fetched, what is installed, and what is kept of the old.
    """
    installs = [action for action in made.actions if isinstance(action, Install)]
    download = installs[0].download_bytes if installs else 0
    unpacked = installs[0].installed_bytes if installs else 0
    known = download is not None and unpacked is not None and kept_bytes is not None
    return PlanReport(
        actions=made.actions,
        recipe=made.recipe,
        download_bytes=download,
        disk_bytes=(download or 0) + (unpacked or 0) + (kept_bytes or 0) if known else None,
        breaks=tuple(broken.line() for broken in made.breaks),
    )


def incident_report(
    incident: Incident, seen: str | None = None, line: int | None = None
) -> IncidentReport:
    """A known incident as reports show it."""
    return IncidentReport(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        cause=incident.cause,
        remedy=incident.remedy,
        codes=incident.codes,
        mark=incident.mark,
        sources=incident.sources,
        seen=seen,
        line=line,
    )


def check_report(
    facts: Facts,
    examination: Examination,
    plan: PlanReport,
    seconds: float,
    proof: Proof | None = None,
) -> CheckReport:
    """The report of a check."""
    machine, model = facts.machine, facts.model
    return CheckReport(
        schema=SCHEMA,
        command="check",
        tool=Tool(),
        target=target_report(facts),
        machine=MachineReport(
            **{name: getattr(machine, name) for name in MachineReport.__struct_fields__}
        ),
        model=ModelReport(
            id=model.id,
            revision=model.revision,
            path=os.path.expanduser(model.path) if model.path else None,
            type=model.type,
            cached=model.found in ("cache", "folder"),
            weights_bytes=model.weights_bytes,
        ),
        verdict=examination.verdict,
        findings=examination.findings,
        not_checked=examination.not_checked,
        plan=plan,
        seconds=round(seconds, 3),
        proof=proof,
        purpose=facts.purpose,
    )
