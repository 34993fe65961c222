"""How much memory a generation takes at its peak, how fast it is, and whether a machine has it.

Everything here is pure and imports neither mlx nor transformers.

    from doctor.estimate import Job, Library, estimate, judge, weights_of_config, weights_of_headers

    weights = weights_of_headers(model.weights)  # of the safetensors files that are here; or
    weights = weights_of_config(config)         # counted, where the model is not here
    told = estimate(config, weights, Job(images=((1024, 768),), prompt_tokens=30, max_tokens=200),
                    Library(mlx_vlm="0.7.10", mlx="0.32.4", backend="metal"), preprocessor, chip)
    verdict = judge(told, machine)              # machine: doctor.facts.Machine
    told = estimate_of(facts, job)              # the same of facts

``config`` and ``preprocessor`` are the model's own JSON files as parsed (the latter may be empty).
All sizes are bytes. Whatever is in a config, the result is an ``Estimate``, or ``NotEstimable`` is
raised, whose one line says what is missing.
"""

from __future__ import annotations

from doctor.estimate.counting import weights_of_config
from doctor.estimate.headers import weights_of_headers
from doctor.estimate.judgement import Judgement, Room, judge
from doctor.estimate.of_facts import estimate_of
from doctor.estimate.peak import estimate
from doctor.estimate.terms import Estimate, Job, Library, NotEstimable, Phases, WeightSizes

__all__ = [
    "Estimate",
    "Job",
    "Judgement",
    "Library",
    "NotEstimable",
    "Phases",
    "Room",
    "WeightSizes",
    "estimate",
    "estimate_of",
    "judge",
    "weights_of_config",
    "weights_of_headers",
]
