"""Variations of recorded facts, for checks and plans that have to be tried on many environments."""

from __future__ import annotations

import msgspec
from packaging.utils import canonicalize_name

from doctor.facts import Distribution, Facts, Machine, Module

replace = msgspec.structs.replace


def distribution(name: str, version: str | None, *requires: str) -> Distribution:
    """A distribution as the probe would list it."""
    return Distribution(
        name=name,
        version=version,
        requires=requires,
        extras=(),
        requires_python=None,
        metadata=f"lib/python3.11/site-packages/{name.replace('-', '_')}-{version}.dist-info",
        installer="uv",
        editable=None,
        problem=None,
    )


def with_distributions(facts: Facts, *added: Distribution) -> Facts:
    """The facts with these distributions in place of those of the same names."""
    names = {canonicalize_name(item.name) for item in added}
    kept = tuple(
        item
        for item in facts.environment.distributions
        if canonicalize_name(item.name) not in names
    )
    environment = replace(facts.environment, distributions=(*kept, *added))
    return replace(facts, environment=environment)


def with_version(facts: Facts, name: str, version: str) -> Facts:
    """The facts with another version of a distribution that is there."""
    old = next(
        item for item in facts.environment.distributions if canonicalize_name(item.name) == name
    )
    return with_distributions(facts, replace(old, version=version))


def without(facts: Facts, *names: str) -> Facts:
    """The facts without some distributions and the modules of their names."""
    environment = replace(
        facts.environment,
        distributions=tuple(
            item
            for item in facts.environment.distributions
            if canonicalize_name(item.name) not in names
        ),
        modules={
            module: None if module.replace("_", "-") in names else found
            for module, found in facts.environment.modules.items()
        },
    )
    return replace(facts, environment=environment)


def with_module(facts: Facts, name: str) -> Facts:
    """The facts with a module of this name on the path."""
    module = Module(origin=f"lib/python3.11/site-packages/{name}/__init__.py", kind="package")
    environment = replace(facts.environment, modules={**facts.environment.modules, name: module})
    return replace(facts, environment=environment)


def on_machine(facts: Facts, **fields: object) -> Facts:
    """The facts on a machine with other figures."""
    return replace(facts, machine=replace(facts.machine, **fields))


# The field report's Mac, section 1.1: 8 GB, 3 GB available, 1.7 GB of swap, pressure critical.
REPORT_MAC = Machine(
    os="macOS",
    os_version="15.6.1",
    arch="arm64",
    chip="Apple M3",
    ram_total_bytes=8 * 2**30,
    ram_available_bytes=3 * 2**30,
    swap_total_bytes=3 * 2**30,
    swap_used_bytes=1_700_000_000,
    memory_pressure="critical",
    gpu_budget_bytes=5_726_623_061,
    gpu_budget_source="Metal's usual share of RAM, not asked of Metal",
    processes=(),
)
