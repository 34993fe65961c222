"""Is the model here, and does this mlx-vlm know its type?

`--model` names a model on the Hub (looked up in the local cache; nothing is downloaded) or a
folder.

- `model-not-cached`: the model is not on this machine yet. The prediction is then about its type,
  taken from a card that comes with the doctor.
- `model-config-unreadable`: the model's `config.json` is missing or damaged, so that nothing can
  load it. You would see `Config not found at ...` or a JSON error. Fetch that file again; an
  interrupted download is the usual cause.
- `model-config-unfitting`: this mlx-vlm cannot make a model of what `config.json` says: a value is
  missing, of the wrong kind, or contradicts another. You would see `TypeError: ... missing 1
  required positional argument`, or `Unsupported model type`. A warning where it runs, with a value
  that is a thousand times the usual one.
- `model-type-unsupported`: the installed mlx-vlm has no module for this type of model, or makes no
  prompt with a picture for it. You would see `Model type ... not supported` or `Unsupported model`.
  A newer mlx-vlm may have it: the finding names the first release that was seen to.

The doctor reads `config.json`, the folder `mlx_vlm/models` of the installed mlx-vlm and its table
of prompt formats. The first releases are from `model_releases.json`, which `make models` makes from
the wheels of releases. With `--for video` it also looks whether the model's processor mentions
videos at all: where it does not, what becomes of a video is not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import doctor
from doctor.estimate.architecture import read
from doctor.estimate.terms import Absurd, NotEstimable
from doctor.facts import Facts, Value
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.hub.mending import fix_of
from doctor.packages.requirements import installed

CODES = (
    "model-not-cached",
    "model-config-unreadable",
    "model-config-unfitting",
    "model-type-unsupported",
)

# What the probe says of a folder, a pipe or a device in a file's place.
NO_FILE = "not a regular file"

# What the probe says of a model that brings its own code (``model_file``).
OWN_FILE = "its code is a file of its own"


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    model = facts.model
    if model.found in ("card", "nowhere"):
        yield _not_cached(facts)
    config = model.files.get("config.json")
    if config is not None and config.state == "unreadable" and config.problem != NO_FILE:
        yield NotChecked(reason=f"{config.path} could not be read: {config.problem}")
    elif config is not None and (config.state != "ok" or model.type is None):
        problem = config.problem or (
            "it is not there" if config.state == "missing" else "it names no model_type"
        )
        yield Finding(
            code="model-config-unreadable",
            severity=Severity.ERROR,
            title=f"The model's config.json cannot be used: {problem}",
            cause="Without it nothing can tell what kind of model this is.",
            evidence=(Evidence(fact="config.json", value=problem, source=config.path),),
            fix=fix_of(facts, "config.json"),
        )
    elif model.type is None:
        yield NotChecked(
            reason=f"the type of {model.id}: it is not on this machine and not among the models "
            "that the doctor knows"
        )
    yield from _unsupported(facts)
    yield from _unfitting(facts)
    yield from _questionable(facts)
    processor = facts.environment.processor
    if facts.purpose == "video" and processor is not None and processor.takes_videos is False:
        yield NotChecked(
            reason=f"what becomes of a video: {processor.name} of {processor.provider} "
            "mentions none"
        )


def _not_cached(facts: Facts) -> Finding:
    model = facts.model
    size = f" ({model.weights_bytes / 1e9:.2f} GB)" if model.weights_bytes else ""
    return Finding(
        code="model-not-cached",
        severity=Severity.NOTE,
        title=f"{model.id} is not on this machine yet{size}",
        cause="mlx-vlm downloads it at the first use. "
        + (f"It is judged by its known type, {model.type}." if model.type else ""),
        evidence=(Evidence(fact="snapshot", value="none", source=model.cache),),
        fix=Fix(id="download", summary=f"hf download {model.id}", automatic=False),
    )


def _unfitting(facts: Facts) -> CheckResult:
    """What following mlx-vlm's code with the values of config.json ends in."""
    parameters = facts.environment.parameters
    problem = parameters.fails if parameters else None
    if problem is None:
        problem = _beyond(facts.model.values.get("config.json", {}))
    if problem is None:
        problem = _uneven(facts.model.values.get("config.json", {}))
    if problem is None:
        problem = _turning(facts.model.values.get("config.json", {}))
    if problem is None:
        problem = _own_file(facts)
    if problem is None:
        problem = _absurd(facts.model.config)
    if problem is None:
        return
    yield Finding(
        code="model-config-unfitting",
        severity=Severity.ERROR,
        title=f"mlx-vlm cannot make a model of config.json: {problem}",
        cause="The file was edited, is not this model's, or was written for another release.",
        evidence=(
            Evidence(fact="config.json", value=problem, source=f"{facts.model.path}/config.json"),
        ),
        fix=fix_of(facts, "config.json"),
    )


def _absurd(config: Mapping[str, object]) -> str | None:
    """A size that no machine could hold: 10^12 layers, a negative width."""
    try:
        read(config)
    except Absurd as error:
        return str(error)
    except NotEstimable:
        return None
    return None


# Usual are 1e-12 (BERT) to 1e-5 (Llama).
MOST_EPSILON = 1e-2


def _questionable(facts: Facts) -> CheckResult:
    """A summand against division by zero that outweighs what it is added to."""
    for name, value in facts.model.values.get("config.json", {}).items():
        if not name.rpartition(".")[2].endswith(("norm_eps", "norm_epsilon")):
            continue
        if not isinstance(value, (int, float)) or value <= MOST_EPSILON:
            continue
        yield Finding(
            code="model-config-unfitting",
            severity=Severity.WARNING,
            title=f"{name} is {value}: usual is a hundred-thousandth or less",
            cause="It is there against division by zero. As large as this it changes every layer's "
            "result, and with it the answers.",
            evidence=(
                Evidence(fact=name, value=str(value), source=f"{facts.model.path}/config.json"),
            ),
            fix=fix_of(facts, "config.json"),
        )
        return


def _uneven(config: Mapping[str, Value]) -> str | None:
    """A vision part whose width cannot be shared out among its heads."""
    width, heads = config.get("vision_config.hidden_size"), config.get("vision_config.num_heads")
    if not isinstance(width, int) or not isinstance(heads, int) or heads < 1:
        return None
    if width % heads == 0 or "vision_config.head_dim" in config:
        return None
    return f"the vision part's width of {width} cannot be shared out among {heads} heads"


def _turning(config: Mapping[str, Value]) -> str | None:
    """A base of the rotary positions of which no powers can be taken."""
    for name, value in config.items():
        is_base = name.rpartition(".")[2] == "rope_theta" and isinstance(value, (int, float))
        if is_base and value <= 0:  # type: ignore[operator]
            return f"{name} is {value}, and positions are told by its powers"
    return None


def _own_file(facts: Facts) -> str | None:
    """The model's own code, where mlx-vlm would load it and it is not there."""
    parameters, storage = facts.environment.parameters, facts.model.storage
    name = facts.model.values.get("config.json", {}).get("model_file")
    if parameters is None or parameters.unknown != OWN_FILE or storage is None:
        return None
    there = any(file.name == name and file.kind in ("file", "link") for file in storage.files)
    return None if there else f"it names {name} as the model's code, which is not there"


def _beyond(config: Mapping[str, Value]) -> str | None:
    """Layers of the vision part that features are taken from, and that are not there."""
    depth = config.get("vision_config.depth")
    named = config.get("vision_config.deepstack_visual_indexes")
    if not isinstance(depth, int) or not isinstance(named, list):
        return None
    beyond = [str(number) for number in named if number >= depth]
    return f"it takes features of vision layer {beyond[0]}, of {depth}" if beyond else None


def _unsupported(facts: Facts) -> CheckResult:
    environment, model_type = facts.environment, facts.model.type
    supported = environment.supported_model_types
    if supported is None or model_type is None:
        return
    there = model_type.lower() in supported
    processor = environment.processor
    if there and (processor is None or processor.prompts is not False):
        return
    everything = installed(environment)
    version = everything["mlx-vlm"].version if "mlx-vlm" in everything else None
    evidence = [
        Evidence(
            fact="prompt formats" if there else "model types",
            value=f"not {model_type}" if there else f"{len(supported)}, not {model_type}",
            source="mlx_vlm/prompt_utils.py" if there else "mlx_vlm/models",
        )
    ]
    first = None if there else first_release(model_type)
    if first is not None and first != version:
        evidence.append(
            Evidence(
                fact=f"the first mlx-vlm that was seen to have {model_type}",
                value=first,
                source="model_releases.json",
            )
        )
    yield Finding(
        code="model-type-unsupported",
        severity=Severity.ERROR,
        title=f"mlx-vlm {version or '?'} makes no prompt with a picture for {model_type}"
        if there
        else f"mlx-vlm {version or '?'} has no model of type {model_type}",
        cause="It has the model, and its table of prompt formats does not."
        if there
        else "It loads a model by a module of that name, and there is none.",
        evidence=tuple(evidence),
        fix=Fix(
            id="by-hand",
            summary="see whether config.json is this model's; no release of mlx-vlm that the "
            "doctor knows has this type",
            automatic=False,
        )
        if not there and first is None
        else Fix(id="recipe", summary="install the newest proven mlx-vlm", automatic=True),
    )


def first_release(model_type: str) -> str | None:
    """The first mlx-vlm release that was seen to have a type of model; null for one of none."""
    path = Path(doctor.__file__).parent / "model_releases.json"
    first = json.loads(path.read_text())["first_seen"].get(model_type.lower())
    return None if first is None else str(first)
