"""Recipes: sets of versions that were proven to work together, locked by hash.

A recipe is a readable TOML file in ``fixes/recipes``; its locks lie in ``fixes/recipes/locks``, one
for each platform, MLX backend and Python (``make recipes`` makes them). They name no index.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fixes
from doctor.facts import Environment, Interpreter, Struct
from doctor.packages.requirements import installed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(fixes.__path__[0]) / "recipes"
DEFAULT = "torch-free"

# The first macOS for which MLX has wheels since 0.30 (the tag macosx_14_0_arm64).
OLDEST_MACOS = 14

# The platforms of the locks, as uv names them. mlx's Linux wheels are built for glibc 2.35.
UV_PLATFORMS = {
    "macos-arm64": "aarch64-apple-darwin",
    "linux-x86_64": "x86_64-manylinux_2_35",
    "linux-aarch64": "aarch64-manylinux_2_35",
}

# Which distribution shows that a family of MLX's Linux backends is in use.
LINUX_BACKENDS = {"mlx-cuda-12": "cuda12", "mlx-cuda": "cuda12", "mlx-cuda-13": "cuda13"}


class Recipe(Struct, frozen=True):
    """A recipe as people read it.

    ``backends`` has what each family of MLX backends needs on top, ``unavailable`` says why some
    locks cannot exist, by the beginning of their names, and ``proven`` when a lock last ran a
    generation (a date).
    """

    name: str
    summary: str
    for_whom: str
    promises: tuple[str, ...]
    requirements: tuple[str, ...]
    backends: dict[str, tuple[str, ...]]
    locks: tuple[str, ...]
    unavailable: dict[str, str]
    proven: dict[str, str]

    def why_not(self, lock: str) -> str | None:
        """Why there can be no lock of this name, where the recipe says so."""
        return next(
            (why for start, why in self.unavailable.items() if lock.startswith(start)), None
        )


class Place(Struct, frozen=True):
    """What one lock is for: a platform, a family of MLX backends and a Python (``3.11``)."""

    platform: str
    backend: str
    python: str

    @property
    def name(self) -> str:
        """The name of the locks for it."""
        return f"{self.platform}-{self.backend}-py{self.python.replace('.', '')}"


class LockedWheel(Struct, frozen=True):
    """One wheel of a lock. The sizes are bytes, of the file and unpacked, null if not known."""

    name: str
    version: str
    hash: str
    download_bytes: int | None
    installed_bytes: int | None


class Lock(Struct, frozen=True):
    """All wheels of a recipe for one platform, backend and Python, by canonical name."""

    recipe: str
    name: str
    wheels: dict[str, LockedWheel]

    def requirements(self, names: set[str]) -> str:
        """The lines of a hashed requirements file for some of the wheels."""
        chosen = (wheel for name, wheel in sorted(self.wheels.items()) if name in names)
        return "".join(f"{wheel.name}=={wheel.version} --hash={wheel.hash}\n" for wheel in chosen)


def load(name: str) -> Recipe | None:
    """The recipe of this name, or null."""
    if name not in names():
        return None
    data: dict[str, Any] = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    locks = sorted(lock.stem for lock in (FOLDER / "locks" / name).glob("*.txt"))
    return Recipe(
        name=name,
        summary=data["summary"],
        for_whom=data["for_whom"],
        promises=tuple(data["promises"]),
        requirements=tuple(data["requirements"]),
        backends={family: tuple(pins) for family, pins in data["backends"].items()},
        locks=tuple(locks),
        unavailable=dict(data.get("unavailable", {})),
        proven={lock: proof["on"].isoformat() for lock, proof in data["verified"].items()},
    )


def names() -> list[str]:
    """All recipes, the default first."""
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(found, key=lambda name: name != DEFAULT)


def platform_of(markers: dict[str, str]) -> str | None:
    """The platform's name in the locks; null where MLX has no wheels for it."""
    system, machine = markers.get("sys_platform"), markers.get("platform_machine")
    return {
        ("darwin", "arm64"): "macos-arm64",
        ("linux", "x86_64"): "linux-x86_64",
        ("linux", "aarch64"): "linux-aarch64",
    }.get((system or "", machine or ""))


def backend_of(environment: Environment) -> str:
    """The family of MLX backends that is there and stays; ``cpu`` on Linux where there is none."""
    if environment.interpreter.markers.get("sys_platform") == "darwin":
        return "metal"
    everything = installed(environment)
    return next((family for name, family in LINUX_BACKENDS.items() if name in everything), "cpu")


def place_of(name: str) -> Place | None:
    """What a lock of this name is for; null where it is no name of a lock."""
    platform, _, rest = name.rpartition("-")[0].rpartition("-")
    python = name.rpartition("-py3")[2]
    if platform not in UV_PLATFORMS or not python.isdecimal():
        return None
    place = Place(platform=platform, backend=rest, python=f"3.{python}")
    return place if place.name == name else None


def lock_name(interpreter: Interpreter, backend: str) -> str | None:
    """The lock that fits an interpreter; null where no recipe can have one."""
    platform = platform_of(interpreter.markers)
    if platform is None or interpreter.markers.get("implementation_name") != "cpython":
        return None
    if interpreter.macos and int(interpreter.macos.partition(".")[0]) < OLDEST_MACOS:
        return None
    python = ".".join(interpreter.version.split(".")[:2])
    return Place(platform=platform, backend=backend, python=python).name


def load_lock(recipe: str, name: str) -> Lock | None:
    """A lock by its name; null where the recipe has none for that platform and Python."""
    path = FOLDER / "locks" / recipe / f"{name}.txt"
    if not path.is_file():
        return None
    sizes: dict[str, dict[str, int | None]] = json.loads((FOLDER / "sizes.json").read_text())
    wheels = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pin, _, digest = line.partition(" --hash=")
        distribution, _, version = pin.partition("==")
        size = sizes.get(digest, {})
        wheels[distribution] = LockedWheel(
            name=distribution,
            version=version,
            hash=digest,
            download_bytes=size.get("download"),
            installed_bytes=size.get("installed"),
        )
    return Lock(recipe=recipe, name=name, wheels=wheels)
