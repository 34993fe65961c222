"""Looking: the probes together make the facts."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping

import msgspec

from doctor import __version__, device, state
from doctor.errors import CouldNot
from doctor.facts import SCHEMA, Environment, Facts, Machine, Model, Purpose, portable
from doctor.probes import environment, machine, model
from doctor.target import Target

# The environment variables that change what a generation does. Of secrets only their presence.
VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_ENDPOINT",
    "HF_HUB_ENABLE_HF_TRANSFER",
    "PYTHONPATH",
    "PYTHONNOUSERSITE",
    "MLX_METAL_FAST_SYNCH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEM_VERSION_COMPAT",
)
SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def look(
    target: Target, model_name: str, variables: Mapping[str, str], purpose: Purpose = "image"
) -> Facts:
    """All facts of one target, one model and this machine, for one purpose.

    The target's interpreter works while the machine is looked at. Raises ``Refused`` where the
    target or the model cannot be examined.
    """
    seen_model = model.look(model_name)
    question = environment.Question(
        target,
        {
            "model_type": seen_model.type,
            "processor_class": seen_model.processor_class,
            "image_processor_type": seen_model.image_processor_type,
            "purpose": purpose,
            "remote_processor": seen_model.remote_processor,
            "remote_config": seen_model.remote_config,
            "files_read": seen_model.found in ("cache", "folder"),
            "modules": environment.MODULES,
            "folder": os.getcwd(),
            "notes": str(state.cache() / "notes" / state.name_of(target.python)),
        },
    )
    try:
        seen_machine = machine.look()
    finally:
        answer = question.answer()
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
        )
    except msgspec.ValidationError as error:
        raise CouldNot(f"The probe's answer is not as expected: {error}") from error
