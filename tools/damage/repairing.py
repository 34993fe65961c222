"""The doctor's real repair of damaged models, from a Hub on loopback, and what it leaves alone.

The transaction is the doctor's own (look, ask the Hub, plan, fetch, journal, apply, check again),
but that the environment is looked at once for the same question, and that the proof is one
generation by the process that all models share. Packages are not touched: a plan that would do so
fails. Of a folder its owner says what the Hub calls it (``--from``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from huggingface_hub import constants

from doctor.actions import RemoveFiles
from doctor.errors import Failed
from doctor.facts import Facts
from doctor.look import Ask
from doctor.plan import Plan
from doctor.probes import model, reach
from doctor.proving import stand_in
from doctor.reports import SCHEMA, Tool
from doctor.reports.smoke import SmokeModel, SmokeReport
from doctor.target import Target as Interpreter
from doctor.transaction import journal, locking
from doctor.transaction.repair import Repair, Request
from tests.hub_server import Hub, Repository, serve
from tools.damage.judge import Doctor
from tools.damage.kinds import Kind
from tools.damage.places import ID, REVISION, Place
from tools.damage.running import Target, outcome

Tree = dict[str, str]

# The doctor's own model is not what was damaged: it is not run.
OURS = msgspec.convert(
    {field.name: None for field in msgspec.structs.fields(SmokeReport) if field.required}
    | {
        "schema": SCHEMA,
        "command": "smoke",
        "tool": Tool(),
        "model": SmokeModel(id=stand_in.NAME, stand_in=True),
        "passed": True,
        "stages": (),
        "seconds": 0.0,
    },
    SmokeReport,
)


@contextmanager
def hub_at_work() -> Iterator[Hub]:
    """A Hub on loopback, as the one that huggingface-hub's client in this process asks."""
    usual = constants.ENDPOINT, constants.HUGGINGFACE_CO_URL_TEMPLATE
    with serve({}) as server:
        constants.ENDPOINT = server.address
        constants.HUGGINGFACE_CO_URL_TEMPLATE = usual[1].replace(usual[0], server.address)
        try:
            yield server
        finally:
            constants.ENDPOINT, constants.HUGGINGFACE_CO_URL_TEMPLATE = usual


class Repairs:
    """Repairs one model after another in one environment."""

    def __init__(self, python: Path, hub: Hub, target: Target) -> None:
        self._python = python
        self._hub = hub
        self._target = target
        self._doctor = Doctor(python)
        self._good: dict[str, Any] | None = None

    def repaired(self, kind: Kind, where: str, base: Path, undo: bool) -> dict[str, Any]:
        """What became of one case: ``outcome`` is that of ``fix``, ``reason`` what it said.

        ``after`` is what a generation did then, null where nothing was fixed. ``harmed`` are files
        that had not been damaged and are not as they were, ``undone`` tells whether ``undo``
        brought all back as it was before the repair.
        """
        place = Place(base, cache=where == "cache", sharded=kind.sharded)
        constants.HF_HUB_CACHE = str(base)
        good = tree(base)
        if self._good is None:
            self._good = self._target.run(place.model)
        files = {path.name: path.read_bytes() for path in place.folder.iterdir()}
        self._hub.repositories = {ID: Repository(files, revision=REVISION)}
        kind.damage(place)
        damaged = tree(base)
        request = Request(
            target=Interpreter(str(self._python), "--python"),
            model=place.model,
            yes=True,
            download=True,
            origin=None if place.cache else ID,
        )
        repair = _Repair(request, self._doctor, self._target)
        report = repair.run()
        after = tree(base)
        result: dict[str, Any] = {"outcome": report.outcome}
        if report.reason is not None:
            result["reason"] = report.reason[:300].replace(str(base), "")
        if report.outcome == "fixed":
            result["did"] = [action.summary for action in report.applied]
            result["after"] = outcome(repair.said, self._good)["outcome"]
        taken = {
            os.path.relpath(path, base)
            for action in report.applied
            if isinstance(action, RemoveFiles)
            for path in action.paths
        }
        unharmed = {
            path: content
            for path, content in damaged.items()
            if good.get(path) == content
            # What is beside the model's own files is the user's, or a beginning that was used.
            or (path not in good and path not in taken and not path.endswith(".incomplete"))
        }
        kept_all = report.outcome != "fixed"
        harmed = [
            path
            for path, content in (damaged if kept_all else unharmed).items()
            if after.get(path) != content
        ]
        if harmed:
            result["harmed"] = sorted(harmed)
        prefix = str(self._python.parent.parent)
        if undo and report.outcome == "fixed":
            with locking.lock(prefix):
                journal.undo(prefix)
            # The beginning of a fetch was used up; to repeat it costs no more than before.
            result["undone"] = _lasting(tree(base)) == _lasting(damaged)
        return result


class _Repair(Repair):
    """The repair of a model's files."""

    def __init__(self, request: Request, doctor: Doctor, target: Target) -> None:
        super().__init__(request, os.environ, lambda _: None, lambda _before, _plan: True)
        self._doctor = doctor
        self._target = target
        self.said: dict[str, Any] = {}

    @contextmanager
    def _looking(self, model_name: str, ask: Ask | None = None) -> Iterator[Callable[[], Facts]]:
        seen = model.look(model_name)
        seen_hub = reach.look(seen, os.environ)
        if ask is not None:
            remote, trouble, seen = ask(seen)
            seen_hub = msgspec.structs.replace(seen_hub, remote=remote, trouble=trouble)
        yield lambda: self._doctor.facts_about(seen, seen_hub)

    def _apply(self, made: Plan) -> None:
        if made.changes:
            names = ", ".join(change.name for change in made.changes)
            raise Failed(f"it would install {names}")
        super()._apply(made)

    def _generate(self) -> SmokeReport:
        return OURS

    def _judge(self, generation: SmokeReport, facts: Facts) -> str | None:
        self._smoke = generation
        self.said = self._target.run(self._request.model)
        error = self.said["error"]
        return None if error is None else str(error)


def _lasting(tree: Tree) -> Tree:
    return {path: content for path, content in tree.items() if not path.endswith(".incomplete")}


def tree(folder: Path) -> Tree:
    """What is below a folder but the client's locks: where a link leads, a file's hash."""
    found: Tree = {}
    for parent, folders, files in os.walk(folder):
        if ".locks" in folders:
            folders.remove(".locks")
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            key = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[key] = "link to " + os.readlink(path)
            elif os.path.isfile(path):
                found[key] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return found
