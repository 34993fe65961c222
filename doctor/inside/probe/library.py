"""The modules and classes of the environment: what has which name, as far as source shows it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable

import scopes
import source
import statements
from followed import FOLLOWED
from imports import Tracer, absolute
from modules import Finder
from notes import Notes, read
from scopes import Scope
from values import (
    UNKNOWN,
    Above,
    Class,
    Compiled,
    Function,
    Instance,
    Known,
    Module,
    Value,
)

# Whose code begins the calls, and changes what others have.
PACKAGES = ("mlx_vlm", "mlx_lm")

# Names that are taken from module to module; no real chain is near as long.
MOST_DEPTH = 40

# Decorators that keep a function's parameters; what any other does is not known.
KEEPS = frozenset(
    {"staticmethod", "classmethod", "cache", "lru_cache", "contextmanager", "wraps", "no_grad"}
    | {"abstractmethod", "final", "override"}
)

# mlx's Module answers for what was stored in it, and for nothing else (mlx/nn/layers/base.py).
PLAIN_GETATTR = ("mlx.nn.layers.base", "Module")


class Library:
    """Looks up names in modules, classes and objects.

    ``follow`` tells the value of a function of a module by following it: some modules have a
    ``__getattr__`` of their own.
    """

    def __init__(
        self,
        finder: Finder,
        notes: Notes,
        tracer: Tracer,
        follow: Callable[[Function, dict[str, Value]], Value],
    ) -> None:
        self._finder = finder
        self._notes = notes
        self._tracer = tracer
        self._follow = follow
        self._depth = 0
        self._scopes: dict[str, Scope | None] = {}
        self._declared: dict[str, list[ast.stmt]] = {}
        self._stores: tuple[set[str], set[str]] | None = None
        self._gifts: dict[tuple[str, str], Value] = {}

    def gives_another_meaning(self, module: str, name: str) -> bool:
        """Whether a module may have something of its own under the name of one of Python's."""
        scope = self.scope(module)
        if scope is None or name in scope.bindings:
            return True
        return "*" in scope.bindings and self._tracer.home(module, name, 0) != ""

    def scope(self, module: str) -> Scope | None:
        if module not in self._scopes:
            found = self._finder.find(module) if module else None
            self._scopes[module] = scopes.scope(module, found, self._notes)
        return self._scopes[module]

    def seen_in(self, module: str, name: str) -> Value:
        """What a module's own code finds under a name."""
        scope = self.scope(module)
        if scope is None or self.is_patched(name):
            return UNKNOWN
        if name not in scope.bindings:
            return self.member(module, name) if "*" in scope.bindings else UNKNOWN
        return self._of_binding(scope, name)

    def member(self, module: str, name: str) -> Value:
        """What other modules find in a module under a name."""
        if self.is_patched(name):
            return UNKNOWN
        home = self._tracer.home(module, name, 0)
        inner = module + "." + name
        if home is None and (self._tracer.has(inner) or self._inner(module, name)):
            return Module(inner)
        if home is None:
            forms = self._forms(module, name)
            return forms if forms is not None else self._given(module, name)
        if home == "":
            return Module(inner) if self._finder.find(inner) is not None else UNKNOWN
        scope = self.scope(home)
        if scope is None:
            return UNKNOWN
        if name in scope.bindings:
            return self._of_binding(scope, name)
        return Module(home) if home == module + "." + name else UNKNOWN

    def _given(self, module: str, name: str) -> Value:
        """What a module's own ``__getattr__`` gives for a name."""
        if (module, name) not in self._gifts:
            self._gifts[module, name] = UNKNOWN
            scope = self.scope(module) if module.partition(".")[0] in FOLLOWED else None
            giver = scope.binding("__getattr__") if scope else None
            if isinstance(giver, ast.FunctionDef) and len(giver.args.args) == 1:
                names: dict[str, Value] = {giver.args.args[0].arg: Known(name)}
                self._gifts[module, name] = self._follow(Function(module, giver), names)
        return self._gifts[module, name]

    def _stub(self, module: str) -> str | None:
        """The stub of a compiled module, or of a module inside of one."""
        above, _, name = module.rpartition(".")
        found = self._finder.find(module)
        if found is not None and found["kind"] == "extension":
            folder = os.path.join(os.path.dirname(found["origin"]), name)
        elif found is None and (self._finder.find(above) or {}).get("kind") == "extension":
            folder = os.path.join(
                os.path.dirname(self._finder.find(above)["origin"]),  # type: ignore[index]
                above.rpartition(".")[2],
                name,
            )
        else:
            return None
        paths = [os.path.join(folder, "__init__.pyi"), folder + ".pyi"]
        return next((path for path in paths if self._notes.watch(path)), None)

    def _inner(self, module: str, name: str) -> bool:
        """Whether a compiled module has a module of its own by a name, as its stubs show."""
        found = self._finder.find(module)
        return bool(
            found and found["kind"] == "extension" and self._stub(module + "." + name) is not None
        )

    def _forms(self, module: str, name: str) -> Compiled | None:
        """A function that a stub declares."""
        path = self._stub(module)
        if path is None:
            return None
        if path not in self._declared:
            tree = source.parse(read(path) or "")
            self._declared[path] = tree.body if tree else []
        named = [node for node in self._declared[path] if getattr(node, "name", None) == name]
        forms = [node for node in named if isinstance(node, ast.FunctionDef)]
        plain = len(forms) == len(named) and all(
            statements.decorator_name(decorator) == "overload"
            for form in forms
            for decorator in form.decorator_list
        )
        return Compiled(module, name, path, forms) if forms and plain else None

    def _of_binding(self, scope: Scope, name: str) -> Value:
        node = scope.binding(name)
        if isinstance(node, ast.FunctionDef):
            return Function(scope.name, node) if self.is_plain(node) else UNKNOWN
        if isinstance(node, ast.ClassDef):
            return Class(scope.name, node)
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    return Module(alias.name if alias.asname else name)
        if isinstance(node, ast.ImportFrom):
            target = self.target(node, scope.name)
            for alias in node.names if target else ():
                if (alias.asname or alias.name) == name and target is not None:
                    return self._taken(target, alias.name)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            if isinstance(node.value, ast.Name) and node.value.id != name:
                return self.seen_in(scope.name, node.value.id)
            if isinstance(node.value, ast.Call):
                made_by = self._resolved(node.value.func, scope.name)
                return Instance(made_by) if isinstance(made_by, Class) else UNKNOWN
            value = source.literal(node.value)
            if isinstance(node.value, (ast.Constant, ast.UnaryOp, ast.Tuple)) and (
                value is not None or isinstance(node.value, ast.Constant)
            ):
                return Known(value)
        return UNKNOWN

    def _taken(self, module: str, name: str) -> Value:
        """What one module takes from another, which may have taken it too."""
        self._depth += 1
        try:
            return self.member(module, name) if self._depth < MOST_DEPTH else UNKNOWN
        finally:
            self._depth -= 1

    def _resolved(self, node: ast.expr, module: str) -> Value:
        """What a name at the top level of a module stands for, with dots or without."""
        if isinstance(node, ast.Name):
            return self.seen_in(module, node.id)
        if isinstance(node, ast.Attribute):
            owner = self._resolved(node.value, module)
            return self.member(owner.name, node.attr) if isinstance(owner, Module) else UNKNOWN
        return UNKNOWN

    def attribute(self, owner: Value, name: str) -> Value:
        """An attribute of something known."""
        found: Value | None = None
        instance: Value = owner
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            found = self.in_class(owner.made_by, name)
        elif isinstance(owner, Class):
            found = self.in_class(owner, name)
        elif isinstance(owner, Above):
            instance = owner.instance
            found = self.in_class(owner.instance.made_by, name, owner.below)
        if not isinstance(found, Function) or self.is_patched(name):
            return UNKNOWN
        kind = statements.kind(found.node)
        if kind == "property" or not self.is_plain(found.node):
            return UNKNOWN
        bound: Value | None = None
        if kind == "classmethod":
            bound = instance.made_by if isinstance(instance, Instance) else instance
        elif kind == "method" and isinstance(instance, Instance):
            bound = instance
        return Function(found.module, found.node, bound, found.owner)

    def has(self, owner: Value, name: str) -> bool | None:
        """Whether something has an attribute; null where that is not known."""
        if isinstance(owner, Module):
            if self.is_patched(name):
                return None
            if self._tracer.lacks(owner.name, name):
                return False
            if self._tracer.home(owner.name, name, 0) or self._tracer.has(owner.name + "." + name):
                return True
            return None if type(self._given(owner.name, name)) is Value else True
        if isinstance(owner, Known):
            return hasattr(owner.value, name)
        if not isinstance(owner, Instance):
            return None
        if name in owner.attributes:
            return True
        if self.in_class(owner.made_by, name) is not None:
            return True
        if self.is_stored(name) or self.line(owner.made_by) is None or hasattr(dict, name):
            return None
        for one in self.line(owner.made_by) or ():
            place = (one.module, one.node.name)
            if place != PLAIN_GETATTR and any(
                isinstance(inner, ast.FunctionDef)
                and inner.name in ("__getattr__", "__getattribute__")
                for inner in one.node.body
            ):
                return None
            scope = self.scope(one.module)
            text = scope.text if scope else ""
            if re.search(r"\b(?:self|cls)\." + re.escape(name) + r"\b", text):
                return None
        return False

    def line(self, made_by: Class) -> list[Class] | None:
        """A class and its bases in the order in which Python asks them; null where not known.

        Only for classes with one base each: there the order is plain.
        """
        line = [made_by]
        while True:
            bases = line[-1].node.bases
            if line[-1].node.keywords or len(bases) > 1 or len(line) > 20:
                return None
            if not bases:
                return line
            base = bases[0]
            if isinstance(base, ast.Name) and base.id in ("object", "dict"):
                return line
            above = self._resolved(base, line[-1].module)
            if not isinstance(above, Class):
                return None
            line.append(above)

    def in_class(self, made_by: Class, name: str, below: Class | None = None) -> Value | None:
        """What a class or its bases define under a name; null where there is nothing to be seen.

        With ``below``, only the bases of that one are asked.
        """
        line = self.line(made_by) or [made_by]
        if below is not None:
            nodes = [one.node for one in line]
            line = line[nodes.index(below.node) + 1 :] if below.node in nodes else []
        for one in line:
            found = [node for node in one.node.body if name in statements.bound_within([node])]
            if found:
                single = found[0] if len(found) == 1 else None
                if isinstance(single, ast.FunctionDef):
                    return Function(one.module, single, owner=one)
                return UNKNOWN
        return None

    def is_plain(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Whether a function's decorators leave its parameters as they are written."""
        for decorator in node.decorator_list:
            if statements.decorator_name(decorator) not in KEEPS:
                return False
        return True

    def is_plain_class(self, node: ast.ClassDef) -> bool:
        return all(
            statements.decorator_name(decorator) == "dataclass" for decorator in node.decorator_list
        )

    def stored_once(self, made_by: Class, name: str) -> bool:
        """Whether only one statement of a class's own module ever stores an attribute."""
        scope = self.scope(made_by.module)
        text = scope.text if scope else ""
        return len(re.findall(r"\." + re.escape(name) + r"\s*(?::[^=\n]+)?=(?!=)", text)) == 1

    def is_stored(self, name: str) -> bool:
        """Whether any module stores an attribute of this name into something else than ``self``."""
        return name in self._all_stores()[1]

    def is_patched(self, name: str) -> bool:
        """Whether any module stores an attribute of this name into a module or a class."""
        return name in self._all_stores()[0]

    def _all_stores(self) -> tuple[set[str], set[str]]:
        if self._stores is None:
            patched: set[str] = set()
            stored: set[str] = set()
            for path in self._tracer.sources(PACKAGES):
                in_classes, elsewhere = stores(read(path) or "")
                patched |= in_classes
                stored |= elsewhere
            self._stores = patched, stored | patched
        return self._stores

    def target(self, node: ast.ImportFrom, module: str) -> str | None:
        found = self._finder.find(module)
        package = module if found and found["kind"] == "package" else module.rpartition(".")[0]
        return absolute(package, node.level, node.module or "")


def stores(text: str) -> tuple[set[str], set[str]]:
    """The attributes that a module stores in modules and classes, and in anything but ``self``.

    What is stored into is told by its name: that of something imported, or that of a class.
    """
    stored = re.findall(r"setattr\(\s*([^,()]+),\s*['\"](\w+)['\"]", text)
    for match in re.finditer(r"\.(\w+)\s*=(?!=)", text):
        before = text[max(0, match.start() - 100) : match.start()]
        owner = re.search(r"[\w.\])]+$", before)
        if owner:
            stored.append((owner.group(), match.group(1)))
    outside = [(owner, name) for owner, name in stored if owner not in ("self", "cls")]
    imported = _imported(text) if outside else set()
    patched = {
        name
        for owner, name in outside
        if owner.partition(".")[0] in imported
        or re.search(r"^_*[A-Z]|cls$|class|module", owner.rpartition(".")[2])
    }
    return patched, {name for _, name in outside}


def _imported(text: str) -> set[str]:
    """The names that a module imports, and more."""
    names: set[str] = set()
    for line in re.findall(r"^[ \t]*(?:from [\w.]+ )?import ([^\n(]+|\([^)]*)", text, re.MULTILINE):
        names.update(re.findall(r"\w+", line))
    return names
