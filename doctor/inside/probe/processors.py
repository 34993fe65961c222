"""Which processor a model gets from the installed mlx-vlm and transformers, and what it needs."""

from __future__ import annotations

import ast
import os
import re

import source
import transformers_tables
from modules import Finder
from notes import Notes

# What a processor is composed of, by the name of the attribute; only these need a backend.
AUTO_CLASSES = {
    "image_processor": "AutoImageProcessor",
    "video_processor": "AutoVideoProcessor",
}
AUTO_FILES = {
    "AutoImageProcessor": "image_processing_auto.py",
    "AutoVideoProcessor": "video_processing_auto.py",
}
ABSENT_BACKEND_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def supported_model_types(finder: Finder, notes: Notes) -> list[str] | None:
    """The model types that the installed mlx-vlm has a module for, its other names included."""
    folder = finder.package_folder("mlx_vlm")
    if folder is None:
        return None
    models = os.path.join(folder, "models")
    try:
        names = os.listdir(models)
    except OSError:
        return None
    types = {
        name for name in names if os.path.isfile(os.path.join(models, name, "__init__.py"))
    } | {name[: -len(".py")] for name in names if name.endswith(".py")}
    return sorted(
        (types | set(_remapping(folder, notes))) - {"base", "cache", "kernels", "__init__"}
    )


def _remapping(folder: str, notes: Notes) -> dict[str, str]:
    return notes.of(os.path.join(folder, "utils.py"), remapping_table) or {}


def remapping_table(text: str) -> dict[str, str]:
    """Model types that mlx-vlm loads by another type's module (``MODEL_REMAPPING``)."""
    table = source.literal(source.assigned(text, "MODEL_REMAPPING"))
    return {str(key): str(table[key]) for key in table} if isinstance(table, dict) else {}


def starts(finder: Finder, notes: Notes, question: dict, processor: dict | None) -> list[str]:
    """The modules that a generation with the asked model type begins with; none without mlx-vlm."""
    mlx_vlm = finder.package_folder("mlx_vlm")
    if mlx_vlm is None:
        return []
    # transformers renders every chat template with jinja2, and asks for it only then
    # (transformers/utils/chat_template_utils.py).
    result = ["mlx_vlm", "mlx_vlm.prompt_utils", "jinja2"]
    module = model_module(finder, notes, question)
    if module:
        result.append(module)
    if processor and processor["provider"] == "transformers":
        folder, file = os.path.split(processor["source"][: -len(".py")])
        result.append("transformers.models." + os.path.basename(folder) + "." + file)
    return result


def model_module(finder: Finder, notes: Notes, question: dict) -> str | None:
    """The module of mlx-vlm that has the asked model type; null where there is none."""
    mlx_vlm = finder.package_folder("mlx_vlm")
    model_type = (question.get("model_type") or "").lower()
    if mlx_vlm is None or not model_type:
        return None
    module = "mlx_vlm.models." + _remapping(mlx_vlm, notes).get(model_type, model_type)
    return module if finder.find(module) else None


def processor(finder: Finder, notes: Notes, question: dict) -> dict | None:
    """The processor of the asked model type, and what it needs to load.

    ``{"name", "provider", "source", "needs", "reads_image_processor_type",
    "reads_preprocessor_config", "unknown"}``. ``needs`` lists ``{"class_name", "backends",
    "source"}``. ``unknown`` is the reason where it could not be told; then nothing may be
    concluded. Null where mlx-vlm or transformers is not there or no model type was asked for.
    """
    mlx_vlm = finder.package_folder("mlx_vlm")
    transformers = finder.package_folder("transformers")
    model_type = question.get("model_type")
    if not (mlx_vlm and transformers and model_type):
        return None
    model_type = model_type.lower()
    module = _remapping(mlx_vlm, notes).get(model_type, model_type)
    registered, own = _registered(os.path.join(mlx_vlm, "models", module), notes, model_type)
    described = own and _describe(notes, transformers, model_type, own, "mlx-vlm")
    if described and (_loads(described) or _is_patched(notes, own)):
        return described
    # mlx-vlm falls back to the class of transformers where its own fails.
    name = question.get("processor_class") or _processor_class(transformers, notes, model_type)
    name = name or registered
    path = _find_class(transformers, notes, model_type, name) if name else None
    if name and path:
        other = _describe(notes, transformers, model_type, (path, name), "transformers")
        return other if described is None or _loads(other) else described
    return described or _unknown(name, "neither mlx-vlm nor transformers shows a processor for it")


def _loads(described: dict) -> bool:
    """Whether a processor surely loads without further backends."""
    return described["unknown"] is None and not described["needs"]


def _is_patched(notes: Notes, found: tuple[str, str] | None) -> bool:
    shown = notes.of(found[0], outline, found[1]) if found else None
    return bool(shown and shown["patched"])


def _unknown(name: str | None, reason: str) -> dict:
    return {
        "name": name,
        "provider": None,
        "source": None,
        "needs": [],
        "reads_image_processor_type": None,
        "reads_preprocessor_config": None,
        "unknown": reason,
    }


def _registered(
    folder: str, notes: Notes, model_type: str
) -> tuple[str | None, tuple[str, str] | None]:
    """The processor class that a model's folder in mlx-vlm installs for it.

    Its name, and the file and class where mlx-vlm defines or changes it itself.
    """
    try:
        files = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return None, None
    registered: str | None = None
    for file in files:
        path = os.path.join(folder, file)
        for types, name in (notes.of(path, registrations) if file.endswith(".py") else None) or ():
            if model_type not in types:
                continue
            registered = name
            found = _definition(path, notes, name)
            if found:
                return name, found
    return registered, None


def registrations(text: str) -> list:
    """``[model types, class name]`` of each ``install_auto_processor_patch(types, class)``."""
    if "install_auto_processor_patch(" not in text:
        return []
    result = []
    tree = source.parse(text)
    for node in ast.walk(tree) if tree else ():
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "install_auto_processor_patch"
            and len(node.args) == 2
            and isinstance(node.args[1], ast.Name)
        ):
            continue
        types: ast.expr | None = node.args[0]
        if isinstance(types, ast.Name):
            types = source.assigned(text, types.id)
        names = source.literal(types)
        names = [names] if isinstance(names, str) else names
        if isinstance(names, (list, tuple, set)):
            result.append([[str(name).lower() for name in names], node.args[1].id])
    return result


def _definition(path: str, notes: Notes, name: str, depth: int = 3) -> tuple[str, str] | None:
    """The file that defines a class, following relative imports within mlx-vlm."""
    if notes.of(path, outline, name):
        return path, name
    for level, module, names in (notes.of(path, relative_imports) or ()) if depth else ():
        for original, here in names:
            if here != name:
                continue
            folder = path
            for _ in range(level):
                folder = os.path.dirname(folder)
            target = os.path.join(folder, *module.split("."))
            for candidate in (target + ".py", os.path.join(target, "__init__.py")):
                found = _definition(candidate, notes, original, depth - 1)
                if found:
                    return found
    return None


def relative_imports(text: str) -> list:
    """``[level, module, [[name, name here]]]`` of a module's relative imports."""
    tree = source.parse(text)
    return [
        [node.level, node.module or "", [[a.name, a.asname or a.name] for a in node.names]]
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def _processor_class(transformers: str, notes: Notes, model_type: str) -> str | None:
    """The class that transformers' own table gives for a model type."""
    for file in ("auto_mappings.py", "processing_auto.py"):
        path = os.path.join(transformers, "models", "auto", file)
        table = notes.of(path, processor_table) or {}
        if model_type in table:
            return str(table[model_type])
    return None


def processor_table(text: str) -> dict[str, str]:
    """The processor classes by model type (``PROCESSOR_MAPPING_NAMES``)."""
    table = source.literal(source.assigned(text, "PROCESSOR_MAPPING_NAMES"))
    if not isinstance(table, dict):
        return {}
    return {str(key): value for key, value in table.items() if isinstance(value, str)}


def _find_class(transformers: str, notes: Notes, model_type: str, class_name: str) -> str | None:
    """The file of transformers that defines a processor: its type's own, else any model's."""
    models = os.path.join(transformers, "models")
    try:
        folders = [model_type, *sorted(os.listdir(models))]
    except OSError:
        return None
    for model in folders:
        path = os.path.join(models, model, "processing_" + model + ".py")
        if notes.of(path, outline, class_name):
            return path
    return None


def outline(text: str, class_name: str) -> dict | None:
    """What a processor class shows of how it is loaded; null where the file does not define it.

    ``attributes`` are its parts; ``inherits`` tells that ``ProcessorMixin`` loads it. ``free`` are
    the auto classes that its own ``from_pretrained`` uses, with the functions of the same file that
    it calls; ``guarded`` those that it uses in a ``try`` that survives their absence.
    ``reads_file`` tells that the file mentions ``preprocessor_config.json``. A class of another
    package whose ``from_pretrained`` the file replaces is defined here too, as ``patched``; with
    ``calls_original`` nothing can be told.
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
        if isinstance(inner, ast.FunctionDef) and inner.name == "from_pretrained":
            loader = inner
    bases = {base.id for base in (node.bases if node else ()) if isinstance(base, ast.Name)}
    free, guarded, names = _names(loader, functions) if loader else (set(), set(), set())
    originals = re.findall(
        r"^(\w+) = " + re.escape(class_name) + r"\.from_pretrained\b", text, re.MULTILINE
    )
    return {
        "attributes": _attributes(node) if node else [],
        "loads_itself": loader is not None,
        "inherits": "ProcessorMixin" in bases,
        "free": sorted(free & set(AUTO_FILES)),
        "guarded": sorted(guarded & set(AUTO_FILES)),
        "reads_file": "preprocessor_config.json" in text,
        "patched": node is None,
        "calls_original": bool(names & set(originals)),
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


def _names(
    function: ast.FunctionDef, functions: dict[str, ast.FunctionDef], depth: int = 3
) -> tuple[set[str], set[str], set[str]]:
    """The names that a function and those that it calls use freely, guarded, and altogether."""
    inside = _guarded(function)
    free: set[str] = set()
    guarded: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            names = {node.id}
            if depth and node.id in functions and functions[node.id] is not function:
                deeper_free, deeper_guarded, _ = _names(functions[node.id], functions, depth - 1)
                guarded |= deeper_guarded
                names |= deeper_free
            (guarded if id(node) in inside else free).update(names)
    return free, guarded, free | guarded


def _describe(
    notes: Notes, transformers: str, model_type: str, found: tuple[str, str], provider: str
) -> dict:
    """Of what a processor is composed, and which backends those parts need."""
    path, name = found
    shown = notes.of(path, outline, name)
    if shown is None:
        return _unknown(name, "its source could not be read")
    if not (shown["loads_itself"] or shown["inherits"]):
        return _unknown(name, "it inherits how it is loaded")
    if shown["calls_original"]:
        return _unknown(name, "mlx-vlm changes how a class of transformers is loaded")
    used = _used(shown)
    needs = []
    if provider == "transformers":
        needs.append(_need_of_itself(notes, transformers, path, name))
    # From transformers 5.3 on ProcessorMixin takes the auto classes past the placeholders.
    past = not shown["loads_itself"] and notes.of(
        os.path.join(transformers, "processing_utils.py"), takes_classes_from_their_files
    )
    for class_name in used:
        need = _need(notes, transformers, model_type, class_name, bool(past))
        if need is None:
            return _unknown(name, "what " + class_name + " needs could not be told")
        needs.append(need)
    takes_class = "AutoImageProcessor" in used
    return {
        "name": name,
        "provider": provider,
        "source": path,
        "needs": [need for need in needs if need["backends"]],
        "reads_image_processor_type": takes_class,
        "reads_preprocessor_config": takes_class or shown["reads_file"],
        "unknown": None,
    }


def _used(shown: dict) -> list[str]:
    """The auto classes that a processor cannot be loaded without.

    A class with a ``from_pretrained`` of its own uses those that it names there. Those that it
    asks for in a ``try`` count where the processor has them among its attributes, since a
    processor of transformers refuses a part that is null. Other classes are loaded by
    ``ProcessorMixin``, which takes the parts that the class or its ``__init__`` names.
    """
    attributes = shown["attributes"]
    if not shown["loads_itself"]:
        return [AUTO_CLASSES[name] for name in attributes if name in AUTO_CLASSES]
    return [
        class_name
        for attribute, class_name in AUTO_CLASSES.items()
        if class_name in shown["free"]
        or (class_name in shown["guarded"] and attribute in attributes)
    ]


def takes_classes_from_their_files(text: str) -> bool:
    """Whether ``ProcessorMixin`` imports auto classes from the modules that define them."""
    return '("transformers.models.auto.image_processing_auto", "AutoImageProcessor")' in text


def _need_of_itself(notes: Notes, transformers: str, path: str, name: str) -> dict:
    """What transformers requires of the processor class itself (``@requires``)."""
    backends = transformers_tables.Backends(transformers, notes).of(path, name) or ()
    return {"class_name": name, "backends": _of_torch(backends), "source": path}


def _need(
    notes: Notes, transformers: str, model_type: str, class_name: str, past: bool
) -> dict | None:
    path = os.path.join(transformers, "models", "auto", AUTO_FILES[class_name])
    rules = transformers_tables.Backends(transformers, notes)
    backends = rules.of(path, class_name)
    if backends is None:
        return None
    needed = _of_torch(backends)
    if class_name == "AutoImageProcessor" and (past or not needed):
        # The auto class is there. Is one of the classes that it has for this model type?
        classes = transformers_tables.image_processors(transformers, notes).get(model_type, [])
        files = [
            (one, transformers_tables.file_of_image_processor(transformers, model_type, one))
            for _, one in classes
        ]
        needs = [_of_torch(rules.of(file, one) or ()) for one, file in files if file]
        needed = next((need for need in needs if not need), needs[0] if needs else [])
    return {"class_name": class_name, "backends": needed, "source": path}


def _of_torch(backends: list[str] | tuple[str, ...]) -> list[str]:
    return [name for name in backends if name in ("torch", "torchvision")]


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


def _guarded(function: ast.FunctionDef) -> set[int]:
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
