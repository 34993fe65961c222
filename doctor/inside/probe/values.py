"""What is known of a value without running the program that makes it."""

from __future__ import annotations

import ast


class Value:
    """A value of which nothing is known."""


class Something(Value):
    """A value that is true and not null, and otherwise unknown."""


class Known(Value):
    """A constant: a string, a number, a truth value, null, or a tuple of such."""

    def __init__(self, value: object) -> None:
        self.value = value


class Module(Value):
    """A module by its full name."""

    def __init__(self, name: str) -> None:
        self.name = name


class Function(Value):
    """A function of a module's source.

    ``bound`` is the object that it is a method of, taken from it; ``owner`` the class that defines
    it; ``around`` the names of the function that it is defined in.
    """

    def __init__(
        self,
        module: str,
        node: ast.FunctionDef,
        bound: Value | None = None,
        owner: Class | None = None,
        around: dict[str, Value] | None = None,
    ) -> None:
        self.module = module
        self.node = node
        self.bound = bound
        self.owner = owner
        self.around = around


class Compiled(Value):
    """A function of a compiled module, as the stub at ``path`` declares it: any of ``forms``."""

    def __init__(self, module: str, name: str, path: str, forms: list[ast.FunctionDef]) -> None:
        self.module = module
        self.name = name
        self.path = path
        self.forms = forms


class Class(Value):
    """A class of a module's source."""

    def __init__(self, module: str, node: ast.ClassDef) -> None:
        self.module = module
        self.node = node


class Instance(Value):
    """An object of a class, and the attributes that are known of it.

    ``whole`` tells that its ``__init__`` was followed to its end.
    """

    def __init__(self, made_by: Class, whole: bool = False) -> None:
        self.made_by = made_by
        self.attributes: dict[str, Value] = {}
        self.whole = whole


class Options(Value):
    """A dictionary with keys that are strings, as ``**kwargs`` makes it.

    ``perhaps`` are keys that may have gone or come; ``open`` tells that there may be any others.
    """

    def __init__(self, items: dict[str, Value] | None = None, is_open: bool = False) -> None:
        self.items = dict(items or {})
        self.perhaps: set[str] = set()
        self.open = is_open

    def doubt(self, key: str) -> None:
        """Note that a key may be there with any value, or not be there."""
        self.items[key] = UNKNOWN
        self.perhaps.add(key)

    def set(self, key: str, value: Value) -> None:
        self.items[key] = value
        self.perhaps.discard(key)


class Above(Value):
    """What ``super()`` gives: an object as the bases of a class see it."""

    def __init__(self, instance: Instance, below: Class) -> None:
        self.instance = instance
        self.below = below


class Row(Value):
    """A tuple of which each value is known as far as it is."""

    def __init__(self, values: list[Value]) -> None:
        self.values = values


class Many(Value):
    """A list with at least one value, all of them like ``each``."""

    def __init__(self, each: Value) -> None:
        self.each = each


class Partial(Value):
    """A function with some arguments given beforehand (``functools.partial``)."""

    def __init__(self, function: Value, arguments: list[Value], keywords: dict[str, Value]) -> None:
        self.function = function
        self.arguments = arguments
        self.keywords = keywords


class Generation(Value):
    """A generator function that was called and has not begun to run."""

    def __init__(self, function: Function, names: dict[str, Value]) -> None:
        self.function = function
        self.names = names
        self.begun = False


UNKNOWN = Value()
SOMETHING = Something()
NONE = Known(None)


def truth(value: Value) -> bool | None:
    """Whether a value counts as true; null where that is not known."""
    if isinstance(value, Known):
        return bool(value.value)
    if isinstance(value, (Something, Module, Function, Compiled, Class, Partial, Generation, Many)):
        return True
    if isinstance(value, Row):
        return bool(value.values)
    if isinstance(value, Options) and not value.open and not value.perhaps:
        return bool(value.items)
    return None


def same(left: Value, right: Value) -> bool | None:
    """``left is right``, where one of them is a constant; null where that is not known."""
    if isinstance(left, Known) and isinstance(right, Known):
        if None in (left.value, right.value) or isinstance(left.value, bool):
            return left.value is right.value
        return None
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Known) and one.value is None and type(other) is not Value:
            return False
    return None


def escape(value: Value) -> None:
    """Something else got hold of a value, and may change it."""
    if isinstance(value, Options):
        value.open = True
        value.perhaps |= set(value.items)


def first_of(value: Value) -> Value | None:
    """The first of the values that a loop goes through; null where there may be none."""
    if isinstance(value, Many):
        return value.each
    if isinstance(value, Row) and value.values:
        return value.values[0]
    if isinstance(value, Known) and isinstance(value.value, tuple) and value.value:
        return Known(value.value[0])
    return None


def gone_through(name: str, values: list[Value]) -> Value | None:
    """What Python's own functions on lists give, where there is surely a first value.

    A list of layers that is paired with another list is gone through all the same.
    """
    if isinstance(values[0], Generation):
        return values[0] if name in ("enumerate", "iter") else None
    firsts = [first_of(value) for value in values]
    if name == "zip":
        if any(isinstance(value, Many) for value in values):
            return Many(Row([first or UNKNOWN for first in firsts]))
        return None
    if firsts[0] is None:
        return None
    if name == "enumerate":
        return Many(Row([UNKNOWN, firsts[0]]))
    return Many(UNKNOWN if name == "reversed" and not isinstance(values[0], Many) else firsts[0])


def compared(operation: str, left: Value, right: Value) -> bool | None:
    if operation in ("Is", "IsNot"):
        verdict = same(left, right)
        return None if verdict is None else verdict is (operation == "Is")
    if operation in ("In", "NotIn"):
        if isinstance(right, Options) and isinstance(left, Known) and isinstance(left.value, str):
            if left.value in right.perhaps or (right.open and left.value not in right.items):
                return None
            return (left.value in right.items) is (operation == "In")
        around = right.value if isinstance(right, Known) else None
        if isinstance(left, Known) and isinstance(around, (tuple, str)):
            try:
                return (left.value in around) is (operation == "In")
            except TypeError:
                return None
        return None
    if not (isinstance(left, Known) and isinstance(right, Known)):
        return None
    try:
        if operation in ("Eq", "NotEq"):
            return (left.value == right.value) is (operation == "Eq")
        if operation == "Lt":
            return bool(left.value < right.value)  # type: ignore[operator]
        if operation == "LtE":
            return bool(left.value <= right.value)  # type: ignore[operator]
        if operation == "Gt":
            return bool(left.value > right.value)  # type: ignore[operator]
        if operation == "GtE":
            return bool(left.value >= right.value)  # type: ignore[operator]
    except TypeError:
        return None
    return None
