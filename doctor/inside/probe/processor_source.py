"""What the source of a processor shows of how it is loaded; no module is imported.

Readers for ``notes.Notes.of``: functions from a file's text to what JSON can hold.
"""

from __future__ import annotations

import ast
import re

import source

# The parts of a processor by the name of the attribute; only these may need a backend.
AUTO_CLASSES = {
    "image_processor": "AutoImageProcessor",
    "video_processor": "AutoVideoProcessor",
}

# Classes that prepare pictures or videos: transformers has some of them only with a backend.
PREPARES = re.compile(r"\w*(?:Image|Video)Processor(?:Fast|Pil)?$")

# mlx-vlm's function that gives model types a processor, and its parameters.
INSTALLER = "install_auto_processor_patch"
INSTALLER_PARAMETERS = ("target_model_types", "processor_cls")

# The methods by which a processor loads its parts; the second is what ``ProcessorMixin`` calls.
LOADERS = ("from_pretrained", "_get_arguments_from_pretrained")

ABSENT_BACKEND_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def registrations(text: str) -> list:
    """``[model types, class name]`` of each processor class that a file installs for model types.

    By mlx-vlm's installer, or by a function of its own that it puts in place of
    ``AutoProcessor.from_pretrained``: then the types are the strings that the function compares the
    model type with, and the class is the first that it loads.
    """
    result = []
    if INSTALLER + "(" in text:
        tree = source.parse(text)
        for node in ast.walk(tree) if tree else ():
            if not (isinstance(node, ast.Call) and _is_name(node.func, INSTALLER)):
                continue
            given = dict(zip(INSTALLER_PARAMETERS, node.args))
            given.update({word.arg: word.value for word in node.keywords if word.arg})
            types, processor = (given.get(name) for name in INSTALLER_PARAMETERS)
            names = _strings(types, text) if types is not None else []
            if names and isinstance(processor, ast.Name):
                result.append([[name.lower() for name in names], processor.id])
    if re.search(r"^\w*AutoProcessor\.from_pretrained = ", text, re.MULTILINE):
        result += _replaces_auto_processor(text)
    return result


def _replaces_auto_processor(text: str) -> list:
    tree = source.parse(text)
    functions = {
        node.name: node for node in (tree.body if tree else ()) if isinstance(node, ast.FunctionDef)
    }
    result = []
    for node in tree.body if tree else ():
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)):
            continue
        target = node.targets[0]
        if not (
            target.attr == "from_pretrained"
            and isinstance(target.value, ast.Name)
            and target.value.id.endswith("AutoProcessor")
        ):
            continue
        replacement = node.value
        while isinstance(replacement, ast.Call) and len(replacement.args) == 1:
            replacement = replacement.args[0]  # classmethod(function)
        function = functions.get(replacement.id) if isinstance(replacement, ast.Name) else None
        types = [
            name.lower()
            for inner in (ast.walk(function) if function else ())
            if isinstance(inner, ast.Compare) and isinstance(inner.ops[0], (ast.Eq, ast.In))
            for name in _strings(inner.comparators[0], text)
        ]
        loaded = [
            call.func.value.id
            for call in (ast.walk(function) if function else ())
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "from_pretrained"
            and isinstance(call.func.value, ast.Name)
        ]
        if types and loaded:
            result.append([types, loaded[0]])
    return result


def _strings(node: ast.expr, text: str) -> list[str]:
    if isinstance(node, ast.Name):
        node = source.assigned(text, node.id) or node
    value = source.literal(node)
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [name for name in value if isinstance(name, str)]
    return []


def registered_by_name(text: str) -> list[str]:
    """The classes that a file adds to transformers' table of processors.

    ``AutoProcessor.register(key, class)``: transformers then finds them by the class name that a
    model's files give.
    """
    return re.findall(r"^AutoProcessor\.register\([^,()]+,\s*(\w+)\s*[,)]", text, re.MULTILINE)


def binds(text: str) -> list[str]:
    """The names of ``Model``, ``VisionModel`` and ``ImageProcessor`` that a module binds."""
    wanted = {"Model", "VisionModel", "ImageProcessor"}
    tree = source.parse(text)
    bound: set[str] = set()
    for node in tree.body if tree else ():
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            bound.add(node.name)
        elif isinstance(node, ast.Assign):
            bound.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return sorted(bound & wanted)


def relative_imports(text: str) -> list:
    """``[level, module, [[name, name here]]]`` of a module's relative imports."""
    tree = source.parse(text)
    return [
        [node.level, node.module or "", [[a.name, a.asname or a.name] for a in node.names]]
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def alias_of(text: str, name: str) -> str | None:
    """The name that a module's name is another one for (``Sam31Processor = Sam3Processor``)."""
    match = re.search(rf"^{re.escape(name)} = (\w+)$", text, re.MULTILINE)
    return match.group(1) if match and match.group(1) != name else None


def imports_within(text: str) -> list[str]:
    """The top-level modules that a file's functions import, when they are called."""
    tree = source.parse(text)
    caught = guarded_nodes(tree) if tree else set()
    names: set[str] = set()
    for statement in tree.body if tree else ():
        # What stands at the top is imported with the module; the trace of imports looks at that.
        if isinstance(statement, (ast.Import, ast.ImportFrom, ast.If, ast.Try)):
            continue
        for node in ast.walk(statement):
            if id(node) in caught:
                continue
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.partition(".")[0])
    return sorted(names)


def video_imports(text: str) -> list[str]:
    """The modules that functions about videos import when they are called."""
    tree = source.parse(text)
    found: set[str] = set()
    for function in tree.body if tree else ():
        if not isinstance(function, ast.FunctionDef) or "video" not in function.name:
            continue
        inside = guarded_nodes(function)
        for node in ast.walk(function):
            if id(node) in inside:
                continue
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return sorted(found)


def outline(text: str, class_name: str) -> dict | None:
    """What a processor class shows of how it is loaded; null where the file does not define it.

    ``attributes`` are its parts, ``parts`` the class names that it gives for them (one, or the slow
    and the fast one). ``bases`` are the classes that it inherits from. ``loads_itself`` tells
    that it has a loader of its own: ``free`` are the classes that prepare pictures
    which that uses, with the functions of the same file that it calls; ``guarded`` those that it
    uses in a ``try`` that survives their absence. ``reads_file`` tells that the file mentions
    ``preprocessor_config.json``, ``videos`` that it mentions videos. A class of another package
    whose ``from_pretrained`` the file replaces is defined here too, as ``patched``.
    ``calls_original`` tells that this replacement falls back to the original: ``"always"``, or the
    name of the flag without which it does.
    """
    patch = class_name + ".from_pretrained = "
    if "class " + class_name not in text and patch not in text:
        return None
    tree = source.parse(text)
    functions = {
        inner.name: inner
        for inner in (tree.body if tree else ())
        if isinstance(inner, ast.FunctionDef)
    }
    node = next(
        (
            inner
            for inner in (ast.walk(tree) if tree else ())
            if isinstance(inner, ast.ClassDef) and inner.name == class_name
        ),
        None,
    )
    loader = _replacement(tree, functions, class_name)
    if node is None and loader is None:
        return None
    for inner in node.body if node else ():
        if isinstance(inner, ast.FunctionDef) and inner.name in LOADERS:
            loader = inner
    free, guarded = _names(loader, functions) if loader else (set(), set())
    originals = re.findall(
        r"^(\w+) = " + re.escape(class_name) + r"\.from_pretrained\b", text, re.MULTILINE
    )
    return {
        "attributes": _attributes(node) if node else [],
        "parts": _parts(node) if node else {},
        "bases": [base.id for base in (node.bases if node else ()) if isinstance(base, ast.Name)],
        "loads_itself": loader is not None,
        "free": sorted(name for name in free if PREPARES.fullmatch(name)),
        "guarded": sorted(name for name in guarded if PREPARES.fullmatch(name)),
        "reads_file": "preprocessor_config.json" in text,
        "videos": "video" in text.lower(),
        "patched": node is None,
        "calls_original": _calls_original(loader, set(originals)) if loader else None,
    }


def _replacement(
    tree: ast.Module | None, functions: dict[str, ast.FunctionDef], class_name: str
) -> ast.FunctionDef | None:
    """The function that a module puts in place of a class's ``from_pretrained``."""
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            target = node.targets[0]
            if (
                isinstance(target, ast.Attribute)
                and target.attr == "from_pretrained"
                and isinstance(target.value, ast.Name)
                and target.value.id == class_name
            ):
                return functions.get(node.value.id)
    return None


def _calls_original(loader: ast.FunctionDef, originals: set[str]) -> str | None:
    """Whether a loader falls back to the one that it replaced; see ``outline``."""
    for statement in loader.body:
        used = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} & originals
        if not used:
            continue
        if (
            isinstance(statement, ast.If)
            and isinstance(statement.test, ast.UnaryOp)
            and isinstance(statement.test.op, ast.Not)
            and isinstance(statement.test.operand, ast.Name)
            and not statement.orelse
        ):
            return statement.test.operand.id
        return "always"
    return None


def flag(text: str, name: str) -> list | None:
    """What decides a flag that a module sets in a ``try`` around imports.

    ``[[module, names]]``: the absolute imports that set it to true; an empty list where it is true
    either way; null where it cannot be told.
    """
    tree = source.parse(text)
    for node in tree.body if tree else ():
        if not isinstance(node, ast.Try):
            continue
        here = _value_set(node.body, name)
        if here is None:
            continue
        handlers = [_value_set(handler.body, name) for handler in node.handlers]
        if here is True and all(value is True for value in handlers):
            return []
        if here is True and all(value is False for value in handlers):
            return [
                [inner.module, [alias.name for alias in inner.names]]
                for inner in node.body
                if isinstance(inner, ast.ImportFrom) and inner.module and not inner.level
            ]
    return None


def _value_set(body: list, name: str) -> object:
    for node in body:
        if isinstance(node, ast.Assign) and _is_name(node.targets[0], name):
            return source.literal(node.value)
    return None


def _names(
    function: ast.FunctionDef, functions: dict[str, ast.FunctionDef], depth: int = 3
) -> tuple[set[str], set[str]]:
    """The names that a function and those that it calls use freely, and those used guarded."""
    inside = guarded_nodes(function)
    free: set[str] = set()
    guarded: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            names = {node.id}
            if depth and node.id in functions and functions[node.id] is not function:
                deeper_free, deeper_guarded = _names(functions[node.id], functions, depth - 1)
                guarded |= deeper_guarded
                names |= deeper_free
            (guarded if id(node) in inside else free).update(names)
    return free, guarded


def guarded_nodes(function: ast.AST) -> set[int]:
    """The identities of the nodes inside a ``try`` that survives a missing backend."""
    inside: set[int] = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Try):
            continue
        caught = {
            name.id
            for handler in node.handlers
            for name in (ast.walk(handler.type) if handler.type else ())
            if isinstance(name, ast.Name)
        }
        bare = any(handler.type is None for handler in node.handlers)
        if bare or caught & ABSENT_BACKEND_ERRORS:
            inside.update(id(inner) for part in node.body for inner in ast.walk(part))
        # What a handler does is done only where the body got far enough to fail otherwise.
        inside.update(id(inner) for part in node.handlers for inner in ast.walk(part))
    return inside


def _attributes(node: ast.ClassDef) -> list[str]:
    """The parts of a processor: its ``attributes``, else the parameters of its ``__init__``."""
    for inner in node.body:
        if not (isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name)):
            continue
        if inner.targets[0].id == "attributes":
            value = source.literal(inner.value)
            return [str(name) for name in value] if isinstance(value, list) else []
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return [argument.arg for argument in inner.args.args]
    return []


def _parts(node: ast.ClassDef) -> dict[str, list]:
    """The classes that a processor names for its parts: one, or the slow and the fast one."""
    parts: dict[str, list] = {}
    for inner in node.body:
        if not (isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name)):
            continue
        attribute = inner.targets[0].id
        part = attribute[: -len("_class")]
        if attribute.endswith("_class") and part in (*AUTO_CLASSES, "tokenizer"):
            value = source.literal(inner.value)
            names = [value] if isinstance(value, str) else value
            if isinstance(names, (list, tuple)):
                parts[part] = list(names)
    return parts


def asks_for_packages(text: str, class_name: str) -> list[str]:
    """The packages without which making a processor of a class ends in an error.

    ``__init__`` raises where ``is_x_available()`` is false, or where a name that the module imports
    only if it can is null: so SmolVLM's asks for num2words.
    """
    if "class " + class_name not in text or "raise" not in text:
        return []
    tree = source.parse(text)
    optional = {
        alias.asname or alias.name: (inner.module or "").partition(".")[0]
        for node in (tree.body if tree else ())
        if isinstance(node, (ast.If, ast.Try))
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and not inner.level
        for alias in inner.names
    }
    asked = set()
    for node in ast.walk(tree) if tree else ():
        if not (isinstance(node, ast.ClassDef) and node.name == class_name):
            continue
        for function in node.body:
            if not (isinstance(function, ast.FunctionDef) and function.name == "__init__"):
                continue
            for statement in function.body:
                if isinstance(statement, ast.If) and isinstance(statement.body[0], ast.Raise):
                    asked.add(_missed(statement.test, optional))
    return sorted(name for name in asked if name)


def _missed(test: ast.expr, optional: dict[str, str]) -> str | None:
    """The package whose absence a condition tests for; null for any other condition."""
    subject = None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        subject = test.operand
    elif isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is):
        subject = test.left
    if isinstance(subject, ast.Name):
        return optional.get(subject.id)
    if isinstance(subject, ast.Call) and isinstance(subject.func, ast.Name):
        match = re.fullmatch(r"is_(\w+)_available", subject.func.id)
        return match.group(1) if match and not match.group(1).startswith("torch") else None
    return None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def call_outline(text: str, class_name: str) -> dict | None:
    """What a processor does with what it is called with; null where it defines no ``__call__``.

    ``takes`` are its parameters. ``passes_on`` tells that it hands everything else on to its image
    processor, all but ``popped``.
    """
    tree = source.parse(text)
    for node in ast.walk(tree) if tree else ():
        if not (isinstance(node, ast.ClassDef) and node.name == class_name):
            continue
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__call__":
                return _call_outline(inner)
    return None


def _call_outline(function: ast.FunctionDef) -> dict:
    arguments = function.args
    takes = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    rest = arguments.kwarg.arg if arguments.kwarg else None
    passes_on = False
    popped: list[str] = []
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "image_processor" and rest:
            passes_on = passes_on or any(
                word.arg is None and _is_name(word.value, rest) for word in node.keywords
            )
        if rest and node.func.attr == "pop" and _is_name(node.func.value, rest) and node.args:
            popped.append(str(source.literal(node.args[0])))
    rebound = any(
        isinstance(node, ast.Assign)
        and any(_is_name(target, rest or "") for target in node.targets)
        for node in ast.walk(function)
    )
    return {"takes": takes, "passes_on": passes_on and not rebound, "popped": popped}


def checks_keywords(text: str) -> bool:
    """Whether image processors refuse keywords that they do not declare."""
    return "validate_typed_dict(self.valid_kwargs, kwargs)" in text


def declares(text: str, keyword: str) -> bool:
    """Whether a file declares a keyword of image processors, in its classes of ``ImagesKwargs``."""
    classes = re.findall(r"^class ([^:]*):\n((?:[ \t].*\n|\n)*)", text, re.MULTILINE)
    declared = re.compile(rf"^    {re.escape(keyword)}\s*:", re.MULTILINE)
    return any("ImagesKwargs" in head and declared.search(body) for head, body in classes)


def prompt_types(text: str) -> list | None:
    """``[model types, refuses others]`` of mlx-vlm's table of prompt formats.

    ``refuses others`` tells whether ``apply_chat_template`` ends with an error for a type that is
    not in it; releases that do not make a prompt of text alone.
    """
    node = source.assigned(text, "MODEL_CONFIG")
    if not isinstance(node, ast.Dict):
        return None
    types = [source.literal(key) for key in node.keys if key is not None]
    tree = source.parse(text)
    passes = any(
        isinstance(inner, ast.Compare)
        and isinstance(inner.ops[0], ast.NotIn)
        and _is_name(inner.comparators[0], "MODEL_CONFIG")
        for function in (tree.body if tree else ())
        if isinstance(function, ast.FunctionDef) and function.name == "apply_chat_template"
        for inner in ast.walk(function)
    )
    return [[str(name) for name in types], not passes]


def processor_table(text: str) -> dict[str, str]:
    """The processor classes by model type (``PROCESSOR_MAPPING_NAMES``)."""
    table = source.literal(source.assigned(text, "PROCESSOR_MAPPING_NAMES"))
    if not isinstance(table, dict):
        return {}
    return {str(key): value for key, value in table.items() if isinstance(value, str)}


def configuration_types(text: str) -> list[str]:
    """The model types that transformers has a configuration for (``CONFIG_MAPPING_NAMES``)."""
    return _first_of_pairs(text, "CONFIG_MAPPING_NAMES")


def types_of_other_modules(text: str) -> list[str]:
    """Those whose module has another name than the type."""
    return _first_of_pairs(text, "SPECIAL_MODEL_TYPE_TO_MODULE_NAME")


def _first_of_pairs(text: str, name: str) -> list[str]:
    node = source.assigned(text, name)
    return sorted(
        inner.elts[0].value
        for inner in (ast.walk(node) if node else ())
        if isinstance(inner, ast.Tuple)
        and len(inner.elts) == 2
        and isinstance(inner.elts[0], ast.Constant)
        and isinstance(inner.elts[0].value, str)
    )


def survives_unknown_configurations(text: str) -> bool:
    """Whether ``AutoProcessor`` goes on where transformers has no configuration for the type."""
    tree = source.parse(text)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Try) and "AutoConfig.from_pretrained" in ast.unparse(node):
            return any(
                handler.type is None or "ValueError" in ast.unparse(handler.type)
                for handler in node.handlers
            )
    return False


def remapping_table(text: str) -> dict[str, str]:
    """Model types that mlx-vlm loads by another type's module (``MODEL_REMAPPING``)."""
    table = source.literal(source.assigned(text, "MODEL_REMAPPING"))
    return {str(key): str(table[key]) for key in table} if isinstance(table, dict) else {}


def takes_classes_from_their_files(text: str) -> bool:
    """Whether ``ProcessorMixin`` imports auto classes from the modules that define them."""
    return '("transformers.models.auto.image_processing_auto", "AutoImageProcessor")' in text


def takes_named_classes(text: str) -> bool:
    """Whether ``ProcessorMixin`` loads a part by the class that the processor names for it.

    ``image_processor_class = "…"``: transformers 4 does, the first releases of 5 do not.
    """
    function = re.search(
        r"^    def _get_arguments_from_pretrained\b.*?(?=^    (?:def|@))",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return function is not None and '_class"' in function.group(0)
