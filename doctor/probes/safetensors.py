"""Weights by their headers: which tensors a safetensors file has, and whether it can have them.

The format: eight bytes with the header's length (little-endian), the header (JSON: each tensor's
``dtype``, ``shape`` and ``data_offsets`` in bytes from the header's end), the data. Source:
https://github.com/huggingface/safetensors, "Format". Only the headers are read, so that a file of
many gigabytes costs as much as a small one.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from doctor.facts import Conflict, FileState, TensorGroup, Weights, WeightsFile, WeightsIndex
from doctor.tensors import BITS

INDEX = "model.safetensors.index.json"

# The format's own limit for a header (safetensors, ``MAX_HEADER_SIZE``).
MOST_HEADER_BYTES = 100_000_000
# The index of the largest models has 20 MB.
MOST_INDEX_BYTES = 50_000_000
# More files or groups would make facts of megabytes; the largest models have 200 shards.
MOST_FILES = 512
MOST_GROUPS = 6000

# mlx/io/safetensors.cpp, ``dtype_from_safetensor_str``; mlx-vlm reads the 8-bit floats as bytes.
LOADED = {*BITS} - {"F4", "F6_E2M3", "F6_E3M2"}

_POINTER = b"version https://git-lfs"
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


class _Entry(msgspec.Struct):
    """One tensor of a header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def look(folder: Path) -> Weights:
    """The weights of a model's folder."""
    names = sorted(name for name in _names(folder) if name.endswith(".safetensors"))
    # An index may name shards in other folders, which no pattern finds.
    names += [name for name in _shards(folder) if "/" in name and (folder / name).is_file()]
    files: list[WeightsFile] = []
    where: dict[str, str] = {}
    twice: dict[tuple[str, str], list[str]] = {}
    left = MOST_GROUPS
    for name in names[:MOST_FILES]:
        file, tensors = _file(folder / name, name)
        for tensor in tensors:
            if tensor in where:
                twice.setdefault((where[tensor], name), []).append(tensor)
            where[tensor] = name
        groups = file.groups[:left]
        left -= len(groups)
        files.append(msgspec.structs.replace(file, groups=groups))
    too_many = None
    if len(names) > MOST_FILES:
        too_many = f"{len(names)} files of weights"
    elif left == 0:
        too_many = f"more than {MOST_GROUPS} kinds of tensors"
    return Weights(
        files=tuple(files),
        index=_index(folder, names, where),
        too_many=too_many,
        conflicts=tuple(_conflicts(folder, twice)),
    )


# Bytes that are compared at the beginning, in the middle and at the end of a tensor.
SAMPLE = 256
MOST_COMPARED = 2000


def _conflicts(folder: Path, twice: dict[tuple[str, str], list[str]]) -> Iterator[Conflict]:
    """Pairs of files that have other contents for the same tensor, by samples of it."""
    for (one, other), tensors in twice.items():
        try:
            with (folder / one).open("rb") as first, (folder / other).open("rb") as second:
                heads = _places(first), _places(second)
                different = [
                    tensor
                    for tensor in tensors[:MOST_COMPARED]
                    if list(_samples(first, *heads[0], tensor))
                    != list(_samples(second, *heads[1], tensor))
                ]
        except (OSError, msgspec.DecodeError, KeyError):
            continue  # it changed since its header was read
        if different:
            yield Conflict(files=(one, other), tensors=tuple(different[:20]), count=len(different))


def _places(stream: BinaryIO) -> tuple[int, dict[str, _Entry]]:
    """Where a file's data begin, and its tensors."""
    (length,) = struct.unpack("<Q", stream.read(8))
    entries = msgspec.json.decode(stream.read(length).rstrip(b" \0"), type=dict[str, msgspec.Raw])
    entries.pop("__metadata__", None)
    return 8 + length, {
        name: msgspec.json.decode(entry, type=_Entry) for name, entry in entries.items()
    }


def _samples(
    stream: BinaryIO, start: int, tensors: dict[str, _Entry], name: str
) -> Iterator[object]:
    entry = tensors[name]
    first, last = entry.data_offsets
    yield entry.dtype, entry.shape
    for place in (first, (first + last) // 2, max(first, last - SAMPLE)):
        stream.seek(start + place)
        yield stream.read(min(SAMPLE, last - place))


def _shards(folder: Path) -> list[str]:
    """The files that the index names, if it can be read at all."""
    try:
        with (folder / INDEX).open("rb") as stream:
            regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            content = msgspec.json.decode(stream.read(MOST_INDEX_BYTES)) if regular else None
    except (OSError, msgspec.DecodeError, RecursionError):
        return []  # told of where the index itself is looked at
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    shards = weight_map.values() if isinstance(weight_map, dict) else ()
    return sorted({shard for shard in shards if isinstance(shard, str)})


def _names(folder: Path) -> list[str]:
    """What a pattern ``*.safetensors`` finds: nothing that begins with a dot."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []


def _file(path: Path, name: str) -> tuple[WeightsFile, list[str]]:
    """A file and the names of its tensors."""

    def wrong(kind: str, problem: str, size: int | None) -> tuple[WeightsFile, list[str]]:
        return WeightsFile(name=name, bytes=size, tensors=None, kind=kind, problem=problem), []

    try:
        status = path.stat()
    except OSError as error:
        kind = "absent" if isinstance(error, FileNotFoundError) else "unreadable"
        return wrong(kind, os.strerror(error.errno or 0), None)
    if not stat.S_ISREG(status.st_mode):
        return wrong("unreadable", "not a regular file", None)
    size = status.st_size
    try:
        with path.open("rb") as stream:
            start = stream.read(256)
            if start.startswith(_POINTER):
                return wrong("pointer", "it is the pointer that git leaves without git-lfs", size)
            if start.lstrip()[:1] == b"<":
                return wrong("text", "it is a web page, not weights", size)
            if size < 8:
                return wrong("empty" if size == 0 else "cut", f"it has {size} bytes", size)
            (length,) = struct.unpack("<Q", start[:8])
            if length > MOST_HEADER_BYTES:
                return wrong("header", "what it begins with is no header's length", size)
            if 8 + length > size:
                return wrong("cut", f"its header has {length} bytes, the file {size}", size)
            stream.seek(8)
            text = stream.read(length)
    except OSError as error:
        return wrong("unreadable", os.strerror(error.errno or 0), None)
    try:
        entries = msgspec.json.decode(text.rstrip(b" \0"), type=dict[str, msgspec.Raw])
        entries.pop("__metadata__", None)
        tensors = {key: msgspec.json.decode(entry, type=_Entry) for key, entry in entries.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return wrong("header", f"its header cannot be read: {error}", size)
    wrong_kind, why = _layout(tensors, size - 8 - length)
    if wrong_kind == "rest" and length % 8:
        # Those who write the format end the header where eight bytes do; so it is read wrongly.
        wrong_kind, why = "header", "its header is longer or shorter than it says"
    return WeightsFile(
        name=name,
        bytes=size,
        tensors=len(tensors),
        kind=wrong_kind,
        problem=why,
        groups=_groups(tensors),
    ), list(tensors)


def _layout(tensors: dict[str, _Entry], size: int) -> tuple[str | None, str | None]:
    """What is wrong with how the tensors share the data, the worst first."""
    end = covered = 0
    for name, entry in tensors.items():
        bits = BITS.get(entry.dtype)
        if bits is None or entry.dtype not in LOADED:
            return "dtype", f"{name} is of type {entry.dtype}, which MLX does not load"
        first, last = entry.data_offsets
        count = 1
        for length in entry.shape:
            count *= length
        if not 0 <= first <= last or min(entry.shape, default=0) < 0:
            return "entry", f"{name} has impossible places or lengths"
        if last - first != count * bits // 8:
            return (
                "entry",
                f"{name} has {last - first} bytes, and its shape asks for {count * bits // 8}",
            )
        end = max(end, last)
        covered += last - first
    if end > size:
        return "cut", f"{end - size} bytes of its tensors are not there"
    if covered > end:
        return "entry", "its tensors overlap"
    if end < size or covered < end:
        return "rest", f"{size - covered} bytes belong to no tensor"
    return None, None


def _groups(tensors: dict[str, _Entry]) -> tuple[TensorGroup, ...]:
    found: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for name, entry in tensors.items():
        number = _NUMBER.search(name)
        pattern = name if number is None else name[: number.start()] + "*" + name[number.end() :]
        numbers = found.setdefault((pattern, entry.dtype, tuple(entry.shape)), [])
        if number is not None:
            numbers.append(int(number.group()))
    return tuple(
        TensorGroup(pattern=pattern, dtype=dtype, shape=shape, numbers=ranges(numbers))
        for (pattern, dtype, shape), numbers in found.items()
    )


def ranges(numbers: list[int]) -> str:
    """Numbers in few words: ``0-2,5``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _index(folder: Path, names: list[str], where: dict[str, str]) -> WeightsIndex | None:
    """The index, held against the files and the tensors that are there."""

    def unusable(state: FileState, problem: str) -> WeightsIndex:
        return WeightsIndex(state=state, problem=problem)

    path = folder / INDEX
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return unusable("unreadable", "not a regular file")
        with path.open("rb") as stream:
            data = stream.read(MOST_INDEX_BYTES + 1)
    except FileNotFoundError:
        return unusable("missing", "its link points to nothing") if path.is_symlink() else None
    except OSError as error:
        return unusable("unreadable", os.strerror(error.errno or 0))
    if len(data) > MOST_INDEX_BYTES:
        return unusable("too-large", f"larger than {MOST_INDEX_BYTES // 1_000_000} MB")
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return unusable("broken", str(error) if data.strip() else "empty")
    if not isinstance(content, dict):
        return unusable("not-an-object", "JSON, but not an object")
    weight_map = content.get("weight_map", {})
    if not isinstance(weight_map, dict) or not all(
        isinstance(shard, str) for shard in weight_map.values()
    ):
        return unusable("not-an-object", "it has no weight_map of names to files")
    shards = sorted(set(weight_map.values()))
    there = {shard for shard in shards if shard in names or (folder / shard).is_file()}
    listed = {name for name, file in where.items() if file in there and name not in weight_map}
    unfound = [name for name, shard in weight_map.items() if shard in names and name not in where]
    return WeightsIndex(
        state="ok",
        problem=None,
        shards=tuple(shards[:MOST_FILES]),
        absent=tuple(shard for shard in shards if shard not in there)[:MOST_FILES],
        unlisted=len(listed),
        misplaced=sum(
            where[name] != shard
            for name, shard in weight_map.items()
            if name in where and shard in there
        ),
        unfound=len(unfound),
        example=unfound[0] if unfound else None,
        tops=tuple(sorted({name.partition(".")[0] for name in weight_map}))[:100],
    )
