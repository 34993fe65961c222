"""Files that differ from what their distribution recorded, and whether a generation needs them.

Sizes only: hashing belongs to a deeper look. ``find`` compares; ``judge`` says what a difference
does, from a second trace of imports that follows into the packages with differences.
"""

from __future__ import annotations

import os
import re
from importlib.machinery import EXTENSION_SUFFIXES

from distributions import MOST_DIGITS, canonical
from followed import FOLLOWED
from modules import Finder
from notes import Notes, read

# What follows the name of a compiled module that this Python finds.
SUFFIXES = frozenset(suffix[1:] for suffix in EXTENSION_SUFFIXES)
COMPILED = (".so", ".dylib", ".pyd", ".metallib")

# Files that nothing reads while a program runs, by their folders and by the ends of their names.
IDLE_FOLDERS = frozenset({"test", "tests", "doc", "docs", "examples", "benchmarks", "include"})
IDLE_NAMES = (".pyc", ".pyi", ".typed", ".h", ".hpp", ".c", ".cpp", ".pxd", ".pyx", ".a", ".lib")
IDLE_NAMES += (".md", ".rst", ".txt", ".html", ".css", ".js", ".map", ".cmake", ".pc", ".ini")

# What Cython's code says where a class that it was compiled with is another now.
CYTHON_MISMATCH = b"size changed, may indicate binary incompatibility"

# Compiled files end with a table or a signature, after some thousand zeros at most. Those that are
# shorter than this are not looked into.
ZEROS = 65_536
LONG_BYTES = 2 * ZEROS

# A file that holds nothing but a licence in comments may be emptied; they are not longer.
LICENCE_BYTES = 700


def expected(distributions: list[dict], notes: Notes, traced: dict) -> list[tuple]:
    """``(distribution's name, its folder, {file: size})`` of the files that are looked at.

    These are compiled files and, of packages that the trace follows, those in the folders that it
    came through; of those that it only reaches, and of what these require, all.
    """
    result = []
    folders: dict[str, None] = dict.fromkeys(map(os.path.dirname, traced["modules"].values()))
    reached = set(traced["reached"])
    for distribution, contents in _on_the_way(distributions, notes, reached):
        record = os.path.join(distribution["metadata"], "RECORD")
        site = os.path.dirname(distribution["metadata"])
        files = dict(contents["compiled"])
        if FOLLOWED & set(contents["top"]):
            start = len(site) + 1
            below = [folder[start:] for folder in folders if folder.startswith(site + os.sep)]
            own = [name for name in below if name.split(os.sep)[0] in contents["top"]]
            files.update(notes.of(record, sizes_in, "\n".join(sorted(own))) or {})
        else:
            files.update(notes.of(record, sizes) or {})
        result.append((distribution["name"], site, files))
    return result


def _fitting(candidates: list[tuple], notes: Notes) -> tuple:
    """Of several metadata folders for one distribution, the one that the files are of."""

    def misfits(candidate: tuple) -> int:
        distribution, _ = candidate
        site = os.path.dirname(distribution["metadata"]) + os.sep
        files = notes.of(os.path.join(distribution["metadata"], "RECORD"), sizes) or {}
        return sum(notes.size(site + name) != size for name, size in files.items())

    return min(candidates, key=misfits) if len(candidates) > 1 else candidates[0]


def find(expected: list[tuple], notes: Notes, finder: Finder) -> list[dict]:
    """``{"distribution", "path", "module", "kind", "recorded_bytes", "bytes"}`` of what differs.

    ``kind`` is ``compiled``, ``source`` or ``data``; ``module`` is the name by which a file would
    be imported, or null; no bytes (null) where the file is gone, and of compiled code only those
    before the zeros that it ends with. Modules that are whole, and compiled for another Python than
    this, are listed too.
    """
    result = []
    for distribution, site, files in expected:
        for name, size in files.items():
            path = site + os.sep + name
            found = notes.size(path)
            if found == size and size >= LONG_BYTES and _kind(name) == "compiled":
                content = notes.of_bytes(path, bytes_before_zeros)
                found = size if content is None else content
            foreign = ".cpython-" in name and _suffix(name) not in SUFFIXES
            if found == size and not foreign:
                continue
            if size == 0 and found is None and os.path.isdir(os.path.dirname(path)):
                continue  # an empty __init__.py that packages share: Python does without
            kind = _kind(name)
            # Signing a library again, as macOS tools do, adds to it.
            if kind == "compiled" and found is not None and found >= size:
                module = module_of(name) if foreign else None
                if module is None or finder.find(module):
                    continue
            result.append(
                {
                    "distribution": distribution,
                    "path": os.path.normpath(path),
                    "module": module_of(name) if kind != "data" else None,
                    "kind": kind,
                    "recorded_bytes": size,
                    "bytes": found,
                }
            )
    return result


def bytes_before_zeros(path: str) -> int | None:
    """A file's size without the zeros that it ends with, where these are many; null if unreadable.

    A power failure leaves them: the size was written down, the content was not.
    """
    try:
        with open(path, "rb") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - ZEROS)
                file.seek(start)
                left = file.read(end - start).rstrip(b"\0")
                if left:
                    end = start + len(left)
                    break
                end = start
    except OSError:
        return None
    return end if size - end >= ZEROS else size


def _on_the_way(distributions: list[dict], notes: Notes, reached: set[str]) -> list[tuple]:
    """The distributions that are reached, or required by one that is not followed further."""
    contents: dict[str, list[tuple]] = {}
    waiting = []
    for distribution in distributions:
        record = notes.of(os.path.join(distribution["metadata"], "RECORD"), recorded)
        if record:
            name = canonical(distribution["name"])
            contents.setdefault(name, []).append((distribution, record))
            if reached.intersection(record["top"]):
                waiting.append(name)
    chosen: dict[str, tuple] = {}
    while waiting:
        name = waiting.pop()
        if name in chosen or name not in contents:
            continue
        # The first on the search path counts, or what is in its folder beside it.
        folder = os.path.dirname(contents[name][0][0]["metadata"])
        beside = [one for one in contents[name] if os.path.dirname(one[0]["metadata"]) == folder]
        distribution, record = chosen[name] = _fitting(beside, notes)
        if not FOLLOWED.intersection(record["top"]):
            for text in distribution["requires"]:
                match = re.match(r"[A-Za-z0-9._-]+", text)
                if match and "extra" not in text.partition(";")[2]:
                    waiting.append(canonical(match.group(0)))
    return list(chosen.values())


def roots(distributions: list[dict], notes: Notes) -> set[str]:
    """The paths of what the distributions have at their top."""
    paths = set()
    for distribution in distributions:
        contents = notes.of(os.path.join(distribution["metadata"], "RECORD"), recorded)
        site = os.path.dirname(distribution["metadata"]) + os.sep
        paths.update(site + name for name in (contents["roots"] if contents else ()))
    return paths


def around(distributions: list[dict], notes: Notes, traced: dict) -> frozenset:
    """The top-level modules of all that is on the way: where the second trace follows."""
    on_the_way = _on_the_way(distributions, notes, set(traced["reached"]))
    return frozenset(top for _, contents in on_the_way for top in contents["top"])


def _kind(name: str) -> str:
    if name.endswith(COMPILED) or ".so." in name:
        return "compiled"
    return "source" if name.endswith(".py") else "data"


def _suffix(name: str) -> str:
    return name[name.rfind("/") + 1 :].partition(".")[2]


def module_of(name: str) -> str | None:
    """The module of a recorded file: ``a.b`` of ``a/b.py``, ``a/b/__init__.py``, ``a/b.x.so``."""
    folder, _, base = name.rpartition("/")
    parts = [*folder.split("/"), base.partition(".")[0]] if folder else [base.partition(".")[0]]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def recorded(text: str) -> dict:
    """The top-level names of a RECORD, its compiled files' sizes, and what it has at its top.

    ``roots`` are the files by which its modules begin, and those that Python reads when it starts.
    """
    top: set[str] = set()
    compiled: dict[str, int] = {}
    roots: list[str] = []
    for name, size in _rows(text):
        first = name.split("/")[0]
        top.add(first[: -len(".py")] if first.endswith(".py") else first.split(".")[0])
        if size is not None and _kind(name) == "compiled":
            compiled[name] = size
        if "/" not in name or (name.count("/") == 1 and "/__init__." in name):
            roots.append(name)
    return {"top": sorted(top), "compiled": compiled, "roots": roots}


def sizes(text: str) -> dict[str, int]:
    """The recorded sizes of the files that a program may read."""
    return {
        name: size
        for name, size in _rows(text)
        if size is not None
        and not name.endswith(IDLE_NAMES)
        and ".dist-info/" not in name
        and not name.startswith("..")
        and not IDLE_FOLDERS.intersection(name.split("/")[:-1])
    }


def sizes_in(text: str, folders: str) -> dict[str, int]:
    """Those of the files that lie in one of these folders (relative, by lines)."""
    wanted = set(folders.split("\n"))
    return {name: size for name, size in sizes(text).items() if os.path.dirname(name) in wanted}


def _rows(text: str) -> list[tuple[str, int | None]]:
    import csv  # only where a RECORD is read anew

    try:
        rows = [row for row in csv.reader(text.splitlines()) if len(row) == 3]
    except csv.Error:
        return []
    return [
        (name, int(size) if size.isdecimal() and len(size) <= MOST_DIGITS else None)
        for name, _, size in rows
    ]


def tops(changed: list[dict]) -> set[str]:
    """The top-level modules, or folders of libraries, of the code that differs."""
    return {
        (file["module"] or os.path.basename(file["path"])).partition(".")[0]
        for file in changed
        if file["kind"] != "data"
    }


def modules(changed: list[dict]) -> dict[str, str]:
    """The paths of what differs by module, for the second trace."""
    return {file["module"]: file["path"] for file in changed if file["module"]}


def judge(changed: list[dict], traced: dict, finder: Finder, starts: list[str]) -> None:
    """Add to each file that differs ``used``, whether it is on the way, and ``problem``.

    ``problem`` says why a generation fails by it, or is null. ``traced`` is the second trace.
    """
    for file in changed:
        file["used"], file["problem"] = False, None
    changed = [file for file in changed if file["kind"] != "data"]
    if not changed:
        return
    import libraries  # only where code differs

    failing = {(one["module"], one["name"]) for one in traced["problems"]}
    at_fault = {module for module, _ in failing}
    at_fault |= {module + "." + name for module, name in failing if name}
    extensions = [path for path in traced["modules"].values() if _kind(path) == "compiled"]
    attempted = [found["origin"] for found in map(finder.find, traced["attempted"]) if found]
    attempted = [path for path in attempted if _kind(path) == "compiled"]
    known = {os.path.basename(file["path"]): file["path"] for file in changed}
    loaded = libraries.closure(extensions, known)
    tried = libraries.closure(attempted, known)
    extensions += attempted
    for file in changed:
        module, path = file["module"], file["path"]
        origin = traced["modules"].get(module)
        file["used"] = origin == path
        file["problem"] = None
        if file["kind"] == "compiled":
            _judge_library(file, loaded, tried, module in at_fault)
        elif file["kind"] == "source":
            if module in at_fault:
                file["problem"] = "a generation imports what is no longer in it"
                if file["bytes"] is None:
                    file["problem"] = "a generation imports it"
            elif file["used"]:
                # What a model's package has is taken from it when it runs, not by an import.
                if module in starts and not (read(path) or "").strip():
                    file["problem"] = "it is empty"
                else:
                    file["problem"] = lost(path, file["recorded_bytes"], file["bytes"])
        if file["problem"] is None and not file["used"]:
            _judge_unseen(file, extensions, finder)
        if file["problem"] is None and file["kind"] == "compiled":
            _judge_named(file, traced["modules"])
        file["used"] = file["used"] or file["problem"] is not None


def _judge_library(file: dict, loaded: set[str], tried: set[str], at_fault: bool) -> None:
    import libraries

    path, size = file["path"], file["bytes"]
    file["used"] = file["used"] or os.path.realpath(path) in loaded
    if path.endswith(".metallib"):
        file["used"] = True
    if size is None:
        if at_fault or file["used"]:
            file["problem"] = "a generation loads it"
        return
    if size >= file["recorded_bytes"]:
        if at_fault:
            file["problem"] = "it is compiled for another Python"
        return
    described = libraries.describe(path)
    if described is None:
        if at_fault or file["used"]:
            file["problem"] = "a generation loads it, and it is no library any more"
    elif size < described["loaded_bytes"] and (
        # Python's `except ImportError` does not catch the crash of a library that is cut off.
        at_fault or file["used"] or os.path.realpath(path) in tried
    ):
        file["problem"] = "a generation loads it, and crashes there"


def _judge_unseen(file: dict, extensions: list[str], finder: Finder) -> None:
    """A module that compiled code imports: its name stands in that code."""
    module = file["module"]
    foreign = file["bytes"] is not None and file["bytes"] >= file["recorded_bytes"]
    if module is None or (file["bytes"] is not None and not foreign and not _is_broken(file)):
        return
    # Another file can take its place, but not for code that knows its classes from inside.
    replaced = file["bytes"] is None and finder.find(module) is not None
    top = module.partition(".")[0]
    for path in extensions:
        code = _bytes(path) if top in path.split(os.sep) else b""
        if module.encode() in code and (not replaced or CYTHON_MISMATCH in code):
            file["problem"] = f"{os.path.basename(path)} imports it"
            return


def _judge_named(file: dict, modules: dict[str, str]) -> None:
    """A library that is cut off, and that a module beside it loads by its name."""
    if file["bytes"] is None or file["bytes"] >= file["recorded_bytes"] or not _is_broken(file):
        return
    folder, base = os.path.split(file["path"])
    name = re.compile(rf"[\"']{re.escape(base.partition('.')[0])}(?:\.|[\"'])")
    for path in modules.values():
        if (
            os.path.dirname(path) == folder
            and path.endswith(".py")
            and name.search(read(path) or "")
        ):
            file["problem"] = f"{os.path.basename(path)} loads it by its name, and crashes there"
            return


def _is_broken(file: dict) -> bool:
    if file["kind"] == "source":
        try:
            compile(read(file["path"]) or "", file["path"], "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return True
        return False
    import libraries

    described = libraries.describe(file["path"])
    return described is None or described["loaded_bytes"] > file["bytes"]


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(50_000_000)
    except OSError:
        return b""


def lost(path: str, recorded_bytes: int, file_bytes: int) -> str | None:
    """What a source file that is not as recorded has surely lost, in words, or null.

    It is empty, it ends in the middle of a line within a function or a class, or it uses names of
    its own that are no longer there.
    """
    text = read(path)
    if text is None:
        return None
    if not text.strip():
        return "it is empty" if recorded_bytes > LICENCE_BYTES else None
    last = text.rpartition("\n")[2]
    # An editor may leave out the line end, one or two bytes, or leave blanks.
    cut = file_bytes + 2 < recorded_bytes if last.strip() else file_bytes < 0.9 * recorded_bytes
    if last[:1] in (" ", "\t") and cut:
        return "it ends in the middle of a line"
    missing = undefined(text)
    return "it uses what is no longer in it: " + ", ".join(missing[:3]) if missing else None


def undefined(text: str) -> list[str]:
    """The global names that a module's code uses and that nothing in it defines."""
    import builtins
    import symtable

    try:
        top = symtable.symtable(text, "module", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    if re.search(r"import \*|\bglobals\(\)|\bexec\(", text):
        return []
    # IPython enters `get_ipython` among the builtins.
    defined = set(dir(builtins)) | {
        "get_ipython",
        "__file__",
        "__name__",
        "__path__",
        "__spec__",
        "__doc__",
    }
    defined |= {"__package__", "__loader__", "__builtins__", "__class__", "__annotations__"}
    used: set[str] = set()
    waiting = [top]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for symbol in table.get_symbols():
            if table is top:
                if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                    defined.add(symbol.get_name())
                elif symbol.is_referenced():
                    used.add(symbol.get_name())
            elif symbol.is_global():
                if symbol.is_assigned() or symbol.is_imported():
                    defined.add(symbol.get_name())
                elif symbol.is_referenced():
                    used.add(symbol.get_name())
    return sorted(used - defined)
