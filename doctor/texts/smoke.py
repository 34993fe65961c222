"""The report of a generation."""

from __future__ import annotations

from doctor.reports.smoke import SmokeReport
from doctor.terminal import Paper


def render(report: SmokeReport, out: Paper) -> None:
    """Print the stages, the answers and what was measured."""
    out.line(("Generation ", "bold"), f"with {report.model.id}")
    for stage in report.stages:
        seconds = f" {stage.seconds:.2f} s" if stage.seconds is not None else ""
        if stage.passed:
            out.line(("passed ", "green"), f"{stage.name}{seconds}", indent=2)
        else:
            out.line(("failed ", "bold red"), f"{stage.name}{seconds}: {stage.error}", indent=2)
            if stage.traceback:
                for line in stage.traceback.splitlines()[-8:]:
                    out.line((line, "dim"), indent=4)
    for answer in report.answers:
        out.line(f"asked: {answer.prompt}", indent=2)
        out.line(f"answered: {answer.answer}", indent=4)
        if answer.expected not in (None, answer.answer):
            out.line(f"in the picture: {answer.expected}", indent=4)
    if report.understood is False:
        out.line(("failed ", "bold red"), "the picture was not understood", indent=2)
    measured = []
    if report.tokens_per_second is not None:
        measured.append(f"{report.tokens_per_second:.1f} tokens/s")
    if report.time_to_first_token_seconds is not None:
        measured.append(f"first token after {report.time_to_first_token_seconds:.2f} s")
    if report.peak_memory_bytes is not None:
        measured.append(f"peak {report.peak_memory_bytes / 1e6:.0f} MB")
    if report.ram_delta_bytes is not None:
        measured.append(f"RAM {report.ram_delta_bytes / 1e6:+.0f} MB")
    if report.swap_delta_bytes is not None:
        measured.append(f"swap {report.swap_delta_bytes / 1e6:+.0f} MB")
    if report.pressure_after is not None:
        measured.append(f"pressure {report.pressure_before} → {report.pressure_after}")
    if measured and report.answer is not None:
        out.line(", ".join(measured), indent=2)
    out.line(
        ("passed", "bold green") if report.passed else ("failed", "bold red"),
        f" in {report.seconds:.1f} s",
        indent=2,
    )
