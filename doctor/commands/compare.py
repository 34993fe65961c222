"""``vlm-doctor compare``: two bundles side by side, and what of their differences decides."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec

from doctor.reports import SCHEMA, Tool
from doctor.reports.compare import CompareReport
from doctor.support import comparison, saved


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("a", metavar="A", help="a bundle, or saved facts")
    parser.add_argument("b", metavar="B", help="another")


def run(options: argparse.Namespace) -> tuple[CompareReport, int]:
    """Read both and compare."""
    started = time.perf_counter()
    a, b = (saved.read(Path(file)) for file in (options.a, options.b))
    found = saved.judged(Path(options.b), lambda: comparison.compare(a, b))
    return CompareReport(
        schema=SCHEMA,
        command="compare",
        tool=Tool(),
        a=msgspec.structs.replace(found.a, file=options.a),
        b=msgspec.structs.replace(found.b, file=options.b),
        groups=found.groups,
        differences=found.differences,
        only_a=found.only_a,
        only_b=found.only_b,
        both=found.both,
        seconds=round(time.perf_counter() - started, 3),
    ), 0
