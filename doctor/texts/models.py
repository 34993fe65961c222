"""The table of models: on a wide terminal in columns, on a narrow one in lines."""

from __future__ import annotations

from doctor.reports.models import ModelRow, ModelsReport, Room
from doctor.terminal import Paper, Part

ROOM_WORDS: dict[Room, tuple[str, str]] = {
    "fits": ("green", "fits"),
    "fits-if-closed": ("yellow", "tight"),
    "pages": ("yellow", "pages"),
    "will-not-run": ("red", "no"),
}


def render(report: ModelsReport, out: Paper) -> None:
    """Print the machine, then the models."""
    memory = _size(report.ram_total_bytes)
    available = _size(report.ram_available_bytes)
    chip = f"{report.chip}, " if report.chip else ""
    out.line(("Machine ", "bold"), f"{chip}{memory} of memory, {available} available")
    if report.gpu_budget_bytes is not None:
        out.line(("GPU ", "bold"), f"{_size(report.gpu_budget_bytes)} ({report.gpu_budget_source})")
    out.line("For a picture of 1920 x 1080, a short question and 512 tokens of answer:")
    out.line("")
    cells = _cells(report)
    width = sum(max(map(len, column)) + 1 for column in zip(*cells, strict=True)) - 1
    if out.columns is None or out.columns >= width:
        out.table(cells)
    else:
        _lines(report, out)
    out.line("")
    out.line(
        "tight: if something is closed; pages: it waits for the disk; no: it cannot be loaded."
    )
    out.line("Peak and speed are predicted; * marks what was measured on another machine.")
    out.line("picture: the side of the largest square that fits; context: tokens of text.")
    for recipe, kinds in sorted(_by_recipe(report).items()):
        out.line(f"Recipe {recipe}: {kinds}")
    out.line("More of one: vlm-doctor estimate MODEL")
    if report.plot is not None:
        out.line(f"Drawn in {report.plot}")


def _cells(report: ModelsReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("model", "here", "peak", "tok/s", "picture", "context")]
    rows += [
        (
            _name(row),
            ROOM_WORDS[row.room][1],
            _size(row.peak_bytes) + ("*" if row.known == "measured" else ""),
            _number(row.tokens_per_second),
            _number(row.largest_picture),
            _tokens(row.longest_context),
        )
        for row in report.models
    ]
    return rows


def _by_recipe(report: ModelsReport) -> dict[str, str]:
    """Which types each recipe runs; a recipe that runs them all is not followed by a list."""
    kinds: dict[str, set[str]] = {}
    for row in report.models:
        kinds.setdefault(row.recipe or "not known", set()).add(row.type or "unknown")
    if len(kinds) == 1:
        return dict.fromkeys(kinds, "all of them")
    return {recipe: ", ".join(sorted(types)) for recipe, types in kinds.items()}


def _lines(report: ModelsReport, out: Paper) -> None:
    for row in report.models:
        style, words = ROOM_WORDS[row.room]
        out.line((_name(row), "bold"))
        star = "*" if row.known == "measured" else ""
        told: list[Part] = [(words, style), f", peak {_size(row.peak_bytes)}{star}"]
        if row.tokens_per_second is not None:
            told.append(f", {row.tokens_per_second:.0f} tokens/s")
        if row.largest_picture is not None:
            told.append(f", pictures to {row.largest_picture}")
        if row.longest_context is not None:
            told.append(f", context to {_tokens(row.longest_context)}")
        out.line(*told, indent=2)


def _name(row: ModelRow) -> str:
    return row.id.removeprefix("mlx-community/")


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e9:.1f} GB"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}"


def _tokens(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens // 1024}k" if tokens >= 1024 else str(tokens)
