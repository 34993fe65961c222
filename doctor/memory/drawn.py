"""What a generation takes by phases and by the picture's size, for those who draw it."""

from __future__ import annotations

import msgspec

from doctor.estimate import NotEstimable, estimate_of, judge
from doctor.estimate.of_facts import USUAL
from doctor.facts import Facts
from doctor.reports.check import MemoryReport

# Sides of a square picture in pixels.
SIDES = (256, 512, 1024, 1536, 2048)


def memory(facts: Facts) -> MemoryReport | None:
    """The figures of a drawing; null where the model is not known well enough."""
    try:
        usual = estimate_of(facts, USUAL)
        pictures = tuple(
            (
                side,
                estimate_of(
                    facts, msgspec.structs.replace(USUAL, images=((side, side),))
                ).peak_bytes,
            )
            for side in SIDES
        )
    except NotEstimable:
        return None
    return MemoryReport(
        phases=msgspec.structs.asdict(usual.phases),
        pictures=pictures,
        budget_bytes=judge(usual, facts.machine).limit_bytes,
    )
