"""Which processor a model gets from the installed mlx-vlm and transformers, and what it needs."""

from __future__ import annotations

import ast
import os

import followed
import processor_source
import source
import transformers_tables
from modules import Finder
from notes import Notes
from processor_source import AUTO_CLASSES

AUTO_FILES = {
    "AutoImageProcessor": "image_processing_auto.py",
    "AutoVideoProcessor": "video_processing_auto.py",
}

# Bases of bases; real processors have two at most.
MOST_BASES = 4


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
    return notes.of(os.path.join(folder, "utils.py"), processor_source.remapping_table) or {}


def model_folder(finder: Finder, notes: Notes, model_type: str) -> str | None:
    """The folder of the installed mlx-vlm with the model of a type, whether it is there or not."""
    folder = finder.package_folder("mlx_vlm")
    if folder is None:
        return None
    return os.path.join(folder, "models", _remapping(folder, notes).get(model_type, model_type))


def starts(finder: Finder, notes: Notes, question: dict, processor: dict | None) -> list[str]:
    """The modules that a generation with the asked model type begins with; none without mlx-vlm."""
    mlx_vlm = finder.package_folder("mlx_vlm")
    if mlx_vlm is None:
        return []
    # transformers renders every chat template with jinja2, and asks for it only then
    # (transformers/utils/chat_template_utils.py).
    result = ["mlx_vlm", "mlx_vlm.prompt_utils", "jinja2"]
    # Pillow loads what reads the usual formats when it meets the first picture. It passes over what
    # is not there, which the picture may not need, but not over what is broken (PIL.Image.preinit).
    result += ["PIL.PngImagePlugin", *filter(finder.find, ["PIL.JpegImagePlugin"])]
    model_type = (question.get("model_type") or "").lower()
    module = model_module(finder, notes, question)
    if module:
        result.append(module)
    # The tokenizer's way goes by the type's configuration, wherever transformers knows the type.
    of_type = "transformers.models." + model_type
    if model_type and (finder.find(of_type) or _has_module(finder, notes, model_type)):
        result.append(of_type)
    tokenizer = transformers_tables.tokenizer_module(finder, notes, question)
    if tokenizer:
        result.append(tokenizer)
    if processor and processor["provider"] == "transformers":
        folder, file = os.path.split(processor["source"][: -len(".py")])
        result.append("transformers.models." + os.path.basename(folder) + "." + file)
    return result + _starts_for(finder, notes, mlx_vlm, question.get("purpose") or "image")


def _has_module(finder: Finder, notes: Notes, model_type: str) -> bool:
    """Whether transformers' tables promise a module that has the name of the type."""
    auto = os.path.join(finder.package_folder("transformers") or "", "models", "auto")
    return (
        model_type.isidentifier()
        and model_type in _types(auto, notes, processor_source.configuration_types)
        and model_type not in _types(auto, notes, processor_source.types_of_other_modules)
    )


def _types(auto: str, notes: Notes, reader) -> set[str]:  # type: ignore[no-untyped-def]
    """What a reader finds in the files that may hold transformers' table of configurations."""
    files = ("auto_mappings.py", "configuration_auto.py")
    return {one for file in files for one in notes.of(os.path.join(auto, file), reader) or ()}


def _starts_for(finder: Finder, notes: Notes, mlx_vlm: str, purpose: str) -> list[str]:
    """What videos or the server begin with, besides what a picture does."""
    if purpose == "server":
        # Up to 0.4 a module; then a package, whose `main` imports the command line when it runs.
        modules = ["mlx_vlm.server", "mlx_vlm.server.cli"]
        return modules[:1] + [module for module in modules[1:] if finder.find(module)]
    if purpose == "video":
        # Up to 0.6 videos have a module of their own; from 0.5 on `utils` reads them.
        path = os.path.join(mlx_vlm, "utils.py")
        own = ["mlx_vlm.video_generate"]
        reads = notes.of(path, processor_source.video_imports) or []
        return [module for module in own if finder.find(module)] + reads
    return []


def backends(processor: dict | None) -> list[str]:
    """Those of torch and torchvision that the processor imports: torch first, as they do."""
    needed = {name for need in (processor or {}).get("needs", ()) for name in need["backends"]}
    return [name for name in ("torch", "torchvision") if name in needed]


def is_configuration(module: str, question: dict) -> bool:
    """Whether this is transformers' configuration of the asked model type: it is loaded lazily."""
    model_type = (question.get("model_type") or "").lower()
    return module == f"transformers.models.{model_type}.configuration_{model_type}"


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
    "reads_preprocessor_config", "unknown", "fails", "packages", "sees", "prompts",
    "takes_videos", "settings", "names_tokenizer"}``. ``needs`` lists
    ``{"class_name", "backends", "source"}``. ``unknown`` is the reason where it could not be told;
    then nothing may be concluded. ``fails`` is why loading ends in an error that no backend helps
    with, ``packages`` are those that it asks for and that are not there. ``sees`` tells whether a
    picture would reach the model, ``prompts`` whether mlx-vlm makes a prompt with a picture for
    this type; null where they could not be told. ``settings`` are those of ``SETTINGS`` that
    mlx-vlm's own processor mentions, ``names_tokenizer`` tells that the tokenizer's class is the
    one that the processor names. Null where mlx-vlm or transformers is not there or no model type
    was asked for.

    The question's ``processor_class``, ``image_processor_type``, ``remote_processor`` and
    ``remote_config`` are what the model's files name; ``files_read`` tells that they were read, so
    that null means that they name none.
    """
    mlx_vlm = finder.package_folder("mlx_vlm")
    transformers = finder.package_folder("transformers")
    model_type = question.get("model_type")
    if not (mlx_vlm and transformers and model_type):
        return None
    asked = {**question, "model_type": model_type.lower()}
    module = _remapping(mlx_vlm, notes).get(asked["model_type"], asked["model_type"])
    answer = _Loading(finder, notes, mlx_vlm, transformers, asked, module).answer()
    answer["prompts"] = _prompts(mlx_vlm, notes, asked["model_type"])
    return answer


def _prompts(mlx_vlm: str, notes: Notes, model_type: str) -> bool | None:
    """Whether mlx-vlm makes a prompt with a picture for a model type."""
    table = notes.of(os.path.join(mlx_vlm, "prompt_utils.py"), processor_source.prompt_types)
    if table is None:
        return None
    types, refuses = table
    return True if model_type in types else False if refuses else None


class _Loading:
    """What ``mlx_vlm.load`` does to get the processor of one model, followed in the source.

    Its own processor for the model type comes first. Where that fails, or there is none, the
    ``AutoProcessor`` of transformers goes on: by the class that the model's files name, by its own
    table, and at last, without a word, with the tokenizer alone.
    """

    def __init__(
        self,
        finder: Finder,
        notes: Notes,
        mlx_vlm: str,
        transformers: str,
        question: dict,
        module: str,
    ) -> None:
        self._finder = finder
        self._notes = notes
        self._mlx_vlm = mlx_vlm
        self._transformers = transformers
        self._question = question
        self._model_type = question["model_type"]
        self._folder = os.path.join(mlx_vlm, "models", module)
        self._backends = transformers_tables.Backends(transformers, notes)

    def answer(self) -> dict:
        registered, own = self._registered()
        described = self._describe(own, "mlx-vlm") if own else None
        if described and not described["unknown"] and not self._lacks(described):
            return described
        if described and self._is_patched(own):
            return described
        if registered == "AutoTokenizer":
            return self._tokenizer_alone(registered, "mlx-vlm loads the tokenizer alone for it")
        # mlx-vlm passes over the error of its own, and transformers goes on.
        name = self._question.get("processor_class") or self._class_of_table()
        path = self._find_class(name) if name else None
        if name and path:
            other = self._describe((path, name), "transformers")
            loads = not (other["unknown"] or other["fails"] or self._lacks(other))
            return other if described is None or loads else described
        by_name = self._registered_by_name(name)
        if by_name:
            return self._describe(by_name, "mlx-vlm")
        if described:
            return described
        if registered:
            return _answer(registered, unknown="what mlx-vlm registers for it could not be read")
        return self._without_class(name)

    def _lacks(self, described: dict) -> bool:
        """Whether a processor cannot be loaded, since something that it needs is not there."""
        backends = {name for need in described["needs"] for name in need["backends"]}
        return any(self._finder.find(name) is None for name in backends) or bool(
            described["packages"]
        )

    def _without_class(self, name: str | None) -> dict:
        """Neither mlx-vlm nor transformers has a processor class for this model."""
        if not (self._question.get("files_read") or self._question.get("processor_class")):
            reason = "neither mlx-vlm nor transformers shows a processor for it"
            return _answer(name, unknown=reason)
        if self._question.get("remote_processor"):
            return _answer(
                name,
                fails="its processor is code of its own repository, and mlx-vlm does not run that "
                "unless it is told to (trust_remote_code)",
            )
        auto = os.path.join(self._transformers, "models", "auto")
        if name is None and not self._notes.of(
            os.path.join(auto, "processing_auto.py"),
            processor_source.survives_unknown_configurations,
        ):
            known = _types(auto, self._notes, processor_source.configuration_types)
            if self._model_type not in known:
                return _answer(
                    name,
                    fails="its configuration is code of its own repository, and mlx-vlm does not "
                    "run that unless it is told to (trust_remote_code)"
                    if self._question.get("remote_config")
                    else "transformers does not know this type, and no file names a processor",
                )
        return self._tokenizer_alone(name, "no processor class is known for it")

    def _tokenizer_alone(self, name: str | None, reason: str) -> dict:
        """Where the tokenizer is all that is loaded; mlx-vlm may put pictures in by itself."""
        bound = self._notes.of(os.path.join(self._folder, "__init__.py"), processor_source.binds)
        if bound is None or not os.path.basename(self._folder).isidentifier():
            return _answer(name, unknown=reason)
        sees = "ImageProcessor" in bound
        return {**_answer(name), "provider": "mlx-vlm" if sees else None, "sees": sees}

    def _is_patched(self, found: tuple[str, str] | None) -> bool:
        shown = self._notes.of(found[0], processor_source.outline, found[1]) if found else None
        return bool(shown and shown["patched"] and shown["calls_original"] is None)

    def _files(self) -> list[str]:
        try:
            return [
                os.path.join(self._folder, file)
                for file in sorted(os.listdir(self._folder))
                if file.endswith(".py")
            ]
        except (OSError, ValueError):
            return []

    def _registered(self) -> tuple[str | None, tuple[str, str] | None]:
        """The processor class that a model's folder in mlx-vlm installs for it.

        Its name, and the file and class where mlx-vlm defines or changes it itself.
        """
        registered: str | None = None
        for path in self._files():
            for types, name in self._notes.of(path, processor_source.registrations) or ():
                if self._model_type not in types:
                    continue
                registered = name
                found = self._definition(path, name)
                if found:
                    return name, found
        return registered, None

    def _registered_by_name(self, name: str | None) -> tuple[str, str] | None:
        """The class that a model's folder adds to transformers' table under its own name."""
        for path in self._files():
            for added in self._notes.of(path, processor_source.registered_by_name) or ():
                named = added == name or (name is None and not self._question.get("files_read"))
                found = self._definition(path, added) if named else None
                if found:
                    return found
        return None

    def _definition(self, path: str, name: str, depth: int = 3) -> tuple[str, str] | None:
        """The file that defines a class, following relative imports within mlx-vlm."""
        if self._notes.of(path, processor_source.outline, name):
            return path, name
        alias = self._notes.of(path, processor_source.alias_of, name) if depth else None
        if alias:
            return self._definition(path, alias, depth - 1)
        relative = self._notes.of(path, processor_source.relative_imports) or ()
        for level, module, names in relative if depth else ():
            for original, here in names:
                if here != name:
                    continue
                folder = path
                for _ in range(level):
                    folder = os.path.dirname(folder)
                target = os.path.join(folder, *module.split("."))
                for candidate in (target + ".py", os.path.join(target, "__init__.py")):
                    found = self._definition(candidate, original, depth - 1)
                    if found:
                        return found
        return None

    def _class_of_table(self) -> str | None:
        """The class that transformers' own table gives for a model type."""
        for file in ("auto_mappings.py", "processing_auto.py"):
            path = os.path.join(self._transformers, "models", "auto", file)
            table = self._notes.of(path, processor_source.processor_table) or {}
            if self._model_type in table:
                return str(table[self._model_type])
        return None

    def _find_class(self, class_name: str) -> str | None:
        """The file of transformers that defines a processor: its type's own, else any model's."""
        models = os.path.join(self._transformers, "models")
        try:
            folders = [self._model_type, *sorted(os.listdir(models))]
        except OSError:
            return None
        for model in folders:
            path = os.path.join(models, model, "processing_" + model + ".py")
            if self._notes.of(path, processor_source.outline, class_name):
                return path
        return None

    def _outline(self, path: str, name: str, depth: int = MOST_BASES) -> dict | None:
        """How a class is loaded, by itself or by a class that it inherits from.

        As ``processor_source.outline``, with ``path``, where the loader stands (empty for that of
        ``ProcessorMixin``); null where it cannot be told.
        """
        shown = self._notes.of(path, processor_source.outline, name)
        if shown is None:
            return None
        if shown["loads_itself"]:
            return {**shown, "path": path}
        if "ProcessorMixin" in shown["bases"]:
            return {**shown, "path": ""}
        for base in shown["bases"] if depth else ():
            found = self._definition(path, base) if base != name else None
            inherited = found and self._outline(*found, depth - 1)
            if inherited is None:
                other = self._find_class(base)
                inherited = self._outline(other, base, depth - 1) if other else None
            if inherited:
                return {
                    **inherited,
                    "attributes": shown["attributes"] or inherited["attributes"],
                    "parts": {**inherited["parts"], **shown["parts"]},
                    "reads_file": shown["reads_file"] or inherited["reads_file"],
                }
        return None

    def _describe(self, found: tuple[str, str], provider: str) -> dict:
        """Of what a processor is composed, and which backends those parts need."""
        path, name = found
        shown = self._outline(path, name)
        if shown is None:
            return _answer(name, unknown="how it is loaded could not be read")
        if shown["calls_original"] is not None:
            kept = self._keeps_replacement(path, shown["calls_original"])
            if kept is None:
                reason = "mlx-vlm changes how a class of transformers is loaded"
                return _answer(name, unknown=reason)
            original = None if kept else self._find_class(name)
            if original:
                return self._describe((original, name), "transformers")
        defined = self._find_class(name) if shown["patched"] else path
        needs = []
        if provider == "transformers" or shown["patched"]:
            # What transformers requires of the processor class itself (``@requires``).
            backends = self._backends.of(defined, name) if defined else None
            needs.append(
                {
                    "class_name": name,
                    "backends": _of_torch(backends or ()),
                    "source": defined or path,
                }
            )
        used = self._used(shown)
        for class_name in used:
            need = self._need(class_name, shown["path"])
            if need is None:
                return _answer(name, unknown="what " + class_name + " needs could not be told")
            needs.append(need)
        takes_class = "AutoImageProcessor" in used
        asked = (
            self._notes.of(defined, processor_source.asks_for_packages, name) if defined else None
        )
        called = self._notes.of(path, processor_source.call_outline, name) or {"takes": []}
        pictures = {"image_processor", "images", "image"} & {*shown["attributes"], *called["takes"]}
        refused = self._refused_keyword(found, used) if provider == "mlx-vlm" else None
        return {
            **_answer(name),
            "fails": refused
            and f"mlx-vlm calls it with `{refused}`, it hands that on to its image processor, and "
            "this transformers refuses it",
            "provider": provider,
            "source": path,
            "needs": [need for need in needs if need["backends"]],
            "packages": [name for name in asked or () if self._finder.find(name) is None],
            "reads_image_processor_type": takes_class,
            "reads_preprocessor_config": takes_class or shown["reads_file"],
            "sees": True if pictures or used else None,
            "takes_videos": shown["videos"],
            "names_tokenizer": not shown["loads_itself"]
            and self._takes_named_classes()
            and shown["parts"].get("tokenizer", ["AutoTokenizer"]) != ["AutoTokenizer"],
            "settings": self._notes.of(path, settings_mentioned)
            if provider == "mlx-vlm" and not takes_class
            else None,
        }

    def _keeps_replacement(self, path: str, flag: str) -> bool | None:
        """Whether a changed loader goes its own way, and not back to the original."""
        deciding = None if flag == "always" else self._notes.of(path, processor_source.flag, flag)
        if deciding is None:
            return None
        for module, _ in deciding:
            loads = followed.loads(self._finder, self._notes, module)
            if not loads:
                return loads
        return True

    def _used(self, shown: dict) -> list[str]:
        """The classes without which it cannot be loaded, or not be used for videos.

        A class with a ``from_pretrained`` of its own uses those that it names there. Those that it
        asks for in a ``try`` count where the processor has them among its attributes, since a
        processor of transformers refuses a part that is null. Other classes are loaded by
        ``ProcessorMixin``, which takes the parts that the class or its ``__init__`` names.
        """
        attributes = shown["attributes"]
        videos = self._question.get("purpose") == "video"
        if shown["loads_itself"]:
            return [
                *shown["free"],
                *(
                    class_name
                    for attribute, class_name in AUTO_CLASSES.items()
                    if class_name in shown["guarded"]
                    and class_name not in shown["free"]
                    # A processor that survives without its part for videos has none then.
                    and (attribute in attributes or (videos and attribute == "video_processor"))
                ),
            ]
        by_name = self._takes_named_classes()
        used = []
        for attribute in attributes:
            if attribute not in AUTO_CLASSES:
                continue
            named = shown["parts"].get(attribute) if by_name else None
            # Of a slow and a fast class it takes the slow one, unless it is asked for the fast.
            fast = named and len(named) > 1 and named[1] and self._asks_for_fast()
            taken = named and (named[1] if fast else named[0])
            used.append(str(taken) if taken else AUTO_CLASSES[attribute])
        return used

    def _takes_named_classes(self) -> bool:
        return bool(
            self._notes.of(
                os.path.join(self._transformers, "processing_utils.py"),
                processor_source.takes_named_classes,
            )
        )

    def _asks_for_fast(self) -> bool:
        return bool(self._notes.of(os.path.join(self._mlx_vlm, "utils.py"), asks_for_fast))

    def _need(self, class_name: str, loader: str) -> dict | None:
        """What a class that prepares pictures or videos needs; null where it cannot be told.

        ``loader`` is the file of the function that uses it; empty where ``ProcessorMixin`` does.
        """
        if class_name not in AUTO_FILES:
            if loader and self._definition(loader, class_name):
                return {"class_name": class_name, "backends": [], "source": loader}
            path = self._file_of(class_name)
            backends = self._backends.of(path, class_name) if path else []
            if backends is None:
                return None
            if "torchvision" in backends and self._has_replacement(class_name):
                backends = []
            return {
                "class_name": class_name,
                "backends": _of_torch(backends),
                "source": path or loader,
            }
        path = os.path.join(self._transformers, "models", "auto", AUTO_FILES[class_name])
        backends = self._backends.of(path, class_name)
        if backends is None:
            return None
        needed = _of_torch(backends)
        # From transformers 5.3 on ProcessorMixin takes the auto classes past the placeholders.
        past = not loader and self._notes.of(
            os.path.join(self._transformers, "processing_utils.py"),
            processor_source.takes_classes_from_their_files,
        )
        if class_name == "AutoImageProcessor" and (past or not needed):
            # The auto class is there. Is one of the classes that it would take?
            needs = [
                _of_torch(self._backends.of(file, one) or ())
                for one, file in self._image_processors()
                if file
            ]
            needed = next((need for need in needs if not need), needs[0] if needs else [])
        return {"class_name": class_name, "backends": needed, "source": path}

    def _image_processors(self) -> list[tuple[str, str | None]]:
        """The classes that ``AutoImageProcessor`` chooses from, with their files.

        Those of the table's row with the class that the model's files name, else those of the
        model type's row.
        """
        table = transformers_tables.image_processors(self._transformers, self._notes)
        named = self._question.get("image_processor_type") or ""
        bare = named[: -len("Fast")] if named.endswith("Fast") else named
        row = table.get(self._model_type, [])
        if bare and not {named, bare} & {name for _, name in row}:
            row = next(
                (
                    classes
                    for classes in table.values()
                    if {named, bare, bare + "Fast"} & {name for _, name in classes}
                ),
                row,
            )
        return [(name, self._file_of(name)) for _, name in row]

    def _file_of(self, class_name: str) -> str | None:
        return transformers_tables.file_of_preparing_class(
            self._transformers, self._model_type, class_name
        )

    def _has_replacement(self, class_name: str) -> bool:
        """Whether transformers gives out the class with ``Pil`` to its name in this one's place."""
        path = os.path.join(self._transformers, "utils", "import_utils.py")
        replaces = class_name.endswith("ImageProcessor") and self._notes.of(path, replaces_by_pil)
        return bool(replaces and self._file_of(class_name + "Pil"))

    def _refused_keyword(self, found: tuple[str, str], used: list[str]) -> str | None:
        """A keyword that mlx-vlm calls every processor with and that this one's parts refuse.

        A processor that hands everything on to its image processor needs one that takes it; from
        transformers 5.18 on these refuse what they do not declare.
        """
        path, name = found
        shown = self._notes.of(path, processor_source.call_outline, name)
        checks = self._notes.of(
            os.path.join(self._transformers, "image_processing_utils.py"),
            processor_source.checks_keywords,
        )
        if not (shown and shown["passes_on"] and checks and used):
            return None
        bound = self._notes.of(os.path.join(self._folder, "__init__.py"), processor_source.binds)
        if "ImageProcessor" in (bound or ()) or any(self._definition(path, one) for one in used):
            return None  # an image processor of mlx-vlm's own
        files = [self._file_of(one) for one in used if one not in AUTO_FILES]
        if "AutoImageProcessor" in used:
            files += [file for _, file in self._image_processors()]
        if not files or None in files:
            return None
        files.append(os.path.join(self._transformers, "processing_utils.py"))
        for keyword in self._notes.of(os.path.join(self._mlx_vlm, "utils.py"), call_keywords) or ():
            if keyword in (*shown["takes"], *shown["popped"]):
                continue
            if not any(
                self._notes.of(file, processor_source.declares, keyword) for file in files if file
            ):
                return str(keyword)
        return None


def asks_for_fast(text: str) -> bool:
    """Whether mlx-vlm asks transformers for the fast image processors."""
    return "AutoProcessor.from_pretrained(model_path, use_fast=True" in text


def replaces_by_pil(text: str) -> bool:
    """Whether transformers falls back from a class that is missing to the one for Pillow."""
    return 'f"{name}Pil"' in text


# Settings of preprocessor_config.json that decide what the values of a picture's points become.
SETTINGS = ("do_normalize", "do_rescale", "image_mean", "image_std", "max_pixels", "rescale_factor")


def settings_mentioned(text: str) -> list[str]:
    """Those of ``SETTINGS`` that a file speaks of."""
    return [name for name in SETTINGS if name in text]


def call_keywords(text: str) -> list[str]:
    """The keywords that mlx-vlm calls every processor with (``process_inputs``)."""
    tree = source.parse(text)
    for function in tree.body if tree else ():
        if isinstance(function, ast.FunctionDef) and function.name == "process_inputs":
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                    keys = [source.literal(key) for key in node.value.keys if key is not None]
                    return [str(key) for key in keys]
    return []


def _answer(name: str | None, unknown: str | None = None, fails: str | None = None) -> dict:
    return {
        "name": name,
        "provider": None,
        "source": None,
        "needs": [],
        "reads_image_processor_type": None,
        "reads_preprocessor_config": None,
        "unknown": unknown,
        "fails": fails,
        "packages": [],
        "sees": None,
        "prompts": None,
        "takes_videos": None,
        "settings": None,
        "names_tokenizer": None,
    }


def _of_torch(backends: list[str] | tuple[str, ...]) -> list[str]:
    return [name for name in backends if name in ("torch", "torchvision")]
