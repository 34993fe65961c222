"""The model's tokenizer and its chat template, as far as their files tell."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import msgspec

from doctor.facts import Template, Tokenizer

# Where a tokenizer may lie: transformers' own file, then the older ones that have to be converted.
FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "tekken.json",
    "vocab.json",
    "vocab.txt",
)

# The largest real one (Gemma's, 262,144 tokens) has 34 MB.
MOST_BYTES = 100_000_000
MOST_TEMPLATE_BYTES = 2_000_000

# What tokenizers calls its models (tokenizers/src/models/mod.rs).
KINDS = ("BPE", "WordPiece", "WordLevel", "Unigram")

# The numbers of config.json that say where the picture stands in the prompt.
MARKS = ("image_token_id", "image_token_index", "vision_start_token_id")


# The one form of the file that there is (tokenizers/src/tokenizer/serialization.rs).
VERSION = "1.0"


# A vocabulary of bytes alone, 256 of them with their numbers, is smaller.
LETTERS_BYTES = 8000


class _Added(msgspec.Struct):
    id: int
    content: str


class _Model(msgspec.Struct):
    type: str | None = None
    vocab: msgspec.Raw = msgspec.Raw(b"null")
    merges: msgspec.Raw = msgspec.Raw(b"null")
    ignore_merges: bool | None = None


class _File(msgspec.Struct):
    version: str = VERSION
    model: _Model | None = None
    added_tokens: list[_Added] = []
    pre_tokenizer: msgspec.Raw = msgspec.Raw(b"null")
    decoder: msgspec.Raw = msgspec.Raw(b"null")


# A template gives a picture its place by name, or as what is of another type than text.
_PLACES = re.compile(r"image|img|vision|\btype\b.*\{%-?\s*else", re.IGNORECASE | re.DOTALL)


def look(folder: Path, head: dict[str, Any], config: dict[str, Any]) -> Tokenizer:
    """The tokenizer; ``head`` is tokenizer_config.json's content, ``config`` config.json's."""
    tokens = head.get("extra_special_tokens")
    kind = "list" if isinstance(tokens, list) else "object" if isinstance(tokens, dict) else None
    class_name = head.get("tokenizer_class")
    problem, file = _file(folder / FILES[0])
    added = {token.id: token.content for token in file.added_tokens} if file else {}
    decoder = head.get("added_tokens_decoder")
    in_config = decoder if isinstance(decoder, dict) else {}
    marks: dict[str, str | None] = {}
    for name in MARKS:
        number = config.get(name)
        if file is not None and type(number) is int and number >= 0:
            token = in_config.get(str(number))
            listed = token.get("content") if isinstance(token, dict) else None
            # Where the two files number a token differently, it gets the number of the second.
            after = number > max(added, default=-1)
            known = listed if after or listed in added.values() else None
            marks[name] = added.get(number) or known or _entry(file, number)
    return Tokenizer(
        class_name=class_name if isinstance(class_name, str) and class_name else None,
        extra_special_tokens=kind,
        files=tuple(name for name in FILES if (folder / name).is_file()),
        problem=problem,
        marks=marks,
        marks_of_config=tuple(name for name in MARKS if str(config.get(name)) in in_config),
        pictures=tuple(
            content for content in added.values() if "image" in content and len(content) < 100
        )[:20],
        highest=max(added, default=None),
        shifted=_shifted(added, in_config),
        one_way=file is not None
        and (b'"ByteLevel"' in bytes(file.pre_tokenizer))
        != (b'"ByteLevel"' in bytes(file.decoder)),
        templates=_templates(folder, head),
    )


def _shifted(added: dict[int, str], listed: dict[str, Any]) -> tuple[str, ...]:
    """Listed tokens that are not among the added, though some of higher numbers are."""
    there = set(added.values())
    highest = max(added, default=-1)
    return tuple(
        str(token["content"])[:100]
        for number, token in listed.items()
        if isinstance(token, dict)
        and isinstance(token.get("content"), str)
        and number.isdigit()
        and int(number) < highest
        and int(number) not in added
        and token["content"] not in there
    )[:20]


def _file(path: Path) -> tuple[str | None, _File | None]:
    """Why tokenizer.json cannot be used, or what it has; both null where it is not there."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "it is no file", None
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ("its link points to nothing", None) if path.is_symlink() else (None, None)
    except OSError as error:
        return os.strerror(error.errno or 0), None
    if len(data) > MOST_BYTES:
        return f"it is larger than {MOST_BYTES // 1_000_000} MB", None
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as error:
        return f"it is no tokenizer: {error}", None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return (f"it is no JSON: {error}" if data.strip() else "it is empty"), None
    if file.model is None:
        return "it has no model", None
    if file.version != VERSION:
        return f"it is of an unknown form, {file.version[:20]}", None
    if file.model.type is not None and file.model.type not in KINDS:
        return f"its model is of an unknown kind, {file.model.type[:40]}", None
    if not _start(file.model.vocab):
        return "its vocabulary is empty", None
    merges = _start(file.model.merges)
    whole_words = len(file.model.vocab) > LETTERS_BYTES and not file.model.ignore_merges
    if file.model.type == "BPE" and not merges and whole_words:
        return "it has no merges, so that no word of its vocabulary is ever made", None
    return None, file


def _start(part: msgspec.Raw) -> bytes:
    """How a list or an object begins; nothing where it is empty."""
    return bytes(memoryview(part)[:20]).strip(b"[]{} \n\r\t")


def _entry(file: _File, number: int) -> str | None:
    """The entry of the vocabulary with a number; null where there is none.

    It is read only where it decides: the vocabulary is most of the file.
    """
    if file.model is None:
        return None
    try:
        entries = msgspec.json.decode(file.model.vocab)
    except msgspec.DecodeError:
        return None
    if isinstance(entries, dict):
        return next((str(name)[:100] for name, one in entries.items() if one == number), None)
    if isinstance(entries, list) and number < len(entries):
        return str(entries[number])[:100]
    return None


def _templates(folder: Path, head: dict[str, Any]) -> dict[str, Template]:
    """The chat templates by the files that they stand in."""
    found = {}
    text, problem = _text(folder / "chat_template.jinja")
    if text is not None or problem is not None:
        found["chat_template.jinja"] = _template(text, problem)
    text, problem = _text(folder / "chat_template.json")
    if text is not None:
        try:
            content = msgspec.json.decode(text)
        except msgspec.DecodeError:
            content, problem = None, "it is no JSON"
        inner = content.get("chat_template") if isinstance(content, dict) else None
        if problem is None and not isinstance(inner, str):
            problem = "it has no chat_template"
        text = inner if isinstance(inner, str) else None
    if text is not None or problem is not None:
        found["chat_template.json"] = _template(text, problem)
    inner = head.get("chat_template")
    if isinstance(inner, str):
        found["tokenizer_config.json"] = _template(inner, None)
    elif isinstance(inner, list):  # several by name
        found["tokenizer_config.json"] = Template(problem=None)
    return found


def _text(path: Path) -> tuple[str | None, str | None]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None, "it is no file"
        with path.open("rb") as stream:
            data = stream.read(MOST_TEMPLATE_BYTES)
        return data.decode(), None
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, os.strerror(error.errno or 0)
    except UnicodeDecodeError:
        return None, "it is no text"


# Jinja's blocks, each with the word that ends it.
_BLOCKS = ("for", "if", "macro", "call", "filter", "raw", "generation")


def _template(text: str | None, problem: str | None) -> Template:
    """What a template looks like; it is not run."""
    if problem is not None or text is None:
        return Template(problem=problem or "it is not there")
    if not text.strip():
        return Template(problem="it is empty")
    if text.lstrip()[:9].lower() in ("<!doctype", "<html><he"):
        return Template(problem="it is a web page")
    for word in _BLOCKS:
        opened = sum(
            text.count(start + word + end) for start in ("{% ", "{%- ") for end in (" ", "(")
        )
        closed = sum(text.count(start + "end" + word) for start in ("{% ", "{%- "))
        if word in ("for", "if", "macro") and opened != closed:
            return Template(problem=f"{opened} times {word}, {closed} times end{word}")
    if text.count("{{") != text.count("}}") or text.count("{%") != text.count("%}"):
        return Template(problem="a bracket is not closed")
    return Template(problem=None, pictures=_PLACES.search(text) is not None)
