"""The last proof: what a generation was last proven on, and what of it has changed since."""

from __future__ import annotations

import datetime
import hashlib
import json

import msgspec

from doctor import state
from doctor.facts import Facts
from doctor.packages.requirements import installed
from doctor.reports.check import Proof

NAME = "proof.json"


def remember(facts: Facts, prefix: str) -> None:
    """Write down that these facts were proven now. A state folder that is not writable forgets."""
    text = json.dumps(
        {
            "proven_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "python": facts.environment.interpreter.version,
            "versions": _versions(facts),
            "model": _model(facts),
            "damaged": _damaged(facts),
            "newest_file_ns": facts.environment.newest_file_ns,
        }
    )
    state.remember(prefix, NAME, text.encode())


def recall(facts: Facts, prefix: str) -> Proof | None:
    """The last proof against these facts, or null where there never was one."""
    try:
        proof = json.loads((state.of_target(prefix) / NAME).read_bytes())
        before, proven_at = dict(proof["versions"]), str(proof["proven_at"])
        before["Python"] = str(proof["python"])
        was_damaged = dict(proof.get("damaged", {}))
        # A clock that was wrong may have left files from the future.
        proven = datetime.datetime.fromisoformat(proven_at).timestamp()
        newest = max(int(proof.get("newest_file_ns") or 0), int(proven * 1e9))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    now: dict[str, str | None] = {
        **_versions(facts),
        "Python": facts.environment.interpreter.version,
    }
    changes = [
        f"{name} {before.get(name) or 'none'} → {now.get(name) or 'none'}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    damaged = _damaged(facts)
    changes += [
        f"{path} {was_damaged.get(path, 'whole')} → {damaged.get(path, 'whole')}"
        for path in sorted({*was_damaged, *damaged})
        if was_damaged.get(path) != damaged.get(path)
    ]
    if not changes and (facts.environment.newest_file_ns or 0) > newest:
        changes.append("a file of an installed package was written since")
    # One that is not here is proven by any.
    if facts.model.path is not None and proof.get("model") != _model(facts):
        changes.append("the model's files")
    return Proof(proven_at=proven_at, unchanged=not changes, changes=tuple(changes))


def _model(facts: Facts) -> str | None:
    """A digest of what was seen of the model's files; null where it is not here."""
    model = facts.model
    if model.path is None:
        return None
    files = model.storage.files if model.storage else ()
    sizes = sorted((file.name, file.bytes) for file in files if file.bytes is not None)
    seen = (model.path, model.values, model.tokenizer, model.weights, model.quantisation, sizes)
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _damaged(facts: Facts) -> dict[str, str]:
    """The files that are not of the size that was installed, and what is there of them."""
    return {
        file.path: "gone" if file.bytes is None else f"{file.bytes} bytes"
        for file in facts.environment.damaged
    }


def _versions(facts: Facts) -> dict[str, str | None]:
    return {name: item.version for name, item in installed(facts.environment).items()}
