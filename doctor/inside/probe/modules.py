"""Where modules would be imported from, found as the import system finds them."""

from __future__ import annotations

import _imp
import os
import re
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES

import source
from notes import read

# In the order in which Python tries them.
SUFFIXES = (
    *((suffix, "extension") for suffix in EXTENSION_SUFFIXES),
    *((suffix, "module") for suffix in SOURCE_SUFFIXES + BYTECODE_SUFFIXES),
)


class Finder:
    """Finds modules by name along a search path, listing each folder once."""

    def __init__(self, search_path: list[dict]) -> None:
        self.folders = [entry["path"] for entry in search_path]
        self.standard_folders = [
            entry["path"] for entry in search_path if entry["kind"] == "standard-library"
        ]
        self._found: dict[str, dict | None] = {}
        self._editable: dict[str, str] | None = None
        self._listings: dict[str, frozenset[str]] = {}

    def find(self, name: str) -> dict | None:
        """``{"origin", "kind"}`` of a dotted module name, or null where there is none.

        The kinds are ``package``, ``extension``, ``module`` and ``namespace``. The origin is the
        file, or the folder of a namespace package.
        """
        found = self._find(name)
        return found and {"origin": found["origin"], "kind": found["kind"]}

    def listed(self) -> list[str]:
        """The folders that were looked into until now."""
        return list(self._listings)

    def asked(self) -> set[str]:
        """The names that were looked for until now."""
        return set(self._found)

    def _find(self, name: str) -> dict | None:
        if name not in self._found:
            parent, _, part = name.rpartition(".")
            above = self._find(parent) if parent else {"folders": self.folders}
            if not parent and _imp.is_frozen(name):  # found before the search path is asked
                above = {"folders": self.standard_folders + self.folders}
            found = self._in_folders(part, above["folders"]) if above else None
            if found is None and not parent and name in self._editable_modules():
                folder, part = os.path.split(self._editable_modules()[name])
                found = self._in_folders(part, [folder])
            self._found[name] = found
        return self._found[name]

    def is_standard(self, origin: str) -> bool:
        """Whether a file is Python's own; a system's ``site-packages`` lie inside its library."""
        around = [folder for folder in self.folders if origin.startswith(folder + os.sep)]
        return bool(around) and max(around, key=len) in self.standard_folders

    def _editable_modules(self) -> dict[str, str]:
        """The modules that setuptools' editable installs find by a table, not by the path."""
        if self._editable is None:
            self._editable = {}
            for folder in self.folders:
                for name in self._listing(folder):
                    if name.startswith("__editable___") and name.endswith("_finder.py"):
                        text = read(os.path.join(folder, name)) or ""
                        table = source.literal(source.assigned(text, "MAPPING"))
                        for key, value in table.items() if isinstance(table, dict) else ():
                            self._editable[str(key)] = str(value)
        return self._editable

    def names(self, folder: str) -> frozenset[str]:
        """The names in a folder; none where it cannot be listed."""
        return self._listing(folder)

    def in_folder(self, name: str, folder: str) -> dict | None:
        """As ``find`` would find a top-level module if there were only this folder."""
        found = self._in_folders(name, [folder])
        return found and {"origin": found["origin"], "kind": found["kind"]}

    def package_folder(self, name: str) -> str | None:
        """The folder of a regular package, or null."""
        found = self.find(name)
        return os.path.dirname(found["origin"]) if found and found["kind"] == "package" else None

    def _in_folders(self, part: str, folders: list[str]) -> dict | None:
        namespace: list[str] = []
        for folder in folders:
            names = self._listing(folder)
            path = os.path.join(folder, part)
            if part in names:
                inner = self._listing(path)
                for suffix, _ in SUFFIXES:
                    if "__init__" + suffix in inner:
                        origin = os.path.join(path, "__init__" + suffix)
                        return {"origin": origin, "kind": "package", "folders": [path]}
                if os.path.isdir(path):
                    namespace.append(path)
            for suffix, kind in SUFFIXES:
                if part + suffix in names:
                    return {"origin": path + suffix, "kind": kind, "folders": []}
        if namespace:
            return {"origin": namespace[0], "kind": "namespace", "folders": namespace}
        return None

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except (OSError, ValueError):
                self._listings[folder] = frozenset()
        return self._listings[folder]


_VERSION = re.compile(r"^__version__\s*(?::[^=]*)?=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)
_CUDA = re.compile(r"^cuda\s*(?::[^=]*)?=\s*(?:['\"]([^'\"]+)['\"]|None)", re.MULTILINE)


def build(finder: Finder, name: str) -> dict | None:
    """The build that a package's own ``version.py`` tells: ``{"version", "cuda", "source"}``.

    The version carries the local label that the metadata of a wheel may lack (``2.9.1+cu128``).
    Null where the package, or its ``version.py``, is not there.
    """
    folder = finder.package_folder(name)
    if folder is None:
        return None
    path = os.path.join(folder, "version.py")
    text = read(path)
    version = _VERSION.search(text or "")
    if version is None:
        return None
    cuda = _CUDA.search(text or "")
    return {
        "version": version.group(1),
        "cuda": cuda.group(1) if cuda else None,
        "source": path,
    }


def mlx_library(finder: Finder) -> str | None:
    """The library that computes, in the folder where mlx.core looks for it; null where none is."""
    core = finder.find("mlx.core")
    for name in ("libmlx.so", "libmlx.dylib"):
        path = os.path.join(os.path.dirname(core["origin"]), "lib", name) if core else ""
        if os.path.isfile(path):
            return path
    return None
