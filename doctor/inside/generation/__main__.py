"""Generate once, in stages, through mlx-vlm's public way, and write down what happened.

The doctor starts it as ``python <this folder> <job file> <events file>`` with the target's own
interpreter, as its user would. Each event is one JSON line, written as soon as it is known, so that
a crash or a time-out leaves the stage that it happened in. Standard library only, besides what the
stage under test imports.
"""

from __future__ import annotations

import json
import sys
import time
import traceback

# Lines of a traceback that are kept: the end tells the cause.
TRACEBACK_LINES = 40


class Stages:
    """Runs the stages one after another and writes an event before and after each."""

    def __init__(self, events_path: str) -> None:
        self._path = events_path

    def say(self, **event: object) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

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
    model, processor = stages.run("load", lambda: mlx_vlm.load(job["model"]))

    def see():  # type: ignore[no-untyped-def]
        prompt = mlx_vlm.prompt_utils.apply_chat_template(
            processor, model.config, job["prompt"], num_images=1
        )
        inputs = mlx_vlm.prepare_inputs(
            processor,
            images=[job["image"]],
            prompts=prompt,
            image_token_index=getattr(model.config, "image_token_index", None),
        )
        pixels = inputs.get("pixel_values")
        if pixels is None:
            raise ValueError(
                "the processor made no numbers of the picture: the model would be blind"
            )
        return prompt

    prompt = stages.run("see", see)

    def generate():  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        first = last = None
        text = ""
        for chunk in mlx_vlm.stream_generate(
            model,
            processor,
            prompt,
            image=[job["image"]],
            max_tokens=job["max_tokens"],
            temperature=0.0,
        ):
            if first is None:
                first = time.perf_counter() - started
            text += chunk.text
            last = chunk
        if last is None or last.generation_tokens < 1:
            raise ValueError("no token was generated")
        return text, first, last

    text, first, last = stages.run("generate", generate)
    stages.say(
        answer=text,
        time_to_first_token_seconds=first,
        generation_tokens=int(last.generation_tokens),
        tokens_per_second=float(last.generation_tps),
        peak_memory_bytes=int(mx.get_peak_memory()),
    )


if __name__ == "__main__":
    main()
