"""Does the model lie whole in the Hub's cache, as it was uploaded?

huggingface-hub keeps a model as blobs, named by the hash of what is in them; a snapshot is a folder
of links to them, and `refs/main` says which snapshot is meant. Cleaners, interrupted downloads,
copies to file systems without links and `sed -i` leave less than that. You would see `Cannot find
an appropriate cached snapshot folder`, `FileNotFoundError`, `does not appear to have a file named`,
or nothing at all.

- `model-ref-broken`: `refs/main` is missing, damaged, or names a snapshot that is not there, while
  there is one that is whole. The fix `reference` writes it anew; without network nothing loads by
  the model's name until then.
- `model-file-missing`: a link leads to nothing, or a file of the revision was never fetched (by the
  list of files that huggingface-hub keeps from release 1.33 on). The fix is `download`.
- `model-file-edited`: a file is not what the Hub gave: its size or hash is not that of its name.
  Of large files the hash is computed with `--deep` only. Where a copy beside it (`.bak`) has the
  right hash the fix `restore` puts that back; else it is `download`, which moves the blob aside.
  Edit a copy of the model instead: a blob's name is its hash, and whoever trusts it is deceived.
- `download-unfinished`: the beginning of a download, or an editor's copy, takes up space. Nothing
  reads it; the fix `clear` removes it, unless the download can still go on from it.

A file in the snapshot that took the place of a link (`sed -i` does that) is a note, and none where
it differs by the class that it names alone: the doctor mends files that way itself. Only the folder
of this one model is looked at.
"""

from __future__ import annotations

from doctor.facts import Facts, Storage, StoredFile
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity

CODES = ("model-ref-broken", "model-file-missing", "model-file-edited", "download-unfinished")

# What mlx-vlm's own download asks for (mlx_vlm.utils.get_model_path). Other files of a model, such
# as README.md and pictures, no generation reads.
FETCHED = (".json", ".jsonl", ".safetensors", ".py", ".model", ".tiktoken", ".txt", ".jinja")

# Said of a file when it is not there or edited: what other checks judge by what is in it.
JUDGED_BY_CONTENT = (".safetensors",)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    storage = facts.model.storage
    if storage is None:
        return
    if storage.reference is not None and (storage.reference != "ok" or storage.white_space):
        yield _reference(facts, storage)
    missing = [
        file
        for file in storage.files
        if file.kind in ("dangling", "absent") and file.name.endswith(FETCHED)
    ]
    if missing:
        yield _missing(facts, storage, missing)
    for file in storage.files:
        if file.kind == "unreadable":
            yield NotChecked(
                reason=f"{facts.model.path}/{file.name} could not be read",
                decides=file.name.endswith(FETCHED),
            )
    yield from _edited(facts, storage)
    if storage.leftovers:
        yield _unfinished(storage)


def _reference(facts: Facts, storage: Storage) -> Finding:
    said = {
        "missing": "it is not there",
        "dangling": "it names a snapshot that is not there",
        "unusable": "it is no revision",
    }.get(storage.reference or "", "it ends in white space, which is taken for a part of the name")
    return Finding(
        code="model-ref-broken",
        severity=Severity.ERROR,
        title=f"The cache does not say which snapshot of {facts.model.id} is meant: refs/main, "
        f"{said}",
        cause="Without network, nothing finds the model by its name.",
        evidence=(
            Evidence(fact="refs/main", value=said, source=f"{storage.home}/refs/main"),
            Evidence(
                fact="the snapshot that is whole",
                value=facts.model.revision or "none",
                source=f"{storage.home}/snapshots",
            ),
        ),
        fix=Fix(
            id="reference",
            summary=f"write refs/main anew, naming {facts.model.revision}",
            automatic=True,
        ),
    )


def _missing(facts: Facts, storage: Storage, missing: list[StoredFile]) -> Finding:
    names = [file.name for file in missing]
    # With its list of files huggingface-hub refuses a snapshot that is not whole, whatever lacks.
    refused = (
        storage.listed
        and storage.home is not None
        and "huggingface-hub"
        in {one.name.lower().replace("_", "-") for one in facts.environment.distributions}
    )
    return Finding(
        code="model-file-missing",
        severity=Severity.ERROR if refused else Severity.NOTE,
        title=f"{len(names)} of the model's files {'is' if len(names) == 1 else 'are'} not there: "
        + ", ".join(names[:4])
        + (" …" if len(names) > 4 else ""),
        cause="The download did not end, or something was removed from the cache.",
        evidence=tuple(
            Evidence(
                fact=file.name,
                value="its link leads to nothing" if file.kind == "dangling" else "not fetched",
                source=facts.model.path or "",
            )
            for file in missing[:4]
        ),
        fix=Fix(
            id="download",
            summary="fetch what is missing (hf download)",
            automatic=False,
        ),
    )


def wrong(file: StoredFile) -> str | None:
    """Why a file is not what the Hub gave; null where it is, or where that is not known."""
    if file.kind not in ("file", "link") or file.laid_out_anew:
        return None
    if file.took_place and file.hash_is_right is not True:
        return "it is no link to a blob, as the others are"
    if file.expected_bytes is not None and file.bytes not in (None, file.expected_bytes):
        return f"it has {file.bytes} bytes, and should have {file.expected_bytes}"
    if file.hash_is_right is False:
        return "its hash is another"
    return None


def _edited(facts: Facts, storage: Storage) -> CheckResult:
    for file in storage.files:
        problem = wrong(file)
        if problem is None:
            continue
        # A link that became a file hides the blob, which is as it was; who did it wanted it.
        in_place = file.kind == "link" or storage.home is None
        weights = file.name.endswith(JUDGED_BY_CONTENT)
        severity = Severity.NOTE
        if weights and in_place:
            severity = Severity.ERROR
        yield Finding(
            code="model-file-edited",
            severity=severity,
            title=f"{file.name} is not the file that the Hub gave: {problem}",
            cause="The blob in the cache was changed in place."
            if file.kind == "link"
            else "The file was changed after it was fetched.",
            evidence=(
                Evidence(fact=file.name, value=problem, source=f"{facts.model.path}/{file.name}"),
            ),
            fix=Fix(id="restore", summary=f"put back the copy {file.backup}", automatic=True)
            if file.backup
            else Fix(id="download", summary=f"fetch {file.name} again", automatic=False),
        )


def _unfinished(storage: Storage) -> Finding:
    total = sum(leftover.bytes for leftover in storage.leftovers)
    count = "1 file" if len(storage.leftovers) == 1 else f"{len(storage.leftovers)} files"
    return Finding(
        code="download-unfinished",
        severity=Severity.NOTE,
        title=f"{count} left over of downloads or edits of this model ({total / 1e6:.1f} MB)",
        cause="A download was interrupted, or an editor kept a copy. Nothing reads them.",
        evidence=tuple(
            Evidence(fact=leftover.kind, value=f"{leftover.bytes} bytes", source=leftover.path)
            for leftover in storage.leftovers[:4]
        ),
        fix=Fix(id="clear", summary="remove what no download can go on from", automatic=False),
    )
