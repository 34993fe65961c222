"""Bringing what was written to the disk, so that it outlives a power cut."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a file, at once or not at all, and bring it and its name to the disk."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    settle(path.parent)


def settle(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(*paths: str | Path) -> None:
    """Bring everything on the file systems of these paths to the disk.

    An installer writes thousands of files; to bring each to the disk by itself takes minutes.
    """
    devices = {os.stat(path).st_dev: path for path in paths}
    for path in devices.values():
        if sys.platform == "linux":
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                    os.sync()
            finally:
                os.close(descriptor)
        else:
            os.sync()
