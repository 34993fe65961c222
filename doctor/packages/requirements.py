"""Requirements among installed distributions, evaluated with packaging."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ParamSpec, TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from doctor.facts import Distribution, Environment, Struct

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

# What a generation with pictures starts from. The rest is on the way because these require it.
ROOTS = ("mlx-vlm",)


class Unmet(Struct, frozen=True):
    """A requirement that the installed set does not meet: ``by`` requires it of ``name``."""

    by: Distribution
    name: str
    requirement: str


def _of_the_last(function: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
    """A function that remembers its last answer: all checks ask about the same environment.

    Nobody changes what it gives. An environment is the same one only where it is that very object.
    """
    last: list[tuple[tuple[object, ...], Answer]] = []

    @functools.wraps(function)
    def remembering(*asked: Asked.args, **named: Asked.kwargs) -> Answer:
        about = (*asked, *named.values())
        for before, answer in last:
            if len(before) == len(about) and all(map(operator.is_, before, about)):
                return answer
        answer = function(*asked, **named)
        last[:] = [(about, answer)]
        return answer

    return remembering


@_of_the_last
def installed(environment: Environment) -> Mapping[str, Distribution]:
    """The distributions by canonical name; of duplicates the one that Python reads."""
    result: dict[str, Distribution] = {}
    for distribution in environment.distributions:
        result.setdefault(canonicalize_name(distribution.name), distribution)
    return result


def active(
    distribution: Distribution, markers: Mapping[str, str], extras: frozenset[str] = frozenset()
) -> Iterator[Requirement]:
    """The requirements of a distribution that hold here, for these extras of it.

    What its author wrote so that no tool can read it requires nothing.
    """
    for text in _asked_for(distribution.requires, extras):
        try:
            requirement = _read(text)
            marker = requirement.marker
            if marker is None or any(
                marker.evaluate({**markers, "extra": extra}) for extra in (extras or {""})
            ):
                yield requirement
        except ValueError:  # packaging's errors are such, and Python's for too long a number
            continue


@functools.lru_cache(maxsize=20_000)
def _asked_for(requires: tuple[str, ...], extras: frozenset[str]) -> tuple[str, ...]:
    """Requirements without those that hold only for extras which nobody asked for.

    Reading the markers of those would cost most of the time. Many environments have the same.
    """
    kept = []
    for text in requires:
        marker = text.partition(";")[2]
        on_extra = "extra" in marker and " or " not in marker
        if not on_extra or any(
            canonicalize_name(extra) in canonicalize_name(marker) for extra in extras
        ):
            kept.append(text)
    return tuple(kept)


# The user and the password in a requirement's address are for nobody's eyes.
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")


@functools.lru_cache(maxsize=50_000)
def _read(text: str) -> Requirement:
    """A requirement, read once: checks ask again, and many environments have the same packages.

    Nobody changes it. Raises ``InvalidRequirement``, a ``ValueError``.
    """
    return Requirement(text)


def satisfied(requirement: Requirement, version: str | None) -> bool:
    """Whether a version meets a requirement; a pre-release that is installed counts.

    A version that is no version meets only a requirement without a specifier. Numbers that are too
    long to be compared meet none.
    """
    if not requirement.specifier:
        return True
    try:
        return version is not None and requirement.specifier.contains(
            Version(version), prereleases=True
        )
    except ValueError:
        return False


def same_version(one: str, other: str) -> bool:
    """Whether two versions are one; a local label (a build of one's own) makes another of it.

    What is no version is compared as text.
    """
    try:
        return Version(one) == Version(other)
    except ValueError:
        return one == other


@_of_the_last
def on_the_way(
    environment: Environment, roots: tuple[str, ...] = ROOTS
) -> tuple[Mapping[str, Distribution], Sequence[Unmet]]:
    """The distributions that the roots need, directly or not, and the requirements not met."""
    everything = installed(environment)
    markers = environment.interpreter.markers
    reached: dict[str, Distribution] = {}
    unmet: list[Unmet] = []
    seen: set[tuple[str, frozenset[str]]] = set()
    queue: list[tuple[str, frozenset[str]]] = [(root, frozenset()) for root in roots]
    while queue:
        name, extras = queue.pop(0)
        if (name, extras) in seen or name not in everything:
            continue
        seen.add((name, extras))
        distribution = reached[name] = everything[name]
        for requirement in active(distribution, markers, extras):
            needed = canonicalize_name(requirement.name)
            found = everything.get(needed)
            if found is None or not satisfied(requirement, found.version):
                failure = Unmet(
                    by=distribution,
                    name=str(needed),
                    requirement=_LOGIN.sub("", str(requirement).partition(";")[0].strip()),
                )
                if failure not in unmet:
                    unmet.append(failure)
            queue.append((needed, frozenset(requirement.extras)))
    return reached, unmet
