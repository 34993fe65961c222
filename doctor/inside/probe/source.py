"""Reading Python source as data: no module of the target is ever imported."""

from __future__ import annotations

import ast
import re


def assigned(text: str, name: str) -> ast.expr | None:
    """The expression that a module assigns to ``name``, or null.

    Parses only the statement, since the modules that hold the tables of transformers have thousands
    of lines. The statement ends at the first line with the indentation of its own first line that
    does not open anything, which is how formatters close a bracket. A line that ends with a comma
    is an argument of a call.
    """
    import textwrap  # only where a file is read anew

    for match in re.finditer(rf"^([ \t]*){re.escape(name)}\b[^=\n]*=(?!=)", text, re.MULTILINE):
        indentation = match.group(1)
        end = re.compile(rf"^{indentation}[)\]}}]+[ \t]*$", re.MULTILINE)
        line_end = text.find("\n", match.end())
        line_end = len(text) if line_end < 0 else line_end
        ends = [line_end]
        closing = end.search(text, line_end)
        if closing:
            ends.append(closing.end())
        for stop in ends:
            try:
                tree = ast.parse(textwrap.dedent(text[match.start() : stop]))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            statement = tree.body[0]
            if _assigns(statement, name) and not text[match.start() : stop].endswith(","):
                if not _is_empty_call(statement.value):  # type: ignore[attr-defined]
                    return statement.value  # type: ignore[attr-defined]
                break
    return None


def _assigns(node: ast.stmt, name: str) -> bool:
    """Whether a statement gives the name a value, and not to an item or attribute of it."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    has_value = isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
    return has_value and isinstance(target, ast.Name) and target.id == name


def _is_empty_call(node: ast.expr) -> bool:
    """``OrderedDict()``: what a type-checking branch assigns in place of the table."""
    return isinstance(node, ast.Call) and not node.args and not node.keywords


def literal(node: ast.expr | None) -> object:
    """The value of a literal, of ``OrderedDict(<literal>)`` as a dictionary, or null."""
    if node is None:
        return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        node = node.args[0]
        wrap = dict
    else:
        wrap = None
    try:
        value = ast.literal_eval(node)
        return wrap(value) if wrap else value
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a module, or null where this Python cannot parse it."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def predicate(node: ast.expr, names: dict[str, str], patterns: dict[str, str]) -> bool | None:
    """The truth of a simple test on strings, such as ``"modeling_" in name``; null if not simple.

    Understands ``and``, ``or``, ``not``, ``in``, ``not in``, ``==``, ``startswith``, ``endswith``
    and ``PATTERN.search(name)``. ``names`` gives the values of the parameters, ``patterns`` the
    sources of the compiled patterns that the module defines.
    """
    if isinstance(node, ast.BoolOp):
        values = [predicate(value, names, patterns) for value in node.values]
        decided = isinstance(node.op, ast.Or)
        if decided in values:
            return decided
        return None if None in values else not decided
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        value = predicate(node.operand, names, patterns)
        return None if value is None else not value
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = _string(node.left, names), _string(node.comparators[0], names)
        if left is None or right is None:
            return None
        operation = node.ops[0]
        if isinstance(operation, ast.In):
            return left in right
        if isinstance(operation, ast.NotIn):
            return left not in right
        return left == right if isinstance(operation, ast.Eq) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
        argument = _string(node.args[0], names)
        if argument is None:
            return None
        subject = _string(node.func.value, names)
        if subject is not None and node.func.attr == "startswith":
            return subject.startswith(argument)
        if subject is not None and node.func.attr == "endswith":
            return subject.endswith(argument)
        if isinstance(node.func.value, ast.Name) and node.func.attr in ("search", "match"):
            pattern = patterns.get(node.func.value.id)
            if pattern is not None:
                return (
                    getattr(re.compile(pattern, re.MULTILINE), node.func.attr)(argument) is not None
                )
    return None


def _string(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return names.get(node.id) if isinstance(node, ast.Name) else None
