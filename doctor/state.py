"""The doctor's own folders: journals and memories, run profiles, and what can be made again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from doctor.errors import Refused


def folder() -> Path:
    """Where journals are kept; ``VLM_DOCTOR_STATE`` overrides the platform's usual place."""
    override = os.environ.get("VLM_DOCTOR_STATE")
    if override:
        return Path(override).absolute()
    from platformdirs import user_state_path

    return user_state_path("vlm-doctor")


def cache() -> Path:
    """Where the doctor keeps what it can find out again; ``VLM_DOCTOR_CACHE`` overrides it."""
    override = os.environ.get("VLM_DOCTOR_CACHE")
    if override:
        return Path(override).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("vlm-doctor")


def settings() -> Path:
    """Where what people may read and change is kept; ``VLM_DOCTOR_CONFIG`` overrides it."""
    override = os.environ.get("VLM_DOCTOR_CONFIG")
    if override:
        return Path(override).absolute()
    from platformdirs import user_config_path

    return user_config_path("vlm-doctor")


def name_of(path: str) -> str:
    """A file name for something that belongs to one path."""
    return hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:16]


def of_target(prefix: str) -> Path:
    """The folder for one environment, named for people and by a hash of its real prefix."""
    real = os.path.realpath(prefix)
    # A name may have 255 bytes, and the environment's own may have them all.
    name = os.fsencode(Path(real).name)[:200].decode("utf-8", "ignore")
    return folder() / "targets" / f"{name or 'root'}-{name_of(real)}"


def remember(prefix: str, name: str, content: bytes) -> None:
    """Keep something about an environment, whole or as it was before.

    A state folder that is not writable forgets.
    """
    folder = of_target(prefix)
    temporary = folder / f"{name}.{os.getpid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(folder / name)


def targets() -> list[Path]:
    """The folders of all environments that anything is remembered of."""
    try:
        return sorted((folder() / "targets").iterdir())
    except OSError:
        return []


def unfinished(prefix: str) -> set[str]:
    """The names of the journals of an environment that have to be taken back; mostly none."""
    try:
        return set(os.listdir(of_target(prefix) / "unfinished"))
    except OSError:
        return set()


def made(folder: Path) -> Path:
    """The folder, which is made if it is not there. Raises ``Refused`` where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"The doctor's state folder cannot be made: {error.strerror}: {folder}",
            "Set VLM_DOCTOR_STATE to a folder that you may write to.",
        ) from None
    return folder
