"""What a generation calls: would each call that surely is made find what it asks for?

From the functions that a generation starts with, the source is followed statement by statement,
with the little that is known of the values: constants, the defaults of parameters, modules,
functions and classes, and the type of the model. What stands under a condition that this cannot
decide, comes after a way out that may be taken, or is caught by a ``try``, does not count. On the
way that is left, it asks of each import inside a function, of each attribute of a module and of
each call into another package: is it there, and do the arguments fit the parameters?
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import os

import signatures
import statements
from followed import FOLLOWED
from imports import Tracer
from library import PACKAGES, Library
from modules import Finder
from notes import Notes
from signatures import Passed
from values import (
    NONE,
    SOMETHING,
    UNKNOWN,
    Above,
    Class,
    Compiled,
    Function,
    Generation,
    Instance,
    Known,
    Many,
    Module,
    Options,
    Partial,
    Row,
    Value,
    compared,
    escape,
    first_of,
    gone_through,
    truth,
)

# Bounds for hostile sources; the largest real walk here needs a tenth of the steps.
MOST_STEPS = 200_000
MOST_DEPTH = 40
MOST_VISITS = 20
MOST_CHARACTERS = 1000

# How a list of statements ends: it goes on, it surely leaves the function or loop, or it may have
# left, so that nothing that follows is sure.
NEXT, LEFT, MAYBE = "next", "left", "maybe"

# The numbers of a picture, as mlx-vlm hands them to every model; a run without them is no run with
# a picture.
PICTURE = "pixel_values"

# What a model's settings call the number of its layers; a model has at least one.
LAYERS = frozenset({"num_hidden_layers", "num_layers", "n_layers", "n_layer", "depth"})

# Loading a quantised model puts others in the place of mlx's own layers.
LAYER_MODULES = "mlx.nn."

BUILTINS = frozenset(dir(builtins))


class _Unclear(Exception):
    """What follows is not known to run."""


class _Frame:
    """One call of a function: its names, and how it ended."""

    def __init__(self, module: str, names: dict[str, Value], function: Function | None = None):
        self.module = module
        self.names = names
        self.function = function
        self.around = (function.around if function else None) or {}
        self.volatile: set[str] = set()
        self.value: Value = UNKNOWN
        self.yields = False


class _Crossing:
    """A call from one package into another."""

    def __init__(self, place: tuple[str, int], function: Function, first: int, passed: Passed):
        self.place = place
        self.function = function
        self.first = first
        self.passed = passed


class Walk:
    """Follows the statements that surely run."""

    def __init__(self, finder: Finder, notes: Notes, tracer: Tracer) -> None:
        self._tracer = tracer
        self._library = Library(finder, notes, tracer, self._given)
        self._stack: list[ast.AST] = []
        self._visits: dict[int, int] = {}
        self._steps = 0
        self._crossing: _Crossing | None = None
        self._model_class: Class | None = None
        self.imports: list[tuple[str, int, str, str | None]] = []
        self.lacking: list[tuple[str, int, str, str]] = []
        self.misfits: list[dict] = []

    def generation(self, module: str | None, model_type: str | None) -> None:
        """Follow what loading modules calls, then what the doctor's own generation calls."""
        for name in self._tracer.callers(PACKAGES):
            self._loading(name)
        known = self._model(module, model_type) if module else SOMETHING
        config = self._library.attribute(known, "config")
        for place, name, arguments, keywords in (
            ("mlx_vlm", "load", [SOMETHING], {}),
            (
                "mlx_vlm.prompt_utils",
                "apply_chat_template",
                [SOMETHING, config, SOMETHING],
                {"num_images": Known(1)},
            ),
            (
                "mlx_vlm",
                "prepare_inputs",
                [SOMETHING],
                {"images": SOMETHING, "prompts": SOMETHING, "image_token_index": UNKNOWN},
            ),
            (
                "mlx_vlm",
                "stream_generate",
                [known, SOMETHING, SOMETHING],
                {"image": SOMETHING, "max_tokens": SOMETHING, "temperature": Known(0.0)},
            ),
        ):
            function = self._library.member(place, name)
            if isinstance(function, Function):
                frame = _Frame("", {})
                try:
                    result = self._call(function, arguments, keywords, None, frame)
                    if isinstance(result, Generation):
                        self._begin(result)
                except (_Unclear, RecursionError):
                    pass

    def _loading(self, module: str) -> None:
        """Follow the calls that a module makes at its top level, each by itself."""
        scope = self._library.scope(module)
        frame = _Frame(module, {})
        for node in scope.tree.body if scope else ():
            if isinstance(node, (ast.Expr, ast.Assign)) and isinstance(node.value, ast.Call):
                with contextlib.suppress(_Unclear, RecursionError):
                    self._value(node.value, frame)

    def _model(self, module: str, model_type: str | None) -> Value:
        """The model's object, as mlx-vlm makes it: ``Model(ModelConfig.from_dict(...))``."""
        made_by, config = (self._library.member(module, name) for name in ("Model", "ModelConfig"))
        if not isinstance(made_by, Class) or not isinstance(config, Class):
            return SOMETHING
        self._model_class = made_by
        settings = Instance(config)
        if not self._library.is_stored("model_type"):
            settings.attributes["model_type"] = Known(model_type)
        try:
            result = self._make(made_by, [settings], {}, None, _Frame("", {}))
        except (_Unclear, RecursionError):
            return SOMETHING
        return result

    # Statements

    def _block(self, body: list, frame: _Frame) -> str:
        for number, statement in enumerate(body):
            end = self._statement(statement, frame)
            if end == MAYBE:
                self._doubt(body[number + 1 :], frame)
            if end != NEXT:
                return end
        return NEXT

    def _statement(self, node: ast.stmt, frame: _Frame) -> str:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise _Unclear
        method = getattr(self, "_do_" + type(node).__name__.lower(), None)
        if method is None:
            self._doubt([node], frame)
            return MAYBE if statements.leaves([node]) else NEXT
        return str(method(node, frame))

    def _do_pass(self, node: ast.stmt, frame: _Frame) -> str:
        return NEXT

    _do_nonlocal = _do_pass

    def _do_global(self, node: ast.Global, frame: _Frame) -> str:
        frame.volatile.update(node.names)
        return NEXT

    def _do_import(self, node: ast.Import, frame: _Frame) -> str:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            there = self._import(alias.name, None, self._place(node, frame))
            name = alias.name if alias.asname else top
            value = Module(name) if there else UNKNOWN
            self._store_name(alias.asname or top, value, frame)
        return NEXT

    def _do_importfrom(self, node: ast.ImportFrom, frame: _Frame) -> str:
        target = self._library.target(node, frame.module)
        place = self._place(node, frame)
        for alias in node.names:
            value = UNKNOWN
            if target is not None and self._import(target, alias.name, place):
                value = self._library.member(target, alias.name)
            self._store_name(alias.asname or alias.name, value, frame)
        return NEXT

    def _import(self, module: str, name: str | None, place: tuple[str, int]) -> bool:
        """Import a module, and a name from it; whether the module is there."""
        self.imports.append((*place, module, name))
        there = self._tracer.load(module, place)
        if there and name is not None:
            self._tracer.take(module, name, place)
        return there

    def _do_functiondef(self, node: ast.FunctionDef, frame: _Frame) -> str:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Nonlocal):
                frame.volatile.update(inner.names)
        around = _Layered(frame.names, frame.around)
        value: Value = Function(frame.module, node, around=around)
        self._store_name(node.name, value if self._library.is_plain(node) else UNKNOWN, frame)
        return NEXT

    def _do_classdef(self, node: ast.ClassDef, frame: _Frame) -> str:
        self._store_name(node.name, UNKNOWN, frame)
        return NEXT

    def _do_expr(self, node: ast.Expr, frame: _Frame) -> str:
        self._value(node.value, frame)
        return LEFT if frame.yields else NEXT

    def _do_assign(self, node: ast.Assign, frame: _Frame) -> str:
        value = self._value(node.value, frame)
        for target in node.targets:
            self._store(target, value, frame)
        return LEFT if frame.yields else NEXT

    def _do_annassign(self, node: ast.AnnAssign, frame: _Frame) -> str:
        if node.value is not None:
            self._store(node.target, self._value(node.value, frame), frame)
        return LEFT if frame.yields else NEXT

    def _do_augassign(self, node: ast.AugAssign, frame: _Frame) -> str:
        self._value(node.value, frame)
        self._store(node.target, UNKNOWN, frame)
        return LEFT if frame.yields else NEXT

    def _do_return(self, node: ast.Return, frame: _Frame) -> str:
        frame.value = self._value(node.value, frame) if node.value else NONE
        return LEFT

    def _do_raise(self, node: ast.Raise, frame: _Frame) -> str:
        raise _Unclear

    def _do_break(self, node: ast.stmt, frame: _Frame) -> str:
        return LEFT

    _do_continue = _do_break

    def _do_assert(self, node: ast.Assert, frame: _Frame) -> str:
        self._value(node.test, frame)
        return NEXT

    def _do_if(self, node: ast.If, frame: _Frame) -> str:
        verdict = self._truth(node.test, frame)
        if verdict is None:
            if statements.raises(node.body) and not statements.leaves(node.body):
                verdict = False  # else the generation ends here
            elif (
                node.orelse
                and statements.raises(node.orelse)
                and not statements.leaves(node.orelse)
            ):
                verdict = True
        if verdict is not None:
            return self._block(node.body if verdict else node.orelse, frame)
        self._doubt(node.body + node.orelse, frame)
        return MAYBE if statements.leaves(node.body + node.orelse) else NEXT

    def _do_with(self, node: ast.With, frame: _Frame) -> str:
        for item in node.items:
            value = self._value(item.context_expr, frame)
            if isinstance(value, Generation):
                self._begin(value)
            if item.optional_vars is not None:
                self._store(item.optional_vars, UNKNOWN, frame)
            if "suppress" in ast.dump(item.context_expr):
                self._doubt(node.body, frame)
                return MAYBE if statements.leaves(node.body) else NEXT
        return self._block(node.body, frame)

    def _do_try(self, node: ast.Try, frame: _Frame) -> str:
        if all(statements.raises(handler.body) for handler in node.handlers):
            end = self._block(node.body + node.orelse, frame)
            for handler in node.handlers:
                self._doubt(handler.body, frame)
            if end == NEXT:
                end = self._block(node.finalbody, frame)
            return end
        parts = [*node.body, *node.orelse, *node.handlers]
        self._doubt(parts, frame)
        end = self._block(node.finalbody, frame)
        return MAYBE if end == NEXT and statements.leaves(parts) else end

    def _do_while(self, node: ast.While, frame: _Frame) -> str:
        verdict = self._truth(node.test, frame)
        if verdict is True:
            end = self._block(node.body, frame)
            if end == MAYBE or frame.yields or statements.returns(node.body):
                self._doubt([node], frame)
                return LEFT if frame.yields else MAYBE
        if verdict is not False:
            self._doubt([node], frame)
        return MAYBE if statements.returns([node]) else NEXT

    def _do_for(self, node: ast.For, frame: _Frame) -> str:
        over = self._value(node.iter, frame)
        runs = isinstance(over, Generation) and self._begin(over)
        element = first_of(over)
        runs = runs or element is not None
        if runs:
            self._store(node.target, element or UNKNOWN, frame)
            self._block(node.body, frame)
            if frame.yields:
                return LEFT
        self._doubt([node], frame)
        return MAYBE if statements.returns([node]) else NEXT

    # Storing, and forgetting what may have been stored

    def _store(self, target: ast.expr, value: Value, frame: _Frame) -> None:
        if isinstance(target, ast.Name):
            self._store_name(target.id, value, frame)
        elif isinstance(target, ast.Attribute):
            owner = self._value(target.value, frame)
            if isinstance(owner, Instance):
                once = self._library.stored_once(owner.made_by, target.attr)
                owner.attributes[target.attr] = value if once else UNKNOWN
        elif isinstance(target, ast.Subscript):
            owner = self._value(target.value, frame)
            key = self._value(target.slice, frame)
            if isinstance(owner, Options):
                if isinstance(key, Known) and isinstance(key.value, str):
                    owner.set(key.value, value)
                else:
                    escape(owner)
        elif isinstance(target, (ast.Tuple, ast.List)):
            values: list[Value] = value.values if isinstance(value, Row) else []
            if len(values) != len(target.elts) or any(
                isinstance(inner, ast.Starred) for inner in target.elts
            ):
                values = [UNKNOWN] * len(target.elts)
            for inner, part in zip(target.elts, values):
                self._store(inner, part, frame)
        elif isinstance(target, ast.Starred):
            self._store(target.value, UNKNOWN, frame)

    def _store_name(self, name: str, value: Value, frame: _Frame) -> None:
        frame.names[name] = value

    def _doubt(self, nodes: list, frame: _Frame) -> None:
        """Forget whatever statements may change that may or may not run."""
        for name in statements.bound_within(nodes):
            frame.names[name] = UNKNOWN
        harmless: set[int] = set()
        for node in (inner for one in nodes for inner in ast.walk(one)):
            self._steps += 1
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                owner = self._looked_up(node.value, frame)
                if isinstance(owner, Instance):
                    owner.attributes[node.attr] = UNKNOWN
            options, key = self._keyed(node, frame)
            if options is not None and key is not None:
                harmless.add(id(key[1]))
                if key[0] is not None:
                    options.doubt(key[0])
        for node in (inner for one in nodes for inner in ast.walk(one)):
            if isinstance(node, ast.Name) and id(node) not in harmless:
                value = self._looked_up(node, frame)
                escape(value)

    def _keyed(self, node: ast.AST, frame: _Frame):  # type: ignore[no-untyped-def]
        """What a node does with one key of a known dictionary: the key, if it may change it."""
        name: ast.AST | None = None
        key: ast.AST | None = None
        changes = False
        if isinstance(node, ast.Subscript):
            name, key, changes = node.value, node.slice, not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ("get", "pop", "setdefault"):
                name, key, changes = node.func.value, node.args[0], node.func.attr != "get"
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            name, key = node.comparators[0], node.left
        elif isinstance(node, ast.keyword) and node.arg is None:
            name, key = node.value, ast.Constant(value="")
        if not isinstance(name, ast.Name) or not isinstance(key, ast.Constant):
            return None, None
        options = self._looked_up(name, frame)
        if not isinstance(options, Options) or not isinstance(key.value, str):
            return None, None
        return options, (key.value if changes else None, name)

    def _looked_up(self, node: ast.AST, frame: _Frame) -> Value:
        """The value of a name of this function, and nothing else."""
        return frame.names.get(node.id, UNKNOWN) if isinstance(node, ast.Name) else UNKNOWN

    # Expressions

    def _value(self, node: ast.AST, frame: _Frame) -> Value:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise _Unclear
        method = getattr(self, "_of_" + type(node).__name__.lower(), None)
        if method is not None:
            result = method(node, frame)
            assert isinstance(result, Value)
            return result
        return UNKNOWN

    def _of_constant(self, node: ast.Constant, frame: _Frame) -> Value:
        return Known(node.value)

    def _of_name(self, node: ast.Name, frame: _Frame) -> Value:
        if node.id in frame.volatile:
            return UNKNOWN
        if node.id in frame.names:
            return frame.names[node.id]
        if node.id in frame.around:
            return frame.around[node.id]
        return self._library.seen_in(frame.module, node.id)

    def _of_attribute(self, node: ast.Attribute, frame: _Frame) -> Value:
        owner = self._value(node.value, frame)
        if isinstance(owner, Module):
            return self._of_module(owner.name, node.attr, node, frame)
        if isinstance(owner, Known) and isinstance(owner.value, str):
            if not hasattr(owner.value, node.attr):
                self._note_text(owner.value, node, frame)
                raise _Unclear
            return UNKNOWN
        return self._library.attribute(owner, node.attr)

    def _of_module(self, module: str, name: str, node: ast.AST, frame: _Frame) -> Value:
        """What a module has under a name; where it has no such name, that is a problem."""
        if self._library.is_patched(name):
            return UNKNOWN
        if self._tracer.lacks(module, name):
            self.lacking.append((*self._place(node, frame), module, name))
            return UNKNOWN
        return self._library.member(module, name)

    def _of_joinedstr(self, node: ast.JoinedStr, frame: _Frame) -> Value:
        text = ""
        for part in node.values:
            inner = part.value if isinstance(part, ast.FormattedValue) else part
            value = self._value(inner, frame)
            simple = isinstance(part, ast.Constant) or (
                isinstance(part, ast.FormattedValue)
                and part.conversion == -1
                and part.format_spec is None
            )
            if not simple or not isinstance(value, Known) or not isinstance(value.value, str):
                return UNKNOWN
            text += value.value
            if len(text) > MOST_CHARACTERS:
                return UNKNOWN
        return Known(text)

    def _of_tuple(self, node: ast.Tuple, frame: _Frame) -> Value:
        values = [self._value(inner, frame) for inner in node.elts]
        if all(isinstance(value, Known) for value in values):
            return Known(tuple(value.value for value in values))  # type: ignore[attr-defined]
        starred = any(isinstance(inner, ast.Starred) for inner in node.elts)
        return UNKNOWN if starred else Row(values)

    def _of_list(self, node: ast.List, frame: _Frame) -> Value:
        values = [self._value(inner, frame) for inner in node.elts]
        starred = any(isinstance(inner, ast.Starred) for inner in node.elts)
        return SOMETHING if values and not starred else UNKNOWN

    _of_set = _of_list

    def _of_starred(self, node: ast.Starred, frame: _Frame) -> Value:
        self._value(node.value, frame)
        return UNKNOWN

    def _of_dict(self, node: ast.Dict, frame: _Frame) -> Value:
        result = Options()
        for key, inner in zip(node.keys, node.values):
            value = self._value(inner, frame)
            if key is None:
                if isinstance(value, Options):
                    result.items.update(value.items)
                    result.perhaps |= value.perhaps
                    result.open |= value.open
                else:
                    result.open = True
                continue
            name = self._value(key, frame)
            if isinstance(name, Known) and isinstance(name.value, str):
                result.set(name.value, value)
            else:
                result.open = True
        return result

    def _of_ifexp(self, node: ast.IfExp, frame: _Frame) -> Value:
        verdict = self._truth(node.test, frame)
        if verdict is not None:
            return self._value(node.body if verdict else node.orelse, frame)
        self._doubt([node.body, node.orelse], frame)
        return UNKNOWN

    def _of_boolop(self, node: ast.BoolOp, frame: _Frame) -> Value:
        stops = isinstance(node.op, ast.Or)
        for number, inner in enumerate(node.values):
            value = self._value(inner, frame)
            verdict = truth(value)
            if verdict is stops or number == len(node.values) - 1:
                return value
            if verdict is None:
                rest = node.values[number + 1 :]
                self._doubt(rest, frame)
                return self._decided_later(rest, stops, frame)
        return UNKNOWN

    def _decided_later(self, rest: list, stops: bool, frame: _Frame) -> Value:
        """A constant further on that decides ``and`` or ``or`` all the same: its truth at least."""
        for inner in rest:
            value = self._quiet(inner, frame)
            if truth(value) is stops:
                return SOMETHING if stops else Known(False)
        return UNKNOWN

    def _quiet(self, node: ast.AST, frame: _Frame) -> Value:
        """The value of a simple test of names, which calls nothing."""
        simple = (
            ast.Name,
            ast.Constant,
            ast.Compare,
            ast.UnaryOp,
            ast.Load,
            ast.cmpop,
            ast.unaryop,
        )
        if all(isinstance(inner, simple) for inner in ast.walk(node)):
            return self._value(node, frame)
        return UNKNOWN

    def _of_unaryop(self, node: ast.UnaryOp, frame: _Frame) -> Value:
        value = self._value(node.operand, frame)
        if isinstance(node.op, ast.Not):
            verdict = truth(value)
            return UNKNOWN if verdict is None else Known(not verdict)
        number = value.value if isinstance(value, Known) else None
        if isinstance(node.op, ast.USub) and isinstance(number, (int, float)):
            return Known(-number)
        return UNKNOWN

    def _of_compare(self, node: ast.Compare, frame: _Frame) -> Value:
        left = self._value(node.left, frame)
        rights = [self._value(inner, frame) for inner in node.comparators]
        if len(rights) != 1:
            return UNKNOWN
        verdict = compared(type(node.ops[0]).__name__, left, rights[0])
        return UNKNOWN if verdict is None else Known(verdict)

    def _of_binop(self, node: ast.BinOp, frame: _Frame) -> Value:
        self._value(node.left, frame)
        self._value(node.right, frame)
        return UNKNOWN

    def _of_subscript(self, node: ast.Subscript, frame: _Frame) -> Value:
        owner = self._value(node.value, frame)
        key = self._value(node.slice, frame)
        if isinstance(owner, Many) and isinstance(key, Known) and key.value in (0, -1):
            return owner.each
        if isinstance(owner, Row) and isinstance(key, Known) and isinstance(key.value, int):
            return owner.values[key.value] if -1 <= key.value < len(owner.values) else UNKNOWN
        if isinstance(owner, Options) and isinstance(key, Known) and isinstance(key.value, str):
            there = key.value in owner.items and key.value not in owner.perhaps
            return owner.items[key.value] if there else UNKNOWN
        return UNKNOWN

    def _of_slice(self, node: ast.Slice, frame: _Frame) -> Value:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self._value(part, frame)
        return UNKNOWN

    def _of_namedexpr(self, node: ast.NamedExpr, frame: _Frame) -> Value:
        value = self._value(node.value, frame)
        self._store(node.target, value, frame)
        return value

    def _of_listcomp(self, node: ast.ListComp, frame: _Frame) -> Value:
        over = node.generators[0]
        element = first_of(self._value(over.iter, frame))
        inner = _Frame(frame.module, dict(frame.names))
        inner.function, inner.around, inner.volatile = frame.function, frame.around, frame.volatile
        if element is None or over.ifs or len(node.generators) > 1:
            self._doubt([node], inner)
            return UNKNOWN
        self._store(over.target, element, inner)
        each = self._value(node.elt, inner)
        return Many(each)

    def _of_dictcomp(self, node: ast.DictComp | ast.SetComp, frame: _Frame) -> Value:
        self._value(node.generators[0].iter, frame)
        self._doubt([node], _Frame(frame.module, dict(frame.names)))
        return UNKNOWN

    # A generator expression may never be asked for its values.
    _of_setcomp = _of_generatorexp = _of_dictcomp

    def _of_yield(self, node: ast.Yield, frame: _Frame) -> Value:
        if node.value is not None:
            self._value(node.value, frame)
        frame.yields = True
        return UNKNOWN

    def _of_yieldfrom(self, node: ast.YieldFrom, frame: _Frame) -> Value:
        value = self._value(node.value, frame)
        if not (isinstance(value, Generation) and not self._begin(value)):
            frame.yields = True
        return UNKNOWN

    def _truth(self, node: ast.expr, frame: _Frame) -> bool | None:
        return truth(self._value(node, frame))

    # Calls

    def _of_call(self, node: ast.Call, frame: _Frame) -> Value:
        special = self._special(node, frame)
        if special is not None:
            return special
        function = self._value(node.func, frame)
        arguments: list[Value] = []
        keywords: dict[str, Value] = {}
        passed = Passed()
        for inner in node.args:
            value = self._value(inner, frame)
            if isinstance(inner, ast.Starred):
                passed.more_by_position = True
            elif not passed.more_by_position:
                arguments.append(value)
        for keyword in node.keywords:
            value = self._value(keyword.value, frame)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, Options):
                for name, inner_value in value.items.items():
                    if name in keywords:
                        passed.more_by_name = True
                    keywords[name] = inner_value
                passed.perhaps |= value.perhaps
                passed.more_by_name |= value.open or bool(value.perhaps)
            else:
                passed.more_by_name = True
        passed.by_position = list(arguments)
        passed.by_name = dict(keywords)
        if isinstance(function, Partial):
            arguments = [*function.arguments, *arguments]
            keywords = {**function.keywords, **keywords}
            passed.by_position, passed.by_name = list(arguments), dict(keywords)
            function = function.function
        if isinstance(function, Compiled):
            self._call_compiled(function, passed, node, frame)
        if not isinstance(function, (Function, Class, Instance)):
            for value in (*arguments, *keywords.values()):
                escape(value)
            return UNKNOWN
        around = self._crossing
        try:
            return self._call(function, arguments, keywords, passed, frame, node)
        finally:
            self._crossing = around

    def _call_compiled(
        self, function: Compiled, passed: Passed, node: ast.Call, frame: _Frame
    ) -> None:
        """Note a call of a compiled function that none of its declared forms fits."""
        whys = [signatures.misfit(form.args, 0, passed) for form in function.forms]
        if None in whys:
            return
        form = function.forms[0]
        self._report(
            self._place(node, frame),
            function.module + "." + function.name,
            (function.path, form.lineno),
            passed.describe(),
            signatures.takes(form.args, 0),
            str(whys[0]),
        )
        raise _Unclear

    def _call(
        self,
        function: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
        passed: Passed | None,
        frame: _Frame,
        node: ast.AST | None = None,
    ) -> Value:
        """The value of a call of something known; notes where the arguments do not fit."""
        if isinstance(function, Class):
            return self._make(function, arguments, keywords, passed, frame, node)
        if isinstance(function, Instance) and not function.made_by.module.startswith(LAYER_MODULES):
            function = self._library.attribute(function, "__call__")
        if not isinstance(function, Function):
            for value in (*arguments, *keywords.values()):
                escape(value)
            return UNKNOWN
        given = [function.bound] if function.bound is not None else []
        self._hold(function, len(given), passed, node, frame)
        names = self._bound(function, given + arguments, keywords, passed)
        if not isinstance(function.node, ast.FunctionDef):
            return UNKNOWN
        if statements.is_generator(function.node):
            return Generation(function, names)
        return self._run(function, names)[0]

    def _hold(
        self,
        function: Function,
        first: int,
        passed: Passed | None,
        node: ast.AST | None,
        frame: _Frame,
    ) -> None:
        """Hold a call against the function's parameters; after one that fails nothing is sure."""
        if passed is None or node is None:
            return
        why = signatures.misfit(function.node.args, first, passed)
        if function.module.partition(".")[0] != frame.module.partition(".")[0]:
            self._crossing = _Crossing(self._place(node, frame), function, first, passed)
            if why is not None:
                self._misfit(why)
        if why is not None:
            raise _Unclear

    def _note_text(self, text: str, node: ast.Attribute, frame: _Frame) -> None:
        """Note that a package takes something of a string that strings do not have."""
        if self._crossing is not None:
            path, line = self._place(node, frame)
            where = os.path.basename(path) + ":" + str(line)
            self._misfit(f"{where} takes {node.attr} of the string {text[:80]!r}")

    def _misfit(self, why: str) -> None:
        """Note that the last call into another package fails."""
        crossing = self._crossing
        scope = self._library.scope(crossing.function.module) if crossing else None
        if crossing is None or scope is None:
            return
        node = crossing.function.node
        self._report(
            crossing.place,
            crossing.function.module + "." + node.name,
            (scope.path, node.lineno),
            crossing.passed.describe(),
            signatures.takes(node.args, crossing.first),
            why,
        )

    def _report(
        self,
        caller: tuple[str, int],
        function: str,
        definition: tuple[str, int],
        passes: str,
        takes: str,
        why: str,
    ) -> None:
        misfit = {
            "caller": caller[0],
            "line": caller[1],
            "function": function,
            "definition": definition[0],
            "definition_line": definition[1],
            "passes": passes,
            "takes": takes,
            "why": why,
        }
        if misfit not in self.misfits:
            self.misfits.append(misfit)

    def _bound(
        self,
        function: Function,
        arguments: list[Value],
        keywords: dict[str, Value],
        passed: Passed | None,
    ) -> dict[str, Value]:
        """The names that a function's parameters give to the arguments."""
        parameters = function.node.args
        positional = [argument.arg for argument in parameters.posonlyargs + parameters.args]
        names: dict[str, Value] = {}
        inner = _Frame(function.module, {})
        unsure = passed is not None and (passed.more_by_name or passed.more_by_position)
        values = dict(zip(reversed(positional), reversed(parameters.defaults)))
        for argument, value in zip(parameters.kwonlyargs, parameters.kw_defaults):
            if value is not None:
                values[argument.arg] = value
        for name in positional + [argument.arg for argument in parameters.kwonlyargs]:
            names[name] = UNKNOWN
            if name in values and not unsure:
                names[name] = self._default(values[name], inner)
        names.update(zip(positional, arguments))
        given_to = function.bound.made_by if isinstance(function.bound, Instance) else None
        is_model = given_to is not None and given_to is self._model_class
        if is_model and type(names.get(PICTURE)) is Value:
            names[PICTURE] = SOMETHING
        others = Options(is_open=unsure)
        for name, given in keywords.items():
            perhaps = passed is not None and name in passed.perhaps
            if name in names:
                names[name] = UNKNOWN if perhaps else given
            else:
                others.set(name, given)
                if perhaps:
                    others.doubt(name)
        if parameters.vararg:
            names[parameters.vararg.arg] = UNKNOWN
        if parameters.kwarg:
            names[parameters.kwarg.arg] = others
        return names

    def _default(self, node: ast.expr, frame: _Frame) -> Value:
        """A default is computed when the function is made: only constants are sure to stay."""
        if isinstance(node, (ast.Constant, ast.UnaryOp)):
            return self._value(node, frame)
        if isinstance(node, ast.Name):
            value = self._library.seen_in(frame.module, node.id)
            return value if isinstance(value, Known) else UNKNOWN
        return UNKNOWN

    def _run(self, function: Function, names: dict[str, Value]) -> tuple[Value, _Frame, bool]:
        """Follow a function's body: its value, its frame, and whether its end was reached."""
        frame = _Frame(function.module, names, function)
        identity = id(function.node)
        self._visits[identity] = self._visits.get(identity, 0) + 1
        if (
            function.node in self._stack
            or len(self._stack) > MOST_DEPTH
            or self._visits[identity] > MOST_VISITS
            or function.module.partition(".")[0] not in FOLLOWED
        ):
            for value in names.values():
                escape(value)
            return UNKNOWN, frame, False
        self._stack.append(function.node)
        for inner in ast.walk(function.node):
            if isinstance(inner, ast.Nonlocal):
                frame.volatile.update(inner.names)
        try:
            end = self._block(function.node.body, frame)
        finally:
            self._stack.pop()
        if end == MAYBE:
            return UNKNOWN, frame, False
        if end == NEXT and not frame.yields:
            frame.value = NONE
        return frame.value, frame, True

    def _given(self, function: Function, names: dict[str, Value]) -> Value:
        """The value of a function that is asked apart from the way; null where it may fail."""
        with contextlib.suppress(_Unclear):
            return self._run(function, names)[0]
        return UNKNOWN

    def _begin(self, generation: Generation) -> bool:
        """Follow a generator to its first value; whether it surely gives one."""
        if generation.begun:
            return False
        generation.begun = True
        return self._run(generation.function, generation.names)[1].yields

    def _make(
        self,
        made_by: Class,
        arguments: list[Value],
        keywords: dict[str, Value],
        passed: Passed | None,
        frame: _Frame,
        node: ast.AST | None = None,
    ) -> Value:
        """An object of a class, its ``__init__`` followed."""
        if not self._library.is_plain_class(made_by.node):
            return UNKNOWN
        found = self._library.in_class(made_by, "__init__")
        line = self._library.line(made_by)
        if line is None or self._library.in_class(made_by, "__new__") is not None:
            return UNKNOWN
        instance = Instance(made_by)
        if isinstance(found, Function) and not statements.is_dataclass(made_by.node):
            found = Function(found.module, found.node, instance, found.owner)
            self._hold(found, 1, passed, node, frame)
            names = self._bound(found, [instance, *arguments], keywords, passed)
            instance.whole = self._run(found, names)[2]
        else:
            for value in (*arguments, *keywords.values()):
                escape(value)
        return instance

    def _special(self, node: ast.Call, frame: _Frame) -> Value | None:
        """Calls of Python's own functions that decide what runs."""
        function = node.func
        if isinstance(function, ast.Name) and function.id in BUILTINS:
            if function.id in frame.names or function.id in frame.around:
                return None
            if self._library.gives_another_meaning(frame.module, function.id):
                return None
            return self._builtin(function.id, node, frame)
        if isinstance(function, ast.Attribute):
            owner = self._quiet_owner(function.value, frame)
            if isinstance(owner, Options):
                return self._of_options(owner, function.attr, node, frame)
            if isinstance(owner, Module):
                return self._of_standard(owner.name + "." + function.attr, node, frame)
            if ast.unparse(function) == "sys.modules.get":
                return self._loaded_module(node, frame)
        return None

    def _quiet_owner(self, node: ast.AST, frame: _Frame) -> Value:
        return self._value(node, frame) if isinstance(node, ast.Name) else UNKNOWN

    def _loaded_module(self, node: ast.Call, frame: _Frame) -> Value:
        key = self._value(node.args[0], frame) if node.args else UNKNOWN
        if isinstance(key, Known) and isinstance(key.value, str) and self._tracer.has(key.value):
            return Module(key.value)
        return UNKNOWN

    def _of_standard(self, name: str, node: ast.Call, frame: _Frame) -> Value | None:
        if name == "functools.partial" and node.args:
            values = [self._value(inner, frame) for inner in node.args]
            named = {
                keyword.arg: self._value(keyword.value, frame)
                for keyword in node.keywords
                if keyword.arg is not None
            }
            plain = len(named) == len(node.keywords) and not any(
                isinstance(inner, ast.Starred) for inner in node.args
            )
            return Partial(values[0], values[1:], named) if plain else UNKNOWN
        if name == "importlib.import_module" and len(node.args) == 1 and not node.keywords:
            key = self._value(node.args[0], frame)
            if isinstance(key, Known) and isinstance(key.value, str) and key.value[:1] != ".":
                there = self._import(key.value, None, self._place(node, frame))
                return Module(key.value) if there else UNKNOWN
            return UNKNOWN
        return None

    def _of_options(
        self, options: Options, method: str, node: ast.Call, frame: _Frame
    ) -> Value | None:
        values = [self._value(inner, frame) for inner in node.args]
        key = values[0] if values else UNKNOWN
        if method in ("items", "keys", "values", "copy"):
            return UNKNOWN
        if method not in ("get", "pop") or len(values) > 2:
            escape(options)
            return UNKNOWN
        name = key.value if isinstance(key, Known) else None
        if not isinstance(name, str):
            if method == "pop":
                escape(options)
            return UNKNOWN
        if name in options.perhaps:
            return UNKNOWN
        if name in options.items:
            return options.items.pop(name) if method == "pop" else options.items[name]
        if options.open:
            return UNKNOWN
        return values[1] if len(values) == 2 else NONE if method == "get" else UNKNOWN

    def _builtin(self, name: str, node: ast.Call, frame: _Frame) -> Value:
        values = [self._value(inner, frame) for inner in node.args]
        for keyword in node.keywords:
            escape(self._value(keyword.value, frame))
        if any(isinstance(inner, ast.Starred) for inner in node.args):
            return UNKNOWN
        if name in ("hasattr", "getattr") and len(values) > 1 and isinstance(values[1], Known):
            return self._asked(name, values, node, frame)
        if name == "range" and len(node.args) == 1 and _counts_layers(node.args[0]):
            return Many(UNKNOWN)
        if name in ("enumerate", "iter", "reversed", "zip", "list", "tuple") and values:
            result = gone_through(name, values)
            if result is not None:
                return result
        if name in ("next", "list", "tuple") and values and isinstance(values[0], Generation):
            self._begin(values[0])
            return UNKNOWN
        if name == "bool" and len(values) == 1:
            verdict = truth(values[0])
            return UNKNOWN if verdict is None else Known(verdict)
        if name == "isinstance" and len(node.args) == 2:
            return self._is_instance(values[0], node.args[1])
        if name == "callable" and values and isinstance(values[0], (Function, Class)):
            return Known(True)
        if name == "super" and not values:
            return _above(frame)
        if name == "dict" and not values:
            return UNKNOWN
        if name not in ("len", "print", "str", "repr", "type", "id", "isinstance"):
            for value in values:
                escape(value)
        return UNKNOWN

    def _asked(self, name: str, values: list[Value], node: ast.Call, frame: _Frame) -> Value:
        """``hasattr`` and ``getattr`` with a constant name."""
        owner, attribute = values[0], values[1].value  # type: ignore[attr-defined]
        if not isinstance(attribute, str):
            return UNKNOWN
        there = self._library.has(owner, attribute)
        if name == "hasattr":
            return UNKNOWN if there is None else Known(there)
        if there is None:
            return UNKNOWN
        if not there:
            return values[2] if len(values) == 3 else UNKNOWN
        if isinstance(owner, Module):
            return self._library.member(owner.name, attribute)
        return self._library.attribute(owner, attribute)

    def _is_instance(self, value: Value, of: ast.expr) -> Value:
        names = [inner.id for inner in ast.walk(of) if isinstance(inner, ast.Name)]
        kinds = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
        constant = isinstance(value, Known) and not isinstance(value.value, tuple)
        if constant and all(name in (*kinds, "tuple", "set", "bytes") for name in names):
            wanted = tuple(kinds[name] for name in names if name in kinds)
            return Known(isinstance(value.value, wanted))  # type: ignore[attr-defined]
        if isinstance(value, Options) and names == ["dict"]:
            return Known(True)
        return UNKNOWN

    def _place(self, node: ast.AST, frame: _Frame) -> tuple[str, int]:
        scope = self._library.scope(frame.module)
        return (scope.path if scope else "the doctor", getattr(node, "lineno", 0))


class _Layered(dict):  # type: ignore[type-arg]
    """The names of the functions around a function, as they are when it is called."""

    def __init__(self, near: dict[str, Value], far: dict[str, Value]) -> None:
        super().__init__()
        self._near, self._far = near, far

    def __contains__(self, name: object) -> bool:
        return name in self._near or name in self._far

    def __getitem__(self, name: str) -> Value:
        return self._near[name] if name in self._near else self._far[name]


def _counts_layers(node: ast.expr) -> bool:
    return getattr(node, "attr", getattr(node, "id", None)) in LAYERS


def _above(frame: _Frame) -> Value:
    function = frame.function
    if function is None or function.owner is None or not isinstance(function.bound, Instance):
        return UNKNOWN
    return Above(function.bound, function.owner)
