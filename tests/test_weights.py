"""Weights by their headers, and the tensors against the parameters that mlx-vlm makes."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks import weights as check
from doctor import tensors
from doctor.facts import (
    Facts,
    ModuleQuantisation,
    ParameterGroup,
    Parameters,
    Quantisation,
    TensorGroup,
    Weights,
    WeightsFile,
)
from doctor.findings import Finding, NotChecked, Severity
from doctor.probes import safetensors
from doctor.proving import stand_in
from fixes import weights as fix
from tests.conftest import recorded
from tests.facts_of import replace
from tools.damage.places import INDEX, SHARDS, WEIGHTS, Place

LAYER = "language_model.model.layers.*."


def test_the_header_of_the_doctors_own_model() -> None:
    (file,) = safetensors.look(stand_in.FOLDER).files
    assert (file.kind, file.problem, file.tensors) == (None, None, 192)
    group = next(one for one in file.groups if one.pattern == LAYER + "mlp.up_proj.weight")
    assert (group.dtype, group.shape, group.numbers) == ("U32", (256, 16), "0-2")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"1234567", "cut"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "pointer"),
        (b"\n <!DOCTYPE html>", "text"),
        (struct.pack("<Q", 2**63) + b"{}", "header"),
        (struct.pack("<Q", 500) + b"{}", "cut"),
        (struct.pack("<Q", 4) + b"[1]\0", "header"),
        (struct.pack("<Q", 6) + b'{"a":1', "header"),
        (struct.pack("<Q", 7) + b'{"a":1}', "header"),
        (struct.pack("<Q", 4000) + b"[" * 4000, "header"),
    ],
)
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / WEIGHTS).write_bytes(content)
    (file,) = safetensors.look(tmp_path).files
    assert (file.kind, file.tensors) == (kind, None)


@pytest.mark.parametrize(
    ("entry", "data", "kind"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, 8, None),
        ({"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, 4, None),
        ({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, 0, None),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, 7, "cut"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, 9, "rest"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, 8, "entry"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-4, 4]}, 8, "entry"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [0, -8]}, 8, "entry"),
        ({"dtype": "Q9", "shape": [2], "data_offsets": [0, 8]}, 8, "dtype"),
        ({"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}, 8, "entry"),
    ],
)
def test_entries_of_a_header(
    tmp_path: Path, entry: dict[str, Any], data: int, kind: str | None
) -> None:
    text = json.dumps({"__metadata__": {"format": "mlx"}, "a.weight": entry}).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
    (file,) = safetensors.look(tmp_path).files
    assert file.kind == kind


def test_a_header_of_the_wrong_length(tmp_path: Path) -> None:
    content = (stand_in.FOLDER / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    # A blank of its padding is left out, so that all data is read from one byte too early.
    (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", length - 1) + content[8:])
    (file,) = safetensors.look(tmp_path).files
    assert file.kind == "header"


def test_pipes_folders_and_links_in_circles_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").mkdir()
    (tmp_path / "c.safetensors").symlink_to("c.safetensors")
    (tmp_path / "d.safetensors").symlink_to("nothing")
    kinds = [file.kind for file in safetensors.look(tmp_path).files]
    assert kinds == ["unreadable", "unreadable", "unreadable", "absent"]


def test_a_file_of_gigabytes_costs_its_header_only(tmp_path: Path) -> None:
    size = 2**40
    text = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with (tmp_path / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)  # sparse: it takes no disk
    (found,) = safetensors.look(tmp_path).files
    assert (found.kind, found.bytes) == (None, 8 + len(text) + size)


def index_of(place: Place, change: Callable[[dict[str, Any]], object] | None = None) -> Any:
    if change is not None:
        place.edit(INDEX, change)
    return safetensors.look(place.folder).index


def test_an_index_is_held_against_the_shards(tmp_path: Path) -> None:
    place = Place(tmp_path, cache=True, sharded=True)
    index = index_of(place)
    assert (index.state, index.shards, index.absent) == ("ok", SHARDS, ())
    assert (index.unlisted, index.misplaced, index.unfound) == (0, 0, 0)
    first = "language_model.model.embed_tokens.scales"
    index = index_of(place, lambda i: i["weight_map"].update({first: SHARDS[2]}))
    assert (index.misplaced, index.unfound) == (1, 0)
    index = index_of(place, lambda i: i["weight_map"].update({"x.y": SHARDS[2], "z": "gone"}))
    assert (index.unfound, index.example, index.absent) == (1, "x.y", ("gone",))
    index = index_of(place, lambda i: i.update(weight_map=[1]))
    assert index.state == "not-an-object"


def parameters(**changes: object) -> Parameters:
    """A model of two layers with a matrix of 64 columns and a norm each."""
    groups = (
        ParameterGroup(
            pattern="m.layers.*.up.weight", shape=(32, 64), numbers="0-1", quantises=True
        ),
        ParameterGroup(
            pattern="m.layers.*.norm.weight", shape=(64,), numbers="0-1", quantises=False
        ),
    )
    made = Parameters(
        groups=groups,
        open=(),
        fails=None,
        unknown=None,
        sanitised=(),
        reads_index=True,
        drops_absent=False,
    )
    return replace(made, **changes)


def group(pattern: str, dtype: str, shape: tuple[int, ...], numbers: str = "0-1") -> TensorGroup:
    return TensorGroup(pattern="m.layers.*." + pattern, dtype=dtype, shape=shape, numbers=numbers)


PLAIN = (group("up.weight", "BF16", (32, 64)), group("norm.weight", "F32", (64,)))
PACKED = (
    group("up.weight", "U32", (32, 8)),
    group("up.scales", "F16", (32, 2)),
    group("up.biases", "F16", (32, 2)),
    group("norm.weight", "F16", (64,)),
)
FOUR_BITS = Quantisation(bits=4, group_size=32, mode=None, modules={})


def facts_of(
    groups: tuple[TensorGroup, ...],
    block: Quantisation | None = None,
    made: Parameters | None = None,
) -> Facts:
    facts = recorded("torch-free")
    file = WeightsFile(name=WEIGHTS, bytes=10, tensors=len(groups), groups=groups)
    model = replace(
        facts.model,
        found="folder",
        path="~/model",
        weights=Weights(files=(file,), index=None),
        quantisation=block,
    )
    environment = replace(facts.environment, parameters=made or parameters())
    return replace(facts, model=model, environment=environment)


def said(facts: Facts) -> list[str]:
    return [one.code for one in check.check(facts) if isinstance(one, Finding)]


def test_whole_weights_are_no_finding() -> None:
    assert said(facts_of(PLAIN)) == []
    assert said(facts_of(PACKED, FOUR_BITS)) == []


@pytest.mark.parametrize(
    "groups",
    [
        PLAIN[:1],
        (PLAIN[0], group("norm.weight", "F32", (64,), "0")),
        (PLAIN[0], group("norm.weight", "F32", (32,))),
        (PLAIN[0], group("norm.weight", "I32", (64,))),
        (*PLAIN, group("extra.weight", "F32", (64,))),
        (*PLAIN, group("norm.weight", "F32", (64,), "2")),
    ],
)
def test_weights_of_another_model(groups: tuple[TensorGroup, ...]) -> None:
    facts = facts_of(groups)
    (finding,) = check.check(facts)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.severity) == ("weights-unfitting", Severity.ERROR)
    assert finding.fix.id == "download"
    assert [action.code for action in fix.actions(finding, facts)] == ["weights-unfitting"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "block",
    [
        None,
        replace(FOUR_BITS, bits=8),
        replace(FOUR_BITS, group_size=64),
        replace(FOUR_BITS, group_size=0),
        replace(FOUR_BITS, mode="int4"),
        replace(FOUR_BITS, bits=None, problem="bits is no whole number"),
        replace(FOUR_BITS, modules={"m.layers.1.up": ModuleQuantisation(bits=8, group_size=32)}),
    ],
)
def test_a_quantisation_that_the_tensors_do_not_have(block: Quantisation | None) -> None:
    assert "quantization-unfitting" in said(facts_of(PACKED, block))


def test_a_module_may_be_quantised_in_a_way_of_its_own() -> None:
    mixed = (
        group("up.weight", "U32", (32, 8), "0"),
        group("up.weight", "U32", (32, 16), "1"),
        *PACKED[1:],
    )
    own = {"m.layers.1.up": ModuleQuantisation(bits=8, group_size=32)}
    assert said(facts_of(mixed, replace(FOUR_BITS, modules=own))) == []
    assert said(facts_of(mixed, FOUR_BITS)) == ["quantization-unfitting"]


def test_names_that_the_code_changes_first_are_not_judged() -> None:
    original = tuple(replace(one, pattern="model." + one.pattern) for one in PLAIN)
    facts = facts_of(original, made=parameters(sanitised=("model.m",)))
    (gap,) = check.check(facts)
    assert isinstance(gap, NotChecked) and not gap.decides


def test_what_the_code_drops_or_leaves_open_is_not_judged() -> None:
    dropped = (*PLAIN, group("rotary.inv_freq", "F32", (8,)))
    assert said(facts_of(dropped)) == ["weights-unfitting"]
    assert said(facts_of(dropped, made=parameters(sanitised=("inv_freq",)))) == []
    names = ("m.layers.0.rotary", "m.layers.1.rotary")
    assert said(facts_of(dropped, made=parameters(open=names))) == []


def test_a_part_that_nothing_mentions_is_left_out_by_newer_releases() -> None:
    eyes = ParameterGroup(pattern="eyes.weight", shape=(4,), numbers="", quantises=False)
    made = parameters(groups=(*parameters().groups, eyes))
    assert tensors.compare(facts_of(PLAIN, made=made)).missing == ("eyes.weight",)
    left_out = tensors.compare(facts_of(PLAIN, made=replace(made, drops_absent=True)))
    assert (left_out.missing, left_out.absent_parts) == ((), ("eyes",))


def test_a_model_without_weights(tmp_path: Path) -> None:
    facts = facts_of(PLAIN)
    facts = replace(facts, model=replace(facts.model, weights=safetensors.look(tmp_path)))
    assert said(facts) == ["weights-missing"]


def test_a_damaged_file_is_told_by_itself(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"")
    facts = facts_of(PLAIN)
    facts = replace(facts, model=replace(facts.model, weights=safetensors.look(tmp_path)))
    assert said(facts) == ["weights-damaged"]


def test_other_values_for_the_same_tensors_in_two_files(tmp_path: Path) -> None:
    place = Place(tmp_path, cache=False, sharded=False)
    copy = place.folder / "model (1).safetensors"
    copy.write_bytes((place.folder / WEIGHTS).read_bytes())
    assert safetensors.look(place.folder).conflicts == ()

    def change(content: dict[str, Any]) -> None:
        entry, data = content["language_model.model.norm.weight"]
        content["language_model.model.norm.weight"] = (entry, bytes(len(data)))

    place.weights(change, copy.name)
    (conflict,) = safetensors.look(place.folder).conflicts
    assert conflict.tensors == ("language_model.model.norm.weight",)
    assert set(conflict.files) == {WEIGHTS, copy.name}
