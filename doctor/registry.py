"""Which checks there are, and running them."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import cast

import msgspec

import checks
from doctor.errors import Refused
from doctor.facts import Facts, Struct
from doctor.findings import CheckResult, Finding, NotChecked, Severity, Verdict, verdict
from doctor.known import naming
from doctor.proving import confirmation


class Examination(Struct, frozen=True):
    """What the checks said of some facts. Findings are sorted, the worst first."""

    findings: tuple[Finding, ...]
    not_checked: tuple[NotChecked, ...]
    verdict: Verdict

    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the verdict ``broken``."""
        return tuple(
            finding
            for finding in self.findings
            if finding.severity is Severity.ERROR and finding.ignored is None
        )


class Ignore(Struct, frozen=True):
    """A finding that the project does not want to hear of, and why."""

    code: str
    reason: str


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all checks: the modules in ``checks``."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(checks.__path__)))


def module(name: str) -> ModuleType:
    """The module of one check."""
    return importlib.import_module(f"checks.{name}")


def check_of_code(code: str) -> str | None:
    """The check that makes findings of this code."""
    return next((name for name in names() if code in module(name).CODES), None)


def codes() -> list[str]:
    """All codes of all checks."""
    return sorted(code for name in names() for code in module(name).CODES)


def select(only: Iterable[str], skip: Iterable[str]) -> tuple[list[str], frozenset[str]]:
    """The checks to run, and the codes to leave out, from ``--only`` and ``--skip``.

    Both take names of checks and codes. Raises ``Refused`` for a name that is neither.
    """
    only, skip = list(only), list(skip)
    known = {*names(), *codes()}
    for name in (*only, *skip):
        if name not in known:
            raise Refused(
                f"There is no check and no code named {name}.", f"Checks: {', '.join(names())}."
            )
    wanted = {name if name in names() else check_of_code(name) for name in only} or set(names())
    chosen = [name for name in names() if name in wanted and name not in skip]
    codes_only = {name for name in only if name not in names()}
    unwanted = {name for name in skip if name not in names()}
    if codes_only:
        named = {name for name in only if name in names()}
        unwanted |= {
            code for code in codes() if code not in codes_only and check_of_code(code) not in named
        }
    return chosen, frozenset(unwanted)


def examine(
    facts: Facts,
    chosen: Iterable[str],
    unwanted: frozenset[str] = frozenset(),
    ignores: Iterable[Ignore] = (),
    known_gaps: Iterable[NotChecked] = (),
) -> Examination:
    """Run the chosen checks on the facts. A check that crashes is one line among the others.

    ``known_gaps`` are what could not be looked at for reasons that are not in the facts.
    """
    reasons = {ignore.code: ignore.reason for ignore in ignores}
    findings: list[Finding] = []
    gaps: list[NotChecked] = list(known_gaps)
    for name in chosen:
        try:
            check = cast("Callable[[Facts], CheckResult]", module(name).check)
            said = list(check(facts))
        except Exception as error:  # a defect of one check must not hide what the others say
            gaps.append(
                NotChecked(check=name, reason=f"the check failed: {type(error).__name__}: {error}")
            )
            continue
        for item in said:
            if isinstance(item, NotChecked):
                gaps.append(msgspec.structs.replace(item, check=name))
            elif item.code not in unwanted:
                findings.append(
                    msgspec.structs.replace(item, check=name, ignored=reasons.get(item.code))
                )
    findings, gaps = confirmation.confirmed(naming.named(findings, facts), gaps, facts)
    order = list(Severity)
    findings.sort(key=lambda finding: (finding.ignored is not None, order.index(finding.severity)))
    return Examination(
        findings=tuple(findings), not_checked=tuple(gaps), verdict=verdict(findings, gaps)
    )
