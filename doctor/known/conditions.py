"""Whether an incident's condition holds for some facts, and the evidence that it does."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doctor.facts import Distribution, Facts
from doctor.findings import Evidence
from doctor.known.incidents import Condition
from doctor.packages.requirements import installed, satisfied


def evidence(condition: Condition, facts: Facts) -> tuple[Evidence, ...] | None:
    """What was seen that meets the condition; null where it is not met, or not known to be."""
    seen: list[Evidence] = []
    for part in (_packages, _generation, _model, _machine):
        found = part(condition, facts)
        if found is None:
            return None
        seen += found
    return tuple(dict.fromkeys(seen))


def _packages(condition: Condition, facts: Facts) -> list[Evidence] | None:
    everything = installed(facts.environment)
    seen = []
    transformers = facts.environment.transformers
    reached = facts.environment.imports.reached if facts.environment.imports else ()
    for name in condition.absent:
        # Without its metadata a package is still there for who asks only for its module.
        if name in everything or (
            transformers and transformers.module_suffices and name.replace("-", "_") in reached
        ):
            return None
        seen.append(
            Evidence(
                fact=f"installed {name}",
                value="none",
                source=facts.environment.interpreter.site_packages,
            )
        )
    for text in condition.installed:
        requirement = Requirement(text)
        found = everything.get(canonicalize_name(requirement.name))
        if found is None or not satisfied(requirement, found.version):
            return None
        seen.append(_installed(found))
    for name in condition.too_old:
        least = transformers.least.get(name) if transformers else None
        found = everything.get(canonicalize_name(name))
        if (
            least is None
            or found is None
            or satisfied(Requirement(f"{name}>={least}"), found.version)
        ):
            return None
        seen.append(_installed(found))
        seen.append(
            Evidence(
                fact="transformers accepts",
                value=f"{name}>={least}",
                source=f"{transformers.folder}/utils" if transformers else "?",
            )
        )
    return seen


def _installed(distribution: Distribution) -> Evidence:
    return Evidence(
        fact=f"installed {canonicalize_name(distribution.name)}",
        value=distribution.version or "?",
        source=distribution.metadata,
    )


def _generation(condition: Condition, facts: Facts) -> list[Evidence] | None:
    """What a generation imports, and what its processor needs."""
    environment = facts.environment
    reached = environment.imports.reached if environment.imports else ()
    if not set(condition.imported) <= set(reached):
        return None
    if not condition.needs:
        return []
    needs = environment.processor.needs if environment.processor else ()
    seen = [
        Evidence(
            fact=f"{need.class_name} requires",
            value=" and ".join(need.backends),
            source=need.source,
        )
        for need in needs
        if set(condition.needs) & set(need.backends)
    ]
    return seen or None


def _model(condition: Condition, facts: Facts) -> list[Evidence] | None:
    model, tokenizer = facts.model, facts.model.tokenizer
    files = tokenizer.files if tokenizer else ()
    if condition.other_model_types and (
        model.type is None or model.type in condition.other_model_types
    ):
        return None
    if condition.no_tokenizer_files and (
        tokenizer is None or set(files) & set(condition.no_tokenizer_files)
    ):
        return None
    processor = facts.environment.processor
    if condition.tokenizer_class and processor is not None and processor.names_tokenizer:
        return None
    seen = []
    for fact, wanted, values in (
        ("model type", condition.model_types, (model.type,)),
        ("tokenizer file", condition.tokenizer_files, files),
        ("tokenizer_class", condition.tokenizer_class, (tokenizer and tokenizer.class_name,)),
        (
            "extra_special_tokens",
            condition.extra_special_tokens,
            (tokenizer and tokenizer.extra_special_tokens,),
        ),
    ):
        found = [value for value in values if value and value in wanted]
        if wanted and not found:
            return None
        seen += [Evidence(fact=fact, value=value, source=model.path or model.id) for value in found]
    return seen


def _machine(condition: Condition, facts: Facts) -> list[Evidence] | None:
    if condition.os is None:
        return []
    if condition.os != facts.machine.os:
        return None
    return [Evidence(fact="system", value=facts.machine.os, source="platform")]
