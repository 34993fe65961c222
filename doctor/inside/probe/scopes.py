"""The names of a module: what its top level binds each of them to."""

from __future__ import annotations

import ast
import re

import imports
import source
import statements
from notes import Notes, read


class Scope:
    """The top level of one module, parsed.

    ``bindings`` has for each name the statements that bind it when the module is imported; null in
    the place of one that runs under a condition that cannot be told, or binds in another way.
    """

    def __init__(self, name: str, found: dict, text: str, tree: ast.Module) -> None:
        self.name = name
        self.path = found["origin"]
        self.package = name if found["kind"] == "package" else name.rpartition(".")[0]
        self.text = text
        self.tree = tree
        self.bindings: dict[str, list[ast.stmt | None]] = {}
        self._bind_all(tree.body, certain=True)
        for names in re.findall(r"^\s+global ([^\n#;]+)", text, re.MULTILINE):
            for changed in re.findall(r"\w+", names):
                self.bindings.setdefault(changed, []).append(None)

    def binding(self, name: str) -> ast.stmt | None:
        """The one statement that surely gives a name its value; null if there is no such one."""
        statements = self.bindings.get(name)
        if not statements or None in statements:
            return None
        last = statements[-1]
        if len(statements) == 1:
            return last
        # Of several definitions only overloads leave no doubt: the last one is the function.
        before = all(
            isinstance(one, ast.FunctionDef) and _is_overload(one) for one in statements[:-1]
        )
        return last if before and isinstance(last, ast.FunctionDef) else None

    def _bind_all(self, body: list, certain: bool) -> None:
        for statement in body:
            self._bind(statement, certain)

    def _bind(self, node: ast.stmt, certain: bool) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._add(node.name, node if certain else None)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                name = alias.asname or alias.name
                if isinstance(node, ast.Import) and not alias.asname:
                    name = name.partition(".")[0]
                self._add(name, node if certain else None)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            simple = len(targets) == 1 and isinstance(targets[0], ast.Name)
            if isinstance(node, ast.AnnAssign) and node.value is None:
                return
            for target in targets:
                for name in statements.stored(target):
                    self._add(name, node if simple and certain else None)
        elif isinstance(node, ast.If):
            verdict = imports.condition(node.test)
            if verdict is not False:
                self._bind_all(node.body, certain and verdict is True)
            if verdict is not True:
                self._bind_all(node.orelse, certain and verdict is False)
        else:
            for name in statements.bound_within([node]):
                self._add(name, None)

    def _add(self, name: str, node: ast.stmt | None) -> None:
        self.bindings.setdefault(name, []).append(node)


def scope(name: str, found: dict | None, notes: Notes) -> Scope | None:
    """The scope of a module's source file; null where there is none that can be parsed."""
    if found is None or not found["origin"].endswith(".py") or not notes.watch(found["origin"]):
        return None
    text = read(found["origin"])
    tree = source.parse(text) if text is not None else None
    return Scope(name, found, text or "", tree) if tree else None


def _is_overload(node: ast.FunctionDef) -> bool:
    return any(
        statements.decorator_name(decorator) == "overload" for decorator in node.decorator_list
    )
