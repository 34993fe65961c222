"""Repairing: one transaction from a plan to a proof, or back to where it began."""

from __future__ import annotations

import csv
import functools
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from doctor import plan, readiness, registry, state
from doctor.actions import (
    AnyAction,
    Download,
    EditJson,
    Install,
    NewEnvironment,
    PutFile,
    Remove,
    RemoveFiles,
    Source,
    WriteProfile,
)
from doctor.errors import CouldNot, Failed, Interrupted, Refused
from doctor.facts import Facts, Struct
from doctor.findings import Finding
from doctor.hub import downloads, model_files
from doctor.look import Ask, looking
from doctor.memory import device, run_profile, wanted_profile, watch
from doctor.packages import recipes, sources, uv, wheels
from doctor.packages.recipes import Lock
from doctor.packages.requirements import installed, same_version
from doctor.plan import Plan
from doctor.probes.storage import digest
from doctor.proving import last_proof, smoke, stand_in
from doctor.registry import Examination
from doctor.reports import SCHEMA, Tool, target_report
from doctor.reports.check import CheckReport, PlanReport, check_report, plan_report
from doctor.reports.fix import FixReport, Outcome
from doctor.reports.smoke import SmokeReport
from doctor.stopping import Stop
from doctor.target import Target
from doctor.transaction import journal, locking, unfinished

Progress = Callable[[str], None]

# Seconds in which the index has to say what it has of a recipe.
INDEX_SECONDS = 120.0

# Bytes of free disk that must be left over: an environment on a full disk does not work either.
SPARE_DISK = 200_000_000


class Request(Struct, frozen=True):
    """What the user asked of ``fix``; ``saved`` are facts of elsewhere, to be planned for only.

    ``origin`` is what the Hub calls a model that lies in a folder.
    ``profile`` is where a run profile is to be written; else one is where memory is short.
    """

    target: Target
    model: str
    yes: bool = False
    dry_run: bool = False
    recipe: str | None = None
    offline: bool = False
    wheels: str | None = None
    download: bool = False
    force: bool = False
    saved: Facts | None = None
    profile: str | None = None
    allow_builds: bool = False
    origin: str | None = None

    @property
    def may_fetch(self) -> bool:
        """Whether the model's files may be fetched from the Hub."""
        return self.download and not self.offline


class Repair:
    """One run of ``fix``. ``say`` takes progress, ``confirm`` shows a plan and asks the user."""

    def __init__(
        self,
        request: Request,
        variables: Mapping[str, str],
        say: Progress,
        confirm: Callable[[CheckReport | None, PlanReport], bool],
        stop: Stop | None = None,
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
        self._wanted: WriteProfile | None = None
        self._stop = stop or Stop()
        self._open: journal.Journal | None = None
        self._overlay: str | None = None

    def run(self) -> FixReport:
        """Examine, plan, apply, examine again, prove. Raises ``Refused`` where it may not begin."""
        if self._request.saved is not None:
            assert self._request.dry_run
            return self.run_held(self._request.saved, "")
        facts = self._look_and_ask()
        prefix = os.path.expanduser(facts.environment.interpreter.prefix)
        if self._request.dry_run:
            notice = unfinished.notice(prefix)
            if notice is not None:
                self._say(notice[0].upper() + notice[1:])
            return self.run_held(facts, prefix)
        with locking.lock(prefix, self._say):
            recovered = recover(prefix, self._say)
            with self._stop:
                if recovered:
                    facts = self._look_and_ask()
                report = self.run_held(facts, prefix)
        if report.outcome == "fixed":
            journal.tidy()
        return report

    def _look_and_ask(self) -> Facts:
        """Look, and ask the Hub about the model where the user allows that."""
        ask = None
        if self._request.may_fetch:
            ask = functools.partial(downloads.ask, name=self._request.origin)
            self._say("Asking the Hub, and holding the model's files against what it has …")
        with self._looking(self._request.model, ask) as seen:
            return seen()

    def _looking(
        self, model: str, ask: Ask | None = None
    ) -> AbstractContextManager[Callable[[], Facts]]:
        """Begin to look; see ``look.looking``."""
        return looking(self._request.target, model, self._variables, ask=ask)

    def run_held(self, facts: Facts, prefix: str) -> FixReport:
        """The same, for who holds the lock on the environment."""
        try:
            return self._repair(facts, prefix)
        except Interrupted:
            if self._open is not None:  # it came where nobody was ready for it
                return self._back(self._open, "it was interrupted", "interrupted")
            return self._report("interrupted", "it was interrupted")
        except Refused as refusal:
            if self._before is None:
                raise
            return self._report("refused", f"{refusal.message} {refusal.hint}".strip())

    def _repair(self, facts: Facts, prefix: str) -> FixReport:
        examination = registry.examine(facts, registry.names())
        elsewhere = self._request.saved is not None
        nothing = PlanReport(actions=())
        self._before = check_report(facts, examination, nothing, 0.0, elsewhere=elsewhere)
        errors = examination.errors()
        if self._request.may_fetch and facts.hub is not None and facts.hub.trouble is not None:
            raise Refused(*downloads.of_trouble(facts.hub.trouble))
        fetched = taken = None
        if self._request.may_fetch:
            fetched, taken = downloads.action(facts, errors), downloads.surplus(facts, errors)
        moot = downloads.moot(facts, errors, fetched, taken)
        by_hand = [
            finding
            for finding in errors
            if not finding.fix.automatic
            and finding not in moot
            and not ((fetched or taken) and finding.fix.id == "download")
        ]
        if by_hand:
            return self._report("rolled-back", self._yours(by_hand[0], facts, errors))
        wanted = None
        if not elsewhere:
            wanted = wanted_profile.wanted(facts, examination.findings, self._request.profile)
        self._wanted = wanted
        anew = edited = False
        if not errors and self._request.recipe is None and fetched is None:
            if wanted is not None:
                self._plan = PlanReport(actions=(wanted,))
                if self._request.dry_run:
                    return self._report("planned", None)
                if not self._request.yes and not self._confirm(self._before, self._plan):
                    return self._report("declined", "you said no")
            else:
                known = None if elsewhere else last_proof.recall(facts, prefix)
                if (known is not None and known.unchanged) or self._request.dry_run:
                    return self._report("nothing-to-do", None)
            self._say("No check finds an error; proving it with a generation …")
            failure = self._prove(facts)
            if failure is None:
                last_proof.remember(facts, prefix)
                return self._with_profile(prefix)
            if self._smoke is not None and smoke.compiler_is_missing(self._smoke):
                return self._report("failed", NO_COMPILER)
            if self._smoke is not None and self._smoke.passed and facts.model.type == stand_in.TYPE:
                # The environment runs a model of this very type: packages are not what is wrong.
                edited = self._request.may_fetch and bool(downloads.action(facts, edited=True))
                if not edited:
                    return self._report("rolled-back", _models_own(failure, facts))
                self._say(f"The generation fails: {failure}. Fetching what is not the Hub's.")
            else:
                self._say(f"The generation fails: {failure}. Installing the whole recipe anew.")
                anew = True
        made = plan.make(
            facts,
            examination.findings,
            self._request.recipe,
            self._request.force,
            anew,
            self._request.may_fetch,
            edited,
        )
        made = self._with_builds(self._with_times(made))
        if wanted is not None:
            made = msgspec.structs.replace(made, actions=(*made.actions, wanted))
        if elsewhere:
            self._plan = plan_report(made, None)
        else:
            self._plan = plan_report(
                made, _kept_bytes(made, facts), _sources(self._request, self._variables, prefix)
            )
        forced = self._request.force or self._request.target.found_by == "--new-venv"
        if made.refusal is not None and not (made.refusal.forcible and forced):
            raise Refused(made.refusal.reason, made.refusal.hint)
        if not made.steps:
            if not errors:
                return self._report("nothing-to-do", None)
            return self._report("rolled-back", "what was found cannot be mended by what is known")
        unfit = self._unfit_wheels(made)
        if unfit is not None:
            return self._report("rolled-back", unfit)
        if self._request.dry_run:
            return self._report("planned", None)
        self._has_room(made, prefix)
        for download in made.downloads:
            downloads.refuse_without_room(download, facts)
        if not self._request.yes and not self._confirm(self._before, self._plan):
            return self._report("declined", "you said no")
        try:
            for download in made.downloads:
                downloads.stage(download, self._say)
        except Failed as error:
            return self._report("rolled-back", str(error))
        return self._transaction(made, facts, prefix)

    def _with_builds(self, made: Plan) -> Plan:
        """The plan with what has to be built from source, where the user allows that."""
        install = next((step for step in made.steps if isinstance(step, Install)), None)
        place = recipes.place_of(install.lock) if install is not None else None
        if not self._request.allow_builds or place is None or self._request.saved is not None:
            return made
        deadline = time.monotonic() + INDEX_SECONDS
        platform = recipes.UV_PLATFORMS[place.platform]
        return made.building(uv.builds(made.requirements, platform, place.python, deadline))

    def _with_times(self, made: Plan) -> Plan:
        """The plan with the time that its downloads take on this line."""
        actions = tuple(
            downloads.measured(action) if isinstance(action, Download) else action
            for action in made.actions
        )
        return msgspec.structs.replace(made, actions=actions)

    def _yours(self, finding: Finding, facts: Facts, errors: tuple[Finding, ...]) -> str:
        """Why the doctor does not mend this, and who could how."""
        unknown = facts.model.found == "folder" and not (facts.hub and facts.hub.remote)
        if finding.fix.id != "download" or unknown:
            if finding.fix.id == "download":
                return (
                    f"{finding.title}. This is yours to do first: {finding.fix.summary}. Or repeat "
                    "with --download --from ID, where ID is what the Hub calls the model"
                )
            return f"{finding.title}. This is yours to do first: {finding.fix.summary}"
        if self._request.may_fetch:
            more = downloads.strangers(facts)
            if more:
                names = ", ".join(more[:3])
                return f"{finding.title}. The Hub's model does not have {names}: move it elsewhere"
            return f"{finding.title}. The files are what the Hub has: it is the model's own fault"
        option = "without --offline" if self._request.download else "with --download"
        files = downloads.lacking(facts, errors)
        return (
            f"{finding.title}. Repeat {option} to fetch {', '.join(files)}"
            if files
            else f"{finding.title}. Repeat {option} to fetch what is damaged"
        )

    def _has_room(self, made: Plan, prefix: str) -> None:
        needed = self._plan.disk_bytes
        if needed is not None:  # the model's disk is looked at for itself
            needed -= sum(download.download_bytes for download in made.downloads)
        free = shutil.disk_usage(prefix).free
        if needed is not None and free < needed + SPARE_DISK:
            raise Refused(
                f"The disk has {free / 1e9:.1f} GB free; the fix needs {needed / 1e9:.1f} GB.",
                "Make room and try again.",
            )

    def _unfit_wheels(self, made: Plan) -> str | None:
        """Why the user's folder of wheels does not do for the plan, or null."""
        folder = self._request.wheels
        install = next((step for step in made.steps if isinstance(step, Install)), None)
        lock = recipes.load_lock(install.recipe, install.lock) if install else None
        if folder is None or install is None or lock is None:
            return None
        wanted = [lock.wheels[change.name] for change in install.changes]
        try:
            problem = wheels.problem(Path(folder), wanted)
        except OSError as error:
            problem = f"{folder} could not be read: {error.strerror}"
        if problem is None:
            return None
        command = f"vlm-doctor recipes --download {folder} --recipe {lock.recipe}"
        return f"{problem}. To gather them: {command} --lock {lock.name}"

    def _transaction(self, made: Plan, facts: Facts, prefix: str) -> FixReport:
        """Keep what is there, apply, examine, prove; on any failure put everything back."""
        if self._wanted is not None:
            state.made(Path(self._wanted.path).parent)
        self._say("Keeping what is there, so that everything can go back …")
        record = self._open = journal.new(prefix)
        summary = "; ".join(step.summary for step in made.steps)
        try:
            ours = [str(canonicalize_name(change.name)) for change in made.changes]
            record.take_stock(prefix, summary, *kept(facts, made), ours)
            self._keep(record, made)
            self._apply(made)
            proven = self._check_again(made)
            # From here on it is too late to stop: what is proven is kept, not thrown away.
            self._stop.no_more()
            record.done()
            self._open = None
        except (Failed, uv.InstallFailed, OSError, CouldNot) as error:
            return self._back(record, _words(error), "rolled-back")
        except Refused as refusal:
            reason = f"{refusal.message} {refusal.hint}".strip()
            return self._back(record, reason, "rolled-back" if self._applied else "refused")
        except (Interrupted, KeyboardInterrupt):
            return self._back(record, "it was interrupted", "interrupted")
        except BaseException:
            self._back(record, "the doctor failed", "rolled-back")
            raise
        for download in made.downloads:
            downloads.settle(download)
        last_proof.remember(proven, prefix)
        return self._report("fixed", _of_others(record.others, proven))

    def _keep(self, record: journal.Journal, made: Plan) -> None:
        """Keep what is there, and look once more whether it is what the plan was made for.

        What was installed by others while the plan was made, shown and agreed to is seen in the
        facts; what they did from the moment that the files were listed, in the files. Raises
        ``Refused`` where there is such a thing.
        """
        with self._looking(self._request.model) as seen:
            record.keep()
            now = seen()
        if plan.fingerprint(now) != made.fingerprint or record.changed_by_others():
            raise Refused(
                "The environment was changed by something else while the plan was made.",
                "Try again when nothing else installs into it.",
            )

    def _apply(self, made: Plan) -> None:
        python = self._request.target.python
        for action in made.steps:
            self._stop.check()
            self._say(action.summary[0].upper() + action.summary[1:] + " …")
            if isinstance(action, Install):
                uv.install(
                    python,
                    made.requirements,
                    made.reinstall,
                    self._request.offline,
                    self._request.wheels,
                    self._say,
                    [build.name for build in made.builds],
                )
            elif isinstance(action, Remove):
                uv.remove(python, [change.name for change in action.changes], self._say)
            elif isinstance(action, EditJson):
                self._edit(action)
            elif isinstance(action, WriteProfile):
                continue  # not before a generation has run as it says
            elif isinstance(action, Download):
                downloads.place(action)
            elif isinstance(action, PutFile):
                put(action)
            elif isinstance(action, RemoveFiles):
                for path in action.paths:
                    Path(path).expanduser().unlink(missing_ok=True)
            self._applied.append(action)

    def _edit(self, action: EditJson) -> None:
        """Set a field of a model's file, or of its like in an overlay; then that is the model."""
        path = os.path.expanduser(action.path)
        text = edited(Path(path).read_text(encoding="utf-8"), action.field, action.value)
        if not model_files.writable(path):
            self._overlay = model_files.make_overlay(os.path.dirname(path))
            path = os.path.join(self._overlay, os.path.basename(path))
            self._say(f"The model's folder may not be written to; a repaired one: {self._overlay}")
        model_files.replace(path, text.encode())

    def _check_again(self, made: Plan) -> Facts:
        """Examine and prove what was applied, and return the facts. Raises ``Failed``.

        The doctor's own model answers while the environment is looked at: both take seconds where
        everything is new, and neither needs the other.
        """
        self._stop.check()
        self._say("Checking again, and proving it with a generation …")
        with self._looking(self._overlay or self._request.model) as seen:
            proof_of_ours = self._generate()
            facts = seen()
        examination = registry.examine(facts, registry.names())
        self._after = check_report(facts, examination, PlanReport(actions=()), 0.0)
        errors = remaining(examination)
        if errors:
            raise Failed(f"after the fix there is still: {errors[0]}")
        unlike = _unlike(made, facts)
        if unlike is not None:
            raise Failed(f"what is there is not what was to be installed: {unlike}")
        failure = self._judge(proof_of_ours, facts)
        if failure is not None and self._smoke and smoke.compiler_is_missing(self._smoke):
            failure = NO_COMPILER
        if failure is not None:
            raise Failed(f"the generation that was to prove it failed: {failure}")
        self._stop.check()
        self._write_profile()
        return facts

    def _with_profile(self, prefix: str) -> FixReport:
        """The report of an environment that works, once its run profile is written."""
        if self._wanted is None:
            return self._report("nothing-to-do", None)
        path = self._wanted.path
        state.made(Path(path).parent)
        record = self._open = journal.new(prefix)
        try:
            record.begin(prefix, self._wanted.summary, [], [model_files.temporary_of(path), path])
            self._write_profile()
            record.done()
            self._open = None
        except (OSError, CouldNot) as error:
            return self._back(record, str(error), "rolled-back")
        return self._report("fixed", None)

    def _write_profile(self) -> None:
        """Write the run profile that a generation has proven. Raises ``OSError``."""
        if self._wanted is not None:
            text = run_profile.to_toml(self._wanted.profile)
            model_files.replace(self._wanted.path, text.encode())
            self._applied.append(self._wanted)

    def _prove(self, facts: Facts) -> str | None:
        """Smoke the stand-in, then the real model if it is here; why it failed, or null."""
        return self._judge(self._generate(), facts)

    def _generate(self) -> SmokeReport:
        """Smoke the stand-in."""
        return smoke.run(self._request.target.python, smoke.Job(model=None, model_id=stand_in.NAME))

    def _judge(self, generation: SmokeReport, facts: Facts) -> str | None:
        """Judge the stand-in's, then smoke the real model if it is here; why it failed, or null."""
        self._smoke = msgspec.structs.replace(generation, target=target_report(facts))
        if self._smoke.device is not None:
            prefix = os.path.expanduser(facts.environment.interpreter.prefix)
            device.remember(prefix, facts.machine, self._smoke.device)
        if not self._smoke.passed:
            return failure_of(self._smoke)
        path = facts.model.path
        if path is not None and facts.model.weights_bytes:
            return self._prove_real(facts, os.path.expanduser(path))
        return None

    def _prove_real(self, facts: Facts, path: str) -> str | None:
        """Smoke the real model, as its run profile says; why it failed, or null.

        A profile that does not run is no fault of the environment: then it is tried without.
        """
        python, target = self._request.target.python, target_report(facts)
        self._say(f"Proving it with {facts.model.id} itself …")
        job = smoke.Job(model=path, model_id=facts.model.id)
        if self._wanted is not None and self._wanted.profile.model == facts.model.id:
            shaped = msgspec.structs.replace(job, profile=self._wanted.profile)
            self._real_smoke = smoke.run(python, shaped, target, watch.Unseen())
            if self._real_smoke.passed:
                self._real_smoke = readiness.judged(self._real_smoke, facts)
                return None
            self._say(f"It does not run as the profile says: {failure_of(self._real_smoke)}")
            self._wanted = None
        self._real_smoke = smoke.run(python, job, target, watch.Unseen())
        self._real_smoke = readiness.judged(self._real_smoke, facts)
        if self._real_smoke.passed:
            return None
        return f"{facts.model.id}: {failure_of(self._real_smoke)}"

    def _back(self, record: journal.Journal, reason: str, outcome: Outcome) -> FixReport:
        """Put everything back. Nothing may interrupt this; if it fails, the report says so."""
        self._stop.no_more()
        self._open = None
        uv.end_all()
        self._say(f"Going back: {reason}")
        self._after = self._overlay = None
        self._applied = []
        if record.status in (None, "preparing"):  # nothing was changed yet
            record.discard()
            return self._report(outcome, reason)
        try:
            record.take_back()
        except (OSError, CouldNot) as error:
            way_out = "Repeat: vlm-doctor undo"
            return self._report(
                "failed", f"{reason}; and the way back failed: {_words(error)}. {way_out}"
            )
        if record.left_alone:
            reason += f"; something else wrote into {record.left_alone[0]}, which is left as it is"
        if record.others:
            names = ", ".join(record.others)
            reason += f"; something else changed meanwhile, which is left as it is: {names}"
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
            model_folder=self._overlay,
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
    if not folder:
        raise Refused("--new-venv takes a folder's name, and it is empty.")
    path = Path(folder).expanduser().absolute()
    if state.unfinished(str(path)):
        with locking.lock(str(path), say):
            recover(str(path), say)
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        raise Refused(f"{folder} is there already and not empty.", "Name a folder that is not.")
    recipe = request.recipe or recipes.DEFAULT
    python, lock = _python_for(recipe)
    step = NewEnvironment(
        summary=f"make an environment at {path} with {python}", path=str(path), python=python
    )
    if request.dry_run:
        install = plan.whole(lock)
        made = Plan(actions=(step, install), fingerprint="", recipe=recipe)
        return FixReport(
            schema=SCHEMA,
            command="fix",
            tool=Tool(),
            outcome="planned",
            reason=None,
            before=None,
            plan=plan_report(made, 0, _sources(request, variables, None)),
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
    with locking.lock(str(path), say), Stop() as stop:
        record = journal.new(str(path))
        record.begin(str(path), step.summary, [str(path)])
        holds = False
        try:
            say(step.summary[0].upper() + step.summary[1:] + " …")
            uv.make_environment(python, str(path), say)
            repair = Repair(inner, variables, say, confirm, stop)
            facts = repair._look_and_ask()
            report = repair.run_held(facts, str(path))
            if report.outcome == "fixed":
                record.replaces(journal.undoable(str(path)))
                holds = True
        except (uv.InstallFailed, OSError) as error:
            reason = f"The environment could not be made: {_words(error)}"
            raise CouldNot(reason, "Nothing of it is left.") from error
        finally:
            if not holds:
                stop.no_more()
                uv.end_all()
                journal.take_back(record)
    return msgspec.structs.replace(
        report,
        applied=(step, *report.applied),
        seconds=round(time.perf_counter() - started, 3),
    )


def _python_for(recipe: str) -> tuple[str, Lock]:
    """The newest Python that is installed and that the recipe is locked for, and that lock."""
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
        lock = recipes.load_lock(recipe, f"{start}{minor}")
        if python is not None and lock is not None:
            return python, lock
    wanted = ", ".join(f"3.{minor}" for minor in minors) or "none"
    raise Refused(
        f"There is no Python here that {recipe} is locked for ({wanted}).",
        "Install one, for example: uv python install 3.12",
    )


def _unlike(made: Plan, facts: Facts) -> str | None:
    """The first distribution that is not as the plan makes it; null where all are.

    Others may have changed it; or uv could not take the old one away, and left its metadata.
    """
    there = installed(facts.environment)
    for change in made.changes:
        found = there.get(str(canonicalize_name(change.name)))
        versions = [
            item.version
            for item in facts.environment.distributions
            if found is not None
            and canonicalize_name(item.name) == canonicalize_name(found.name)
            and os.path.dirname(item.metadata) == os.path.dirname(found.metadata)
        ]
        wanted = [] if change.after is None else [change.after]
        if len(versions) != len(wanted) or not all(
            version is not None and same_version(version, after)
            for version, after in zip(versions, wanted, strict=True)
        ):
            now = " and ".join(str(version) for version in versions) or "absent"
            return f"{change.name} is {now}, not {change.after or 'absent'}"
    return None


def _of_others(others: Sequence[str], proven: Facts) -> str | None:
    """What to say of distributions that others installed while a fix was at work and holds."""
    if not others:
        return None
    seen = {f"{name} {item.version}" for name, item in installed(proven.environment).items()}
    words = f"something else changed meanwhile, which is left as it is: {', '.join(others)}"
    late = [name for name in others if name not in seen]
    return words + ("; it came after the proof: check again" if late else "")


def _models_own(failure: str, facts: Facts) -> str:
    """Why a model fails where the doctor's own of the same type runs, and what its owner can do."""
    known = facts.hub is not None and facts.hub.remote is not None
    way = (
        "its files are what the Hub has: ask its owner"
        if known
        else "hold its files against what the Hub has: vlm-doctor fix --download"
        if facts.model.found == "cache"
        else "fetch its files again (hf download)"
    )
    return f"{failure}. The doctor's own model of this type runs here, so it is the model: {way}"


def failure_of(report: SmokeReport) -> str:
    """Why a generation did not pass, in one line."""
    for stage in report.stages:
        if not stage.passed:
            return f"{stage.name}: {stage.error}"
    return (
        "the picture was not understood: "
        f"it was asked {report.prompt!r} and answered {report.answer!r}, not {report.expected!r}"
    )


def _words(error: Exception) -> str:
    """What an error says, in one line for people."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def remaining(examination: Examination) -> list[str]:
    """The errors that a repair should have mended and has not."""
    return [finding.title for finding in examination.errors() if finding.fix.automatic]


def kept(facts: Facts, made: Plan) -> tuple[list[str], list[str]]:
    """What a plan may touch: folders with all that is in them, and paths by themselves.

    The folders are those that installers write to. Paths by themselves are what the replaced
    distributions have elsewhere, by their RECORD: installers remove that too, with the folders that
    become empty by it. A package that is a link to somebody's source folder is kept there.
    """
    folders: list[str] = []
    alone: list[str] = []
    interpreter = facts.environment.interpreter
    prefix = os.path.expanduser(interpreter.prefix)
    if made.changes:
        names = [interpreter.site_packages, interpreter.platform_site_packages, interpreter.scripts]
        if interpreter.kind == "virtual":
            # Where wheels put what is neither a module nor a script.
            names += ["share", "etc", "include", "man"]
        _add(folders, (os.path.join(prefix, os.path.expanduser(name)) for name in names))
        _add(folders, [path for folder in tuple(folders) for path in _linked_packages(folder)])
        for path in _recorded(facts, made, prefix):
            if not any(_is_below(path, folder) for folder in folders):
                alone += [*reversed(_folders_below(prefix, path)), path]
    for step in made.steps:
        for path in map(os.path.expanduser, step.files()):
            if not model_files.writable(path):
                _add(folders, [model_files.overlay(os.path.dirname(path))])
                continue
            alone += [model_files.temporary_of(path)]
            if os.path.isdir(path) and not os.path.islink(path):
                _add(folders, [path])
            else:
                alone += [path]
    return folders, list(dict.fromkeys(alone))


def _add(folders: list[str], paths: Iterable[str]) -> None:
    """Add folders by their real paths, unless they are there or below one that is."""
    for path in map(os.path.realpath, paths):
        if not any(_is_below(path, folder) for folder in folders):
            folders[:] = [folder for folder in folders if not _is_below(folder, path)]
            folders.append(path)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _folders_below(prefix: str, path: str) -> list[str]:
    """The folders between a prefix and a path, the deepest first; none if it is elsewhere."""
    result = []
    parent = os.path.dirname(path)
    while _is_below(parent, prefix) and parent != prefix:
        result.append(parent)
        parent = os.path.dirname(parent)
    return result


def _linked_packages(folder: str) -> Iterator[str]:
    """The folders that links in a folder of packages lead to: an installer follows them."""
    try:
        with os.scandir(folder) as names:
            yield from [item.path for item in names if item.is_symlink() and item.is_dir()]
    except OSError:
        return


def _recorded(facts: Facts, made: Plan, prefix: str) -> Iterator[str]:
    """The real paths of all files of the distributions that a plan replaces or removes."""
    real: dict[str, str] = {}
    for folder, rows in _records(facts, made, prefix):
        for row in rows:
            parent, name = os.path.split(row[0])
            parent = os.path.join(folder, parent)
            if parent not in real:
                real[parent] = os.path.realpath(parent)
            yield os.path.join(real[parent], name)


def _records(facts: Facts, made: Plan, prefix: str) -> Iterator[tuple[str, list[list[str]]]]:
    """The rows of RECORD of each distribution that a plan replaces, and where they begin."""
    names = {change.name for change in made.changes if change.before is not None}
    for distribution in facts.environment.distributions:
        if canonicalize_name(distribution.name) in names:
            metadata = os.path.join(prefix, os.path.expanduser(distribution.metadata))
            try:
                path = os.path.join(metadata, "RECORD")
                with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
                    yield os.path.dirname(metadata), [row for row in csv.reader(file) if row]
            except (OSError, csv.Error):
                continue


def _sources(
    request: Request, variables: Mapping[str, str], prefix: str | None
) -> tuple[Source, ...]:
    """Where the packages would come from."""
    if request.wheels is not None:
        return (Source(kind="folder", location=request.wheels, setting="--wheels"),)
    if request.offline:
        return (Source(kind="cache", location=None, setting="--offline"),)
    return sources.sources(variables, Path.cwd(), prefix)


def _kept_bytes(made: Plan, facts: Facts) -> int:
    """What the replaced distributions hold, by the sizes in their own RECORD."""
    prefix = os.path.expanduser(facts.environment.interpreter.prefix)
    return sum(
        int(row[2])
        for _, rows in _records(facts, made, prefix)
        for row in rows
        if len(row) == 3 and row[2].isdigit()
    )


def recover(prefix: str, say: Progress) -> bool:
    """Put back what an interrupted fix left; whether there was one."""
    if not state.unfinished(prefix):
        journal.interrupted(prefix)  # what never came so far as to change anything is cleared away
        return False
    say("An earlier fix was interrupted; putting everything back as it was …")
    with Stop() as stop:
        stop.no_more()
        done = journal.recover(prefix)
        stop.again()
    for words in done.words():
        say(words)
    return True


def edited(text: str, field: Sequence[str], value: str) -> str:
    """A JSON object with one field set, and otherwise as it was."""
    content = json.loads(text)
    holder = content
    for name in field[:-1]:
        holder = holder[name]
    holder[field[-1]] = value
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def put(action: PutFile) -> None:
    """Do what a ``PutFile`` says. Raises ``Failed`` where the copy is not what it should be."""
    path = os.path.expanduser(action.path)
    content = (action.text or "").encode()
    if action.source is not None:
        source = Path(action.source).expanduser()
        assert action.hash is not None
        if digest(source, action.hash) != action.hash:
            raise Failed(f"{source} is no longer the copy that it was")
        content = source.read_bytes()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    model_files.replace(path, content)
