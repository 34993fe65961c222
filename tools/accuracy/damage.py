"""What is done to an environment after it was installed, by name.

Files are hard links into uv's cache: none is ever written in place, only replaced.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of another, which may have other names elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    if path.exists():
        shutil.copymode(path, new)
    os.replace(new, path)


def truncate(path: Path, share: str) -> None:
    """Keep the first part of a file, as a full disk or a broken download would."""
    content = path.read_bytes()
    _replace(path, content[: int(len(content) * float(share))])


def cut_before(path: Path, text: str) -> None:
    """Keep what stands before the first appearance of a text: what is left may well parse."""
    content = path.read_bytes()
    _replace(path, content[: content.index(text.encode())])


def empty(path: Path) -> None:
    """Leave a file of no bytes."""
    _replace(path, b"")


def zeros(path: Path, share: str) -> None:
    """Fill a file with zeros from a point on, as a power failure does: its size stays."""
    content = path.read_bytes()
    start = int(len(content) * float(share))
    _replace(path, content[:start] + bytes(len(content) - start))


def delete(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def write(path: Path, text: str) -> None:
    """Write a file, new or in the place of another."""
    _replace(path, text.encode())


def append(path: Path, text: str) -> None:
    """Add to the end of a file."""
    _replace(path, path.read_bytes() + text.encode())


def substitute(path: Path, old: str, new: str) -> None:
    """Edit a file by hand: the first appearance of a text becomes another."""
    content = path.read_text(encoding="utf-8")
    if old not in content:
        raise ValueError(f"{path.name} does not contain {old!r}")
    _replace(path, content.replace(old, new, 1).encode())


def copy(path: Path, to: Path) -> None:
    """Copy a file or a folder."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, symlinks=True)
    else:
        shutil.copy2(path, to)


def move(path: Path, to: Path) -> None:
    """Move a file or a folder."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, to)


def link(path: Path, to: Path) -> None:
    """Move a file or a folder and leave a symbolic link in its place."""
    move(path, to)
    path.symlink_to(to)


def second_metadata(path: Path, version: str) -> None:
    """Add the metadata folder of another version beside the one that is there."""
    name, old, _ = re.split(r"-|\.dist-info$", path.name)
    other = path.with_name(f"{name}-{version}.dist-info")
    shutil.copytree(path, other)
    metadata = (other / "METADATA").read_text(encoding="utf-8")
    _replace(
        other / "METADATA", metadata.replace(f"Version: {old}", f"Version: {version}", 1).encode()
    )


def leftover(path: Path) -> None:
    """Leave what an interrupted pip leaves: a copy whose first letter is a tilde."""
    copy(path, path.with_name("~" + path.name[1:]))


PATHS: dict[str, tuple[Callable[..., None], int]] = {
    "truncate": (truncate, 1),
    "cut-before": (cut_before, 1),
    "empty": (empty, 1),
    "zeros": (zeros, 1),
    "delete": (delete, 1),
    "write": (write, 1),
    "append": (append, 1),
    "substitute": (substitute, 1),
    "copy": (copy, 2),
    "move": (move, 2),
    "link": (link, 2),
    "second-metadata": (second_metadata, 1),
    "leftover": (leftover, 1),
}
"""The functions by their names in the data, and how many of their arguments are paths."""


def do(words: tuple[str, ...], site: Path, extra: Path) -> None:
    """Do one damage: its name and its arguments; paths are relative to the packages' folder.

    A path may hold ``*`` and then stands for all that match. Raises ``ValueError`` where there is
    nothing to damage.
    """
    name, first, *others = words
    function, paths = PATHS[name]
    arguments = [
        _place(word, site, extra) if index < paths - 1 else _text(word, site, extra)
        for index, word in enumerate(others)
    ]
    place = _place(first, site, extra)
    targets = [place]
    if "*" in first:
        targets = sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
    if not targets:
        raise ValueError(f"{name}: there is no {first}")
    for target in targets:
        function(target, *arguments)


def _text(word: str, site: Path, extra: Path) -> str:
    return word.replace("{site}", str(site)).replace("{extra}", str(extra))


def _place(word: str, site: Path, extra: Path) -> Path:
    return site / _text(word, site, extra)
