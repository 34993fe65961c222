"""Are the model's weights whole, and are they those that this mlx-vlm makes of its config.json?

A download that was cut, a pointer that git left in place of a file, a shard that is missing: then
loading ends in `[load_safetensors] Invalid json header length`, `Unable to read 8 bytes from file`,
`Perhaps an incomplete download or corrupt file?`, `No safetensors found in ...`, `Missing 333
parameters` or `Received 338 parameters not in model`. A wrong byte inside ends in nothing but a
model that talks nonsense.

The doctor reads the headers of the safetensors files, not the data: which tensors there are, of
which type and shape, and where in the file. It follows the code of the installed mlx-vlm to learn
which parameters it makes of config.json, and holds the two against each other by name and shape. A
quantised matrix is packed: of n columns `weight` has n * bits / 32, and `scales` n / group_size.

- `weights-missing`: there are no weights that mlx-vlm would load.
- `weights-damaged`: a file that would be loaded is cut, empty, no safetensors file, or its header
  asks for what is not there. A wrong hash (`--deep`) is `model-file-edited`.
- `weights-unfitting`: tensors are missing, surplus, or of another shape or type than the model made
  of config.json has. Either the weights or config.json are not this model's, or one was edited.
- `quantization-unfitting`: config.json says another quantisation than the tensors have, or none.
- `weights-index-wrong`: `model.safetensors.index.json` cannot be used, or names what is not there.

The fix of all is `download`: the files named are fetched again, and nothing else.
Where the code cannot be followed, or renames tensors before it loads them (a model that was not
converted to MLX), only the files themselves are judged.
"""

from __future__ import annotations

import re

from doctor import tensors
from doctor.facts import Facts, WeightsFile, WeightsIndex
from doctor.findings import CheckResult, Evidence, Finding, Fix, NotChecked, Severity
from doctor.hub.mending import fix_of
from doctor.tensors import Comparison, Unfit

CODES = (
    "weights-missing",
    "weights-damaged",
    "weights-unfitting",
    "quantization-unfitting",
    "weights-index-wrong",
)

INDEX = "model.safetensors.index.json"

# Of many tensors with the same fault, so many are shown.
SHOWN = 3


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    model = facts.model
    if model.weights is None or model.path is None:
        return
    loaded = tensors.loaded(facts)
    yield from _index(facts)
    for file in loaded:
        if (
            file.kind == "unreadable"
            and file.bytes is None
            and file.problem != "not a regular file"
        ):
            yield NotChecked(reason=f"{model.path}/{file.name} could not be read: {file.problem}")
    absent = [file for file in loaded if file.kind == "absent"]
    damaged = [file for file in loaded if file not in absent and fails(file)]
    if not loaded or len(absent) == len(loaded):
        yield _missing(facts)
        return
    if absent:
        yield _dangling(facts, absent, len(loaded))
    if damaged:
        for file in damaged:
            yield _damaged(facts, file)
    if not absent and not damaged:
        yield from _compared(facts, tensors.compare(facts))
        yield from _conflicts(facts, {file.name for file in loaded})


def fails(file: WeightsFile) -> bool:
    """Whether loading a file ends in an error; bytes that belong to no tensor harm nobody."""
    return file.kind not in (None, "rest") and not (
        file.kind == "unreadable" and file.problem != "not a regular file"
    )


def _missing(facts: Facts) -> Finding:
    assert facts.model.weights is not None
    names = [file.name for file in facts.model.weights.files]
    return Finding(
        code="weights-missing",
        severity=Severity.ERROR,
        title="The model has no weights that could be loaded",
        cause="mlx-vlm loads *.safetensors, and nothing else.",
        evidence=(
            Evidence(
                fact="safetensors files",
                value=", ".join(names[:SHOWN]) + ": links to nothing" if names else "none",
                source=facts.model.path or "",
            ),
        ),
        fix=fix_of(facts, *(names[:SHOWN] or ["the weights"])),
    )


def _dangling(facts: Facts, absent: list[WeightsFile], count: int) -> Finding:
    return Finding(
        code="weights-missing",
        severity=Severity.ERROR,
        title=f"{len(absent)} of the {count} files of weights are links to nothing",
        cause="mlx-vlm loads every *.safetensors file, and ends at the first that is not there.",
        evidence=tuple(
            Evidence(
                fact=file.name,
                value="its link leads to nothing",
                source=f"{facts.model.path}/{file.name}",
            )
            for file in absent[:SHOWN]
        ),
        fix=fix_of(facts, *(file.name for file in absent[:SHOWN])),
    )


def _damaged(facts: Facts, file: WeightsFile) -> Finding:
    return Finding(
        code="weights-damaged",
        severity=Severity.ERROR,
        title=f"{file.name} is damaged",
        cause=_sentence(file.problem or "?"),
        evidence=(
            Evidence(
                fact=file.kind or "?",
                value=file.problem or "?",
                source=f"{facts.model.path}/{file.name}",
            ),
        ),
        fix=fix_of(facts, file.name),
    )


def _conflicts(facts: Facts, loaded: set[str]) -> CheckResult:
    """Tensors that two of the files have, with other contents."""
    assert facts.model.weights is not None
    for conflict in facts.model.weights.conflicts:
        if not loaded.issuperset(conflict.files):
            continue
        one, other = conflict.files
        yield Finding(
            code="weights-unfitting",
            severity=Severity.WARNING,
            title=f"{one} and {other} have other values for the same tensors ({conflict.count})",
            cause="mlx-vlm loads both, and those of one replace the other's: in which order, the "
            "file system decides.",
            evidence=tuple(
                Evidence(fact=name, value="in both files", source=facts.model.path or "")
                for name in conflict.tensors[:SHOWN]
            ),
            fix=Fix(
                id="by-hand",
                summary=f"move one of {one} and {other} out of the folder",
                automatic=False,
            ),
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _compared(facts: Facts, comparison: Comparison) -> CheckResult:
    if comparison.unknown is not None:
        parameters = facts.environment.parameters
        if parameters is not None and parameters.fails is None:
            reason = f"whether these are the weights of this model: {comparison.unknown}"
            yield NotChecked(reason=reason, decides=False)
        return
    if comparison.quantised or comparison.unquantised or _block_problem(facts):
        yield _quantisation(facts, comparison)
    only_scales = comparison.unquantised > 0
    wrong = [
        *(Unfit(name=name, asked="there", found="missing") for name in comparison.missing),
        *comparison.unfit,
    ]
    if not only_scales:
        wrong += [Unfit(name=name, asked="none", found="there") for name in comparison.surplus]
    if wrong and not only_scales:
        yield _unfitting(facts, comparison, wrong)
    if comparison.absent_parts:
        yield _absent(facts, comparison)


def _unfitting(facts: Facts, comparison: Comparison, wrong: list[Unfit]) -> Finding:
    counts = [
        f"{len(found)} {word}"
        for found, word in (
            (comparison.missing, "missing"),
            (comparison.surplus, "surplus"),
            (comparison.unfit, "of another shape or type"),
        )
        if found
    ]
    return Finding(
        code="weights-unfitting",
        severity=Severity.ERROR,
        title=f"The weights are not those of the model that config.json describes: "
        f"{', '.join(counts)}",
        cause="mlx-vlm makes the model from config.json and then insists on exactly its "
        "parameters. Either a file of weights is not whole or not of this model, or config.json "
        "is not.",
        evidence=_examples(facts, wrong),
        fix=fix_of(facts, "config.json", *_weights_names(facts)),
    )


def _weights_names(facts: Facts) -> list[str]:
    return [file.name for file in tensors.loaded(facts)][:SHOWN]


def _examples(facts: Facts, wrong: list[Unfit]) -> tuple[Evidence, ...]:
    shown = [
        Evidence(
            fact=unfit.name,
            value=f"{unfit.found} (asked for: {unfit.asked})",
            source=facts.model.path or "",
        )
        for unfit in wrong[:SHOWN]
    ]
    if len(wrong) > SHOWN:
        more = Evidence(fact="and more", value=str(len(wrong) - SHOWN), source="headers")
        shown.append(more)
    return tuple(shown)


# The modes that MLX has (mlx/nn/layers/quantized.py), and what later ones of the kind are like.
MODES = re.compile(r"affine|(mx|nv)fp\d+")


def _block_problem(facts: Facts) -> str | None:
    """Why mlx-vlm fails at the block itself, before it comes to a tensor."""
    block, parameters = facts.model.quantisation, facts.environment.parameters
    if block is None:
        return None
    reads_mode = parameters is not None and parameters.reads_mode
    if reads_mode and block.mode is not None and not MODES.fullmatch(block.mode):
        return f"there is no mode {block.mode}"
    return block.problem


def _quantisation(facts: Facts, comparison: Comparison) -> Finding:
    block, problem = facts.model.quantisation, _block_problem(facts)
    if block is None:
        said, title = "nothing", "The weights are quantised, and config.json does not say so"
    elif problem is not None:
        said, title = problem, f"The quantisation in config.json cannot be used: {problem}"
    else:
        said = f"{block.bits} bits, groups of {block.group_size}, {block.mode or 'affine'}"
        title = f"The weights are not quantised as config.json says ({said})"
    return Finding(
        code="quantization-unfitting",
        severity=Severity.ERROR,
        title=title,
        cause="mlx-vlm makes the quantised modules as config.json says, and the tensors do not "
        "go into them.",
        evidence=(
            Evidence(fact="quantization", value=said, source=f"{facts.model.path}/config.json"),
            *_examples(facts, list(comparison.quantised)),
        ),
        fix=fix_of(facts, "config.json"),
    )


def _absent(facts: Facts, comparison: Comparison) -> Finding:
    parts = " and ".join(comparison.absent_parts)
    return Finding(
        code="weights-unfitting",
        severity=Severity.ERROR,
        title=f"The weights have nothing of the model's {parts}",
        cause="mlx-vlm goes on without that part, and a picture then ends in an error or is not "
        "seen.",
        evidence=(
            Evidence(fact=f"tensors of {parts}", value="none", source=facts.model.path or ""),
        ),
        fix=fix_of(facts, *_weights_names(facts)),
    )


def _index(facts: Facts) -> CheckResult:
    weights, parameters = facts.model.weights, facts.environment.parameters
    index = weights.index if weights else None
    if index is None or parameters is None or not parameters.reads_index:
        return
    if index.state == "unreadable":
        yield NotChecked(reason=f"{INDEX} could not be read: {index.problem}", decides=False)
    elif index.state == "not-an-object":
        yield _wrong_index(facts, index, Severity.ERROR, index.problem or "?")
    elif index.state == "ok" and index.absent:
        # What is missing by it is told by the tensors, where they are known.
        if tensors.compare(facts).unknown is not None:
            yield _absent_shards(facts, index)
        else:
            names = ", ".join(index.absent[:SHOWN])
            yield _wrong_index(facts, index, Severity.NOTE, f"it names {names}, not there")


def _absent_shards(facts: Facts, index: WeightsIndex) -> Finding:
    names = index.absent[:SHOWN]
    return Finding(
        code="weights-missing",
        severity=Severity.ERROR,
        title=f"{len(index.absent)} of the {len(index.shards)} files of weights are not there",
        cause="The index names them. mlx-vlm loads those that are there, and then misses tensors.",
        evidence=(
            Evidence(
                fact="not there", value=", ".join(names), source=f"{facts.model.path}/{INDEX}"
            ),
        ),
        fix=fix_of(facts, *names),
    )


def _wrong_index(facts: Facts, index: WeightsIndex, severity: Severity, problem: str) -> Finding:
    return Finding(
        code="weights-index-wrong",
        severity=severity,
        title=f"The index of the weights is wrong: {problem}",
        cause="mlx-vlm loads the files that it names."
        if severity is Severity.ERROR
        else "All tensors of the model are there all the same.",
        evidence=(Evidence(fact="index", value=problem, source=f"{facts.model.path}/{INDEX}"),),
        fix=fix_of(facts, INDEX),
    )
