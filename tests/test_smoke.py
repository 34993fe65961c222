"""The smoke generation: it proves that the picture reached the model, and judges answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from doctor.errors import CouldNot
from doctor.proving import pictures, smoke, stand_in
from doctor.reports.smoke import Answer
from tests.conftest import ROOT, Fixed

WHAT = pictures.for_other_models()[0][0]  # a red cross on yellow, and the number 52


def test_the_picture_of_the_real_models_is_the_one_that_these_tests_are_about() -> None:
    assert (WHAT.shape, WHAT.colour, WHAT.background, WHAT.number) == ("cross", "red", "yellow", 52)


@pytest.mark.parametrize(
    "text",
    [
        "The image shows a red cross on a yellow background with the number 52.",
        "A bright yellow square image. There is a red plus sign and '52' written in black.",
        "On the left is a Red Cross; on the right, fifty-two.",
        "На жёлтом фоне красный крест и число 52.",
        "Красная фигура в форме креста, рядом написано пятьдесят два.",
    ],
)
def test_free_words_that_name_what_is_there(text: str) -> None:
    assert pictures.names(WHAT, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot see the picture.",
        "A blue cross with the number 52.",
        "A red circle with the number 52.",
        "A red cross with the number 25.",
        "A red cross with the number 152.",
        "A red cross.",
        "Bored across 52",  # neither word begins so
        "<|im_start|>" * 30,
    ],
)
def test_free_words_that_do_not(text: str) -> None:
    assert not pictures.names(WHAT, text)


def answer(text: str | None, expected: str | None) -> Answer:
    return Answer(prompt="?", expected=expected, answer=text)


def test_the_doctors_own_model_has_to_be_exact() -> None:
    assert smoke.is_right(answer("A red cross.", "A red cross."), "examination")
    assert not smoke.is_right(answer("a red cross", "A red cross."), "examination")


def test_what_the_user_expects_has_to_be_contained() -> None:
    assert smoke.is_right(answer("It is a Cat.", "cat"), None)
    assert not smoke.is_right(answer("It is a dog.", "cat"), None)
    assert smoke.is_right(answer("anything", None), None)
    assert not smoke.is_right(answer(None, "cat"), None)


def test_a_lucky_guess_cannot_pass() -> None:
    assert pictures.lucky_guess() <= 1e-6


def test_the_doctors_own_model_is_small_and_whole() -> None:
    assert sum(path.stat().st_size for path in stand_in.FOLDER.iterdir()) <= 2_000_000
    assert stand_in.damage() is None


@pytest.mark.parametrize("damage", ["truncated", "altered", "gone"])
def test_a_damaged_model_of_the_doctors_is_not_the_environments_fault(
    fresh: Fixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    if damage == "gone":
        weights.unlink()
    elif damage == "truncated":
        weights.write_bytes(content[:-1000])
    else:
        weights.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    monkeypatch.setattr(stand_in, "FOLDER", folder)
    with pytest.raises(CouldNot, match="own model is damaged") as failure:
        smoke.run(str(fresh.python), smoke.Job(model=None, model_id="own"))
    assert failure.value.exit_code == 3


def test_the_examination_is_passed_in_a_good_environment(fresh: Fixed) -> None:
    run = fresh.doctor.json("smoke", "--python", str(fresh.python))
    assert run.code == 0
    assert run.report["understood"]
    answers = run.report["answers"]
    assert len(answers) == len(pictures.EXAMINATION_PLAN)
    assert all(item["answer"] == item["expected"] for item in answers)
    assert any("число" in item["answer"] for item in answers)


def test_the_users_own_picture_and_question(fresh: Fixed, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    pictures.draw(WHAT).save(path)
    question = ("--image", str(path), "--prompt", "What is in the picture?")
    words = ("smoke", "--python", str(fresh.python), *question)
    right = fresh.doctor.json(*words, "--expect", "red CROSS")
    assert (right.code, right.report["understood"]) == (0, True)
    wrong = fresh.doctor.json(*words, "--expect", "circle")
    assert (wrong.code, wrong.report["understood"]) == (1, False)


def test_an_answer_that_nobody_can_judge_is_no_proof(fresh: Fixed, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (300, 200), "red").save(path)
    state = str(tmp_path / "state")
    words = ("--python", str(fresh.python))
    run = fresh.doctor.json("smoke", *words, "--image", str(path), VLM_DOCTOR_STATE=state)
    assert (run.code, run.report["understood"]) == (0, None)
    assert fresh.doctor.json("check", *words, VLM_DOCTOR_STATE=state).report["proof"] is None


@pytest.mark.parametrize("kind", ["empty", "text", "narrow", "gone"])
def test_a_picture_that_cannot_be_used_is_refused(fresh: Fixed, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.png"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no picture")
    elif kind == "narrow":
        Image.new("RGB", (100_000, 1)).save(path)
    run = fresh.doctor("smoke", "--python", str(fresh.python), "--image", str(path))
    assert run.code == 2
    assert str(path) in run.err
    assert len(run.err.splitlines()) <= 3


def test_every_fault_on_the_way_of_the_picture_is_seen(fresh: Fixed) -> None:
    """The ten mutations, in a real environment; the two that are not seen are in the model card."""
    result = subprocess.run(
        [str(fresh.python), "-B", str(ROOT / "training" / "mutations.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    print(result.stdout)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines()]
    verdicts = {row[1]: row[4] for row in rows if len(row) == 6}
    seen: dict[str, list[bool]] = {}
    for row in rows:
        if len(row) == 6 and row[0].isdigit():
            seen.setdefault(row[0], []).append(row[4] == "not understood")
    assert verdicts["nothing broken"] == "passed"
    assert sum(any(results) for results in seen.values()) >= 9
    assert len(seen) == 10
    missed = {name for name, verdict in verdicts.items() if verdict == "passed"}
    card = (stand_in.FOLDER / "MODEL_CARD.md").read_text()
    for name in missed - {"nothing broken", "resized by Lanczos, not bicubic: harmless"}:
        assert name.removesuffix(" (not in training)").replace("rope section ", "") in card


def test_unseen_pictures_are_answered_exactly(fresh: Fixed, tmp_path: Path) -> None:
    """A sample of what `training/evaluate.py` measures over a thousand pictures."""
    program = ROOT / "training" / "evaluate.py"
    words = ("--pictures", "40", "--out", str(tmp_path / "answers.jsonl"))
    subprocess.run([str(fresh.python), "-B", str(program), *words], check=True)
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    assert len(answers) == 80
    assert all(item["answer"] == item["expected"] for item in answers)
