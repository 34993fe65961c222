"""For pytest: tests that need a vision-language model are skipped with the doctor's reason.

``@pytest.mark.requires_vlm`` skips a test unless the doctor says that the model runs, in the
environment that pytest runs in. It takes the arguments of ``doctor.check`` (another ``model``,
``venv``, ``purpose`` …), and ``prove=True`` to run a generation first. The fixture ``vlm_report``
does the same and gives the report. An environment is looked at once in a session.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from doctor.reports.check import CheckReport

MARKER = "requires_vlm"
_SEEN = pytest.StashKey[dict[str, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.stash[_SEEN] = {}
    config.addinivalue_line(
        "markers",
        f"{MARKER}(model=None, *, prove=False, **arguments of doctor.check): skip unless the "
        "doctor says that the vision-language model runs",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a marked test where the model does not run."""
    marker = item.get_closest_marker(MARKER)
    if marker is not None:
        _needed(item.config, *marker.args, **marker.kwargs)


@pytest.fixture
def vlm_report(request: pytest.FixtureRequest) -> CheckReport:
    """The doctor's report on the environment; the test is skipped where the model does not run."""
    marker = request.node.get_closest_marker(MARKER)
    arguments = marker.kwargs if marker else {}
    return _needed(request.config, *(marker.args if marker else ()), **arguments)


def _needed(
    config: pytest.Config, model: str | None = None, *, prove: bool = False, **arguments: Any
) -> CheckReport:
    """The report; skips where it is not that of an environment in which the model runs."""
    if not {"python", "venv", "facts"} & arguments.keys():
        arguments["python"] = sys.executable
    key = repr((model, prove, sorted(arguments.items())))
    seen = config.stash[_SEEN]
    if key not in seen:
        seen[key] = _asked(model, prove, arguments)
    report, reason = seen[key]
    if reason is not None:
        pytest.skip(f"vlm-doctor: {reason}")
    assert report is not None
    return report  # type: ignore[no-any-return]


def _asked(
    model: str | None, prove: bool, arguments: dict[str, Any]
) -> tuple[CheckReport | None, str | None]:
    """The report, and why the model does not run (null where it does)."""
    import doctor

    try:
        report = doctor.check(model, **arguments)
        if report.verdict == "broken":
            worst = next(item for item in report.findings if item.ignored is None)
            return report, f"{worst.title} [{worst.code}]"
        if report.verdict == "unknown":
            gap = next(item for item in report.not_checked if item.decides)
            return report, f"not known: {gap.reason}"
        if prove:
            smoke = doctor.prove(model, python=arguments.get("python"), venv=arguments.get("venv"))
            failed = next((stage for stage in smoke.stages if not stage.passed), None)
            if not smoke.passed:
                return report, failed.error if failed else "the picture was not understood"
    except doctor.DoctorError as error:
        return None, f"{error.message} {error.hint}".strip()
    return report, None
