"""The model: where it lies, and what its configuration files say."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from doctor.errors import Refused
from doctor.facts import (
    Model,
    ModelFile,
    ModuleQuantisation,
    Quantisation,
    Value,
)
from doctor.probes import safetensors, storage, tokenizer

DEFAULT = "mlx-community/Qwen3-VL-4B-Instruct-4bit"

# The files of a model that checks look into. Real ones have a few kilobytes; no more is read.
READ = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
    "tokenizer_config.json",
)
MOST_BYTES = 10_000_000
# A list for each layer has a hundred entries; tables of labels have thousands.
MOST_LISTED = 512

_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
# What huggingface_hub.utils.validate_repo_id lets through.
LONGEST_ID = 96


class Card(msgspec.Struct, frozen=True):
    """What is known of a family of models without having it: see ``model_cards.json``."""

    pattern: str
    type: str
    processor_class: str | None = None
    image_processor_type: str | None = None
    weights_bytes: int | None = None


def constants() -> ModuleType:
    """What huggingface-hub calls things, and where its cache is.

    It reads its settings when it is imported. Raises ``Refused`` where it cannot read one; a
    generation ends there too.
    """
    try:
        from huggingface_hub import constants as found
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
    return found


def look(name: str) -> Model:
    """The model ``name``: a folder, or a Hub id in the local cache, or a well-known id.

    Raises ``Refused`` where ``name`` is neither a folder nor a possible id.
    """
    hub = constants()
    cache = Path(hub.HF_HUB_CACHE)
    if not name.strip():
        raise Refused("--model takes a Hub id or a model's folder, and it is empty.")
    folder = Path(name).expanduser()
    if os.path.isdir(folder):
        return read(name, folder.absolute(), "folder", None, cache)
    if os.path.isfile(folder):
        raise Refused(f"{name} is a file; --model takes a Hub id or a model's folder.")
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_path or not _ID.fullmatch(name) or len(name) > LONGEST_ID:
        raise Refused(f"There is no model folder at {name}, and it is no Hub id.")
    home = cache / (hub.REPO_ID_SEPARATOR.join(["models", *name.split("/")]))
    main = storage.reference(home)
    revision = main.revision
    if revision is None:
        # What lies there is used, though not by this name, where it is clear what is meant.
        whole = storage.whole(home, storage.snapshots(home))
        revision = whole[0] if len(whole) == 1 else None
    if revision is not None:
        return read(name, home / "snapshots" / revision, "cache", revision, cache, home, main)
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


def read(
    name: str,
    folder: Path,
    found: str,
    revision: str | None,
    cache: Path,
    home: Path | None = None,
    main: storage.Reference | None = None,
) -> Model:
    """The model as its folder's files tell; ``home`` is its place in the cache."""
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
    weights = safetensors.look(folder)
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
        weights_bytes=sum(file.bytes or 0 for file in weights.files) or None,
        cache=str(cache),
        remote_processor=remote_processor,
        remote_config="AutoConfig" in _mapped(config),
        tokenizer=tokenizer.look(folder, heads["tokenizer_config.json"], config),
        storage=storage.look(folder, home, main),
        weights=weights,
        quantisation=_quantisation(config),
        values={file: _values(head) for file, head in heads.items() if head},
        config=numbers(config),
        preprocessor=numbers({**preprocessor, **nested}),
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
        return abs(value) < 2**53  # what is no number is not, nor what has no end
    return value is None or (isinstance(value, str) and len(value) <= 80)


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
        if error.errno == errno.ELOOP:
            return file("missing", "its link leads to itself"), {}
        return file("unreadable", os.strerror(error.errno or errno.EIO)), {}
    if len(data) > MOST_BYTES:
        return file("too-large", f"larger than {MOST_BYTES // 1_000_000} MB"), {}
    try:
        # The libraries read these files as text, and then a byte order mark is an error.
        content = json.loads(data.decode())
    except RecursionError:
        return file("broken", "nested too deep"), {}
    except ValueError as error:
        return file("broken", str(error) if data.strip() else "empty"), {}
    if not isinstance(content, dict):
        return file("not-an-object", "JSON, but not an object"), {}
    return file("ok"), content


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 200 else None


# A file's plain values that are kept. Real ones have two hundred at most, and a mixed quantisation
# thousands, which are kept apart.
MOST_VALUES = 400
MOST_MODULES = 5000


def _values(head: dict[str, Any]) -> dict[str, Value]:
    """The numbers, short texts and short lists of numbers of a file, by their way through it."""
    found: dict[str, Value] = {}

    def take(way: str, value: object, depth: int) -> None:
        if len(found) >= MOST_VALUES:
            return
        if isinstance(value, dict):
            for key, inner in value.items() if depth else ():
                if key.startswith("quantization"):
                    take_plain(key, inner)
                elif len(key) <= 60 and not key.startswith("_"):  # _name_or_path is somebody's path
                    take(f"{way}.{key}" if way else key, inner, depth - 1)
        elif isinstance(value, list):
            plain = all(type(one) in (int, float) for one in value)
            if len(value) <= 64 and plain:
                found[way] = value
        elif isinstance(value, str):
            if len(value) <= 100:
                found[way] = value
        elif not isinstance(value, int) or abs(value) < 2**53:
            found[way] = value  # type: ignore[assignment]

    def take_plain(way: str, block: object) -> None:
        # The modules that it may name by the thousand are kept apart (``_quantisation``).
        for key, inner in block.items() if isinstance(block, dict) else ():
            if not isinstance(inner, (dict, list)) and "." not in key:
                take(f"{way}.{key}", inner, 0)

    take("", head, 4)
    return found


def _quantisation(config: dict[str, Any]) -> Quantisation | None:
    """The block ``quantization``, as mlx-vlm reads it."""
    block = config.get("quantization")
    if block is None:
        return None
    if not isinstance(block, dict):
        return Quantisation(
            bits=None, group_size=None, mode=None, modules={}, problem="it is no object"
        )
    modules: dict[str, ModuleQuantisation] = {}
    for name, value in block.items():
        if len(modules) < MOST_MODULES and (isinstance(value, dict) or "." in name):
            inner = value if isinstance(value, dict) else {}
            modules[name] = ModuleQuantisation(
                bits=_whole(inner.get("bits")),
                group_size=_whole(inner.get("group_size")),
                mode=_text(inner.get("mode")),
            )
    lacking = [key for key in ("group_size", "bits") if _whole(block.get(key)) is None]
    return Quantisation(
        bits=_whole(block.get("bits")),
        group_size=_whole(block.get("group_size")),
        mode=_text(block.get("mode")),
        modules=modules,
        problem=f"{' and '.join(lacking)} is no whole number" if lacking else None,
    )


def _whole(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


# The probe gets its question as an argument of a program, which Linux limits to 128 kB.
MOST_CONFIG_BYTES = 60_000


def configuration(model: Model) -> dict[str, Any] | None:
    """The content of config.json, less how it is quantised; null where it is not there or is long.

    It is not among the facts: the probe needs it whole to follow what mlx-vlm makes of it.
    """
    if model.path is None:
        return None
    _, config = _head(Path(model.path) / "config.json")
    for name in ("quantization", "quantization_config"):
        config.pop(name, None)
    if not config or len(json.dumps(config)) > MOST_CONFIG_BYTES:
        return None
    return config
