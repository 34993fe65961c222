"""What a project says in its pyproject.toml: findings that it does not want to hear of, and why."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from doctor.errors import Refused
from doctor.registry import Ignore

MENTIONED = re.compile(r"""tool\s*\.\s*["']?vlm-doctor|^\s*\[\s*tool\s*\]""", re.MULTILINE)


def ignores(folder: Path) -> tuple[Ignore, ...]:
    """``[tool.vlm-doctor] ignore = [{code, reason}]`` of the nearest pyproject.toml upwards.

    Raises ``Refused`` where that table is not as it should be.
    """
    path = next(
        (
            candidate
            for parent in (folder, *folder.parents)
            if (candidate := parent / "pyproject.toml").is_file()
        ),
        None,
    )
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    if not MENTIONED.search(text):
        return ()  # reading TOML costs more than looking for our table
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table = tomllib.loads(text).get("tool", {}).get("vlm-doctor", {})
        return msgspec.convert(table.get("ignore", []), type=tuple[Ignore, ...])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, AttributeError) as error:
        raise Refused(f"[tool.vlm-doctor] in {path} is not as it should be: {error}.") from None
