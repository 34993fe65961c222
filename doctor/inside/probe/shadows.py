"""Modules that hide others: found earlier on the search path, or in the place, of what is meant."""

from __future__ import annotations

import _imp
import os
import sys

from modules import Finder
from notes import Notes


def find(
    search_path: list[dict], finder: Finder, notes: Notes, distributions: list[dict], traced: dict
) -> list[dict]:
    """``{"module", "origin", "hides", "place", "standard"}`` of what hides a module on the way.

    ``place`` is the kind of the folder on the search path (see ``interpreter.search_path``).
    """
    result = [*_standard(search_path, finder)]
    tops = {name.partition(".")[0] for name in traced["modules"]}
    homes = _homes(distributions, notes)
    for top in sorted(tops):
        found = finder.find(top)
        if found is None or finder.is_standard(found["origin"]) or top not in homes:
            continue
        if any(found["origin"] in roots for _, roots in homes[top]):
            continue
        for site, _ in homes[top]:
            meant = finder.in_folder(top, site)
            if meant and meant["origin"] != found["origin"]:
                result.append(_shadow(top, found["origin"], meant["origin"], search_path))
                break
            # A folder hides a file of the same name beside it.
            beside = [path for path in homes[top][0][1] if os.path.exists(path)]
            if meant and beside and found["kind"] == "package":
                result.append(_shadow(top, found["origin"], beside[0], search_path))
                break
    result += _twice(finder, homes, search_path, tops)
    return list({shadow["module"]: shadow for shadow in reversed(result)}.values())


def modules(shadows: list[dict]) -> dict[str, str]:
    """The files of what hides other modules, by module."""
    return {shadow["module"]: shadow["origin"] for shadow in shadows}


def around(shadows: list[dict]) -> frozenset:
    """Where the second trace follows: into what hides, and into Python's own library if need be."""
    tops = {shadow["module"] for shadow in shadows}
    if any(shadow["standard"] for shadow in shadows):
        tops |= set(getattr(sys, "stdlib_module_names", ()))
    return frozenset(tops)


def starts(shadows: list[dict]) -> list[str]:
    """What Python itself imports when it starts, where something hides a part of its library."""
    return ["encodings", "site"] if any(shadow["standard"] for shadow in shadows) else []


def _shadow(module: str, origin: str, hides: str, search_path: list[dict]) -> dict:
    around = [entry for entry in search_path if origin.startswith(entry["path"] + os.sep)]
    place = max(around, key=lambda entry: len(entry["path"]))["kind"] if around else "startup"
    return {
        "module": module,
        "origin": origin,
        "hides": hides,
        "place": place,
        "standard": False,
    }


def _homes(distributions: list[dict], notes: Notes) -> dict[str, list[tuple]]:
    """Where each top-level module belongs: the folder, and the files that may begin it."""
    import damage

    homes: dict[str, list[tuple]] = {}
    for distribution in distributions:
        site = os.path.dirname(distribution["metadata"])
        contents = notes.of(os.path.join(distribution["metadata"], "RECORD"), damage.recorded)
        for root in contents["roots"] if contents else ():
            top = root.partition("/")[0].partition(".")[0]
            path = site + os.sep + root
            for known, roots in homes.setdefault(top, []):
                if known == site:
                    roots.add(path)
                    break
            else:
                homes[top].append((site, {path}))
    return homes


def _standard(search_path: list[dict], finder: Finder) -> list[dict]:
    """Files before Python's own library that have the name of one of its modules.

    Modules that are built in or frozen into Python come before the search path.
    """
    result = []
    own = [entry["path"] for entry in search_path if entry["kind"] == "standard-library"]
    for entry in search_path:
        if entry["kind"] == "standard-library":
            break
        for name in sorted({name.partition(".")[0] for name in finder.names(entry["path"])}):
            if name in sys.builtin_module_names or not name.isidentifier() or _imp.is_frozen(name):
                continue
            hidden = next(filter(None, (finder.in_folder(name, folder) for folder in own)), None)
            found = finder.find(name)
            if hidden is None or hidden["kind"] == "namespace" or found is None:
                continue
            if not finder.is_standard(found["origin"]) and name not in ("site", "sitecustomize"):
                shadow = _shadow(name, found["origin"], hidden["origin"], search_path)
                result.append({**shadow, "standard": True})
    return list({shadow["module"]: shadow for shadow in result}.values())


def _twice(
    finder: Finder, homes: dict[str, list[tuple]], search_path: list[dict], tops: set[str]
) -> list[dict]:
    """Modules on the way that are installed in two folders of the search path."""
    result = []
    for top in sorted(tops):
        if len(homes.get(top, ())) < 2:
            continue
        found = finder.find(top)
        for site, roots in homes[top]:
            there = [path for path in sorted(roots) if os.path.exists(path)]
            if found and there and not found["origin"].startswith(site + os.sep):
                result.append(_shadow(top, found["origin"], there[0], search_path))
                break
    return result


def here(folder: str | None, finder: Finder, traced: dict) -> list[dict]:
    """What in the user's current folder has the name of a module on the way.

    It matters to what is started there with ``python -m`` or ``-c``, and to scripts that lie there.
    """
    if not folder:
        return []
    tops = {name.partition(".")[0] for name in traced["modules"]}
    result = []
    names = {name.partition(".")[0] for name in finder.names(folder)}
    for top in sorted(names & (tops | set(getattr(sys, "stdlib_module_names", ())))):
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
                "problem": None,
            }
        )
    return result


def judge(shadows: list[dict], traced: dict) -> None:
    """Add to each ``problem``: what a generation asks of it in vain, or null.

    ``traced`` is the second trace, which follows into the modules that hide others.
    """
    for shadow in shadows:
        shadow["problem"] = None
        folder = os.path.dirname(shadow["origin"])
        for one in traced["problems"]:
            asked = one["module"] if one["name"] is None else f"{one['module']}.{one['name']}"
            inside = "__init__" in shadow["origin"] and one["importer"].startswith(folder + os.sep)
            if one["module"].partition(".")[0] == shadow["module"] or (
                inside or one["importer"] == shadow["origin"]
            ):
                shadow["problem"] = asked
                break
