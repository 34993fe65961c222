"""Look at the environment of the interpreter that runs this folder, and print what was seen.

The doctor starts it as ``python -I -S <this folder> <marker> <notes>``: isolated and without
``site``, so that no ``sitecustomize``, no ``.pth`` code and no module on ``PYTHONPATH`` runs. It
begins with what does not depend on a model. The question then comes on standard input, a JSON
object (see ``answer``); the answer is one JSON object between two marker lines, so that anything
else on standard output does no harm. Standard library only, Python 3.9 and newer.
"""

from __future__ import annotations

import codecs
import gc
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def answer(notes_path: str, ask: Callable[[], dict]) -> dict:
    """Everything that the doctor asks of an environment, as one JSON object.

    ``notes_path`` is the file that keeps what was read in source files, or empty. ``ask`` waits for
    the question, which holds ``model_type``, ``processor_class`` and ``image_processor_type``
    and ``video_processor_type`` (strings or
    null: what the model's files say; see ``processors.processor``), ``purpose`` (``image``,
    ``video`` or ``server``), ``modules`` (the names to find) and ``folder`` (the user's current
    one, or null).
    ``config`` is the content of the model's config.json, or null (see ``parameters``).
    ``survey``, where it is there, holds further questions about models (see ``model_survey``).
    """
    import damage
    import disk
    import distributions
    import followed
    import interpreter
    import manager
    import modules
    import processors
    import shadows
    import startup
    import transformers_tables
    from notes import Notes

    search_path = interpreter.search_path()
    finder = modules.Finder(search_path)
    notes = Notes(notes_path or None)
    found, leftovers = distributions.find(search_path, notes)
    started = startup.find(search_path, finder, notes, damage.roots(found, notes))
    if startup.extend(search_path, started):
        finder = modules.Finder(search_path)
        found, leftovers = distributions.find(search_path, notes)
    distributions.add_tags(found, notes)
    described = transformers_tables.describe(finder, notes)
    closed = transformers_tables.closed(finder, described)
    question = ask()
    managed_by = manager.find(found, notes, question.get("folder"))
    if managed_by and managed_by["kind"] in ("conda", "pixi"):
        manager.add_conda(found, notes)
    processor = processors.processor(finder, notes, question)
    starts = processors.starts(finder, notes, question, processor)
    incomplete = distributions.incomplete(found)
    backends = processors.backends(processor)
    starts += [name for name in backends if finder.find(name)] if starts else []
    incomplete += [name for name in backends if name != "torch"]  # torch is too large to follow
    module = processors.model_module(finder, notes, question)
    outdated = distributions.outdated(found)
    asked = (starts, incomplete, closed, outdated, module, question["model_type"])
    noted = followed.follow(finder, notes, *asked) if starts else None
    traced = noted["imports"] if noted else None
    loaded = traced["modules"] if traced else {}
    expected = damage.expected(found, notes, traced) if traced else []
    changed = damage.find(expected, notes, finder)
    near = damage.around(found, notes, traced) if traced else frozenset(["mlx_vlm"])
    hiding = shadows.find(search_path, finder, notes, found, loaded, expected, near)
    taken: set = set()
    misfits: list = []
    if noted and not (changed or hiding or started):
        traced, misfits = noted["with_calls"], noted["misfits"]
    elif traced:
        import calls  # only where files are in doubt, or more is asked than is noted
        import imports

        doubt = None
        doubtful = damage.modules(changed)
        if hiding or doubtful or any(file["kind"] == "compiled" for file in changed):
            near_by = not hiding and followed.FOLLOWED.issuperset(damage.tops(changed))
            doubt = imports.Doubt(
                modules={**doubtful, **shadows.modules(hiding)},
                whole=frozenset(shadow["module"] for shadow in hiding),
                around=frozenset() if near_by else near | shadows.around(hiding, finder),
            )
            starts += [name for name in doubtful if processors.is_configuration(name, question)]
            starts = shadows.starts(hiding) + starts
        tracer = imports.follow(finder, notes, starts, incomplete, doubt, closed, outdated)
        misfits = calls.follow(finder, notes, tracer, module, question["model_type"])
        traced, taken = tracer.summary(), tracer.taken()
        damage.judge(changed, traced, finder, starts)
        shadows.judge(hiding, traced)
    elif hiding:
        # There is no trace where what has the name of mlx_vlm is no package.
        shadows.judge(hiding, {"modules": {}, "problems": [shadows.NOT_MLX_VLM]})
    startup.judge(started, loaded, taken)
    hiding += shadows.here(question.get("folder"), finder, near)
    lacking: list = []
    if traced and "torch" in traced["reached"] and sys.platform == "linux":
        import libraries  # only where torch is loaded

        core = finder.find("torch._C")
        sites = [entry["path"] for entry in search_path if entry["kind"] == "site-packages"]
        lacking = libraries.missing([core["origin"]], sites) if core else []
    asks_loader = "LD_LIBRARY_PATH" in os.environ or "DYLD_LIBRARY_PATH" in os.environ
    if asks_loader:
        import libraries  # only where somebody directs the loader
    asks_parameters = bool(question.get("config"))
    if asks_parameters:
        import parameters  # only where the model is here
    own = interpreter.describe(search_path)
    result = {
        "interpreter": own,
        "stray_libraries": libraries.strays(finder) if asks_loader else [],
        "conda": distributions.of_conda(sys.prefix),
        "manager": managed_by,
        "foreign_scripts": distributions.foreign_scripts(own["scripts"], sys.executable),
        "distributions": found,
        "leftovers": leftovers,
        "modules": {name: finder.find(name) for name in question["modules"]},
        "builds": {name: modules.build(finder, name) for name in ("torch", "torchvision")},
        "transformers": described,
        "processor": processor,
        "image_processor": transformers_tables.image_processor(finder, notes, question, processor),
        "video_processor": transformers_tables.video_processor(finder, notes, question),
        "supported_model_types": processors.supported_model_types(finder, notes),
        "imports": traced
        and {
            **{key: traced[key] for key in ("reached", "problems", "unknown")},
            "misfits": misfits,
        },
        "damaged": changed,
        "newest_file_ns": notes.newest or None,
        "shadows": hiding,
        "startup": started,
        "parameters": parameters.of_model(finder, notes, question) if asks_parameters else None,
        "missing_libraries": lacking,
        "mlx_library": modules.mlx_library(finder),
        "torch_bytes": disk.torch_bytes(found, notes),
    }
    if question.get("survey"):
        import model_survey

        result["survey"] = model_survey.survey(finder, notes, question["survey"])
    notes.save()
    return result


def undecoded(error):
    """The bytes of a name that are no UTF-8, as they are written within a text of JSON."""
    letters = (ord(letter) - 0xDC00 for letter in error.object[error.start : error.end])
    return "".join(f"\\\\x{byte:02x}" if byte >= 0x80 else "?" for byte in letters), error.end


def main() -> None:
    codecs.register_error("undecoded", undecoded)
    gc.disable()  # so short a life makes no garbage worth collecting
    marker, notes_path = sys.argv[1:]
    told = answer(notes_path, lambda: json.loads(sys.stdin.buffer.read()))
    text = json.dumps(told, ensure_ascii=False)
    whole = "\n" + marker + "\n" + text + "\n" + marker + "\n"
    # File names that are no text have to become some, as everywhere: the byte as \xff.
    sys.stdout.buffer.write(whole.encode("utf-8", "undecoded"))
    sys.stdout.flush()
    os._exit(0)  # to free every object first, as Python does when it ends, would cost a tenth


if __name__ == "__main__":
    main()
