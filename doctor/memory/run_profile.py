"""Run profiles: how to run a model on a machine that has little memory for it, as a file.

A profile is TOML that people read. It says the same three times: in words, as the command line of
mlx-vlm and as the call in Python (comments), and as values that ``smoke --profile`` takes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from doctor.errors import Refused
from doctor.facts import Struct

SCHEMA = "vlm-doctor/profile/1"

# A file of ours has some thousand bytes, and no picture or answer comes near this number.
MOST_PROFILE_BYTES = 100_000
MOST_NUMBER = 1_000_000


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


def comment(text: str) -> str:
    """Text for one line of a comment: TOML allows no control characters there."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _toml(value: object) -> str:
    """A value in TOML: JSON's strings, numbers and lists are TOML's too."""
    return msgspec.json.encode(value).decode()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
