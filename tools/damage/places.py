"""A good model to damage, in each of the two ways in which models lie about.

``folder``: plain files. ``cache``: the Hub's cache, whose snapshot has links to blobs that are
named by their hash; an edit of a file there is an edit of its blob in place. Either with one file
of weights or with three and an index.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doctor.proving import stand_in

ID = "someone/small-model"
REVISION = "2fd8dacbdb8f1e54b8c005f081ec5bf79c56376b"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARDS = tuple(f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3))
LEFT_OUT = ("MODEL_CARD.md", "checksums.json")

Header = dict[str, Any]


class Place:
    """A model where it lies. ``base`` is a folder's path; ``cache`` tells of the layout."""

    def __init__(self, base: Path, cache: bool, sharded: bool) -> None:
        self.base = base
        self.cache = cache
        self.sharded = sharded
        self.home = base / ("models--" + ID.replace("/", "--"))
        self.blobs = self.home / "blobs"
        self.folder = self.home / "snapshots" / REVISION if cache else base / "model"
        self._make()

    @property
    def model(self) -> str:
        """What ``mlx_vlm.load`` and ``--model`` are given."""
        return ID if self.cache else str(self.folder)

    def _make(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for source in sorted(stand_in.FOLDER.iterdir()):
            if source.name not in LEFT_OUT and not (self.sharded and source.name == WEIGHTS):
                self.add(source.name, source.read_bytes())
        if self.sharded:
            self._shards()
        if self.cache:
            (self.home / "refs").mkdir()
            (self.home / "refs" / "main").write_text(REVISION)

    def _shards(self) -> None:
        header, data = split((stand_in.FOLDER / WEIGHTS).read_bytes())
        metadata = header.pop("__metadata__")
        names = sorted(header)
        third = len(names) // 3 + 1
        weight_map: dict[str, str] = {}
        for number, shard in enumerate(SHARDS):
            own = names[number * third : (number + 1) * third]
            weight_map |= dict.fromkeys(own, shard)
            tensors = {name: (header[name], piece(header[name], data)) for name in own}
            self.add(shard, packed(tensors, metadata))
        index = {"metadata": {"total_size": len(data)}, "weight_map": weight_map}
        self.add(INDEX, (json.dumps(index, indent=4) + "\n").encode())

    def add(self, name: str, data: bytes) -> None:
        """A file as a download puts it there."""
        path = self.folder / name
        if not self.cache:
            path.write_bytes(data)
            return
        blob = self.blobs / blob_name(name, data)
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(os.path.relpath(blob, path.parent))

    def path(self, name: str) -> Path:
        """The file itself: in the cache the blob, so that a change of it is one in place."""
        return (self.folder / name).resolve()

    def remove(self, name: str) -> None:
        """Take a file away; in the cache its blob, so that the link dangles."""
        self.path(name).unlink()

    def edit(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a JSON file."""
        path = self.path(name)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content, indent=1))

    def weights(self, change: Callable[[Tensors], object], name: str = WEIGHTS) -> None:
        """Change the tensors of a weights file; it is packed anew as it should be."""
        path = self.path(name)
        header, data = split(path.read_bytes())
        metadata = header.pop("__metadata__", None)
        tensors = {key: (entry, piece(entry, data)) for key, entry in header.items()}
        change(tensors)
        path.write_bytes(packed(tensors, metadata))

    def header(self, change: Callable[[Header], object], name: str = WEIGHTS) -> None:
        """Change a weights file's header alone; the data stays as it is."""
        path = self.path(name)
        header, data = split(path.read_bytes())
        change(header)
        text = json.dumps(header, separators=(",", ":")).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)


Tensors = dict[str, tuple[Header, bytes]]


def blob_name(name: str, data: bytes) -> str:
    """The Hub's name for a file: SHA-256 of a large one, git's SHA-1 of a small one."""
    if name.endswith(".safetensors") or name == "tokenizer.json":
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def split(content: bytes) -> tuple[Header, bytes]:
    """A safetensors file's header and data."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def piece(entry: Header, data: bytes) -> bytes:
    """One tensor's bytes."""
    start, end = entry["data_offsets"]
    return data[start:end]


def packed(tensors: Tensors, metadata: dict[str, str] | None) -> bytes:
    """A safetensors file of these tensors."""
    header: Header = {} if metadata is None else {"__metadata__": metadata}
    at, parts = 0, []
    for name, (entry, data) in tensors.items():
        header[name] = {**entry, "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
