"""The command line of the matrix: ``python -m tools.accuracy`` (``make accuracy``)."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tools.accuracy import judge, record, summary
from tools.accuracy.build import Built
from tools.accuracy.cells import ROOT, Cell, load

STAGES = ("truth", "check", "fix")
SHOW = "show"


def main() -> int:
    """Build, run, judge and record; 0 if the doctor was right about all cells that are shown."""
    parser = argparse.ArgumentParser(prog="python -m tools.accuracy", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these cells")
    parser.add_argument("--stage", nargs="+", choices=(*STAGES, SHOW), default=STAGES)
    parser.add_argument("--again", action="store_true", help="even where the result is known")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "accuracy")
    parser.add_argument("--open", action="store_true", help="show the cells that are set aside too")
    options = parser.parse_args()
    cells = [cell for cell in load() if not options.only or cell.name in options.only]
    unknown = set(options.only or ()) - {cell.name for cell in cells}
    if unknown:
        parser.error(f"no such cell: {', '.join(sorted(unknown))}")
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    truths = record.truths()
    aside = {cell.name: cell.set_aside for cell in cells}
    with ProcessPoolExecutor(options.jobs, initializer=os.nice, initargs=(5,)) as pool:
        # In no order, so that what is known after a while is a sample of all.
        shuffled = sorted(cells, key=lambda cell: hashlib.sha256(cell.name.encode()).digest())
        waiting = {
            pool.submit(work, cell, folder, tuple(options.stage), options.again): cell.name
            for cell in shuffled
        }
        for number, future in enumerate(as_completed(waiting), 1):
            name = waiting[future]
            results[name] = result = future.result()
            if SHOW in options.stage:
                continue
            print(f"{number}/{len(cells)} {name}: {summary.line(result)}", flush=True)
            if "truth" in result:
                truths[name] = {key: result[key] for key in ("truth", "neighbours")}
                # What the doctor does to the cells that are set aside is not looked at either.
                if "fix" in result and (options.open or not aside[name]):
                    truths[name]["fix"] = result["fix"]
                record.write_truths(truths)
    if not options.only and SHOW not in options.stage:
        names = {cell.name for cell in cells}
        record.write_truths({name: truth for name, truth in truths.items() if name in names})
        record.forget_facts_but(names)
    return summary.show(cells, results, options.open)


def work(cell: Cell, folder: Path, stages: tuple[str, ...], again: bool) -> dict[str, Any]:
    """All stages of one cell, each written down as soon as it is known."""
    built = Built(cell, folder)
    started = time.perf_counter()
    try:
        if SHOW not in stages:
            built.make()
        result = json.loads(built.result.read_text()) if built.result.exists() else {}
        if "truth" in stages and (again or "truth" not in result):
            result["truth"] = judge.truth(built)
            result["neighbours"] = judge.neighbours(built, result["truth"]["stages"])
            _write(result, built)
        if "check" in stages:
            saved = built.home / "facts.json"
            saved.unlink(missing_ok=True)
            result["check"] = judge.check(built, saved)
            if saved.exists():
                record.keep_facts(built, saved)
            _write(result, built)
        broken = result.get("truth", {}).get("runs") is False
        if "fix" in stages and broken and (again or "fix" not in result):
            result["fix"] = judge.fix(built)
            _write(result, built)
        result.pop("failure", None)
    except subprocess.CalledProcessError as error:
        result = {"failure": f"{error}: {error.stderr}"}
    except Exception:
        result = {"failure": traceback.format_exc()}
    result["seconds"] = round(time.perf_counter() - started, 1)
    return json.loads(record.scrubbed(json.dumps(result), folder))  # type: ignore[no-any-return]


def _write(result: dict[str, Any], built: Built) -> None:
    built.result.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(main())
