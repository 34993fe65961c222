"""Where packages come from: the user's own settings for uv, and pip's where uv has none.

uv reads its settings by itself; they are read here only to say where packages come from, and to
know whether there are any. pip's (its variables and ``pip.conf``) are handed to uv in uv's terms.
What is shown never has credentials in it.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from doctor.actions import Source

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# uv's variables that say where packages are, and what they say.
UV_VARIABLES = {
    "UV_DEFAULT_INDEX": "default",
    "UV_INDEX_URL": "default",
    "UV_INDEX": "extra",
    "UV_EXTRA_INDEX_URL": "extra",
    "UV_FIND_LINKS": "folder",
    "UV_NO_INDEX": "none",
}

# uv's variable for each of pip's options. Those above are passed on together, or not at all.
PLACES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
}
WAYS = {"cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY", "trusted-host": "UV_INSECURE_HOST"}

# Variables that already say what pip's ``proxy`` would.
PROXIES = ("ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


def shown(address: str) -> str:
    """An address without the credentials that may be in it: what stands before the host."""
    address = re.sub(r"^[\w.-]+=(?=\w+://)", "", address)  # uv's `name=url`
    parts = urlsplit(address)
    if not parts.scheme or "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def variables(environ: Mapping[str, str], folder: Path, prefix: str | None) -> dict[str, str]:
    """The variables for uv: those that are set, and pip's settings in uv's terms where uv has none.

    ``folder`` is the current one, ``prefix`` that of the environment, which may have a ``pip.conf``
    of its own.
    """
    result = dict(environ)
    options = {option: value for option, (value, _) in _pip(environ, prefix).items()}
    told = {meaning for meaning, _, _ in _uv(environ, folder)}
    for option, name in PLACES.items():
        if _counts(option, told):
            value = options.get(option, "")
            if option == "find-links":
                # uv stops where a folder is not there; pip goes on.
                found = (item for item in value.split() if "://" in item or os.path.isdir(item))
                value = ",".join(found)
            if value and not (option == "no-index" and _is_false(value)):
                result[name] = " ".join(value.split())
    options.setdefault("cert", environ.get("REQUESTS_CA_BUNDLE", ""))
    for option, name in WAYS.items():
        taken = PROXIES if option == "proxy" else (name,)
        if options.get(option) and not any(environ.get(other) for other in taken):
            result[name] = " ".join(options[option].split())
    return result


def sources(environ: Mapping[str, str], folder: Path, prefix: str | None) -> tuple[Source, ...]:
    """Where packages would come from."""
    own = _uv(environ, folder)
    told = {meaning for meaning, _, _ in own}
    for option, (value, setting) in _pip(environ, prefix).items():
        meaning = UV_VARIABLES.get(PLACES.get(option, ""))
        if meaning and _counts(option, told) and not (meaning == "none" and _is_false(value)):
            own += [
                (meaning, item, setting)
                for item in (value.split() if meaning != "none" else [value])
                if meaning != "folder" or "://" in item or os.path.isdir(item)
            ]
    no_index = any(meaning == "none" for meaning, _, _ in own)
    found = []
    for wanted in ("folder", "extra", "default"):
        if wanted != "folder" and no_index:
            continue
        for meaning, value, setting in own:
            if meaning == wanted:
                kind: Literal["index", "folder"] = "folder" if wanted == "folder" else "index"
                found.append(Source(kind=kind, location=shown(value), setting=setting))
                if wanted == "default":
                    break
    if not no_index and not any(meaning == "default" for meaning, _, _ in own):
        found.append(Source(kind="index", location=None, setting="uv's default"))
    return tuple(found)


def addresses(environ: Mapping[str, str], folder: Path) -> list[str]:
    """The addresses of all indexes, with credentials where there are any: never to be shown.

    ``environ`` is what ``variables`` gave. Named indexes get their credentials from uv's
    ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD``.
    """
    return [
        _with_credentials(value, environ)
        for meaning, value, _ in _uv(environ, folder)
        if meaning != "none"
    ]


def several(environ: Mapping[str, str], folder: Path) -> bool:
    """Whether there is more than one index. ``environ`` is what ``variables`` gave."""
    return any(meaning == "extra" for meaning, _, _ in _uv(environ, folder))


def _counts(option: str, told: set[str]) -> bool:
    """Whether an option of pip counts, where uv is ``told`` of these kinds of places.

    Whoever told uv of more places has said all of them; the main index may still be in pip's.
    """
    return "default" not in told and "none" not in told if option == "index-url" else not told


def _is_false(value: str) -> bool:
    return value.strip().lower() in ("", "0", "false", "no", "off", "n", "f")


def _uv(environ: Mapping[str, str], folder: Path) -> list[tuple[str, str, str]]:
    """What uv is told by variables and files: ``(meaning, value, setting)``, the first wins."""
    found: list[tuple[str, str, str]] = []
    for name, meaning in UV_VARIABLES.items():
        value = environ.get(name, "")
        if meaning == "none":
            if not _is_false(value):
                found.append((meaning, value, name))
        else:
            separator = "," if meaning == "folder" else None
            items = (item.strip() for item in value.split(separator))
            found += [(meaning, item, name) for item in items if item]
    for file, table in _files(environ, folder):
        found += [(meaning, value, str(file)) for meaning, value in _of_table(table)]
        inner = table.get("pip")
        if isinstance(inner, dict):
            found += [(meaning, value, str(file)) for meaning, value in _of_table(inner)]
    # Credentials of a named index: uv takes them from variables of its name.
    return [
        (meaning, _with_credentials(value, environ), setting) for meaning, value, setting in found
    ]


def _of_table(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The places that a table of uv's settings names."""
    indexes = table.get("index")
    for index in indexes if isinstance(indexes, list) else []:
        if isinstance(index, dict) and isinstance(index.get("url"), str):
            if index.get("explicit"):
                continue  # only for packages that ask for it
            name = index.get("name")
            url = f"{name}={index['url']}" if isinstance(name, str) else index["url"]
            if index.get("format") == "flat":
                yield "folder", url
            else:
                yield "default" if index.get("default") else "extra", url
    if isinstance(table.get("index-url"), str):
        yield "default", table["index-url"]
    for key, meaning in (("extra-index-url", "extra"), ("find-links", "folder")):
        values = table.get(key)
        yield from (
            ((meaning, value) for value in values if isinstance(value, str))
            if isinstance(values, list)
            else ()
        )
    if table.get("no-index") is True:
        yield "none", "true"


def _with_credentials(value: str, environ: Mapping[str, str]) -> str:
    """The address of an index, with the credentials that uv's variables have for its name."""
    named = re.match(r"([\w.-]+)=(\w+://)(?![^/]*@)(.*)$", value)
    if named is None:
        return re.sub(r"^[\w.-]+=(?=\w+://)", "", value)
    name = re.sub(r"[^A-Z0-9]", "_", named[1].upper())
    user = environ.get(f"UV_INDEX_{name}_USERNAME", "")
    password = environ.get(f"UV_INDEX_{name}_PASSWORD", "")
    if not (user or password):
        return named[2] + named[3]
    return f"{named[2]}{quote(user, safe='')}:{quote(password, safe='')}@{named[3]}"


def _files(environ: Mapping[str, str], folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The files of uv's settings that are there: the project's, the user's, the system's."""
    if environ.get("UV_CONFIG_FILE"):
        candidates = [[Path(environ["UV_CONFIG_FILE"])]]
    elif environ.get("UV_NO_CONFIG") and not _is_false(environ["UV_NO_CONFIG"]):
        return
    else:
        home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "~") / ".config")
        near = [
            parent / name
            for parent in (folder, *folder.parents)
            for name in ("uv.toml", "pyproject.toml")
        ]
        candidates = [near, [home / "uv" / "uv.toml"], [Path("/etc/uv/uv.toml")]]
    for paths in candidates:
        for path in paths:
            table = _table(path)
            if table is not None:
                yield path, table
                break


def _table(path: Path) -> dict[str, Any] | None:
    """What uv is told in one file; null where it has none, or cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.name == "pyproject.toml":
            if not re.search(r"tool\s*\.\s*[\"']?uv\b|^\s*\[\s*tool\s*\]", text, re.MULTILINE):
                return None  # reading TOML costs more than looking for the table
            table = tomllib.loads(text).get("tool", {}).get("uv")
        else:
            table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError):
        return None
    return table if isinstance(table, dict) else None


def _pip(environ: Mapping[str, str], prefix: str | None) -> dict[str, tuple[str, str]]:
    """The options of pip, each with the variable or file that it is from."""
    options: dict[str, tuple[str, str]] = {}
    for file in _pip_files(environ, prefix):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= {
                    key.replace("_", "-"): (value, str(file))
                    for key, value in parser.items(section)
                }
    for option in (*PLACES, *WAYS):
        name = "PIP_" + option.upper().replace("-", "_")
        if environ.get(name):
            options[option] = (environ[name], name)
    return options


def _pip_files(environ: Mapping[str, str], prefix: str | None) -> list[Path]:
    """The files of pip's settings, those that count more later (see ``pip config debug``)."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    system = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    files = [Path(folder) / "pip" / "pip.conf" for folder in system.split(os.pathsep)]
    files.append(Path("/etc/pip.conf"))
    if sys.platform == "darwin":
        files.append(Path("/Library/Application Support/pip/pip.conf"))
    files += [home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    if sys.platform == "darwin":
        files.append(home / "Library" / "Application Support" / "pip" / "pip.conf")
    if prefix is not None:
        files.append(Path(prefix) / "pip.conf")
    if named:
        files.append(Path(named))
    return files
