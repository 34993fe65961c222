"""The doctor's own folders: journals and memories in the state folder, bytecode in the cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def folder() -> Path:
    """Where journals are kept; ``VLM_DOCTOR_STATE`` overrides the platform's usual place."""
    override = os.environ.get("VLM_DOCTOR_STATE")
    if override:
        return Path(override).absolute()
    from platformdirs import user_state_path

    return user_state_path("vlm-doctor")


def bytecode() -> Path:
    """Where the doctor's children keep compiled modules, so that looking changes no target."""
    override = os.environ.get("VLM_DOCTOR_CACHE")
    if override:
        return Path(override).absolute() / "bytecode"
    from platformdirs import user_cache_path

    return user_cache_path("vlm-doctor") / "bytecode"


def of_target(prefix: str) -> Path:
    """The folder for one environment, named for people and by a hash of its real prefix."""
    real = os.path.realpath(prefix)
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return folder() / "targets" / f"{Path(real).name or 'root'}-{digest}"
