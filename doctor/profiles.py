"""Run profiles for this machine: which one is called for, and the file that it is kept in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from doctor import ladder, popular, profile, room, state
from doctor.actions import WriteProfile
from doctor.errors import Refused
from doctor.estimate import Estimate, Job, Library, NotEstimable, WeightSizes
from doctor.estimate.counting import weights_of_config
from doctor.estimate.headers import read_weights
from doctor.estimate.peak import estimate
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.ladder import Candidate
from doctor.popular import Popular, Table
from doctor.prediction import library_of, weights_of
from doctor.profile import Profile

# A model's JSON files have some kilobytes.
MOST_BYTES = 10_000_000
SMALLER_BITS = 3


def wanted(facts: Facts, findings: Iterable[Finding], path: str | None) -> WriteProfile | None:
    """The profile to write: where the user asked for one, or where memory warns.

    ``path`` is where the user wants it. Null where none is called for, where nothing can be told
    of the model, and where the file says so already. Raises ``Refused`` where it cannot be written
    there.
    """
    short = any(
        finding.check == "memory"
        and finding.severity in (Severity.WARNING, Severity.ERROR)
        and finding.ignored is None
        for finding in findings
    )
    if path is None and not short:
        return None
    found = for_machine(facts)
    if found is None:
        return None
    place = Path(path).absolute() if path is not None else place_of(facts.model.id)
    if path is not None and not os.access(place.parent, os.W_OK):
        raise Refused(f"{path} cannot be written: its folder is not there or not yours.")
    if _says(place, found):
        return None
    return WriteProfile(summary=f"write the run profile {place}", path=str(place), profile=found)


def for_machine(facts: Facts) -> Profile | None:
    """The profile of the model for this machine; null where nothing can be told of it."""
    machine = facts.machine
    budget = room.budget(machine)
    if budget is None:
        return None
    return ladder.choose(
        candidates(facts, popular.load()),
        ladder.USUAL,
        lambda told: room.room_for(told, machine) == "fits",
        min(budget, machine.ram_available_bytes or budget),
    )


def candidates(facts: Facts, table: Table) -> list[Candidate]:
    """The model that was asked for, then it in fewer bits, then the report's smaller ones."""
    library = library_of(facts.environment)
    chip = facts.machine.chip
    asked = table.find(facts.model.id)
    own = _own(facts)
    result = []
    if own is not None:
        result.append(_candidate(facts.model.id, *own, library, chip))
    elif asked is not None:
        result.append(_of_table(table, asked, library, chip))
    else:
        return [Candidate(model=facts.model.id, predict=lambda job: None)]
    if asked is not None and asked.config is not None and asked.original is not None:
        config = table.quantised(asked.config, SMALLER_BITS)
        name = f"{asked.original.rpartition('/')[2]}-{SMALLER_BITS}bit"
        made = f"mlx_vlm.convert --hf-path {asked.original} -q --q-bits {SMALLER_BITS}"
        why = f"the same in {SMALLER_BITS} bits: {made} --mlx-path {name}"
        weights = weights_of_config(config)
        result.append(_candidate(name, config, {}, weights, library, chip, why))
    for identity in popular.CHAIN:
        smaller = table.find(identity)
        if smaller is not None and identity != facts.model.id:
            result.append(_of_table(table, smaller, library, chip, "a smaller model"))
    return result


def _candidate(
    model: str,
    config: Mapping[str, Any],
    preprocessor: Mapping[str, Any],
    weights: WeightSizes,
    library: Library,
    chip: str | None,
    why: str | None = None,
) -> Candidate:
    def predict(job: Job) -> Estimate | None:
        try:
            return estimate(config, weights, job, library, preprocessor, chip)
        except NotEstimable:
            return None

    return Candidate(model=model, predict=predict, why=why)


def _of_table(
    table: Table, model: Popular, library: Library, chip: str | None, why: str | None = None
) -> Candidate:
    config = table.config_of(model) or {}
    return _candidate(
        model.id,
        config,
        table.preprocessor_of(model),
        weights_of(table, model),
        library,
        chip,
        why,
    )


def _own(facts: Facts) -> tuple[dict[str, Any], dict[str, Any], WeightSizes] | None:
    """The files of the model that is here; null where it is not, or they cannot be read."""
    if facts.model.path is None or not facts.model.weights_bytes:
        return None
    folder = Path(facts.model.path).expanduser()
    config = _json(folder / "config.json")
    if config is None:
        return None
    try:
        weights = read_weights(folder)
    except (NotEstimable, OSError):
        return None
    return config, _json(folder / "preprocessor_config.json") or {}, weights


def _json(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def place_of(model: str) -> Path:
    """Where a model's profile is kept, named for people."""
    name = re.sub(r"[^\w.-]+", "--", model).strip("-.") or "model"
    return state.made(state.settings() / "profiles") / f"{name[-100:]}.toml"


def _says(place: Path, found: Profile) -> bool:
    """Whether the file is there and says the same: the model, and how to run it."""
    try:
        there = profile.read(place)
    except Refused:
        return False
    return (there.model, there.generation()) == (found.model, found.generation())
