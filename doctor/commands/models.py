"""``vlm-doctor models``: which of the models that people run fit this machine; or fetch one."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from doctor import terminal
from doctor.commands.options import add_target, target_of
from doctor.errors import Refused
from doctor.estimate import Estimate, Job, Judgement, judge
from doctor.estimate.of_facts import library_of
from doctor.facts import Facts, Machine
from doctor.look import look
from doctor.memory import outlook, plots, popular
from doctor.memory.ladder import USUAL
from doctor.memory.popular import Popular, Table
from doctor.memory.prediction import predict
from doctor.probes import model
from doctor.reports import SCHEMA, Tool
from doctor.reports.models import ModelsReport
from doctor.reports.pull import PullOutcome, PullReport
from doctor.support import saved

PULL_EXIT: dict[PullOutcome, int] = {
    "pulled": 0,
    "nothing-to-do": 0,
    "planned": 0,
    "declined": 1,
    "not-proven": 1,
    "failed": 1,
    "interrupted": 130,
}
# Sides of the squares that are drawn, in pixels.
DRAWN = (256, 512, 768, 1024, 1280, 1536, 2048)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_target(parser)
    parser.add_argument("--pull", metavar="M", help="fetch this model from the Hub, and try it")
    parser.add_argument("--yes", action="store_true", help="with --pull: do not ask")
    parser.add_argument("--dry-run", action="store_true", help="with --pull: only show it")
    parser.add_argument(
        "--drop-old", action="store_true", help="with --pull: delete its older revisions at the end"
    )
    parser.add_argument("--facts", metavar="FILE", help="for the machine of saved facts")
    parser.add_argument("--plot", metavar="FILE", help="draw one model's memory into this .svg")
    parser.add_argument("--model", metavar="M", help="the model to draw (default: Qwen3-VL-4B)")


def run(options: argparse.Namespace) -> tuple[ModelsReport | PullReport, int]:
    """Predict every model of the table for the machine; or fetch one."""
    started = time.perf_counter()
    if options.plot is not None and not options.plot.lower().endswith(".svg"):
        raise Refused(
            f"{options.plot}: drawings are written as SVG.", "Name a file that ends in .svg."
        )
    if options.pull is not None:
        if options.facts or options.plot or options.model:
            raise Refused("--pull fetches a model; it goes with no --facts, --plot and --model.")
        return _pull(options)
    if options.yes or options.dry_run or options.drop_old:
        raise Refused("--yes, --dry-run and --drop-old go with --pull.")
    if options.model is not None and options.plot is None:
        raise Refused("--model goes with --plot.", "See: vlm-doctor estimate MODEL")
    if options.facts is None:
        facts = look(target_of(options), model.DEFAULT, os.environ)
        return _report(options, facts, started), 0
    if options.python or options.venv:
        raise Refused("--facts is about saved facts; it goes with no --python and no --venv.")
    path = Path(options.facts)
    facts = saved.read(path)
    return saved.judged(path, lambda: _report(options, facts, started)), 0


def _pull(options: argparse.Namespace) -> tuple[PullReport, int]:
    from doctor.hub import pulling

    request = pulling.Request(
        target=target_of(options),
        model=options.pull,
        yes=options.yes,
        dry_run=options.dry_run,
        drop_old=options.drop_old,
    )
    report = pulling.Pulling(request, os.environ, terminal.say).run()
    return report, PULL_EXIT[report.outcome]


def _report(options: argparse.Namespace, facts: Facts, started: float) -> ModelsReport:
    machine = facts.machine
    if machine.ram_total_bytes is None:
        raise Refused("Nothing is known of this machine's memory.")
    table = popular.load()
    library = library_of(facts)

    def told(model: Popular, job: Job) -> Estimate | None:
        return predict(table, model, job, library, machine.chip)

    def judged(estimate: Estimate) -> Judgement:
        return judge(estimate, machine)

    if options.plot is not None:
        drawn = _drawing(table, options.model or model.DEFAULT, told, machine)
        _write(Path(options.plot), drawn)
    if options.facts is None:
        terminal.say(f"Predicting {len(table.models)} models …")
    rows = outlook.rows(table, told, judged, lambda kind: table.recipes.get(kind or ""))
    return ModelsReport(
        schema=SCHEMA,
        command="models",
        tool=Tool(),
        chip=machine.chip,
        ram_total_bytes=machine.ram_total_bytes,
        ram_available_bytes=machine.ram_available_bytes,
        gpu_budget_bytes=machine.gpu_budget_bytes,
        gpu_budget_source=machine.gpu_budget_source,
        models=rows,
        sources=table.sources,
        plot=options.plot,
        seconds=round(time.perf_counter() - started, 3),
    )


def _drawing(
    table: Table,
    name: str,
    told: Callable[[Popular, Job], Estimate | None],
    machine: Machine,
) -> str:
    """One model's memory on the machine. Raises ``Refused`` where the table does not have it."""
    found = table.find(name)
    usual = None if found is None else told(found, USUAL)
    if found is None or usual is None:
        raise Refused(f"{name} is not in the table of models.", "See: vlm-doctor models")
    pictures = []
    for side in DRAWN:
        one = told(found, msgspec.structs.replace(USUAL, images=((side, side),)))
        if one is not None:
            pictures.append((side, one.peak_bytes))
    return plots.svg(
        name, msgspec.structs.asdict(usual.phases), pictures, judge(usual, machine).limit_bytes
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} could not be written: {error.strerror}.") from None
