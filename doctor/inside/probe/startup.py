"""Code that Python runs when it starts: ``sitecustomize``, ``usercustomize`` and ``.pth`` lines.

It is read, never run. What a distribution's RECORD owns is taken for granted; of the rest the
effects are listed that change what a generation would import, or whether it starts at all.
"""

from __future__ import annotations

import ast
import contextlib
import os

import source
from modules import Finder
from notes import Notes

# Files that make no distribution and are no accident: virtualenv and uv write the first, and
# setuptools the second where it was installed by other means than pip.
KNOWN = frozenset({"_virtualenv.pth", "distutils-precedence.pth"})

# How a line of code begins in a ``.pth`` file; any other is a folder.
CODE = ("import ", "import\t")

# A variable whose name has one of these holds a secret, which nobody is shown.
SECRET_WORDS = ("TOKEN", "SECRET", "PASSW", "KEY", "CREDENTIAL")

HOOKS = ("sys.meta_path", "sys.path_hooks", "builtins.__import__", "__builtins__.__import__")
ENDS = ("sys.exit", "os._exit", "os.abort", "exit", "quit")
# What ends Python even where every exception is caught.
ENDS_AT_ONCE = ("os._exit", "os.abort")

# What surely does harm. Of code beside Python's own library only this is told: whoever built the
# Python put it there, as Homebrew does to shuffle its folders, and every environment has it.
HARM = frozenset({"ends", "absent", "path-without"})


def find(search_path: list[dict], finder: Finder, notes: Notes, owned: set[str]) -> list[dict]:
    """``{"path", "kind", "effects"}`` of the code that runs; ``effects`` as ``effects`` lists them.

    ``owned`` are the paths of what distributions have at their top. Files without
    effects are left out. The search path is the one before any of this code has run.
    """
    result = []

    def add(path: str, kind: str, found: list[list]) -> None:
        if found:
            result.append({"path": path, "kind": kind, "effects": found})

    for entry in search_path:
        if entry["kind"] not in ("site-packages", "user-site"):
            continue
        for name in sorted(finder.names(entry["path"])):
            path = os.path.join(entry["path"], name)
            if not name.endswith(".pth") or name.startswith((".", "__editable__")):
                continue
            if name not in KNOWN and path not in owned:
                for module in notes.of(path, imported_by_pth) or ():
                    found = finder.find(module)
                    origin = found["origin"] if found else ""
                    own = origin in owned or finder.is_standard(origin)
                    if origin.endswith(".py") and not own:
                        add(origin, "pth", notes.of(origin, effects) or [])
                add(path, "pth", notes.of(path, effects_of_pth) or [])
    users = any(entry["kind"] == "user-site" for entry in search_path)
    for module in ("sitecustomize", "usercustomize") if users else ("sitecustomize",):
        found = finder.find(module)
        if found and found["origin"].endswith(".py") and found["origin"] not in owned:
            told = notes.of(found["origin"], effects) or []
            if finder.is_standard(found["origin"]):
                told = [effect for effect in told if effect[1] in HARM]
            add(found["origin"], module, told)
    return result


def extend(search_path: list[dict], files: list[dict]) -> bool:
    """Put the folders that start-up code adds into the search path; whether any was added."""
    known = {entry["path"] for entry in search_path}
    added = False
    for file in files:
        for _, kind, detail in file["effects"]:
            if kind not in ("path-first", "path-last") or not detail:
                continue
            path = os.path.abspath(os.path.join(os.path.dirname(file["path"]), detail))
            if path not in known and os.path.isdir(path):
                known.add(path)
                entry = {"path": path, "kind": "startup"}
                search_path.insert(0 if kind == "path-first" else len(search_path), entry)
                added = True
    return added


def judge(files: list[dict], loaded: dict, taken: set[str]) -> None:
    """Make each effect an object, with ``on_the_way``: whether a generation loads what it names.

    ``loaded`` has the modules that it loads, ``taken`` the names that it imports from them.
    """
    tops = {name.partition(".")[0] for name in loaded}
    for file in files:
        judged = []
        for line, kind, detail in file["effects"]:
            if kind in ("absent", "replaced"):
                on_the_way = detail in loaded or detail in taken
            elif kind == "path-without":
                on_the_way = any(detail in os.path.dirname(path) for path in loaded.values())
            else:
                on_the_way = kind == "patch" and detail.partition(".")[0] in tops
            judged.append({"line": line, "kind": kind, "detail": detail, "on_the_way": on_the_way})
        file["effects"] = judged


def imported_by_pth(text: str) -> list[str]:
    """The modules that a ``.pth`` file's lines of code import."""
    names = []
    for line in text.splitlines():
        tree = source.parse(line) if line.startswith(CODE) else None
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
    return sorted(set(names))


def effects_of_pth(text: str) -> list[list]:
    """The effects of a ``.pth`` file's lines of code."""
    return [
        [number, kind, detail]
        for number, line in enumerate(text.splitlines(), 1)
        if line.startswith(CODE)
        for _, kind, detail in effects(line)
    ]


def effects(text: str) -> list[list]:
    """``[line, kind, detail]`` of what start-up code does that matters.

    The kinds: ``ends`` (Python ends there, whatever happens), ``may-end``; ``path-first`` and
    ``path-last`` (a folder is put on the search path; null where it is not told); ``path-without``
    (the folders whose paths contain this are taken off it; empty for all of them); ``absent`` (a
    module, or a name in one, is there no more), ``replaced`` (a module is put in its place);
    ``may-take`` (something is taken away under a condition); ``hook`` (how modules are found is
    changed); ``patch`` (an attribute of a module is set); ``environment`` (a variable is set or
    removed: ``NAME=value``).
    """
    tree = source.parse(text)
    if tree is None:
        return []  # Python says so, and goes on
    reader = _Reader()
    with contextlib.suppress(RecursionError):  # what was found until then was found
        reader.visit_all(tree.body, certain=True)
    return reader.found


class _Reader:
    """Walks what runs at once, functions that are called from there included."""

    def __init__(self) -> None:
        self.found: list[list] = []
        self._functions: dict[str, ast.FunctionDef] = {}
        self._called: set[str] = set()
        self._names: dict[str, str] = {}

    def visit_all(self, body: list, certain: bool, catches: bool = False) -> bool:
        """Whether the end of the statements is surely not reached."""
        return any(self._visit(statement, certain, catches) for statement in body)

    def _visit(self, node: ast.stmt, certain: bool, catches: bool) -> bool:
        if isinstance(node, ast.FunctionDef):
            self._functions[node.name] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self._names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self._names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
        elif isinstance(node, ast.Raise):
            if self._dotted(_called(node.exc)) in ("SystemExit", "KeyboardInterrupt"):
                self._note(node, "may-end" if catches or not certain else "ends", None)
            return True
        elif isinstance(node, ast.Return):
            return True
        elif isinstance(node, ast.Try):
            caught = catches or any(_catches_exit(handler) for handler in node.handlers)
            self.visit_all(node.body, certain, caught)
            for handler in node.handlers:
                self.visit_all(handler.body, False, catches)
            self.visit_all(node.orelse, certain, catches)
            self.visit_all(node.finalbody, certain, catches)
        elif isinstance(node, ast.If):
            self._visit_if(node, certain, catches)
        elif isinstance(node, (ast.For, ast.While)):
            self.visit_all(node.body + node.orelse, False, catches)
        elif isinstance(node, ast.With):
            self.visit_all(node.body, certain, catches)
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self._assign(node, target, node.value, certain)
            return self._call(node.value, certain, catches)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and self._dotted(target.value) == "os.environ":
                    self._note(node, "environment", _setting(source.literal(_index(target)), ""))
        elif isinstance(node, ast.Expr):
            return self._call(node.value, certain, catches)
        return False

    def _visit_if(self, node: ast.If, certain: bool, catches: bool) -> None:
        """An ``if`` and what follows it, however many ``elif`` there are."""
        from imports import condition  # only where start-up code is read anew

        while True:
            verdict = condition(node.test)
            if verdict is not False:
                self.visit_all(node.body, certain and verdict is True, catches)
            if verdict is True:
                return
            certain = certain and verdict is False
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                self.visit_all(node.orelse, certain, catches)
                return
            node = node.orelse[0]

    def _note_loss(self, node: ast.AST, kind: str, detail: str, certain: bool) -> None:
        """Note that something is taken away, or may be."""
        if certain:
            self._note(node, kind, detail)
        else:
            folders = "the folders of the packages"
            self._note(node, "may-take", detail if kind == "absent" else folders)

    def _note(self, node: ast.AST, kind: str, detail: str | None) -> None:
        self.found.append([getattr(node, "lineno", 0), kind, detail])

    def _dotted(self, node: ast.AST | None) -> str:
        """``a.b.c`` of names and attributes, by the modules' own names; empty for all else."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self._dotted(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def _assign(self, node: ast.stmt, target: ast.expr, value: ast.expr, certain: bool) -> None:
        if isinstance(target, ast.Subscript):
            owner, index = self._dotted(target.value), source.literal(_index(target))
            if owner == "sys.modules" and isinstance(index, str):
                if isinstance(value, ast.Constant) and value.value is None:
                    self._note_loss(node, "absent", index, certain)
                else:
                    self._note(node, "replaced", index)
            elif owner == "os.environ" and isinstance(index, str):
                self._note(node, "environment", _setting(index, source.literal(value)))
            elif owner == "sys.path" and _is_part(target.slice):
                self._paths(node, "path-first", value)
            elif owner == "sys.path":
                self._replace_path(node, value, certain)
            return
        name = self._dotted(target)
        if name == "sys.path" and isinstance(node, ast.AugAssign):
            self._paths(node, "path-last", value)
        elif name == "sys.path":
            self._replace_path(node, value, certain)
        elif name in HOOKS:
            self._note(node, "hook", name)
        elif isinstance(target, ast.Attribute) and name.partition(".")[0] in self._modules():
            if isinstance(value, ast.Constant) and value.value is None:
                self._note_loss(node, "absent", name, certain)
            else:
                self._note(node, "patch", name)

    def _modules(self) -> set[str]:
        return {name.partition(".")[0] for name in self._names.values()} - {"sys", "os"}

    def _call(self, node: ast.expr | None, certain: bool, catches: bool) -> bool:
        if not isinstance(node, ast.Call):
            return False
        name = self._dotted(node.func)
        arguments = node.args
        if name in ENDS:
            sure = certain and (name in ENDS_AT_ONCE or not catches)
            self._note(node, "ends" if sure else "may-end", None)
            return True
        owner, _, method = name.rpartition(".")
        if owner == "sys.path" and method in ("insert", "append", "extend"):
            first = method == "insert"
            self._paths(node, "path-first" if first else "path-last", *arguments[first:])
        elif name == "sys.path.clear":
            self._note_loss(node, "path-without", "", certain)
        elif owner == "sys.path" or name == "site.addsitedir":
            self._paths(node, "path-last", *arguments[:1])
        elif owner in HOOKS:
            self._note(node, "hook", owner)
        elif owner == "os.environ" and arguments and method in ("setdefault", "pop"):
            value = source.literal(arguments[1]) if method == "setdefault" and arguments[1:] else ""
            self._note(node, "environment", _setting(source.literal(arguments[0]), value))
        elif owner == "os.environ" and method == "update":
            table = source.literal(arguments[0]) if arguments else None
            for key, value in table.items() if isinstance(table, dict) else ():
                self._note(node, "environment", _setting(key, value))
        elif name == "setattr" and len(arguments) == 3:
            patched = self._dotted(arguments[0])
            if patched.partition(".")[0] in self._modules():
                self._note(node, "patch", f"{patched}.{source.literal(arguments[1])}")
        elif name == "exec" and arguments and isinstance(source.literal(arguments[0]), str):
            tree = source.parse(str(source.literal(arguments[0])))
            return self.visit_all(tree.body, certain, catches) if tree else False
        elif name in self._functions and name not in self._called:
            self._called.add(name)
            before = len(self.found)
            self.visit_all(self._functions[name].body, certain, catches)
            return any(kind == "ends" for _, kind, _ in self.found[before:])
        return False

    def _replace_path(self, node: ast.AST, value: ast.expr, certain: bool) -> None:
        """Another search path in the place of the old one: all, some or none of its folders."""
        if isinstance(value, (ast.List, ast.Tuple)) and not value.elts:
            self._note_loss(node, "path-without", "", certain)
            return
        if isinstance(value, ast.ListComp) and len(value.generators) == 1:
            loop = value.generators[0]
            if self._dotted(loop.iter) == "sys.path" and len(loop.ifs) == 1:
                test = loop.ifs[0]
                words = source.literal(test.left) if isinstance(test, ast.Compare) else None
                if isinstance(words, str) and isinstance(test.ops[0], ast.NotIn):  # type: ignore[attr-defined]
                    self._note_loss(node, "path-without", words, certain)
                    return
        self._paths(node, "path-first", value)

    def _paths(self, node: ast.AST, kind: str, *values: ast.expr) -> None:
        for value in values:
            inner = value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]
            if isinstance(value, ast.BinOp):  # [...] + sys.path
                inner = [*getattr(value.left, "elts", ()), *getattr(value.right, "elts", ())]
            for element in inner:
                self._note(node, kind, self._folder(element))

    def _folder(self, node: ast.expr) -> str | None:
        """A folder that is written down, relative to the file's own folder; null for any other."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name) and node.id == "__file__":
            return "x"  # a file in its own folder, whatever its name
        if isinstance(node, ast.Call):
            parts = [self._folder(argument) for argument in node.args]
            name = self._dotted(node.func)
            if None in parts or not parts:
                return None
            if name == "os.path.join":
                return os.path.join(*map(str, parts))
            if name == "os.path.dirname":
                return os.path.dirname(str(parts[0])) or "."
            if name in ("os.path.abspath", "os.path.realpath", "os.path.normpath", "str"):
                return str(parts[0])
            if name == "os.path.expanduser":
                return os.path.expanduser(str(parts[0]))
        return None


def _setting(name: object, value: object) -> str:
    """A variable and its value; of a secret only that there is one."""
    secret = any(word in str(name).upper() for word in SECRET_WORDS)
    return f"{name}={'…' if secret and value else value or ''}"


def _index(node: ast.Subscript) -> ast.expr:
    inner = node.slice
    return inner if isinstance(inner, ast.expr) else ast.Constant(value=None)


def _is_part(node: ast.expr) -> bool:
    """Whether an index of a list is not all of it."""
    return not isinstance(node, ast.Slice) or bool(node.lower or node.upper)


def _called(node: ast.expr | None) -> ast.expr | None:
    return node.func if isinstance(node, ast.Call) else node


def _catches_exit(handler: ast.ExceptHandler) -> bool:
    names = (
        {getattr(name, "id", None) for name in ast.walk(handler.type)} if handler.type else set()
    )
    return handler.type is None or bool(names & {"BaseException", "SystemExit"})
