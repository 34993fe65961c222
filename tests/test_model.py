"""The model: found in the cache or a folder, and judged."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from checks import model as check
from doctor.errors import Refused
from doctor.facts import Facts
from doctor.findings import Finding, NotChecked, Severity
from doctor.probes import model
from doctor.proving import stand_in
from tests.conftest import recorded
from tests.facts_of import replace

REVISION = "2fd8dacbdb8f1e54b8c005f081ec5bf79c56376b"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached_model(cache: Path, name: str = "someone/some-model") -> Path:
    """A model in the cache, its files links to blobs; the snapshot's folder."""
    home = cache / ("models--" + name.replace("/", "--"))
    blobs, snapshot = home / "blobs", home / "snapshots" / REVISION
    shutil.copytree(stand_in.FOLDER, blobs)
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(REVISION)
    return snapshot


def test_a_cached_model(cache: Path) -> None:
    snapshot = cached_model(cache)
    found = model.look("someone/some-model")
    assert (found.found, found.revision, found.path) == ("cache", REVISION, str(snapshot))
    assert (found.type, found.processor_class) == ("qwen3_vl", "Qwen3VLProcessor")
    size = (snapshot / "model.safetensors").stat().st_size
    assert found.weights_bytes is not None
    assert found.weights_bytes == size


@pytest.mark.parametrize("ref", ["", "../../../etc", "0" * 40, "main\n"])
def test_a_ref_that_leads_nowhere(cache: Path, ref: str) -> None:
    snapshot = cached_model(cache)
    (snapshot.parent.parent / "refs" / "main").write_text(ref)
    found = model.look("someone/some-model")
    assert (found.found, found.revision) == ("cache", REVISION)  # the one that is whole
    assert found.storage is not None and found.storage.reference in ("unusable", "dangling")
    (snapshot / "config.json").unlink()
    assert model.look("someone/some-model").found == "nowhere"


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("mlx-community/Qwen3-VL-4B-Instruct-4bit", "qwen3_vl"),
        ("mlx-community/Qwen3-VL-30B-A3B-Instruct-8bit", "qwen3_vl_moe"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl"),
        ("mlx-community/Qwen2-VL-2B-Instruct-4bit", "qwen2_vl"),
    ],
)
def test_well_known_models_have_cards(cache: Path, name: str, type_: str) -> None:
    found = model.look(name)
    assert (found.found, found.type) == ("card", type_)


def test_an_unknown_model_is_nowhere(cache: Path) -> None:
    found = model.look("someone/never-heard-of")
    assert (found.found, found.type) == ("nowhere", None)


@pytest.mark.parametrize("name", ["./nothing", "/no/such/folder", "~/no-such", "a/b/c", "a b", ""])
def test_what_is_neither_folder_nor_id_is_refused(cache: Path, name: str) -> None:
    with pytest.raises(Refused):
        model.look(name)


def test_a_file_is_no_model(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(Refused, match="is a file"):
        model.look(str(path))


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ("{}", "ok"),
        ("", "broken"),
        ("{", "broken"),
        ("[" * 100_000, "broken"),
        ("[1]", "not-an-object"),
        ('"text"', "not-an-object"),
        (None, "missing"),
    ],
)
def test_states_of_a_file(cache: Path, tmp_path: Path, content: str | None, state: str) -> None:
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    path = folder / "preprocessor_config.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert model.look(str(folder)).files[path.name].state == state


def test_bytes_that_are_no_text(cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    (folder / "config.json").write_bytes(b"\xff\xfe\x00\x80" * 10)
    assert model.look(str(folder)).files["config.json"].state == "broken"


def test_a_config_of_a_gigabyte_is_not_read(cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    with (folder / "config.json").open("wb") as file:
        file.truncate(2**30)  # sparse: it takes no disk
    found = model.look(str(folder))
    assert found.files["config.json"].state == "too-large"
    assert found.type is None


def test_a_pipe_is_not_read_for_ever(cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    file = model.look(str(folder)).files["config.json"]
    assert (file.state, file.problem) == ("unreadable", "not a regular file")


def test_a_link_to_nothing(cache: Path) -> None:
    snapshot = cached_model(cache)
    (snapshot / "config.json").resolve().unlink()
    file = model.look("someone/some-model").files["config.json"]
    assert (file.state, file.problem) == ("missing", "its link points to nothing")


def test_fields_of_the_wrong_kind_are_not_taken(cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stand_in.FOLDER, tmp_path / "model"))
    (folder / "config.json").write_text(json.dumps({"model_type": ["qwen3_vl"]}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"processor_class": 7}))
    found = model.look(str(folder))
    assert (found.type, found.processor_class, found.image_processor_type) == (None, None, None)


def judged(facts: Facts) -> list[Finding | NotChecked]:
    return list(check.check(facts))


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1e999", "NaN"])
def test_a_number_without_measure_ends_nothing(cache: Path, tmp_path: Path, number: str) -> None:
    text = f'{{"model_type": "qwen3_vl", "text_config": {{"vocab_size": {number}}}}}'
    (tmp_path / "config.json").write_text(text)
    assert model.look(str(tmp_path)).type == "qwen3_vl"


def test_a_model_that_is_not_here_is_a_note() -> None:
    (finding,) = judged(recorded("report"))
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("model-not-cached", Severity.NOTE)
    assert "3.09 GB" in finding.title


def test_a_model_of_unknown_type_leaves_the_verdict_open(cache: Path) -> None:
    facts = replace(recorded("torch-free"), model=model.look("someone/never-heard-of"))
    finding, gap = judged(facts)
    assert isinstance(finding, Finding) and finding.severity is Severity.NOTE
    assert isinstance(gap, NotChecked) and gap.decides


def test_a_folder_without_files(cache: Path, tmp_path: Path) -> None:
    facts = replace(recorded("torch-free"), model=model.look(str(tmp_path)))
    (finding,) = judged(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("model-config-unreadable", Severity.ERROR)


def test_a_type_that_this_mlx_vlm_does_not_have() -> None:
    facts = recorded("report")
    facts = replace(facts, model=replace(facts.model, type="qwen9_vl"))
    finding = judged(facts)[-1]
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("model-type-unsupported", Severity.ERROR)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"processor_config.json": {"processor_class": "A"}}, ("A", False)),
        ({"preprocessor_config.json": {"processor_class": "B"}}, ("B", False)),
        ({"tokenizer_config.json": {"processor_class": "C"}}, ("C", False)),
        ({"config.json": {"processor_class": "D"}}, ("D", False)),
        (
            {
                "processor_config.json": {"auto_map": {"AutoProcessor": "x.P"}},
                "tokenizer_config.json": {"processor_class": "C"},
            },
            ("C", True),
        ),
        (
            {
                "processor_config.json": {"processor_class": "A"},
                "config.json": {"auto_map": {"AutoProcessor": "x.P"}},
            },
            ("A", False),
        ),
        ({"preprocessor_config.json": {"auto_map": ["AutoProcessor"]}}, (None, False)),
        ({}, (None, False)),
    ],
)
def test_the_processor_class_is_read_as_transformers_reads_it(
    cache: Path, tmp_path: Path, files: dict[str, object], expected: tuple[str | None, bool]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    found = model.look(str(tmp_path))
    assert (found.processor_class, found.remote_processor) == expected


def test_a_configuration_that_is_code_of_the_models_own(cache: Path, tmp_path: Path) -> None:
    mapped = {"model_type": "molmo", "auto_map": {"AutoConfig": "config_molmo.MolmoConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(mapped))
    assert model.look(str(tmp_path)).remote_config


def test_the_first_release_with_a_type_is_named() -> None:
    facts = recorded("report")
    facts = replace(facts, model=replace(facts.model, type="Gemma4"))
    finding = judged(facts)[-1]
    assert isinstance(finding, Finding)
    assert finding.code == "model-type-unsupported"
    assert finding.evidence[-1].value == check.first_release("gemma4") == "0.4.4"
    assert check.first_release("qwen9_vl") is None


def test_a_type_that_this_mlx_vlm_makes_no_prompt_for() -> None:
    facts = recorded("report")
    assert facts.environment.processor is not None
    without = replace(facts.environment.processor, prompts=False)
    facts = replace(facts, environment=replace(facts.environment, processor=without))
    finding = judged(facts)[-1]
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("model-type-unsupported", Severity.ERROR)
    assert "prompt" in finding.title


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("text_config", "num_hidden_layers", 10**12),
        ("text_config", "hidden_size", -5),
        ("text_config", "vocab_size", float("inf")),
        ("vision_config", "hidden_size", 10**9),
    ],
)
def test_a_number_that_no_model_has(part: str, field: str, value: float) -> None:
    facts = recorded("torch-free")
    config = json.loads((stand_in.FOLDER / "config.json").read_bytes())

    def said(config: dict[str, object]) -> list[str]:
        changed = replace(facts, model=replace(facts.model, config=config))
        return [item.title for item in check.check(changed) if isinstance(item, Finding)]

    before = said(config)
    config[part][field] = value
    (told,) = set(said(config)) - set(before)
    assert field in told and "which no model has" in told


def test_less_than_nothing_is_a_word_for_none_elsewhere() -> None:
    facts = recorded("torch-free")
    config = json.loads((stand_in.FOLDER / "config.json").read_bytes())
    config["text_config"]["sliding_window"] = -1
    changed = replace(facts, model=replace(facts.model, config=config))
    assert not any("no model has" in getattr(item, "title", "") for item in check.check(changed))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("text_config.rms_norm_eps", 1e-6, False),
        ("vision_config.layer_norm_eps", 1e-3, False),
        ("text_config.rms_norm_eps", 0.5, True),
        ("rms_norm_eps", 1, True),
        ("initializer_range", 0.5, False),
        ("text_config.rope_theta", 10_000, False),
        ("text_config.rope_theta", 0.0, True),
    ],
)
def test_numbers_that_no_model_has(name: str, value: float, told: bool) -> None:
    facts = recorded("matched")
    facts = replace(facts, model=replace(facts.model, values={"config.json": {name: value}}))
    codes = {one.code for one in check.check(facts) if isinstance(one, Finding)}
    assert [*codes - {"model-not-cached"}] == ["model-config-unfitting"] * told
