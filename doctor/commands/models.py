"""``vlm-doctor models``: fetch a model, watched."""

from __future__ import annotations

import argparse
import os

from doctor import pulling
from doctor.commands.options import add_target, target_of
from doctor.reports.pull import PullReport
from doctor.terminal import say

OUTCOME_EXIT = {
    "pulled": 0,
    "nothing-to-do": 0,
    "planned": 0,
    "declined": 1,
    "not-proven": 1,
    "failed": 1,
    "interrupted": 130,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    parser.add_argument(
        "--pull", metavar="M", required=True, help="fetch this model from the Hub, and try it"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--drop-old", action="store_true", help="delete older revisions of it when it has passed"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be fetched")


def run(options: argparse.Namespace) -> tuple[PullReport, int]:
    """Fetch a model."""
    request = pulling.Request(
        target=target_of(options),
        model=options.pull,
        yes=options.yes,
        dry_run=options.dry_run,
        drop_old=options.drop_old,
    )
    report = pulling.Pulling(request, os.environ, say).run()
    return report, OUTCOME_EXIT[report.outcome]
