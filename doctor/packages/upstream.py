"""What has moved at the user's index since a recipe was locked.

uv asks, with the user's own index settings: what is newer than the recipe's main pins, and which
versions of the lock were withdrawn (yanked, PEP 592) or are gone.
"""

from __future__ import annotations

import time

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from doctor.errors import CouldNot
from doctor.packages import uv
from doctor.packages.recipes import UV_PLATFORMS, Lock, Place, Recipe
from doctor.reports.recipes import GonePin, OutdatedReport, PinReport, YankedPin

# Seconds for all questions together. A warm index answers in one; uv's own time-outs and repeats
# add up to minutes where nothing answers.
TIME_LIMIT = 60.0


def ask(recipe: Recipe, lock: Lock, place: Place) -> OutdatedReport:
    """What is newer, withdrawn or gone. Raises ``CouldNot`` where the index does not answer."""
    deadline = time.monotonic() + TIME_LIMIT
    platform = UV_PLATFORMS[place.platform]
    mains = list(
        dict.fromkeys(
            str(name)
            for pin in recipe.requirements
            if (name := canonicalize_name(Requirement(pin).name)) in lock.wheels
        )
    )
    newest = uv.resolve(mains, platform, place.python, deadline)
    if not newest.versions:
        raise CouldNot(
            f"The package index has none of {', '.join(mains)}: {newest.unavailable[mains[0]]}",
            uv.INDEX_HINT,
        )
    pins = [f"{wheel.name}=={wheel.version}" for wheel in lock.wheels.values()]
    locked = uv.resolve(pins, platform, place.python, deadline)
    return OutdatedReport(
        lock=lock.name,
        pins=tuple(_pin(name, lock.wheels[name].version, newest) for name in mains),
        yanked=tuple(
            YankedPin(name=name, version=lock.wheels[name].version, reason=reason or None)
            for name, reason in sorted(locked.yanked.items())
        ),
        gone=tuple(
            GonePin(name=name, version=lock.wheels[name].version, reason=reason)
            for name, reason in sorted(locked.unavailable.items())
        ),
    )


def _pin(name: str, pinned: str, newest: uv.Resolution) -> PinReport:
    found = newest.versions.get(name)
    return PinReport(
        name=name,
        pinned=pinned,
        newest=found,
        newer=Version(found) > Version(pinned) if found is not None else None,
    )
