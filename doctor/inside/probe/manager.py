"""Who else manages this environment: a project's lock, a tool's record, a system's packages."""

from __future__ import annotations

import json
import os
import re
import sys

import distributions

# The locks of projects, by whoever writes them, and the folders that these make an environment in.
LOCKS = (
    ("uv", "uv.lock"),
    ("poetry", "poetry.lock"),
    ("pdm", "pdm.lock"),
    ("pipenv", "Pipfile.lock"),
)

# Who may have marked a Python as its own (PEP 668), by a word in what the mark tells its user.
MARKS = (("homebrew", "brew"), ("debian", "apt"), ("uv-python", "managed by uv"))

# How poetry names an environment that lies outside of its project, and pipenv.
NAMED = re.compile(r"(.+)-([A-Za-z0-9_-]{8})(?:-py\d+\.\d+)?$")


def find(found: list[dict], notes, folder: str | None) -> dict | None:  # type: ignore[no-untyped-def]
    """``{"kind", "source", "project", "name", "locked"}``, or null.

    ``source`` is the file that tells, ``project`` the folder of the project, ``name`` the tool's
    name for the environment, ``locked`` the versions in the project's lock by canonical name.
    ``found`` are the distributions, ``folder`` the user's current one.
    """
    prefix = sys.prefix
    for kind, path, name in (
        ("pixi", os.path.join("conda-meta", "pixi"), None),
        ("conda", "conda-meta", None),
        ("pipx", "pipx_metadata.json", _pipx_name),
        ("uv-tool", "uv-receipt.toml", os.path.basename),
    ):
        file = os.path.join(prefix, path)
        if os.path.exists(file):
            named = name(file if kind == "pipx" else prefix) if name else None
            return _manager(kind, file, _project_of_pixi(prefix), named)
    if sys.prefix == sys.base_prefix:
        return _mark()
    for project in _projects(prefix, folder):
        locks = [(kind, os.path.join(project, name)) for kind, name in LOCKS]
        there = [(kind, path) for kind, path in locks if os.path.isfile(path)]
        if there:
            # Where there are several, the one that installs here.
            installers = " ".join(str(item["installer"]) for item in found).lower()
            there.sort(key=lambda item: item[0] not in installers)
            kind, path = there[0]
            locked = notes.of(path, locked_versions) or {}
            return _manager(kind, path, project=project, locked=locked)
    return None


def add_conda(found: list[dict], notes) -> None:  # type: ignore[no-untyped-def]
    """Add to each distribution that conda installed the ``conda`` package that it is of."""
    folder = os.path.join(sys.prefix, "conda-meta")
    owners: dict[str, str] = {}
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
    except OSError:
        return
    for name in names:
        for metadata in notes.of(os.path.join(folder, name), metadata_folders) or ():
            owners[metadata] = name[: -len(".json")].rsplit("-", 2)[0]
    for distribution in found:
        metadata = distribution["metadata"]
        # Whoever installs over it keeps the name where the version is the same.
        if distribution["installer"] in (None, "conda") and metadata.startswith(
            sys.prefix + os.sep
        ):
            distribution["conda"] = owners.get(os.path.basename(metadata))


def metadata_folders(text: str) -> list[str]:
    """The metadata folders among the files of a conda package, from its record in conda-meta."""
    pattern = r"site-packages[/\\]+([^/\\\"]+\.(?:dist-info|egg-info))[/\\\"]"
    return sorted(set(re.findall(pattern, text)))


def locked_versions(text: str) -> dict[str, str]:
    """The versions in a lock; of packages with several, none.

    uv, Poetry and PDM write ``[[package]]`` with name and version first; Pipenv writes JSON.
    """
    versions: dict[str, set[str]] = {}
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
            for group in ("default", "develop"):
                for name, entry in content.get(group, {}).items():
                    version = str(entry.get("version", "")).replace("==", "")
                    versions.setdefault(distributions.canonical(name), set()).add(version)
        except (ValueError, AttributeError, RecursionError):
            return {}
    else:
        pattern = r'^\[\[package\]\]\s+name = "([^"\n]+)"\s+version = "([^"\n]+)"'
        for name, version in re.findall(pattern, text, re.MULTILINE):
            versions.setdefault(distributions.canonical(name), set()).add(version)
    return {name: one.pop() for name, one in versions.items() if len(one) == 1 and "" not in one}


def _manager(
    kind: str,
    source: str,
    project: str | None = None,
    name: str | None = None,
    locked: dict[str, str] | None = None,
) -> dict:
    return {
        "kind": kind,
        "source": source,
        "project": project,
        "name": name,
        "locked": locked or {},
    }


def _projects(prefix: str, folder: str | None) -> list[str]:
    """The folders of projects that this may be the environment of."""
    projects = []
    parent, name = os.path.split(prefix)
    if name == ".venv":
        projects.append(parent)
    told = _first_line(os.path.join(prefix, ".project"))  # pipenv's, and virtualenvwrapper's
    if told and os.path.isabs(told):
        projects.append(told)
    named = NAMED.match(name)
    chosen = os.environ.get("UV_PROJECT_ENVIRONMENT")
    while folder:
        if named and named.group(2) == _poetry_hash(folder):
            projects.append(folder)
        python = _first_line(os.path.join(folder, ".pdm-python"))  # pdm's own note of what it uses
        if python and os.path.dirname(os.path.dirname(python)) == prefix:
            projects.append(folder)
        if chosen and os.path.realpath(os.path.join(folder, chosen)) == os.path.realpath(prefix):
            projects.append(folder)
        above = os.path.dirname(folder)
        folder = above if above != folder else None
    return projects


def _project_of_pixi(prefix: str) -> str | None:
    """The project that an environment in ``.pixi/envs`` lies in."""
    folder = os.path.dirname(os.path.dirname(prefix))
    return os.path.dirname(folder) if os.path.basename(folder) == ".pixi" else None


def _poetry_hash(folder: str) -> str:
    """What poetry puts into the name of the environment of the project in ``folder``."""
    import hashlib  # costs as much as all else here
    from base64 import urlsafe_b64encode

    path = os.path.normcase(os.path.realpath(folder))
    return urlsafe_b64encode(hashlib.sha256(os.fsencode(path)).digest()).decode()[:8]


def _mark() -> dict | None:
    """Whose this Python is, where it says that it is managed by others."""
    import sysconfig  # it takes the prefix as it is when it is imported

    path = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if not os.path.isfile(path):
        return None
    text = (_text(path) or "").lower()
    kind = next((kind for kind, word in MARKS if re.search(rf"\b{word}\b", text)), "system")
    return _manager(kind, path)


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(100_000)
    except OSError:
        return None


def _first_line(path: str) -> str | None:
    lines = (_text(path) or "").splitlines()
    return lines[0].strip() if lines else None


def _pipx_name(path: str) -> str | None:
    try:
        name = json.loads(_text(path) or "")["environment"]
    except (ValueError, KeyError, TypeError, RecursionError):
        name = None
    return name if isinstance(name, str) else os.path.basename(os.path.dirname(path))
