"""Does the model's preprocessor_config.json name a class that the installed transformers has?

The file tells transformers which class prepares pictures for the model. Classes come and go:
`Qwen2_5_VLImageProcessor` was removed in transformers 4.49, and models that still name it fail.

You would see: `ValueError: Unrecognized image processor in ... Should have a image_processor_type
key in its preprocessor_config.json`.

The doctor looks into the installed transformers (its table of image processors, and the files that
define them), not into a list of its own: `Qwen2VLImageProcessorFast`, which the field report that
this project started from calls removed, is there in 4.57. It also looks at whether the installed
mlx-vlm reads the file at all: from 0.5 on, mlx-vlm prepares pictures for the Qwen models itself,
and the class is ignored.

- `preprocessor-stale`: it names a class that does not exist here, or
  `video_preprocessor_config.json` does where transformers prepares videos.
- `preprocessor-missing`: there is no such file, and no other file says the same.
- `preprocessor-broken`: the file is not readable as JSON, or `processor_config.json` or
  `video_preprocessor_config.json` is not.
- `preprocessor-unfitting`: it cuts the picture into other patches than config.json says that the
  model takes, divides by zero, or names a class of another family, which does not give what the
  model's processor takes. You would see `cannot be broadcast`, `image_grid_thw`, or nonsense.
  Points that are normalised without being scaled first are an error too. A warning where it runs,
  and no published model of the family prepares pictures so, or hardly anything is left of them.

`vlm-doctor fix` writes a repaired file into the model's snapshot, naming the class that the
installed transformers itself has for this model type. The file in the cache that the snapshot
linked to (the blob) is never edited: its name is its checksum, and an edit corrupts the cache.
A missing file is no matter to the mlx-vlm of the `torch-free` recipe. One that is no JSON stops
that too, and what stood in it is lost: it has to be fetched again.
"""

from __future__ import annotations

import msgspec

from doctor.facts import Facts, ImageProcessorClass, ModelFile, Value
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.hub.mending import fix_of

CODES = (
    "preprocessor-stale",
    "preprocessor-missing",
    "preprocessor-broken",
    "preprocessor-unfitting",
)

FILE = "preprocessor_config.json"

MOVE = Fix(
    id="recipe",
    summary="move to the recipe whose mlx-vlm needs the file no longer",
    automatic=True,
)
# What transformers reads besides, and ends at where it is no JSON.
# What the probe says of a folder, a pipe or a device in a file's place.
NO_FILE = "not a regular file"
VIDEO = "video_preprocessor_config.json"
OTHERS = ("processor_config.json", VIDEO)

# What both the preparation of pictures and the model have to agree on: the key in
# preprocessor_config.json, and the one in config.json.
AGREED = (
    ("patch_size", "vision_config.patch_size"),
    ("merge_size", "vision_config.spatial_merge_size"),
    ("temporal_patch_size", "vision_config.temporal_patch_size"),
)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    file = facts.model.files.get(FILE)
    processor = facts.environment.processor
    if file is None or processor is None or not processor.reads_preprocessor_config:
        return
    for name in OTHERS:
        other = facts.model.files.get(name)
        if other is not None and other.state == "broken":
            yield _unusable(
                facts, other, "preprocessor-broken", other.problem or "?", fix_of(facts, name), name
            )
    takes_class = processor.reads_image_processor_type is True
    if file.state == "ok":
        yield from _unfitting(facts, takes_class)
        yield from _values(facts)
    video = facts.environment.video_processor
    if processor.provider == "transformers" and video is not None and video.exists is False:
        yield _stale_class(facts, facts.model.files[VIDEO], video, "video_processor_type")
    if file.state == "unreadable" and file.problem != NO_FILE:
        yield NotChecked(reason=f"{file.path} could not be read: {file.problem}")
    elif file.state in ("broken", "not-an-object", "unreadable") or (
        takes_class and file.state == "too-large"
    ):
        yield _unusable(
            facts, file, "preprocessor-broken", file.problem or "?", fix_of(facts, FILE)
        )
    elif file.state == "too-large":
        yield NotChecked(reason=f"{file.path} is {file.problem}; real ones have a few kilobytes")
    elif takes_class and file.state == "missing" and facts.model.image_processor_type is None:
        yield _unusable(
            facts, file, "preprocessor-missing", file.problem or "it is not there", MOVE
        )
    elif takes_class:
        yield from _stale(facts, file)


def _stale(facts: Facts, file: ModelFile) -> CheckResult:
    named = facts.environment.image_processor
    if named is None:
        return
    if named.exists is not False:
        if named.lacks is not None:
            yield _of_others(facts, named)
        return
    file = facts.model.files.get(facts.model.image_processor_named_by or FILE, file)
    yield _stale_class(facts, file, named, "image_processor_type")


def _stale_class(facts: Facts, file: ModelFile, named: ImageProcessorClass, key: str) -> Finding:
    evidence = [
        Evidence(fact=key, value=named.named, source=file.path),
        Evidence(fact=f"a class {named.named}", value="none", source=named.source),
    ]
    if named.replacement:
        evidence.append(
            Evidence(
                fact=f"the class for {facts.model.type}",
                value=named.replacement,
                source=named.source,
            )
        )
    return Finding(
        code="preprocessor-stale",
        severity=Severity.ERROR,
        title=f"The model names a class that this transformers does not have: {named.named}",
        cause="The file was written for another release of transformers.",
        evidence=tuple(evidence),
        fix=_named_anew(named) if named.replacement else MOVE,
    )


def _says(facts: Facts) -> dict[str, Value]:
    """How pictures are prepared; what transformers 5 nests in processor_config.json counts more."""
    nested = "image_processor."
    return facts.model.values.get(FILE, {}) | {
        key.removeprefix(nested): value
        for key, value in facts.model.values.get("processor_config.json", {}).items()
        if key.startswith(nested)
    }


def _unfitting(facts: Facts, takes_class: bool) -> CheckResult:
    """Values that no run can agree with."""
    says, config = _says(facts), facts.model.values.get("config.json", {})
    named_class = facts.environment.image_processor
    if takes_class and named_class is not None:
        says = {**named_class.defaults, **says}
    problems = [
        f"{key} is {says[key]}, and config.json says {config[other]}"
        for key, other in AGREED
        if isinstance(says.get(key), int)
        and isinstance(config.get(other), int)
        and says[key] != config[other]
    ]
    problems += [
        f"{key} is {says[key]!r}, which is no number"
        for key, _ in AGREED
        if isinstance(says.get(key), str)
    ]
    spread = says.get("image_std")
    if isinstance(spread, list) and 0 in spread:
        problems.append("image_std has a 0, by which every point of the picture is divided")
    named = says.get("image_processor_type")
    if takes_class and "image_processor_type" in says and not isinstance(named, str):
        problems.append(f"image_processor_type is {named}, which is no name")
    # transformers from 4.50 on: the image processors of Qwen2-VL take this form of a size only.
    sized = {key.partition(".")[2] for key in says if key.startswith("size.")}
    wants = takes_class and isinstance(named, str) and named.startswith("Qwen2VLImageProcessor")
    if wants and sized and not {"shortest_edge", "longest_edge"} <= sized:
        problems.append(f"size has {' and '.join(sorted(sized))}, not both edges")
    for problem in problems[:1]:
        yield _unfitting_finding(facts, problem, fix_of(facts, FILE))


# Middle and spread of the values that a picture's points are brought to, by the published
# preprocessor_config.json of these families (Qwen/Qwen2-VL-*, Qwen2.5-VL-*, Qwen3-VL-*).
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PUBLISHED = {
    "qwen2_vl": CLIP,
    "qwen2_5_vl": CLIP,
    "qwen3_vl": HALVES,
    "qwen3_vl_moe": HALVES,
}

# Points are scaled by 1/255, or by 1/127.5 to -1 to 1.
MOST_FACTOR = 0.1

# A picture that gets fewer tokens than this shows nothing but its colour.
LEAST_TOKENS = 4


def _values(facts: Facts) -> CheckResult:
    """Settings that run, and show the model something else than it was trained on."""
    processor = facts.environment.processor
    assert processor is not None
    says = {
        key: value
        for key, value in _says(facts).items()
        if processor.settings is None or key in {*processor.settings, "patch_size", "merge_size"}
    }
    normalises = says.get("do_normalize") is not False
    middle, spread = says.get("image_mean"), says.get("image_std")
    factor = says.get("rescale_factor")
    unscaled = None
    if says.get("do_rescale") is False:
        unscaled = "do_rescale is false"
    elif isinstance(factor, (int, float)) and factor > MOST_FACTOR:
        unscaled = f"rescale_factor is {factor}"
    if unscaled and normalises and _within_one(middle, spread):
        problem = f"{unscaled}, and image_mean is of points that were scaled to 0 to 1"
        yield _unfitting_finding(facts, problem, fix_of(facts, FILE))
        return
    problems = []
    # What older facts say of a file that is there is nothing.
    known = PUBLISHED.get(facts.model.type or "") if says else None
    if known is not None and not normalises:
        problems.append("do_normalize is false")
    elif known is not None and not (_alike(middle, known[0]) and _alike(spread, known[1])):
        # What is not said is filled in: by transformers' classes of these families with CLIP's.
        if isinstance(middle, list) and isinstance(spread, list):
            problems.append(f"image_mean is {middle}, image_std {spread}")
        elif processor.settings is None and known is not CLIP:
            problems.append("it does not say image_mean and image_std")
    if problems:
        title = f"No published {facts.model.type} prepares pictures like this one: {problems[0]}"
        yield _questionable(facts, title, problems[0])
    most, patch, merge = (says.get(key) for key in ("max_pixels", "patch_size", "merge_size"))
    if isinstance(most, int) and isinstance(patch, int) and isinstance(merge, int):
        tokens = most // max(1, patch * merge) ** 2
        if tokens < LEAST_TOKENS:
            problem = f"max_pixels is {most}"
            title = f"Every picture is made so small that hardly anything is left of it: {problem}"
            yield _questionable(facts, title, f"{problem}: {tokens} tokens of a picture at most")


def _within_one(*lists: object) -> bool:
    return all(
        isinstance(values, list) and values and all(0 <= value <= 1 for value in values)
        for values in lists
    )


def _alike(values: object, known: tuple[float, ...]) -> bool:
    """Whether these are the known values; one stands for all."""
    return (
        isinstance(values, list)
        and len(values) in (1, len(known))
        and all(
            abs(one - other) < 0.01
            for one, other in zip(values * (len(known) // len(values)), known, strict=True)
        )
    )


def _questionable(facts: Facts, title: str, problem: str) -> Finding:
    found = _unfitting_finding(facts, problem, fix_of(facts, FILE))
    cause = "The model runs, and sees something else than it was trained on."
    return msgspec.structs.replace(found, severity=Severity.WARNING, title=title, cause=cause)


def _unfitting_finding(facts: Facts, problem: str, fix: Fix) -> Finding:
    return Finding(
        code="preprocessor-unfitting",
        severity=Severity.ERROR,
        title=f"Pictures are not prepared as the model takes them: {problem}",
        cause="The file was edited, or is another model's.",
        evidence=(Evidence(fact=FILE, value=problem, source=f"{facts.model.path}/{FILE}"),),
        fix=fix,
    )


def _of_others(facts: Facts, named: ImageProcessorClass) -> Finding:
    """A class that is there, of another family of models."""
    problem = f"{named.named} does not give {named.lacks}, which the model's processor takes"
    if named.replacement is None:
        return _unfitting_finding(facts, problem, fix_of(facts, FILE))
    return _unfitting_finding(facts, problem, _named_anew(named))


def _named_anew(named: ImageProcessorClass) -> Fix:
    return Fix(
        id="preprocessor",
        summary=f"write a repaired file into the model's snapshot, naming {named.replacement}",
        automatic=True,
    )


def _unusable(
    facts: Facts, file: ModelFile, code: str, problem: str, fix: Fix, name: str = FILE
) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        title=f"The model's {name} cannot be used: {problem}",
        cause=f"mlx-vlm loads the processor of {facts.model.type} with what stands in that file.",
        evidence=(Evidence(fact=name, value=problem, source=file.path),),
        fix=fix,
    )
