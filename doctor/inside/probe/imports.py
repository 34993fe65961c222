"""A static trace of the imports that a generation makes: what would fail, without importing it.

From the modules that a generation starts with it follows every import that is made while modules
load, and asks: does the module exist, is its file whole, is every imported name defined there? What
a ``try`` catches, what stands under a condition that cannot be told, and what is inside a function
does not count. It follows into the packages that grow against each other (``FOLLOWED``) and into
those that lack something that they require; of others it looks at the module that is imported from.
"""

from __future__ import annotations

import ast
import contextlib
import operator
import os
import re
import sys

import source
import statements
from followed import FOLLOWED
from modules import Finder
from notes import Notes, read

# Of these only the package's own file is followed: torch imports some two thousand modules.
SHALLOW = frozenset({"torch"})

# What Python has imported by itself before anybody's path counts (python -X importtime -c pass).
STARTED_WITH = frozenset(
    {"_collections_abc", "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath"}
    | {"site", "stat"}
)

# What Python itself puts into a module.
IN_EVERY_MODULE = frozenset(
    {"__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__"}
    | {"__annotations__", "__builtins__", "__cached__", "__dict__"}
)

# No real trace comes near; a hostile tree of modules ends here.
MOST_MODULES = 4000

# Functions by which a module makes names that it does not write down.
MAKES_NAMES = re.compile(r"'(?:globals|locals|vars|setattr|exec)'")

# Where a statement may begin that makes a function's names the module's; not in the midst of prose.
GLOBAL = re.compile(r"(?:^|[;:])[ \t\f]*global\b", re.MULTILINE)

# What transformers' `is_x_available` looks for, where it is not named like that.
GATED_MODULES = {"vision": "PIL", "jinja": "jinja2"}

COMPARISONS: dict = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

ABSENCE_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class Doubt:
    """Modules whose files are not what they should be, and how far to follow for their sake.

    ``modules`` gives their paths; of the top-level modules ``whole`` all is in doubt. The trace
    follows into the top-level modules ``around``, and tells of problems there only where one of
    these modules makes them.
    """

    def __init__(
        self,
        modules: dict[str, str],
        whole: frozenset = frozenset(),
        around: frozenset = frozenset(),
    ) -> None:
        self.modules = modules
        self.whole = whole
        self.around = around
        self.tops = {name.partition(".")[0] for name in modules}
        self._paths = set(modules.values())

    def described(self) -> list:
        """What it is about, as something that JSON can hold."""
        return [self.modules, sorted(self.whole), sorted(self.around)]

    def about(self, importer: str, module: str, name: str | None) -> bool:
        """Whether a problem is one that these modules make."""
        return (
            importer in self._paths
            or module in self.modules
            or f"{module}.{name}" in self.modules
            or module.partition(".")[0] in self.whole
        )


def trace(
    finder: Finder,
    notes: Notes,
    starts: list[str],
    incomplete: list[str],
    doubt: Doubt | None = None,
) -> dict:
    """The summary of the imports from ``starts`` (see ``Tracer.summary``)."""
    return follow(finder, notes, starts, incomplete, doubt).summary()


def follow(
    finder: Finder,
    notes: Notes,
    starts: list[str],
    incomplete: list[str],
    doubt: Doubt | None = None,
    closed: frozenset = frozenset(),
    outdated: frozenset = frozenset(),
) -> Tracer:
    """A tracer that has followed the imports from ``starts``, and can follow more.

    ``incomplete`` are further top-level modules to follow into, ``closed`` those that are there and
    that transformers takes for absent, ``outdated`` those that are older than others require.
    """
    doubt = doubt or Doubt({})
    tracer = Tracer(finder, notes, FOLLOWED | set(incomplete), doubt, closed, outdated)
    told = map(sorted, (incomplete, closed, outdated))
    tracer.asked = [starts, *told, *doubt.described()]
    for start in starts:
        tracer.load(start, ("the doctor", 0))
    return tracer


def summarise(text: str) -> dict:
    """What a module's source does when it is imported.

    ``imports`` lists ``[line, level, module, names or null, optional, gates]``, where ``gates``
    are the modules that must be there for the import to be made. ``uses`` lists ``[line, name,
    attribute, gates]``: what is taken from imported modules at once, and ``aliases`` says which
    modules the first parts of those names are. ``defines`` has the names that it binds,
    ``siblings`` what ``from . import`` binds: ``[name, original, optional]``; ``dynamic`` tells
    that it makes names in other ways; ``lazy`` maps names to the submodules that a lazy package
    takes them from, ``places`` some names to theirs, where there may be others too; ``hints`` are
    names that it only mentions, in its ``__getattr__`` or for type checkers; ``calls`` tells that
    it calls into another followed package at once; ``error`` is why its import always fails.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return {**_empty(), "error": getattr(error, "msg", None) or str(error)}
    except (RecursionError, MemoryError):
        return {**_empty(), "dynamic": True}
    try:
        return _summary(tree, text)
    except RecursionError:  # Python may well import what is too deep to be followed
        return {**_empty(), "dynamic": True}


def _summary(tree: ast.Module, text: str) -> dict:
    summary = _empty()
    if any(map(_surely_ends, tree.body)):
        summary["error"] = "it raises an error whenever it is imported"
        return summary
    defines: set[str] = set()
    _Body(summary, defines, constants=_constants(tree)).visit_all(tree.body, optional=False)
    if GLOBAL.search(text) or ":=" in text:
        for node in statements.all_of(tree):
            if isinstance(node, ast.Global):
                defines.update(node.names)
            elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
                defines.add(node.target.id)
    summary["calls"] = _calls_others(tree)
    summary["uses"] = [
        use for use in summary["uses"] if summary["aliases"].get(use[1].partition(".")[0])
    ]
    summary["defines"] = sorted(defines - _deleted(tree.body))
    if summary["dynamic"]:
        summary["lazy"] = _lazy_names(tree)
        summary["places"] = _places(tree)
        summary["hints"] = _hints(tree)
    return summary


# Calls that end Python, and with it an import.
ENDING_CALLS = frozenset({"sys.exit", "exit", "quit", "os._exit", "os.abort"})


def _surely_ends(statement: ast.stmt) -> bool:
    """Whether a statement of a module ends its import: an error, or the end of Python."""
    if isinstance(statement, ast.Raise):
        return True
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and not statement.test.value
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return _dotted(statement.value.func) in ENDING_CALLS
    value = statement.value if isinstance(statement, (ast.Assign, ast.Expr)) else None
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, (ast.Div, ast.FloorDiv, ast.Mod))
        and isinstance(value.left, ast.Constant)
        and isinstance(value.right, ast.Constant)
        and value.right.value == 0
        and isinstance(value.left.value, (int, float))
    )


def _deleted(body: list[ast.stmt]) -> set[str]:
    """The names that a module surely deletes and does not bind again."""
    gone: set[str] = set()
    for index, statement in enumerate(body):
        if isinstance(statement, ast.Delete):
            later: set[str] = set()
            _Body(_empty(), later).visit_all(body[index + 1 :], optional=False)
            gone |= {
                target.id for target in statement.targets if isinstance(target, ast.Name)
            } - later
    return gone


def _empty() -> dict:
    return {
        "imports": [],
        "uses": [],
        "aliases": {},
        "defines": [],
        "siblings": [],
        "dynamic": False,
        "lazy": {},
        "places": {},
        "hints": [],
        "calls": False,
        "error": None,
    }


class _Body:
    """Walks the statements that run when a module is imported."""

    def __init__(
        self,
        summary: dict,
        defines: set[str],
        gates: tuple[str, ...] = (),
        constants: dict[str, bool] | None = None,
    ) -> None:
        self._summary = summary
        self._defines = defines
        self._gates = gates
        self._constants = constants or {}
        self._uses_count = True
        self._of_modules = True

    def visit_all(self, body: list, optional: bool) -> None:
        for statement in body:
            self.visit(statement, optional)

    def visit(self, node: ast.stmt, optional: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._defines.add(alias.asname or alias.name.partition(".")[0])
                self._summary["imports"].append(
                    [node.lineno, 0, alias.name, None, optional, self._gates]
                )
                if not optional:
                    self._alias(alias)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if node.level == 1 and not node.module:
                may_fail = optional or bool(self._gates)
                self._summary["siblings"] += [
                    [alias.asname or alias.name, alias.name, may_fail] for alias in node.names
                ]
            else:
                self._defines.update(alias.asname or alias.name for alias in node.names)
            self._summary["imports"].append(
                [node.lineno, node.level, node.module or "", names, optional, self._gates]
            )
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._defines.add(node.name)
            if node.name == "__getattr__" and self._of_modules:
                given = _given_names(node)
                self._defines.update(given or ())
                self._summary["dynamic"] |= given is None
            self._use_now(optional, *_computed_at_once(node))
            if isinstance(node, ast.ClassDef):
                inner = _Body(self._summary, set(), self._gates, self._constants)
                inner._uses_count = self._uses_count
                # A class that others may put in the place of a module.
                inner._of_modules = any("Module" in ast.dump(base) for base in node.bases)
                inner.visit_all(node.body, optional)
        elif isinstance(node, ast.If):
            self._visit_if(node, optional)
        elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            self._visit_try(node, optional)  # type: ignore[arg-type]
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            suppresses = any("suppress" in ast.dump(item.context_expr) for item in node.items)
            for item in node.items:
                self._bind(item.optional_vars)
            self.visit_all(node.body, optional or suppresses)
        elif isinstance(node, (ast.For, ast.While)):
            if isinstance(node, ast.For):
                self._bind(node.target)
                self._import_each(node, optional)
            self.visit_all(node.body + node.orelse, True)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target)
            self._use_now(optional, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            self._bind(node.target)
            self._use_now(optional, node.value)
        elif isinstance(node, ast.Expr):
            if MAKES_NAMES.search(ast.dump(node)):
                self._summary["dynamic"] = True
            self._use_now(optional, node.value)
        elif isinstance(node, ast.Delete):
            pass  # see _deleted; what is deleted under a condition stays listed
        elif type(node).__name__ in ("Match", "TypeAlias"):
            self._summary["dynamic"] = True

    def _alias(self, alias: ast.alias) -> None:
        """Note which module a name stands for; nothing of one that stands for several."""
        module = alias.name if alias.asname else alias.name.partition(".")[0]
        name = alias.asname or module
        known = self._summary["aliases"].setdefault(name, module)
        if known != module:
            self._summary["aliases"][name] = ""

    def _import_each(self, node: ast.For, optional: bool) -> None:
        """The imports of ``for name in ("a", "b"): __import__(name)``, as requests has it."""
        names = source.literal(node.iter)
        if not (isinstance(node.target, ast.Name) and isinstance(names, (list, tuple))):
            return
        for statement in node.body:
            if not isinstance(statement, (ast.Assign, ast.Expr)):
                continue
            value = statement.value
            if (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Name)
                and value.func.id == "__import__"
                and [getattr(argument, "id", None) for argument in value.args] == [node.target.id]
            ):
                self._summary["imports"] += [
                    [value.lineno, 0, name, None, optional, self._gates]
                    for name in names
                    if isinstance(name, str)
                ]

    def _visit_if(self, node: ast.If, optional: bool) -> None:
        verdict = condition(node.test)
        if isinstance(node.test, ast.Name):
            verdict = self._constants.get(node.test.id, verdict)
        gates = _gates(node.test)
        if gates is not None:
            inner = _Body(self._summary, self._defines, self._gates + gates, self._constants)
            inner.visit_all(node.body, optional)
        elif verdict is not False:
            self.visit_all(node.body, optional or verdict is None)
        if verdict is not True:
            self.visit_all(node.orelse, optional or verdict is None)

    def _visit_try(self, node: ast.Try, optional: bool) -> None:
        caught = _catches(node, ABSENCE_ERRORS)
        counted = self._uses_count
        self._uses_count = counted and not _catches(node, {"AttributeError"})
        self.visit_all(node.body, optional or caught)
        self._uses_count = counted
        for handler in node.handlers:
            if handler.name:
                self._defines.add(handler.name)
            self.visit_all(handler.body, True)
        self.visit_all(node.orelse, optional or caught)
        self.visit_all(node.finalbody, optional)

    def _use_now(self, optional: bool, *values: ast.expr | None) -> None:
        """Note what expressions take from modules, unless that may fail or may not happen."""
        if self._uses_count and not optional:
            for value in filter(None, values):
                self._use(value)

    def _use(self, value: ast.AST) -> None:
        if isinstance(value, (ast.Lambda, ast.GeneratorExp, ast.IfExp, ast.BoolOp)):
            return
        owner = _dotted(value.value) if isinstance(value, ast.Attribute) else None
        if isinstance(value, ast.Attribute) and owner is not None:
            self._summary["uses"].append([value.lineno, owner, value.attr, self._gates])
        for node in ast.iter_child_nodes(value):
            self._use(node)

    def _bind(self, target: ast.expr | None) -> None:
        if target is None:
            return
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self._defines.add(node.id)
                if node.id == "__getattr__":
                    self._summary["dynamic"] = True
        text = ast.dump(target)
        if ("sys" in text and "modules" in text) or MAKES_NAMES.search(text):
            self._summary["dynamic"] = True


def _computed_at_once(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list:
    """What a definition computes when it is met: decorators, bases, defaults."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
    defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
    return [*node.decorator_list, *defaults]


def _dotted(node: ast.expr) -> str | None:
    """A name, with dots or without; null for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return owner and owner + "." + node.attr
    return None


def _given_names(node: ast.stmt) -> set[str] | None:
    """The names that a module's ``__getattr__`` can give, and more; null where it can give any.

    One that compares the name with constants, and raises in the end, gives none but those.
    """
    if not isinstance(node, ast.FunctionDef) or len(node.args.args) != 1:
        return None
    if not isinstance(node.body[-1], ast.Raise):
        return None
    tables = {
        target.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Assign) and source.literal(inner.value) is not None
        for target in inner.targets
        if isinstance(target, ast.Name)
    }
    waiting: list[ast.stmt] = list(node.body)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.If):
            test = statement.test
            if not (isinstance(test, ast.Compare) and len(test.ops) == 1):
                return None
            against = test.comparators[0]
            constant = isinstance(against, ast.Name) and against.id in tables
            if not (
                isinstance(test.left, ast.Name)
                and test.left.id == node.args.args[0].arg
                and isinstance(test.ops[0], (ast.Eq, ast.In))
                and (constant or source.literal(against) is not None)
            ):
                return None
            # What is given under the condition is one of the constants.
            waiting += statement.orelse
        elif not isinstance(statement, (ast.Raise, ast.Assign, ast.Expr)):
            return None
    return {
        inner.value
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


def _catches(node: ast.Try, errors: set[str]) -> bool:
    """Whether one of these errors ends here; a handler that always raises only explains it."""
    for handler in node.handlers:
        names = ast.walk(handler.type) if handler.type else ()
        named = {getattr(name, "id", getattr(name, "attr", None)) for name in names}
        if handler.type is None or named & errors:
            return not any(isinstance(statement, ast.Raise) for statement in handler.body)
    return False


def _constants(tree: ast.Module) -> dict[str, bool]:
    """The names that a module sets to one truth value and to nothing else, at any place."""
    values: dict[str, set] = {}
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Try):
            waiting += [*node.body, *node.orelse, *node.finalbody]
            waiting += [inner for handler in node.handlers for inner in handler.body]
        elif isinstance(node, ast.If):
            waiting += node.body + node.orelse
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            values.setdefault(node.targets[0].id, set()).add(value)
    return {
        name: True in found
        for name, found in values.items()
        if found in ({True}, {False}) and not any(type(value) is not bool for value in found)
    }


def condition(test: ast.expr) -> bool | None:
    """The truth of a condition that only this interpreter decides; null for any other."""
    if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = condition(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        values = [condition(value) for value in test.values]
        decided = isinstance(test.op, ast.Or)
        if decided in values:
            return decided
        return None if None in values else not decided
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right = test.left, source.literal(test.comparators[0])
        known: object = None
        if isinstance(left, ast.Name) and left.id == "__name__" and right == "__main__":
            known = ""  # of a module that is imported it is another
        if isinstance(left, ast.Attribute) and isinstance(left.value, ast.Name):
            owner = (left.value.id, left.attr)
            known = {
                ("sys", "version_info"): tuple(sys.version_info),
                ("sys", "platform"): sys.platform,
                ("os", "name"): os.name,
            }.get(owner)
        if known is None or type(known) is not type(right):
            return None
        compare = COMPARISONS.get(type(test.ops[0]))
        with contextlib.suppress(TypeError):  # a number against a word
            return compare(known, right) if compare else None
    return None


def _gates(test: ast.expr) -> tuple[str, ...] | None:
    """The modules that ``is_x_available()`` asks for; null where the condition is any other.

    Of torch's own, only torch and torchvision: the others ask for what a machine has.
    """
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and not test.args:
        match = re.fullmatch(r"is_(\w+)_available", test.func.id)
        if match and not match.group(1).startswith("torch_"):
            return (GATED_MODULES.get(match.group(1), match.group(1)),)
    return None


def _calls_others(tree: ast.Module) -> bool:
    """Whether a module calls what it imports from a followed package, when it is imported itself.

    mlx is left out: it is called everywhere, and its stubs show what is there.
    """
    others: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").partition(".")[0] in FOLLOWED - {"mlx"}:
                others.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Expr, ast.Assign)) and isinstance(node.value, ast.Call):
            root: ast.expr = node.value.func
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in others:
                return True
    return False


def _lazy_names(tree: ast.Module) -> dict[str, str]:
    """The names that a lazy package gives out, and the submodules that it takes them from.

    Lazy packages list them in dictionaries of the form ``{"submodule": ["Name", ...]}``, whole or
    built up by assignment and ``extend``.
    """
    lazy: dict[str, str] = {}

    def add(module: object, names: object) -> None:
        if isinstance(module, str) and isinstance(names, (list, tuple)):
            for name in names:
                if isinstance(name, str):
                    lazy[name] = module

    for node in statements.all_of(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if key is not None and isinstance(value, (ast.List, ast.Tuple)):
                    add(source.literal(key), source.literal(value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            add(_index(node.targets[0]), source.literal(node.value))
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("extend", "append")
            and isinstance(node.func.value, ast.Subscript)
            and len(node.args) == 1
        ):
            names = source.literal(node.args[0])
            add(_index(node.func.value), [names] if isinstance(names, str) else names)
    return lazy


def _places(tree: ast.Module) -> dict[str, str]:
    """Submodules from tables of the form ``{"Name": (package, ".submodule")}``, as pydantic's."""
    places: dict[str, str] = {}
    for node in tree.body:
        table = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        for key, value in zip(table.keys, table.values) if isinstance(table, ast.Dict) else ():
            if key is not None and isinstance(value, ast.Tuple) and len(value.elts) == 2:
                name, module = source.literal(key), source.literal(value.elts[1])
                if isinstance(name, str) and isinstance(module, str) and module[:1] == ".":
                    places[name] = module[1:]
    return places


def _hints(tree: ast.Module) -> list[str]:
    """Names that a module may give out by its ``__getattr__``, or declares for type checkers."""
    hints: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    hints.add(inner.value)
        elif isinstance(node, ast.If) and condition(node.test) is False:
            declared = _empty()
            _Body(declared, hints).visit_all(node.body, optional=True)
            hints.update(name for name, *_ in declared["siblings"])
    return sorted(hints)


def _index(node: ast.Subscript) -> object:
    inner = node.slice
    return source.literal(inner) if isinstance(inner, ast.expr) else None


class Tracer:
    """Follows imports from module to module, and notes those that would fail."""

    def __init__(
        self,
        finder: Finder,
        notes: Notes,
        followed: frozenset | set,
        doubt: Doubt,
        closed: frozenset,
        outdated: frozenset,
    ) -> None:
        self._finder = finder
        self._closed = closed
        self._outdated = outdated
        self._notes = notes
        self._surely_followed = followed
        self._followed = followed | doubt.around
        self._doubt = doubt
        self.asked: list = []  # what it was made to follow
        self._files_around: set[str] = set()
        self._loaded: dict[str, dict | None] = {}
        self._standard: dict[str, bool] = {}
        self._named: set[tuple] = set()
        self.reached: set[str] = set()
        self.problems: list[dict] = []
        self.unknown: str | None = None
        self.attempted: set[str] = set()

    def modules(self) -> dict[str, str]:
        """The files of the modules that are loaded, Python's own aside."""
        return {
            name: found["origin"]
            for name, found in self._loaded.items()
            if found and not self._is_standard(name)
        }

    def taken(self) -> set[str]:
        """The names that are imported from modules, with their modules'."""
        return {f"{module}.{name}" for module, name in self._named}

    def summary(self) -> dict:
        """``{"reached", "problems", "unknown", "modules", "attempted"}``.

        ``modules`` gives the files of all modules that are loaded. With a doubt, ``attempted`` has
        the modules whose failure would be caught.
        """
        return {
            "reached": sorted(self.reached),
            "problems": self.problems,
            "unknown": self.unknown,
            "modules": self.modules(),
            "attempted": sorted(self.attempted),
        }

    def has(self, module: str) -> bool:
        """Whether a module was imported on the way."""
        return bool(self._loaded.get(module))

    def sources(self, tops: tuple[str, ...]) -> list[str]:
        """The source files of the modules that were imported from some packages."""
        return sorted(
            found["origin"]
            for name, found in self._loaded.items()
            if found and name.partition(".")[0] in tops and found["origin"].endswith(".py")
        )

    def callers(self, tops: tuple[str, ...]) -> list[str]:
        """The modules of some packages that call into another one while they are imported."""
        return sorted(
            name
            for name, found in self._loaded.items()
            if found
            and name.partition(".")[0] in tops
            and found["origin"].endswith(".py")
            and (self._notes.of(found["origin"], summarise) or {}).get("calls")
        )

    def lacks(self, module: str, name: str) -> bool:
        """Whether a module that is there surely has no such attribute."""
        found = self._finder.find(module)
        if found is None or found["kind"] == "extension":
            return self._stub_lacks(module, name)
        return (
            self.home(module, name, 0) == ""
            and self._finder.find(module + "." + name) is None
            and not self._extends_path(module)
        )

    def load(self, name: str, place: tuple[str, int]) -> bool:
        """Import a module and the packages above it; whether it is there."""
        parts = name.split(".")
        if self._is_standard(name) and not (parts[0] in self._followed and self._finder.find(name)):
            parts = parts[:1]  # `os.path` is no module of a package, and the rest is Python's own
        for count in range(1, len(parts) + 1):
            if not self._load_one(".".join(parts[:count]), place):
                return False
        return True

    def _load_one(self, name: str, place: tuple[str, int]) -> bool:
        if name in self._loaded:
            return self._loaded[name] is not None
        top = name.partition(".")[0]
        if top in sys.builtin_module_names or top in STARTED_WITH:
            self._loaded[name] = {}
            return True
        if len(self._loaded) > MOST_MODULES:
            self.unknown = "there are too many modules to follow"
            return True
        found = self._finder.find(name)
        self._loaded[name] = found
        if found is None and self._is_made(name):
            self._loaded[name] = {}
            return True
        if found is None:
            self.problem(place, name, None)
            return False
        if not self._is_standard(name):
            self.reached.add(top)
        followed = top in self._followed and (top not in SHALLOW or name == top)
        if followed and found["origin"].endswith(".py"):
            summary = self._notes.of(found["origin"], summarise)
            if summary is None or summary["error"]:
                self.problem(place, name, None)
                return False
            self._follow(name, found, summary)
        return True

    def _follow(self, name: str, found: dict, summary: dict) -> None:
        if name.partition(".")[0] not in self._surely_followed:
            self._files_around.add(found["origin"])
        package = name if found["kind"] == "package" else name.rpartition(".")[0]
        for line, level, module, names, optional, gates in summary["imports"]:
            if optional or not all(map(self._is_open, gates)):
                self._attempt(absolute(package, level, module), names or ())
                continue
            place = (found["origin"], line)
            target = absolute(package, level, module)
            if target is None:
                self.problem(place, "." * level + module, None)
            elif self.load(target, place):
                for wanted in names or ():
                    # A package that takes its own submodule: the name is there by that alone.
                    own = f"{target}.{wanted}"
                    if target == name and self._finder.find(own):
                        self.load(own, place)
                    elif target == name and not self._binds(found["origin"], wanted):
                        self.problem(place, target, wanted)
                    else:
                        self.take(target, wanted, place)
        for line, used, attribute, gates in summary["uses"]:
            alias, dot, inner = used.partition(".")
            module = summary["aliases"][alias] + dot + inner
            if all(map(self._is_open, gates)) and self.lacks(module, attribute):
                self.problem((found["origin"], line), module, attribute)

    def _binds(self, path: str, name: str) -> bool:
        """Whether a module that takes a name of its own may have it from anywhere else."""
        summary = self._notes.of(path, summarise)
        if summary["dynamic"] or name == "*":
            return True
        bound = rf"^\s*(?:def|class|async def)\s+{name}\b|^\s*{name}\b[^\n]*=|\bas {name}\b"
        others = sum(name in (names or ()) for _, _, _, names, *_ in summary["imports"])
        return others > 1 or re.search(bound, read(path) or "", re.MULTILINE) is not None

    def _is_open(self, gate: str) -> bool:
        """Whether transformers takes a module for available."""
        return gate not in self._closed and self._finder.find(gate) is not None

    def _attempt(self, module: str | None, names: list[str] | tuple) -> None:
        """Note what an import that may fail would load of the packages with doubtful files."""
        if not module or module.partition(".")[0] not in self._doubt.tops:
            return
        for target in (module, *(f"{module}.{name}" for name in names)):
            found = None if target in self.attempted else self._finder.find(target)
            if found is None:
                continue
            self.attempted.add(target)
            summary = self._notes.of(found["origin"], summarise)
            package = target if found["kind"] == "package" else target.rpartition(".")[0]
            for _, level, inner, wanted, *_ in summary["imports"] if summary else ():
                self._attempt(absolute(package, level, inner), wanted or ())

    def _stub_lacks(self, module: str, name: str) -> bool:
        """Whether a module is compiled and comes with a stub, in which there is no such name.

        The modules inside of a compiled one have no file of their own, only a stub.
        """
        above, inner = module, []
        while above and self._finder.find(above) is None:
            above, _, last = above.rpartition(".")
            inner.insert(0, last)
        found = self._finder.find(above) if above else None
        if found is None or found["kind"] != "extension" or name.startswith("_"):
            return False
        folder = os.path.join(os.path.dirname(found["origin"]), above.rpartition(".")[2], *inner)
        stub = self._notes.of(os.path.join(folder, "__init__.pyi"), summarise)
        if not stub and inner:
            stub = self._notes.of(folder + ".pyi", summarise)
        if not stub or stub["error"] or stub["dynamic"] or not stub["defines"]:
            return False
        siblings = {bound for bound, *_ in stub["siblings"]}
        if name in stub["defines"] or name in siblings:
            return False
        if any("*" in (names or ()) for _, _, _, names, *_ in stub["imports"]):
            return False
        return not any(
            self._notes.watch(os.path.join(folder, name + end)) for end in (".pyi", "/__init__.pyi")
        )

    def _is_made(self, name: str) -> bool:
        """Whether a module without a file may be there all the same.

        Compiled modules bring modules of their own. Others enter theirs in ``sys.modules``, find
        them by a hook (so does transformers for old names), or extend their package's path.
        """
        parent, _, last = name.rpartition(".")
        # The name of an alias, or the end of names that are put together.
        end = "_" + last.rpartition("_")[2]
        last, end = re.escape(last), re.escape(end)
        written = re.compile(rf"\.{last}['\"]|['\"]{last}['\"]: ['\"]|[)}}]{end}\b")
        while parent:
            above = self._finder.find(parent)
            kind = above["kind"] if above is not None else None
            text = self._text(parent)
            enters = "sys.modules" in text or "sys.meta_path" in text
            if kind == "extension" or (enters and (kind == "module" or written.search(text))):
                return True
            if self._extends_path(parent):
                return True
            parent = parent.rpartition(".")[0]
        return False

    def _extends_path(self, package: str) -> bool:
        """Whether a package may have folders that the search path does not tell."""
        text = self._text(package)
        return "__path__" in text or "declare_namespace" in text

    def _text(self, module: str) -> str:
        found = self._finder.find(module)
        if found is None or not found["origin"].endswith(".py"):
            return ""
        self._notes.watch(found["origin"])
        return read(found["origin"]) or ""

    def take(self, module: str, name: str, place: tuple[str, int]) -> None:
        """Import one name from a module that is there."""
        if (module, name) in self._named:
            return
        self._named.add((module, name))
        if name == "*":
            return
        home = self.home(module, name, 0)
        if home == "":
            if self._finder.find(module + "." + name) is not None:
                self.load(module + "." + name, place)
            elif not self._extends_path(module):
                self.problem(place, module, name)
        elif home is not None and home != module:
            self.load(home, place)

    def home(self, module: str, name: str, depth: int) -> str | None:
        """The module that a name comes from: empty where there is no such name, null if unclear."""
        found = self._finder.find(module)
        if found is not None and found["kind"] == "extension":
            return "" if self._stub_lacks(module, name) else None
        if found is None or not found["origin"].endswith(".py"):
            return "" if found is not None and found["kind"] == "namespace" else None
        if self._is_standard(module) and not (depth and self._doubt.modules):
            return None
        summary = self._notes.of(found["origin"], summarise)
        if summary is None or summary["error"] or depth > 8:
            return None
        if name in summary["defines"] or name in IN_EVERY_MODULE:
            return module
        for bound, original, optional in summary["siblings"]:
            if bound == name and found["kind"] == "package":
                submodule = module + "." + original
                there = self._finder.find(submodule) is not None
                return submodule if there else None if optional else ""
            if bound == name:
                return module
        package = module if found["kind"] == "package" else module.rpartition(".")[0]
        for _, level, target, names, *_ in summary["imports"]:
            if names and "*" in names:
                star = absolute(package, level, target)
                if star and self._takes(star, module, name):
                    continue  # it has the name from here
                home = self.home(star, name, depth + 1) if star else None
                if home != "":
                    return home
        if not summary["dynamic"]:
            return ""
        if name in summary["places"]:
            return self._submodule(module, summary["places"][name])
        lazy = summary["lazy"]
        closed = self._is_closed(module, lazy)
        if name in lazy and closed:
            return self._submodule(module, lazy[name]) or ""
        if closed and name not in summary["hints"]:
            return ""
        if module == "transformers" and name.startswith("Auto") and name not in lazy:
            return self._auto_home(found["origin"], name)
        # It makes names when it runs; one of a later release than is there stands nowhere in it. A
        # package may have listed its files for them.
        stars = any(names and "*" in names for *_, names, _, _ in summary["imports"])
        alone = found["kind"] == "module" and not stars
        outdated = alone and module.partition(".")[0] in self._outdated
        return "" if outdated and not re.search(rf"\b{name}\b", self._text(module)) else None

    def _takes(self, importer: str, module: str, name: str) -> bool:
        """Whether a module imports the name from the other module."""
        found = self._finder.find(importer)
        summary = found and self._notes.of(found["origin"], summarise)
        package = importer if found and found["kind"] == "package" else importer.rpartition(".")[0]
        return any(
            name in (names or ()) and absolute(package, level, target) == module
            for _, level, target, names, *_ in (summary or {"imports": ()})["imports"]
        )

    def _submodule(self, module: str, name: str) -> str | None:
        """The full name of a submodule that a lazy table names, whole or from its package on."""
        full = name if name.startswith(module.partition(".")[0] + ".") else module + "." + name
        return full if self._finder.find(full) is not None else None

    def _is_closed(self, module: str, lazy: dict[str, str]) -> bool:
        """Whether a lazy package gives out just the names in its table.

        Then what the table names are its submodules, all but a damaged few. transformers adds what
        it finds in its folders when it runs.
        """
        if module == "transformers" or module.startswith("transformers.models"):
            return False
        submodules = set(lazy.values())
        there = [name for name in submodules if self._submodule(module, name)]
        return len(there) > 0.8 * len(submodules)

    def _auto_home(self, origin: str, name: str) -> str:
        """Where transformers takes an auto class from: it lists its models only when it runs."""
        folder = os.path.join(os.path.dirname(origin), "models", "auto")
        for file in sorted(self._finder.names(folder)):
            if file.endswith(".py"):
                summary = self._notes.of(os.path.join(folder, file), summarise)
                if summary and name in summary["defines"]:
                    defined = read(os.path.join(folder, file)) or ""
                    if re.search(r"^class " + name + r"\b", defined, re.MULTILINE):
                        return "transformers.models.auto." + file[: -len(".py")]
        return ""

    def _is_standard(self, name: str) -> bool:
        """Whether a module belongs to Python itself."""
        top = name.partition(".")[0]
        if top not in self._standard:
            found = self._finder.find(top)
            self._standard[top] = found is not None and self._finder.is_standard(found["origin"])
        return self._standard[top]

    def problem(self, place: tuple[str, int], module: str, name: str | None) -> None:
        """Note an import, or a name taken from a module, that fails."""
        problem = {"importer": place[0], "line": place[1], "module": module, "name": name}
        if place[0] in self._files_around and not self._doubt.about(place[0], module, name):
            return
        if problem not in self.problems:
            self.problems.append(problem)


def absolute(package: str, level: int, module: str) -> str | None:
    """The absolute name of an import; null for a relative one that leaves all packages."""
    if not level:
        return module
    parts = package.split(".")
    if level > len(parts) or not package:
        return None
    base = ".".join(parts[: len(parts) - level + 1])
    return base + "." + module if module else base
