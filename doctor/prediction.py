"""Predictions for models that are not here: the estimator, on the table of popular models."""

from __future__ import annotations

import msgspec

from doctor import recipes
from doctor.estimate import Estimate, Job, Library, NotEstimable, WeightSizes
from doctor.estimate.counting import weights_of_config
from doctor.estimate.peak import estimate
from doctor.facts import Environment
from doctor.popular import Popular, Table
from doctor.probes.model import card_of
from doctor.requirements import installed


def library_of(environment: Environment) -> Library:
    """The libraries that an environment has."""
    everything = installed(environment)
    backend = recipes.backend_of(environment)
    return Library(
        mlx_vlm=everything["mlx-vlm"].version if "mlx-vlm" in everything else None,
        mlx=everything["mlx"].version if "mlx" in everything else None,
        backend="metal" if backend == "metal" else "cpu" if backend == "cpu" else "cuda",
    )


def predict(
    table: Table, model: Popular, job: Job, library: Library, chip: str | None
) -> Estimate | None:
    """What a job takes with a model of the table; null where that cannot be told."""
    config = table.config_of(model)
    if config is None:
        return None
    try:
        weights = weights_of(table, model)
        return estimate(config, weights, job, library, table.preprocessor_of(model), chip)
    except NotEstimable:
        return None


def weights_of(table: Table, model: Popular) -> WeightSizes:
    """The weights of a model of the table: the size of its published files where that is known.

    Raises ``NotEstimable`` where they cannot be counted.
    """
    weights = weights_of_config(table.config_of(model) or {})
    card = card_of(model.id)
    known = model.weights_bytes or (card.weights_bytes if card else None)
    return weights if known is None else msgspec.structs.replace(weights, total=known)
