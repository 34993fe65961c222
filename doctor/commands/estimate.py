"""``vlm-doctor estimate``: what a generation with a model takes, and whether it fits here."""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path

from doctor.commands.options import add_target, target_of
from doctor.errors import Refused
from doctor.estimate import Job, NotEstimable, estimate_of, judge
from doctor.estimate.of_facts import USUAL
from doctor.facts import Facts
from doctor.look import look
from doctor.reports.estimate import EstimateReport, estimate_report

MOST = 10_000_000
# The bits that MLX can quantise a cache to (``mx.quantize``).
KV_BITS = (2, 3, 4, 5, 6, 8)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("model", metavar="M", help="a Hub id or a model's folder")
    add_target(parser)
    parser.add_argument(
        "--image",
        metavar="WxH",
        action="append",
        type=_size,
        help="a picture's size in pixels; more than once for several (default: 1024x768)",
    )
    parser.add_argument(
        "--prompt-tokens",
        metavar="N",
        type=_tokens,
        default=USUAL.prompt_tokens,
        help=f"tokens of text; pictures add their own (default: {USUAL.prompt_tokens})",
    )
    parser.add_argument(
        "--max-tokens",
        metavar="N",
        type=_tokens,
        default=USUAL.max_tokens,
        help=f"tokens of the answer (default: {USUAL.max_tokens})",
    )
    parser.add_argument(
        "--kv-bits", metavar="N", type=int, choices=KV_BITS, help="bits of the KV cache"
    )
    parser.add_argument(
        "--prefill-step-size",
        metavar="N",
        type=_step,
        default=USUAL.prefill_step_size,
        help="tokens of a prompt that are taken in at a time "
        f"(default: mlx-vlm's own {USUAL.prefill_step_size})",
    )
    parser.add_argument("--facts", metavar="FILE", help="for the machine of saved facts")
    parser.add_argument(
        "--online", action="store_true", help="read a model's headers from the Hub (some kilobytes)"
    )


def run(options: argparse.Namespace) -> tuple[EstimateReport, int]:
    """Estimate, and judge. Raises ``Refused`` where the model is not known well enough."""
    started = time.perf_counter()
    facts = _facts(options)
    job = Job(
        images=tuple(options.image or USUAL.images),
        prompt_tokens=options.prompt_tokens,
        max_tokens=options.max_tokens,
        kv_bits=options.kv_bits,
        prefill_step_size=options.prefill_step_size,
    )
    try:
        told = estimate_of(facts, job)
    except NotEstimable as error:
        raise Refused(
            f"What {facts.model.id} takes cannot be told: {error}.",
            "Models that are here are read from their own files.",
        ) from None
    report = estimate_report(
        facts, job, told, judge(told, facts.machine), time.perf_counter() - started
    )
    return report, 0


def _facts(options: argparse.Namespace) -> Facts:
    if options.facts is None:
        ask = None
        if options.online:
            from doctor.probes import hub_headers

            ask = hub_headers.ask
        facts = look(target_of(options), options.model, os.environ, ask=ask)
        if facts.hub is not None and facts.hub.trouble is not None:
            raise Refused(facts.hub.trouble.message)
        return facts
    if options.python or options.venv:
        raise Refused("--facts is about another machine; it goes with no --python and no --venv.")
    if options.online:
        raise Refused("--online asks the Hub; it goes with no --facts.")
    from doctor.probes import model
    from doctor.support import saved

    facts = saved.read(Path(options.facts))
    if facts.model.id == options.model:
        return facts
    import msgspec

    # The machine and the libraries of the facts, with a model that is here or well known.
    return msgspec.structs.replace(facts, model=model.look(options.model))


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})[xX×](\d{1,6})", text, re.ASCII)  # noqa: RUF001 as people type it
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 1920x1080")
    return int(match[1]), int(match[2])


def _tokens(text: str) -> int:
    if not re.fullmatch(r"\d{1,8}", text, re.ASCII) or int(text) > MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tokens")
    return int(text)


def _step(text: str) -> int:
    tokens = _tokens(text)
    if tokens < 1:
        raise argparse.ArgumentTypeError("a step has at least one token")
    return tokens
