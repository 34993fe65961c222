"""Predictions for models that are not here: the estimator, on the table of popular models."""

from __future__ import annotations

import msgspec

from doctor.estimate import Estimate, Job, Library, NotEstimable, WeightSizes
from doctor.estimate.counting import weights_of_config
from doctor.estimate.peak import estimate
from doctor.memory.popular import Popular, Table
from doctor.probes.model import card_of


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
