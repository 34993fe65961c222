"""Reports on paper: plain, narrow, and safe from what strangers write."""

from __future__ import annotations

import io

import pytest

from doctor import registry, terminal, texts
from doctor.findings import Fix
from doctor.reports import SCHEMA, Tool
from doctor.reports.check import PlanReport, check_report
from doctor.reports.undo import UndoEntry, UndoReport
from doctor.texts import check
from tests.conftest import recorded
from tests.facts_of import distribution, on_machine, replace, with_distributions


def plain(facts_name: str = "report", evil: str = "") -> str:
    facts = recorded(facts_name)
    if evil:
        facts = with_distributions(
            facts,
            distribution("mlx-vlm", evil, f"{evil}>=1"),
            distribution("mlx", evil),
        )
        facts = replace(facts, model=replace(facts.model, id=evil))
    examination = registry.examine(facts, registry.names())
    stream = io.StringIO()
    texts.render(
        check_report(facts, examination, PlanReport(actions=()), 0.1), terminal.paper(stream)
    )
    return stream.getvalue()


def test_a_broken_environment_ends_with_the_verdict_and_the_next_command() -> None:
    lines = plain().splitlines()
    assert lines[-2].startswith("broken: ")
    assert lines[-1].startswith("Next: vlm-doctor fix --python ")


def test_the_next_command_is_about_the_model_that_was_asked_about() -> None:
    facts = recorded("report")
    other = replace(facts, model=replace(facts.model, id="someone/another one"))
    examination = registry.examine(other, registry.names())
    report = check_report(other, examination, PlanReport(actions=()), 0.1)
    command = check.next_command(report)
    assert command is not None
    assert command.startswith("vlm-doctor fix --model 'someone/another one' --python ")


def test_an_ignored_error_asks_for_no_command() -> None:
    facts = recorded("report")
    found = registry.examine(facts, registry.names()).findings
    error = next(one for one in found if one.code == "torchvision-missing")
    by_hand = Fix(id="by-hand", summary="mend it", automatic=False)
    findings = (
        replace(error, fix=by_hand),
        replace(error, ignored="it is used for text only"),
    )
    examination = registry.Examination(findings=findings, not_checked=(), verdict="broken")
    report = check_report(facts, examination, PlanReport(actions=()), 0.1)
    assert check.next_command(report) is None


def test_every_finding_has_words_and_not_only_colours() -> None:
    out = plain()
    assert "error qwen3_vl needs torch and torchvision here" in out
    assert "[torchvision-missing]" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "evil",
    ["\x1b[2J\x1b[31mowned", "\x9b31m", "[bold]red[/bold]", "a\rb\nc", "\u202egnp.exe", "\x07" * 3],
)
def test_what_strangers_write_does_not_steer_the_terminal(evil: str) -> None:
    out = plain(evil=evil)
    for letter in ("\x1b", "\x9b", "\r", "\x07", "\u202e"):
        assert letter not in out
    if evil.startswith("["):
        assert evil in out  # markup is shown, not obeyed


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_of_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    facts = recorded("report")
    examination = registry.examine(facts, registry.names())
    stream = FakeTerminal()
    report = check_report(facts, examination, PlanReport(actions=()), 0.1)
    texts.render(report, terminal.paper(stream))
    *lines, following = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    # A command is left to the terminal to break: it has to copy whole.
    assert following == f"Next: {check.next_command(report)}"
    assert len(following) > 40
    assert "" in lines  # findings stand apart
    assert "torchvision" in stream.getvalue()


def test_a_stream_that_takes_only_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    terminal.paper(stream).line("a → b")
    stream.flush()
    assert raw.getvalue() == b"a ? b\n"


def test_a_machine_sold_with_8_gb_is_not_told_to_have_9() -> None:
    facts = on_machine(recorded("report"), ram_total_bytes=8 * 2**30)
    examination = registry.examine(facts, [])
    stream = io.StringIO()
    texts.render(
        check_report(facts, examination, PlanReport(actions=()), 0.1), terminal.paper(stream)
    )
    assert ", 8.6 GB of memory" in stream.getvalue()


def entry(number: int, problem: str | None = None) -> UndoEntry:
    return UndoEntry(
        id=str(number), finished_at="2026-11-25", summary="s", bytes=1, problem=problem
    )


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ((), "There is nothing to take back."),
        ((entry(1),), "1 fix can be taken back."),
        ((entry(1), entry(2)), "2 fixes can be taken back, the newest first."),
        ((entry(1), entry(2, "what was kept is damaged")), "1 fix can be taken back."),
        ((entry(1, "what was kept is damaged"),), "There is nothing to take back."),
    ],
)
def test_ways_back_are_counted(entries: tuple[UndoEntry, ...], told: str) -> None:
    report = UndoReport(
        schema=SCHEMA,
        command="undo",
        tool=Tool(),
        outcome="listed",
        entries=entries,
        restored=0,
        seconds=0.1,
    )
    stream = io.StringIO()
    texts.render(report, terminal.paper(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == told
    assert len(lines) == 1 + len(entries)
