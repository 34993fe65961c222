"""Taking out of facts and reports what tells whose they are: names, places, secrets.

A bundle goes to strangers. What could be used (tokens, passwords, keys, addresses of private
indexes) and what tells who somebody is (user and host names, home folders, e-mail, IP and MAC
addresses) becomes a placeholder, ``redacted-<what>-<number>``: the same for the same secret within
one bundle, counted in order of appearance, so that two bundles cannot be linked by them. A
placeholder is valid wherever the secret was: in a name, a version's local part, a URL, a path.

It is one function from text to text that knows no fields: what the checks say about redacted facts
is what they say about the facts, redacted. For that it leaves the words of the doctor's own
knowledge alone: somebody may be called like a package. Such a name is only taken out of paths.
"""

# ruff: noqa: SIM905 lists of words, not one word a line

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import ipaddress
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import msgspec

import doctor
from doctor.facts import Facts, Struct

Value = TypeVar("Value", bound=msgspec.Struct)

# Names of nobody: everyone has such a user, host or folder.
GENERIC = frozenset(
    "root admin administrator user users guest nobody home localhost ubuntu debian fedora runner "
    "vagrant vscode codespace docker mac macbook imac local localdomain lan shared usr lib lib64 "
    "bin sbin opt var tmp mnt srv etc data private python conda venv env envs src app".split()
)

# A word shorter than this says too little to be looked for where it is not a folder of a home.
SHORTEST_NAME = 3
# From here on a name is also taken out where it is a part of a longer word.
SHORTEST_PART = 5
# A secret from here on is taken out wherever it stands; a shorter one only as a whole word.
SHORTEST_SECRET = 8
# Encodings within encodings are followed so far.
DEEPEST = 4

# The words of a variable's name that make its value a secret.
_SECRET_WORDS = frozenset(
    "token secret password passwd passphrase pwd pass credential credentials auth authorization "
    "key apikey cookie pat".split()
)
# Such a word at its end makes it a place where the secret is: the value is a path, and no secret.
_PLACE_WORDS = frozenset("sock file path dir folder home cache".split())
_WORKING_FOLDERS = ("PWD", "OLDPWD")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+|[A-Z][A-Z0-9]+")
_NO_SECRET = re.compile(r"(?:set|none|null|true|false|yes|no|on|off|\d{0,5})", re.IGNORECASE)

# Users of URLs that stand for "here comes a token", and hosts that everybody has.
_EVERYBODYS_USERS = ("git", "oauth2", "__token__", "x-access-token")
_EVERYBODYS_HOSTS = frozenset(
    "github.com gitlab.com bitbucket.org huggingface.co hf.co pypi.org files.pythonhosted.org "
    "localhost 127.0.0.1".split()
)

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL | re.I,
)
# What the issuers of tokens say that theirs look like.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    # Short ones only where no name looks like them: HF_ENDPOINT is a variable, ghp_import a module.
    r"(?-i:hf_(?=[A-Za-z0-9]*(?:\d|[a-z][A-Z]|[A-Z][a-z]))[A-Za-z0-9]{6,})|hf_[A-Za-z0-9]{16,}"
    r"|api_org_[A-Za-z0-9]{16,}|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|sk-(?=[\w-]*\d)[\w-]{16,}|xox[a-z]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{12,}"
    r"|AIza[\w-]{20,}|ya29\.[\w.-]{16,}|pypi-AgE[\w-]{10,}|npm_[A-Za-z0-9]{20,}|dckr_pat_[\w-]{16,}"
    r"|eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?"
    r")",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:Bearer|Basic|Digest)[ =:]+([\w.~+/=-]{6,})", re.IGNORECASE)
_CALLED = (
    r"(?:[A-Za-z0-9]+[_-])*(?:token|secret|passw(?:or)?d|passphrase|credentials?|api_?key"
    r"|access_?key|signature|authorization)"
)
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z0-9]){_CALLED}['\"]?\s*[=:]\s*['\"]?([^\s'\",;&()<>\[\]{{}}]{{6,}})",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"--{_CALLED}[\s=]+['\"]?([^\s'\"-][^\s'\"]{{5,}})", re.IGNORECASE)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#'\"<>@]*)@([^\s'\"<>,;)\]]*)")
_MAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]+@(?:[^\W_][\w-]*\.)+[^\W\d_]{2,}(?![\w-])",
)
_MAC = re.compile(r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])", re.I)
_IPV4 = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:%\w+)?(?![\w:])", re.I)
_HOME = re.compile(
    r"((?:^|(?<=[^\w]))(?:/(?:var/|export/|usr/|mnt/[a-z]/)?(?:home|Users)/|[a-z]:[\\/]+Users[\\/]+))"
    r"([^/\\:;,'\"<>|\s]+)",
    re.IGNORECASE,
)
_MAC_TEMPORARY = re.compile(r"(?<=/var/folders/)([^/\s]+/[^/\s]+)")
_PATH = re.compile(r"(?<![\w.~/-])[~/][^\s'\",;:]*/[^\s'\",;:]*")
# Behind this, a path is about packages.
_PACKAGES = re.compile(r"/(?:site-packages|dist-packages|python\d\.\d+|conda-meta)(?:/|$)")

_WORD = re.compile(r"[^\W_]+")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ESCAPE = re.compile(
    r"\\u\{?([0-9A-Fa-f]{4})\}?|\\x([0-9A-Fa-f]{2})|&#x([0-9A-Fa-f]{1,6});|&#(\d{1,7});"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{7,}={0,2}")
# Null characters, and the marks that text in UTF-16 begins with, also as bytes one by one.
_MARKS = re.compile("\0|\ufeff|\ufffe|\xff\xfe|\xfe\xff")
# Pieces of it, between what may be separators: as base64 is written usually, or for URLs.
_PIECES = tuple(re.compile(piece) for piece in (r"[^/]+", r"[^-_/]+", r"[^+/]+"))
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){5,}(?![0-9A-Za-z])")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_QUAD = re.compile(r"\d+(?:\.\d+){3}")


class Identity(Struct, frozen=True):
    """Whose facts they are.

    ``names`` are the names of the user and the machine, ``homes`` the home folder's paths,
    ``secrets`` the values of variables whose name says that they are secret.
    """

    names: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


def identity(variables: Mapping[str, str]) -> Identity:
    """The identity of who runs the doctor here, from the system and the given variables."""
    import socket

    names = [
        variables.get(name, "")
        for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "HOSTNAME", "HOST", "COMPUTERNAME")
    ]
    homes = [os.path.expanduser("~"), variables.get("HOME", "")]
    names.append(socket.gethostname())
    with contextlib.suppress(ImportError, KeyError):  # no such user, as in some containers
        import pwd

        entry = pwd.getpwuid(os.getuid())
        names += [entry.pw_name, entry.pw_gecos.partition(",")[0]]
        homes.append(entry.pw_dir)
    homes += [os.path.realpath(home) for home in homes if home]
    names += [os.path.basename(home) for home in homes]
    names += [name.partition(".")[0] for name in names]
    secrets = [
        value
        for name, value in variables.items()
        if is_secret(name) and not _NO_SECRET.fullmatch(value) and len(value) >= SHORTEST_SECRET
    ]
    for value in variables.values():
        secrets += [secret for found in _URL.finditer(value) for secret in _of_url(found)]
    return Identity(
        names=tuple(dict.fromkeys(filter(None, names))),
        homes=tuple(
            dict.fromkeys(home for home in homes if home.count("/") > 1 or home == "/root")
        ),
        secrets=tuple(dict.fromkeys(secrets)),
    )


def is_secret(variable: str) -> bool:
    """Whether a variable of this name holds a secret."""
    words = re.split(r"[_\W]+", variable.lower())
    if variable in _WORKING_FOLDERS or words[-1] in _PLACE_WORDS:
        return False
    return bool(_SECRET_WORDS & set(words))


@functools.cache
def vocabulary() -> frozenset[str]:
    """The words of the doctor's own files: packages, modules, types, and what reports say."""
    import sys

    root = Path(doctor.__file__).parent.parent
    files = [
        path
        for folder in ("checks", "doctor", "fixes")
        for pattern in ("*.py", "*.json", "*.toml", "*.txt")
        for path in (root / folder).rglob(pattern)
        if path.stat().st_size < 4_000_000 and "smoke_model" not in path.parts
    ]
    words: set[str] = set(GENERIC)
    for path in files:
        words.update(_WORD.findall(path.read_text(encoding="utf-8").casefold()))
    for name in sys.stdlib_module_names:
        words.update(_WORD.findall(name.casefold()))
    return frozenset(words)


class Redactor:
    """A function from text to text that takes out one identity, and what looks like a secret.

    It learns secrets from all the texts that it is given at first, so that one that is told by its
    place (a password in a URL) is found elsewhere too. ``counts`` tells how many of each kind were
    taken out.
    """

    def __init__(self, known: Identity, about: object) -> None:
        """``about`` are all JSON values that will be redacted."""
        self._placeholders: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self._public = vocabulary()
        self._homes = sorted(known.homes, key=len, reverse=True)
        self._names: set[str] = set()
        self._secrets: set[str] = set()
        self._done: dict[str, str] = {}
        texts = list(dict.fromkeys(_texts(about)))
        self._packages, self._quads = _packages(about)
        for name in known.names:
            self._learn_name(name)
        for secret in known.secrets:
            self._learn_secret(secret)
        for name, value in _variables(about):
            if is_secret(name) and not _NO_SECRET.fullmatch(value):
                self._learn_secret(value)
        self._compile()
        learnt = -1
        while learnt != len(self._names) + len(self._secrets):
            learnt = len(self._names) + len(self._secrets)
            for text in texts:
                self._learn(text)
            self._compile()
        self._placeholders.clear()
        self.counts.clear()

    def value(self, value: object) -> object:
        """A JSON value with every text in it redacted, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): self._secret_value(name, inner)
                if isinstance(name, str) and isinstance(inner, str)
                else self.value(inner)
                for name, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(inner) for inner in value]
        return value

    def struct(self, value: Value) -> Value:
        """Facts, a report, or a part of them, redacted."""
        return msgspec.convert(self.value(msgspec.to_builtins(value)), type=type(value))

    def text(self, text: str) -> str:
        """The text without what tells whose it is."""
        done = self._done.get(text)
        if done is None:
            # Bytes of a path or a variable that are no text would be no JSON either.
            shown = text.encode("utf-8", "backslashreplace").decode()
            done = self._done[text] = self._plain(self._decoded(shown, 0))
        return done

    # What is secret, and what stands for it.

    def _instead(self, what: str, secret: str) -> str:
        key = f"{what} {unicodedata.normalize('NFC', secret).casefold()}"
        found = self._placeholders.get(key)
        if found is None:
            self.counts[what] = self.counts.get(what, 0) + 1
            found = self._placeholders[key] = f"redacted-{what}-{self.counts[what]}"
        return found

    def _secret_value(self, name: str, value: str) -> str:
        whole = _VARIABLE.fullmatch(name) and name.isupper() and is_secret(name)
        if whole and value and not _NO_SECRET.fullmatch(value):
            return self._instead("secret", value)
        return self.text(value)

    def _learn_name(self, name: str) -> None:
        name = unicodedata.normalize("NFC", name).strip().casefold()
        if len(name) >= SHORTEST_NAME and name not in GENERIC and not name.isdigit():
            self._names.add(name)

    def _learn_secret(self, secret: str) -> None:
        if len(secret) >= SHORTEST_SECRET and secret.casefold() not in self._public:
            self._secrets.add(secret)
        else:
            self._learn_name(secret)

    def _learn(self, text: str, depth: int = 0) -> None:
        """Names and secrets that a text gives away by their place."""
        if "://" in text:
            for found in _URL.finditer(text):
                for secret in _of_url(found):
                    self._learn_secret(secret)
        if "/" in text or "\\" in text:
            for found in _HOME.finditer(text):
                self._learn_name(found[2])
        for pattern, group in ((_TOKEN, 0), (_BEARER, 1), (_ASSIGNED, 1), (_OPTION, 1)):
            for found in pattern.finditer(text):
                if _is_value(found[group]):
                    self._learn_secret(found[group])
        if depth < DEEPEST:
            for _, _, inner in _inner(text):
                self._learn(inner, depth + 1)

    def _compile(self) -> None:
        self._done.clear()
        forms = {form for secret in self._secrets for form in _forms(secret)}
        self._secret_pattern = _alternatives(forms)
        self._of_form = {
            form.casefold(): secret for secret in self._secrets for form in _forms(secret)
        }
        names = {form for name in self._names for form in _spellings(name)}
        pattern = "|".join(sorted((_name_pattern(name) for name in names), key=len, reverse=True))
        self._name_pattern = (
            re.compile(rf"[^\W_]*(?:{pattern})[^\W_]*", re.IGNORECASE) if pattern else None
        )

    # The rules.

    def _plain(self, text: str) -> str:
        """The text without what stands in it as it is."""
        if "-----" in text:
            text = _PRIVATE_KEY.sub(lambda found: self._instead("key", found[0]), text)
        if self._secret_pattern is not None:
            text = self._secret_pattern.sub(
                lambda found: self._instead("secret", self._of_form[found[0].casefold()]), text
            )
        if "://" in text:
            text = _URL.sub(self._url, text)
        text = _TOKEN.sub(lambda found: self._instead("secret", found[0]), text)
        for pattern in (_BEARER, _ASSIGNED, _OPTION):
            text = pattern.sub(self._assigned, text)
        if "@" in text:
            text = _MAIL.sub(self._mail, text)
        text = self._addresses(text)
        text = self._places(text)
        if self._name_pattern is not None:
            text = self._name_pattern.sub(self._name, text)
        return text

    def _mail(self, found: re.Match[str]) -> str:
        """An e-mail address; what looks like one in ``git@host`` is everybody's."""
        return found[0] if found[0].startswith("git@") else self._instead("mail", found[0])

    def _url(self, found: re.Match[str]) -> str:
        """A URL with credentials: its host and path are as private as they are."""
        if found[1].lower() in ("ssh", "git+ssh") and found[2] == "git":
            return found[0]
        return f"{found[1]}://{self._instead('url', found[2] + '@' + found[3])}"

    def _assigned(self, found: re.Match[str]) -> str:
        value = found[1]
        if not _is_value(value):
            return found[0]
        start = found.start(1) - found.start(0)
        return found[0][:start] + self._instead("secret", value) + found[0][start + len(value) :]

    def _addresses(self, text: str) -> str:
        if text.count(".") >= 3:
            text = _IPV4.sub(self._address, text)
        if text.count(":") >= 2:
            text = _IPV6.sub(self._address, text)
            text = _MAC.sub(lambda found: self._instead("address", found[0]), text)
        elif text.count("-") >= 5:
            text = _MAC.sub(lambda found: self._instead("address", found[0]), text)
        return text

    def _address(self, found: re.Match[str]) -> str:
        words = found[0]
        try:
            address = ipaddress.ip_address(words)
        except ValueError:
            return words
        if address.is_loopback or address.is_unspecified or words in self._quads:
            return words
        if address.version == 6 and sum(1 for group in words.split(":") if group) < 2:
            return words  # a slice of Python's
        return self._instead("address", words)

    def _places(self, text: str) -> str:
        if "/" not in text and "\\" not in text:
            return text
        for home in self._homes:
            if home in text:
                pattern = rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])"
                text = re.sub(pattern, "~", text)
        text = _HOME.sub(self._home, text)
        if "/var/folders/" in text:
            text = _MAC_TEMPORARY.sub(lambda found: self._instead("folder", found[0]), text)
        common = self._names & self._public
        if common and _PATH.search(text):
            text = _PATH.sub(lambda found: self._folders(found[0], common), text)
        return text

    def _home(self, found: re.Match[str]) -> str:
        name = found[2]
        if name.startswith("redacted-") or name.casefold() == "shared":
            return found[0]
        return found[1] + self._instead("name", name)

    def _folders(self, path: str, names: set[str]) -> str:
        """A path without folders that are called like the user, as long as it is about no package.

        The last part stays: it may be a module, of which checks speak by its name alone.
        """
        packages = _PACKAGES.search(path)
        end = packages.start() if packages else path.rfind("/")
        parts = path[:end].split("/")
        return (
            "/".join(
                self._instead("name", part) if part.casefold() in names else part for part in parts
            )
            + path[end:]
        )

    def _name(self, found: re.Match[str]) -> str:
        word = unicodedata.normalize("NFC", found[0]).casefold()
        if word in self._names or _joined(word) in {_joined(name) for name in self._names}:
            return found[0] if word in self._public else self._instead("name", _joined(word))
        held = max((name for name in self._names if name in word), key=len, default="")
        if len(held) < SHORTEST_PART or word in self._public or word in self._packages:
            return found[0]
        return self._instead("name", word)

    def _decoded(self, text: str, depth: int) -> str:
        """The text without what stands in it in another encoding."""
        if depth >= DEEPEST:
            return text
        result, end = [], 0
        for start, stop, inner in _inner(text):
            if start < end:
                continue
            plain = self._plain(self._decoded(inner, depth + 1))
            if plain != inner:
                result += [text[end:start], _tidy(plain)]
                end = stop
        return "".join([*result, text[end:]])


@functools.lru_cache(maxsize=200_000)
def _inner(text: str) -> tuple[tuple[int, int, str], ...]:
    """What parts of a text (from, to) are when they are decoded; longer parts first."""
    return tuple(_parts(text))


def _parts(text: str) -> Iterator[tuple[int, int, str]]:
    if "\0" in text:
        yield 0, len(text), _MARKS.sub("", text)
    if "%" in text and _PERCENT.search(text):
        yield 0, len(text), unquote(text, errors="replace")
    if ("\\" in text or "&#" in text) and _ESCAPE.search(text):
        yield 0, len(text), _ESCAPE.sub(_unescaped, text)
    if len(text) < 7:
        return
    for found in _HEX.finditer(text):
        decoded = _readable(bytes.fromhex(found[0]))
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
    elif len(data) >= 8 and data[1::2].count(0) > len(data) // 3:
        encodings = ["utf-16-le"]
    elif len(data) >= 8 and data[::2].count(0) > len(data) // 3:
        encodings = ["utf-16-be"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(letter.isprintable() or letter in "\r\n\t" for letter in text):
            return text
    return None


def _tidy(text: str) -> str:
    return " ".join(text.split()) if not text.isprintable() else text


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2] or found[3]
    number = int(digits, 16) if digits else int(found[4])
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


def _is_value(text: str) -> bool:
    """Whether what stands behind ``token=`` is a token rather than code or a word of a sentence."""
    if text.startswith("redacted-") or _NO_SECRET.fullmatch(text):
        return False
    return any(letter.isdigit() for letter in text) or not text.islower()


def _of_url(found: re.Match[str]) -> list[str]:
    """What a URL with credentials has to hide: user and password, as written and decoded.

    Its host is as private as they are, unless it is everybody's.
    """
    parts = [part for part in found[2].split(":") if part not in _EVERYBODYS_USERS]
    secrets = [form for part in parts for form in (part, unquote(part)) if form]
    host = re.split(r"[/?#:]", found[3], maxsplit=1)[0]
    if host and host.lower() not in _EVERYBODYS_HOSTS:
        secrets.append(host)
    return list(dict.fromkeys(secrets))


def _forms(secret: str) -> set[str]:
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


def _alternatives(forms: Iterable[str]) -> re.Pattern[str] | None:
    ordered = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None


def _spellings(name: str) -> set[str]:
    """A name composed and decomposed: file systems differ in how they write letters with marks."""
    return {unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)}


def _name_pattern(name: str) -> str:
    """A name with any separators between its words, or none."""
    return r"[-_. ]?".join(re.escape(part) for part in re.split(r"[-_. ]+", name) if part)


def _joined(name: str) -> str:
    return re.sub(r"[-_. ]+", "", name)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _variables(value: object) -> Iterator[tuple[str, str]]:
    """Names in capitals with their texts: variables."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, str):
                if isinstance(name, str) and name.isupper():
                    yield name, inner
            else:
                yield from _variables(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _variables(inner)


def _packages(value: object) -> tuple[frozenset[str], frozenset[str]]:
    """The words of names of packages and modules, and the versions that look like addresses."""
    words: set[str] = set()
    quads: set[str] = set()

    def add(item: object) -> None:
        if isinstance(item, Mapping):
            if {"name", "version", "requires"} <= item.keys() and _NAME.fullmatch(item["name"]):
                words.update(_WORD.findall(str(item["name"]).casefold()))
                for text in (item["version"], *(item["requires"] or ())):
                    quads.update(_QUAD.findall(str(text)))
            if isinstance(item.get("modules"), Mapping):
                for name in item["modules"]:
                    if _NAME.fullmatch(name):
                        words.update(_WORD.findall(name.casefold()))
            for inner in item.values():
                add(inner)
        elif isinstance(item, (list, tuple)):
            for inner in item:
                add(inner)

    add(value)
    return frozenset(words), frozenset(quads)


def redactor(facts: Facts, known: Identity, *more: msgspec.Struct) -> Redactor:
    """The redactor of one bundle: of facts, and of the reports that go with them."""
    return Redactor(known, [msgspec.to_builtins(part) for part in (facts, *more)])
