"""The headers of a model's safetensors files, read from the Hub by ranges: some kilobytes."""

from __future__ import annotations

import msgspec

from doctor.estimate.headers import summed
from doctor.facts import HubTrouble, Model, Remote
from doctor.probes import hub
from doctor.tensors import BITS


def ask(model: Model) -> tuple[Remote | None, HubTrouble | None, Model]:
    """As ``hub.ask``, and with the weights' headers where the model is not here."""
    remote, trouble, model = hub.ask(model)
    if remote is None or model.path is not None:
        return remote, trouble, model
    from huggingface_hub import HfApi
    from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError

    try:
        with hub.client():
            told = HfApi().get_safetensors_metadata(model.id, revision=remote.commit)
    except (NotASafetensorsRepoError, SafetensorsParsingError):
        return remote, trouble, model
    except Exception as error:
        found = hub.trouble_of(error, model.id)
        if found is None:
            raise
        return remote, found, model
    arrays = [
        (name, tensor.data_offsets[1] - tensor.data_offsets[0], _width(tensor.dtype), 1)
        for file in told.files_metadata.values()
        for name, tensor in file.tensors.items()
    ]
    if not arrays:
        return remote, trouble, model
    sizes = summed(arrays)
    model = msgspec.structs.replace(model, weight_sizes=sizes, weights_bytes=sizes.total)
    return remote, trouble, model


def _width(kind: str) -> int:
    """The bytes of a floating-point element; 0 for others, as ``headers`` has it."""
    return BITS.get(kind, 8) // 8 if "F" in kind else 0
