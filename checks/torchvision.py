"""Does this model's processor need torch and torchvision, and are they there and a pair?

mlx-vlm computes with MLX, but up to release 0.4.4 it takes the processors of many models (those
that turn a picture into numbers) from transformers. The one of Qwen3-VL is composed of three
parts, and its part for videos is only available with torchvision, even for somebody who only has
pictures.

You would see: `AutoVideoProcessor requires the Torchvision library but it was not found in your
environment` (or PyTorch: which of the two is named first is chance).

The doctor reads the source of the installed mlx-vlm and transformers: which processor this model
type gets, of what it is composed, and which backends transformers demands for each part. It does
not go by a list of versions.

- `torchvision-missing`: the processor needs torchvision, and it is not there.
- `torchvision-without-torch`: torchvision is there and torch is not. The field report that this
  project started from recommends this; it is worse than nothing. torchvision imports torch, so with
  transformers 4 even `import mlx_vlm` fails.
- `torchvision-mismatch`: the two are built for each other, release by release, and a torchvision
  for CUDA for a torch of that CUDA. A pair that is not fails with `operator torchvision::nms does
  not exist`, and takes transformers and mlx_vlm down with it.

`vlm-doctor fix` moves to the `torch-free` recipe: mlx-vlm 0.5 and later bring their own processor
and need neither. Where another package holds you on transformers 4, it installs the matched pair of
the `report-line` recipe.
"""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doctor.facts import Build, Distribution, Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.packages.requirements import active, installed, satisfied

CODES = ("torchvision-missing", "torchvision-without-torch", "torchvision-mismatch")

RECIPE = Fix(
    id="recipe",
    summary="move to a recipe whose processor needs no torch, or install the matched pair "
    "where other packages hold you on transformers 4",
    automatic=True,
)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    environment = facts.environment
    everything = installed(environment)
    if "mlx-vlm" not in everything or environment.transformers is None:
        return
    torch, torchvision = (everything.get(name) for name in ("torch", "torchvision"))
    torch_there = environment.modules.get("torch") is not None
    torchvision_there = environment.modules.get("torchvision") is not None
    needs = _needs(facts)
    if torchvision_there and not torch_there:
        yield from _without_torch(facts, torchvision, bool(needs))
    elif torchvision_there and torch_there:
        yield from _mismatch(facts, torch, torchvision)
    elif needs:
        yield _missing(facts, needs, torch_there)
    yield from _unknown(facts)


def _needs(facts: Facts) -> tuple[Evidence, ...]:
    """The parts of this model's processor that need torch or torchvision."""
    processor = facts.environment.processor
    if processor is None:
        return ()
    return tuple(
        Evidence(
            fact=f"{processor.name} is composed of {need.class_name}, which requires",
            value=" and ".join(need.backends),
            source=need.source,
        )
        for need in processor.needs
        if need.backends
    )


def _missing(facts: Facts, needs: tuple[Evidence, ...], torch_there: bool) -> Finding:
    environment = facts.environment
    processor = environment.processor
    versions = {name: distribution.version for name, distribution in installed(environment).items()}
    pair = f"mlx-vlm {versions.get('mlx-vlm')} with transformers {versions.get('transformers')}"
    what = "torchvision" if torch_there else "torch and torchvision"
    return Finding(
        code="torchvision-missing",
        severity=Severity.ERROR,
        title=f"{facts.model.type} needs {what} here, and {'it is' if torch_there else 'they are'} "
        "not installed",
        cause=f"{pair} loads this model with the {processor.name if processor else '?'} of "
        f"{processor.provider if processor else '?'}. A part of it exists only with torchvision"
        + (", even for pictures alone." if facts.purpose != "video" else "."),
        evidence=(
            *needs,
            Evidence(
                fact="torchvision",
                value="none",
                source=environment.interpreter.site_packages,
            ),
        ),
        fix=RECIPE,
    )


def _without_torch(facts: Facts, torchvision: Distribution | None, needed: bool) -> CheckResult:
    transformers = facts.environment.transformers
    assert transformers is not None
    imported = transformers.torchvision_needs_torch is False
    harmful = needed or imported
    module = facts.environment.modules["torchvision"]
    yield Finding(
        code="torchvision-without-torch",
        severity=Severity.ERROR if harmful else Severity.NOTE,
        title="torchvision is installed without torch",
        cause="torchvision imports torch, so it cannot be imported. "
        + (
            "This transformers takes it for usable as soon as it is there, so that even "
            "`import mlx_vlm` fails: worse than no torchvision at all."
            if imported
            else "The processor of this model needs both."
            if needed
            else "This transformers passes over it, so it does no harm here."
        ),
        evidence=(
            Evidence(
                fact="torchvision",
                value=torchvision.version or "?" if torchvision else "a module without metadata",
                source=module.origin if module else "?",
            ),
            Evidence(
                fact="torch", value="none", source=facts.environment.interpreter.site_packages
            ),
        ),
        fix=RECIPE
        if harmful
        else Fix(id="none", summary="nothing has to be done", automatic=False),
    )


def _mismatch(
    facts: Facts, torch: Distribution | None, torchvision: Distribution | None
) -> CheckResult:
    builds = facts.environment.builds
    torch_build, torchvision_build = builds.get("torch"), builds.get("torchvision")
    evidence = []
    if torch is not None and torchvision is not None:
        for requirement in active(torchvision, facts.environment.interpreter.markers):
            if canonicalize_name(requirement.name) == "torch" and not _accepts(requirement, torch):
                evidence.append(
                    Evidence(
                        fact=f"torchvision {torchvision.version} is built for",
                        value=str(requirement),
                        source=torchvision.metadata,
                    )
                )
    if torch_build and torchvision_build:
        built_for = compute_platform(torchvision_build)
        # One without a GPU's code needs none of torch's, and goes with any build of that release.
        if built_for not in (None, "cpu", compute_platform(torch_build) or built_for):
            evidence.append(
                Evidence(
                    fact="torchvision's build",
                    value=torchvision_build.version,
                    source=torchvision_build.source,
                )
            )
    if not evidence:
        return
    version = torch_build.version if torch_build else torch.version if torch else "?"
    yield Finding(
        code="torchvision-mismatch",
        severity=Severity.ERROR,
        title="torch and torchvision are not a pair",
        cause="They are built for each other, release by release and build by build. This pair "
        "fails when it is imported, and transformers and mlx_vlm with it.",
        evidence=(
            *evidence,
            Evidence(
                fact="installed torch",
                value=version or "?",
                source=torch_build.source if torch_build else torch.metadata if torch else "?",
            ),
        ),
        fix=RECIPE,
    )


def _accepts(requirement: Requirement, torch: Distribution) -> bool:
    return satisfied(requirement, torch.version)


def compute_platform(build: Build) -> str | None:
    """What a build computes on: ``cpu``, ``cu12``, ``rocm``; null where that is not told.

    torch's ``version.py`` names its CUDA, others have it in the label of their version, such as
    ``2.9.1+cu128``. CUDA counts by its first number: that is what torchvision compares when it is
    imported, and only where it was built with CUDA itself (``torchvision/extension.py``). A build
    from source has a commit for its label, which tells nothing.
    """
    label = build.version.partition("+")[2]
    cuda = re.fullmatch(r"(\d+)\.\d+", build.cuda or "") or re.fullmatch(r"cu(\d+)\d", label)
    if cuda:
        return f"cu{cuda.group(1)}"
    known = re.match(r"cpu$|rocm(?=[\d.]*$)", label)
    return known.group() if known else None


def _unknown(facts: Facts) -> CheckResult:
    processor = facts.environment.processor
    if facts.model.type is None:
        return  # the model check says so
    supported = facts.environment.supported_model_types
    if processor is not None and processor.unknown and supported and facts.model.type in supported:
        yield NotChecked(
            reason=f"what the processor of {facts.model.type} needs: {processor.unknown}"
        )
