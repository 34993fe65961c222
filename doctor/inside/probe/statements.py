"""What statements may do, told from their form alone."""

from __future__ import annotations

import ast


def all_of(node: ast.AST) -> list[ast.AST]:
    """A node and all below it, as ``ast.walk`` has them, in a third of the time."""
    nodes = [node]
    for inner in nodes:
        for name in inner._fields:
            value = getattr(inner, name, None)
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif isinstance(value, list):
                nodes += [one for one in value if isinstance(one, ast.AST)]
    return nodes


def stored(node: ast.AST) -> list[str]:
    """The names that an assignment's target binds."""
    return [
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load)
    ]


def bound_within(body: list) -> set[str]:
    """All names that statements may bind in their own scope."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        elif type(node).__name__ in ("MatchAs", "MatchStar", "MatchMapping"):
            name = getattr(node, "name", None) or getattr(node, "rest", None)
            if name:
                names.add(name)
        waiting.extend(ast.iter_child_nodes(node))
    return names


def leaves(nodes: list) -> bool:
    """Whether statements may leave the block that they are in, other than by an error."""
    return _has_node(nodes, (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom))


def returns(nodes: list) -> bool:
    """Whether statements of a loop may leave the function, other than by an error."""
    return _has_node(nodes, (ast.Return, ast.Yield, ast.YieldFrom))


def _has_node(nodes: list, kinds: tuple) -> bool:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, kinds):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def raises(body: list) -> bool:
    """Whether statements end in an error, whatever happens before."""
    return bool(body) and isinstance(body[-1], ast.Raise)


def is_generator(node: ast.FunctionDef) -> bool:
    """Whether a call of a function only makes a generator."""
    return _has_node(node.body, (ast.Yield, ast.YieldFrom))


def decorator_name(node: ast.expr) -> str | None:
    """The last part of a decorator's name; null where it has none."""
    inner = node.func if isinstance(node, ast.Call) else node
    return getattr(inner, "id", getattr(inner, "attr", None))


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class gets its ``__init__`` from its fields."""
    return any(decorator_name(decorator) == "dataclass" for decorator in node.decorator_list)


def kind(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """What a function of a class is: a method, static or of the class, or a property."""
    names = [decorator_name(decorator) for decorator in node.decorator_list]
    for name in ("staticmethod", "classmethod"):
        if name in names:
            return name
    if any(name in ("property", "setter", "cached_property") for name in names):
        return "property"
    return "method"
