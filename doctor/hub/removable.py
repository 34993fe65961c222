"""Room in the Hub's cache: what of it could go. Nothing goes unless the user says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from doctor.facts import Struct

if TYPE_CHECKING:
    from huggingface_hub import HFCacheInfo


class Removable(Struct, frozen=True):
    """A revision that no name leads to, or a whole repository, and the bytes that it frees."""

    name: str
    bytes: int
    command: str


def _scanned(cache: Path) -> HFCacheInfo | None:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return scan_cache_dir(cache)
    except (CacheNotFound, OSError, ValueError):
        return None


def removable(cache: Path, keep: str) -> tuple[Removable, ...]:
    """What could go beside the model ``keep``: old revisions first, then what was not used longest.

    It reads the whole cache, which takes its time: only for who is short of space.
    """
    scan = _scanned(cache)
    if scan is None:
        return ()
    result = []
    # A copy of a repository has the same commits: to delete one deletes it in both.
    needed = {
        revision.commit_hash
        for repository in scan.repos
        for revision in repository.revisions
        if revision.refs
    }
    repositories = sorted(scan.repos, key=lambda repository: repository.last_accessed)
    for repository in repositories:
        for revision in sorted(repository.revisions, key=lambda one: one.last_modified):
            if revision.commit_hash not in needed:
                freed = scan.delete_revisions(revision.commit_hash).expected_freed_size
                name = f"an old revision of {repository.repo_id}"
                command = f"hf cache rm {revision.commit_hash}"
                result.append(Removable(name=name, bytes=freed, command=command))
    for repository in repositories:
        if repository.repo_id != keep and any(revision.refs for revision in repository.revisions):
            command = f"hf cache rm {repository.repo_type}/{repository.repo_id}"
            result.append(
                Removable(name=repository.repo_id, bytes=repository.size_on_disk, command=command)
            )
    return tuple(result)


def enough(candidates: tuple[Removable, ...], needed: int) -> tuple[Removable, ...]:
    """The first of them that free so many bytes together; all, where all are too few."""
    chosen: list[Removable] = []
    for candidate in candidates:
        if sum(one.bytes for one in chosen) >= needed:
            break
        if candidate.bytes:
            chosen.append(candidate)
    return tuple(chosen)


def drop_old_revisions(cache: Path, model: str) -> int:
    """Delete the revisions of a model that no name leads to, and return the bytes that frees."""
    scan = _scanned(cache)
    if scan is None:
        return 0
    # Of this model alone: a copy of it under another name has the same commits.
    own = {one for one in scan.repos if one.repo_id == model and one.repo_type == "model"}
    old = [
        revision.commit_hash
        for repository in own
        for revision in repository.revisions
        if not revision.refs
    ]
    if not old:
        return 0
    alone = dataclasses.replace(scan, repos=frozenset(own))
    strategy = alone.delete_revisions(*old)
    strategy.execute()
    return strategy.expected_freed_size
