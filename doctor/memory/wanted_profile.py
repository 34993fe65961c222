"""Run profiles for this machine: which one is called for, and the file that it is kept in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from doctor import state
from doctor.actions import WriteProfile
from doctor.errors import Refused
from doctor.estimate import Estimate, Job, Library, NotEstimable, WeightSizes, estimate_of, judge
from doctor.estimate.counting import weights_of_config
from doctor.estimate.of_facts import library_of
from doctor.estimate.peak import estimate
from doctor.facts import Facts
from doctor.findings import Finding, Severity
from doctor.memory import ladder, popular, run_profile
from doctor.memory.ladder import Candidate
from doctor.memory.popular import Popular, Table
from doctor.memory.prediction import weights_of
from doctor.memory.run_profile import Profile

SMALLER_BITS = 3


def wanted(facts: Facts, findings: Iterable[Finding], path: str | None) -> WriteProfile | None:
    """The profile to write: where the user asked for one, or where memory warns.

    ``path`` is where the user wants it. Null where none is called for, where nothing can be told
    of the model, and where the file says so already. Raises ``Refused`` where the user asked and it
    cannot be written.
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
    if found is None and path is not None:
        raise Refused(
            f"What {facts.model.id} needs cannot be told: there is no profile to write.",
            "Name a model that is here, or one of: vlm-doctor models",
        )
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
    try:
        usual = estimate_of(facts, ladder.USUAL)
    except NotEstimable:
        return None
    return ladder.choose(
        candidates(facts, popular.load()),
        ladder.USUAL,
        lambda told: judge(told, machine).room == "fits",
        judge(usual, machine).limit_bytes,
    )


def candidates(facts: Facts, table: Table) -> list[Candidate]:
    """The model that was asked for, then it in fewer bits, then the report's smaller ones."""
    library, chip = library_of(facts), facts.machine.chip

    def told(job: Job) -> Estimate | None:
        try:
            return estimate_of(facts, job)
        except NotEstimable:
            return None

    result = [Candidate(model=facts.model.id, predict=told)]
    asked = table.find(facts.model.id)
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
    why: str,
) -> Candidate:
    def predict(job: Job) -> Estimate | None:
        try:
            return estimate(config, weights, job, library, preprocessor, chip)
        except NotEstimable:
            return None

    return Candidate(model=model, predict=predict, why=why)


def _of_table(
    table: Table, model: Popular, library: Library, chip: str | None, why: str
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


def place_of(model: str) -> Path:
    """Where a model's profile is kept, named for people."""
    name = re.sub(r"[^\w.-]+", "--", model).strip("-.") or "model"
    return state.settings() / "profiles" / f"{name[-100:]}.toml"


def _says(place: Path, found: Profile) -> bool:
    """Whether the file is there and says the same: the model, and how to run it."""
    try:
        there = run_profile.read(place)
    except Refused:
        return False
    return (there.model, there.generation()) == (found.model, found.generation())
