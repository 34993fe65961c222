"""The recipes."""

from __future__ import annotations

import shlex

from doctor.reports.recipes import DownloadReport, OutdatedReport, RecipesReport
from doctor.terminal import Paper


def render(report: RecipesReport, out: Paper) -> None:
    """Print the recipes, or one as a file for another tool."""
    for recipe in report.recipes:
        if recipe.exported is not None:
            out.verbatim(recipe.exported.text)
            continue
        out.line((recipe.name, "bold"), f": {recipe.summary}")
        if recipe.no_lock is not None:
            out.line(("not asked ", "yellow"), recipe.no_lock, indent=2)
        elif recipe.outdated is not None:
            _outdated(recipe.outdated, out)
        elif recipe.downloaded is not None:
            _downloaded(recipe.downloaded, out)
        else:
            out.line(f"for {recipe.for_whom}", indent=2)
            for requirement in recipe.requirements:
                out.line(requirement, indent=4)
            out.line(f"locked for {len(recipe.locks)}: {', '.join(recipe.locks)}", indent=2)
            proven = ", ".join(f"{lock} ({day})" for lock, day in recipe.proven.items())
            out.line(f"ran a generation: {proven or 'none yet'}", indent=2)


def _downloaded(report: DownloadReport, out: Paper) -> None:
    size = f", {report.bytes / 1e6:.1f} MB" if report.bytes is not None else ""
    out.line(f"All {report.wheels} wheels for {report.lock}{size}: {report.folder}", indent=2)
    out.line(f"Fetched now: {report.fetched} ({report.fetched_bytes / 1e6:.1f} MB)", indent=2)
    out.line("To install from there, without a network:", indent=2)
    out.line(
        f"vlm-doctor fix --offline --wheels {shlex.quote(report.folder)}", indent=4, whole=True
    )


def _outdated(report: OutdatedReport, out: Paper) -> None:
    out.line(f"{report.lock}, at your package index:", indent=2)
    words = {True: "newer", False: "", None: "not there"}
    out.table(
        [
            ("package", "pinned", "newest", ""),
            *(
                (pin.name, pin.pinned, pin.newest or "none", words[pin.newer])
                for pin in report.pins
            ),
        ],
        indent=4,
    )
    for yanked in report.yanked:
        reason = f": {yanked.reason}" if yanked.reason else ""
        out.line(("yanked ", "bold red"), f"{yanked.name} {yanked.version}{reason}", indent=2)
    for gone in report.gone:
        out.line(("gone ", "bold red"), f"{gone.name} {gone.version}: {gone.reason}", indent=2)
    if not (report.yanked or report.gone):
        out.line("None of the lock's versions was yanked.", indent=2)
