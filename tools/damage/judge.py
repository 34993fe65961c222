"""The doctor's verdict on each kind of damage against what a generation really did with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from doctor import look, registry
from doctor.facts import Facts, Hub, Model
from doctor.probes import environment, hashing, machine, model
from doctor.target import Target
from tools.damage.kinds import KINDS
from tools.damage.places import Place

# The checks that look at the model's files. The environments are known to run.
OF_MODELS = ("model", "storage", "weights", "tokenizer", "preprocessor", "processor", "incidents")

ROOT = Path(__file__).parent.parent.parent
RECORDED = ROOT / "tests" / "damage"
WRONG = RECORDED / "wrong.json"


class Doctor:
    """Checks models in one environment. A question to its probe is asked once."""

    def __init__(self, python: Path) -> None:
        self._target = Target(str(python), "--python")
        self._answers: dict[str, dict[str, object]] = {}
        self._machine = machine.look()

    def facts(self, place: Place, deep: bool) -> Facts:
        """The facts of a model where it lies."""
        constants.HF_HUB_CACHE = str(place.base)
        seen = model.look(place.model)
        if deep:
            seen = hashing.hashed(seen)
        return self.facts_about(seen)

    def facts_about(self, seen: Model, seen_hub: Hub | None = None) -> Facts:
        """The facts of a model as it was seen."""
        question = look.question_of(seen, "image")
        key = json.dumps(question, sort_keys=True)
        if key not in self._answers:
            with environment.probe(self._target) as probe:
                probe.ask(question)
                self._answers[key] = probe.answer()
        return look.facts_of(
            self._target, self._answers[key], self._machine, seen, os.environ, "image", seen_hub
        )

    def says(self, place: Place, deep: bool = False) -> dict[str, Any]:
        """The verdict, and the codes by severity, of the checks that look at the model."""
        examination = registry.examine(self.facts(place, deep), OF_MODELS)
        codes: dict[str, list[str]] = {"error": [], "warning": [], "note": []}
        for finding in examination.findings:
            codes[finding.severity.value].append(finding.code)
        return {
            "verdict": examination.verdict,
            **{severity: sorted(found) for severity, found in codes.items()},
            "not_checked": [gap.reason for gap in examination.not_checked if gap.decides],
        }


def truth_of(recipe: str) -> dict[str, dict[str, Any]]:
    """What a recipe's environment did with each case."""
    recorded: dict[str, dict[str, Any]] = json.loads(
        (RECORDED / f"{recipe}.json").read_text("utf-8")
    )
    return recorded


def repairs_of(recipe: str) -> dict[str, dict[str, Any]]:
    """What became of each case in a recipe's environment when the doctor repaired it."""
    recorded: dict[str, dict[str, Any]] = json.loads(repairs_file(recipe).read_text("utf-8"))
    return recorded


def repairs_file(recipe: str) -> Path:
    """Where that is recorded."""
    return RECORDED / f"repairs-{recipe}.json"


def truth(recorded: dict[str, dict[str, Any]], case: str) -> dict[str, Any] | None:
    """What happened in a case; a content that was tried in a folder does the same in the cache."""
    name, _, where = case.partition("/")
    return recorded.get(case) or (recorded.get(f"{name}/folder") if where == "cache" else None)


def is_wrong(says: dict[str, Any], happened: dict[str, Any]) -> str | None:
    """``missed``, ``unsure`` or ``false-alarm``; ``warning`` for one about what does no harm.

    That the answer may be another than it should be, where it runs, a warning says as well.
    """
    if happened["outcome"] == "same":
        if says["verdict"] == "broken":
            return "false-alarm"
        if says["verdict"] == "unknown":
            return "unsure"
        return "warning" if says["warning"] else None
    if says["verdict"] == "broken" or (happened["outcome"] == "differs" and says["warning"]):
        return None
    return "unsure" if says["verdict"] == "unknown" else "missed"


# What is also true of a file in the cache that was changed in place, or taken away.
BESIDES = ("model-file-edited", "model-file-missing")


def misnamed(says: dict[str, Any], expected: tuple[str, ...]) -> str | None:
    """How the codes of errors differ from the expected: ``other``, or ``more`` than these."""
    if not says["error"]:
        return None
    if not set(says["error"]) & set(expected):
        return "other"
    return "more" if set(says["error"]) - {*expected, *BESIDES} else None


def judge(
    recipe: str, python: Path, base: Path, cases: Iterable[str], deep: bool = False
) -> dict[str, dict[str, Any]]:
    """For each case what the doctor says, what happened, and whether that is wrong."""
    doctor, recorded = Doctor(python), truth_of(recipe)
    told = {}
    for case in cases:
        name, _, where = case.partition("/")
        happened = truth(recorded, case)
        if happened is None:
            continue
        place = Place(base, cache=where == "cache", sharded=KINDS[name].sharded)
        KINDS[name].damage(place)
        says = doctor.says(place, deep)
        told[case] = {
            "says": says,
            "happened": happened,
            "wrong": is_wrong(says, happened),
            "misnamed": misnamed(says, KINDS[name].codes)
            if happened["outcome"] != "same"
            else None,
            "set_aside": KINDS[name].set_aside,
        }
    return told


def note_wrong(recipe: str, told: dict[str, dict[str, Any]]) -> None:
    """Write down where the doctor is wrong today, for the tests to hold it to."""
    wrong: dict[str, dict[str, str]] = (
        json.loads(WRONG.read_text("utf-8")) if WRONG.exists() else {}
    )
    wrong[recipe] = {case: one["wrong"] for case, one in told.items() if one["wrong"]}
    WRONG.write_text(json.dumps(wrong, indent=1, sort_keys=True) + "\n")


def figures(told: dict[str, dict[str, Any]]) -> str:
    """Recall and precision, of what the rules were written for and of what was set aside."""
    lines = []
    for word, aside in (("written for", False), ("set aside", True)):
        chosen = [one for one in told.values() if one["set_aside"] is aside]
        harm = [one for one in chosen if one["happened"]["outcome"] != "same"]
        fails = [one for one in harm if one["happened"]["outcome"] == "fails"]
        said = [one for one in chosen if one["says"]["verdict"] == "broken"]
        right = [one for one in said if one["happened"]["outcome"] != "same"]
        differs = [one for one in harm if one not in fails]
        seen = [one for one in differs if one["wrong"] is None]
        noted = [
            one for one in differs if one not in seen and "model-file-edited" in one["says"]["note"]
        ]
        failing = [one for one in fails if one["wrong"] is None]
        bad = [one for one in chosen if one["wrong"] in ("warning", "unsure", "false-alarm")]
        named = [one for one in right if one["misnamed"] is None]
        lines += [
            f"{word}, {len(chosen)} cases:",
            f"  told {len(failing)} of {len(fails)} that fail",
            f"  told {len(seen)} of {len(differs)} that run and compute something else"
            f" (of {len(noted)} more, that a file was edited)",
            f"  right {len(right)} of {len(said)} errors, of which {len(named)} name what was "
            "damaged and nothing else",
            f"  wrong {len(bad)} complaints or doubts about what does no harm",
        ]
    return "\n".join(lines)
