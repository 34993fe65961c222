"""Which processor a model gets from the installed mlx-vlm and transformers, and what it needs."""

from __future__ import annotations

import ast
import os
import re

import source
import transformers_tables
from modules import Finder, read

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


def supported_model_types(finder: Finder) -> list[str] | None:
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
    return sorted((types | set(_remapping(folder))) - {"base", "cache", "kernels", "__init__"})


def _remapping(folder: str) -> dict[str, str]:
    text = read(os.path.join(folder, "utils.py")) or ""
    table = source.literal(source.assigned(text, "MODEL_REMAPPING"))
    return {str(key): str(value) for key, value in table.items()} if isinstance(table, dict) else {}


def processor(finder: Finder, question: dict) -> dict | None:
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
    folder = os.path.join(mlx_vlm, "models", _remapping(mlx_vlm).get(model_type, model_type))
    reader = _ProcessorReader(transformers, model_type)
    own = _registered(folder, model_type)
    if own is not None:
        path, name = own
        return reader.describe(path, name, "mlx-vlm")
    name = question.get("processor_class") or _processor_class(transformers, model_type)
    path = os.path.join(transformers, "models", model_type, "processing_" + model_type + ".py")
    if not name or not _defines(path, name):
        path = _find_class(transformers, name, "processing_") if name else None
    if not path:
        return _unknown(name, "neither mlx-vlm nor transformers shows a processor for it")
    return reader.describe(path, name, "transformers")


def starts(finder: Finder, question: dict, processor: dict | None) -> list[str]:
    """The modules that a generation with the asked model type begins with; none without mlx-vlm."""
    mlx_vlm = finder.package_folder("mlx_vlm")
    if mlx_vlm is None:
        return []
    # transformers renders every chat template with jinja2, and asks for it only then
    # (transformers/utils/chat_template_utils.py).
    result = ["mlx_vlm", "mlx_vlm.prompt_utils", "jinja2"]
    model_type = (question.get("model_type") or "").lower()
    module = "mlx_vlm.models." + _remapping(mlx_vlm).get(model_type, model_type)
    if model_type and finder.find(module):
        result.append(module)
    if processor and processor["provider"] == "transformers":
        folder, file = os.path.split(processor["source"][: -len(".py")])
        result.append("transformers.models." + os.path.basename(folder) + "." + file)
    return result


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


def _registered(folder: str, model_type: str) -> tuple[str, str] | None:
    """The file and class of the processor that a model's folder in mlx-vlm installs for its type.

    mlx-vlm installs its own with ``install_auto_processor_patch(types, class)``.
    """
    try:
        files = sorted(os.listdir(folder))
    except OSError:
        return None
    for file in files:
        path = os.path.join(folder, file)
        text = read(path) if file.endswith(".py") else None
        if not text or "install_auto_processor_patch(" not in text:
            continue
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
            types = node.args[0]
            if isinstance(types, ast.Name):
                types = source.assigned(text, types.id)  # type: ignore[assignment]
            names = source.literal(types)
            names = [names] if isinstance(names, str) else names
            lowered = [str(name).lower() for name in names] if isinstance(names, list) else []
            if model_type in lowered:
                assert tree is not None
                found = _definition(path, tree, node.args[1].id)
                if found:
                    return found
    return None


def _definition(path: str, tree: ast.Module, name: str, depth: int = 3) -> tuple[str, str] | None:
    """The file that defines a class, following relative imports within mlx-vlm."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return path, name
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and depth:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    folder = path
                    for _ in range(node.level):
                        folder = os.path.dirname(folder)
                    target = os.path.join(folder, *(node.module or "").split("."))
                    for candidate in (target + ".py", os.path.join(target, "__init__.py")):
                        inner = source.parse(read(candidate) or "")
                        found = inner and _definition(candidate, inner, alias.name, depth - 1)
                        if found:
                            return found
    return None


def _processor_class(transformers: str, model_type: str) -> str | None:
    """The class that transformers' own table gives for a model type."""
    for file in ("auto_mappings.py", "processing_auto.py"):
        text = read(os.path.join(transformers, "models", "auto", file)) or ""
        table = source.literal(source.assigned(text, "PROCESSOR_MAPPING_NAMES"))
        if isinstance(table, dict) and isinstance(table.get(model_type), str):
            return str(table[model_type])
    return None


def _defines(path: str, class_name: str) -> bool:
    return (
        re.search(rf"^class {re.escape(class_name)}\b", read(path) or "", re.MULTILINE) is not None
    )


def _find_class(transformers: str, class_name: str, prefix: str) -> str | None:
    """The file below transformers' models that defines a class, by the files' usual names."""
    models = os.path.join(transformers, "models")
    try:
        folders = sorted(os.listdir(models))
    except OSError:
        return None
    for model in folders:
        path = os.path.join(models, model, prefix + model + ".py")
        if os.path.isfile(path) and _defines(path, class_name):
            return path
    return None


class _ProcessorReader:
    """Reads a processor class: of what it is composed, and which backends those parts need."""

    def __init__(self, transformers: str, model_type: str) -> None:
        self._folder = transformers
        self._model_type = model_type
        self._backends = transformers_tables.Backends(transformers)

    def describe(self, path: str, name: str, provider: str) -> dict:
        tree = source.parse(read(path) or "")
        found = _class(tree, name)
        if tree is None or found is None:
            return _unknown(name, "its source could not be read")
        used = self._used(found)
        if used is None:
            return _unknown(name, "it inherits how it is loaded")
        needs = []
        for class_name in used:
            need = self._need(class_name)
            if need is None:
                return _unknown(name, "what " + class_name + " needs could not be told")
            needs.append(need)
        return {
            "name": name,
            "provider": provider,
            "source": path,
            "needs": [need for need in needs if need["backends"]],
            "reads_image_processor_type": "AutoImageProcessor" in used,
            "reads_preprocessor_config": "AutoImageProcessor" in used
            or "preprocessor_config.json" in (read(path) or ""),
            "unknown": None,
        }

    def _used(self, node: ast.ClassDef) -> list[str] | None:
        """The auto classes that this processor cannot be loaded without; null if it is not told.

        A class with a ``from_pretrained`` of its own uses those that it names there. Those that it
        asks for in a ``try`` count where the processor has them among its attributes, since a
        processor of transformers refuses a part that is null. Other classes are loaded by
        ``ProcessorMixin``, which takes the parts that the class or its ``__init__`` names.
        """
        attributes = _attributes(node)
        loader = next(
            (
                inner
                for inner in node.body
                if isinstance(inner, ast.FunctionDef) and inner.name == "from_pretrained"
            ),
            None,
        )
        if loader is None:
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if "ProcessorMixin" not in bases:
                return None
            return [AUTO_CLASSES[name] for name in attributes if name in AUTO_CLASSES]
        guarded = _guarded(loader)
        used = []
        for attribute, class_name in AUTO_CLASSES.items():
            calls = [
                inner
                for inner in ast.walk(loader)
                if isinstance(inner, ast.Name) and inner.id == class_name
            ]
            free = [call for call in calls if id(call) not in guarded]
            if free or (calls and attribute in attributes):
                used.append(class_name)
        return used

    def _need(self, class_name: str) -> dict | None:
        path = os.path.join(self._folder, "models", "auto", AUTO_FILES[class_name])
        backends = self._backends.of(path, class_name)
        if backends is None:
            return None
        if class_name == "AutoImageProcessor" and "torchvision" not in backends:
            # The auto class loads. Does the class that it finds for this model type?
            classes = transformers_tables.image_processors(self._folder).get(self._model_type)
            if classes and not any(backend == "pil" for backend, _ in classes):
                backends = sorted({*backends, "torch", "torchvision"})
        needed = [name for name in backends if name in ("torch", "torchvision")]
        return {"class_name": class_name, "backends": needed, "source": path}


def _class(tree: ast.Module | None, name: str) -> ast.ClassDef | None:
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    return None


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
    return inside
