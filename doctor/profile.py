"""Run profiles: how to run a model on a machine that has little memory for it.

Pure: what a generation would take is asked of ``predict``, and whether the machine has it of
``fits``. Steps are taken in this order and only as far as needed: smaller pictures, fewer tokens, a
KV cache of fewer bits; then the same on the next model: a smaller quantisation, then a smaller
model. A step that saves nothing is left out.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from doctor.errors import Refused
from doctor.estimate import Estimate, Job
from doctor.facts import Struct

SCHEMA = "vlm-doctor/profile/1"

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


class Profile(Struct, frozen=True):
    """How to run a model here; null for what may stay as mlx-vlm has it.

    ``longest_side`` is in pixels, ``steps`` say what was changed. ``peak_bytes`` is what is
    predicted with the profile, ``peak_before_bytes`` without. ``fits`` tells whether the machine
    has that; where not even the smallest fits, the profile is the least of all.
    """

    schema: str
    model: str
    asked_for: str
    max_tokens: int
    longest_side: int | None
    kv_bits: int | None
    steps: tuple[str, ...]
    peak_bytes: int
    peak_before_bytes: int
    budget_bytes: int | None
    fits: bool

    def generation(self) -> dict[str, object]:
        """The arguments of ``mlx_vlm.generate`` and ``stream_generate``."""
        result: dict[str, object] = {"max_tokens": self.max_tokens}
        if self.longest_side is not None:
            result["resize_shape"] = (self.longest_side, self.longest_side)
        if self.kv_bits is not None:
            # mlx-vlm quantises only from 5,000 tokens on, if nothing else is said.
            result |= {"kv_bits": self.kv_bits, "quantized_kv_start": 0}
        return result

    def command(self) -> str:
        """The command line that runs the model with this profile."""
        words = ["mlx_vlm.generate", "--model", self.model, "--image", "PICTURE"]
        words += ["--prompt", "Describe the picture.", "--max-tokens", str(self.max_tokens)]
        if self.longest_side is not None:
            words += ["--resize-shape", str(self.longest_side), str(self.longest_side)]
        if self.kv_bits is not None:
            words += ["--kv-bits", str(self.kv_bits), "--quantized-kv-start", "0"]
        return shlex.join(words)

    def call(self) -> str:
        """The same in Python."""
        arguments = "".join(f", {name}={value!r}" for name, value in self.generation().items())
        return (
            "from mlx_vlm import generate, load\n"
            "from mlx_vlm.prompt_utils import apply_chat_template\n"
            "\n"
            f"model, processor = load({self.model!r})\n"
            'question = "Describe the picture."\n'
            "prompt = apply_chat_template(processor, model.config, question, num_images=1)\n"
            'generate(model, processor, prompt, image=["PICTURE"], verbose=True'
            f"{arguments})\n"
        )


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
        yield "cache", f"a KV cache of {bits} bits", {"kv_bits": bits}


def shrunk(picture: tuple[int, int], side: int) -> tuple[int, int]:
    """A picture's size when it is made to fit a square; mlx-vlm's ``resize_image`` rounds down."""
    width, height = picture
    ratio = min(side / width, side / height)
    return max(1, int(width * ratio)), max(1, int(height * ratio))


def _longest(job: Job) -> int:
    return max((max(picture) for picture in job.images), default=0)


def to_toml(profile: Profile) -> str:
    """The profile as a file that people read, and that ``smoke --profile`` takes."""
    lines = [
        f"# How to run {comment(profile.asked_for)} on this machine. Written by vlm-doctor.",
        "#",
    ]
    if profile.steps:
        lines += [f"# - {comment(step)}" for step in profile.steps]
    else:
        lines.append("# - nothing has to be changed")
    outlook = "fits" if profile.fits else "does not fit: expect it to wait for the disk"
    lines += [
        "#",
        f"# Predicted peak: {_gigabytes(profile.peak_bytes)}, without these "
        f"{_gigabytes(profile.peak_before_bytes)}. It {outlook}.",
        "#",
        "# On the command line:",
        "#",
        f"#     {comment(profile.command())}",
        "#",
        "# In Python:",
        "#",
        *(f"#     {comment(line)}".rstrip() for line in profile.call().splitlines()),
    ]
    if profile.longest_side is not None:
        lines += [
            "#",
            "# mlx-vlm makes every picture that large, also a smaller one: leave it out for those.",
        ]
    lines.append("")
    for name in Profile.__struct_fields__:
        value = getattr(profile, name)
        if value is not None:
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def read(path: Path) -> Profile:
    """A profile from its file. Raises ``Refused`` where it is none."""
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        if path.stat().st_size > MOST_PROFILE_BYTES:
            raise Refused(f"{path} is too large to be a run profile.")
        content: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
        optional = {"longest_side": None, "kv_bits": None, "budget_bytes": None}
        found = msgspec.convert(optional | dict(content), type=Profile)
    except OSError as error:
        raise Refused(f"{path} could not be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise Refused(f"{path} is no run profile: {words}.") from None
    if found.schema != SCHEMA:
        raise Refused(f"{path} is no run profile: its schema is {found.schema!r}.")
    numbers = (found.max_tokens, found.longest_side or 1, found.kv_bits or 1)
    if not all(0 < number <= MOST_NUMBER for number in numbers):
        raise Refused(f"{path} is no run profile: its numbers are out of reach.")
    return found


MOST_PROFILE_BYTES = 100_000
MOST_NUMBER = 1_000_000


def comment(text: str) -> str:
    """Text for one line of a comment: TOML allows no control characters there."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _toml(value: object) -> str:
    """A value in TOML: JSON's strings, numbers and lists are TOML's too."""
    return msgspec.json.encode(value).decode()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
