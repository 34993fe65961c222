"""``models --pull``: what the model needs and whether it runs, first; then the fetch; then proof.

Nothing that is in the cache already is changed: files are added, and the snapshot gets its name
when it is whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from doctor import registry, terminal
from doctor.actions import Download
from doctor.errors import CouldNot, Failed, Interrupted, Refused
from doctor.facts import Facts, Struct
from doctor.findings import Finding, Severity
from doctor.hub import downloads, removable
from doctor.look import look
from doctor.proving import last_proof, smoke
from doctor.registry import Examination
from doctor.reports import SCHEMA, Tool, target_report
from doctor.reports.check import model_report
from doctor.reports.pull import PullOutcome, PullReport
from doctor.reports.smoke import SmokeReport
from doctor.target import Target

# Findings of these checks are told before a fetch whatever they are; of others only errors.
ABOUT_THE_MODEL = ("memory", "hub", "swap")


class Request(Struct, frozen=True):
    """What the user asked for."""

    target: Target
    model: str
    yes: bool = False
    dry_run: bool = False
    drop_old: bool = False


class Pulling:
    """One run of ``models --pull``."""

    def __init__(self, request: Request, variables: Mapping[str, str], say: downloads.Say) -> None:
        self._request = request
        self._variables = variables
        self._say = say
        self._started = time.perf_counter()
        self._download: Download | None = None
        self._smoke: SmokeReport | None = None
        self._freed: int | None = None

    def run(self) -> PullReport:
        """Ask, judge, fetch, verify, prove. Raises ``Refused`` where it may not begin."""
        self._say(f"Asking the Hub about {self._request.model} …")
        facts = look(self._request.target, self._request.model, self._variables, ask=downloads.ask)
        if facts.model.found == "folder":
            raise Refused(f"{self._request.model} is a folder; --pull takes a Hub id.")
        assert facts.hub is not None
        trouble = facts.hub.trouble
        if trouble is not None:
            # What the Hub, or a setting of the user's, does not allow is refused; else it failed.
            stop = CouldNot if trouble.kind == "unreachable" else Refused
            raise stop(*downloads.of_trouble(trouble))
        examination = registry.examine(facts, registry.names())
        told = tuple(finding for finding in examination.findings if _is_told(finding))

        def report(outcome: PullOutcome, reason: str | None = None) -> PullReport:
            return self._report(facts, examination, told, outcome, reason)

        found = downloads.action(facts)
        if found is None:
            return self._prove(facts, examination, told, "nothing-to-do")
        if any(file.why == "damaged" for file in found.fetched):
            raise Refused(
                f"{self._request.model} is here, and damaged.",
                f"To repair it: vlm-doctor fix --download --model {self._request.model}",
            )
        for finding in told:
            self._say(f"{finding.severity.value}: {finding.title}")
        downloads.refuse_without_room(found, facts)
        self._download = downloads.measured(found)
        self._say(self._download.summary[0].upper() + self._download.summary[1:])
        if self._request.dry_run:
            return report("planned")
        if not self._wanted(told):
            return report("declined", "you said no")
        try:
            downloads.stage(self._download, self._say)
            downloads.place(self._download)
            downloads.settle(self._download)
        except Failed as error:
            return report("failed", str(error))
        except (Interrupted, KeyboardInterrupt):
            return report("interrupted")
        facts = look(self._request.target, self._request.model, self._variables)
        return self._prove(facts, examination, told, "pulled")

    def _wanted(self, told: tuple[Finding, ...]) -> bool:
        """Whether to fetch what would not run here. Raises ``Refused`` where nobody can say."""
        against = [
            finding
            for finding in told
            if finding.severity is Severity.ERROR and not finding.fix.automatic
        ]
        if not against or self._request.yes:
            return True
        if not terminal.can_ask():
            raise Refused(
                f"The model would not run here: {against[0].title}.",
                "Say --yes to fetch it all the same.",
            )
        return terminal.agreed("It would not run here. Fetch it all the same? [y/N]")

    def _prove(
        self,
        facts: Facts,
        examination: Examination,
        told: tuple[Finding, ...],
        outcome: PullOutcome,
    ) -> PullReport:
        """Let the model itself look at a picture."""
        self._say(f"Generating with {facts.model.id} …")
        interpreter = facts.environment.interpreter
        path = facts.model.path
        assert path is not None
        job = smoke.Job(model=os.path.expanduser(path), model_id=facts.model.id)
        self._smoke = smoke.run(
            os.path.expanduser(interpreter.executable), job, target_report(facts)
        )
        if self._smoke.passed:
            if self._request.drop_old:
                cache = Path(os.path.expanduser(facts.model.cache))
                self._freed = removable.drop_old_revisions(cache, facts.model.id)
            last_proof.remember(facts, os.path.expanduser(interpreter.prefix))
            return self._report(facts, examination, told, outcome, None)
        reason = "the environment can be repaired: vlm-doctor fix" if examination.errors() else None
        return self._report(facts, examination, told, "not-proven", reason)

    def _report(
        self,
        facts: Facts,
        examination: Examination,
        told: tuple[Finding, ...],
        outcome: PullOutcome,
        reason: str | None,
    ) -> PullReport:
        return PullReport(
            schema=SCHEMA,
            command="models",
            tool=Tool(),
            target=target_report(facts),
            outcome=outcome,
            reason=reason,
            model=model_report(facts),
            findings=told,
            not_checked=examination.not_checked,
            download=self._download,
            free_bytes=facts.hub.free_bytes if facts.hub else None,
            smoke=self._smoke,
            freed_bytes=self._freed,
            seconds=round(time.perf_counter() - self._started, 3),
        )


def _is_told(finding: Finding) -> bool:
    if finding.ignored is not None or finding.code == "model-not-cached":
        return False
    return finding.severity is Severity.ERROR or finding.check in ABOUT_THE_MODEL
