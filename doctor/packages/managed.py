"""What belongs to somebody else: what the doctor leaves alone, and the commands to change it.

Pure functions from facts and a lock. A project's lock, conda's record and a system's packages are
not the doctor's to change: it proposes the change in the words of the tool that they belong to.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doctor.actions import Advice, Change
from doctor.facts import Distribution, Facts, Manager, Struct
from doctor.packages.recipes import Lock, Place, Recipe
from doctor.packages.requirements import installed

WAY_OUT = "Make a fresh environment beside it: vlm-doctor fix --new-venv DIR"

# Whose a Python is that is marked as managed by others.
OWNERS = {
    "homebrew": "Homebrew",
    "debian": "apt, the system's package manager",
    "uv-python": "uv, which shares it among environments",
}

# How a project's tool brings its environment to its lock, and how it changes a requirement.
SYNC = {
    "uv": "uv sync",
    "poetry": "poetry install",
    "pdm": "pdm sync",
    "pipenv": "pipenv sync",
    "pixi": "pixi install",
}
# How it installs a package anew, where it can.
ANEW = {"uv": "uv sync --reinstall-package {}", "pdm": "pdm sync --reinstall"}
ADD = {
    "uv": "uv add",
    "poetry": "poetry add",
    "pdm": "pdm add",
    "pipenv": "pipenv install",
    "pixi": "pixi add --pypi",
}


class Refusal(Struct, frozen=True):
    """Why the doctor does not do what it planned; ``forcible`` tells whether ``--force`` helps."""

    reason: str
    hint: str
    forcible: bool = False


class Wanted(Struct, frozen=True):
    """What a plan asks of an environment.

    ``changes`` are those that the doctor would make, ``left`` those that conda would have to,
    ``needed`` the names among ``left`` without which it will not run. ``anew`` are to be installed
    again though their version is right.
    """

    recipe: Recipe
    lock: Lock
    place: Place
    changes: tuple[Change, ...]
    left: tuple[Change, ...]
    needed: frozenset[str]
    anew: frozenset[str]


def mains(recipe: Recipe, place: Place) -> frozenset[str]:
    """The names of the packages that a recipe is about."""
    pins = [*recipe.requirements, *recipe.backends.get(place.backend, ())]
    return frozenset(str(canonicalize_name(Requirement(pin).name)) for pin in pins)


def of_conda(distribution: Distribution | None) -> bool:
    """Whether a distribution is conda's."""
    return distribution is not None and distribution.conda is not None


def refusal(facts: Facts, wanted: Wanted) -> Refusal | None:
    """Why the environment is not the doctor's to change, or null."""
    interpreter, manager = facts.environment.interpreter, facts.environment.manager
    if interpreter.externally_managed:
        kind = manager.kind if manager else "system"
        owner = OWNERS.get(kind, "the system's package manager")
        return Refusal(
            reason=f"{interpreter.executable} belongs to {owner} (externally managed), which would "
            "not know of a change.",
            hint=WAY_OUT,
        )
    if not interpreter.writable:
        return Refusal(
            reason=f"The environment at {interpreter.prefix} may not be written to by you.",
            hint=WAY_OUT,
        )
    if wanted.needed and not _is_project(manager):
        return Refusal(
            reason=f"{_listed(sorted(wanted.needed))} came by conda, which has to know of it.",
            hint="Let conda change it (see the plan), or make a fresh environment beside it: "
            "vlm-doctor fix --new-venv DIR",
        )
    front = _in_front(facts, wanted.changes)
    if front:
        folder, names = front
        return Refusal(
            reason=f"{_listed(names)} would still be taken from {folder}, which Python looks in "
            "before this environment.",
            hint="Take it away there (see the plan), or make a fresh environment beside it: "
            "vlm-doctor fix --new-venv DIR",
        )
    if manager is not None and _is_project(manager) and _versions(wanted):
        return Refusal(
            reason=f"The project in {manager.project or manager.source} manages this environment "
            f"with {manager.kind}: its lock says what is in it, and would bring that back.",
            hint="Change the project (see the plan), or repeat with --force to change only this "
            "environment.",
            forcible=True,
        )
    return None


def advice(facts: Facts, wanted: Wanted) -> list[Advice]:
    """What the user can tell the tools that the environment belongs to."""
    manager = facts.environment.manager
    result: list[Advice] = []
    if wanted.needed and not _is_project(manager):
        result += _to_conda(facts, wanted)
    front = _in_front(facts, wanted.changes)
    if front:
        folder, names = front
        python = shlex.quote(facts.environment.interpreter.executable)
        result.append(
            Advice(
                code="path-front",
                summary=f"take {_listed(names)} out of {folder}, which is in front",
                commands=(f"{python} -m pip uninstall {' '.join(names)}",),
            )
        )
    if manager is not None and _is_project(manager) and _versions(wanted):
        result += _to_project(manager, wanted, facts)
    elif manager is not None and manager.kind in ("pipx", "uv-tool") and wanted.changes:
        result.append(_to_tool(manager, wanted, facts))
    return result


def _is_project(manager: Manager | None) -> bool:
    """Whether a project's lock says what is in the environment."""
    return manager is not None and manager.kind in ADD


def _versions(wanted: Wanted) -> list[Change]:
    """The changes of a version: what is only installed anew is as the lock wants it."""
    needed = (change for change in wanted.left if change.name in wanted.needed)
    return [change for change in (*wanted.changes, *needed) if change.before != change.after]


def _to_conda(facts: Facts, wanted: Wanted) -> list[Advice]:
    everything = installed(facts.environment)
    prefix = shlex.quote(facts.environment.interpreter.prefix)
    python = shlex.quote(facts.environment.interpreter.executable)
    pins, names = [], []
    for change in wanted.left:
        if change.name in wanted.needed:
            name = everything[change.name].conda or change.name
            names.append(shlex.quote(name))
            pins.append(shlex.quote(f"{name}={change.after}"))
    fix = f"vlm-doctor fix --python {python}"
    anew = any(change.before == change.after for change in wanted.left)
    option = "--force-reinstall " if anew else ""
    return [
        Advice(
            code="conda",
            summary="let conda change what it installed, if its channels have these versions",
            commands=(f"conda install --prefix {prefix} {option}{' '.join(pins)}", fix),
        ),
        Advice(
            code="conda",
            summary="or take it out of conda's hands, and let vlm-doctor install it",
            commands=(f"conda remove --prefix {prefix} --force {' '.join(names)}", fix),
        ),
    ]


def _to_project(manager: Manager, wanted: Wanted, facts: Facts) -> list[Advice]:
    folder = manager.project or os.path.dirname(manager.source)
    enter = f"cd {_path(folder)}"
    versions = _versions(wanted)
    adrift = [
        change
        for change in versions
        if manager.locked.get(change.name) not in (None, change.before)
    ]
    result = []
    if adrift:
        first = adrift[0]
        result.append(
            Advice(
                code="project-lock",
                summary=f"{os.path.basename(manager.source)} is not what is installed (it has "
                f"{first.name} {manager.locked[first.name]}, here is {first.before or 'none'}"
                f"{_more(adrift)}): bring that back and check again",
                commands=(enter, SYNC[manager.kind]),
            )
        )
    damaged = sorted(
        change.name
        for change in wanted.changes
        if change.name in wanted.anew
        and change.before is not None
        and change.before == manager.locked.get(change.name)
    )
    if damaged and not adrift and manager.kind in ANEW:
        result.append(
            Advice(
                code="project-lock",
                summary=f"install {_listed(damaged)} anew, as {os.path.basename(manager.source)} "
                "has it, and check again",
                commands=(enter, *dict.fromkeys(ANEW[manager.kind].format(one) for one in damaged)),
            )
        )
    if any(manager.locked.get(change.name) != change.after for change in versions):
        result.append(
            Advice(
                code="project-requirements",
                summary=f"change what the project in {folder} requires",
                commands=(enter, f"{ADD[manager.kind]} {_quoted(_pins(wanted, facts))}"),
            )
        )
    return result


def _more(changes: list[Change]) -> str:
    return f", and so with {len(changes) - 1} more" if len(changes) > 1 else ""


def _pins(wanted: Wanted, facts: Facts) -> list[Requirement]:
    """The recipe's requirements as far as they hold here, without their markers.

    With one, a project's tool would keep the old requirement beside the new. MLX's extras name
    their platforms themselves.
    """
    extras = [Requirement(pin) for pin in wanted.recipe.backends.get(wanted.place.backend, ())]
    names = {pin.name for pin in extras}
    pins = [Requirement(pin) for pin in wanted.recipe.requirements]
    here = [pin for pin in pins if pin.name not in names and _holds(pin, facts)] + extras
    for pin in here:
        pin.marker = None
    return here


def _holds(pin: Requirement, facts: Facts) -> bool:
    try:
        return pin.marker is None or pin.marker.evaluate(
            {**facts.environment.interpreter.markers, "extra": ""}
        )
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def _to_tool(manager: Manager, wanted: Wanted, facts: Facts) -> Advice:
    """What tells a tool that installs programs of what was changed in one of its environments."""
    name = manager.name or os.path.basename(facts.environment.interpreter.prefix)
    pins = _pins(wanted, facts)
    main = [pin for pin in pins if pin.name == str(canonicalize_name(name))]
    others = [pin for pin in pins if pin not in main]
    if manager.kind == "uv-tool":
        tool, program = "uv", _quoted(main) or shlex.quote(name)
        extra = " ".join(f"--with {_quoted([pin])}" for pin in others)
        commands = [f"uv tool install --force {program} {extra}"]
    else:
        tool = "pipx"
        commands = [f"pipx install --force {_quoted(main)}"] if main else []
        commands.append(f"pipx inject --force {shlex.quote(name)} {_quoted(others)}")
    return Advice(
        code="tool-record",
        summary=f"afterwards tell {tool}, or its next upgrade or reinstall of {name} brings other "
        "versions back",
        commands=tuple(commands),
    )


def _quoted(pins: Iterable[Requirement]) -> str:
    return " ".join(shlex.quote(str(pin)) for pin in pins)


def _in_front(facts: Facts, changes: Iterable[Change]) -> tuple[str, list[str]] | None:
    """A folder that Python looks in before the environment's own, and what would be taken from it.

    Such are the user's own site folder and those of ``PYTHONPATH``.
    """
    interpreter = facts.environment.interpreter
    own = {interpreter.site_packages, interpreter.platform_site_packages}
    places = {entry.path: number for number, entry in enumerate(interpreter.search_path)}
    first = min((places[path] for path in own if path in places), default=None)
    everything = installed(facts.environment)
    found: dict[str, list[str]] = {}
    for change in changes:
        distribution = everything.get(change.name)
        if distribution is None or first is None:
            continue
        folder = os.path.dirname(distribution.metadata)
        if folder not in own and places.get(folder, first) < first:
            found.setdefault(folder, []).append(change.name)
    return next(iter(found.items()), None)


def _path(path: str) -> str:
    """A path for a shell, in which ``~`` stays the home folder."""
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")
