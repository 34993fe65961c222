"""Modules that hide others: found earlier on the search path, or in the place, of what is meant."""

from __future__ import annotations

import _imp
import os
import sys

import damage
from modules import Finder
from notes import Notes

# Meant to be brought by anybody.
CUSTOM = frozenset({"sitecustomize", "usercustomize"})


# What a generation asks first of all.
NOT_MLX_VLM = {"importer": "the doctor", "line": 0, "module": "mlx_vlm", "name": "load"}


def find(
    search_path: list[dict],
    finder: Finder,
    notes: Notes,
    distributions: list[dict],
    loaded: dict,
    expected: list[tuple],
    near: frozenset,
) -> list[dict]:
    """``{"module", "origin", "hides", "place", "standard"}`` of what hides a module.

    ``place`` is the kind of the folder on the search path (see ``interpreter.search_path``).
    ``loaded`` are the files of the modules on the way, ``expected`` those that distributions have
    there (``damage.expected``), ``near`` the top-level modules there and of what these require
    (``damage.around``).
    """
    found: dict[str, dict] = {}
    pairs = [*_inner(loaded, expected), *_top_level(finder, notes, distributions, near)]
    for module, origin, hides in pairs:
        found.setdefault(module, _shadow(module, origin, hides, search_path, False))
    for module, origin, hides in _standard(search_path, finder):
        found.setdefault(module, _shadow(module, origin, hides, search_path, True))
    return list(found.values())


def _inner(loaded: dict, expected: list[tuple]) -> list[tuple[str, str, str]]:
    """Within packages: a folder hides a file of its name beside it."""
    result = []
    for _, site, files in expected:
        for name in files:
            module = damage.module_of(name)
            if module not in loaded or "." not in module:
                continue
            origin, meant = loaded[module], site + os.sep + name
            own = not origin.startswith(site + os.sep) or origin[len(site) + 1 :] in files
            if not own and os.path.exists(meant):
                result.append((module, origin, meant))
    return result


def _top_level(
    finder: Finder, notes: Notes, distributions: list[dict], near: frozenset
) -> list[tuple[str, str, str]]:
    """Top-level modules that are not where a distribution has them, or are there twice."""
    result = []
    homes = _homes(distributions, notes)
    for top in sorted(near):
        found = finder.find(top)
        if found is None or found["kind"] == "namespace" or finder.is_standard(found["origin"]):
            continue
        for site, roots in homes.get(top, {}).items():
            if found["origin"] in roots:
                continue
            # The file itself, where a folder beside it hides it; else what is found without others.
            there = [path for path in sorted(roots) if os.path.exists(path)]
            alone = finder.in_folder(top, site)
            meant = there[0] if there else alone["origin"] if alone else None
            if meant and meant not in (found["origin"], os.path.dirname(found["origin"])):
                result.append((top, found["origin"], meant))
                break
    return result


def _homes(distributions: list[dict], notes: Notes) -> dict[str, dict[str, set[str]]]:
    """Where each top-level module belongs: by folder, the files that may begin it."""
    homes: dict[str, dict[str, set[str]]] = {}
    for distribution in distributions:
        site = os.path.dirname(distribution["metadata"])
        contents = notes.of(os.path.join(distribution["metadata"], "RECORD"), damage.recorded)
        for top in contents["top"] if contents else ():
            homes.setdefault(top, {}).setdefault(site, set())
        for root in contents["roots"] if contents else ():
            top = root.partition("/")[0].partition(".")[0]
            homes.setdefault(top, {}).setdefault(site, set()).add(site + os.sep + root)
    return homes


def _standard(search_path: list[dict], finder: Finder) -> list[tuple[str, str, str]]:
    """Files before Python's own library that have the name of one of its modules.

    Modules that are built in or frozen into Python come before the search path.
    """
    result = []
    own = [entry["path"] for entry in search_path if entry["kind"] == "standard-library"]
    for entry in search_path:
        if entry["kind"] == "standard-library":
            break
        for name in sorted(_stems(finder.names(entry["path"]))):
            if name in sys.builtin_module_names or _imp.is_frozen(name) or name in CUSTOM:
                continue
            hidden = next(filter(None, (finder.in_folder(name, folder) for folder in own)), None)
            found = finder.find(name)
            if hidden is None or hidden["kind"] == "namespace" or found is None:
                continue
            if not finder.is_standard(found["origin"]):
                result.append((name, found["origin"], hidden["origin"]))
    return result


def _stems(names: frozenset[str]) -> set[str]:
    return {stem for stem in (name.partition(".")[0] for name in names) if stem.isidentifier()}


def _shadow(module: str, origin: str, hides: str, search_path: list[dict], standard: bool) -> dict:
    around = [entry for entry in search_path if origin.startswith(entry["path"] + os.sep)]
    place = max(around, key=lambda entry: len(entry["path"]))["kind"] if around else "startup"
    return {
        "module": module,
        "origin": origin,
        "hides": hides,
        "place": place,
        "standard": standard,
    }


def modules(shadows: list[dict]) -> dict[str, str]:
    """The files of what hides other modules, by module."""
    return {shadow["module"]: shadow["origin"] for shadow in shadows}


def around(shadows: list[dict], finder: Finder) -> frozenset:
    """Where the second trace follows: into what hides, and into Python's own library if need be."""
    tops = {shadow["module"].partition(".")[0] for shadow in shadows}
    if any(shadow["standard"] for shadow in shadows):
        for folder in finder.standard_folders:
            tops |= _stems(finder.names(folder))
    return frozenset(tops)


def starts(shadows: list[dict]) -> list[str]:
    """What Python itself imports when it starts, where something hides a part of its library."""
    return ["encodings", "site"] if any(shadow["standard"] for shadow in shadows) else []


def here(folder: str | None, finder: Finder, near: frozenset) -> list[dict]:
    """What in the user's current folder has the name of a module on the way.

    It matters to what is started there with ``python -m`` or ``-c``, and to scripts that lie there.
    """
    if not folder:
        return []
    tops = set(near)
    for standard_folder in finder.standard_folders:
        tops |= _stems(finder.names(standard_folder))
    result = []
    for top in sorted(_stems(finder.names(folder)) & tops):
        found, hidden = finder.in_folder(top, folder), finder.find(top)
        frozen = top in sys.builtin_module_names or _imp.is_frozen(top)
        if not found or found["kind"] == "namespace" or frozen or hidden == found:
            continue
        standard = hidden is not None and finder.is_standard(hidden["origin"])
        result.append(
            {
                "module": top,
                "origin": found["origin"],
                "hides": hidden["origin"] if hidden else "",
                "place": "current-folder",
                "standard": standard,
                "used": False,
                "problem": None,
            }
        )
    return result


def judge(shadows: list[dict], traced: dict) -> None:
    """Add ``used``, whether a generation loads it, and ``problem``, what it asks of it in vain.

    ``traced`` is the second trace, which follows into the modules that hide others.
    """
    for shadow in shadows:
        shadow["problem"] = None
        shadow["used"] = shadow["module"] in traced["modules"]
        folder = os.path.dirname(shadow["origin"])
        for one in traced["problems"]:
            asked = one["module"] if one["name"] is None else f"{one['module']}.{one['name']}"
            inside = "__init__" in shadow["origin"] and one["importer"].startswith(folder + os.sep)
            within = (one["module"] + ".").startswith(shadow["module"] + ".")
            if within or inside or one["importer"] == shadow["origin"]:
                shadow["problem"] = asked
                break
