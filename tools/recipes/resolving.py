"""From a recipe's requirements to one wheel a package, by uv."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import tomllib
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import BuildTag, canonicalize_name, parse_wheel_filename

from doctor.packages import uv
from tools.recipes.progress import say
from tools.recipes.targets import MACOS, NoLockError, RecipeError, Target


@dataclass(frozen=True)
class Wheel:
    """One wheel that the resolver offers; `location` is a URL or a path, and is never written."""

    name: str
    version: str
    filename: str
    location: str
    sha256: str
    download: int | None


def lock(wanted: Iterable[Target]) -> list[tuple[Target, list[Wheel]]]:
    """Resolve all targets; a lock that fails without its recipe having said so is an error."""
    locked: list[tuple[Target, list[Wheel]]] = []
    surprises: list[str] = []
    for target in wanted:
        title = f"{target.recipe.name} {target.name}"
        try:
            wheels = resolve(target)
        except NoLockError as gap:
            if target.why_unavailable is None:
                surprises.append(f"{title}: {gap}")
            say(f"{title}: none ({target.why_unavailable or gap})")
            continue
        locked.append((target, wheels))
        megabytes = sum(wheel.download or 0 for wheel in wheels) / 1e6
        say(f"{title}: {len(wheels)} packages, {megabytes:.0f} MB")
        if target.why_unavailable is not None:
            say(f"{title}: listed as unavailable, but it can be had now")
    if surprises:
        raise RecipeError(
            "these locks cannot be made, and no [unavailable] says so:\n" + "\n".join(surprises)
        )
    return locked


def uv_command(target: Target) -> list[str]:
    """The uv command that resolves a target from requirements on standard input."""
    return [
        uv.binary(),
        "pip",
        "compile",
        "-",
        "--format=pylock.toml",
        "--only-binary=:all:",
        f"--python-platform={target.platform.uv_name}",
        f"--python-version={target.python[0]}.{target.python[1]}",
        # The wheels are for another Python than ours anyway; any interpreter will do.
        f"--python={sys.executable}",
        "--no-python-downloads",
        "--no-progress",
        "--color=never",
    ]


def resolve(target: Target) -> list[Wheel]:
    """Ask uv for the wheels of a target; raise NoLockError where no set of wheels fits."""
    lines = [*target.recipe.requirements, *target.recipe.backends[target.backend]]
    done = subprocess.run(
        uv_command(target),
        input="\n".join(lines) + "\n",
        # uv takes the oldest macOS from here; its own default is older than any mlx wheel.
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": f"{MACOS[0]}.{MACOS[1]}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        if "No solution found" in done.stderr:
            raise NoLockError(resolver_reason(done.stderr))
        # A network that fails must not look like a recipe that cannot be had.
        raise RecipeError(f"uv failed on {target.recipe.name} {target.name}:\n{done.stderr}")
    # uv only warns of an extra that does not exist, and leaves its packages out.
    if "does not have an extra" in done.stderr:
        raise NoLockError(resolver_reason(done.stderr))
    return pick_wheels(done.stdout, target)


def resolver_reason(stderr: str) -> str:
    """The sentences of uv's complaint that give the cause, in one line."""
    told = [line.strip() for line in stderr.splitlines() if line.strip()]
    causes = [line for line in told if line.startswith(("cause:", "And ", "warning: The package"))]
    return " ".join(causes or told)


def python_tags(target: Target) -> list[Tag]:
    """The wheel tags that the target's CPython takes, best first (as pip orders them)."""
    interpreter = f"cp{target.python[0]}{target.python[1]}"
    platforms = target.platform.tags
    return [
        *cpython_tags(target.python, abis=[interpreter], platforms=platforms),
        *compatible_tags(target.python, interpreter, platforms),
    ]


def pick_wheels(pylock: str, target: Target) -> list[Wheel]:
    """From a PEP 751 lock, the one best wheel of each package, sorted by name."""
    rank = {tag: place for place, tag in enumerate(python_tags(target))}
    picked: list[Wheel] = []
    for package in tomllib.loads(pylock).get("packages", []):
        offered = [read_wheel(package, entry) for entry in package.get("wheels", [])]
        if not offered:
            raise NoLockError(f"{package['name']} has no wheel there")
        best = max(offered, key=lambda wheel: wheel_order(wheel, rank))
        if wheel_order(best, rank)[0] == -len(rank):
            names = ", ".join(wheel.filename for wheel in offered)
            raise NoLockError(f"no wheel of {package['name']} fits there: {names}")
        if best.name in target.recipe.never:
            raise RecipeError(f"{target.recipe.name} {target.name} would bring {best.name}")
        picked.append(best)
    return sorted(picked, key=lambda wheel: wheel.name)


def read_wheel(package: Mapping[str, Any], entry: Mapping[str, Any]) -> Wheel:
    """One wheel entry of a PEP 751 lock."""
    location = str(entry.get("url") or entry["path"])
    filename = entry.get("name") or unquote(urlsplit(location).path).rsplit("/", 1)[-1]
    return Wheel(
        name=canonicalize_name(package["name"]),
        version=package["version"],
        filename=filename,
        location=location,
        sha256=entry["hashes"]["sha256"],
        download=entry.get("size"),
    )


def wheel_order(wheel: Wheel, rank: Mapping[Tag, int]) -> tuple[int, BuildTag, str]:
    """A key by which the best wheel of a package is the greatest; -len(rank) fits nowhere."""
    _, _, build, tags = parse_wheel_filename(wheel.filename)
    place = min((rank[tag] for tag in tags if tag in rank), default=len(rank))
    return -place, build, wheel.filename
