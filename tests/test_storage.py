"""How a model lies in the Hub's cache, and what can be mended there without the network."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from checks import storage as check
from doctor.actions import PutFile, RemoveFiles
from doctor.errors import Failed
from doctor.facts import Facts, StoredFile
from doctor.findings import Finding, Severity
from doctor.probes import hashing, model
from doctor.transaction import repair
from fixes import storage as fix
from tests.conftest import recorded
from tests.facts_of import replace
from tools.damage.places import ID, REVISION, WEIGHTS, Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A whole model in a cache of its own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return Place(tmp_path, cache=True, sharded=False)


def facts_of(place: Place, deep: bool = False) -> Facts:
    seen = model.look(place.model)
    return replace(recorded("torch-free"), model=hashing.hashed(seen) if deep else seen)


def findings(facts: Facts) -> dict[str, Finding]:
    return {one.code: one for one in check.check(facts) if isinstance(one, Finding)}


def stored(facts: Facts, name: str) -> StoredFile:
    assert facts.model.storage is not None
    return next(file for file in facts.model.storage.files if file.name == name)


def test_a_whole_cache_is_no_finding(place: Place) -> None:
    facts = facts_of(place)
    assert findings(facts) == {}
    assert stored(facts, "config.json").hash_is_right is True
    assert stored(facts, WEIGHTS).hash_is_right is None  # only with --deep
    assert stored(facts_of(place, deep=True), WEIGHTS).hash_is_right is True


def test_a_changed_byte_of_the_weights_is_seen_by_the_hash(place: Place) -> None:
    path = place.path(WEIGHTS)
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    assert findings(facts_of(place)) == {}
    finding = findings(facts_of(place, deep=True))["model-file-edited"]
    assert (finding.severity, finding.fix.id) == (Severity.ERROR, "download")


def test_what_the_hub_said_of_the_files_is_used(place: Place) -> None:
    weights = place.path(WEIGHTS)
    files: dict[str, Any] = {
        "config.json": {"size": 1, "blob_id": place.path("config.json").name},
        "merges.txt": {"size": 5, "blob_id": "ab" * 20},
        "../outside.json": {"size": 5, "blob_id": "ab" * 20},
        WEIGHTS: {
            "size": weights.stat().st_size + 5,
            "blob_id": "cd" * 20,
            "lfs_sha256": weights.name,
        },
    }
    trees = place.home / "trees"
    trees.mkdir()
    (trees / f"{REVISION}.json").write_text(json.dumps({"format_version": 1, "files": files}))
    facts = facts_of(place)
    found = findings(facts)
    assert found["model-file-missing"].severity is Severity.ERROR
    assert "merges.txt" in found["model-file-missing"].title
    assert found["model-file-edited"].severity is Severity.ERROR  # the weights are shorter
    assert facts.model.storage is not None
    assert "outside" not in repr(facts.model.storage.files)


def test_a_local_download_keeps_hashes_too(tmp_path: Path) -> None:
    place = Place(tmp_path, cache=False, sharded=False)
    notes = place.folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    data = (place.folder / "config.json").read_bytes()
    etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    (notes / "config.json.metadata").write_text(f"{REVISION}\n{etag}\n1.0\n")
    assert stored(facts_of(place), "config.json").hash_is_right is True
    (place.folder / "config.json").write_bytes(data.replace(b"float32", b"float16"))
    facts = facts_of(place)
    assert stored(facts, "config.json").hash_is_right is False
    assert findings(facts)["model-file-edited"].severity is Severity.NOTE


def test_another_layout_of_the_same_json_is_no_finding(place: Place) -> None:
    path = place.path("generation_config.json")
    content = json.loads(path.read_text())
    # A blob as the libraries write it, then laid out anew in place.
    (place.folder / path.name).unlink(missing_ok=True)
    place.add("generation_config.json", (json.dumps(content, indent=2) + "\n").encode())
    path = place.path("generation_config.json")
    path.write_text(json.dumps(content))
    facts = facts_of(place)
    file = stored(facts, "generation_config.json")
    assert (file.hash_is_right, file.laid_out_anew) == (False, True)
    assert findings(facts) == {}


@pytest.mark.parametrize("text", [None, "", "0" * 40, REVISION + "\n"])
def test_a_broken_reference_is_written_anew(place: Place, text: str | None) -> None:
    path = place.home / "refs" / "main"
    path.unlink()
    if text is not None:
        path.write_text(text)
    facts = facts_of(place)
    finding = findings(facts)["model-ref-broken"]
    assert finding.severity is Severity.ERROR
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, PutFile)
    assert action.files() == (str(path),)
    repair.put(action)
    assert path.read_text() == REVISION
    assert findings(facts_of(place)) == {}


def test_an_edited_blob_that_fails_goes_back_from_the_copy(place: Place) -> None:
    blob = place.path("config.json")
    good = blob.read_bytes()
    blob.with_name(blob.name + ".bak").write_bytes(good)
    blob.write_bytes(good[:-5])
    facts = facts_of(place)
    finding = findings(facts)["model-file-edited"]
    assert (finding.severity, finding.fix.id) == (Severity.NOTE, "restore")
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, PutFile)
    repair.put(action)
    assert blob.read_bytes() == good
    assert stored(facts_of(place), "config.json").hash_is_right is True


def test_an_edited_blob_that_works_is_left(place: Place) -> None:
    blob = place.path("config.json")
    good = blob.read_text()
    blob.with_name(blob.name + ".bak").write_text(good)
    blob.write_text(good.replace('"float32"', '"bfloat16"'))
    facts = facts_of(place)
    assert list(fix.actions(findings(facts)["model-file-edited"], facts)) == []


def test_a_copy_that_changed_meanwhile_is_not_put_back(tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("other")
    action = PutFile(
        summary="", path=str(tmp_path / "x"), source=str(tmp_path / "copy"), hash="0" * 40
    )
    with pytest.raises(Failed):
        repair.put(action)
    assert not (tmp_path / "x").exists()


def test_beginnings_of_downloads(place: Place) -> None:
    weights = place.path(WEIGHTS).name
    (place.blobs / f"{weights}.3f9a.incomplete").write_bytes(b"1" * 10)
    (place.blobs / ("ab" * 32 + ".incomplete")).write_bytes(b"1" * 20)
    facts = facts_of(place)
    finding = findings(facts)["download-unfinished"]
    assert (finding.severity, finding.fix.id) == (Severity.NOTE, "clear")
    assert facts.model.storage is not None
    needed = [(left.bytes, left.needed) for left in facts.model.storage.leftovers]
    assert sorted(needed) == [(10, False), (20, True)]
    (action,) = fix.actions(finding, facts)
    assert isinstance(action, RemoveFiles)
    assert [Path(path).name for path in action.paths] == [f"{weights}.3f9a.incomplete"]


def test_pipes_circles_and_folders_in_the_way(place: Place) -> None:
    os.mkfifo(place.folder / "pipe.json")
    (place.folder / "circle.json").symlink_to("circle.json")
    (place.folder / "original").mkdir()
    (place.folder / "lost.json").symlink_to("../../blobs/" + "0" * 40)
    facts = facts_of(place)
    kinds = {name: stored(facts, name).kind for name in ("pipe.json", "circle.json", "original")}
    assert kinds == {"pipe.json": "special", "circle.json": "special", "original": "folder"}
    assert findings(facts)["model-file-missing"].severity is Severity.NOTE


def test_other_models_in_the_cache_are_not_looked_at(place: Place) -> None:
    other = place.base / "models--someone--other"
    (other / "blobs").mkdir(parents=True)
    (other / "blobs" / ("ab" * 32 + ".incomplete")).write_bytes(b"1")
    assert findings(facts_of(place)) == {}
    assert model.look(ID).found == "cache"


def test_a_file_in_the_place_of_a_link(place: Place) -> None:
    link = place.folder / "preprocessor_config.json"
    content = json.loads(link.read_text())
    link.unlink()
    # The class alone is what the doctor mends.
    link.write_text(json.dumps({**content, "image_processor_type": "Qwen2VLImageProcessor"}))
    assert findings(facts_of(place)) == {}
    link.write_text(json.dumps({**content, "patch_size": 14}))
    finding = findings(facts_of(place))["model-file-edited"]
    assert (finding.severity, stored(facts_of(place), link.name).took_place) == (
        Severity.NOTE,
        True,
    )
