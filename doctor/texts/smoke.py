"""The report of a generation."""

from __future__ import annotations

from collections.abc import Sequence

from doctor.language import Foreign
from doctor.memory.device import Device
from doctor.reports.smoke import PhaseName, Ready, SmokeReport, SwapVerdict, WatchReport
from doctor.terminal import Paper
from doctor.texts.estimate import CRITERION_WORDS, MET

PHASE_WORDS: dict[PhaseName, str] = {
    "import": "importing the libraries",
    "load": "loading the model",
    "see": "reading the picture",
    "vision": "the picture went through the vision tower",
    "prefill": "taking in the prompt",
    "decode": "answering",
}
SWAP_WORDS: dict[SwapVerdict, tuple[str, str, str]] = {
    "none": ("green", "swap did not grow", "nothing of the run was moved to disk"),
    "tolerable": ("yellow", "swap grew a little", "5 to 10 % slower at most"),
    "paging": ("bold red", "swap grew", "the run waited for the disk: the model is too large here"),
}


def render(report: SmokeReport, out: Paper) -> None:
    """Print the stages, the answers and what was measured."""
    out.line(("Generation ", "bold"), f"with {report.model.id}")
    for stage in report.stages:
        seconds = f" {stage.seconds:.2f} s" if stage.seconds is not None else ""
        if stage.passed:
            out.line(("passed ", "green"), stage.name, seconds, indent=2)
        else:
            why = Foreign(f": {stage.error}")
            out.line(("failed ", "bold red"), stage.name, seconds, why, indent=2)
            if stage.traceback:
                for line in stage.traceback.splitlines()[-8:]:
                    out.line((Foreign(line), "dim"), indent=4)
    for answer in report.answers:
        out.line("asked: ", Foreign(answer.prompt), indent=2)
        out.line("answered: ", Foreign(answer.answer), indent=4)
        if answer.expected is not None and answer.expected != answer.answer:
            out.line("in the picture: ", Foreign(answer.expected), indent=4)
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
    if report.watch is not None:
        _watch(report.watch, report.device, out)
    if report.ready:
        _ready(report.ready, out)
    out.line(
        ("passed", "bold green") if report.passed else ("failed", "bold red"),
        f" in {report.seconds:.1f} s",
        indent=2,
    )


def _watch(report: WatchReport, device: Device | None, out: Paper) -> None:
    """Memory by phases, which of them set the peak, and whether swap grew."""
    out.line(("Memory ", "bold"), f"in {report.samples} readings", indent=2)
    rows = [("phase", "s", "MLX", "process", "left")]
    rows += [
        (
            phase.name,
            f"{phase.seconds:.1f}",
            _size(phase.mlx_peak_bytes),
            _size(phase.process_peak_bytes),
            _size(phase.available_least_bytes),
        )
        for phase in report.phases
    ]
    out.table(rows, indent=2)
    if report.peak_phase is not None:
        out.line(f"The peak came while {PHASE_WORDS[report.peak_phase]}.", indent=4)
    if device is not None and device.gpu_budget_bytes is not None:
        out.line(f"The GPU's budget is {_size(device.gpu_budget_bytes)}.", indent=4)
    if report.swap is not None:
        style, words, meaning = SWAP_WORDS[report.swap]
        out.line((words, style), f": {meaning}", indent=4)
        out.line(
            f"{_size(report.swap_before_bytes)} were in use before, "
            f"{_size(report.swap_growth_bytes)} more after, "
            f"{_size(report.swapped_out_bytes)} were written",
            indent=4,
        )
    else:
        out.line(("not checked ", "yellow"), "this system does not tell of swap", indent=4)
    if report.pressure_worst is not None:
        out.line(f"Pressure was {report.pressure_worst} at worst.", indent=4)


def _ready(rows: Sequence[Ready], out: Paper) -> None:
    """The field report's criteria: what was wanted, predicted and measured."""
    out.line("Ready for production, by the field report's criteria:", indent=2)
    unknown = "not known"
    out.table(
        [
            ("", "wanted", "predicted", "measured", "met"),
            *(
                (
                    CRITERION_WORDS[row.name],
                    row.wanted,
                    row.predicted or unknown,
                    row.measured or unknown,
                    MET[row.met],
                )
                for row in rows
            ),
        ],
        indent=4,
    )


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    if size < 1e9:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.2f} GB" if size < 1e10 else f"{size / 1e9:.1f} GB"
