"""What the installed transformers says of itself: its tables, read from its source."""

from __future__ import annotations

import ast
import os
import re

import source
from distributions import numbers
from modules import Finder, build
from notes import Notes, read


def describe(finder: Finder, notes: Notes) -> dict | None:
    """The requirements that transformers enforces at import, and how it looks for torchvision."""
    folder = finder.package_folder("transformers")
    if folder is None:
        return None
    return {
        "folder": folder,
        "enforced": _enforced(folder, notes),
        "torchvision_needs_torch": notes.of(
            os.path.join(folder, "utils", "import_utils.py"), torchvision_needs_torch
        ),
        "least": _least(folder, notes),
        "module_suffices": notes.of(
            os.path.join(folder, "utils", "import_utils.py"), module_suffices
        ),
    }


def _least(folder: str, notes: Notes) -> dict[str, str]:
    """The least releases of torch and jinja2 that transformers accepts when it comes to use them.

    They stand in no metadata: it takes an older torch for absent, and refuses an older jinja2 when
    a chat template is filled in.
    """
    utils = os.path.join(folder, "utils")
    found = {
        "torch": notes.of(os.path.join(utils, "import_utils.py"), least_torch),
        "jinja2": notes.of(os.path.join(utils, "chat_template_utils.py"), least_jinja2),
    }
    return {name: version for name, version in found.items() if version}


def closed(finder: Finder, described: dict | None) -> frozenset:
    """Of torch and torchvision, those that are there and that transformers takes for absent."""
    if described is None:
        return frozenset()
    found = build(finder, "torch")
    release = re.match(r"\d+(?:\.\d+)*", found["version"] if found else "")
    least = described["least"].get("torch")
    too_old = release is None or (least and numbers(release.group(0)) < numbers(least))
    if not too_old:
        return frozenset()
    return frozenset(
        ["torch", "torchvision"] if described["torchvision_needs_torch"] else ["torch"]
    )


def least_torch(text: str) -> str | None:
    """The release below which torch is disabled, from the warning that says so."""
    match = re.search(r"PyTorch >= (\d+(?:\.\d+)*) is required but found", text)
    return match.group(1) if match else None


def least_jinja2(text: str) -> str | None:
    """The release below which no chat template is filled in, from the error that says so."""
    match = re.search(r"requires jinja2>=(\d+(?:\.\d+)*) to be installed", text)
    return match.group(1) if match else None


def _enforced(folder: str, notes: Notes) -> list[dict] | None:
    """What an ``EnforcedRequirement`` of the facts has, for each; null without the table.

    ``dependency_versions_check.py`` names the distributions that it checks whenever transformers
    is imported, ``dependency_versions_table.py`` the versions.
    """
    table_path = os.path.join(folder, "dependency_versions_table.py")
    checked = notes.of(os.path.join(folder, "dependency_versions_check.py"), checked_at_import)
    table = notes.of(table_path, dependency_table)
    if checked is None or table is None:
        return None
    result = []
    for name, optional in checked:
        if name in table and name != "python":
            entry = {"requirement": table[name], "if_installed": optional, "source": table_path}
            if optional:
                utils = os.path.join(folder, "utils", "import_utils.py")
                entry.update(notes.of(utils, guard, name) or {})
            result.append(entry)
    return result


def guard(text: str, name: str) -> dict:
    """What ``is_<name>_available`` asks for besides the package: other backends, a least release.

    ``{"guard_needs", "guard_least"}``.
    """
    match = re.search(
        rf"^def is_{re.escape(name)}_available\((.*?)\).*?(?=^\S)", text, re.MULTILINE | re.DOTALL
    )
    if not match:
        return {}
    default = re.search(r"min_version[^=,]*=\s*(?:\"([\d.]+)\"|'([\d.]+)'|(\w+))", match.group(1))
    least = default and (default.group(1) or default.group(2))
    if default and default.group(3):
        constant = re.search(rf"^{default.group(3)}\s*=\s*[\"']([\d.]+)[\"']", text, re.MULTILINE)
        least = constant and constant.group(1)
    return {
        "guard_needs": re.findall(r"not is_(\w+)_available\(\)", match.group(0)),
        "guard_least": least,
    }


def module_suffices(text: str) -> bool | None:
    """Whether a package is available by its module alone, its metadata unread.

    Releases of transformers up to 4 ask for the metadata of every package, and take one without for
    absent; later ones do so only where they want a version. Null if it is not told.
    """
    match = re.search(r"^def _is_package_available\b.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    if not match:
        return None
    return re.search(r"if package_exists and return_version\b", match.group(0)) is not None


def dependency_table(text: str) -> dict[str, str] | None:
    """The requirement strings by name (``deps``)."""
    table = source.literal(source.assigned(text, "deps"))
    return {str(key): str(table[key]) for key in table} if isinstance(table, dict) else None


def checked_at_import(text: str) -> list[list] | None:
    """``[name, optional]`` for each name that is checked.

    Those that the loop compares by name and then passes over are checked only where installed.
    """
    tree = source.parse(text)
    names: object = None
    optional: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Tuple)):
            names = source.literal(node.value)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            compared = node.test.comparators[0]
            skips = any(isinstance(inner, ast.Continue) for inner in ast.walk(node))
            if skips and isinstance(compared, ast.Constant) and isinstance(compared.value, str):
                optional.add(compared.value)
    if not isinstance(names, (list, tuple)):
        return None
    return [[str(name), name in optional] for name in names]


def torchvision_needs_torch(text: str) -> bool | None:
    """Whether transformers takes torchvision for available only where torch is too.

    Where it does not, a torchvision without torch is imported, and fails. Null if it is not told.
    """
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

    def __init__(self, folder: str, notes: Notes) -> None:
        self._notes = notes
        self._rules_path = os.path.join(folder, "utils", "import_utils.py")

    def of(self, path: str, class_name: str) -> list[str] | None:
        """The backends that the class in the file at ``path`` needs; null if it cannot be told."""
        rules = self._notes.of(self._rules_path, rules_source)
        if rules is None:
            return None
        stem = os.path.basename(path)[: -len(".py")]
        found = self._notes.of(path, backends_of, stem, class_name, *rules)
        return list(found) if found is not None else None


def rules_source(text: str) -> list[str] | None:
    """The source of ``BASE_FILE_REQUIREMENTS``, and of the patterns that its tests may use."""
    rules = source.assigned(text, "BASE_FILE_REQUIREMENTS")
    if not isinstance(rules, ast.Dict):
        return None
    patterns = re.findall(
        r"^\w+ = re\.compile\(r?['\"].+?['\"](?:, re\.\w+)?\)$", text, re.MULTILINE
    )
    return [ast.unparse(rules), "\n".join(patterns)]


def backends_of(text: str, stem: str, class_name: str, rules: str, patterns: str) -> list | None:
    """The backends of one class by the rules; null where a rule is not understood."""
    compiled = dict(re.findall(r"^(\w+) = re\.compile\(r?['\"](.+?)['\"]", patterns, re.MULTILINE))
    table = ast.parse(rules, mode="eval").body
    assert isinstance(table, ast.Dict)
    needed: set[str] = set()
    for test, backends in zip(table.keys, table.values):
        if not isinstance(test, ast.Lambda):
            return None
        parameters = [argument.arg for argument in test.args.args]
        verdict = source.predicate(test.body, dict(zip(parameters, (stem, text))), compiled)
        if verdict is None:
            return None
        if verdict:
            needed.update(source.literal(backends) or ())  # type: ignore[call-overload]
            break
    decorated = re.search(
        r"^@requires\(\s*backends=\(([^)]*)\)\s*,?\s*\)\s*\n(?:@.*\n)*class "
        + re.escape(class_name)
        + r"\b",
        text,
        re.MULTILINE,
    )
    if decorated:
        needed.update(re.findall(r"['\"]([\w.>=]+)['\"]", decorated.group(1)))
    return sorted(needed)


def tokenizer_module(finder: Finder, notes: Notes, question: dict) -> str | None:
    """The package of the tokenizer class that the model names, or that its type has by the table.

    transformers imports it by the table (``tokenizer_class_from_name``). Null where neither tells.
    """
    folder = finder.package_folder("transformers")
    table = folder and notes.of(
        os.path.join(folder, "models", "auto", "tokenization_auto.py"), tokenizer_table
    )
    if not table:
        return None
    named = question.get("tokenizer_class") or table.get((question.get("model_type") or "").lower())
    if not named:
        return None
    # The class of many types has the name of the one that it is defined for.
    plain = str(named).removesuffix("Fast").removesuffix("Tokenizer").lower()
    for model_type, class_name in table.items():
        if model_type.replace("_", "") == plain and class_name.startswith(str(named)[: len(plain)]):
            return "transformers.models." + model_type
    return None


def tokenizer_table(text: str) -> dict[str, str]:
    """The first tokenizer class of each model type, as one pair a type is written there."""
    pairs = re.findall(r"\(\s*['\"]([\w-]+)['\"],\s*\(?\s*['\"](\w+)['\"]", text)
    return {model_type: class_name for model_type, class_name in pairs if "Token" in class_name}


def image_processors(folder: str, notes: Notes) -> dict[str, list]:
    """The image processor classes by model type, as ``[backend, class name]`` in their order.

    From transformers 5.18 on part of the table is in ``auto_mappings.py``.
    """
    auto = os.path.join(folder, "models", "auto")
    result: dict[str, list] = {}
    for file in ("auto_mappings.py", "image_processing_auto.py"):
        result.update(notes.of(os.path.join(auto, file), image_processor_table) or {})
    return result


def image_processor_table(text: str) -> dict[str, list]:
    """One file's part of the table.

    Up to transformers 5.3 it holds pairs (slow, fast), from 5.4 on dictionaries by backend. "slow"
    stands for ``pil``, "fast" for ``torchvision``.
    """
    result: dict[str, list] = {}
    for name in ("IMAGE_PROCESSOR_MAPPING_NAMES", "MISSING_IMAGE_PROCESSOR_MAPPING_NAMES"):
        table = source.literal(source.assigned(text, name))
        for model_type, classes in (table if isinstance(table, dict) else {}).items():
            pairs: list = []
            if isinstance(classes, str):
                pairs = [("pil", classes)]
            elif isinstance(classes, dict):
                pairs = list(classes.items())
            elif isinstance(classes, (tuple, list)):
                pairs = list(zip(("pil", "torchvision"), classes))
            result[str(model_type)] = [[str(key), value] for key, value in pairs if value]
    return result


def file_of_preparing_class(folder: str, model_type: str, class_name: str) -> str | None:
    """The file that defines an image or video processor: its type's, or that of a name like its."""
    models = os.path.join(folder, "models")
    try:
        others = os.listdir(models)
    except OSError:
        return None
    lowered = class_name.lower()
    alike = [name for name in others if lowered.startswith(name.replace("_", ""))]
    pattern = re.compile(r"^class " + re.escape(class_name) + r"\b", re.MULTILINE)
    for model in (model_type, *sorted(alike, key=len, reverse=True)):
        try:
            files = sorted(os.listdir(os.path.join(models, model)))
        except (OSError, ValueError):
            continue
        for file in files:
            path = os.path.join(models, model, file)
            prepares = file.startswith(("image_processing_", "video_processing_"))
            if prepares and pattern.search(read(path) or ""):
                return path
    return None


def image_processor(
    finder: Finder, notes: Notes, question: dict, processor: dict | None = None
) -> dict | None:
    """Whether the class that the model's ``preprocessor_config.json`` names exists here.

    ``{"named", "exists", "replacement", "source", "lacks", "defaults"}``: the replacement is the
    class that the installed transformers itself has for this model type, or null. ``lacks`` is what
    the processor takes of the class's answer, and the class does not give; ``defaults`` are the
    lengths that it takes where the file names none. Null where the question names no class or there
    is no transformers.
    """
    folder = finder.package_folder("transformers")
    named = question.get("image_processor_type")
    if folder is None or not named:
        return None
    table = image_processors(folder, notes)
    known = {name for classes in table.values() for _, name in classes}
    bare = named[: -len("Fast")] if named.endswith("Fast") else named
    exists = bool({named, bare} & known) or _defined(folder, (named, bare))
    own = [name for _, name in table.get(question.get("model_type") or "", [])]
    return {
        "named": named,
        "exists": exists if table else None,
        # The shortest name is without a backend's suffix: every release with the class knows it.
        "replacement": min(own, key=len, default=None),
        "source": os.path.join(folder, "models", "auto", "image_processing_auto.py"),
        **_held_against(folder, notes, question, processor),
    }


def _held_against(folder: str, notes: Notes, question: dict, processor: dict | None) -> dict:
    """``lacks`` and ``defaults`` of the class that is named; see ``image_processor``."""
    result: dict = {"lacks": None, "defaults": {}}
    if not processor or not processor["reads_image_processor_type"] or not processor["source"]:
        return result
    named = question["image_processor_type"]
    # transformers takes the older kind of name for the same class.
    bare = re.sub("(Fast|FeatureExtractor)$", "", named)
    bare = bare if bare.endswith("ImageProcessor") else bare + "ImageProcessor"
    files = {
        file_of_preparing_class(folder, question.get("model_type") or "", name)
        for name in (named, bare, bare + "Fast")
    } - {None}
    shown = [notes.of(file, preparing_class) for file in sorted(map(str, files))]
    if not shown or None in shown:
        return result
    for one in shown:
        result["defaults"].update(one["defaults"])
    # A class that inherits from another's is not followed; from the common base all have the same.
    if all(one["stands_alone"] for one in shown):
        words = {word for one in shown for word in one["words"]}
        for file in _files(folder, "image_processing_"):
            words |= {*(notes.of(file, preparing_class) or {"words": ()})["words"]}
        for key in notes.of(processor["source"], taken_of_pictures) or ():
            if key not in words:
                result["lacks"] = key
                break
    return result


def _files(folder: str, start: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.startswith(start)]


def preparing_class(text: str) -> dict:
    """Of a file with a class that prepares pictures: its words, defaults, and whose heir it is."""
    bases = re.findall(
        r"^class \w+(?:ImageProcessor|ImageProcessorFast|ImageProcessorPil)\((.*?)\)", text, re.M
    )
    defaults = re.findall(
        r"^\s+(patch_size|merge_size|temporal_patch_size)(?:: int)? = (\d+),?$", text, re.M
    )
    return {
        "words": sorted(set(re.findall(r"""["'](\w+)["']""", text))),
        "defaults": {name: int(value) for name, value in defaults},
        "stands_alone": bool(bases) and all("Base" in base or "Backend" in base for base in bases),
    }


def taken_of_pictures(text: str) -> list[str]:
    """What a processor takes of its image processor's answer without asking whether it is there."""
    taken = re.findall(r"""image_inputs(?:\[|\.pop\()["'](\w+)["'][\])]""", text)
    return [
        key
        for key in dict.fromkeys(taken)
        if not re.search(f"[\"']{key}[\"'] in image_inputs|\\.get\\([\"']{key}[\"']", text)
    ]


def video_processor(finder: Finder, notes: Notes, question: dict) -> dict | None:
    """The same of the class that ``video_preprocessor_config.json`` names."""
    folder = finder.package_folder("transformers")
    named = question.get("video_processor_type")
    if folder is None or not named:
        return None
    path = os.path.join(folder, "models", "auto", "video_processing_auto.py")
    pairs = notes.of(path, video_processors) or {}
    exists = named in pairs.values() or _defined(folder, (named,), ("video_processing_",))
    return {
        "named": named,
        "exists": exists if pairs else None,
        "replacement": pairs.get(question.get("model_type") or ""),
        "source": path,
    }


def video_processors(text: str) -> dict[str, str]:
    """The video processor of each model type (``VIDEO_PROCESSOR_MAPPING_NAMES``)."""
    return dict(re.findall(r'\(\s*"(\w+)",\s*"(\w+VideoProcessor)"', text))


def _defined(
    folder: str,
    names: tuple[str, ...],
    files_of: tuple[str, ...] = ("image_processing_", "feature_extraction_"),
) -> bool:
    """Whether any preparing file of transformers defines a class of one of these names."""
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
            if not file.startswith(files_of):
                continue
            if pattern.search(read(os.path.join(models, model, file)) or ""):
                return True
    return False
