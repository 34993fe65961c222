"""The estimate of a job with the model, the libraries and the chip that facts are about."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from doctor.estimate.counting import weights_of_config
from doctor.estimate.headers import weights_of_headers
from doctor.estimate.peak import estimate
from doctor.estimate.terms import Estimate, Job, Library, NotEstimable, WeightSizes
from doctor.facts import Facts
from doctor.packages.requirements import installed

# What is estimated where nobody says what is to be run: a picture and an answer of usual sizes
# (``mlx_vlm.generate`` writes 256 tokens if it is told nothing).
USUAL = Job(images=((1024, 768),), prompt_tokens=64, max_tokens=256)


def library_of(facts: Facts) -> Library:
    """The installed libraries, and the backend that they run on here."""
    there = installed(facts.environment)
    versions = {name: there[name].version if name in there else None for name in ("mlx", "mlx-vlm")}
    cuda = any(name.startswith("mlx-cuda") for name in there)
    mac = facts.machine.os == "macOS"
    return Library(
        mlx_vlm=versions["mlx-vlm"],
        mlx=versions["mlx"],
        backend="metal" if mac else "cuda" if cuda else "cpu",
    )


def estimate_of(facts: Facts, job: Job = USUAL) -> Estimate:
    """The estimate. Raises ``NotEstimable`` where the model is not known well enough."""
    model, library, chip = facts.model, library_of(facts), facts.machine.chip
    if model.found in ("cache", "folder") and not model.config:
        file = model.files.get("config.json")
        if file is not None and file.state == "ok":
            raise NotEstimable("an older doctor took these facts, without the model's sizes")
        raise NotEstimable("the model's config.json could not be read")
    if model.config:
        weights = model.weight_sizes
        if weights is None and model.weights is not None:
            weights = weights_of_headers(model.weights)
        weights = weights or weights_of_config(model.config)
        return _of(model.config, weights, job, library, model.preprocessor, chip)
    config = _card(model.id)
    if config is None:
        raise NotEstimable(f"{model.id} is not here, and its sizes are not known")
    return _of(config, weights_of_config(config), job, library, None, chip)


Inputs = tuple[dict[str, Any], WeightSizes, Job, Library, dict[str, Any] | None, str | None]


def _of(*inputs: object) -> Estimate:
    """The estimate of these inputs, worked out once: a fleet asks for the same a thousand times."""
    try:
        return _worked_out(msgspec.json.encode(inputs))
    except OverflowError:  # a number of somebody's config that no model has
        raise NotEstimable("the model's config.json has a number beyond all bounds") from None


@functools.lru_cache(maxsize=1_000)
def _worked_out(inputs: bytes) -> Estimate:
    return estimate(*msgspec.json.decode(inputs, type=Inputs))


def _card(identity: str) -> dict[str, object] | None:
    """The config of a well-known model, from the table that comes with the doctor."""
    from doctor.memory import popular

    table = popular.load()
    found = table.find(identity)
    return None if found is None else table.config_of(found)
