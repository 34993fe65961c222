"""The last proof: which set of versions a generation was last proven on, and what changed since."""

from __future__ import annotations

import datetime
import hashlib
import json

import msgspec

from doctor import state
from doctor.facts import Facts
from doctor.packages.requirements import installed
from doctor.reports.check import Proof


def remember(facts: Facts, prefix: str) -> None:
    """Write down that these facts were proven now. A state folder that is not writable forgets."""
    folder = state.of_target(prefix)
    text = json.dumps(
        {
            "proven_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "python": facts.environment.interpreter.version,
            "versions": _versions(facts),
            "model": _model(facts),
        }
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "proof.json").write_text(text)
    except OSError:
        return


def is_of_model(facts: Facts, prefix: str) -> bool:
    """Whether the last proof was one of this model as it lies here; of one not here, of any."""
    if facts.model.path is None:
        return True
    try:
        proof = json.loads((state.of_target(prefix) / "proof.json").read_text())
        return bool(proof["model"] == _model(facts))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def recall(facts: Facts, prefix: str) -> Proof | None:
    """The last proof against these facts, or null where there never was one."""
    try:
        proof = json.loads((state.of_target(prefix) / "proof.json").read_text())
        before, proven_at = dict(proof["versions"]), str(proof["proven_at"])
        before["Python"] = str(proof["python"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    now: dict[str, str | None] = {
        **_versions(facts),
        "Python": facts.environment.interpreter.version,
    }
    changes = tuple(
        f"{name} {before.get(name) or 'none'} → {now.get(name) or 'none'}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )
    return Proof(proven_at=proven_at, unchanged=not changes, changes=changes)


def _model(facts: Facts) -> str | None:
    """A digest of what was seen of the model's files; null where it is not here."""
    model = facts.model
    if model.path is None:
        return None
    files = model.storage.files if model.storage else ()
    sizes = sorted((file.name, file.bytes) for file in files if file.bytes is not None)
    seen = (model.path, model.values, model.tokenizer, model.weights, model.quantisation, sizes)
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _versions(facts: Facts) -> dict[str, str | None]:
    return {name: item.version for name, item in installed(facts.environment).items()}
