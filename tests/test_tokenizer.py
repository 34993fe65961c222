"""The tokenizer and the chat template: read, and held against config.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks import tokenizer as check
from doctor.facts import Facts, Parameters
from doctor.findings import Finding, Severity
from doctor.probes import model
from doctor.proving import stand_in
from fixes import tokenizer as fix
from tests.conftest import recorded
from tests.facts_of import replace, with_version

MADE = Parameters(
    groups=(),
    open=(),
    fails=None,
    unknown=None,
    sanitised=(),
    reads_index=True,
    drops_absent=True,
    template_places_pictures=True,
    marks={"image_token_id": 1319, "vision_start_token_id": 1316},
)

Change = Callable[[dict[str, Any]], object]


def facts_of(folder: Path, made: Parameters = MADE) -> Facts:
    facts = recorded("torch-free")
    environment = replace(facts.environment, parameters=made)
    return replace(facts, model=model.look(str(folder)), environment=environment)


def codes(facts: Facts) -> list[str]:
    return [one.code for one in check.check(facts) if isinstance(one, Finding)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The doctor's own model, to be changed."""
    return Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))


def edit(path: Path, change: Change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_whole_tokenizer_is_no_finding(folder: Path) -> None:
    facts = facts_of(folder)
    assert facts.model.tokenizer is not None
    assert facts.model.tokenizer.marks["image_token_id"] == "<|image_pad|>"
    assert codes(facts) == []
    assert codes(with_version(facts, "transformers", "4.57.3")) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "{}",
        '{"model": 3}',
        '{"model": {"type": "Magic"}}',
        '{"model": {"vocab": {}}}',
        "\0" * 50,
    ],
)
def test_what_is_no_tokenizer(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    facts = facts_of(folder)
    (finding,) = check.check(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("tokenizer-broken", Severity.ERROR)
    assert [action.code for action in fix.actions(finding, facts)] == ["tokenizer-broken"]  # type: ignore[union-attr]


def test_a_tokenizer_in_an_older_form_is_one(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert codes(facts_of(folder)) == ["tokenizer-missing"]
    (folder / "tokenizer.model").write_bytes(b"\x0a")
    assert codes(facts_of(folder)) == []


@pytest.mark.parametrize("number", [151655, 1320, 1315])
def test_another_token_for_the_picture(folder: Path, number: int) -> None:
    edit(folder / "config.json", lambda c: c.update(image_token_id=number))
    assert codes(facts_of(folder)) == ["tokenizer-broken"]


def test_a_number_that_the_code_fills_in_has_to_be_a_token(folder: Path) -> None:
    edit(folder / "config.json", lambda c: c.pop("vision_start_token_id"))
    assert codes(facts_of(folder)) == []
    filled = replace(MADE, marks={"vision_start_token_id": 151652})
    assert codes(facts_of(folder, filled)) == ["tokenizer-broken"]


def test_transformers_4_takes_tokenizer_json_as_it_is(folder: Path) -> None:
    def change(tokenizer: dict[str, Any]) -> None:
        added = tokenizer["added_tokens"]
        tokenizer["added_tokens"] = [one for one in added if one["content"] != "<|im_start|>"]

    edit(folder / "tokenizer.json", change)
    facts = facts_of(folder)
    assert codes(facts) == []
    assert codes(with_version(facts, "transformers", "4.57.3")) == ["tokenizer-broken"]


def without_templates(folder: Path, *kept: str) -> None:
    for name in ("chat_template.jinja", "chat_template.json"):
        if name not in kept:
            (folder / name).unlink()
    if "tokenizer_config.json" not in kept:
        edit(folder / "tokenizer_config.json", lambda c: c.pop("chat_template"))


@pytest.mark.parametrize("kept", ["chat_template.jinja", "chat_template.json"])
def test_one_template_is_enough(folder: Path, kept: str) -> None:
    without_templates(folder, kept)
    assert codes(facts_of(folder)) == []


def test_a_template_of_the_tokenizer_is_taken_by_newer_releases(folder: Path) -> None:
    without_templates(folder, "tokenizer_config.json")
    assert codes(facts_of(folder)) == []
    older = replace(MADE, takes_tokenizers_template=False)
    assert codes(facts_of(folder, older)) == ["chat-template-missing"]


def test_no_template_at_all(folder: Path) -> None:
    without_templates(folder)
    assert codes(facts_of(folder)) == ["chat-template-missing"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!DOCTYPE html><p>no</p>",
        "{% for m in messages %}{{ m }}",
        "{% if a %}{{ image }}",
        "{{ image }",
        "{% for m in messages %}{{ m.content }}{% endfor %}",
    ],
)
def test_a_template_that_cannot_do(folder: Path, text: str) -> None:
    without_templates(folder, "chat_template.jinja")
    (folder / "chat_template.jinja").write_text(text)
    assert codes(facts_of(folder)) == ["chat-template-missing"]


def test_broken_settings_of_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("[1]")
    assert codes(facts_of(folder)) == ["tokenizer-broken"]


@pytest.mark.parametrize(("ignored", "told"), [(False, ["tokenizer-broken"]), (True, [])])
def test_a_vocabulary_whose_words_are_never_made(
    folder: Path, ignored: bool, told: list[str]
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["model"] |= {"merges": [], "ignore_merges": ignored}
        more = {f"a whole word {number}": 10_000 + number for number in range(1000)}
        content["model"]["vocab"] |= more

    edit(folder / "tokenizer.json", change)
    assert codes(facts_of(folder)) == told
