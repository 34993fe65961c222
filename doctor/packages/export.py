"""A recipe as a file that other tools read: requirements, pyproject dependencies, conda."""

from __future__ import annotations

import json
from collections.abc import Callable

from packaging.markers import Marker
from packaging.requirements import Requirement

from doctor import __version__
from doctor.packages.recipes import Lock, Place, Recipe

# The oldest pip that was seen to take a whole lock with hashes and without ``--no-deps``, as conda
# gives it one: pip 23.2 refuses, since some of the packages require others with extras.
OLDEST_PIP = "24.0"

# Where a backend of Linux is wanted, as a marker.
ON_LINUX = 'sys_platform == "linux"'


def requirements(recipe: Recipe, lock: Lock, place: Place) -> str:
    """Every package of the lock with its hash, for pip and uv with ``--require-hashes``."""
    how = "# uv pip install --no-deps --require-hashes -r FILE (pip understands the same options)\n"
    return _heading(recipe, place) + how + lock.requirements(set(lock.wheels))


def pyproject(recipe: Recipe, lock: Lock, place: Place) -> str:
    """The recipe's main pins as the ``dependencies`` of a ``[project]`` table."""
    pins = [Requirement(pin) for pin in recipe.requirements]
    for pin in recipe.backends.get(place.backend, ()):
        backend = Requirement(pin)
        backend.marker = Marker(
            f"({backend.marker}) and {ON_LINUX}" if backend.marker else ON_LINUX
        )
        pins.append(backend)
    # Markers hold double quotes; TOML's strings are easier to read with single ones in them.
    lines = "".join(f"  {json.dumps(str(pin).replace(chr(34), chr(39)))},\n" for pin in pins)
    return f"{_heading(recipe, place)}dependencies = [\n{lines}]\n"


def conda(recipe: Recipe, lock: Lock, place: Place) -> str:
    """An ``environment.yml``: Python and pip by conda, the whole lock with its hashes by pip.

    It names no channel: the user's own settings apply.
    """
    pins = lock.requirements(set(lock.wheels)).splitlines()
    return (
        f"{_heading(recipe, place)}name: vlm-{recipe.name}\n"
        f"dependencies:\n  - python={place.python}\n  - pip>={OLDEST_PIP}\n  - pip:\n"
        + "".join(f"      - {json.dumps(pin)}\n" for pin in pins)
    )


def _heading(recipe: Recipe, place: Place) -> str:
    return (
        f"# The recipe {recipe.name} of vlm-doctor {__version__} for {place.platform} "
        f"({place.backend}), Python {place.python}: {recipe.summary}.\n"
    )


FORMATS: dict[str, Callable[[Recipe, Lock, Place], str]] = {
    "requirements": requirements,
    "pyproject": pyproject,
    "conda": conda,
}
