"""Write the incidents of ``checks/known`` to the one file that is read (``make incidents``)."""

from __future__ import annotations

import sys

import msgspec

from doctor.known.incidents import COMPILED, FOLDER, Incident

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def incidents() -> list[Incident]:
    """The incidents as they are written. Raises ``ValueError`` for an id that stands twice."""
    found: dict[str, Incident] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for name, fields in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if name in found:
                raise ValueError(f"{path}: the id {name} stands twice")
            found[name] = msgspec.convert({"id": name, **fields}, type=Incident)
    return list(found.values())


def text() -> bytes:
    """The incidents as the file that is read."""
    return msgspec.json.format(msgspec.json.encode(incidents()), indent=1) + b"\n"


if __name__ == "__main__":
    COMPILED.write_bytes(text())
