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

import contextlib
import functools
import ipaddress
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

import doctor
from doctor import undecoded
from doctor.facts import Facts, Struct
from doctor.support import encodings

Value = TypeVar("Value", bound=msgspec.Struct)

# Names of nobody: everyone has such a user, host or folder.
GENERIC = frozenset(
    "root admin administrator user users guest nobody home localhost ubuntu debian fedora runner "
    "vagrant vscode codespace docker mac macbook imac local localdomain lan shared usr lib lib64 "
    "bin sbin opt var tmp mnt srv etc data private python conda venv env envs src app".split()
)

# A word shorter than this says too little: it is only taken out where the name of a user stands.
SHORTEST_NAME = 3
# From here on a name is also taken out where it is a part of a longer word.
SHORTEST_PART = 5
# A secret from here on is taken out wherever it stands; a shorter one only as a whole word.
SHORTEST_SECRET = 8
# Encodings within encodings are followed so far.
DEEPEST = 4

# A word longer than this is none of ours, and is not looked into: it could be made to take hours.
MOST_LETTERS = 1_500

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
# No repetition without an end where the same could begin anew at each letter: texts of strangers
# may be long, and made to take time.
# What the issuers of tokens say that theirs look like.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    # Short ones only where no name looks like them: ghp_import is a module.
    r"(?P<hub>hf_[A-Za-z0-9]{6,})"
    r"|api_org_[A-Za-z0-9]{16,}|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|sk-(?=[\w-]{0,200}\d)[\w-]{16,}|[sr]k_(?:live|test)_\w{10,}|xox[a-z]-[\w-]{10,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{12,}|AIza[\w-]{20,}|ya29\.[\w.-]{16,}|pypi-AgE[\w-]{10,}"
    r"|npm_[A-Za-z0-9]{20,}|dckr_pat_[\w-]{16,}|nvapi-[\w-]{16,}|gsk_[A-Za-z0-9]{16,}"
    r"|r8_[A-Za-z0-9]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|ATATT3x[\w-]{16,}|hv[sb]\.[\w-]{16,}"
    r"|(?<=hooks\.slack\.com/services/)[\w/]{16,}|AAAA[BCE][A-Za-z0-9+/]{20,}={0,2}"
    r"|eyJ[\w-]{6,4000}\.[\w-]{6,}(?:\.[\w-]*)?"
    r")",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:Bearer|Basic|Digest)[ =:]+(?P<bare>[\w.~+/=-]{6,})", re.IGNORECASE)
# What is called so holds a secret; ``key`` alone only in capitals: elsewhere it is one of a table.
_CALLED = (
    r"(?:[A-Za-z0-9]{0,30}[_-]){0,8}(?:[a-z]{0,20}token|[a-z]{0,20}secret"
    r"|passw(?:or)?d|passphrase|credentials?|(?:set-)?cookies?"
    # Also the working folder is called so.
    r"|pwd(?=(?:\\*['\"])?\s*[=:]?\s*(?:\\*['\"])?[^\s/~'\"\\=:])"
    r"|(?:api|access|account|private|secret|signing|encryption|shared_?access)[_-]?key|signature"
    r"|sig|authorization|(?-i:(?:[A-Z0-9]{1,30}_){0,8}(?:KEY|PASS|AUTH|PWD|COOKIE|PAT)))"
)
# A quoted value goes to the same quote, which may be escaped; another one to what ends a word.
_HELD = (
    r"(?:\\*(?P<quote>['\"])(?P<quoted>.{3,500}?)\\*(?P=quote)"
    r"|(?P<bare>[^\s'\",;&()<>\[\]{}\\]{4,}))"
)
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z0-9])(?P<called>{_CALLED})(?:\\*['\"])?\s*[=:]\s*{_HELD}", re.IGNORECASE
)
_OPTION = re.compile(rf"--(?P<called>{_CALLED})[\s=]+(?!-){_HELD}", re.IGNORECASE)
# A line of .netrc, and an option that is written like one.
_NETRC = re.compile(rf"\b(?:login|account|(?P<called>password))\s+(?=\S*\d){_HELD}", re.IGNORECASE)
# In small letters a key is also what sorts a list, or names a value.
_KEY = re.compile(
    r"(?<![\w.-])(?P<called>(?:\w+_key(?==)|key(?==(?=\w*\d[a-z])\w*[a-z]\d)))="
    r"(?P<bare>[^\s'\",;&()<>\[\]{}\\]{6,})",
    re.IGNORECASE,
)
_COOKIE = re.compile(r"\b(?:set-)?cookie:\s*(?P<bare>\S[^\r\n'\"]{3,})", re.IGNORECASE)
_AUTH = re.compile(r"(?<![A-Za-z0-9])(?:pass|auth)=(?P<bare>[^\s'\",;&()<>]{4,})", re.IGNORECASE)
_URL = re.compile(
    # A password may have what ends a host, a port may not.
    r"([A-Za-z][A-Za-z0-9+.-]{0,30})://([^\s/?#'\"<>@]*|[^\s/?#'\"<>@:]{1,200}:(?!\d+/)[^\s'\"<>@]{0,200})"
    r"@([^\s'\"<>,;)\]]*)"
)
# The same without its scheme.
_LOGIN = re.compile(r"(?<![\w.+-])[\w.+-]+:[^\s'\"<>@/:]{3,}@[\w.-]+\.[^\W\d_]{2,}[^\s'\"<>,;)\]]*")
_MAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]+@(?:[^\W_][\w-]*\.)+(?:xn--[\w-]+|[^\W\d_]{2,})(?![^\W_]|-)",
)
_MAC = re.compile(
    r"(?<![0-9A-Za-z:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9A-Za-z:-])"
    r"|(?<![\w.])(?=[0-9.]*[a-f])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w.])",
    re.IGNORECASE,
)
_UUID = re.compile(
    r"(?<![0-9A-Za-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9A-Za-z])", re.I
)
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)")
# As clouds name their machines.
_IPV4_NAME = re.compile(r"(?<![0-9A-Za-z])(?:ip|ec2|host)-(?:\d{1,3}-){3}\d{1,3}(?!\d)", re.I)
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:%\w+)?(?![0-9A-Za-z:])", re.I
)
_LETTERS = r"[^/\\:;,'\"<>|\s]+"
# The folder of a user, wherever the homes are: /Users, /nfs/home, C:\Users, \\Users (in JSON).
# With spaces in it only where another folder follows; what is within a URL is none.
_HOME = re.compile(
    rf"((?:(?<![\w.~-])(?<!:/)(?!(?<=:)//)|(?<![A-Za-z])[a-z]:)"
    rf"[/\\]{{1,16}}(?:{_LETTERS}[/\\]{{1,16}}){{0,5}}?"
    rf"(?:homes?\d?|Users)[/\\]{{1,16}}(?:\.[/\\]{{1,16}})?)"
    rf"({_LETTERS}(?: {_LETTERS}){{1,2}}(?=[/\\])|{_LETTERS})",
    re.IGNORECASE,
)
# The home of a user by name; an installer leaves folders that begin so beside packages.
_TILDE = re.compile(r"(?<![\w/\\~])~([^\W\d][\w.-]*)(?=/)")
_MAC_TEMPORARY = re.compile(r"(?<=/var/folders/)([^/\s]+/[^/\s]+)", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.~-])(?<!:/)[~/][^\s'\",;:]*/[^\s'\",;:]*")
# Behind this, a path is about packages.
_PACKAGES = re.compile(r"/(?:site-packages|dist-packages|python\d\.\d+|conda-meta)(?:/|$)")

# What may stand behind a name that says that it is secret.
_VALUES = (_BEARER, _ASSIGNED, _OPTION, _NETRC, _KEY, _COOKIE, _AUTH)
_WORD = re.compile(r"[^\W_]+")
_ENDLESS = re.compile(rf"\S{{{MOST_LETTERS},}}")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_RELEASE = re.compile(r"(?:\d+!)?(\d+(?:\.\d+){3})(?![.\d])")
_SPECIFIED = re.compile(r"[<>=!~]=?\s*(\d+(?:\.\d+){3})(?!\.?\d)")


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


# Folders of words that no facts and no reports in English are made of.
_NOT_OURS = {"smoke_model", "languages"}


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
        if path.stat().st_size < 4_000_000 and not _NOT_OURS & set(path.parts)
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
        self._short: set[str] = set()
        self._secrets: set[str] = set()
        self._done: dict[str, str] = {}
        texts = list(dict.fromkeys(map(_bounded, _texts(about))))
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
        while learnt != self._learnt():
            learnt = self._learnt()
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
            shown = _bounded(undecoded.shown(text))
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
        name = unicodedata.normalize("NFC", undecoded.shown(name)).strip().casefold()
        if name and name not in GENERIC and not name.isdigit():
            (self._names if len(name) >= SHORTEST_NAME else self._short).add(name)

    def _learnt(self) -> int:
        return len(self._names) + len(self._short) + len(self._secrets)

    def _learn_secret(self, secret: str) -> None:
        secret = undecoded.shown(secret)
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
                if _is_home(found):
                    self._learn_name(found[2])
                    self._learn_name(found[2].split()[0])
            for found in _TILDE.finditer(text):
                self._learn_name(found[1])
        for found in _TOKEN.finditer(text):
            if self._is_token(found):
                self._learn_secret(found[0])
        for pattern in _VALUES:
            for found in pattern.finditer(text):
                if self._is_value(found):
                    self._learn_secret(found[_held(found)])
        if depth < DEEPEST:
            for _, _, inner in encodings.inner(text):
                self._learn(_bounded(inner), depth + 1)

    def _compile(self) -> None:
        self._done.clear()
        forms = {form for secret in self._secrets for form in encodings.forms(secret)}
        self._secret_pattern = _alternatives(forms)
        self._of_form = {
            form.casefold(): secret for secret in self._secrets for form in encodings.forms(secret)
        }
        self._folder_words = self._short | (self._names & self._public)
        self._named_pattern = _named_pattern(self._folder_words)
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
        text = _TOKEN.sub(self._token, text)
        for pattern in _VALUES:
            text = pattern.sub(self._assigned, text)
        if "@" in text:
            text = _LOGIN.sub(lambda found: self._instead("url", found[0]), text)
            text = _MAIL.sub(self._mail, text)
        text = self._addresses(text)
        text = self._places(text)
        if self._named_pattern is not None:
            text = self._named_pattern.sub(self._named, text)
        if self._name_pattern is not None:
            text = self._name_pattern.sub(self._name, text)
        return text

    def _mail(self, found: re.Match[str]) -> str:
        """An e-mail address; what looks like one in ``git@host`` may be everybody's."""
        user, _, host = found[0].partition("@")
        if user == "git" and host.casefold() in _EVERYBODYS_HOSTS:
            return found[0]
        return self._instead("mail", found[0])

    def _url(self, found: re.Match[str]) -> str:
        """A URL with credentials: its host and path are as private as they are."""
        everybodys = _host(found[3]).casefold() in _EVERYBODYS_HOSTS
        if found[1].lower() in ("ssh", "git+ssh") and found[2] == "git" and everybodys:
            return found[0]
        return f"{found[1]}://{self._instead('url', found[2] + '@' + found[3])}"

    def _token(self, found: re.Match[str]) -> str:
        return self._instead("secret", found[0]) if self._is_token(found) else found[0]

    def _is_token(self, found: re.Match[str]) -> bool:
        """Whether what begins like a token is one: ``hf_transfer`` and ``HF_HOME`` are names."""
        if found["hub"] is None:
            return True
        word = found["hub"].partition("_")[2]
        if word.casefold() in self._public:
            return False
        if len(word) >= 16 or any(letter.isdigit() for letter in word):
            return True
        within = found.string[found.end() :].startswith("_")
        mixed = not (word.islower() or word.isupper())
        return mixed or (len(word) >= 10 and not within)

    def _assigned(self, found: re.Match[str]) -> str:
        if not self._is_value(found):
            return found[0]
        group = _held(found)
        start, end = found.start(group) - found.start(), found.end(group) - found.start()
        return found[0][:start] + self._instead("secret", found[group]) + found[0][end:]

    def _is_value(self, found: re.Match[str]) -> bool:
        """Whether what stands behind ``token=`` is a token and not code or a word."""
        value = found[_held(found)]
        if value.startswith("redacted-"):
            return False
        called = (found.groupdict().get("called") or "").casefold()
        if "passw" in called and value.isdigit():
            return True
        # The number of a token is not a secret: pad_token=151643.
        if _NO_SECRET.fullmatch(value) or (called.endswith("token") and value.isdigit()):
            return False
        words = [word.casefold() for word in _WORD.findall(value)]
        named = value.islower() and all(word in self._public for word in words)
        return any(letter.isdigit() for letter in value) or not named

    def _addresses(self, text: str) -> str:
        if text.count(".") >= 3:
            text = _IPV4.sub(self._address, text)
        if text.count(":") >= 2:
            text = _IPV6.sub(self._address, text)
        if text.count("-") >= 4:
            text = _IPV4_NAME.sub(lambda found: self._instead("address", found[0]), text)
            text = _UUID.sub(lambda found: self._instead("id", found[0]), text)
        return _MAC.sub(lambda found: self._instead("address", found[0]), text)

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
        if "/var/folders/" in text.lower():
            text = _MAC_TEMPORARY.sub(lambda found: self._instead("folder", found[0]), text)
        text = _TILDE.sub(self._tilde, text)
        if self._folder_words and _PATH.search(text):
            text = _PATH.sub(lambda found: self._folders(found[0]), text)
        return text

    def _home(self, found: re.Match[str]) -> str:
        return found[1] + self._instead("name", found[2]) if _is_home(found) else found[0]

    def _tilde(self, found: re.Match[str]) -> str:
        name = found[1]
        return found[0] if name.startswith("redacted-") else "~" + self._instead("name", name)

    def _named(self, found: re.Match[str]) -> str:
        return self._instead("name", found[0])

    def _folders(self, path: str) -> str:
        """A path without folders that are called like the user, as long as it is about no package.

        The last part stays: it may be a module, of which checks speak by its name alone.
        """
        # With two slashes it may be two paths, one put behind the other.
        return "".join(map(self._of_one, re.split(r"(?<=/)(?=/)", path)))

    def _of_one(self, path: str) -> str:
        packages = _PACKAGES.search(path)
        end = packages.start() if packages else path.rfind("/")
        return re.sub(r"(?<=/)[^/]+", self._folder, path[:end]) + path[end:]

    def _folder(self, found: re.Match[str]) -> str:
        folded = found[0].casefold()
        if folded in self._folder_words:
            return self._instead("name", folded)
        first, *rest = re.split(r"(?<=[-_. ])", folded, maxsplit=1)
        if rest and first[:-1] in self._short:
            return self._instead("name", first[:-1]) + found[0][len(first) - 1 :]
        return found[0]

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
        for start, stop, inner in encodings.inner(text):
            if start < end:
                continue
            inner = _bounded(inner)  # noqa: PLW2901
            plain = self._plain(self._decoded(inner, depth + 1))
            if plain != inner:
                result += [text[end:start], _tidy(plain)]
                end = stop
        return "".join([*result, text[end:]])


def _tidy(text: str) -> str:
    return " ".join(text.split()) if not text.isprintable() else text


def _bounded(text: str) -> str:
    """A text without words that have no end."""
    return _ENDLESS.sub("redacted-endless", text) if len(text) >= MOST_LETTERS else text


def _held(found: re.Match[str]) -> str:
    """The group that has the value."""
    return "quoted" if found.groupdict().get("quoted") is not None else "bare"


def _is_home(found: re.Match[str]) -> bool:
    """Whether what looks like somebody's home is one, and not everybody's or in a package."""
    return not (
        found[2].startswith("redacted-")
        or found[2].casefold() == "shared"
        or _PACKAGES.search(found[1])
    )


def _of_url(found: re.Match[str]) -> list[str]:
    """What a URL with credentials has to hide: user and password, as written and decoded.

    Its host is as private as they are, unless it is everybody's.
    """
    parts = [part for part in found[2].split(":") if part not in _EVERYBODYS_USERS]
    secrets = [form for part in parts for form in (part, unquote(part)) if form]
    host = _host(found[3])
    if host and host.lower() not in _EVERYBODYS_HOSTS:
        secrets.append(host)
    return list(dict.fromkeys(secrets))


def _host(rest: str) -> str:
    """The host of a URL, from what stands behind its credentials."""
    return re.split(r"[/?#:]", rest, maxsplit=1)[0]


def _alternatives(forms: Iterable[str]) -> re.Pattern[str] | None:
    ordered = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None


def _spellings(name: str) -> set[str]:
    """A name composed and decomposed: file systems differ in how they write letters with marks."""
    return {unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)}


def _named_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Names that are too short, or words, only where nothing but a user's name can be meant."""
    any_of = "|".join(map(re.escape, sorted(names)))
    if not any_of:
        return None
    return re.compile(
        rf"(?:(?<=~)|(?<=\b(?:user|host)[=:])|(?<=\b(?:login|owner)[=:]))(?:{any_of})(?!\w)"
        rf"|(?<![\w.])(?:{any_of})(?=@\w)",
        re.IGNORECASE,
    )


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
                quads.update(_quads(item))
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


def _quads(distribution: Mapping[str, Any]) -> Iterator[str]:
    """The versions that look like addresses, where they are versions by what else is there.

    The folder of a distribution's metadata is called after its version too; a requirement has it
    behind a comparison.
    """
    folder = str(distribution.get("metadata") or "").rpartition("/")[2]
    version = _RELEASE.match(str(distribution["version"]))
    if version is not None and f"-{version[0]}" in folder:
        yield version[1]
    for requirement in distribution["requires"] or ():
        yield from _SPECIFIED.findall(str(requirement).partition(";")[0].partition(" @ ")[0])


def redactor(facts: Facts, known: Identity, *more: msgspec.Struct) -> Redactor:
    """The redactor of one bundle: of facts, and of the reports that go with them."""
    return Redactor(known, [msgspec.to_builtins(part) for part in (facts, *more)])
