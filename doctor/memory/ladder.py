"""Choosing a run profile: the steps down that a model is taken until the machine has room for it.

Pure: what a generation would take is asked of ``predict``, and whether the machine has it of
``fits``. Steps are taken in this order and only as far as needed: smaller pictures, fewer tokens, a
KV cache of fewer bits; then the same on the next model: a smaller quantisation, then a smaller
model. A step that saves nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from doctor.estimate import Estimate, Job
from doctor.facts import Struct
from doctor.memory.run_profile import SCHEMA, Profile

# Pixels of the longest side, from a large screenshot's down to where small print is lost.
SIDES = (1536, 1280, 1024, 768, 512)
# The report's advice for 8 GB is fewer than 150 tokens (its section 6.1).
TOKENS = (256, 149)
KV_BITS = (8, 4)

# What a generation is planned for where the user says nothing: a screenshot of 1920 x 1080 like the
# report's, a question, and a long answer. The profile pins the tokens: mlx-vlm itself would go on
# to 256 or 2,048, by its release (DEFAULT_MAX_TOKENS).
USUAL = Job(images=((1920, 1080),), prompt_tokens=64, max_tokens=512)


class Candidate(Struct, frozen=True):
    """A model that could be run, and what a job would take with it.

    ``predict`` gives null where that cannot be told; ``why`` says what the model is to the one that
    was asked for, null for that one itself.
    """

    model: str
    predict: Callable[[Job], Estimate | None]
    why: str | None = None


def choose(
    candidates: Sequence[Candidate],
    usual: Job,
    fits: Callable[[Estimate], bool],
    budget_bytes: int | None,
) -> Profile | None:
    """The first of the steps that fits, else the one that takes least.

    The first candidate is the model that was asked for. Null where nothing can be told of it.
    """
    before = candidates[0].predict(usual)
    if before is None:
        return None
    least: Profile | None = None
    for candidate in candidates:
        for job, steps, told in _ladder(candidate, usual):
            other = (f"{candidate.model}, {candidate.why}",) if candidate.why else ()
            found = Profile(
                schema=SCHEMA,
                model=candidate.model,
                asked_for=candidates[0].model,
                max_tokens=job.max_tokens,
                longest_side=_longest(job) if job.images != usual.images else None,
                kv_bits=job.kv_bits,
                steps=(*other, *steps),
                peak_bytes=told.peak_bytes,
                peak_before_bytes=before.peak_bytes,
                budget_bytes=budget_bytes,
                fits=fits(told),
            )
            if found.fits:
                return found
            if least is None or found.peak_bytes < least.peak_bytes:
                least = found
    return least


def _ladder(candidate: Candidate, usual: Job) -> Iterator[tuple[Job, tuple[str, ...], Estimate]]:
    """The jobs to try with a model, each a step further, with what was changed until there."""
    job, steps = usual, ()
    told = candidate.predict(job)
    if told is None:
        return
    yield job, steps, told
    said: dict[str, str] = {}
    for name, words, step in _steps(usual):
        next_job = msgspec.structs.replace(job, **step)
        next_told = candidate.predict(next_job)
        if next_told is None or next_told.peak_bytes >= told.peak_bytes:
            continue
        job, told = next_job, next_told
        said[name] = words
        yield job, tuple(said.values()), told


def _steps(usual: Job) -> Iterator[tuple[str, str, dict[str, object]]]:
    """What can be changed, in order: a name, words, and the fields of the job."""
    longest = _longest(usual)
    for side in SIDES:
        if side < longest:
            images = tuple(shrunk(picture, side) for picture in usual.images)
            yield "pictures", f"pictures of {side} pixels at most", {"images": images}
    for tokens in TOKENS:
        if tokens < usual.max_tokens:
            yield "tokens", f"at most {tokens} tokens", {"max_tokens": tokens}
    for bits in KV_BITS:
        fields: dict[str, object] = {"kv_bits": bits, "quantized_kv_start": 0}
        yield "cache", f"a KV cache of {bits} bits", fields


def shrunk(picture: tuple[int, int], side: int) -> tuple[int, int]:
    """A picture's size when it is made to fit a square; mlx-vlm's ``resize_image`` rounds down."""
    width, height = picture
    ratio = min(side / width, side / height)
    return max(1, int(width * ratio)), max(1, int(height * ratio))


def _longest(job: Job) -> int:
    return max((max(picture) for picture in job.images), default=0)
