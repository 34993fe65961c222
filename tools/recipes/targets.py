"""What there is to lock: the recipes as their TOML has them, the platforms, the Pythons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tomllib
from packaging.tags import mac_platforms
from packaging.utils import canonicalize_name

from doctor.packages.recipes import UV_PLATFORMS

PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13), (3, 14))

MACOS = (14, 0)  # the oldest macOS that today's mlx has wheels for
GLIBC = (2, 35)  # the glibc that mlx's Linux wheels are built for, as UV_PLATFORMS says
# The older names of some manylinux tags, by glibc version (PEP 600).
MANYLINUX_ALIASES = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}
OLDEST_GLIBC = {"x86_64": (2, 5), "aarch64": (2, 17)}


class RecipeError(Exception):
    """The recipes cannot be made; nothing has been written."""


class NoLockError(Exception):
    """No set of wheels fits the requirements there; the message is the resolver's reason."""


@dataclass(frozen=True)
class Platform:
    """A kind of machine that locks are made for."""

    name: str
    uv_name: str  # for uv's --python-platform
    backends: tuple[str, ...]  # the MLX backend families that exist on it
    tags: tuple[str, ...]  # the platform tags of the wheels it takes, best first


@dataclass(frozen=True)
class Recipe:
    """What a recipe's TOML says, as far as the locks are concerned."""

    name: str
    requirements: tuple[str, ...]
    backends: Mapping[str, tuple[str, ...]]
    never: frozenset[str]  # canonical names that no lock may hold
    unavailable: Mapping[str, str]  # the beginning of a lock's name -> why it cannot exist


@dataclass(frozen=True)
class Target:
    """One lock to make: a recipe on one platform, with one backend, for one Python."""

    recipe: Recipe
    platform: Platform
    backend: str
    python: tuple[int, int]

    @property
    def name(self) -> str:
        """The lock's name, which is its file's name without the suffix."""
        return f"{self.platform.name}-{self.backend}-py{self.python[0]}{self.python[1]}"

    @property
    def why_unavailable(self) -> str | None:
        """The recipe's reason why this lock cannot exist, or None where one is expected."""
        for prefix, reason in self.recipe.unavailable.items():
            if f"{self.name}-".startswith(f"{prefix}-"):
                return reason
        return None


def linux_tags(machine: str) -> tuple[str, ...]:
    """The platform tags that a Linux with glibc `GLIBC` takes, best first (PEP 600)."""
    tags: list[str] = []
    for minor in range(GLIBC[1], OLDEST_GLIBC[machine][1] - 1, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if alias := MANYLINUX_ALIASES.get((2, minor)):
            tags.append(f"{alias}_{machine}")
    return tuple(tags)


PLATFORMS = (
    Platform(
        "macos-arm64",
        UV_PLATFORMS["macos-arm64"],
        ("metal",),
        tuple(mac_platforms(MACOS, "arm64")),
    ),
    Platform(
        "linux-x86_64",
        UV_PLATFORMS["linux-x86_64"],
        ("cpu", "cuda12", "cuda13"),
        linux_tags("x86_64"),
    ),
    Platform(
        "linux-aarch64",
        UV_PLATFORMS["linux-aarch64"],
        ("cpu", "cuda12", "cuda13"),
        linux_tags("aarch64"),
    ),
)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; its name must be the file's."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    if data["name"] != path.stem:
        raise RecipeError(f"{path.name} calls itself {data['name']!r}")
    return Recipe(
        name=data["name"],
        requirements=tuple(data["requirements"]),
        backends={family: tuple(extra) for family, extra in data["backends"].items()},
        never=frozenset(canonicalize_name(name) for name in data.get("never", [])),
        unavailable=dict(data.get("unavailable", {})),
    )


def targets(recipes: Iterable[Recipe]) -> Iterator[Target]:
    """Every lock that the recipes' backends call for, in a fixed order."""
    for recipe in recipes:
        for platform in PLATFORMS:
            for backend in platform.backends:
                if backend in recipe.backends:
                    for python in PYTHONS:
                        yield Target(recipe, platform, backend, python)
