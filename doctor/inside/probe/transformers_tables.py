"""What the installed transformers says of itself: its tables, read from its source."""

from __future__ import annotations

import ast
import os
import re

import source
from modules import Finder, read


def describe(finder: Finder) -> dict | None:
    """The requirements that transformers enforces at import, and how it looks for torchvision."""
    folder = finder.package_folder("transformers")
    if folder is None:
        return None
    return {
        "folder": folder,
        "enforced": _enforced(folder),
        "torchvision_needs_torch": _torchvision_needs_torch(folder),
    }


def _enforced(folder: str) -> list[dict] | None:
    """``{"requirement", "if_installed", "source"}`` for each; null where the table is not found.

    ``dependency_versions_check.py`` names the distributions that it checks whenever transformers
    is imported, ``dependency_versions_table.py`` the versions. Those that the loop compares by name
    and then passes over are checked only where they are installed.
    """
    check_path = os.path.join(folder, "dependency_versions_check.py")
    table_path = os.path.join(folder, "dependency_versions_table.py")
    tree = source.parse(read(check_path) or "")
    table = source.literal(source.assigned(read(table_path) or "", "deps"))
    if tree is None or not isinstance(table, dict):
        return None
    names: object = None
    optional: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Tuple)):
            names = source.literal(node.value)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            compared = node.test.comparators[0]
            skips = any(isinstance(inner, ast.Continue) for inner in ast.walk(node))
            if skips and isinstance(compared, ast.Constant) and isinstance(compared.value, str):
                optional.add(compared.value)
    if not isinstance(names, (list, tuple)):
        return None
    return [
        {"requirement": str(table[name]), "if_installed": name in optional, "source": table_path}
        for name in names
        if name in table and name != "python"
    ]


def _torchvision_needs_torch(folder: str) -> bool | None:
    """Whether transformers takes torchvision for available only where torch is too.

    Where it does not, a torchvision without torch is imported, and fails. Null if it is not told.
    """
    text = read(os.path.join(folder, "utils", "import_utils.py")) or ""
    match = re.search(r"^def is_torchvision_available\b.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    body = match.group(0) if match else ""
    if not match or "return" not in body:
        return None
    return "is_torch_available()" in body


class Backends:
    """Which of torch, torchvision and the like the classes of the installed transformers require.

    transformers exports a placeholder in place of a class whose backends are missing. It decides
    by ``BASE_FILE_REQUIREMENTS`` (a test on the file's name and text) and by ``@requires`` on the
    class (both in ``utils/import_utils.py``), and so does this.
    """

    def __init__(self, folder: str) -> None:
        text = read(os.path.join(folder, "utils", "import_utils.py")) or ""
        self._rules = source.assigned(text, "BASE_FILE_REQUIREMENTS")
        self._patterns = dict(
            re.findall(
                r"^(\w+) = re\.compile\(r?['\"](.+?)['\"](?:, re\.\w+)?\)", text, re.MULTILINE
            )
        )

    def of(self, path: str, class_name: str) -> list[str] | None:
        """The backends that the class in the file at ``path`` needs; null if it cannot be told."""
        text = read(path)
        if text is None or not isinstance(self._rules, ast.Dict):
            return None
        stem = os.path.basename(path)[: -len(".py")]
        needed: set[str] = set()
        for test, backends in zip(self._rules.keys, self._rules.values):
            if not isinstance(test, ast.Lambda):
                return None
            parameters = [argument.arg for argument in test.args.args]
            names = dict(zip(parameters, (stem, text)))
            verdict = source.predicate(test.body, names, self._patterns)
            if verdict is None:
                return None
            if verdict:
                needed.update(source.literal(backends) or ())  # type: ignore[call-overload]
                break
        decorated = re.search(
            rf"^@requires\(\s*backends=\(([^)]*)\)\s*,?\s*\)\s*\n(?:@.*\n)*class {class_name}\b",
            text,
            re.MULTILINE,
        )
        if decorated:
            needed.update(re.findall(r"['\"]([\w.>=]+)['\"]", decorated.group(1)))
        return sorted(needed)


def image_processors(folder: str) -> dict[str, list[tuple[str, str]]]:
    """The image processor classes by model type, as ``(backend, class name)`` in their order.

    Up to transformers 5.3 the table holds pairs (slow, fast); from 5.4 on dictionaries by backend,
    partly in ``auto_mappings.py``. "slow" stands for ``pil``, "fast" for ``torchvision``.
    """
    auto = os.path.join(folder, "models", "auto")
    result: dict[str, list[tuple[str, str]]] = {}
    for file, name in (
        ("auto_mappings.py", "IMAGE_PROCESSOR_MAPPING_NAMES"),
        ("image_processing_auto.py", "IMAGE_PROCESSOR_MAPPING_NAMES"),
        ("image_processing_auto.py", "MISSING_IMAGE_PROCESSOR_MAPPING_NAMES"),
    ):
        table = source.literal(source.assigned(read(os.path.join(auto, file)) or "", name))
        for model_type, classes in (table if isinstance(table, dict) else {}).items():
            if isinstance(classes, str):
                pairs = [("pil", classes)]
            elif isinstance(classes, dict):
                pairs = [(str(key), value) for key, value in classes.items()]
            elif isinstance(classes, (tuple, list)):
                pairs = list(zip(("pil", "torchvision"), classes))
            else:
                pairs = []
            result[str(model_type)] = [(key, value) for key, value in pairs if value]
    return result


def image_processor(finder: Finder, question: dict) -> dict | None:
    """Whether the class that the model's ``preprocessor_config.json`` names exists here.

    ``{"named", "exists", "replacement", "source"}``: the replacement is the class that the
    installed transformers itself has for this model type, or null. Null where the question names
    no class or there is no transformers.
    """
    folder = finder.package_folder("transformers")
    named = question.get("image_processor_type")
    if folder is None or not named:
        return None
    table = image_processors(folder)
    known = {name for classes in table.values() for _, name in classes}
    bare = named[: -len("Fast")] if named.endswith("Fast") else named
    exists = bool({named, bare} & known) or _defined(folder, (named, bare))
    own = table.get(question.get("model_type") or "", [])
    return {
        "named": named,
        "exists": exists if table else None,
        "replacement": own[0][1] if own else None,
        "source": os.path.join(folder, "models", "auto", "image_processing_auto.py"),
    }


def _defined(folder: str, names: tuple[str, ...]) -> bool:
    """Whether any image processing file of transformers defines a class of one of these names."""
    pattern = re.compile(r"^class (" + "|".join(map(re.escape, names)) + r")\b", re.MULTILINE)
    models = os.path.join(folder, "models")
    try:
        folders = os.listdir(models)
    except OSError:
        return False
    for model in folders:
        try:
            files = os.listdir(os.path.join(models, model))
        except OSError:
            continue
        for file in files:
            if not file.startswith(("image_processing_", "feature_extraction_")):
                continue
            if pattern.search(read(os.path.join(models, model, file)) or ""):
                return True
    return False
