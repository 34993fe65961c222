"""Generate with damaged models, one after another, each in its own fork; runs in the target.

``python generation.py`` reads one JSON line a job from standard input, ``{"model": id or folder}``,
and answers each with one line: ``{"error": null or text, "answers": […], "logits": […]}``, the
logarithms of the first token's probabilities for each question. What takes long to import is there
before the fork; MLX is not, since its threads do not survive one. Standard library only besides.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import signal
import sys
import tempfile
import time

# Seconds for one model, and for the first, whose imports are cold. One that takes longer hangs.
LIMIT = 90
FIRST_LIMIT = 600


def answers(model_name: str, pictures: list[dict]) -> dict:
    """The answer to each question and the logits of its first token."""
    import mlx_vlm
    import mlx_vlm.prompt_utils
    import numpy

    model, processor = mlx_vlm.load(model_name)
    texts, logits = [], []
    for picture in pictures:
        prompt = mlx_vlm.prompt_utils.apply_chat_template(
            processor, model.config, picture["prompt"], num_images=1
        )
        text, first = "", None
        for chunk in mlx_vlm.stream_generate(
            model, processor, prompt, image=[picture["image"]], max_tokens=8, temperature=0.0
        ):
            text += chunk.text
            if first is None:
                first = chunk.logprobs
        texts.append(text)
        logits.append([round(float(value), 4) for value in numpy.array(first).reshape(-1)])
    return {"error": None, "answers": texts, "logits": logits}


def child(job: dict, pictures: list[dict], limit: int) -> dict:
    """What a fork says of one model; how it ended where it says nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(limit)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            said = answers(job["model"], pictures)
            if job.get("modules"):
                said["modules"] = [name for name in sys.modules if not name.startswith("mlx")]
        except BaseException as error:
            lines = str(error).strip().splitlines()
            said = {"error": type(error).__name__ + ": " + (lines[0] if lines else "")}
        with os.fdopen(writing, "w") as file:
            json.dump(said, file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    if text:
        said = json.loads(text)
        assert isinstance(said, dict)
        return said
    if status == signal.SIGALRM:
        return {"error": "it hangs"}
    return {"error": "the process crashed (signal " + str(status & 127) + ")"}


def main() -> None:
    # By its file: beside it lie modules with names of the standard library's.
    drawing = importlib.machinery.SourceFileLoader("drawing", sys.argv[1]).load_module()
    folder = tempfile.mkdtemp()
    asked = []
    for number, (what, prompt, _) in enumerate(drawing.examination()[:1]):
        path = os.path.join(folder, str(number) + ".png")
        drawing.draw(what).save(path)
        asked.append({"image": path, "prompt": prompt})
    first = True
    for line in sys.stdin:
        job = json.loads(line)
        started = time.time()
        said = child({**job, "modules": first}, asked, FIRST_LIMIT if first else LIMIT)
        if first and said["error"] is None:
            for name in said.pop("modules"):
                if "mlx.core" not in sys.modules:
                    try:
                        __import__(name)
                    except BaseException:
                        continue
            first = False
            if "mlx.core" in sys.modules:
                said = {"error": "MLX is there before the fork"}
        said["seconds"] = round(time.time() - started, 2)
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
