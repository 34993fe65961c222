"""Reading what somebody pasted, whoever it was."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.errors import Refused
from doctor.known import attribution, pasted
from doctor.known.pasted import Pasted
from tests.conftest import Doctor

TRACEBACK = """\
Traceback (most recent call last):
  File "run.py", line 3, in <module>
    import mlx_vlm
ModuleNotFoundError: No module named 'httpx2'
"""
UNKNOWN = TRACEBACK.replace("No module named 'httpx2'", "No module named 'matplotlib'")


def explain(doctor: Doctor, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """`explain --error -` with this on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "doctor", "explain", "--error", "-", *words],
        input=data,
        env=doctor.variables,
        cwd=doctor.folder,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_a_known_error_is_0_and_named(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "error.txt"
    path.write_text(TRACEBACK)
    run = doctor("explain", "--error", str(path))
    assert run.code == 0
    assert "http-client-missing" in run.out and "What helps" in run.out
    report = doctor.json("explain", "--error", str(path)).report
    (incident,) = report["incidents"]
    assert (incident["id"], incident["line"]) == ("http-client-missing", 4)
    assert incident["seen"] == "ModuleNotFoundError: No module named 'httpx2'"
    assert (report["code"], report["check"]) == ("versions-conflict", "versions")


def test_an_unknown_error_is_1_and_still_recognised(doctor: Doctor) -> None:
    run = explain(doctor, UNKNOWN.encode())
    assert run.returncode == 1
    assert b"ModuleNotFoundError: No module named 'matplotlib' (line 4)" in run.stdout
    assert b"No incident is known" in run.stdout
    assert b'"code": null' in explain(doctor, UNKNOWN.encode(), "--format", "json").stdout.replace(
        b'":null', b'": null'
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n\t\n",
        bytes(range(256)) * 400,
        b"\x00" * 5000,
        b"\x7fELF\x02\x01\x01" + b"\0" * 999,
    ],
)
def test_what_is_no_text_is_2(doctor: Doctor, data: bytes) -> None:
    run = explain(doctor, data)
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"Standard input" in run.stderr


@pytest.mark.parametrize("name", ["/no/such/file", ".", "a\0b", ""])
def test_what_cannot_be_read_is_2(doctor: Doctor, name: str) -> None:
    if "\0" in name:
        with pytest.raises(Refused):
            pasted.read(name)
        return
    assert doctor("explain", "--error", name).code == 2


@pytest.mark.parametrize("words", [["--error"], ["torchvision-missing", "--error", "x"]])
def test_one_thing_is_asked_at_a_time(doctor: Doctor, words: list[str]) -> None:
    assert doctor("explain", *words).code == 2


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be-with-mark", "cp1252"]
)
def test_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = TRACEBACK.replace("run.py", "café.py")
    mark = b"\xfe\xff" if encoding.endswith("mark") else b""
    path = tmp_path / "error.txt"
    path.write_bytes(mark + text.encode(encoding.removesuffix("-with-mark")))
    read = pasted.read(str(path))
    assert "café" in "\n".join(read.lines)
    assert [match.incident.id for match in attribution.attribute(read)] == ["http-client-missing"]


def test_a_text_that_is_cut_within_a_letter(tmp_path: Path) -> None:
    path = tmp_path / "error.txt"
    path.write_bytes("é".encode()[1:] + TRACEBACK.encode() + "é".encode()[:1])
    assert attribution.attribute(pasted.read(str(path)))


def test_of_100_megabytes_the_end_is_looked_at(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"INFO all is well with this request, as with the others\n" * 18_000)
        file.write(TRACEBACK.encode())
    started = time.monotonic()
    run = doctor.json("explain", "--error", str(path))
    assert time.monotonic() - started < 20
    assert run.report["cut"]
    assert [item["id"] for item in run.report["incidents"]] == ["http-client-missing"]
    with path.open("rb") as file:
        piped = subprocess.run(
            ["/bin/sh", "-c", f"cat | '{sys.executable}' -m doctor explain --error -"],
            stdin=file,
            env=doctor.variables,
            cwd=doctor.folder,
            capture_output=True,
            check=False,
        )
    assert piped.returncode == 0
    assert b"http-client-missing" in piped.stdout


@pytest.mark.parametrize(
    "text",
    [
        "cannot import name '" * 150_000,
        "mlx-vlm " * 400_000,
        "a\n" * 1_000_000,
        "Received parameters not in " * 120_000,
        "No safetensors found in_ " * 120_000,
        "Error" * 600_000,
        "A." * 1_000_000 + "Error",
        "\x1b[" * 1_000_000,
        "> " * 1_000_000,
        "'" * 3_000_000,
        "\\n" * 1_500_000,
        "&gt;" * 700_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_text_takes_long(text: str) -> None:
    started = time.monotonic()
    read = Pasted(text, cut=False)
    attribution.attribute(read)
    read.errors()
    assert time.monotonic() - started < 15


def test_no_escape_reaches_the_screen(doctor: Doctor) -> None:
    hostile = (
        "\x1b]0;owned\x07\x1b[2J\u202eevil\u009b31m ImportError: libmlx.so: cannot open shared "
        "object file\x1b[31m\x07: No such file\x00\n\u202eTypeError: \x1b[5mblink\u0007\n"
    )
    for words in ((), ("--format", "json")):
        run = explain(doctor, hostile.encode(), *words)
        assert run.returncode == 0
        shown = run.stdout.decode() + run.stderr.decode()
        assert not set(shown) & set("\x1b\x07\x00\u202e\u009b")


def test_tokens_are_not_repeated(doctor: Doctor) -> None:
    text = (
        b"Cannot access gated repo for url https://me:hf_abcdefghijk@example.org/x hf_abcdefghijk"
    )
    for words in ((), ("--format", "json")):
        run = explain(doctor, text, *words)
        assert run.returncode == 0
        assert b"abcdefghijk" not in run.stdout


@pytest.mark.parametrize(
    ("line", "type_", "message"),
    [
        ("KeyError: 'price'", "KeyError", "'price'"),
        ("huggingface_hub.errors.GatedRepoError: no", "GatedRepoError", "no"),
        ("  | ValueError: inner", "ValueError", "inner"),
        ("KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("ImportError: \n\nthe rest", "ImportError", "the rest"),
        (
            "libc++abi: terminating due to uncaught exception of type std::runtime_error: [M] x",
            "std::runtime_error",
            "[M] x",
        ),
        ("zsh: Segmentation fault: 11  python run.py", "Segmentation fault", ""),
    ],
)
def test_exceptions_are_recognised(line: str, type_: str, message: str) -> None:
    (error,) = Pasted(line, cut=False).errors()
    assert (error.type, error.message) == (type_, message)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    read = Pasted(text, cut=False)
    attribution.attribute(read)
    for place in range(0, len(read.squeezed), 7):
        assert isinstance(read.shown(place, place + 3), str)
        read.is_whole_word(place)


def test_a_pipe_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    monkeypatch.setattr(pasted, "MOST_BYTES", 100)
    data, cut = pasted._tail(Pipe(b"x" * 950 + b"the end"))
    assert (len(data), data[-7:], cut) == (100, b"the end", True)
