"""What ``vlm-doctor check`` says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from doctor.actions import AnyAction, Build, Install, Source
from doctor.facts import Facts, Pressure, Purpose, Struct
from doctor.findings import Finding, NotChecked, Verdict
from doctor.registry import Examination
from doctor.reports import SCHEMA, TargetReport, Tool, target_report

if TYPE_CHECKING:
    from doctor.plan import Plan


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
    ``sources`` is where packages come from, in the order in which they are asked, ``builds`` what
    is built from source. ``refused`` is why ``fix`` will not do it, null where it will.
    """

    actions: tuple[AnyAction, ...]
    recipe: str | None = None
    download_bytes: int | None = None
    disk_bytes: int | None = None
    breaks: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    refused: str | None = None
    builds: tuple[Build, ...] = ()


class Proof(Struct, frozen=True):
    """The last generation that proved this environment, and what has changed since."""

    proven_at: str
    unchanged: bool
    changes: tuple[str, ...]


class MemoryReport(Struct, frozen=True):
    """What a usual generation with the model takes here, in bytes, the weights included.

    ``phases`` are peaks by the phases' names. ``pictures`` are sides of a square picture in pixels,
    each with the peak that it makes. ``budget_bytes`` is what the machine has for it, null where
    that is not known.
    """

    phases: dict[str, int]
    pictures: tuple[tuple[int, int], ...]
    budget_bytes: int | None


class CheckReport(Struct, frozen=True):
    """What ``vlm-doctor check`` says; ``purpose`` is what it was asked for (``--for``).

    ``memory`` is there for the formats that draw it, null otherwise.
    """

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
    memory: MemoryReport | None = None


DOCUMENT = CheckReport


def plan_report(made: Plan, kept_bytes: int | None, sources: tuple[Source, ...] = ()) -> PlanReport:
    """The plan as reports show it, with the ``sources`` of what it installs.

    ``kept_bytes`` is what the way back takes; without it the need for disk is not known. With it,
    the need is what is fetched, what is installed, and what is kept of the old.
    """
    installs = [action for action in made.actions if isinstance(action, Install)]
    download = installs[0].download_bytes if installs else 0
    unpacked = installs[0].installed_bytes if installs else 0
    known = download is not None and unpacked is not None and kept_bytes is not None
    model = sum(action.download_bytes for action in made.downloads)
    return PlanReport(
        actions=made.actions,
        recipe=made.recipe,
        download_bytes=None if download is None else download + model,
        disk_bytes=(download or 0) + (unpacked or 0) + (kept_bytes or 0) + model if known else None,
        breaks=(*(broken.line() for broken in made.breaks), *made.replaces),
        sources=sources if installs else (),
        refused=f"{made.refusal.reason} {made.refusal.hint}" if made.refusal else None,
        builds=made.builds,
    )


def model_report(facts: Facts, elsewhere: bool = False) -> ModelReport:
    """The model as reports show it; ``elsewhere`` as in ``check_report``."""
    model = facts.model
    path = model.path if elsewhere or not model.path else os.path.expanduser(model.path)
    return ModelReport(
        id=model.id,
        revision=model.revision,
        path=path,
        type=model.type,
        cached=model.found in ("cache", "folder"),
        weights_bytes=model.weights_bytes,
        peak_bytes=_peak(facts),
    )


def _peak(facts: Facts) -> int | None:
    """The peak of a usual generation; null where it cannot be told."""
    from doctor.estimate import NotEstimable, estimate_of

    try:
        return estimate_of(facts).peak_bytes
    except NotEstimable:
        return None


def check_report(
    facts: Facts,
    examination: Examination,
    plan: PlanReport,
    seconds: float,
    proof: Proof | None = None,
    elsewhere: bool = False,
) -> CheckReport:
    """The report of a check; ``elsewhere`` tells that the facts are another machine's."""
    machine = facts.machine
    return CheckReport(
        schema=SCHEMA,
        command="check",
        tool=Tool(),
        target=target_report(facts, elsewhere),
        machine=MachineReport(
            **{name: getattr(machine, name) for name in MachineReport.__struct_fields__}
        ),
        model=model_report(facts, elsewhere),
        verdict=examination.verdict,
        findings=examination.findings,
        not_checked=examination.not_checked,
        plan=plan,
        seconds=round(seconds, 3),
        proof=proof,
        purpose=facts.purpose,
    )
