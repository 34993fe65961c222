"""The table of models: on a wide terminal in columns, on a narrow one in lines."""

from __future__ import annotations

from collections.abc import Sequence

from doctor.estimate.judgement import Room
from doctor.reports.models import ModelRow, ModelsReport
from doctor.reports.pull import PullReport
from doctor.terminal import Paper, Part
from doctor.texts import fits, pull

ROOM_WORDS: dict[Room, tuple[str, str]] = {
    "fits": ("green", "fits"),
    "fits-if-closed": ("yellow", "tight"),
    "pages": ("yellow", "pages"),
    "will-not-run": ("red", "too large"),
}


def render(report: ModelsReport | PullReport, out: Paper) -> None:
    """Print the machine, then the models; or what pulling one did."""
    if isinstance(report, PullReport):
        pull.render(report, out)
        return
    memory = _size(report.ram_total_bytes)
    available = _size(report.ram_available_bytes)
    chip = f"{report.chip}, " if report.chip else ""
    out.line(("Machine ", "bold"), f"{chip}{memory} of memory, {available} available")
    if report.gpu_budget_bytes is not None:
        out.line(("GPU ", "bold"), f"{_size(report.gpu_budget_bytes)} ({report.gpu_budget_source})")
    out.line("For a picture of 1920 x 1080, a short question and 512 tokens of answer:")
    out.line("")
    shown = [row for row in report.models if not _hopeless(row, report)]
    cells = _cells(shown)
    if fits(cells, out):
        out.table(cells)
    else:
        _lines(shown, out)
    out.line("")
    out.line("tight: if something is closed; pages: it will wait for the disk.")
    too_large = len(report.models) - len(shown)
    if too_large:
        out.line(f"{too_large} more need more memory than there is.")
    out.line("Peak and speed are predicted; * marks a config that was rebuilt, not published.")
    out.line("picture: the largest square in pixels; context: tokens of text.")
    usual, others = _recipes(shown)
    if usual is not None:
        out.line(f"Recipe: {usual}", others)
    out.line("More of one: vlm-doctor estimate MODEL")
    if report.plot is not None:
        out.line(f"Drawn in {report.plot}")


def _hopeless(row: ModelRow, report: ModelsReport) -> bool:
    total = report.ram_total_bytes
    return row.room == "will-not-run" or (total is not None and row.peak_bytes > total)


def _cells(shown: Sequence[ModelRow]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("model", "here", "peak", "tok/s", "picture", "context")]
    rows += [
        (
            _name(row),
            ROOM_WORDS[row.room][1],
            _peak(row),
            _number(row.tokens_per_second),
            _number(row.largest_picture),
            _tokens(row.longest_context),
        )
        for row in shown
    ]
    return rows


def _recipes(shown: Sequence[ModelRow]) -> tuple[str | None, str]:
    """The recipe that runs most of the types, and the types that it is not known to run."""
    known = [row.recipe for row in shown if row.recipe is not None]
    if not known:
        return None, ""
    usual = max(set(known), key=known.count)
    others = sorted({row.type or "?" for row in shown if row.recipe != usual})
    return usual, f" (not known for {', '.join(others)})" if others else ""


def _lines(shown: Sequence[ModelRow], out: Paper) -> None:
    for row in shown:
        style, words = ROOM_WORDS[row.room]
        out.line((_name(row), "bold"))
        told: list[Part] = [(words, style), f", peak {_peak(row)}"]
        if row.tokens_per_second is not None:
            told.append(f", {row.tokens_per_second:.0f} tokens/s")
        if row.largest_picture is not None:
            told.append(f", pictures to {row.largest_picture}")
        if row.longest_context is not None:
            told.append(f", context to {_tokens(row.longest_context)}")
        out.line(*told, indent=2)


def _peak(row: ModelRow) -> str:
    if "rebuilt" in row.architecture or "reconstructed" in row.architecture:
        return f"{row.peak_bytes / 1e9:.1f} GB*"
    return _size(row.peak_bytes)


def _name(row: ModelRow) -> str:
    return row.id.removeprefix("mlx-community/")


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e9:.1f} GB"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}"


def _tokens(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens // 1024}k" if tokens >= 1024 else str(tokens)
