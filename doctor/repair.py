"""Repairing: one transaction from a plan to a proof, or back to where it began."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec
from packaging.utils import canonicalize_name

from doctor import journal, plan, proof, recipes, registry, smoke, snapshot, stand_in, state, uv
from doctor.actions import AnyAction, EditJson, Install, NewEnvironment, Remove
from doctor.errors import CouldNot, Interrupted, Refused
from doctor.facts import Facts, Struct
from doctor.look import look
from doctor.plan import Plan
from doctor.registry import Examination
from doctor.reports import SCHEMA, Tool, target_report
from doctor.reports.check import CheckReport, PlanReport, check_report, plan_report
from doctor.reports.fix import FixReport, Outcome
from doctor.reports.smoke import SmokeReport
from doctor.target import Target

Progress = Callable[[str], None]

# Bytes of free disk that must be left over: an environment on a full disk does not work either.
SPARE_DISK = 200_000_000


class Request(Struct, frozen=True):
    """What the user asked of ``fix``."""

    target: Target
    model: str
    yes: bool = False
    dry_run: bool = False
    recipe: str | None = None
    offline: bool = False
    wheels: str | None = None
    force: bool = False


class Failed(Exception):
    """A step did not work out: everything goes back. The message says which, in one line."""


class Repair:
    """One run of ``fix``. ``say`` takes progress, ``confirm`` shows a plan and asks the user."""

    def __init__(
        self,
        request: Request,
        variables: Mapping[str, str],
        say: Progress,
        confirm: Callable[[CheckReport | None, PlanReport], bool],
    ) -> None:
        self._request = request
        self._variables = variables
        self._say = say
        self._confirm = confirm
        self._started = time.perf_counter()
        self._before: CheckReport | None = None
        self._after: CheckReport | None = None
        self._plan = PlanReport(actions=())
        self._smoke: SmokeReport | None = None
        self._real_smoke: SmokeReport | None = None
        self._applied: list[AnyAction] = []

    def run(self) -> FixReport:
        """Examine, plan, apply, examine again, prove. Raises ``Refused`` where it may not begin."""
        facts = look(self._request.target, self._request.model, self._variables)
        prefix = os.path.expanduser(facts.environment.interpreter.prefix)
        if self._request.dry_run:
            return self._guarded(facts, prefix)
        with journal.lock(prefix, self._say), _stoppable():
            if recover(prefix, self._say):
                facts = look(self._request.target, self._request.model, self._variables)
            return self._guarded(facts, prefix)

    def _guarded(self, facts: Facts, prefix: str) -> FixReport:
        try:
            return self._repair(facts, prefix)
        except Interrupted:
            return self._report("interrupted", "it was interrupted")
        except Refused as refusal:
            if self._before is None:
                raise
            return self._report("refused", f"{refusal.message} {refusal.hint}".strip())

    def _repair(self, facts: Facts, prefix: str) -> FixReport:
        examination = registry.examine(facts, registry.names())
        self._before = check_report(facts, examination, PlanReport(actions=()), 0.0)
        errors = examination.errors()
        by_hand = [finding for finding in errors if not finding.fix.automatic]
        if by_hand:
            reason = f"{by_hand[0].title}. This is yours to do first: {by_hand[0].fix.summary}"
            return self._report("rolled-back", reason)
        anew = False
        if not errors and self._request.recipe is None:
            known = proof.recall(facts, prefix)
            if known is not None and known.unchanged:
                return self._report("nothing-to-do", None)
            if self._request.dry_run:
                return self._report("nothing-to-do", None)
            self._say("No check finds an error; proving it with a generation …")
            failure = self._prove(facts)
            if failure is None:
                proof.remember(facts, prefix)
                return self._report("nothing-to-do", None)
            if self._smoke is not None and smoke.compiler_is_missing(self._smoke):
                return self._report("failed", NO_COMPILER)
            self._say(f"The generation fails: {failure}. Installing the whole recipe anew.")
            anew = True
        made = plan.make(
            facts, examination.findings, self._request.recipe, self._request.force, anew
        )
        self._plan = plan_report(made, _kept_bytes(made, facts))
        if not made.steps:
            if not errors:
                return self._report("nothing-to-do", None)
            return self._report("rolled-back", "what was found cannot be mended by what is known")
        if made.breaks and not self._request.force:
            raise Refused(
                f"This would break what works now: {made.breaks[0].line()}.",
                "Repeat with --force, or make a fresh environment: vlm-doctor fix --new-venv DIR",
            )
        if self._request.dry_run:
            return self._report("planned", None)
        self._may_change(facts)
        self._has_room(prefix)
        if not self._request.yes and not self._confirm(self._before, self._plan):
            return self._report("declined", "you said no")
        return self._transaction(made, facts, prefix)

    def _may_change(self, facts: Facts) -> None:
        interpreter = facts.environment.interpreter
        way_out = "Make a fresh environment from the recipe: vlm-doctor fix --new-venv DIR"
        if interpreter.externally_managed:
            raise Refused(
                f"{interpreter.executable} belongs to the system's package manager "
                "(externally managed), which would not know of a change.",
                way_out,
            )
        if not interpreter.writable:
            raise Refused(
                f"The environment at {interpreter.prefix} may not be written to by you.", way_out
            )

    def _has_room(self, prefix: str) -> None:
        needed = self._plan.disk_bytes
        free = shutil.disk_usage(prefix).free
        if needed is not None and free < needed + SPARE_DISK:
            raise Refused(
                f"The disk has {free / 1e9:.1f} GB free; the fix needs {needed / 1e9:.1f} GB.",
                "Make room and try again.",
            )

    def _transaction(self, made: Plan, facts: Facts, prefix: str) -> FixReport:
        """Keep what is there, apply, examine, prove; on any failure put everything back."""
        now = look(self._request.target, self._request.model, self._variables)
        if plan.fingerprint(now) != made.fingerprint:
            raise Refused(
                "The environment was changed by something else while the plan was made.",
                "Try again when nothing else installs into it.",
            )
        self._say("Keeping what is there, so that everything can go back …")
        record = journal.new(prefix)
        summary = "; ".join(step.summary for step in made.steps)
        try:
            record.begin(prefix, summary, roots(facts, made))
        except BaseException:
            record.discard()
            raise
        try:
            self._apply(made, facts)
            self._check_again(prefix)
        except (Failed, uv.InstallFailed, OSError, Refused, CouldNot) as error:
            return self._back(record, str(error), "rolled-back")
        except (Interrupted, KeyboardInterrupt):
            return self._back(record, "it was interrupted", "interrupted")
        except BaseException:
            self._back(record, "the doctor failed", "rolled-back")
            raise
        record.done()
        return self._report("fixed", None)

    def _apply(self, made: Plan, facts: Facts) -> None:
        python = self._request.target.python
        for action in made.steps:
            self._say(action.summary[0].upper() + action.summary[1:] + " …")
            if isinstance(action, Install):
                uv.install(
                    python,
                    made.requirements,
                    made.reinstall,
                    self._request.offline,
                    self._request.wheels,
                    self._say,
                )
            elif isinstance(action, Remove):
                uv.remove(python, [change.name for change in action.changes], self._say)
            elif isinstance(action, EditJson):
                _edit(action)
            self._applied.append(action)

    def _check_again(self, prefix: str) -> None:
        self._say("Checking again …")
        facts = look(self._request.target, self._request.model, self._variables)
        examination = registry.examine(facts, registry.names())
        self._after = check_report(facts, examination, PlanReport(actions=()), 0.0)
        errors = remaining(examination)
        if errors:
            raise Failed(f"after the fix there is still: {errors[0]}")
        self._say("Proving it with a generation …")
        failure = self._prove(facts)
        if failure is not None and self._smoke and smoke.compiler_is_missing(self._smoke):
            failure = NO_COMPILER
        if failure is not None:
            raise Failed(f"the generation that was to prove it failed: {failure}")
        proof.remember(facts, prefix)

    def _prove(self, facts: Facts) -> str | None:
        """Smoke the stand-in, then the real model if it is here; why it failed, or null."""
        python = self._request.target.python
        self._smoke = smoke.run(
            python, smoke.Job(model=None, model_id=stand_in.NAME), target_report(facts)
        )
        if not self._smoke.passed:
            return failure_of(self._smoke)
        path = facts.model.path
        if path is not None and facts.model.weights_bytes:
            self._say(f"Proving it with {facts.model.id} itself …")
            job = smoke.Job(model=os.path.expanduser(path), model_id=facts.model.id)
            self._real_smoke = smoke.run(python, job, target_report(facts))
            if not self._real_smoke.passed:
                return f"{facts.model.id}: {failure_of(self._real_smoke)}"
        return None

    def _back(self, record: journal.Journal, reason: str, outcome: Outcome) -> FixReport:
        """Put everything back. Nothing may interrupt this; if it fails, the report says so."""
        self._say(f"Going back: {reason}")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        try:
            record.take_back()
        except OSError as error:
            return self._report(
                "failed", f"{reason}; and the way back failed: {error}. Repeat: vlm-doctor undo"
            )
        self._after = None
        return self._report(outcome, reason)

    def _report(self, outcome: Outcome, reason: str | None) -> FixReport:
        return FixReport(
            schema=SCHEMA,
            command="fix",
            tool=Tool(),
            outcome=outcome,
            reason=reason,
            before=self._before,
            plan=self._plan,
            applied=tuple(self._applied),
            smoke=self._smoke,
            real_smoke=self._real_smoke,
            after=self._after,
            seconds=round(time.perf_counter() - self._started, 3),
        )


NO_COMPILER = (
    "MLX's CPU backend needs a C++ compiler, and there is no g++ on this machine "
    "(on Debian and Ubuntu: apt install g++)"
)


def fresh(
    folder: str,
    request: Request,
    variables: Mapping[str, str],
    say: Progress,
    confirm: Callable[[CheckReport | None, PlanReport], bool],
) -> FixReport:
    """Make a fresh environment in ``folder`` from a recipe, and prove it; or leave nothing behind.

    The target of the request is replaced by the new environment's interpreter. Raises ``Refused``
    where the folder is in use or no Python fits.
    """
    started = time.perf_counter()
    path = Path(folder).expanduser().absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refused(f"{folder} is there already and not empty.", "Name a folder that is not.")
    recipe = request.recipe or recipes.DEFAULT
    python = _python_for(recipe)
    step = NewEnvironment(
        summary=f"make an environment at {path} with {python}", path=str(path), python=python
    )
    if request.dry_run:
        return FixReport(
            schema=SCHEMA,
            command="fix",
            tool=Tool(),
            outcome="planned",
            reason=None,
            before=None,
            plan=PlanReport(actions=(step,), recipe=recipe),
            applied=(),
            smoke=None,
            real_smoke=None,
            after=None,
            seconds=round(time.perf_counter() - started, 3),
        )
    inner = msgspec.structs.replace(
        request,
        target=Target(python=str(path / "bin" / "python"), found_by="--new-venv"),
        recipe=recipe,
    )
    say(step.summary[0].upper() + step.summary[1:] + " …")
    existed = path.exists()
    worked = False
    try:
        with _stoppable():
            uv.make_environment(python, str(path), say)
        report = Repair(inner, variables, say, confirm).run()
        worked = report.outcome == "fixed"
    except uv.InstallFailed as error:
        raise CouldNot(f"The environment could not be made: {error}") from error
    finally:
        if not worked:
            shutil.rmtree(state.of_target(str(path)), ignore_errors=True)
            shutil.rmtree(path, ignore_errors=True)
            if existed:
                path.mkdir()
    return msgspec.structs.replace(
        report,
        applied=(step, *report.applied),
        seconds=round(time.perf_counter() - started, 3),
    )


def _python_for(recipe: str) -> str:
    """The newest Python that is installed and that the recipe is locked for."""
    found = recipes.load(recipe)
    if found is None:
        raise Refused(
            f"There is no recipe named {recipe}.", f"Recipes: {', '.join(recipes.names())}."
        )
    markers = {"sys_platform": sys.platform, "platform_machine": platform.machine()}
    here = recipes.platform_of(markers)
    if here is None:
        raise Refused(f"MLX has no wheels for {sys.platform} on {platform.machine()}.")
    start = f"{here}-{'metal' if sys.platform == 'darwin' else 'cpu'}-py3"
    minors = sorted(
        (int(lock[len(start) :]) for lock in found.locks if lock.startswith(start)), reverse=True
    )
    for minor in minors:
        python = uv.find_python(f"3.{minor}")
        if python is not None:
            return python
    wanted = ", ".join(f"3.{minor}" for minor in minors) or "none"
    raise Refused(
        f"There is no Python here that {recipe} is locked for ({wanted}).",
        "Install one, for example: uv python install 3.12",
    )


def failure_of(report: SmokeReport) -> str:
    """Why a generation did not pass, in one line."""
    for stage in report.stages:
        if not stage.passed:
            return f"{stage.name}: {stage.error}"
    return (
        "the picture was not understood: "
        f"it was asked {report.prompt!r} and answered {report.answer!r}, not {report.expected!r}"
    )


def remaining(examination: Examination) -> list[str]:
    """The errors that a repair should have mended and has not."""
    return [finding.title for finding in examination.errors() if finding.fix.automatic]


def roots(facts: Facts, made: Plan) -> list[str]:
    """The folders and files that a plan may touch: those that a snapshot has to keep."""
    interpreter = facts.environment.interpreter
    prefix = os.path.expanduser(interpreter.prefix)
    result: list[str] = []
    if made.changes:
        names = [interpreter.site_packages, interpreter.platform_site_packages, interpreter.scripts]
        if interpreter.kind == "virtual":
            # Where wheels put what is neither a module nor a script.
            names += ["share", "etc", "include"]
        for name in names:
            path = os.path.realpath(os.path.join(prefix, os.path.expanduser(name)))
            if path not in result:
                result.append(path)
    result += [os.path.expanduser(step.path) for step in made.steps if isinstance(step, EditJson)]
    return result


def _kept_bytes(made: Plan, facts: Facts) -> int:
    """What the replaced distributions hold, by the sizes in their own RECORD."""
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    names = {change.name for change in made.changes if change.before is not None}
    total = 0
    for distribution in facts.environment.distributions:
        if canonicalize_name(distribution.name) in names:
            record = os.path.join(prefix, os.path.expanduser(distribution.metadata), "RECORD")
            try:
                with open(record, encoding="utf-8", errors="replace") as file:
                    sizes = [line.rstrip().rpartition(",")[2] for line in file]
            except OSError:
                continue
            total += sum(int(size) for size in sizes if size.isdigit())
    return total


def recover(prefix: str, say: Progress) -> bool:
    """Put back what an interrupted fix left; whether there was one."""
    left = journal.interrupted(prefix)
    if left is None:
        return False
    say("An earlier fix was interrupted; putting everything back as it was …")
    left.read()
    left.take_back()
    return True


def edited(text: str, field: Sequence[str], value: str) -> str:
    """A JSON object with one field set, and otherwise as it was."""
    content = json.loads(text)
    holder = content
    for name in field[:-1]:
        holder = holder[name]
    holder[field[-1]] = value
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _edit(action: EditJson) -> None:
    """Put a new file in place of a link or file, at once or not at all; a link's target stays."""
    path = Path(action.path).expanduser()
    text = edited(path.read_text(encoding="utf-8"), action.field, action.value)
    temporary = path.with_name(snapshot.TEMPORARY)
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise ``Interrupted``, so that everything goes back before the end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
