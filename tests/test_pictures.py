"""The pictures, their answers and the model's files, without MLX."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
from PIL import Image

from doctor.proving import pictures, stand_in

MODEL = stand_in.FOLDER


def test_the_bytes_of_the_pictures_are_those_that_the_model_was_trained_on() -> None:
    pytest.importorskip("PIL")
    digest = hashlib.sha256()
    for seed in range(6_000_000_000, 6_000_000_300):
        digest.update(pictures.draw(pictures.picture(seed)).tobytes())
    assert digest.hexdigest() == "0caa3555201018363df584d412ceb3a9f478663df8a49631b274054b4c94c9d8"


def test_everything_is_drawn_inside_the_picture() -> None:
    for seed in range(2000):
        what = pictures.picture(seed)
        image = pictures.draw(what)
        assert isinstance(image, Image.Image)
        colours = {colour for _, colour in image.getcolors(16) or ()}
        assert {what.background_rgb, what.colour_rgb, what.ink} == colours
        edge = [image.getpixel((x, y)) for x in range(what.width) for y in (0, what.height - 1)]
        edge += [image.getpixel((x, y)) for y in range(what.height) for x in (0, what.width - 1)]
        assert set(edge) == {what.background_rgb}, what


@pytest.mark.parametrize(
    ("number", "english", "russian"),
    [
        (10, "ten", "десять"),
        (19, "nineteen", "девятнадцать"),
        (20, "twenty", "двадцать"),
        (47, "forty-seven", "сорок семь"),
        (99, "ninety-nine", "девяносто девять"),
    ],
)
def test_numbers_are_read_aloud(number: int, english: str, russian: str) -> None:
    assert pictures.number_words(number, "en") == english
    assert pictures.number_words(number, "ru") == russian


def test_each_answer_is_one_sentence_and_different_pictures_differ() -> None:
    said = set()
    for seed in range(500):
        what = pictures.picture(seed)
        for question in pictures.QUESTIONS:
            for language in pictures.LANGUAGES:
                sentence = pictures.answer(what, question, language)
                assert sentence.endswith(".")
                assert sentence.count(".") == 1
                assert sentence[0].isupper()
        said.add(pictures.answer(what, "all", "en"))
    assert len(said) > 490


def test_an_examination_cannot_be_passed_by_luck() -> None:
    assert pictures.lucky_guess() <= 1e-6
    asked = pictures.examination()
    assert asked == pictures.examination(pictures.EXAMINATION_SEED)
    assert asked != pictures.examination(pictures.EXAMINATION_SEED + 1)
    shown = {what.seed: what for what, _, _ in asked}
    assert len(shown) == len({what.size for what in shown.values()}) == 3
    native = pictures.SIZES[: pictures.NATIVE_SIZES]
    assert [what.size in native for what in shown.values()] == [True, False, False]


def test_the_files_are_those_of_the_checksums_and_small() -> None:
    sums = json.loads((MODEL / "checksums.json").read_text(encoding="utf-8"))
    for name, expected in sums.items():
        assert hashlib.sha256((MODEL / name).read_bytes()).hexdigest() == expected, name
    files = {path.name for path in MODEL.iterdir()}
    assert files == {*sums, "checksums.json", "MODEL_CARD.md"}
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 2_000_000


def test_the_model_is_a_quantised_qwen3_vl_with_deepstack() -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "qwen3_vl"
    assert config["quantization"] == {"group_size": 32, "bits": 4, "mode": "affine"}
    assert config["vision_config"]["deepstack_visual_indexes"] == [1, 2]
    with (MODEL / "model.safetensors").open("rb") as weights:
        (length,) = struct.unpack("<Q", weights.read(8))
        header = json.loads(weights.read(length))
    packed = [name for name, entry in header.items() if entry.get("dtype") == "U32"]
    assert any(name.startswith("vision_tower.deepstack_merger_list.1.") for name in packed)
    assert "language_model.model.embed_tokens.weight" in packed
