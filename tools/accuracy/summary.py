"""The figures of the matrix: who saw what does not run, and who complained about what runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tools.accuracy.cells import Cell

Results = Mapping[str, dict[str, Any]]

JUDGES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "vlm-doctor check": lambda result: result.get("check", {}).get("verdict") == "broken",
    "pip check": lambda result: bool(result["neighbours"]["pip"]["complains"]),
    "uv pip check": lambda result: bool(result["neighbours"]["uv"]["complains"]),
    "import mlx_vlm": lambda result: bool(result["neighbours"]["import"]["complains"]),
}


def line(result: dict[str, Any]) -> str:
    """One cell's truth in a line; the doctor's verdict is not in it."""
    if "failure" in result:
        return f"NOT BUILT {result['failure'].strip().splitlines()[-1]}"
    truth = result.get("truth")
    if truth is None:
        return "not run"
    runs = {True: "runs", False: "does not run", None: "WAVERS"}[truth["runs"]]
    return f"{runs} ({result['seconds']} s) {'; '.join(truth['errors'])}".strip()


def wrong(cell: Cell, result: dict[str, Any]) -> str | None:
    """What the doctor got wrong about a cell, or null."""
    runs = result["truth"]["runs"]
    check = result.get("check")
    if runs is None or check is None:
        return None
    if check["failure"]:
        return f"the doctor failed: {check['failure']}"
    if check["verdict"] == "unknown":
        return f"unknown: {'; '.join(check['not_checked'])}"
    if runs and check["verdict"] == "broken":
        return f"it runs, and the doctor says {', '.join(check['codes'])}"
    if not runs and check["verdict"] != "broken":
        return f"does not run ({result['truth']['errors'][0]}); the doctor says {check['verdict']}"
    if not runs and not set(cell.expect) & set(check["codes"]):
        said, expected = ", ".join(check["codes"]), " or ".join(cell.expect) or "nothing yet"
        return f"{result['truth']['errors'][0]}: the doctor says {said}; expected is {expected}"
    return None


def show(cells: Sequence[Cell], results: Results, opened: bool) -> int:
    """Print the figures; the exit status is 1 where the doctor was wrong about a shown cell."""
    console = Console(soft_wrap=True)
    judged = [cell for cell in cells if "neighbours" in results.get(cell.name, {})]
    unbuilt = [cell.name for cell in cells if "failure" in results.get(cell.name, {})]
    steady = [cell for cell in judged if results[cell.name]["truth"]["runs"] is not None]
    shown = [cell for cell in steady if opened or not cell.set_aside]
    errors = {cell.name: problem for cell in shown if (problem := wrong(cell, results[cell.name]))}
    for name, problem in errors.items():
        console.print(f"[bold]{name}[/]", end=": ")
        console.print(problem, markup=False)
    if opened:
        _table(console, "All cells", steady, results)
    _table(
        console,
        "The cells that were not set aside",
        [c for c in steady if not c.set_aside],
        results,
    )
    aside = [cell for cell in steady if cell.set_aside]
    if opened:
        _table(console, "The third that was set aside", aside, results)
    wavering = [cell.name for cell in judged if results[cell.name]["truth"]["runs"] is None]
    console.print(
        f"Wavering: {', '.join(wavering) or 'none'}. Not built: {', '.join(unbuilt) or 'none'}."
    )
    broken = [cell for cell in shown if not results[cell.name]["truth"]["runs"]]
    named = [
        c for c in broken if set(c.expect) & set(results[c.name].get("check", {}).get("codes", ()))
    ]
    fixed = [cell for cell in steady if results[cell.name].get("fix", {}).get("works")]
    tried = [cell for cell in steady if "fix" in results[cell.name]]
    undone = [cell for cell in tried if not results[cell.name]["fix"].get("not_as_before")]
    console.print(f"The cause was named in {len(named)} of {len(broken)} broken cells shown.")
    console.print(
        f"The fix made a generation run in {len(fixed)} of {len(tried)} broken cells, and undo "
        f"left {len(undone)} of them as they were."
    )
    for cell in shown:
        if cell in tried and cell not in fixed:
            told = results[cell.name]["fix"]
            console.print(f"  {cell.name}: {told['outcome']}: {told['reason']}", markup=False)
    return 1 if errors or unbuilt else 0


def _table(console: Console, title: str, cells: Sequence[Cell], results: Results) -> None:
    broken = {cell.name for cell in cells if not results[cell.name]["truth"]["runs"]}
    table = Table(
        "",
        "found",
        "recall",
        "false alarms",
        "precision",
        title=(f"{title}: {len(cells)}, of which {len(broken)} do not run"),
    )
    for name, judge in JUDGES.items():
        said = {cell.name for cell in cells if judge(results[cell.name])}
        found = len(said & broken)
        table.add_row(
            name,
            f"{found} of {len(broken)}",
            f"{found / len(broken):.1%}" if broken else "",
            f"{len(said - broken)} of {len(said)}",
            f"{found / len(said):.1%}" if said else "",
        )
    console.print(table)
