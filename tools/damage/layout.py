"""Damage to how a model lies: the cache's links, refs and leftovers, and what folders gather."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.damage.kinds import EXPECTED, kind
from tools.damage.places import REVISION, WEIGHTS, Place

CACHE = ("cache",)
FOLDER = ("folder",)
OTHER = "9a41c7d2aa0f1e54b8c005f081ec5bf79c563000"

# What a name that leads nowhere is told as depends on the file that is not there by it.
NO_CONFIG = ("model-config-unreadable",)
NO_WEIGHTS = ("weights-missing",)
NO_TOKENIZER = ("tokenizer-missing", "tokenizer-broken")
NO_FILES = ("model-file-missing", *NO_CONFIG, *NO_WEIGHTS)
ONLY_CONFIG = (*NO_WEIGHTS, *NO_TOKENIZER, "preprocessor-missing", "chat-template-missing")

EXPECTED |= {
    "ref": ("model-ref-broken",),
    "ref-to-a-partial-snapshot": ONLY_CONFIG,
    "snapshots-gone": NO_FILES,
    "snapshot-empty": NO_FILES,
    "snapshot-renamed": ("model-ref-broken",),
    "blobs-gone": NO_FILES,
    "link-gone-weights": NO_WEIGHTS,
    "link-gone-config": NO_CONFIG,
    "link-gone-preprocessor": ("preprocessor-missing",),
    "link-gone-tokenizer": NO_TOKENIZER,
    "link-gone-all-but-weights": NO_CONFIG,
    "link-gone-all-but-config": ONLY_CONFIG,
    "link-to-itself": NO_CONFIG,
    "link-into-nothing": NO_TOKENIZER,
    "link-to-a-folder": (*NO_WEIGHTS, "weights-damaged"),
    "link-to-a-device": ("preprocessor-broken", "preprocessor-missing"),
    "link-to-the-wrong-blob": NO_CONFIG,
    "links-exchanged": ("tokenizer-broken", "weights-damaged"),
    "links-turned-into-texts": (*NO_CONFIG, "weights-damaged"),
    "sed-on-the-link-to-what-is-not-there": ("preprocessor-stale",),
    "sed-on-the-blob-breaks-config": ("weights-unfitting", "model-file-edited"),
    "incomplete-of-weights": NO_WEIGHTS,
    "incomplete-of-tokenizer": NO_TOKENIZER,
    "incomplete-empty-of-weights": NO_WEIGHTS,
    "blobs-of-two-files-exchanged": NO_CONFIG,
    "blob-a-folder": NO_TOKENIZER,
    "folder-within-a-folder": NO_FILES,
    "folder-empty": NO_FILES,
    "names-in-capitals": NO_CONFIG,
    "names-numbered-by-a-browser": NO_TOKENIZER,
}

kind("nothing-changed")(lambda place: None)


def ref(name: str, text: str | None) -> None:
    def damage(place: Place) -> None:
        path = place.home / "refs" / "main"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    kind(name, CACHE)(damage)


ref("ref-gone", None)
ref("ref-empty", "")
ref("ref-with-newline", REVISION + "\n")
ref("ref-cut", REVISION[:17])
ref("ref-of-a-gone-snapshot", OTHER)
ref("ref-zeros", "\0" * 40)
ref("ref-a-branch", "ref: refs/heads/main")


@kind("refs-gone", CACHE)
def _(place: Place) -> None:
    shutil.rmtree(place.home / "refs")


@kind("ref-a-folder", CACHE)
def _(place: Place) -> None:
    (place.home / "refs" / "main").unlink()
    (place.home / "refs" / "main").mkdir()


@kind("snapshots-gone", CACHE)
def _(place: Place) -> None:
    shutil.rmtree(place.home / "snapshots")


@kind("snapshot-empty", CACHE)
def _(place: Place) -> None:
    for link in place.folder.iterdir():
        link.unlink()


@kind("snapshot-renamed", CACHE)
def _(place: Place) -> None:
    place.folder.rename(place.folder.parent / OTHER)


@kind("blobs-gone", CACHE)
def _(place: Place) -> None:
    shutil.rmtree(place.blobs)


@kind("other-snapshot-beside", CACHE)
def _(place: Place) -> None:
    (place.folder.parent / OTHER).mkdir()
    (place.folder.parent / OTHER / "config.json").symlink_to(
        os.readlink(place.folder / "config.json")
    )


@kind("ref-to-a-partial-snapshot", CACHE)
def _(place: Place) -> None:
    (place.folder.parent / OTHER).mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (place.folder.parent / OTHER / name).symlink_to(os.readlink(place.folder / name))
    (place.home / "refs" / "main").write_text(OTHER)


def link_gone(name: str, *files: str) -> None:
    """Links that a partial download has not made yet; the blobs are not there either."""

    def damage(place: Place) -> None:
        for file in files:
            place.remove(file)
            (place.folder / file).unlink()

    kind(name, CACHE)(damage)


link_gone("link-gone-weights", WEIGHTS)
link_gone("link-gone-config", "config.json")
link_gone("link-gone-preprocessor", "preprocessor_config.json")
link_gone("link-gone-tokenizer", "tokenizer.json")
link_gone(
    "link-gone-all-but-weights",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "chat_template.json",
    "chat_template.jinja",
    "generation_config.json",
    "video_preprocessor_config.json",
)
link_gone(
    "link-gone-all-but-config",
    WEIGHTS,
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "chat_template.json",
    "chat_template.jinja",
    "generation_config.json",
    "video_preprocessor_config.json",
)


def leads(name: str, file: str, target: str) -> None:
    """A link that leads somewhere else."""

    def damage(place: Place) -> None:
        (place.folder / file).unlink()
        (place.folder / file).symlink_to(target)

    kind(name, CACHE)(damage)


leads("link-to-itself", "config.json", "config.json")
leads("link-into-nothing", "tokenizer.json", "../../blobs/" + "0" * 64)
leads("link-to-a-folder", WEIGHTS, "../../blobs")
leads("link-to-a-device", "preprocessor_config.json", "/dev/null")


@kind("link-to-the-wrong-blob", CACHE)
def _(place: Place) -> None:
    (place.folder / "config.json").unlink()
    (place.folder / "config.json").symlink_to(
        os.readlink(place.folder / "preprocessor_config.json")
    )


@kind("links-exchanged", CACHE)
def _(place: Place) -> None:
    one, other = place.folder / "tokenizer.json", place.folder / WEIGHTS
    targets = os.readlink(one), os.readlink(other)
    one.unlink()
    other.unlink()
    one.symlink_to(targets[1])
    other.symlink_to(targets[0])


@kind("links-absolute", CACHE)
def _(place: Place) -> None:
    for link in place.folder.iterdir():
        target = link.resolve()
        link.unlink()
        link.symlink_to(target)


@kind("links-turned-into-files", CACHE)
def _(place: Place) -> None:
    for link in place.folder.iterdir():
        target = link.resolve()
        link.unlink()
        shutil.copyfile(target, link)


@kind("links-turned-into-hard-links", CACHE)
def _(place: Place) -> None:
    for link in place.folder.iterdir():
        target = link.resolve()
        link.unlink()
        os.link(target, link)


@kind("links-turned-into-texts", CACHE)
def _(place: Place) -> None:
    for link in place.folder.iterdir():
        target = os.readlink(link)
        link.unlink()
        link.write_text(target)


@kind("cache-moved-with-a-link", CACHE)
def _(place: Place) -> None:
    place.home.rename(place.base / "elsewhere")
    place.home.symlink_to(place.base / "elsewhere")


def sed(path: Path, before: str, after: str, link: bool, backup: bool) -> None:
    """What ``sed -i`` does: a new file in the place of the name that it is given."""
    text = path.read_text()
    if backup:
        shutil.copyfile(path, path.with_name(path.name + ".bak"))
    if link:
        path.unlink()
    path.write_text(text.replace(before, after))


@kind("sed-on-the-link", CACHE)
def _(place: Place) -> None:
    sed(
        place.folder / "preprocessor_config.json",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessor",
        True,
        True,
    )


@kind("sed-on-the-blob", CACHE)
def _(place: Place) -> None:
    sed(
        place.path("preprocessor_config.json"),
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessor",
        False,
        True,
    )


@kind("sed-on-the-link-to-what-is-not-there", CACHE)
def _(place: Place) -> None:
    sed(
        place.folder / "preprocessor_config.json",
        "Qwen2VLImageProcessorFast",
        "Qwen2_5_VLImageProcessor",
        True,
        False,
    )


@kind("sed-on-the-blob-breaks-config", CACHE)
def _(place: Place) -> None:
    sed(place.path("config.json"), '"num_hidden_layers": 3', '"num_hidden_layers": 4', False, True)


@kind("sed-in-a-folder", FOLDER)
def _(place: Place) -> None:
    sed(
        place.folder / "preprocessor_config.json",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessor",
        False,
        True,
    )


def incomplete(name: str, of: str | None, size: int, take: bool) -> None:
    """A download's leftover, of a blob that is there, of one that is taken away, or of another."""

    def damage(place: Place) -> None:
        blob = place.path(of).name if of else "ab" * 32
        if take and of:
            place.remove(of)
            (place.folder / of).unlink()
        (place.blobs / f"{blob}.incomplete").write_bytes(b"\1" * size)

    kind(name, CACHE)(damage)


incomplete("incomplete-of-nothing", None, 5000, False)
incomplete("incomplete-of-a-whole-file", WEIGHTS, 5000, False)
incomplete("incomplete-of-weights", WEIGHTS, 900_000, True)
incomplete("incomplete-of-tokenizer", "tokenizer.json", 4000, True)
incomplete("incomplete-empty-of-weights", WEIGHTS, 0, True)


@kind("incomplete-with-a-random-part", CACHE)
def _(place: Place) -> None:
    (place.blobs / f"{place.path(WEIGHTS).name}.3f9a11c2.incomplete").write_bytes(b"\1" * 777)


@kind("locks-left", CACHE)
def _(place: Place) -> None:
    locks = place.base / ".locks" / place.home.name
    locks.mkdir(parents=True)
    (locks / f"{place.path(WEIGHTS).name}.lock").touch()


@kind("no-exist-marks", CACHE)
def _(place: Place) -> None:
    marks = place.home / ".no_exist" / REVISION
    marks.mkdir(parents=True)
    (marks / "adapter_config.json").touch()


@kind("blob-that-nobody-needs", CACHE)
def _(place: Place) -> None:
    (place.blobs / ("cd" * 20)).write_bytes(b"old")


@kind("blob-a-link", CACHE)
def _(place: Place) -> None:
    blob = place.path(WEIGHTS)
    blob.rename(place.base / "weights-elsewhere")
    blob.symlink_to(place.base / "weights-elsewhere")


@kind("blobs-of-two-files-exchanged", CACHE)
def _(place: Place) -> None:
    one, other = place.path("config.json"), place.path("generation_config.json")
    texts = one.read_bytes(), other.read_bytes()
    one.write_bytes(texts[1])
    other.write_bytes(texts[0])


@kind("blob-a-folder", CACHE)
def _(place: Place) -> None:
    blob = place.path("tokenizer.json")
    blob.unlink()
    blob.mkdir()


@kind("files-read-only")
def _(place: Place) -> None:
    for path in place.folder.iterdir():
        path.resolve().chmod(0o444)


@kind("files-of-the-future")
def _(place: Place) -> None:
    for path in place.folder.iterdir():
        os.utime(path, (4_000_000_000, 4_000_000_000))


def beside(name: str, file: str, content: bytes) -> None:
    """A file that somebody or something left there."""

    def damage(place: Place) -> None:
        path = place.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    kind(name)(damage)


beside("beside-finders-file", ".DS_Store", b"\0\0\0\1Bud1")
beside("beside-apple-double", "._model.safetensors", b"\0\5\x16\7\0\2\0\0Mac OS X")
beside("beside-thumbnails", "Thumbs.db", b"\xd0\xcf\x11\xe0")
beside("beside-a-backup", "config.json.bak", b"{}")
beside("beside-an-editors-file", "config.json~", b"{")
beside("beside-a-folder", "original/params.json", b"{}")
beside("beside-a-picture", "example.png", b"\x89PNG\r\n")
beside("beside-git", ".gitattributes", b"*.safetensors filter=lfs\n")
beside(
    "beside-downloads-notes",
    ".cache/huggingface/download/config.json.metadata",
    b"abc\n" + b"d" * 40 + b"\n1.0\n",
)
beside("beside-downloads-lock", ".cache/huggingface/download/config.json.lock", b"")
beside("beside-downloads-part", ".cache/huggingface/download/x.ab12.incomplete", b"\1" * 500)
beside("beside-gguf", "model-q4.gguf", b"GGUF")
beside("beside-broken-json", "notes.json", b"{")
beside("beside-vocabulary", "vocab.json", b"{")


@kind("folder-in-russian", FOLDER)
def _(place: Place) -> None:
    other = place.folder.with_name("моя модель")
    place.folder.rename(other)
    place.folder = other


@kind("folder-of-links", FOLDER)
def _(place: Place) -> None:
    store = place.base / "store"
    store.mkdir()
    for path in list(place.folder.iterdir()):
        path.rename(store / path.name)
        path.symlink_to(store / path.name)


@kind("folder-within-a-folder", FOLDER)
def _(place: Place) -> None:
    place.folder.rename(place.base / "inner")
    place.folder.mkdir()
    (place.base / "inner").rename(place.folder / "small-model")


@kind("folder-empty", FOLDER)
def _(place: Place) -> None:
    for path in place.folder.iterdir():
        path.unlink()


@kind("names-in-capitals", FOLDER)
def _(place: Place) -> None:
    (place.folder / "config.json").rename(place.folder / "Config.json")


@kind("names-numbered-by-a-browser", FOLDER)
def _(place: Place) -> None:
    (place.folder / "tokenizer.json").rename(place.folder / "tokenizer (1).json")
