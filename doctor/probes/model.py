"""The model: where it lies, and what its configuration files say."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from doctor.errors import Refused
from doctor.estimate.headers import read_weights
from doctor.estimate.terms import NotEstimable
from doctor.facts import Model, ModelFile, Tokenizer, Weights

DEFAULT = "mlx-community/Qwen3-VL-4B-Instruct-4bit"

# The files of a model that checks look into. Real ones have a few kilobytes; no more is read.
READ = ("config.json", "preprocessor_config.json", "processor_config.json")
MOST_BYTES = 10_000_000
# A list for each layer has a hundred entries; tables of labels have thousands.
MOST_LISTED = 512

# Where a tokenizer may lie: transformers' own file, then the older ones that have to be converted.
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "tekken.json", "vocab.json")

_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")


class Card(msgspec.Struct, frozen=True):
    """What is known of a family of models without having it: see ``model_cards.json``."""

    pattern: str
    type: str
    processor_class: str | None = None
    image_processor_type: str | None = None
    weights_bytes: int | None = None


def _hub() -> ModuleType:
    """What huggingface-hub calls things, and where its cache is.

    It reads its settings when it is imported. Raises ``Refused`` where it cannot read one; a
    generation ends there too.
    """
    try:
        from huggingface_hub import constants
    except ValueError as error:
        word = str(error).rpartition(": ")[2].strip("'\"")
        named = [
            name
            for name, value in sorted(os.environ.items())
            if value.strip() == word and name.startswith(("HF_", "HUGGINGFACE_"))
        ]
        raise Refused(
            f"huggingface-hub cannot read its settings: {error}.",
            f"Mend or unset {' or '.join(named) or 'the HF_ variable with this value'}; a "
            "generation fails for it too.",
        ) from None
    return constants


def look(name: str) -> Model:
    """The model ``name``: a folder, or a Hub id in the local cache, or a well-known id.

    Raises ``Refused`` where ``name`` is neither a folder nor a possible id.
    """
    constants = _hub()
    cache = Path(constants.HF_HUB_CACHE)
    if not name.strip():
        raise Refused("--model takes a Hub id or a model's folder, and it is empty.")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read(name, folder.absolute(), "folder", None, cache)
    if folder.is_file():
        raise Refused(f"{name} is a file; --model takes a Hub id or a model's folder.")
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_path or not _ID.fullmatch(name):
        raise Refused(f"There is no model folder at {name}, and it is no Hub id.")
    home = cache / (constants.REPO_ID_SEPARATOR.join(["models", *name.split("/")]))
    revision = _revision(home)
    if revision is not None:
        return _read(name, home / "snapshots" / revision, "cache", revision, cache)
    card = card_of(name)
    return Model(
        id=name,
        found="card" if card else "nowhere",
        path=None,
        revision=None,
        type=card.type if card else None,
        processor_class=card.processor_class if card else None,
        image_processor_type=card.image_processor_type if card else None,
        image_processor_named_by=None,
        files={},
        weights_bytes=card.weights_bytes if card else None,
        cache=str(cache),
    )


def card_of(name: str) -> Card | None:
    """The shipped card of a well-known id."""
    path = Path(__file__).parent.parent / "model_cards.json"
    cards = msgspec.json.decode(path.read_bytes(), type=list[Card])
    return next((card for card in cards if re.search(card.pattern, name)), None)


def _revision(home: Path) -> str | None:
    """The snapshot that ``main`` names, if its folder is there."""
    try:
        revision = (home / "refs" / "main").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    if re.fullmatch(r"[0-9a-f]{7,64}", revision) and (home / "snapshots" / revision).is_dir():
        return revision
    return None


def _read(name: str, folder: Path, found: str, revision: str | None, cache: Path) -> Model:
    files: dict[str, ModelFile] = {}
    heads: dict[str, dict[str, Any]] = {}
    for file in READ:
        files[file], heads[file] = _head(folder / file)
    config, preprocessor = heads["config.json"], heads["preprocessor_config.json"]
    processor = heads["processor_config.json"]
    processor_class, remote_processor = _processor(folder, processor, preprocessor, config)
    nested = processor.get("image_processor")
    nested = nested if isinstance(nested, dict) else {}
    named_by = next(
        (
            file
            for file, head in (
                ("processor_config.json", nested),
                ("preprocessor_config.json", preprocessor),
            )
            if _text(head.get("image_processor_type"))
        ),
        None,
    )
    weights, problem = _weights(folder)
    return Model(
        id=name,
        found=found,
        path=str(folder),
        revision=revision,
        type=_text(config.get("model_type")),
        processor_class=processor_class,
        image_processor_type=_text(nested.get("image_processor_type"))
        or _text(preprocessor.get("image_processor_type")),
        image_processor_named_by=named_by,
        files=files,
        weights_bytes=weights.total if weights else _size(folder),
        cache=str(cache),
        remote_processor=remote_processor,
        remote_config="AutoConfig" in _mapped(config),
        tokenizer=_tokenizer(folder),
        config=numbers(config),
        preprocessor=numbers({**preprocessor, **nested}),
        weights=weights,
        weights_problem=problem,
    )


def numbers(head: dict[str, Any], depth: int = 3) -> dict[str, Any]:
    """What a configuration file says about sizes: numbers, short words, lists of them, parts.

    Facts stay small: long texts and tables of labels are left out. A number that JSON has no place
    for becomes a word, which is no number then.
    """
    kept: dict[str, Any] = {}
    for key, value in head.items():
        if isinstance(value, dict):
            if depth:
                kept[key] = numbers(value, depth - 1)
        elif isinstance(value, list):
            if len(value) <= MOST_LISTED and all(map(_plain, value)):
                kept[key] = value
        elif _plain(value):
            kept[key] = value
        elif isinstance(value, (int, float)):
            kept[key] = str(value)[:40]
        if len(kept) >= MOST_LISTED:
            break
    return kept


def _plain(value: object) -> bool:
    if isinstance(value, (int, float)):
        return math.isfinite(value) and abs(value) < 2**53
    return value is None or (isinstance(value, str) and len(value) <= 80)


def _tokenizer(folder: Path) -> Tokenizer:
    _, head = _head(folder / "tokenizer_config.json")
    tokens = head.get("extra_special_tokens")
    kind = "list" if isinstance(tokens, list) else "object" if isinstance(tokens, dict) else None
    return Tokenizer(
        class_name=_text(head.get("tokenizer_class")),
        extra_special_tokens=kind,
        files=tuple(name for name in TOKENIZERS if (folder / name).is_file()),
    )


def _processor(
    folder: Path, processor: dict[str, Any], preprocessor: dict[str, Any], config: dict[str, Any]
) -> tuple[str | None, bool]:
    """The processor class that the model's files name, and whether they map it to code of theirs.

    The files in the order in which transformers reads them: it ends with the first that names a
    class (``AutoProcessor.from_pretrained``).
    """
    remote = False
    for file in (processor, preprocessor, "tokenizer_config.json", config):
        head = _head(folder / file)[1] if isinstance(file, str) else file
        remote = remote or "AutoProcessor" in _mapped(head)
        named = _text(head.get("processor_class"))
        if named:
            return named, remote
    return None, remote


def _mapped(head: dict[str, Any]) -> dict[str, Any]:
    mapped = head.get("auto_map")
    return mapped if isinstance(mapped, dict) else {}


def _head(path: Path) -> tuple[ModelFile, dict[str, Any]]:
    """A JSON file's state and its content (empty unless it is whole)."""

    def file(state: str, problem: str | None = None) -> ModelFile:
        return msgspec.convert(
            {"path": str(path), "state": state, "problem": problem}, type=ModelFile
        )

    try:
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            return file("unreadable", "not a regular file"), {}
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        dangling = path.is_symlink()
        return file("missing", "its link points to nothing" if dangling else None), {}
    except OSError as error:
        return file("unreadable", os.strerror(error.errno or errno.EIO)), {}
    if len(data) > MOST_BYTES:
        return file("too-large", f"larger than {MOST_BYTES // 1_000_000} MB"), {}
    try:
        content = json.loads(data)
    except RecursionError:
        return file("broken", "nested too deep"), {}
    except ValueError as error:
        return file("broken", str(error) if data.strip() else "empty"), {}
    if not isinstance(content, dict):
        return file("not-an-object", "JSON, but not an object"), {}
    return file("ok"), content


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 200 else None


def _weights(folder: Path) -> tuple[Weights | None, str | None]:
    """What the headers of the safetensors files add up to, or why they do not."""
    try:
        return read_weights(folder), None
    except NotEstimable as error:
        return None, str(error)


def _size(folder: Path) -> int | None:
    """The size of all safetensors files in bytes; null where there are none."""
    sizes = []
    for path in folder.glob("*.safetensors"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue
    return sum(sizes) if sizes else None
