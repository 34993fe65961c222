"""Planning: from findings to the actions that would mend them. Nothing is done here."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doctor.actions import (
    Advice,
    AnyAction,
    Build,
    Change,
    Download,
    EditJson,
    Install,
    PutFile,
    Remove,
    RemoveFiles,
)
from doctor.errors import Refused
from doctor.facts import Facts, Struct
from doctor.findings import Finding
from doctor.hub import downloads
from doctor.intents import Intent, Intents, RemoveBroken, UseRecipe
from doctor.packages import managed, recipes
from doctor.packages.managed import Refusal, Wanted
from doctor.packages.recipes import Lock
from doctor.packages.requirements import active, installed, same_version, satisfied


class Broken(Struct, frozen=True):
    """A requirement of another package that a change would no longer meet."""

    distribution: str
    requirement: str
    change: Change

    def line(self) -> str:
        """One line for people."""
        return (
            f"{self.distribution} requires {self.requirement}; "
            f"{self.change.name} would become {self.change.after or 'absent'}"
        )


class Plan(Struct, frozen=True):
    """What would be done. ``fingerprint`` tells the facts that it was made from.

    ``requirements`` are the hashed lines to install, ``reinstall`` the distributions to install
    anew, ``builds`` what is built from source (only with the user's consent), ``breaks`` what other
    packages would lose, ``replaces`` the working copies that the environment would no longer use.
    ``refusal`` is why the doctor will not do it.
    """

    actions: tuple[AnyAction, ...]
    fingerprint: str
    recipe: str | None = None
    requirements: str = ""
    reinstall: tuple[str, ...] = ()
    builds: tuple[Build, ...] = ()
    breaks: tuple[Broken, ...] = ()
    replaces: tuple[str, ...] = ()
    refusal: Refusal | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """All distributions that change."""
        return tuple(
            change
            for action in self.actions
            if isinstance(action, (Install, Remove))
            for change in action.changes
        )

    def building(self, builds: Iterable[Build]) -> Plan:
        """The same plan, with these packages built from their source rather than from wheels."""
        chosen = {build.name: build for build in builds}
        lines = []
        for line in self.requirements.splitlines():
            build = chosen.get(line.partition("==")[0])
            lines.append(f"{build.name}=={build.version} --hash={build.hash}" if build else line)
        return msgspec.structs.replace(
            self, requirements="".join(line + "\n" for line in lines), builds=tuple(chosen.values())
        )

    @property
    def downloads(self) -> tuple[Download, ...]:
        """What is fetched from the Hub."""
        return tuple(action for action in self.actions if isinstance(action, Download))

    @property
    def steps(self) -> tuple[AnyAction, ...]:
        """The actions that change something."""
        return tuple(action for action in self.actions if not isinstance(action, Advice))


def fingerprint(facts: Facts) -> str:
    """A digest of what a plan depends on: interpreter, distributions, the model's files."""
    parts = [facts.environment.interpreter.prefix, facts.environment.interpreter.version]
    parts += sorted(
        f"{distribution.name} {distribution.version} {distribution.metadata}"
        for distribution in facts.environment.distributions
    )
    parts += [facts.model.id, str(facts.model.path), str(facts.model.revision)]
    parts += [f"{file.path} {file.state}" for file in facts.model.files.values()]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def make(
    facts: Facts,
    findings: Iterable[Finding],
    recipe: str | None = None,
    force: bool = False,
    everything_anew: bool = False,
    download: bool = False,
    edited: bool = False,
) -> Plan:
    """The plan that mends these findings.

    ``recipe`` is the user's choice; ``everything_anew`` installs the whole recipe again, for an
    environment that fails for no reason that a check has found. ``download`` allows to fetch what
    the model lacks, as far as the Hub was asked, ``edited`` what its owner changed as well. Raises
    ``Refused`` where no recipe fits.
    """
    findings = list(findings)
    fetched = downloads.action(facts, findings, edited) if download else None
    surplus = downloads.surplus(facts, findings) if download else None
    moot = downloads.moot(facts, findings, fetched, surplus)
    intents: list[Intent] = []
    for finding in findings:
        if finding.ignored is None:
            fix = cast(
                "Callable[[Finding, Facts], Intents]",
                importlib.import_module(f"fixes.{finding.check}").actions,
            )
            # What a file says that is fetched anew asks for no packages.
            intents += [
                intent
                for intent in fix(finding, facts)
                if not (finding in moot and isinstance(intent, UseRecipe))
            ]
    needs_recipe = everything_anew or recipe is not None
    needs_recipe = needs_recipe or any(isinstance(intent, UseRecipe) for intent in intents)
    actions: list[AnyAction] = []
    breaks: tuple[Broken, ...] = ()
    replaces: tuple[str, ...] = ()
    refusal = None
    chosen, requirements, reinstall = None, "", set[str]()
    if needs_recipe:
        lock = choose(facts, recipe, intents, force)
        chosen = lock.recipe
        for intent in intents:
            if isinstance(intent, UseRecipe):
                reinstall |= set(intent.reinstall)
                everything_anew = everything_anew or intent.everything
        reinstall = set(lock.wheels) if everything_anew else reinstall & set(lock.wheels)
        install = _install(facts, lock, reinstall)
        wanted = _wanted(facts, lock, install, reinstall)
        names = {canonicalize_name(change.name) for change in install.changes}
        requirements = lock.requirements(set(map(str, names)))
        reinstall &= set(map(str, names))
        actions += _removals(facts, lock, intents)
        if install.changes:
            actions.append(install)
        by_conda = install.left if wanted.needed else ()
        breaks = tuple(broken_by(facts, [*_changes(actions), *by_conda]))
        replaces = tuple(_working_copies(facts, _changes(actions)))
        if wanted.changes or wanted.needed:
            actions += managed.advice(facts, wanted)
            refusal = managed.refusal(facts, wanted) or _harm(breaks, replaces)
    if surplus is not None:
        actions.append(surplus)
        intents = [intent for intent in intents if not _is_advice_to_fetch(intent, findings)]
    if fetched is not None:
        actions.append(fetched)
        intents = [intent for intent in intents if not _comes_with(fetched, intent, findings)]
    actions += [
        intent for intent in intents if isinstance(intent, (EditJson, PutFile, RemoveFiles, Advice))
    ]
    return Plan(
        actions=tuple(dict.fromkeys(actions)),
        fingerprint=fingerprint(facts),
        recipe=chosen,
        requirements=requirements,
        reinstall=tuple(sorted(reinstall)),
        breaks=breaks,
        replaces=replaces,
        refusal=refusal,
    )


def _wanted(facts: Facts, lock: Lock, install: Install, reinstall: set[str]) -> Wanted:
    """What the plan asks of the environment, for whoever else manages it."""
    recipe, place = recipes.load(lock.recipe), recipes.place_of(lock.name)
    assert recipe is not None and place is not None
    vital = managed.mains(recipe, place) | reinstall
    return Wanted(
        recipe=recipe,
        lock=lock,
        place=place,
        changes=install.changes,
        left=install.left,
        needed=frozenset(change.name for change in install.left) & vital,
        anew=frozenset(reinstall),
    )


def _harm(breaks: tuple[Broken, ...], replaces: tuple[str, ...]) -> Refusal | None:
    """Why a plan that does harm is not carried out; null where it does none."""
    harm = breaks[0].line() if breaks else next(iter(replaces), None)
    if harm is None:
        return None
    return Refusal(
        reason=f"This would break what works now: {harm}.",
        hint="Repeat with --force, or make a fresh environment: vlm-doctor fix --new-venv DIR",
        forcible=True,
    )


def _working_copies(facts: Facts, changes: Iterable[Change]) -> list[str]:
    """The editable installs that changes would replace: somebody is at work there."""
    everything = installed(facts.environment)
    found = (everything.get(change.name) for change in changes)
    return [
        f"{item.name} {item.version} is the working copy in {item.editable}, and would be replaced"
        for item in found
        if item is not None and item.editable
    ]


def _comes_with(fetched: Download, intent: Intent, findings: Iterable[Finding]) -> bool:
    """Whether a download does what this intent is about, or takes the file away under it."""
    if isinstance(intent, EditJson | PutFile):
        # A fetch has the reference name what it fetched.
        return intent.path.endswith("/refs/main") or any(
            intent.path.endswith((f"/{file.path}", file.blob)) for file in fetched.fetched
        )
    return _is_advice_to_fetch(intent, findings)


def _is_advice_to_fetch(intent: Intent, findings: Iterable[Finding]) -> bool:
    fetches = {finding.code for finding in findings if finding.fix.id == "download"}
    return isinstance(intent, Advice) and intent.code in fetches


def _changes(actions: Iterable[AnyAction]) -> list[Change]:
    return [
        change
        for action in actions
        if isinstance(action, (Install, Remove))
        for change in action.changes
    ]


def choose(
    facts: Facts, wanted: str | None, intents: Iterable[Intent] = (), force: bool = False
) -> Lock:
    """The recipe's lock for this environment.

    The default recipe, unless another installed package excludes it and the other one suits. Raises
    ``Refused`` where none fits, with what stands in the way.
    """
    if wanted is not None and recipes.load(wanted) is None:
        raise Refused(
            f"There is no recipe named {wanted}.", f"Recipes: {', '.join(recipes.names())}."
        )
    obstacles: list[str] = []
    by_conda: Lock | None = None
    for name in [wanted] if wanted is not None else recipes.names():
        lock = lock_for(facts, name)
        if lock is None:
            obstacles.append(f"{name}: {no_lock(facts, name)}")
            continue
        install = _install(facts, lock, set())
        changes = _changes([install, *_removals(facts, lock, intents)])
        blockers = broken_by(facts, changes)
        needs_conda = bool(_wanted(facts, lock, install, set()).needed)
        if force or not (blockers or needs_conda):
            return lock
        if needs_conda:
            blockers = broken_by(facts, [*changes, *install.left])
            by_conda = by_conda or (None if blockers else lock)
        if blockers:
            obstacles.append(f"{name}: {blockers[0].line()}")
    if by_conda is not None:
        return by_conda
    raise Refused(
        "No recipe fits this environment. " + "; ".join(obstacles),
        "Make a fresh environment beside it: vlm-doctor fix --new-venv DIR",
    )


def lock_for(facts: Facts, recipe: str) -> Lock | None:
    """The lock of a recipe for the target's platform, backend and Python, or null."""
    backend = recipes.backend_of(facts.environment)
    name = recipes.lock_name(facts.environment.interpreter, backend)
    return recipes.load_lock(recipe, name) if name else None


def no_lock(facts: Facts, recipe: str) -> str:
    """Why a recipe has no lock for this environment, in words."""
    interpreter = facts.environment.interpreter
    platform = recipes.platform_of(interpreter.markers)
    if platform is None:
        machine = interpreter.markers.get("platform_machine")
        return f"MLX has no wheels for {interpreter.markers.get('sys_platform')} on {machine}"
    if interpreter.macos and int(interpreter.macos.partition(".")[0]) < recipes.OLDEST_MACOS:
        return f"it needs macOS {recipes.OLDEST_MACOS} or newer, and this is {interpreter.macos}"
    name = recipes.lock_name(interpreter, recipes.backend_of(facts.environment))
    found = recipes.load(recipe)
    why = found.why_not(name) if found and name else None
    return why or f"it is not locked for Python {interpreter.version} on {platform}"


def _install(facts: Facts, lock: Lock, reinstall: set[str]) -> Install:
    """What differs from the lock, and what has to be installed anew."""
    everything = installed(facts.environment)
    counts: dict[str, int] = {}
    for distribution in facts.environment.distributions:
        name = str(canonicalize_name(distribution.name))
        counts[name] = counts.get(name, 0) + 1
    changes, left = [], []
    for name, wheel in sorted(lock.wheels.items()):
        found = everything.get(name)
        before = found.version if found else None
        same = before is not None and same_version(before, wheel.version) and counts[name] == 1
        if same and name not in reinstall:
            continue
        change = Change(name=name, before=before, after=wheel.version)
        if managed.of_conda(found):
            left.append(change)
            continue
        changes.append(change)
    return _installing(lock, changes, left)


def whole(lock: Lock) -> Install:
    """The installation of all that a lock has, where nothing is yet."""
    wheels = sorted(lock.wheels.items())
    return _installing(
        lock, [Change(name=name, before=None, after=wheel.version) for name, wheel in wheels]
    )


def _installing(lock: Lock, changes: Sequence[Change], left: Sequence[Change] = ()) -> Install:
    wheels = [lock.wheels[change.name] for change in changes]
    return Install(
        summary=f"install {len(changes)} of the {len(lock.wheels)} packages of {lock.recipe}",
        recipe=lock.recipe,
        lock=lock.name,
        changes=tuple(changes),
        download_bytes=_sum(wheel.download_bytes for wheel in wheels),
        installed_bytes=_sum(wheel.installed_bytes for wheel in wheels),
        left=tuple(left),
    )


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(size for size in known if size is not None)


def _removals(facts: Facts, lock: Lock, intents: Iterable[Intent]) -> list[Remove]:
    """Broken distributions to take away: those that the recipe does not replace."""
    everything = installed(facts.environment)
    names = {intent.name for intent in intents if isinstance(intent, RemoveBroken)}
    removals = []
    for name in sorted(names - set(lock.wheels)):
        found = everything.get(name)
        if found is None:
            continue
        removals.append(
            Remove(
                summary=f"remove {name} {found.version}, which cannot be imported as it is",
                changes=(Change(name=name, before=found.version, after=None),),
            )
        )
    return removals


def broken_by(facts: Facts, changes: Iterable[Change]) -> list[Broken]:
    """The requirements of other packages that are met now and would not be after the changes."""
    after: Mapping[str, Change] = {
        str(canonicalize_name(change.name)): change for change in changes
    }
    everything = installed(facts.environment)
    result = []
    for name, distribution in everything.items():
        if name in after:
            continue
        for requirement in active(distribution, facts.environment.interpreter.markers):
            needed = str(canonicalize_name(requirement.name))
            change = after.get(needed)
            if change is None or not _met(requirement, change.before):
                continue
            if not _met(requirement, change.after):
                result.append(
                    Broken(
                        distribution=f"{distribution.name} {distribution.version}",
                        requirement=str(requirement).partition(";")[0].strip(),
                        change=change,
                    )
                )
    return result


def _met(requirement: Requirement, version: str | None) -> bool:
    return version is not None and satisfied(requirement, version)
