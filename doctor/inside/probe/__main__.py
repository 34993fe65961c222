"""Look at the environment of the interpreter that runs this folder, and print what was seen.

The doctor starts it as ``python -I -S <this folder> <marker> <question>``: isolated and without
``site``, so that no ``sitecustomize``, no ``.pth`` code and no module on ``PYTHONPATH`` runs. The
question is a JSON object (see ``answer``); the answer is one JSON object between two marker lines,
so that anything else on standard output does no harm. Standard library only, Python 3.9 and newer.
"""

from __future__ import annotations

import gc
import json
import sys


def answer(question: dict) -> dict:
    """Everything that the doctor asks of an environment, as one JSON object.

    ``question`` holds ``model_type``, ``processor_class`` and ``image_processor_type`` (strings or
    null: what the model's files say), ``modules`` (the names to find) and ``notes`` (the file
    that keeps what was read in source files, or null).
    """
    import calls
    import damage
    import distributions
    import imports
    import interpreter
    import modules
    import processors
    import transformers_tables
    from notes import Notes

    search_path = interpreter.search_path()
    finder = modules.Finder(search_path)
    notes = Notes(question["notes"])
    found, leftovers = distributions.find(search_path)
    processor = processors.processor(finder, notes, question)
    starts = processors.starts(finder, notes, question, processor)
    incomplete = distributions.incomplete(found)
    traced = None
    if starts:
        tracer = imports.follow(finder, notes, starts, incomplete)
        module = processors.model_module(finder, notes, question)
        misfits = calls.follow(finder, notes, tracer, module, question["model_type"])
        traced = {**tracer.summary(), "misfits": misfits}
    result = {
        "interpreter": interpreter.describe(search_path),
        "distributions": found,
        "leftovers": leftovers,
        "modules": {name: finder.find(name) for name in question["modules"]},
        "builds": {name: modules.build(finder, name) for name in ("torch", "torchvision")},
        "transformers": transformers_tables.describe(finder, notes),
        "processor": processor,
        "image_processor": transformers_tables.image_processor(finder, notes, question),
        "supported_model_types": processors.supported_model_types(finder, notes),
        "imports": traced,
        "damaged": damage.find(found, notes, traced["reached"]) if traced else [],
    }
    notes.save()
    return result


def main() -> int:
    gc.disable()  # so short a life makes no garbage worth collecting
    marker, question = sys.argv[1], json.loads(sys.argv[2])
    text = json.dumps(answer(question), ensure_ascii=False)
    whole = "\n" + marker + "\n" + text + "\n" + marker + "\n"
    # File names that are no text have to become some.
    sys.stdout.buffer.write(whole.encode("utf-8", "replace"))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
