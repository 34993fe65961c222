"""Texts within texts: what a part of a text is when it is decoded, and how a secret may be written.

A name, a password or a path can stand in a text percent-encoded, with JSON's or C's escapes, as
numbers of HTML, in hexadecimal, in base64 or base32, as quoted-printable, or in UTF-16 that was
taken for something else.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
# The escapes of JSON, C and HTML; the second where their backslashes were escaped in turn.
_ESCAPE, _ESCAPED_ESCAPE = (
    re.compile(
        rf"(?:{slash}|%)u(?:([0-9A-Fa-f]{{4}})|\{{([0-9A-Fa-f]{{1,6}})\}})|{slash}U([0-9A-Fa-f]{{8}})"
        rf"|&#x([0-9A-Fa-f]{{1,6}});|&#(\d{{1,7}});"
        rf"|((?:{slash}x[0-9A-Fa-f]{{2}})+|(?:{slash}[0-3][0-7]{{2}})+)"
    )
    for slash in (r"\\", r"\\{2,8}")
)
# Letters of quoted-printable; one alone is more often the beginning of a number: pid=15.
_QUOTED = re.compile(r"(?:=[0-9A-F]{2}){2,}")
_BASE32 = re.compile(r"(?<![A-Z2-7])[A-Z2-7]{12,}={0,6}(?![A-Za-z0-9])")
# UTF-16 that was taken for Latin-1: each other letter is the number of an alphabet.
_WIDE = (
    ("utf-16-le", re.compile("(?:[\0-\xff][\0-\x08]){3,}")),
    ("utf-16-be", re.compile("(?:[\0-\x08][\0-\xff]){3,}")),
)
# Letters with spaces between them, as wide letters are sometimes shown.
_SPACED = re.compile(r"(?:\S(?:\s{3}|\s)){6,}\S")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{7,}={0,2}")
# Null characters, and the marks that text in UTF-16 begins with, also as bytes one by one.
_MARKS = re.compile("\0|\ufeff|\ufffe|\xff\xfe|\xfe\xff")
# Pieces of it, between what may be separators: as base64 is written usually, or for URLs.
_PIECES = tuple(re.compile(piece) for piece in (r"[^/]+", r"[^-_/]+", r"[^+/]+"))
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){5,}(?![0-9A-Za-z])")


@functools.lru_cache(maxsize=200_000)
def inner(text: str) -> tuple[tuple[int, int, str], ...]:
    """What parts of a text (from, to) are when they are decoded; longer parts first."""
    return tuple(_parts(text))


def _parts(text: str) -> Iterator[tuple[int, int, str]]:
    if "\0" in text:
        yield 0, len(text), _MARKS.sub("", text)
        for encoding, wide in _WIDE:
            for found in wide.finditer(text):
                with contextlib.suppress(UnicodeError):
                    wide_text = found[0].encode("latin-1").decode(encoding)
                    yield found.start(), found.end(), _MARKS.sub("", wide_text)
    if "%" in text and _PERCENT.search(text):
        yield 0, len(text), unquote(text, errors="replace")
    if ("\\" in text or "&#" in text or "%u" in text) and _ESCAPE.search(text):
        yield 0, len(text), _ESCAPE.sub(_unescaped, text)
        if _ESCAPED_ESCAPE.search(text):
            yield 0, len(text), _ESCAPED_ESCAPE.sub(_unescaped, text)
    if "=" in text and _QUOTED.search(text):
        yield 0, len(text), _QUOTED.sub(_unquoted, text)
    if len(text) < 7:
        return
    for found in _HEX.finditer(text):
        decoded = _readable(bytes.fromhex(found[0]))
        if decoded is not None:
            yield found.start(), found.end(), decoded
    for found in _SPACED.finditer(text):
        words = re.split(r"\s{3}", found[0])
        yield found.start(), found.end(), " ".join("".join(word.split()) for word in words)
    for found in _BASE32.finditer(text):
        digits = found[0].rstrip("=")
        with contextlib.suppress(binascii.Error):
            decoded = _readable(base64.b32decode(digits + "=" * (-len(digits) % 8)))
            if decoded is not None:
                yield found.start(), found.end(), decoded
    for found in _BASE64.finditer(text):
        if found[0].islower() and found[0].isalpha():
            continue  # a word: in base64, letters make capitals and digits
        yield from _from_base64(found.start(), found[0])


def _from_base64(start: int, run: str) -> Iterator[tuple[int, int, str]]:
    """What a run of letters is as base64; also a part of it, between what may be separators."""
    pieces = {(0, len(run))}
    for pieces_between in _PIECES:
        pieces |= {found.span() for found in pieces_between.finditer(run)}
    # A sign of base64 may itself be what separates it, as before a version's local part.
    pieces |= {(found.end(), len(run)) for found in re.finditer(r"\+", run)}
    for first, last in sorted(pieces, key=lambda piece: piece[0] - piece[1]):
        piece = run[first:last].rstrip("=").replace("-", "+").replace("_", "/")
        if len(piece) < 6 or len(piece) % 4 == 1:
            continue
        with contextlib.suppress(ValueError, binascii.Error):
            decoded = _readable(base64.b64decode(piece + "=" * (-len(piece) % 4)))
            if decoded is not None:
                yield start + first, start + last, decoded


def _readable(data: bytes) -> str | None:
    """The text that these bytes are, if they are one."""
    encodings = ["utf-8"]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    elif len(data) >= 8 and _alphabets(data[1::2]):
        encodings = ["utf-16-le"]
    elif len(data) >= 8 and _alphabets(data[::2]):
        encodings = ["utf-16-be"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(letter.isprintable() or letter in "\r\n\t" for letter in text):
            return text
    return None


def _alphabets(data: bytes) -> bool:
    """Whether these may be the higher bytes of UTF-16: numbers of European alphabets."""
    return sum(byte < 9 for byte in data) > len(data) * 2 // 3


def _unescaped(found: re.Match[str]) -> str:
    if found[6]:  # bytes
        numbers = re.findall(r"[0-9A-Fa-f]+", found[6])
        return _of_bytes(bytes(int(digits, 16 if "x" in found[6] else 8) for digits in numbers))
    digits = found[1] or found[2] or found[3] or found[4]
    number = int(digits, 16) if digits else int(found[5])
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


def _unquoted(found: re.Match[str]) -> str:
    return _of_bytes(bytes.fromhex(found[0].replace("=", "")))


def _of_bytes(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def forms(secret: str) -> set[str]:
    """The ways to write a secret that are found as they stand, whatever stands around them."""
    forms = {
        secret,
        quote(secret, safe="", errors="surrogatepass"),
        json.dumps(secret)[1:-1],
        "".join(f"\\u{ord(letter):04x}" for letter in secret),
        "\0".join(secret),
        secret[::-1],
    }
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        data = secret.encode(encoding, "surrogatepass")
        forms.add("".join(f"%{byte:02x}" for byte in data))
        forms.add(data.hex())
        for shift in range(3):
            # The letters of base64 that depend on nothing before or behind the secret.
            encoded = base64.b64encode(bytes(shift) + data).decode()
            first = -(-shift * 8 // 6)
            last = (shift + len(data)) * 8 // 6
            forms |= {
                encoded[first:last],
                encoded[first:last].replace("+", "-").replace("/", "_"),
            }
    return forms
