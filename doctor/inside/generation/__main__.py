"""Generate in stages, through mlx-vlm's public way, and write down what happened.

The doctor starts it as ``python <this folder> <job file> <events file>`` with the target's own
interpreter, as its user would. Each event is one JSON line, written as soon as it is known, so that
a crash or a time-out leaves the stage that it happened in. Standard library only, besides what the
stage under test imports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import traceback

# Lines of a traceback that are kept: the end tells the cause.
TRACEBACK_LINES = 40

# The resize of the Qwen families refuses pictures whose sides are further apart than this
# (smart_resize: "absolute aspect ratio must be smaller than 200").
MOST_ASPECT_RATIO = 200


class Stages:
    """Runs the stages one after another and writes an event before and after each."""

    def __init__(self, events_path: str) -> None:
        self._path = events_path

    def say(self, **event: object) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**event, "at": time.time()}) + "\n")

    def run(self, name: str, step):  # type: ignore[no-untyped-def]
        """The result of ``step``; where it fails, the event tells how, and the program ends."""
        self.say(stage=name, state="started")
        started = time.perf_counter()
        try:
            result = step()
        except BaseException as error:
            lines = traceback.format_exc().splitlines()[-TRACEBACK_LINES:]
            message = str(error).strip().splitlines()
            self.say(
                stage=name,
                state="failed",
                seconds=time.perf_counter() - started,
                error=type(error).__name__ + ": " + (message[0] if message else ""),
                traceback="\n".join(lines),
            )
            sys.exit(1)
        self.say(stage=name, state="passed", seconds=time.perf_counter() - started)
        return result


class Memory:
    """MLX's own account of its memory, by phases: its peak is set back where a phase begins.

    Old releases of mlx have these functions in ``mlx.core.metal``.
    """

    def __init__(self, mx, stages: Stages) -> None:  # type: ignore[no-untyped-def]
        self._mx = mx
        self._stages = stages
        self.peak = 0

    def ask(self, name: str):  # type: ignore[no-untyped-def]
        """What one of MLX's memory functions gives; null where there is none or it refuses."""
        for holder in (self._mx, getattr(self._mx, "metal", None)):
            function = getattr(holder, name, None)
            if function is not None:
                try:
                    return function()
                except Exception:
                    return None
        return None

    def device(self) -> dict:
        """What MLX says of the device that it runs on; the CPU backend says nothing of memory."""
        found = self.ask("device_info")
        return dict(found) if isinstance(found, dict) else {}

    def begin(self, phase: str) -> None:
        self.ask("reset_peak_memory")
        self._stages.say(phase=phase)

    def end(self, phase: str) -> None:
        peak = self.ask("get_peak_memory")
        self.peak = max(self.peak, int(peak or 0))
        self._stages.say(
            memory=phase,
            peak=peak,
            active=self.ask("get_active_memory"),
            cache=self.ask("get_cache_memory"),
        )


def see_apart(model, mx, memory: Memory) -> None:  # type: ignore[no-untyped-def]
    """Make the picture's way through the model's tower a phase of its own.

    MLX works out what it is asked for when it is asked: left alone, the tower runs within the
    prefill. Models without ``get_input_embeddings`` are left alone.
    """
    embed = getattr(model, "get_input_embeddings", None)
    if embed is None:
        return

    def embed_at_once(*args, **kwargs):  # type: ignore[no-untyped-def]
        pixels = kwargs.get("pixel_values", args[1] if len(args) > 1 else None)
        if pixels is None:
            return embed(*args, **kwargs)
        memory.begin("vision")
        result = embed(*args, **kwargs)
        mx.eval(arrays_in(result, mx))
        memory.end("vision")
        memory.begin("prefill")
        return result

    model.get_input_embeddings = embed_at_once


def arrays_in(value, mx) -> list:  # type: ignore[no-untyped-def]
    """The arrays in a result: itself, or what its fields or items are."""
    if isinstance(value, mx.array):
        return [value]
    if isinstance(value, (list, tuple)):
        parts = list(value)
    elif isinstance(value, dict):
        parts = list(value.values())
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    return [array for part in parts for array in arrays_in(part, mx)]


def picture_problem(path: str) -> str | None:
    """Why a picture of the user's cannot be shown to a model, or null."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            image.verify()
    except Exception as error:
        return "it cannot be opened as a picture (" + type(error).__name__ + ")"
    if max(width, height) > MOST_ASPECT_RATIO * min(width, height):
        return f"it is {width} x {height} pixels, and its sides are too far apart"
    return None


def questions(job: dict, folder: str) -> list[dict]:
    """What to ask: ``{"image", "prompt", "expected"}`` each, the pictures drawn into ``folder``.

    The job's own picture or prompt, or what its ``examination`` names: a function of the doctor's
    ``pictures`` that gives pictures, prompts and expected answers.
    """
    if job["image"] is not None and job["prompt"] is not None:
        return [{"image": job["image"], "prompt": job["prompt"], "expected": job["expected"]}]
    spec = importlib.util.spec_from_file_location("vlm_doctor_pictures", job["pictures"])
    assert spec is not None and spec.loader is not None
    pictures = sys.modules["vlm_doctor_pictures"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    result = []
    examine = getattr(pictures, job["examination"] or "examination")
    for number, (what, prompt, expected) in enumerate(examine()):
        path = os.path.join(folder, str(number) + ".png")
        pictures.draw(what).save(path)
        result.append({"image": path, "prompt": prompt, "expected": expected})
    if job["examination"]:
        return result
    first = result[0]
    return [
        {
            "image": job["image"] or first["image"],
            "prompt": job["prompt"] or first["prompt"],
            "expected": job["expected"],
        }
    ]


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    stages = Stages(sys.argv[2])

    def import_libraries():  # type: ignore[no-untyped-def]
        import mlx.core
        import mlx_vlm
        import mlx_vlm.prompt_utils

        return mlx.core, mlx_vlm

    mx, mlx_vlm = stages.run("import", import_libraries)
    problem = picture_problem(job["image"]) if job["image"] is not None else None
    if problem is not None:
        stages.say(picture=problem)
        sys.exit(1)
    memory = Memory(mx, stages)
    stages.say(device=memory.device())

    def load():  # type: ignore[no-untyped-def]
        memory.begin("load")
        loaded = mlx_vlm.load(job["model"])
        memory.end("load")
        return loaded

    model, processor = stages.run("load", load)
    if job["watch"]:
        see_apart(model, mx, memory)

    def prompt_of(question: dict) -> str:
        return mlx_vlm.prompt_utils.apply_chat_template(
            processor, model.config, question["prompt"], num_images=1
        )

    def see() -> list[dict]:
        memory.begin("see")
        asked = questions(job, os.path.dirname(os.path.abspath(sys.argv[2])))
        inputs = mlx_vlm.prepare_inputs(
            processor,
            images=[asked[0]["image"]],
            prompts=prompt_of(asked[0]),
            image_token_index=getattr(model.config, "image_token_index", None),
            resize_shape=job["generation"].get("resize_shape"),
        )
        if inputs.get("pixel_values") is None:
            raise ValueError("the processor made no numbers of the picture: the model is blind")
        memory.end("see")
        return asked

    asked = stages.run("see", see)

    def generate():  # type: ignore[no-untyped-def]
        return [
            answer_of(
                mlx_vlm, model, processor, prompt_of(question), question["image"], job, memory
            )
            for question in asked
        ]

    answers = stages.run("generate", generate)
    tokens = sum(answer["tokens"] for answer in answers)
    decoding = sum(answer["seconds"] - answer["first"] for answer in answers)
    stages.say(
        answers=[
            {
                "prompt": question["prompt"],
                "expected": question["expected"],
                "answer": answer["text"].strip(),
            }
            for question, answer in zip(asked, answers)
        ],
        time_to_first_token_seconds=answers[0]["first"],
        generation_tokens=tokens,
        prompt_tokens=answers[0]["prompt"],
        # The first token of each answer comes out of the prefill.
        tokens_per_second=(tokens - len(answers)) / decoding if decoding > 0 else None,
        peak_memory_bytes=memory.peak or None,
    )


def answer_of(mlx_vlm, model, processor, prompt, image, job, memory):  # type: ignore[no-untyped-def]
    """One greedy answer: ``{"text", "tokens", "prompt", "first", "seconds"}``.

    ``prompt`` counts the tokens of text and picture, the times are from its start.
    The picture goes through the model in the prefill, at whose end the first token is there; a
    watched run tells the two apart.
    """
    memory.begin("prefill")
    started = time.perf_counter()
    first = last = None
    text = ""
    for chunk in mlx_vlm.stream_generate(
        model, processor, prompt, image=[image], temperature=0.0, **job["generation"]
    ):
        if first is None:
            first = time.perf_counter() - started
            memory.end("prefill")
            memory.begin("decode")
        text += chunk.text
        last = chunk
    if last is None or first is None or last.generation_tokens < 1:
        raise ValueError("no token was generated")
    seconds = time.perf_counter() - started
    memory.end("decode")
    return {
        "text": text,
        "tokens": int(last.generation_tokens),
        "prompt": getattr(last, "prompt_tokens", None),
        "first": first,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
