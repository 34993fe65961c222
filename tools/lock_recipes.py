"""Make the recipes' locks, sizes and extras from their readable TOML: what `make recipes` runs.

For every recipe in ``fixes/recipes/*.toml`` this writes, beside it:

- ``locks/<recipe>/<platform>-<backend>-py3XX.txt``: one wheel and one hash a package,
- ``sizes.json``: what each of those wheels weighs, to download and installed, in bytes,
- ``<recipe>.requirements.txt``: the pins that the extra ``vlm-doctor[<recipe>]`` installs.

uv resolves, with the index settings of whoever runs this; nothing of them is written down. All
is made aside first and put in place at the end, so a failure leaves the old files as they were.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import tomllib
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import BuildTag, canonicalize_name, parse_wheel_filename

RECIPES = Path(__file__).resolve().parent.parent / "fixes" / "recipes"
PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13), (3, 14))

MACOS = (14, 0)  # the oldest macOS that today's mlx has wheels for
GLIBC = (2, 35)  # the glibc that mlx's Linux wheels are built for
# The older names of some manylinux tags, by glibc version (PEP 600).
MANYLINUX_ALIASES = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}
OLDEST_GLIBC = {"x86_64": (2, 5), "aarch64": (2, 17)}

# Where an extra of vlm-doctor installs a backend without being asked. CUDA is the user's choice.
EXTRA_MARKERS = {"metal": 'sys_platform == "darwin"', "cpu": 'sys_platform == "linux"'}

TAIL_BYTES = 1 << 17  # holds the whole directory of most wheels, so one request is enough
WHOLE_BYTES = 60_000_000  # the largest wheel fetched whole, where the server knows no ranges
NETWORK_TRIES = 3


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
class Wheel:
    """One wheel that the resolver offers; `location` is a URL or a path, and is never written."""

    name: str
    version: str
    filename: str
    location: str
    sha256: str
    download: int | None


@dataclass(frozen=True)
class Size:
    """Bytes to fetch and bytes on disk; None where the index does not let us know."""

    download: int | None
    installed: int | None


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


# --- What there is to lock ------------------------------------------------------------------


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
        "aarch64-apple-darwin",
        ("metal",),
        tuple(mac_platforms(MACOS, "arm64")),
    ),
    Platform(
        "linux-x86_64",
        f"x86_64-manylinux_{GLIBC[0]}_{GLIBC[1]}",
        ("cpu", "cuda12", "cuda13"),
        linux_tags("x86_64"),
    ),
    Platform(
        "linux-aarch64",
        f"aarch64-manylinux_{GLIBC[0]}_{GLIBC[1]}",
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


# --- Resolving ------------------------------------------------------------------------------


def uv_command(target: Target, uv: str) -> list[str]:
    """The uv command that resolves a target from requirements on standard input."""
    return [
        uv,
        "pip",
        "compile",
        "-",
        "--format=pylock.toml",
        "--only-binary=:all:",
        f"--python-platform={target.platform.uv_name}",
        f"--python-version={target.python[0]}.{target.python[1]}",
        # The wheels are for another Python than ours anyway; any interpreter will do.
        "--no-python-downloads",
        "--no-progress",
        "--color=never",
    ]


def resolve(target: Target, uv: str) -> list[Wheel]:
    """Ask uv for the wheels of a target; raise NoLockError where no set of wheels fits."""
    lines = [*target.recipe.requirements, *target.recipe.backends[target.backend]]
    done = subprocess.run(
        uv_command(target, uv),
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


# --- Sizes ----------------------------------------------------------------------------------


class RemoteFile(io.RawIOBase):
    """A file behind a URL, read by HTTP ranges; its tail is fetched once, when it is opened.

    Raises NotImplementedError where the server answers a range with something else.
    """

    def __init__(self, url: str) -> None:
        """Fetch the tail, and with it the length of the whole file."""
        super().__init__()
        self._url = url
        self._position = 0
        self._tail, total = self._fetch(f"bytes=-{TAIL_BYTES}")
        self.total = total

    def _fetch(self, wanted: str) -> tuple[bytes, int]:
        """The bytes of a range and the length of the whole file."""
        headers = {"Range": wanted, "Accept-Encoding": "identity"}
        with urllib.request.urlopen(urllib.request.Request(self._url, headers=headers)) as answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                raise NotImplementedError("the server knows no ranges")
            return answer.read(), int(answer.headers["Content-Range"].rpartition("/")[2])

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, without any request, and return the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.total}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read from the tail where it reaches, else by one request."""
        start = self._position
        end = self.total if size is None or size < 0 else min(self.total, start + size)
        if end <= start:
            return b""
        tail_start = self.total - len(self._tail)
        if start >= tail_start:
            data = self._tail[start - tail_start : end - tail_start]
        else:
            data = self._fetch(f"bytes={start}-{end - 1}")[0]
        self._position += len(data)
        return data


def installed_bytes(archive: IO[bytes] | RemoteFile) -> int:
    """The uncompressed bytes of a wheel's files, from the zip's central directory."""
    with zipfile.ZipFile(archive) as opened:
        return sum(info.file_size for info in opened.infolist())


def measure(wheel: Wheel) -> Size:
    """What a wheel weighs, read without fetching it where the server knows ranges."""
    scheme = urlsplit(wheel.location).scheme
    if scheme in ("", "file"):
        path = Path(url2pathname(urlsplit(wheel.location).path) if scheme else wheel.location)
        with path.open("rb") as local:
            return Size(path.stat().st_size, installed_bytes(local))
    try:
        remote = RemoteFile(wheel.location)
        return Size(remote.total, installed_bytes(remote))
    except NotImplementedError:
        if wheel.download is None or wheel.download > WHOLE_BYTES:
            return Size(wheel.download, None)
        with urllib.request.urlopen(wheel.location) as answer:
            return Size(wheel.download, installed_bytes(io.BytesIO(answer.read())))


def measure_patiently(wheel: Wheel) -> Size:
    """Measure a wheel; after some failures of the network, settle for what the index said."""
    for attempt in range(NETWORK_TRIES):
        try:
            return measure(wheel)
        except (OSError, zipfile.BadZipFile) as error:
            problem = error
            time.sleep(attempt)
    say(f"size of {wheel.filename} not known: {problem}")
    return Size(wheel.download, None)


def measure_all(wheels: Iterable[Wheel], known: Mapping[str, Size]) -> dict[str, Size]:
    """Sizes by sha256; what is known of a hash stays true, so only the others are asked for."""
    by_hash = {wheel.sha256: wheel for wheel in wheels}
    new = [
        wheel
        for sha256, wheel in by_hash.items()
        if sha256 not in known or known[sha256].installed is None
    ]
    say(f"sizes: {len(by_hash)} wheels, {len(new)} to measure")
    with ThreadPoolExecutor(8) as pool:
        measured = zip(new, pool.map(measure_patiently, new), strict=True)
        found = {wheel.sha256: size for wheel, size in measured}
    return {sha256: found.get(sha256) or known[sha256] for sha256 in by_hash}


def read_sizes(path: Path) -> dict[str, Size]:
    """The sizes in a sizes.json, by sha256; none where there is no such file yet."""
    if not path.exists():
        return {}
    data = json.loads(path.read_text(encoding="utf-8"))
    return {
        key.removeprefix("sha256:"): Size(size["download"], size["installed"])
        for key, size in data.items()
    }


# --- What is written ------------------------------------------------------------------------


def lock_text(target: Target, wheels: Sequence[Wheel]) -> str:
    """A lock: a line that says where it comes from, then one pinned, hashed package a line."""
    needs = f"macOS {MACOS[0]}" if target.backend == "metal" else f"glibc {GLIBC[0]}.{GLIBC[1]}"
    lines = [
        f"# Generated by `make recipes` from fixes/recipes/{target.recipe.name}.toml for "
        f"{target.platform.name} ({needs} or newer), {target.backend}, "
        f"Python {target.python[0]}.{target.python[1]}; do not edit.",
        *(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in wheels),
    ]
    return "\n".join(lines) + "\n"


def sizes_text(sizes: Mapping[str, Size]) -> str:
    """sizes.json: one wheel a line, sorted by hash, so that a change shows as its own line."""
    lines = [
        f'"sha256:{sha256}": '
        + json.dumps({"download": size.download, "installed": size.installed})
        for sha256, size in sorted(sizes.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def extra_text(recipe: Recipe) -> str:
    """The pins of a recipe as requirements with markers, for setuptools to read as an extra."""
    lines = [str(Requirement(line)) for line in recipe.requirements]
    for family, marker in EXTRA_MARKERS.items():
        lines += [only_where(line, marker) for line in recipe.backends.get(family, ())]
    header = f"# Generated by `make recipes` from fixes/recipes/{recipe.name}.toml; do not edit."
    return "\n".join([header, *lines]) + "\n"


def only_where(line: str, marker: str) -> str:
    """A requirement narrowed by one more marker."""
    requirement = Requirement(line)
    both = f"({requirement.marker}) and ({marker})" if requirement.marker else marker
    requirement.marker = Marker(both)
    return str(requirement)


def publish(texts: Mapping[Path, str], recipes: Path) -> None:
    """Put the texts in place under `recipes` and drop the locks that are no longer made.

    All are written aside on the same disk first; what follows are renames only.
    """
    with tempfile.TemporaryDirectory(prefix=".recipes-", dir=recipes) as aside:
        for relative, text in texts.items():
            made = Path(aside, relative)
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(text, encoding="utf-8", newline="\n")
        for relative in texts:
            (recipes / relative).parent.mkdir(parents=True, exist_ok=True)
            Path(aside, relative).replace(recipes / relative)
    for old in recipes.glob("locks/*/*.txt"):
        if old.relative_to(recipes) not in texts:
            old.unlink()


# --- The program ----------------------------------------------------------------------------


def say(line: str) -> None:
    """One line of progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def find_uv() -> str:
    """The uv beside this Python, else the one on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("uv", path=places)
    if found is None:
        raise RecipeError("there is no uv here: pip install uv")
    return found


def lock(wanted: Iterable[Target], uv: str) -> list[tuple[Target, list[Wheel]]]:
    """Resolve all targets; a lock that fails without its recipe having said so is an error."""
    locked: list[tuple[Target, list[Wheel]]] = []
    surprises: list[str] = []
    for target in wanted:
        title = f"{target.recipe.name} {target.name}"
        try:
            wheels = resolve(target, uv)
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


def make(recipes: Path, uv: str) -> None:
    """Make every lock, the sizes and the extras of the recipes in a folder anew."""
    read = [read_recipe(path) for path in sorted(recipes.glob("*.toml"))]
    locked = lock(targets(read), uv)
    every_wheel = [wheel for _, wheels in locked for wheel in wheels]
    sizes = measure_all(every_wheel, read_sizes(recipes / "sizes.json"))
    texts = {
        Path("locks", target.recipe.name, f"{target.name}.txt"): lock_text(target, wheels)
        for target, wheels in locked
    }
    texts[Path("sizes.json")] = sizes_text(sizes)
    for recipe in read:
        texts[Path(f"{recipe.name}.requirements.txt")] = extra_text(recipe)
    publish(texts, recipes)
    unknown = sum(size.installed is None for size in sizes.values())
    say(f"{len(locked)} locks of {len(read)} recipes; {unknown} wheels of unknown installed size")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; 0 when all was made, 1 when nothing was changed and why is on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="the folder with the TOML")
    options = parser.parse_args(arguments)
    try:
        make(options.recipes, find_uv())
    except RecipeError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
