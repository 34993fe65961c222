"""A room of machines: what the checks say of every bundle in a folder, and what would heal them.

Pure but for reading the bundles, which is shared among processes.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterable
from pathlib import Path

from doctor import plan, registry
from doctor.actions import Advice, EditJson, Install, Remove
from doctor.errors import Refused
from doctor.facts import Facts
from doctor.findings import Severity
from doctor.reports.report import FleetFinding, FleetFix, MachineRow, Unread
from doctor.support import saved

SUFFIXES = (".zip", ".json")
# Starting processes takes longer than judging fewer bundles.
FEW = 40
# So many bundles are handed to a process at a time.
PORTION = 20

WORDS: dict[type, str] = {
    Install: "recipe {}",
    Remove: "remove what cannot be imported",
    EditJson: "mend the model's files",
}
OUTSIDE = "nothing that the doctor does by itself"


def bundles(folder: Path) -> list[Path]:
    """The bundles and files of facts below a folder. Raises ``Refused`` where there are none."""
    if not os.path.isdir(folder):
        raise Refused(f"There is no folder {folder}.")
    found = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith(SUFFIXES)
    ]
    if not found:
        raise Refused(f"There are no bundles in {folder} (*.zip, *.json).")
    return sorted(found)


def judge(folder: Path, paths: list[Path]) -> list[MachineRow | Unread]:
    """A row for each bundle, in their order."""
    names = [(str(path), str(path.relative_to(folder))) for path in paths]
    processes = min(os.cpu_count() or 1, len(paths) // FEW)
    if processes < 2:
        return [row(name) for name in names]
    # Forked children could hold locks of threads; started anew they only read what they are given.
    start = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, start) as pool:
        return list(pool.map(row, names, chunksize=PORTION))


def row(name: tuple[str, str]) -> MachineRow | Unread:
    """The row of one bundle, from its path and its name in the table."""
    path = Path(name[0])
    try:
        facts = saved.read(path)
        return saved.judged(path, lambda: _row(facts, name[1]))
    except Refused as refusal:
        return Unread(file=name[1], reason=refusal.message)


def _row(facts: Facts, file: str) -> MachineRow:
    examination = registry.examine(facts, registry.names())
    by_severity = {
        severity: tuple(
            dict.fromkeys(item.code for item in examination.findings if item.severity is severity)
        )
        for severity in Severity
    }
    fix, refused = _fix(facts, examination)
    versions = {item.name: item.version for item in facts.environment.distributions}
    return MachineRow(
        file=file,
        verdict=examination.verdict,
        errors=by_severity[Severity.ERROR],
        warnings=by_severity[Severity.WARNING],
        notes=by_severity[Severity.NOTE],
        fix=fix,
        refused=refused,
        os=facts.machine.os,
        arch=facts.machine.arch,
        ram_total_bytes=facts.machine.ram_total_bytes,
        python=facts.environment.interpreter.version,
        mlx_vlm=versions.get("mlx-vlm"),
        model=facts.model.id,
        taken_at=facts.taken_at,
    )


def _fix(facts: Facts, examination: registry.Examination) -> tuple[str | None, str | None]:
    """What ``fix`` would do there, in words that are the same for the same fix; or why nothing."""
    errors = examination.errors()
    if not errors:
        return None, None
    by_hand = [finding for finding in errors if not finding.fix.automatic]
    if by_hand:
        return None, by_hand[0].fix.summary
    try:
        made = plan.make(facts, examination.findings)
    except Refused as refusal:
        return None, refusal.message
    if made.breaks:
        return None, f"it would break what works: {made.breaks[0].line()}"
    if made.refusal is not None:
        return None, made.refusal.reason
    steps = [action for action in made.actions if not isinstance(action, Advice)]
    if not steps:
        return None, OUTSIDE
    words = (WORDS.get(type(action), "?").format(made.recipe) for action in steps)
    return " and ".join(dict.fromkeys(words)), None


def findings(rows: Iterable[MachineRow]) -> tuple[FleetFinding, ...]:
    """How many machines have each finding, the worst and commonest first."""
    counts: dict[tuple[str, Severity], list[str]] = {}
    for machine in rows:
        for severity, codes in (
            (Severity.ERROR, machine.errors),
            (Severity.WARNING, machine.warnings),
            (Severity.NOTE, machine.notes),
        ):
            for code in codes:
                counts.setdefault((code, severity), []).append(machine.file)
    order = list(Severity)
    ranked = sorted(counts.items(), key=lambda item: (order.index(item[0][1]), -len(item[1])))
    return tuple(
        FleetFinding(code=code, severity=severity, machines=len(files))
        for (code, severity), files in ranked
    )


def fixes(rows: Iterable[MachineRow]) -> tuple[FleetFix, ...]:
    """How many broken machines each fix would heal, the most first."""
    healed: dict[str, int] = {}
    for machine in rows:
        if machine.fix is not None:
            healed[machine.fix] = healed.get(machine.fix, 0) + 1
    ranked = sorted(healed.items(), key=lambda item: -item[1])
    return tuple(FleetFix(fix=fix, heals=count) for fix, count in ranked)
