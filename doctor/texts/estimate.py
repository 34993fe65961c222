"""The estimate: what it takes, whether it fits, and the report's criteria."""

from __future__ import annotations

from doctor.estimate import Room
from doctor.estimate.judgement import CriterionName
from doctor.language import Foreign, text
from doctor.reports.estimate import EstimateReport
from doctor.terminal import Paper

ROOM_WORDS: dict[Room, tuple[str, str]] = {
    "fits": ("green", "It fits."),
    "fits-if-closed": ("yellow", "It fits if you close"),
    "pages": ("yellow", "It loads, and pages to disk: slow."),
    "will-not-run": ("red", "It cannot be loaded: the weights alone are more than MLX allocates."),
}
CRITERION_WORDS: dict[CriterionName, str] = {
    "tokens-per-second": "tokens/s",
    "swap-bytes": "swap",
    "memory-pressure": "memory pressure",
}
MET = {True: "yes", False: "no", None: "not known"}


def render(report: EstimateReport, out: Paper) -> None:
    """Print the need, the judgement, and the table of criteria."""
    job = report.job
    pictures = ", ".join(f"{width} x {height}" for width, height in job.images) or "none"
    out.line((report.model, "bold"), f" ({report.type or 'type not known'})")
    out.line(
        f"pictures: {pictures} ({report.vision_tokens} tokens); text {job.prompt_tokens}, "
        f"answer {job.max_tokens} tokens"
        + (f"; KV cache of {job.kv_bits} bits" if job.kv_bits else ""),
        indent=2,
    )
    there = [f"{name} {version or 'not known'}" for name, version in report.packages.items()]
    out.line(Foreign(", ".join(there)), f" (MLX's {report.backend} backend)", indent=2)
    out.line("")
    phases = report.phases
    peak = report.peak_bytes
    rows = [("phase", "peak", "")]
    rows += [
        (name, _size(size), "the highest" if size == peak else "")
        for name, size in (
            ("load", phases.load),
            ("vision", phases.vision),
            ("prefill", phases.prefill),
            ("decode", phases.decode),
        )
    ]
    out.table(rows)
    out.line("")
    out.line(
        ("Peak ", "bold"),
        f"{_size(peak)}, between {_size(report.low_bytes)} and {_size(report.high_bytes)}; "
        f"of it {_size(report.weights_bytes)} weights",
    )
    out.line(
        ("Need ", "bold"),
        _size(report.need_bytes),
        ""
        if report.limit_bytes is None
        else f", of the {_size(report.limit_bytes)} that are there",
        f" ({text(report.limit_source)})" if report.limit_source else "",
    )
    style, words = ROOM_WORDS[report.room]
    close = f" {', '.join(report.close)}." if report.room == "fits-if-closed" else ""
    out.line((words + close, style))
    out.line("")
    out.line("Ready for production, by the field report's criteria:")
    out.table(
        [
            ("", "wanted", "predicted", "met"),
            *(
                (CRITERION_WORDS[row.name], row.wanted, row.value or "not known", MET[row.met])
                for row in report.ready
            ),
        ],
        indent=2,
    )
    for note in report.notes:
        out.line(("note ", "cyan"), note)


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 10_000_000 else f"{size / 1e6:.2f} MB"
