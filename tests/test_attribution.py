"""What `explain --error` makes of real error texts, and of those that are none of its business."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from doctor.known.attribution import attribute
from doctor.known.incidents import load
from doctor.known.pasted import Pasted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ERRORS = Path(__file__).parent / "errors"


def ids(text: str) -> list[str]:
    """The incidents that a text shows."""
    return [match.incident.id for match in attribute(Pasted(text, cut=False))]


def quoted(name: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = tomllib.loads((ERRORS / name).read_text())["text"]
    return rows


def observed() -> list[dict[str, str]]:
    with (ERRORS / "observed.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


QUOTED = [*quoted("texts.toml"), *quoted("issues.toml"), *observed()]
TRACEBACKS = sorted((ERRORS / "tracebacks").glob("*.txt"))
UNRELATED = sorted((ERRORS / "unrelated").glob("*.txt"))


@pytest.mark.parametrize("row", QUOTED, ids=lambda row: row["incident"] or "unknown")
def test_quoted_texts_are_attributed(row: dict[str, str]) -> None:
    assert ids(row["error"])[:1] == ([row["incident"]] if row["incident"] else [])


@pytest.mark.parametrize("path", TRACEBACKS, ids=lambda path: path.stem)
def test_real_tracebacks_are_attributed(path: Path) -> None:
    assert ids(path.read_text())[0] == path.stem.partition("--")[0]


@pytest.mark.parametrize("path", UNRELATED, ids=lambda path: path.stem)
def test_what_is_no_incident_is_none(path: Path) -> None:
    assert ids(path.read_text()) == []


def test_every_incident_with_texts_is_shown_by_one_of_them() -> None:
    shown = {row["incident"] for row in QUOTED} | {path.stem.split("--")[0] for path in TRACEBACKS}
    with_texts = {incident.id for incident in load().values() if incident.texts}
    assert with_texts <= shown


def quote(text: str) -> str:
    return "".join(f"> {line}\n" for line in text.splitlines())


def quote_twice(text: str) -> str:
    return quote(quote(text))


def windows(text: str) -> str:
    return text.replace("\n", "\r\n")


def wrap(text: str) -> str:
    """Every line broken at column 40, as a narrow terminal copies it."""
    return "\n".join(
        line[start : start + 40]
        for line in text.splitlines()
        for start in range(0, max(1, len(line)), 40)
    )


def colour(text: str) -> str:
    return "".join(f"\x1b[1;31m{line[:5]}\x1b[0m{line[5:]}\x1b[K\n" for line in text.splitlines())


def escape(text: str) -> str:
    """As one line of a JSON log."""
    return '{"level": "error", "text": "' + text.replace('"', '\\"').replace("\n", "\\n") + '"}'


def typographic(text: str) -> str:
    return text.replace("'", "\u2019").replace('"', "\u201d")


def boxed(text: str) -> str:
    """As rich's tracebacks in a terminal."""
    return "\n".join(f"\u2502 {line[:90]:90} \u2502" for line in wrap(text).splitlines())


def markdown(text: str) -> str:
    return text.replace("_", "\\_")


def html(text: str) -> str:
    return text.replace("&", "&amp;").replace("'", "&#39;").replace(">", "&gt;")


def in_a_log(text: str) -> str:
    return "".join(
        f"2026-11-25 10:00:00 INFO request {number} served\n" for number in range(3000)
    ) + "".join(f"2026-11-25 10:00:01 ERROR {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "change",
    [
        *(quote, quote_twice, windows, wrap, colour, escape, typographic, boxed, markdown, html),
        in_a_log,
    ],
)
@pytest.mark.parametrize("path", TRACEBACKS, ids=lambda path: path.stem)
def test_however_it_was_pasted(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    assert ids(change(path.read_text()))[0] == path.stem.partition("--")[0]


@pytest.mark.parametrize("path", TRACEBACKS, ids=lambda path: path.stem)
def test_the_error_without_its_traceback_is_enough(path: Path) -> None:
    text = path.read_text()
    last = text.rindex("  File ")
    frame = text[last:].splitlines(keepends=True)
    end = next(number for number, line in enumerate(frame) if number and line[0] != " ")
    assert path.stem.partition("--")[0] in ids("".join(frame[end:])) or "Offline" in text


def test_of_a_chain_the_first_error_is_the_root() -> None:
    text = """\
Traceback (most recent call last):
  File "/x/huggingface_hub/utils/_http.py", line 30, in <module>
    import httpx2
ModuleNotFoundError: No module named 'httpx2'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/x/server.py", line 1, in <module>
ImportError: libmlx.so: cannot open shared object file: No such file or directory
"""
    assert ids(text) == ["http-client-missing", "mlx-backend-missing"]


def test_several_errors_are_all_named_and_notices_come_last() -> None:
    text = """\
Using a slow image processor as `use_fast` is unset and a slow processor was saved with this model.
ValueError: Received 3 parameters not in model: a, b, c.
RuntimeError: [read] Unable to read 8 bytes from file.
"""
    assert ids(text) == ["safetensors-truncated", "weights-unknown", "slow-image-processor"]


def test_two_errors_are_not_read_as_one() -> None:
    text = "ImportError: cannot import name 'draw' from 'art'\nfrom 'transformers import x\n"
    assert ids(text) == []


def test_longer_words_are_other_words() -> None:
    assert ids("ERROR: No matching distribution found for mlx") == ["mlx-wheel-none"]
    assert ids("ERROR: No matching distribution found for mlx==9") == ["mlx-wheel-none"]
    assert ids("ERROR: No matching distribution found for mlxtend") == []
    assert ids("ERROR: No matching distribution found for mlx-data") == []
    assert ids("ImportError: cannot import name 'a' from 'transformers_stream_generator'") == []
