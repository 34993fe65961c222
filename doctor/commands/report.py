"""``vlm-doctor report``: a table of many machines, from the bundles that they sent."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from doctor.findings import Verdict
from doctor.reports import SCHEMA, Tool
from doctor.reports.report import FleetReport, MachineRow, Unread
from doctor.support import fleet

ORDER: tuple[Verdict, ...] = ("broken", "unknown", "degraded", "healthy")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--fleet", metavar="DIR", required=True, help="the folder with the bundles of all machines"
    )


def run(options: argparse.Namespace) -> tuple[FleetReport, int]:
    """Judge every bundle, and count.

    The exit status is 1 where a machine is broken, else 3 where one could not be judged.
    """
    started = time.perf_counter()
    folder = Path(options.fleet)
    judged = fleet.judge(folder, fleet.bundles(folder))
    rows = [item for item in judged if isinstance(item, MachineRow)]
    unread = [item for item in judged if isinstance(item, Unread)]
    rows.sort(key=lambda row: (ORDER.index(row.verdict), row.errors, row.file))
    report = FleetReport(
        schema=SCHEMA,
        command="report",
        tool=Tool(),
        folder=str(folder),
        verdicts={
            verdict: count
            for verdict in ORDER
            if (count := sum(1 for row in rows if row.verdict == verdict))
        },
        findings=fleet.findings(rows),
        fixes=fleet.fixes(rows),
        machines=tuple(rows),
        unread=tuple(unread),
        seconds=round(time.perf_counter() - started, 3),
    )
    if "broken" in report.verdicts:
        return report, 1
    return report, 3 if unread or "unknown" in report.verdicts else 0
