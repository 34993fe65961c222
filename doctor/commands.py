"""The commands: each takes the parsed options and returns its report and exit status."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from doctor import facts as facts_module
from doctor import incidents, registry, target
from doctor.errors import CouldNot, Refused
from doctor.facts import Facts, Purpose
from doctor.findings import NotChecked
from doctor.look import look
from doctor.probes import model
from doctor.report import (
    SCHEMA,
    CheckReport,
    ExplainReport,
    ExportReport,
    FixReport,
    PlanReport,
    RecipeReport,
    RecipesReport,
    Report,
    SmokeReport,
    Tool,
    UndoReport,
    check_report,
    incident_report,
    plan_report,
    target_report,
)

if TYPE_CHECKING:
    from doctor.journal import Journal
    from doctor.recipes import Recipe

# A file of facts stays under 2 MB (the contract); a larger one is not ours.
MOST_FACTS_BYTES = 20_000_000
VERDICT_EXIT = {"broken": 1, "unknown": 3, "degraded": 0, "healthy": 0}
FIX_EXIT = {
    "fixed": 0,
    "nothing-to-do": 0,
    "planned": 0,
    "declined": 1,
    "rolled-back": 1,
    "refused": 2,
    "failed": 3,
    "interrupted": 130,
}

Result = tuple[Report, int]


def run(options: argparse.Namespace) -> Result:
    """Run the command that the options name."""
    commands: dict[str, Callable[[argparse.Namespace], Result]] = {
        "check": check,
        "fix": fix,
        "smoke": smoke,
        "undo": undo,
        "explain": explain,
        "recipes": recipes,
    }
    return commands[options.command](options)


def _target(options: argparse.Namespace) -> target.Target:
    return target.find(options.python, options.venv, os.environ)


def _model(options: argparse.Namespace) -> str:
    return model.DEFAULT if options.model is None else str(options.model)


def _say(line: str) -> None:
    """Progress, on standard error."""
    from doctor import terminal

    if line:
        print(terminal.clean(line), file=sys.stderr, flush=True)


def check(options: argparse.Namespace) -> tuple[CheckReport, int]:
    """Look, or read facts, and judge."""
    from doctor import proof, settings

    started = time.perf_counter()
    chosen, unwanted = registry.select(_list(options.only), _list(options.skip))
    if options.facts is not None:
        if options.python or options.venv:
            raise Refused("--facts judges saved facts; it goes with no --python and no --venv.")
        facts = _saved(Path(options.facts), options.model, options.purpose)
        known = None
    else:
        purpose: Purpose = options.purpose or "image"
        facts = look(_target(options), _model(options), os.environ, purpose)
        prefix = os.path.expanduser(facts.environment.interpreter.prefix)
        known = proof.recall(facts, prefix)
    if options.save_facts is not None:
        _save(Path(options.save_facts), facts)
    examination = registry.examine(
        facts, chosen, unwanted, settings.ignores(Path.cwd()), _interrupted(options, facts)
    )
    plan = _plan(facts, examination) if examination.errors() else PlanReport(actions=())
    report = check_report(facts, examination, plan, time.perf_counter() - started, known)
    return report, VERDICT_EXIT[report.verdict]


def _interrupted(options: argparse.Namespace, facts: Facts) -> list[NotChecked]:
    """A fix of this environment that was begun and did not end: what is there is in between."""
    if options.facts is not None:
        return []
    from doctor import state

    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    if not (state.of_target(prefix) / "fixes").exists():
        return []
    from doctor import journal

    begun = any(item.status == "started" for item in journal.all_of(prefix))
    return [NotChecked(check="journal", reason=INTERRUPTED)] if begun else []


def _plan(facts: Facts, examination: registry.Examination) -> PlanReport:
    """What ``fix`` would do; nothing where it would refuse, which it then says itself."""
    from doctor import plan

    try:
        made = plan.make(facts, examination.findings)
    except Refused:
        return PlanReport(actions=())
    return plan_report(made, None)


def _list(words: str | None) -> list[str]:
    return [word.strip() for word in (words or "").split(",") if word.strip()]


def _saved(path: Path, model_name: str | None, purpose: str | None) -> Facts:
    """Facts from a file. Raises ``Refused`` where it is none."""
    try:
        if path.stat().st_size > MOST_FACTS_BYTES:
            raise Refused(f"{path} is too large to be a file of facts.")
        facts = facts_module.decode(path.read_bytes())
    except OSError as error:
        raise Refused(f"{path} could not be read: {error.strerror}.") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Refused(f"{path} is no file of facts: {error}.") from None
    if model_name is not None and model_name != facts.model.id:
        raise Refused(f"The facts in {path} are about {facts.model.id}, not {model_name}.")
    if purpose is not None and purpose != facts.purpose:
        raise Refused(f"The facts in {path} were taken for {facts.purpose}, not {purpose}.")
    return facts


def _save(path: Path, facts: Facts) -> None:
    try:
        path.write_bytes(facts_module.encode(facts))
    except OSError as error:
        raise Refused(f"{path} could not be written: {error.strerror}.") from None


def fix(options: argparse.Namespace) -> tuple[FixReport, int]:
    """Repair, or make a fresh environment."""
    from doctor import repair

    if options.wheels is not None and not Path(options.wheels).is_dir():
        raise Refused(f"There is no folder {options.wheels}.")
    fresh = options.new_venv is not None
    if fresh and (options.python or options.venv):
        raise Refused("--new-venv makes an environment; it goes with no --python and no --venv.")
    request = repair.Request(
        target=target.Target(python="", found_by="--new-venv") if fresh else _target(options),
        model=_model(options),
        yes=options.yes,
        dry_run=options.dry_run,
        recipe=options.recipe,
        offline=options.offline,
        wheels=options.wheels,
        force=options.force,
    )
    if fresh:
        report = repair.fresh(options.new_venv, request, os.environ, _say, _confirm)
        return report, FIX_EXIT[report.outcome]
    report = repair.Repair(request, os.environ, _say, _confirm).run()
    return report, FIX_EXIT[report.outcome]


def _confirm(before: CheckReport | None, plan: PlanReport) -> bool:
    """Show the plan and ask. Raises ``Refused`` without a terminal."""
    from doctor import terminal, text

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(
            "There is no terminal to ask for your consent.",
            "Say --yes to repair without being asked, or --dry-run to see the plan.",
        )
    out = terminal.paper(sys.stderr)
    if before is not None:
        text.render(before, out)
    text.plan(plan, out)
    try:
        answer = input("Do this? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def smoke(options: argparse.Namespace) -> tuple[SmokeReport, int]:
    """Generate once, with the real model where it is here, else with the stand-in."""
    from doctor import proof, repair, stand_in
    from doctor import smoke as generation

    facts = look(_target(options), _model(options), os.environ)
    real = facts.model.path is not None and facts.model.weights_bytes is not None
    if options.model is not None and facts.model.found == "folder" and not real:
        raise Refused(f"{options.model} has no weights (no *.safetensors).")
    job = generation.Job(
        model=os.path.expanduser(facts.model.path) if real and facts.model.path else None,
        model_id=facts.model.id if real else stand_in.NAME,
        image=options.image,
        prompt=options.prompt,
        expected=options.expect,
    )
    _say(f"Generating with {job.model_id} …")
    interpreter = facts.environment.interpreter
    report = generation.run(os.path.expanduser(interpreter.executable), job, target_report(facts))
    if report.passed:
        proof.remember(facts, os.path.expanduser(interpreter.prefix))
    elif generation.compiler_is_missing(report):
        _say(repair.NO_COMPILER)
    return report, 0 if report.passed else 1


def undo(options: argparse.Namespace) -> tuple[UndoReport, int]:
    """Take back an interrupted fix, else the newest one; or list them, or give them up."""
    from doctor import journal

    started = time.perf_counter()
    facts = look(_target(options), model.DEFAULT, os.environ)
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    restored = 0
    with journal.lock(prefix, _say):
        left = journal.interrupted(prefix)
        journals = [item for item in journal.all_of(prefix) if item.status == "done"]
        if options.list:
            outcome = "listed"
            if left is not None:
                _say(INTERRUPTED)
        elif left is not None:
            outcome, restored = "recovered", _taken_back(left)
        elif options.clear:
            outcome = "cleared"
            for item in journals:
                item.discard()
            journals = []
        elif journals:
            outcome, restored = "undone", _taken_back(journals.pop(0))
        else:
            outcome = "nothing-to-undo"
    report = msgspec.convert(
        {
            "schema": SCHEMA,
            "command": "undo",
            "tool": Tool(),
            "outcome": outcome,
            "entries": [item.entry() for item in journals],
            "restored": restored,
            "seconds": round(time.perf_counter() - started, 3),
        },
        type=UndoReport,
    )
    return report, 0


INTERRUPTED = "an earlier fix of this environment was interrupted; to put it back: vlm-doctor undo"


def _taken_back(record: Journal) -> int:
    """Take a fix back. Raises ``CouldNot`` where that does not work; it can then be repeated."""
    try:
        return record.take_back()
    except OSError as error:
        raise CouldNot(
            f"Not everything could be put back: {error}", "Repeat: vlm-doctor undo"
        ) from error


def explain(options: argparse.Namespace) -> Result:
    """The page of a code, a check or an incident; or what a pasted error is."""
    if options.error is not None:
        return _explain_error(options.error)
    name = registry.check_of_code(options.code)
    if name is None and options.code in registry.names():
        name = options.code
    known = incidents.load().get(options.code)
    if name is not None:
        code: str | None = options.code
        page = "# " + (registry.module(name).__doc__ or "").strip()
    elif known is not None:
        code = known.codes[0] if known.codes else None
        name = registry.check_of_code(code) if code else None
        page = incidents.page(known)
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


def _explain_error(name: str) -> tuple[ExplainReport, int]:
    """What a pasted error is; exit status 1 where no incident is known that it shows."""
    from doctor import attribution, pasted

    text = pasted.read(name)
    found = attribution.attribute(text)
    codes = found[0].incident.codes if found else ()
    return ExplainReport(
        schema=SCHEMA,
        command="explain",
        tool=Tool(),
        code=codes[0] if codes else None,
        check=registry.check_of_code(codes[0]) if codes else None,
        page="\n\n".join(incidents.page(match.incident) for match in found),
        incidents=tuple(
            incident_report(
                match.incident, text.shown(match.start, match.end), text.line_of(match.start) + 1
            )
            for match in found
        ),
        errors=text.errors(),
        cut=text.cut,
    ), 0 if found else 1


def recipes(options: argparse.Namespace) -> tuple[RecipesReport, int]:
    """The recipes that come with the doctor; what has moved since; or one for another tool."""
    from doctor import recipes as data

    name = options.recipe or (data.DEFAULT if options.export else None)
    found = [recipe for one in ([name] if name else data.names()) if (recipe := data.load(one))]
    if not found:
        raise Refused(
            f"There is no recipe named {options.recipe}.", f"Recipes: {', '.join(data.names())}."
        )
    if options.outdated or options.export:
        reports = _of_locks(options, found)
    elif options.lock or options.python or options.venv:
        raise Refused("--lock, --python and --venv go with --outdated or --export.")
    else:
        reports = [_recipe(recipe) for recipe in found]
    return RecipesReport(schema=SCHEMA, command="recipes", tool=Tool(), recipes=tuple(reports)), 0


def _recipe(recipe: Recipe) -> RecipeReport:
    return RecipeReport(
        name=recipe.name,
        summary=recipe.summary,
        for_whom=recipe.for_whom,
        requirements=recipe.requirements,
        locks=recipe.locks,
        proven=recipe.proven,
    )


def _of_locks(options: argparse.Namespace, found: list[Recipe]) -> list[RecipeReport]:
    """What was asked about the recipes' locks. Raises ``Refused`` where none has the lock."""
    from doctor import export, plan, upstream
    from doctor import recipes as data

    if options.lock is None:
        facts = look(_target(options), model.DEFAULT, os.environ)
        backend = data.backend_of(facts.environment)
        name = data.lock_name(facts.environment.interpreter, backend)
        reasons = {recipe.name: plan.no_lock(facts, recipe.name) for recipe in found}
    elif options.python or options.venv:
        raise Refused("--lock names a lock; it goes with no --python and no --venv.")
    else:
        name = options.lock
        reasons = {
            recipe.name: recipe.why_not(name) or f"it has no lock named {name}" for recipe in found
        }
    place = data.place_of(name) if name else None
    reports = []
    for recipe in found:
        report = _recipe(recipe)
        lock = data.load_lock(recipe.name, place.name) if place else None
        if place is None or lock is None:
            reports.append(msgspec.structs.replace(report, no_lock=reasons[recipe.name]))
        elif options.outdated:
            _say(f"Asking the package index about {recipe.name} …")
            moved = upstream.ask(recipe, lock, place)
            reports.append(msgspec.structs.replace(report, outdated=moved))
        else:
            text = export.FORMATS[options.export](recipe, lock, place)
            exported = ExportReport(format=options.export, lock=lock.name, text=text)
            reports.append(msgspec.structs.replace(report, exported=exported))
    if all(report.no_lock for report in reports):
        locks = sorted({lock for recipe in found for lock in recipe.locks})
        reason = f"{found[0].name} cannot be had there: {reports[0].no_lock}."
        raise Refused(reason, f"Name one with --lock: {', '.join(locks)}")
    return reports
