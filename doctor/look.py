"""Looking: the probes together make the facts."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from doctor import __version__
from doctor.errors import CouldNot
from doctor.facts import (
    SCHEMA,
    Environment,
    Facts,
    Hub,
    HubTrouble,
    Machine,
    Model,
    Purpose,
    Remote,
    portable,
)
from doctor.probes import environment, model
from doctor.target import Target

# The environment variables that change what a generation does. Of secrets only their presence.
VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_ENABLE_HF_TRANSFER",
    "HF_HUB_DISABLE_XET",
    "PYTHONPATH",
    "PYTHONNOUSERSITE",
    "MLX_METAL_FAST_SYNCH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEM_VERSION_COMPAT",
)
SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


# Asks the Hub about a model: its listing, or why there is none, and the model as then known.
Ask = Callable[[Model], tuple[Remote | None, HubTrouble | None, Model]]


@contextmanager
def looking(
    target: Target,
    model_name: str,
    variables: Mapping[str, str],
    purpose: Purpose = "image",
    ask: Ask | None = None,
    probe: environment.Probe | None = None,
) -> Iterator[Callable[[], Facts]]:
    """Begin to look; what is given waits for the facts, with the machine as it is then.

    The target's interpreter works while the ``with`` block does other things, and is ended where
    nobody waits for it. ``probe`` is it, where it has been started already. With ``ask`` the Hub is
    asked about the model; nothing else uses the network. Raises ``Refused`` where the target or the
    model cannot be examined.
    """
    with probe or environment.probe(target) as begun:
        seen_model = model.look(model_name)
        told: dict[str, Any] = {}
        if ask is not None:
            told["remote"], told["trouble"], seen_model = ask(seen_model)
        begun.ask(question_of(seen_model, purpose))

        def facts() -> Facts:
            from doctor.probes import machine, reach  # while the target's interpreter works

            seen_hub = msgspec.structs.replace(reach.look(seen_model, variables), **told)
            seen_machine = machine.look()
            answer = begun.answer()
            return facts_of(target, answer, seen_machine, seen_model, variables, purpose, seen_hub)

        yield facts


def look(
    target: Target,
    model_name: str,
    variables: Mapping[str, str],
    purpose: Purpose = "image",
    ask: Ask | None = None,
) -> Facts:
    """All facts of one target, one model and this machine, for one purpose. See ``looking``."""
    with looking(target, model_name, variables, purpose, ask) as facts:
        return facts()


def question_of(seen_model: Model, purpose: Purpose) -> dict[str, object]:
    """What the probe is asked, for one model."""
    return {
        "model_type": seen_model.type,
        "processor_class": seen_model.processor_class,
        "image_processor_type": seen_model.image_processor_type,
        "video_processor_type": seen_model.values.get("video_preprocessor_config.json", {}).get(
            "video_processor_type"
        ),
        "tokenizer_class": seen_model.values.get("tokenizer_config.json", {}).get(
            "tokenizer_class"
        ),
        "purpose": purpose,
        "remote_processor": seen_model.remote_processor,
        "remote_config": seen_model.remote_config,
        "files_read": seen_model.found in ("cache", "folder"),
        "config": model.configuration(seen_model),
        "modules": environment.MODULES,
        "folder": os.getcwd(),
    }


def facts_of(
    target: Target,
    answer: dict[str, object],
    seen_machine: Machine,
    seen_model: Model,
    variables: Mapping[str, str],
    purpose: Purpose,
    seen_hub: Hub | None = None,
) -> Facts:
    """The facts, put together. Raises ``CouldNot`` where the probe's answer is none."""
    from doctor.memory import device

    interpreter = answer["interpreter"]
    assert isinstance(interpreter, dict)
    home = os.path.expanduser("~")
    prefix = str(interpreter["prefix"])
    seen_machine = device.recalled(prefix, seen_machine)

    def here(value: object) -> object:
        return portable(value, prefix, home)

    try:
        return Facts(
            schema=SCHEMA,
            tool=__version__,
            taken_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            found_by=target.found_by,
            environment=msgspec.convert(here(answer), type=Environment),
            machine=msgspec.convert(here(msgspec.to_builtins(seen_machine)), type=Machine),
            model=msgspec.convert(here(msgspec.to_builtins(seen_model)), type=Model),
            variables={
                **{name: str(here(variables[name])) for name in VARIABLES if variables.get(name)},
                **{name: "set" for name in SECRET_VARIABLES if variables.get(name)},
            },
            purpose=purpose,
            hub=msgspec.convert(here(msgspec.to_builtins(seen_hub)), type=Hub | None),
        )
    except msgspec.ValidationError as error:
        raise CouldNot(f"The probe's answer is not as expected: {error}") from error
