"""Is the machine already short of memory before the model starts?

A machine that swaps has moved memory to disk. A model that starts there pushes out more, and waits
for the disk at every token.

- `swap-high`: swap is in use. The levels are the field report's: up to 0.5 GB is tolerable (5 to
  10 % slower), 1 to 2 GB is bad (30 to 50 %), 2.5 GB and more is critical (2 to 3 times slower).
  It is a note up to 0.5 GB and a warning above, never an error: what decides is whether swap grows
  while the model runs, and that is what `vlm-doctor smoke --watch` measures. Where all swap is in
  zram (compressed memory, no disk), it is a note.
- `memory-pressure`: macOS itself says that memory is short (`warn` or `critical`).

What helps: close the biggest applications, or restart the machine (swap is given back slowly). The
doctor closes nothing by itself.
"""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity

CODES = ("swap-high", "memory-pressure")

# Bytes; the levels of the field report's section 6.5, "up to 500 MB", "1-2 GB", "2.5+ GB". Between
# them its words leave gaps; a level holds until the next one begins.
TOLERABLE, BAD, CRITICAL = 500_000_000, 1_000_000_000, 2_500_000_000


IN_MEMORY = "It is all in zram, compressed in memory: no disk is waited for, but memory is short."


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    machine = facts.machine
    used = machine.swap_used_bytes
    in_memory = machine.swap_on_disk is False
    biggest = ", ".join(
        f"{process.name} ({process.held_bytes / 1e9:.1f} GB)" for process in machine.processes[:3]
    )
    advice = Fix(
        id="advice",
        summary=f"close what you do not need, biggest first: {biggest}"
        if biggest
        else "close what you do not need, or restart the machine",
        automatic=False,
    )
    if used is None:
        yield NotChecked(reason="this system does not tell how much swap is in use", decides=False)
    elif used > 0:
        yield Finding(
            code="swap-high",
            severity=Severity.NOTE if used <= TOLERABLE or in_memory else Severity.WARNING,
            title=f"{used / 1e9:.1f} GB of swap is in use",
            cause=IN_MEMORY if in_memory else _meaning(used),
            evidence=(
                Evidence(
                    fact="swap in use",
                    value=f"{used / 1e9:.2f} GB",
                    source="sysctl vm.swapusage" if machine.os == "macOS" else "psutil.swap_memory",
                ),
            ),
            fix=advice,
        )
    if machine.memory_pressure in ("warn", "critical"):
        yield Finding(
            code="memory-pressure",
            severity=Severity.WARNING if machine.memory_pressure == "critical" else Severity.NOTE,
            title=f"macOS reports memory pressure: {machine.memory_pressure}",
            cause="Other programs already need more memory than there is.",
            evidence=(
                Evidence(
                    fact="pressure",
                    value=machine.memory_pressure,
                    source="sysctl kern.memorystatus_vm_pressure_level",
                ),
            ),
            fix=advice,
        )


def _meaning(used: int) -> str:
    if used <= TOLERABLE:
        return "So little is tolerable: 5 to 10 % slower at most."
    if used < BAD:
        return "More than the 0.5 GB that is tolerable: expect a model to run slower."
    if used < CRITICAL:
        return "That is bad: models run 30 to 50 % slower on such a machine."
    return "That is critical: models run 2 to 3 times slower on such a machine."
