"""How this machine would reach the Hub, seen without the network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import psutil

from doctor.facts import Hub, Model
from doctor.probes import model as model_probe

# Variables that say how the network is reached: proxies, and files of certificates.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# File systems that know no symbolic links.
LINKLESS = frozenset({"vfat", "exfat", "msdos", "fat", "fat32", "ntfs-3g", "fuseblk", "msdosfs"})


def look(model: Model, variables: Mapping[str, str]) -> Hub:
    """What can be seen without the network."""
    constants = model_probe.constants()
    own = model.path if model.found == "folder" else None
    nearest = _nearest(Path(os.path.expanduser(own or model.cache)))
    try:
        free: int | None = psutil.disk_usage(str(nearest)).free
    except OSError:
        free = None
    filesystem = _filesystem(nearest)
    places = {
        name: variables[given]
        for name in PROXIES + CERTIFICATES
        for given in (name.lower(), name)
        if variables.get(given)
    }
    endpoint = str(constants.ENDPOINT)
    return Hub(
        endpoint=None if endpoint == constants._HF_DEFAULT_ENDPOINT else public(endpoint),
        token=_has_token(variables, Path(constants.HF_TOKEN_PATH)),
        offline=bool(constants.HF_HUB_OFFLINE),
        variables={name: public(value) for name, value in places.items()},
        lost_certificates={
            name: places[name]
            for name in CERTIFICATES
            if name in places and not os.path.exists(places[name])
        },
        filesystem=filesystem,
        links=filesystem not in LINKLESS if filesystem else None,
        locked_folder=_locked(nearest, home_of(model)),
        free_bytes=free,
    )


def home_of(model: Model) -> Path | None:
    """The model's folder in the cache, whether it is there or not; null for a folder of its own."""
    if model.found == "folder":
        return None
    folder = "--".join(["models", *model.id.split("/")])
    return Path(os.path.expanduser(model.cache)) / folder


def public(address: str) -> str:
    """An address without names and passwords."""
    return re.sub(r"(?<=//)[^/@\s]*@|^[^/@\s]*:[^/@\s]*@", "", address)


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _locked(nearest: Path, home: Path | None) -> str | None:
    """The first folder on the way of a fetch that this user may not write to."""
    folders = [nearest]  # a model's own folder, or that of the cache
    if home is not None:
        folders += [nearest / ".locks", home, home / "blobs", home / "snapshots", home / "refs"]
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
    return None


def _filesystem(path: Path) -> str | None:
    """The kind of the file system that a folder lies on."""
    try:
        parts = psutil.disk_partitions(all=True)
    except OSError:
        return None
    real = os.path.realpath(path)
    best = max(
        (part for part in parts if _below(real, part.mountpoint)),
        key=lambda part: len(part.mountpoint),
        default=None,
    )
    return best.fstype.lower() or None if best else None


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _has_token(variables: Mapping[str, str], file: Path) -> bool:
    if any(variables.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")):
        return True
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
