"""Run profiles: the steps in their order and no further than needed, and the file."""

from __future__ import annotations

import ast
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.errors import Refused
from doctor.estimate import Estimate, Job, Phases
from doctor.memory import run_profile
from doctor.memory.ladder import USUAL, Candidate, choose, shrunk
from doctor.memory.run_profile import Profile
from doctor.proving import stand_in
from tests.conftest import Fixed

MB = 1_000_000


def estimate_of(peak: int) -> Estimate:
    return Estimate(
        weights_bytes=0,
        peak_bytes=peak,
        low_bytes=peak,
        high_bytes=peak,
        phases=Phases(load=0, vision=0, prefill=peak, decode=0),
        vision_tokens=0,
        prompt_tokens=0,
        kv_cache_bytes=0,
        tokens_per_second=None,
        exact=True,
        notes=(),
    )


def growing(weights: int, pixel: float = 500.0) -> Callable[[Job], Estimate]:
    """A model whose need grows with the picture, the tokens, and the bits of its cache."""

    def predict(job: Job) -> Estimate:
        pixels = sum(width * height for width, height in job.images)
        cache = job.max_tokens * 100_000 * (job.kv_bits or 16) // 16
        return estimate_of(weights + int(pixels * pixel) + cache)

    return predict


LARGE = Candidate(model="org/Large-4bit", predict=growing(3_000 * MB))
SMALLER = Candidate(model="org/Large-3bit", predict=growing(2_400 * MB), why="the same in 3 bits")
SMALL = Candidate(model="org/Small-4bit", predict=growing(1_200 * MB), why="a smaller model")


def chosen(budget: int, *candidates: Candidate) -> Profile:
    found = choose(
        candidates or (LARGE, SMALLER, SMALL),
        USUAL,
        lambda told: told.peak_bytes <= budget,
        budget,
    )
    assert found is not None
    return found


def test_where_there_is_room_nothing_is_changed() -> None:
    found = chosen(6_000 * MB)
    assert (found.model, found.steps, found.fits) == ("org/Large-4bit", (), True)
    assert (found.longest_side, found.kv_bits) == (None, None)
    assert found.max_tokens == USUAL.max_tokens
    assert found.peak_bytes == found.peak_before_bytes


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (3_800 * MB, ("pictures of 1536 pixels at most",)),
        (3_550 * MB, ("pictures of 1280 pixels at most",)),
        (3_131 * MB, ("pictures of 512 pixels at most",)),
        (3_110 * MB, ("pictures of 512 pixels at most", "at most 256 tokens")),
        (3_090 * MB, ("pictures of 512 pixels at most", "at most 149 tokens")),
        (
            3_082 * MB,
            ("pictures of 512 pixels at most", "at most 149 tokens", "a KV cache of 8 bits"),
        ),
    ],
)
def test_the_steps_are_taken_in_order_and_only_as_far_as_needed(
    budget: int, steps: tuple[str, ...]
) -> None:
    found = chosen(budget)
    assert (found.model, found.steps, found.fits) == ("org/Large-4bit", steps, True)
    assert found.peak_bytes <= budget < found.peak_before_bytes


def test_then_come_a_smaller_quantisation_and_a_smaller_model() -> None:
    found = chosen(2_900 * MB)
    assert found.model == "org/Large-3bit"
    assert found.steps[0] == "org/Large-3bit, the same in 3 bits"
    assert found.asked_for == "org/Large-4bit"
    assert chosen(2_000 * MB).model == "org/Small-4bit"
    assert chosen(2_000 * MB).steps[1:] == ("pictures of 1536 pixels at most",)


def test_where_nothing_fits_it_is_the_least() -> None:
    found = chosen(500 * MB)
    assert not found.fits
    assert (found.model, found.longest_side, found.kv_bits) == ("org/Small-4bit", 512, 4)


def test_steps_that_save_nothing_are_left_out() -> None:
    """A model that makes every picture one size, and whose cache is not quantised."""

    def predict(job: Job) -> Estimate:
        return estimate_of(3_000 * MB + job.max_tokens * MB)

    found = chosen(3_200 * MB, Candidate(model="m", predict=predict))
    assert found.steps == ("at most 149 tokens",)
    assert found.longest_side is None


def test_what_cannot_be_told_is_no_profile() -> None:
    nothing = Candidate(model="m", predict=lambda job: None)
    assert choose([nothing, SMALL], USUAL, lambda told: True, None) is None
    # A candidate further on that cannot be told is passed over.
    assert chosen(2_000 * MB, LARGE, nothing, SMALL).model == "org/Small-4bit"


def test_pictures_keep_their_shape() -> None:
    assert shrunk((1920, 1080), 1024) == (1024, 576)
    assert shrunk((1080, 1920), 512) == (288, 512)
    assert shrunk((4000, 10), 512) == (512, 1)


# The file


def test_the_file_can_be_read_back(tmp_path: Path) -> None:
    for budget in (6_000 * MB, 3_085 * MB, 500 * MB):
        found = chosen(budget)
        path = tmp_path / "profile.toml"
        path.write_text(run_profile.to_toml(found))
        assert run_profile.read(path) == found


def test_the_command_and_the_call_say_the_same(tmp_path: Path) -> None:
    found = chosen(3_085 * MB)
    words = shlex.split(found.command())
    assert words[:3] == ["mlx_vlm.generate", "--model", "org/Large-4bit"]
    assert " ".join(words[7:]) == (
        "--max-tokens 149 --resize-shape 512 512 --kv-bits 8 --quantized-kv-start 0"
    )
    tree = ast.parse(found.call())
    last = tree.body[-1]
    assert isinstance(last, ast.Expr)
    assert isinstance(last.value, ast.Call)
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in last.value.keywords}
    assert {name: given[name] for name in found.generation()} == found.generation()
    # mlx-vlm would quantise only from 5,000 tokens on.
    assert found.generation()["quantized_kv_start"] == 0


@pytest.mark.parametrize(
    "name", ["a\nb = 1", 'quo"te', "x'; rm -rf ~; '", "\x1b[31mred", "ünï", "back\\slash"]
)
def test_a_models_name_cannot_write_into_the_file(tmp_path: Path, name: str) -> None:
    found = chosen(3_085 * MB, Candidate(model=name, predict=growing(3_000 * MB)))
    path = tmp_path / "profile.toml"
    path.write_text(run_profile.to_toml(found))
    assert run_profile.read(path) == found
    assert "\x1b" not in path.read_text()
    assert shlex.split(found.command())[2] == name
    ast.parse(found.call())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not toml",
        'schema = "other/1"',
        "max_tokens = -1",
        "[" * 5000,
        "\x00",
        "max_tokens = 99999999999999999999999999",
    ],
)
def test_a_file_that_is_no_profile(tmp_path: Path, content: str) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(content)
    with pytest.raises(Refused, match="is no run profile"):
        run_profile.read(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("max_tokens = 149", "max_tokens = -1"), ("longest_side = 512", "longest_side = 9999999")],
)
def test_numbers_out_of_reach(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "profile.toml"
    text = run_profile.to_toml(chosen(3_085 * MB))
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(Refused, match="out of reach"):
        run_profile.read(path)


def test_a_profile_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="could not be read"):
        run_profile.read(tmp_path / "none.toml")
    with pytest.raises(Refused, match="could not be read"):
        run_profile.read(tmp_path)
    (tmp_path / "large").write_text("#" * 200_000)
    with pytest.raises(Refused, match="too large"):
        run_profile.read(tmp_path / "large")


# A real run


def test_a_generation_runs_as_the_profile_says(fresh: Fixed, tmp_path: Path) -> None:
    """The doctor's own model, made to take pictures of any size, as if it were somebody's."""
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    config = json.loads((folder / "preprocessor_config.json").read_text())
    config |= {"size": {"longest_edge": 10**7, "shortest_edge": 1024}}
    config |= {"max_pixels": 10**7, "min_pixels": 1024}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    path = tmp_path / "profile.toml"
    wanted = Profile(
        schema=run_profile.SCHEMA,
        model=str(folder),
        asked_for=str(folder),
        max_tokens=12,
        longest_side=192,
        kv_bits=None,
        steps=("pictures of 192 pixels at most",),
        peak_bytes=1,
        peak_before_bytes=2,
        budget_bytes=None,
        fits=True,
    )
    path.write_text(run_profile.to_toml(wanted))
    question = ("--prompt", "Describe the picture.")
    words = ("smoke", "--python", str(fresh.python), *question)
    plain = fresh.doctor.json(*words, "--model", str(folder)).report
    shaped = fresh.doctor.json(*words, "--profile", str(path)).report
    assert (plain["settings"], shaped["settings"]) == (
        {"max_tokens": 160},
        {"max_tokens": 12, "resize_shape": [192, 192]},
    )
    # The picture of 128 x 96 has 4 x 3 tokens; made to fit 192 x 192 it has 6 x 4.
    assert shaped["prompt_tokens"] - plain["prompt_tokens"] == 6 * 4 - 4 * 3
    assert shaped["generation_tokens"] <= 12 < plain["generation_tokens"]
    assert shaped["model"]["id"] == str(folder)


def test_a_profile_that_is_none_is_refused(fresh: Fixed, tmp_path: Path) -> None:
    run = fresh.doctor("smoke", "--profile", str(tmp_path / "none.toml"))
    assert run.code == 2
    assert run.err.count("\n") <= 2
