"""Which parameters the installed mlx-vlm makes for a model, from its code and the configuration.

``mlx_vlm.load`` makes the model's modules from ``config.json`` and then insists that the weights
have exactly their parameters. What those are is told by the code that makes them: this evaluates
the constructors of the model's classes, with the configuration's values, as far as plain Python
goes. No array is made and no module of the target imported: a layer of ``mlx.nn`` is known by the
shapes of its parameters, anything else that cannot be followed leaves its name open, never guessed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import operator
import os
import re

import processors
from modules import Finder
from notes import Notes, read

# Steps of one evaluation. A model of 94 layers takes 60,000.
MOST_STEPS = 600_000
MOST_FILES = 40
# Items of one loop, or of what is made of a range: no model has so many layers.
MOST_ITEMS = 100_000

# The numbers of tokens for the picture's place, as the models' configurations call them.
_MARKS = ("image_token_id", "image_token_index", "vision_start_token_id")
OWN_FILE = "its code is a file of its own"

_PARTS = ("text", "vision", "perceiver", "projector", "audio")


class GiveUp(Exception):
    """Something that cannot be followed."""


class Refused(Exception):
    """The code itself would raise here."""


class Unknown:
    """A value that cannot be told."""


UNKNOWN = Unknown()


class Library:
    """Something of mlx, by its dotted name."""

    def __init__(self, name: str) -> None:
        self.name = name


class Array:
    """An array of a known shape, a parameter where it becomes a module's attribute."""

    def __init__(self, shape: tuple) -> None:
        self.shape = shape


class Leaf:
    """A layer of ``mlx.nn``: its parameters' shapes by name; ``quantises`` as MLX's own rule is."""

    def __init__(self, parameters: dict, quantises: bool = False) -> None:
        self.parameters = parameters
        self.quantises = quantises


class Maybe:
    """A module that cannot be followed: nothing is said of what is below its name."""


class File:
    """A source file's names at its top level."""

    def __init__(self, path: str, module: str, tree: ast.Module) -> None:
        self.path = path
        self.module = module
        self.package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
        self.bound: dict = {}
        self._take(tree.body)

    def _take(self, body: list) -> None:
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                self.bound[node.name] = node
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self.bound[name] = ("module", alias.name if alias.asname else name)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    source = self._source(node)
                    self.bound[alias.asname or alias.name] = ("name", source, alias.name)
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                if isinstance(node.targets[0], ast.Name):
                    self.bound[node.targets[0].id] = node.value
            elif isinstance(node, ast.Try):
                self._take(node.body)

    def _source(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.package
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return package + ("." + node.module if node.module else "")


class Class:
    def __init__(self, file: File, node: ast.ClassDef) -> None:
        self.file = file
        self.node = node
        self.methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        self.is_dataclass = any("dataclass" in ast.dump(item) for item in node.decorator_list)


class Function:
    def __init__(self, file: File, node, instance=None, owner=None, scope=None) -> None:  # type: ignore[no-untyped-def]
        self.file = file
        self.node = node
        self.instance = instance
        self.owner = owner
        self.scope = scope or {}


class Instance:
    def __init__(self, kind: Class) -> None:
        self.kind = kind
        self.values: dict = {}


class Signature:
    """What ``inspect.signature`` says of a data class."""

    def __init__(self, parameters: dict) -> None:
        self.parameters = parameters


class Parameter:
    """A parameter of a signature; ``empty`` tells that it has no default."""

    def __init__(self, empty: bool) -> None:
        self.empty = empty


class Named:
    """A field of a data class."""

    def __init__(self, name: str) -> None:
        self.name = name


class Return(Exception):
    def __init__(self, value: object) -> None:
        self.value = value


class _Continue(Exception):
    pass


class _Break(Exception):
    pass


def of_model(finder: Finder, notes: Notes, question: dict) -> dict | None:
    """``facts.Parameters`` of the asked model type and configuration; null without its module."""
    module = processors.model_module(finder, notes, question)
    mlx_vlm = finder.package_folder("mlx_vlm")
    if module is None or mlx_vlm is None:
        return None
    folder = os.path.join(mlx_vlm, *module.split(".")[1:])
    for name in sorted(finder.names(folder)):
        notes.watch(os.path.join(folder, name))
    config = json.dumps(question["config"], sort_keys=True)
    key = "parameters " + hashlib.sha256(config.encode()).hexdigest()
    answer = notes.of_all(
        key, lambda: expected(finder, notes, module, question["config"]), lambda result: True
    )
    utils = os.path.join(mlx_vlm, "utils.py")
    keys = ("pattern", "shape", "numbers", "quantises")
    return {
        **answer,
        "groups": [dict(zip(keys, group)) for group in answer["groups"]],
        "sanitised": sanitised(notes, folder),
        "reads_index": bool(notes.of(utils, reads_index)),
        "drops_absent": bool(notes.of(utils, drops_absent)),
        "takes_tokenizers_template": bool(
            notes.of(os.path.join(mlx_vlm, "prompt_utils.py"), takes_tokenizers_template)
        ),
        "template_places_pictures": bool(
            notes.of(
                os.path.join(mlx_vlm, "prompt_utils.py"),
                template_places_pictures,
                (question.get("model_type") or "").lower(),
            )
        ),
        "reads_mode": bool(notes.of(utils, reads_mode)),
        "makes_plain_prompts": bool(
            notes.of(os.path.join(mlx_vlm, "prompt_utils.py"), makes_plain_prompts)
        ),
    }


def takes_own_code(finder: Finder, notes: Notes) -> bool:
    """Whether the installed mlx-vlm loads the code that a model brings."""
    mlx_vlm = finder.package_folder("mlx_vlm")
    path = os.path.join(mlx_vlm or "", "utils.py")
    return bool(notes.of(path, reads_model_file))


def reads_model_file(text: str) -> bool:
    """Whether a model may bring its own code (``model_file`` in config.json)."""
    return '"model_file"' in _definition(text, "get_model_and_args")


def template_places_pictures(text: str, model_type: str) -> bool:
    """Whether mlx-vlm hands the template a list with the picture, by its table of formats."""
    entry = re.search('"' + re.escape(model_type) + r'"\s*:\s*MessageFormat\.(\w+)', text)
    return bool(entry and entry.group(1).startswith("LIST_WITH_IMAGE"))


def reads_index(text: str) -> bool:
    """Whether ``load_model`` takes the shards that the index names."""
    return "index.json" in _definition(text, "load_model")


def drops_absent(text: str) -> bool:
    """Whether a part of the model that no file mentions is left out."""
    loading = _definition(text, "load_model") + _definition(text, "load_model_weights")
    return "_drop_modules_without_weights(" in loading


def takes_tokenizers_template(text: str) -> bool:
    """Whether a processor without a chat template of its own is passed over for its tokenizer."""
    return '"chat_template" in processor.__dict__' not in text


def makes_plain_prompts(text: str) -> bool:
    """Whether a model without any chat template gets a prompt all the same."""
    return "_plain_prompt(" in _definition(text, "get_chat_template")


def reads_mode(text: str) -> bool:
    """Whether the mode of a quantisation is handed on."""
    return "mode=" in _definition(text, "load_model") + _definition(text, "load_model_weights")


def _definition(text: str, name: str) -> str:
    start = text.find("\ndef " + name + "(")
    end = text.find("\ndef ", start + 1)
    return text[start : end if end > 0 else len(text)] if start >= 0 else ""


def expected(finder: Finder, notes: Notes, module: str, config: dict) -> dict:
    """The parameters of the model of ``module`` (``mlx_vlm.models.…``) for a configuration.

    ``{"groups", "open", "fails", "unknown"}``. ``groups`` lists ``[pattern, shape, numbers,
    quantises]`` as ``facts.ParameterGroup`` has it; ``open`` are names below which nothing is said;
    ``fails`` is the error that making the model ends in, ``unknown`` why it could not be followed.
    """
    answer: dict = {"groups": [], "open": [], "fails": None, "unknown": None, "marks": {}}
    if config.get("model_file") and takes_own_code(finder, notes):
        answer["unknown"] = OWN_FILE
        return answer
    machine = _Machine(finder, notes)
    try:
        model = machine.model(module, config)
        found: dict = {}
        machine.collect(model, "", found, answer["open"])
        answer["groups"] = _grouped(found)
        answer["marks"] = machine.marks(model)
    except Refused as error:
        answer["fails"] = str(error)[:300]
    except GiveUp as error:
        answer["unknown"] = str(error)[:200]
    except _OWN_ERRORS as error:
        answer["unknown"] = type(error).__name__
    return answer


def _grouped(found: dict) -> list:
    groups: dict = {}
    for name, (shape, quantises) in found.items():
        parts = name.split(".")
        at = next((i for i, part in enumerate(parts[1:-1], 1) if part.isdigit()), None)
        pattern = name if at is None else ".".join([*parts[:at], "*", *parts[at + 1 :]])
        numbers = groups.setdefault((pattern, shape, quantises), [])
        if at is not None:
            numbers.append(int(parts[at]))
    return [
        [pattern, None if None in shape else list(shape), _ranges(numbers), quantises]
        for (pattern, shape, quantises), numbers in groups.items()
    ]


def _ranges(numbers: list) -> str:
    runs: list = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}

_PLAIN = (int, float, str, bool, type(None), list, tuple, dict, set, range)
_VIEWS = (type({}.items()), type({}.keys()), type({}.values()))

# What evaluating odd code, or odd values, may end in here.
_OWN_ERRORS = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError)
_OWN_ERRORS += (TypeError, ValueError)

# Methods that change a list or a dictionary, and how many of their arguments say where or by what:
# after a change that is not known, nothing is known of what it holds.
_CHANGES = {"append": 0, "insert": 1, "extend": 1, "pop": 1, "setdefault": 1, "update": 1}
# The rest of what values are asked for.
_METHODS = frozenset(
    (
        "get", "items", "keys", "values", "lower", "upper", "startswith", "endswith", "copy",
        "split", "replace", *_CHANGES,
    )
)  # fmt: skip
# Functions that look into what they are given, and not only at how much of it there is.
_READS = ("max", "min", "sum", "any", "all", "sorted", "set")

_BUILTINS = {
    one.__name__: one
    for one in (
        range, len, int, float, max, min, list, tuple, dict, set, str, bool, enumerate, zip, sum,
        any, all, sorted, abs, round, reversed,
    )
}  # fmt: skip

_MATH = {
    name: getattr(math, name) for name in ("sqrt", "floor", "ceil", "log", "log2", "prod", "exp")
}

# Layers without parameters; any other name of ``mlx.nn`` that is called leaves its place open.
_EMPTY = frozenset(
    (
        "GELU", "SiLU", "ReLU", "ReLU6", "Tanh", "Sigmoid", "Softmax", "Identity", "Dropout",
        "Dropout2d", "RoPE", "Mish", "ELU", "LeakyReLU", "SinusoidalPositionalEncoding", "ALiBi",
        "MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "Upsample", "Hardswish", "LogSoftmax",
        "Softplus", "CELU", "HardTanh", "GLU", "Step", "SELU", "Softsign",
    )
)  # fmt: skip


def _linear(input_dims, output_dims, bias=True):  # type: ignore[no-untyped-def]
    found = {"weight": (output_dims, input_dims)}
    return Leaf({**found, "bias": (output_dims,)} if bias else found, True)


def _embedding(num_embeddings, dims):  # type: ignore[no-untyped-def]
    return Leaf({"weight": (num_embeddings, dims)}, True)


def _layer_norm(dims, eps=1e-5, affine=True, bias=True):  # type: ignore[no-untyped-def]
    if not affine:
        return Leaf({})
    found = {"weight": (dims,)}
    return Leaf({**found, "bias": (dims,)} if bias else found)


def _rms_norm(dims, eps=1e-5):  # type: ignore[no-untyped-def]
    return Leaf({"weight": (dims,)})


def _group_norm(num_groups, dims, eps=1e-5, affine=True, pytorch_compatible=False):  # type: ignore[no-untyped-def]
    return Leaf({"weight": (dims,), "bias": (dims,)} if affine else {})


def _convolution(dimensions):  # type: ignore[no-untyped-def]
    def make(
        in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True
    ):  # type: ignore[no-untyped-def]
        if not isinstance(kernel_size, (list, tuple)):
            kernel_size = (kernel_size,) * dimensions
        if dimensions == 3:  # Conv3d has no groups: its place is the bias's
            bias = groups if isinstance(groups, bool) else bias
            groups = 1 if isinstance(groups, bool) else groups
        found = {"weight": (out_channels, *kernel_size, in_channels // groups)}
        return Leaf({**found, "bias": (out_channels,)} if bias else found)

    return make


_LAYERS = {
    "Linear": _linear,
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "GroupNorm": _group_norm,
    "Conv1d": _convolution(1),
    "Conv2d": _convolution(2),
    "Conv3d": _convolution(3),
}


def _takes(make, arguments: list, keywords: dict) -> bool:  # type: ignore[no-untyped-def]
    """Whether a layer's parameters, as they are known here, take these arguments."""
    names = make.__code__.co_varnames[: make.__code__.co_argcount]
    return len(arguments) <= len(names) and set(keywords) <= set(names)


class _Machine:
    """Evaluates constructors. What it cannot follow it says (``GiveUp``, ``UNKNOWN``)."""

    def __init__(self, finder: Finder, notes: Notes) -> None:
        self._finder = finder
        self._notes = notes
        self._files: dict = {}
        self._steps = 0

    # The model and its configuration, as mlx_vlm.utils.load_model makes them.

    def model(self, module: str, config: dict) -> Instance:
        file = self._file(module)
        configured = self._configuration(file, config)
        model = self._global(file, "Model")
        if not isinstance(model, Class):
            raise GiveUp("its module has no class Model")
        made = self._new(model, [configured], {})
        if not isinstance(made, Instance):
            raise GiveUp("its Model could not be followed")
        return made

    def _configuration(self, file: File, config: dict) -> Instance:
        kind = self._global(file, "ModelConfig")
        if not isinstance(kind, Class):
            raise GiveUp("its module has no class ModelConfig")
        config = _copied(config)
        config.setdefault("text_config", config.pop("llm_config", {}))
        config.setdefault("vision_config", {})
        config.setdefault("audio_config", {})
        made = self._from_dict(kind, config)
        # mlx_vlm.utils.update_module_configs
        for part in _PARTS:
            name = part + "_config"
            there = name in made.values or name in self._fields(kind)
            if not there or config.get(name) is None:
                continue
            of_part = self._global(file, part.title() + "Config")
            if not isinstance(of_part, Class):
                raise GiveUp(f"no class for {name}")
            if not isinstance(config[name], dict):
                raise Refused(f"AttributeError: {name} is no object")
            made.values[name] = self._from_dict(of_part, config[name])
        return made

    def marks(self, model: Instance) -> dict:
        """The numbers of tokens for the picture's place that the configuration ends up with."""
        config = model.values.get("config")
        values = config.values if isinstance(config, Instance) else {}
        return {name: values[name] for name in _MARKS if type(values.get(name)) is int}

    def _from_dict(self, kind: Class, given: dict) -> Instance:
        method = self._method(kind, "from_dict")
        if method is None:
            raise GiveUp("its configuration is read in a way of its own")
        made = self._call(Function(method.file, method.node, kind, method.owner), [given], {})
        if not isinstance(made, Instance):
            raise GiveUp("its configuration is read in a way of its own")
        return made

    def _fields(self, kind: Class) -> dict:
        """``{name: (default expression or null, file)}``, those of its bases first."""
        found: dict = {}
        for base in self._bases(kind):
            if isinstance(base, Class):
                found.update(self._fields(base))
        for node in kind.node.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[node.target.id] = (node.value, kind.file)
        return found

    def _dataclass(self, kind: Class, arguments: list, given: dict) -> Instance:
        made = Instance(kind)
        fields = self._fields(kind)
        given = {**dict(zip(fields, arguments)), **given}
        missing = [n for n, (default, _) in fields.items() if default is None and n not in given]
        if missing:
            word = kind.node.name + ".__init__() lacks " + ", ".join(missing)
            raise Refused("TypeError: " + word)
        for name, (default, file) in fields.items():
            if name in given:
                made.values[name] = given[name]
            elif isinstance(default, ast.Call) and _called(default) == "field":
                made.values[name] = self._field(default, file)
            else:
                made.values[name] = self._evaluate(default, file, {})
        after = self._method(kind, "__post_init__")
        if after is not None:
            self._call(Function(after.file, after.node, made, after.owner), [], {})
        return made

    def _field(self, node: ast.Call, file: File) -> object:
        for keyword in node.keywords:
            value = self._evaluate(keyword.value, file, {})
            if keyword.arg == "default":
                return value
            if keyword.arg == "default_factory":
                return self._apply(value, [], {})
        return UNKNOWN

    def collect(self, value: object, name: str, found: dict, unknown: list) -> None:
        """The parameters at and below a value, by their full names."""
        if isinstance(value, Leaf):
            for part, shape in value.parameters.items():
                found[name + part] = (shape, value.quantises and part == "weight")
        elif isinstance(value, Array):
            found[name[:-1]] = (value.shape, False)
        elif isinstance(value, Instance) and self._is_module(value.kind):
            quantises = self._method(value.kind, "to_quantized") is not None
            for key, inner in value.values.items():
                if key == "weight" and quantises and isinstance(inner, Array):
                    found[name + key] = (inner.shape, True)
                elif not key.startswith("_"):
                    self.collect(inner, name + key + ".", found, unknown)
        elif isinstance(value, (list, tuple)):
            for number, inner in enumerate(value):
                self.collect(inner, name + str(number) + ".", found, unknown)
        elif isinstance(value, dict):
            for key, inner in value.items():
                self.collect(inner, name + str(key) + ".", found, unknown)
        elif isinstance(value, (Maybe, Unknown)):
            unknown.append(name[:-1])

    # Files, classes and names.

    def _file(self, module: str) -> File:
        if module not in self._files:
            found = self._finder.find(module)
            path = found["origin"] if found else None
            if path is None or not path.endswith(".py") or len(self._files) > MOST_FILES:
                raise GiveUp(f"no source of {module}")
            self._notes.watch(path)
            text = read(path)
            try:
                tree = ast.parse(text or "")
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                raise GiveUp(f"{module} cannot be parsed") from None
            self._files[module] = File(path, module, tree)
        return self._files[module]

    def _global(self, file: File, name: str):  # type: ignore[no-untyped-def]
        bound = file.bound.get(name)
        if bound is None:
            return _BUILTINS.get(name, UNKNOWN)
        if isinstance(bound, ast.ClassDef):
            value: object = Class(file, bound)
        elif isinstance(bound, ast.FunctionDef):
            value = Function(file, bound)
        elif isinstance(bound, ast.expr):
            file.bound[name] = ("value", UNKNOWN)  # one that is made of itself
            value = self._evaluate(bound, file, {})
        elif bound[0] == "value":
            return bound[1]
        elif bound[0] == "module":
            value = Library(bound[1])
        else:
            value = self._imported(bound[1], bound[2])
        file.bound[name] = ("value", value)
        return value

    def _imported(self, module: str, name: str):  # type: ignore[no-untyped-def]
        if module.partition(".")[0] in ("mlx", "math", "inspect", "dataclasses"):
            return Library(module + "." + name)
        if module.partition(".")[0] not in ("mlx_vlm", "mlx_lm"):
            return UNKNOWN
        if self._finder.find(module + "." + name):
            return Library(module + "." + name)
        try:
            return self._global(self._file(module), name)
        except GiveUp:
            return UNKNOWN

    def _bases(self, kind: Class) -> list:
        return [self._evaluate(base, kind.file, {}) for base in kind.node.bases]

    def _method(self, kind: Class, name: str):  # type: ignore[no-untyped-def]
        """A method of a class or of its bases, as a function that knows its owner."""
        if name in kind.methods:
            return Function(kind.file, kind.methods[name], None, kind)
        for base in self._bases(kind):
            if isinstance(base, Class):
                found = self._method(base, name)
                if found is not None:
                    return found
        return None

    def _is_module(self, kind: Class) -> bool:
        return any(
            base.name in ("mlx.nn.Module", "mlx.nn.layers.base.Module")
            if isinstance(base, Library)
            else isinstance(base, Class) and self._is_module(base)
            for base in self._bases(kind)
        )

    def _derives_from_a_layer(self, kind: Class):  # type: ignore[no-untyped-def]
        for base in self._bases(kind):
            if isinstance(base, Library) and base.name.startswith("mlx.nn."):
                name = base.name.rpartition(".")[2]
                if name != "Module":
                    return name
            elif isinstance(base, Class):
                found = self._derives_from_a_layer(base)
                if found:
                    return found
        return None

    def _holds(self, value: object) -> bool:
        """Whether modules may be put into a value."""
        if isinstance(value, Instance):
            return self._is_module(value.kind)
        return isinstance(value, (list, dict))

    def _derives_from_a_container(self, kind: Class):  # type: ignore[no-untyped-def]
        """``list`` or ``dict``, where a class is one with more methods; MLX goes into both."""
        for base in self._bases(kind):
            found = self._derives_from_a_container(base) if isinstance(base, Class) else base
            if found is list or found is dict:
                return found
        return None

    # Calls.

    def _new(self, kind: Class, arguments: list, keywords: dict) -> object:
        if kind.is_dataclass and "__init__" not in kind.methods:
            return self._dataclass(kind, arguments, keywords)
        made = Instance(kind)
        start = self._method(kind, "__init__")
        container = self._derives_from_a_container(kind)
        if container is not None:
            return Maybe() if start else self._apply_python(container, arguments, keywords)
        layer = self._derives_from_a_layer(kind)
        if layer is not None:
            if start is None:
                return self._layer(layer, arguments, keywords)
            return Maybe()
        if start is None:
            return made
        try:
            self._call(Function(start.file, start.node, made, start.owner), arguments, keywords)
        except GiveUp:
            return Maybe()
        return made

    def _layer(self, name: str, arguments: list, keywords: dict) -> object:
        if name in _EMPTY:
            return Leaf({})
        if name == "Sequential":
            # The one container of mlx.nn: its modules are its attribute ``layers``.
            return {"layers": list(arguments)}
        make = _LAYERS.get(name)
        if make is None or not _takes(make, arguments, keywords):
            return Maybe()  # a layer, or an argument, that is newer than this
        if any(isinstance(one, Unknown) for one in (*arguments, *keywords.values())):
            known = [None if isinstance(one, Unknown) else one for one in arguments]
            if name.startswith("Conv") or any(
                isinstance(value, Unknown) for key, value in keywords.items() if key != "eps"
            ):
                return Maybe()
            arguments = known
        keywords = {key: value for key, value in keywords.items() if not isinstance(value, Unknown)}
        try:
            leaf = make(*arguments, **keywords)
        except TypeError as error:
            raise Refused(f"TypeError: {error}") from None
        except ZeroDivisionError as error:
            raise Refused(f"ZeroDivisionError: {error}") from None
        for shape in leaf.parameters.values():
            for length in shape:
                if not isinstance(length, _PLAIN):
                    return Maybe()
                if length is not None and (not isinstance(length, int) or isinstance(length, bool)):
                    raise Refused(f"TypeError: {name} of {length!r}")
                if length is not None and length < 0:
                    raise Refused(f"ValueError: {name} of {length}")
        return leaf

    def _apply(self, what: object, arguments: list, keywords: dict) -> object:
        if isinstance(what, Class):
            return self._new(what, arguments, keywords)
        if isinstance(what, Function):
            try:
                return self._call(what, arguments, keywords)
            except GiveUp:
                if any(map(self._holds, (what.instance, *arguments, *keywords.values()))):
                    raise  # it may have put something into what it was given
                return UNKNOWN
        if isinstance(what, Library):
            return self._of_library(what.name, arguments, keywords)
        return self._apply_python(what, arguments, keywords) if callable(what) else UNKNOWN

    def _apply_python(self, what, arguments: list, keywords: dict) -> object:  # type: ignore[no-untyped-def]
        """The value of a function or method of Python's own."""
        name = what.__name__
        given = (*arguments, *keywords.values())
        if isinstance(getattr(what, "__self__", None), (list, dict)) and name in _CHANGES:
            if not all(isinstance(one, (*_PLAIN, *_VIEWS)) for one in arguments[: _CHANGES[name]]):
                raise GiveUp("a change that is not known")
        elif any(map(_is_open, given)) or (name in _READS and not all(map(_is_plain, given))):
            return UNKNOWN
        if any(isinstance(one, range) and one[MOST_ITEMS:] for one in arguments):
            raise GiveUp("a range that is too long")
        try:
            result = what(*arguments, **keywords)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            if all(map(_is_plain, given)):
                raise Refused(f"{type(error).__name__}: {error}") from None
            return UNKNOWN
        return list(result) if isinstance(result, (enumerate, zip, reversed)) else result

    def _of_library(self, name: str, arguments: list, keywords: dict) -> object:
        module, _, last = name.rpartition(".")
        if name == "inspect.signature" and arguments and isinstance(arguments[0], Class):
            return Signature(
                {
                    field: Parameter(default is None)
                    for field, (default, _) in self._fields(arguments[0]).items()
                }
            )
        if name == "dataclasses.fields" and arguments:
            kind = arguments[0]
            kind = kind.kind if isinstance(kind, Instance) else kind
            if isinstance(kind, Class):
                return [Named(field) for field in self._fields(kind)]
        if module == "math" and last in _MATH:
            return self._apply(_MATH[last], arguments, keywords)
        if module.startswith("mlx.nn"):
            if last[:1].isupper():
                return self._layer(last, arguments, keywords)
            return UNKNOWN
        if module.startswith("mlx.core"):
            shape = arguments[0] if arguments else keywords.get("shape", UNKNOWN)
            if last in ("zeros", "ones", "full"):
                shape = (shape,) if isinstance(shape, int) else shape
            elif module.endswith("random") and last in ("normal", "uniform"):
                shape = keywords.get("shape", UNKNOWN)
            else:
                return Array((None,)) if last in ("arange", "array", "linspace") else UNKNOWN
            if isinstance(shape, (list, tuple)) and all(isinstance(one, int) for one in shape):
                return Array(tuple(shape))
        return UNKNOWN

    def _call(self, function: Function, arguments: list, keywords: dict) -> object:
        node = function.node
        scope: dict = {}
        names = [argument.arg for argument in node.args.posonlyargs + node.args.args]
        given = [function.instance, *arguments] if function.instance is not None else arguments
        scope.update(zip(names, given))
        if len(given) > len(names):
            if node.args.vararg is None:
                raise GiveUp("too many arguments")
            scope[node.args.vararg.arg] = tuple(given[len(names) :])
        elif node.args.vararg is not None:
            scope[node.args.vararg.arg] = ()
        rest = {}
        only = [argument.arg for argument in node.args.kwonlyargs]
        for key, value in keywords.items():
            if key in names or key in only:
                scope[key] = value
            else:
                rest[key] = value
        if node.args.kwarg is not None:
            scope[node.args.kwarg.arg] = rest
        elif rest:
            raise GiveUp("an argument that is not taken")
        defaults = dict(zip(names[len(names) - len(node.args.defaults) :], node.args.defaults))
        defaults.update(
            (name, value) for name, value in zip(only, node.args.kw_defaults) if value is not None
        )
        for name in names + only:
            if name not in scope:
                if name not in defaults:
                    raise GiveUp(f"{name} is not given")
                scope[name] = self._evaluate(defaults[name], function.file, {})
        scope = {**function.scope, **scope}
        scope["__owner__"] = function.owner
        if isinstance(node, ast.Lambda):
            return self._evaluate(node.body, function.file, scope)
        try:
            self._run(node.body, function.file, scope)
        except Return as value:
            return value.value
        return None

    # Statements.

    def _run(self, body: list, file: File, scope: dict) -> None:
        for node in body:
            self._statement(node, file, scope)

    def _statement(self, node: ast.stmt, file: File, scope: dict) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise GiveUp("it takes too long")
        if isinstance(node, ast.Assign):
            value = self._evaluate(node.value, file, scope)
            for target in node.targets:
                self._assign(target, value, file, scope)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign(node.target, self._evaluate(node.value, file, scope), file, scope)
        elif isinstance(node, ast.AugAssign):
            old = self._evaluate(_as_load(node.target), file, scope)
            new = self._evaluate(node.value, file, scope)
            self._assign(node.target, self._binary(node.op, old, new), file, scope)
        elif isinstance(node, ast.Expr):
            self._evaluate(node.value, file, scope)
        elif isinstance(node, ast.If):
            self._branch(node, file, scope)
        elif isinstance(node, ast.For):
            self._loop(node, file, scope)
        elif isinstance(node, ast.Return):
            raise Return(None if node.value is None else self._evaluate(node.value, file, scope))
        elif isinstance(node, ast.Raise):
            raise Refused(self._raised(node, file, scope))
        elif isinstance(node, ast.FunctionDef):
            scope[node.name] = Function(file, node, scope=scope)
        elif isinstance(node, ast.Continue):
            raise _Continue
        elif isinstance(node, ast.Break):
            raise _Break
        elif isinstance(node, ast.Assert):
            if self._evaluate(node.test, file, scope) is False:
                raise Refused("AssertionError: " + ast.unparse(node.test))
        elif isinstance(node, ast.ImportFrom):
            source = File._source(file, node)
            for alias in node.names:
                scope[alias.asname or alias.name] = self._imported(source, alias.name)
        elif isinstance(node, ast.Delete):
            self._delete(node, file, scope)
        elif not isinstance(node, (ast.Pass, ast.Import)):
            raise GiveUp(type(node).__name__)

    def _delete(self, node: ast.Delete, file: File, scope: dict) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                owner = self._evaluate(target.value, file, scope)
                key = self._evaluate(target.slice, file, scope)
                if isinstance(owner, dict) and _is_plain(key):
                    owner.pop(key, None)
                elif isinstance(owner, (list, dict)):
                    raise GiveUp("a deletion")
            elif isinstance(target, ast.Attribute):
                owner = self._evaluate(target.value, file, scope)
                if isinstance(owner, Instance):
                    owner.values.pop(target.attr, None)

    def _raised(self, node: ast.Raise, file: File, scope: dict) -> str:
        if not isinstance(node.exc, ast.Call):
            return ast.unparse(node.exc) if node.exc else "an error"
        said = [self._evaluate(one, file, scope) for one in node.exc.args]
        return _called(node.exc) + ": " + " ".join(str(one) for one in said if _is_plain(one))

    def _branch(self, node: ast.If, file: File, scope: dict) -> None:
        test = self._evaluate(node.test, file, scope)
        if not _is_open(test):
            self._run(node.body if _true(test) else node.orelse, file, scope)
            return
        # Which way is not known: what either assigns is not known either.
        for way in (node.body, node.orelse):
            for inner in way:
                for one in ast.walk(inner):
                    if isinstance(one, (ast.Return, ast.Continue, ast.Break)):
                        raise GiveUp("a way out that depends on what is not known")
                    if isinstance(one, ast.Call) and _called(one) in (*_CHANGES, "setattr"):
                        raise GiveUp("a change that depends on what is not known")
                    targets = one.targets if isinstance(one, ast.Assign) else ()
                    if isinstance(one, (ast.AugAssign, ast.AnnAssign)):
                        targets = (one.target,)
                    for target in targets:
                        self._assign(target, UNKNOWN, file, scope)

    def _loop(self, node: ast.For, file: File, scope: dict) -> None:
        for item in self._items(self._evaluate(node.iter, file, scope)):
            self._assign(node.target, item, file, scope)
            try:
                self._run(node.body, file, scope)
            except _Continue:
                continue
            except _Break:
                break

    def _items(self, value: object) -> list:
        if isinstance(value, (list, tuple, set, range, dict, str)):
            if isinstance(value, range) and value[MOST_ITEMS:]:
                raise GiveUp("a loop that is too long")
            return list(value)
        if isinstance(value, _VIEWS):
            return list(value)
        raise GiveUp("a loop over what is not known")

    def _assign(self, target: ast.expr, value: object, file: File, scope: dict) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Attribute):
            owner = self._evaluate(target.value, file, scope)
            if isinstance(owner, Instance):
                owner.values[target.attr] = value
            elif isinstance(owner, Leaf) and target.attr in owner.parameters:
                if isinstance(value, Array) and None not in value.shape:
                    owner.parameters[target.attr] = value.shape
                else:
                    owner.parameters[target.attr] = (None,)
        elif isinstance(target, (ast.Tuple, ast.List)):
            try:
                items = self._items(value)
            except GiveUp:
                items = [UNKNOWN] * len(target.elts)
            for one, item in zip(target.elts, items):
                self._assign(one, item, file, scope)
        elif isinstance(target, ast.Subscript):
            owner = self._evaluate(target.value, file, scope)
            key = self._evaluate(target.slice, file, scope)
            if self._holds(owner) and not _is_plain(key):
                raise GiveUp("an item that is not known")
            if isinstance(owner, Instance) and isinstance(key, str):
                owner.values[key] = value  # a module of MLX is a dictionary of its attributes
            elif isinstance(owner, (dict, list)):
                try:
                    owner[key] = value  # type: ignore[index]
                except (TypeError, IndexError):
                    raise GiveUp("an item") from None

    # Expressions.

    def _evaluate(self, node, file: File, scope: dict):  # type: ignore[no-untyped-def]
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise GiveUp("it takes too long")
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in scope:
                return scope[node.id]
            if node.id in ("True", "False", "None"):
                return {"True": True, "False": False, "None": None}[node.id]
            return self._global(file, node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(self._evaluate(node.value, file, scope), node.attr)
        if isinstance(node, ast.Call):
            return self._calling(node, file, scope)
        if isinstance(node, ast.BinOp):
            left = self._evaluate(node.left, file, scope)
            return self._binary(node.op, left, self._evaluate(node.right, file, scope))
        if isinstance(node, ast.UnaryOp):
            value = self._evaluate(node.operand, file, scope)
            if _is_open(value):
                return UNKNOWN
            if isinstance(node.op, ast.Not):
                return not _true(value)
            if isinstance(node.op, ast.USub) and isinstance(value, (int, float)):
                return -value
            return UNKNOWN
        if isinstance(node, ast.BoolOp):
            return self._boolean(node, file, scope)
        if isinstance(node, ast.Compare):
            return self._compare(node, file, scope)
        if isinstance(node, ast.IfExp):
            test = self._evaluate(node.test, file, scope)
            if _is_open(test):
                return UNKNOWN
            return self._evaluate(node.body if _true(test) else node.orelse, file, scope)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            found: list = []
            for one in node.elts:
                if isinstance(one, ast.Starred):
                    found.extend(self._items(self._evaluate(one.value, file, scope)))
                else:
                    found.append(self._evaluate(one, file, scope))
            if isinstance(node, ast.Set):
                return UNKNOWN if any(_is_open(one) for one in found) else set(found)
            return found if isinstance(node, ast.List) else tuple(found)
        if isinstance(node, ast.Dict):
            made: dict = {}
            for key, value in zip(node.keys, node.values):
                inner = self._evaluate(value, file, scope)
                if key is None:
                    if not isinstance(inner, dict):
                        return UNKNOWN
                    made.update(inner)
                else:
                    name = self._evaluate(key, file, scope)
                    if _is_open(name) or isinstance(name, (list, dict)):
                        return UNKNOWN
                    made[name] = inner
            return made
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            items: list = []
            self._comprehend(node.generators, file, dict(scope), node.elt, items)
            return items
        if isinstance(node, ast.DictComp):
            pairs: list = []
            pair = ast.Tuple(elts=[node.key, node.value], ctx=ast.Load())
            self._comprehend(node.generators, file, dict(scope), pair, pairs)
            return dict(pairs) if all(_is_plain(key) for key, _ in pairs) else UNKNOWN
        if isinstance(node, ast.Subscript):
            return self._item(node, file, scope)
        if isinstance(node, ast.JoinedStr):
            parts = [self._evaluate(one, file, scope) for one in node.values]
            return UNKNOWN if any(_is_open(one) for one in parts) else "".join(map(str, parts))
        if isinstance(node, ast.FormattedValue):
            return self._evaluate(node.value, file, scope)
        if isinstance(node, ast.Lambda):
            return Function(file, node, scope=dict(scope))
        return UNKNOWN

    def _comprehend(self, generators: list, file: File, scope: dict, element, found: list) -> None:  # type: ignore[no-untyped-def]
        if not generators:
            found.append(self._evaluate(element, file, scope))
            return
        first, *rest = generators
        for item in self._items(self._evaluate(first.iter, file, scope)):
            self._assign(first.target, item, file, scope)
            tests = [self._evaluate(test, file, scope) for test in first.ifs]
            if any(_is_open(test) for test in tests):
                raise GiveUp("a list that depends on what is not known")
            if all(_true(test) for test in tests):
                self._comprehend(rest, file, scope, element, found)

    def _binary(self, kind: ast.operator, left: object, right: object) -> object:
        operation = _OPERATORS.get(type(kind))
        if operation is None or _is_open(left) or _is_open(right):
            return UNKNOWN
        if not (isinstance(left, _PLAIN) and isinstance(right, _PLAIN)):
            return UNKNOWN
        if isinstance(kind, ast.Pow) and isinstance(right, (int, float)) and abs(right) > 64:
            return UNKNOWN
        if isinstance(kind, ast.Mult):
            for several, times in ((left, right), (right, left)):
                long = isinstance(times, int) and times > 10_000
                if long and isinstance(several, (str, list, tuple)):
                    return UNKNOWN
        try:
            return operation(left, right)
        except (TypeError, ZeroDivisionError, ValueError, OverflowError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from None

    def _boolean(self, node: ast.BoolOp, file: File, scope: dict) -> object:
        decided = isinstance(node.op, ast.Or)
        value: object = UNKNOWN
        for one in node.values:
            value = self._evaluate(one, file, scope)
            if _is_open(value):
                return UNKNOWN
            if _true(value) == decided:
                return value
        return value

    def _compare(self, node: ast.Compare, file: File, scope: dict) -> object:
        left = self._evaluate(node.left, file, scope)
        for kind, right_node in zip(node.ops, node.comparators):
            right = self._evaluate(right_node, file, scope)
            if (
                isinstance(kind, (ast.Is, ast.IsNot))
                and right is None
                and not isinstance(left, Unknown)
            ):
                result: object = (left is None) == isinstance(kind, ast.Is)
            elif isinstance(right, Library) and right.name == "inspect.Parameter.empty":
                result = isinstance(left, Library) == isinstance(kind, ast.Is)
            elif _is_open(left) or _is_open(right):
                return UNKNOWN
            elif isinstance(kind, (ast.In, ast.NotIn)):
                if not isinstance(right, (list, tuple, dict, set, str, range)):
                    return UNKNOWN
                try:
                    result = (left in right) == isinstance(kind, ast.In)  # type: ignore[operator]
                except TypeError:
                    return UNKNOWN
            else:
                result = self._binary(kind, left, right)  # type: ignore[arg-type]
            if _is_open(result) or not result:
                return result
            left = right
        return True

    def _item(self, node: ast.Subscript, file: File, scope: dict) -> object:
        owner = self._evaluate(node.value, file, scope)
        if isinstance(node.slice, ast.Slice):
            ends = [
                None if end is None else self._evaluate(end, file, scope)
                for end in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            if isinstance(owner, (list, tuple, str)) and not any(_is_open(end) for end in ends):
                return owner[slice(*ends)]
            return UNKNOWN
        key = self._evaluate(node.slice, file, scope)
        if not _is_plain(key) or not isinstance(owner, (list, tuple, dict, str, range)):
            return UNKNOWN
        try:
            return owner[key]  # type: ignore[index,call-overload]
        except (KeyError, IndexError, TypeError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from None

    def _attribute(self, owner: object, name: str) -> object:
        if isinstance(owner, Instance):
            if name in owner.values:
                return owner.values[name]
            method = self._method(owner.kind, name)
            if method is not None:
                if any("property" in ast.dump(item) for item in method.node.decorator_list):
                    return self._call(
                        Function(method.file, method.node, owner, method.owner), [], {}
                    )
                if any("staticmethod" in ast.dump(one) for one in method.node.decorator_list):
                    return Function(method.file, method.node, None, method.owner)
                return Function(method.file, method.node, owner, method.owner)
            return self._class_value(owner.kind, name)
        if isinstance(owner, Class):
            method = self._method(owner, name)
            if method is None:
                return self._class_value(owner, name)
            bound = any("classmethod" in ast.dump(one) for one in method.node.decorator_list)
            return Function(method.file, method.node, owner if bound else None, method.owner)
        if isinstance(owner, Signature) and name == "parameters":
            return owner.parameters
        if isinstance(owner, Parameter) and name == "default":
            return Library("inspect.Parameter.empty") if owner.empty else owner
        if isinstance(owner, Named) and name == "name":
            return owner.name
        if isinstance(owner, Library):
            full = owner.name + "." + name
            if full == "math.pi":
                return math.pi
            if owner.name.partition(".")[0] in ("mlx_vlm", "mlx_lm"):
                return self._imported(owner.name, name)
            return Library(full)
        if isinstance(owner, Array) and name == "shape":
            return UNKNOWN if None in owner.shape else owner.shape
        if isinstance(owner, Leaf):
            shape = owner.parameters.get(name)
            return Array(shape) if shape else UNKNOWN
        if isinstance(owner, (dict, list, str, set)) and name in _METHODS:
            return getattr(owner, name, UNKNOWN)
        return UNKNOWN

    def _class_value(self, kind: Class, name: str) -> object:
        for node in kind.node.body:
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == name for target in node.targets
            ):
                return self._evaluate(node.value, kind.file, {})
        for base in self._bases(kind):
            if isinstance(base, Class):
                found = self._class_value(base, name)
                if not isinstance(found, Unknown):
                    return found
        return UNKNOWN

    def _calling(self, node: ast.Call, file: File, scope: dict) -> object:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if isinstance(node.func, ast.Attribute) and _called_super(node.func.value):
            return self._super(node, file, scope)
        arguments, keywords = self._given(node, file, scope)
        if name in ("getattr", "hasattr", "isinstance", "setattr") and name not in scope:
            return self._asking(name, arguments)
        if name == "filter" and len(arguments) == 2:
            kept = [
                (item, self._apply(arguments[0], [item], {})) for item in self._items(arguments[1])
            ]
            if any(_is_open(test) for _, test in kept):
                raise GiveUp("a filter that depends on what is not known")
            return [item for item, test in kept if _true(test)]
        return self._apply(self._evaluate(node.func, file, scope), arguments, keywords)

    def _given(self, node: ast.Call, file: File, scope: dict) -> tuple[list, dict]:
        """The arguments of a call, by position and by name."""
        arguments: list = []
        for one in node.args:
            if isinstance(one, ast.Starred):
                arguments.extend(self._items(self._evaluate(one.value, file, scope)))
            else:
                arguments.append(self._evaluate(one, file, scope))
        keywords: dict = {}
        for keyword in node.keywords:
            value = self._evaluate(keyword.value, file, scope)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, dict):
                keywords.update(value)
            else:
                raise GiveUp("arguments that are not known")
        return arguments, keywords

    def _asking(self, name: str, arguments: list) -> object:
        first = arguments[0] if arguments else UNKNOWN
        if name == "setattr":
            if isinstance(first, Instance):
                if not isinstance(arguments[1], str):
                    raise GiveUp("an attribute that is not known")
                first.values[arguments[1]] = arguments[2]
            return None
        if name == "isinstance":
            kinds = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
            if isinstance(first, _PLAIN) and all(isinstance(one, type) for one in kinds):
                return isinstance(first, kinds)
            if isinstance(first, Instance) and all(isinstance(one, type) for one in kinds):
                return False
            return UNKNOWN
        if not isinstance(first, Instance) or not isinstance(arguments[1], str):
            return UNKNOWN
        value = self._attribute(first, arguments[1])
        there = arguments[1] in first.values or not isinstance(value, Unknown)
        if name == "hasattr":
            return there
        return value if there else arguments[2] if len(arguments) > 2 else UNKNOWN

    def _super(self, node: ast.Call, file: File, scope: dict) -> object:
        assert isinstance(node.func, ast.Attribute)
        owner = scope.get("__owner__")
        instance = scope.get("self", scope.get("cls"))
        if not isinstance(owner, Class) or not isinstance(instance, (Instance, Class)):
            raise GiveUp("super")
        arguments, keywords = self._given(node, file, scope)
        for base in self._bases(owner):
            method = self._method(base, node.func.attr) if isinstance(base, Class) else None
            if method is not None:
                bound = Function(method.file, method.node, instance, method.owner)
                return self._call(bound, arguments, keywords)
            if isinstance(base, Unknown):
                raise GiveUp("a base that is not known")
        return None


def _copied(value):  # type: ignore[no-untyped-def]
    """A value of the configuration of its own: constructors change what they are given."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner) for inner in value]
    return value


def _is_open(value: object) -> bool:
    return isinstance(value, (Unknown, Maybe, Array))


def _is_plain(value: object) -> bool:
    """Whether a value is Python's own, with all that it holds."""
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple, set)):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN, *_VIEWS))


def _true(value: object) -> bool:
    return bool(value) if isinstance(value, _PLAIN) else True


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", "?"))


def _called_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _called(node) == "super"


def _as_load(node: ast.expr) -> ast.expr:
    kind = type(node)
    if kind is ast.Name:
        return ast.Name(id=node.id, ctx=ast.Load())  # type: ignore[attr-defined]
    if kind is ast.Attribute:
        return ast.Attribute(value=node.value, attr=node.attr, ctx=ast.Load())  # type: ignore[attr-defined]
    raise GiveUp("a target")


def sanitised(notes: Notes, folder: str) -> list[str]:
    """The words that a model's code looks for in the names of weights (its ``sanitize``)."""
    words: set[str] = set()
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    for name in names:
        if name.endswith(".py"):
            words.update(notes.of(os.path.join(folder, name), words_of_sanitize) or ())
    return sorted(words)


def words_of_sanitize(text: str) -> list[str]:
    """The strings in the functions named ``sanitize`` of a module."""
    if "def sanitize" not in text:
        return []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return sorted(
        {
            one.value
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == "sanitize"
            for one in ast.walk(node)
            if isinstance(one, ast.Constant)
            and isinstance(one.value, str)
            and 3 < len(one.value) < 100
            and "\n" not in one.value
        }
    )
