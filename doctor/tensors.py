"""The model's tensors against the parameters that mlx-vlm makes: what is missing, surplus, unfit.

``mlx_vlm.load`` insists on both (``load_weights`` is strict): every parameter has to be there, in
its shape, and nothing else. Pure: from facts alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from doctor.facts import (
    Facts,
    ModuleQuantisation,
    ParameterGroup,
    Struct,
    TensorGroup,
    WeightsFile,
)

# Names that are compared. A model of 94 layers with 128 experts each has 40,000 at most.
MOST_NAMES = 300_000

# Bits of one element of the types that safetensors has.
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}

FLOATS = frozenset({"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", "F8_E8M0"})

# Modes of MLX's quantisation that have no biases; the scales of these are bytes.
WITHOUT_BIASES = frozenset({"mxfp4", "mxfp8", "nvfp4"})

# What mlx_vlm.utils.skip_multimodal_module takes for no part of the language model.
MULTIMODAL = ("vision", "aligner", "vl_connector", "sam_model", "audio_model", "audio_tower")

Shape = tuple[int | None, ...]


class Unfit(Struct, frozen=True):
    """A tensor that is not as the code makes it: what is asked for, and what is there."""

    name: str
    asked: str
    found: str


class Comparison(Struct, frozen=True):
    """What a comparison of names and shapes gave. ``unknown`` is why there is none.

    ``quantised`` are the unfit ones of quantised modules that are packed otherwise than said.
    ``unquantised`` counts quantised tensors where config.json says nothing of a quantisation.
    """

    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    unfit: tuple[Unfit, ...] = ()
    quantised: tuple[Unfit, ...] = ()
    unquantised: int = 0
    absent_parts: tuple[str, ...] = ()
    unknown: str | None = None


def loaded(facts: Facts) -> tuple[WeightsFile, ...]:
    """The weights files that mlx-vlm would load, as far as they are there."""
    weights, parameters = facts.model.weights, facts.environment.parameters
    if weights is None:
        return ()
    index = weights.index
    if parameters is not None and parameters.reads_index and index is not None:
        named = [file for file in weights.files if file.name in index.shards]
        if index.state == "ok" and any(file.bytes is not None for file in named):
            return tuple(file for file in named if file.bytes is not None)
    return tuple(
        file
        for file in weights.files
        if not file.name.endswith("consolidated.safetensors") and "/" not in file.name
    )


def compare(facts: Facts) -> Comparison:
    """The loaded tensors against the parameters of the model."""
    parameters, weights = facts.environment.parameters, facts.model.weights
    if parameters is None or weights is None:
        return Comparison(unknown="what this mlx-vlm makes of config.json")
    if parameters.unknown is not None or parameters.fails is not None:
        return Comparison(unknown=parameters.unknown or parameters.fails)
    if weights.too_many is not None:
        return Comparison(unknown=weights.too_many)
    tensors = _named(group for file in loaded(facts) for group in file.groups)
    made = _named(parameters.groups)
    if tensors is None or made is None:
        return Comparison(unknown=f"more than {MOST_NAMES} names")
    return _Comparing(facts, made, tensors).result()


def names(pattern: str, numbers: str) -> Iterator[str]:
    """The names that a group stands for."""
    if not numbers:
        yield pattern
        return
    before, _, after = pattern.partition("*")
    for run in numbers.split(","):
        first, _, last = run.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield f"{before}{number}{after}"


Group = TypeVar("Group", TensorGroup, ParameterGroup)


def _named(groups: Iterable[Group]) -> dict[str, Group] | None:
    found: dict[str, Group] = {}
    for group in groups:
        for name in names(group.pattern, group.numbers):
            found[name] = group
            if len(found) > MOST_NAMES:
                return None
    return found


class _Comparing:
    """One comparison. Names that the code's own ``sanitize`` may rename or drop are not judged."""

    def __init__(
        self, facts: Facts, made: dict[str, ParameterGroup], tensors: dict[str, TensorGroup]
    ) -> None:
        parameters = facts.environment.parameters
        assert parameters is not None
        self._parameters = parameters
        self._made = made
        self._tensors = tensors
        self._config = facts.model.values.get("config.json", {})
        self._quantisation = facts.model.quantisation
        index = facts.model.weights.index if facts.model.weights else None
        self._declared = set(index.tops) if index is not None else set()
        self._expected: set[str] = set()
        self._unfit: list[Unfit] = []
        self._quantised: list[Unfit] = []
        # Of modules that are packed as config.json says, and whose lengths are others all the same.
        self._packed: list[Unfit] = []
        self._fitting_modules = 0

    def result(self) -> Comparison:
        """The comparison; nothing is said where the names are those of another layout."""
        if self._quantisation is None and "quantization_config.quant_method" in self._config:
            return Comparison(unknown="how another program quantised the weights")
        for name, group in self._made.items():
            if group.quantises and name.endswith(".weight"):
                self._module(name.removesuffix(".weight"), group)
            else:
                self._plain(name, group)
        there = self._expected & set(self._tensors)
        if not self._tensors:
            return Comparison(missing=tuple(sorted(self._expected)))
        words = [
            word
            for word in self._parameters.sanitised
            if not any(word in name for name in self._made)
        ]
        missing = sorted(name for name in self._expected - there if not self._is_open(name))
        surplus = [
            name for name in self._tensors if name not in self._expected and not self._is_open(name)
        ]
        renamed = [name for name in surplus if any(word in name for word in words)]
        if len(there) * 10 < len(self._tensors) or len(renamed) * 5 > len(missing) > 0:
            return Comparison(unknown="the weights' names, which this mlx-vlm's code changes first")
        surplus = [name for name in surplus if name not in set(renamed)]
        if self._quantisation is not None:
            surplus = self._without_parts_of_modules(surplus)
        self._assign_packed()
        parts = self._absent_parts(missing)
        return Comparison(
            missing=tuple(name for name in missing if name.partition(".")[0] not in parts),
            surplus=tuple(surplus),
            unfit=tuple(self._unfit),
            quantised=tuple(self._quantised),
            unquantised=sum(name.endswith(".scales") for name in surplus)
            if self._quantisation is None
            else 0,
            absent_parts=tuple(sorted(parts)),
        )

    def _without_parts_of_modules(self, surplus: list[str]) -> list[str]:
        """The surplus but for scales and biases of modules that are said not to have them."""
        left = []
        for name in surplus:
            module, _, part = name.rpartition(".")
            if part in ("scales", "biases") and module + ".weight" in self._expected:
                self._quantised.append(Unfit(name=name, asked="none", found="there"))
            else:
                left.append(name)
        return left

    def _assign_packed(self) -> None:
        """Say whose fault it is where quantised modules have other lengths than the model's.

        They go together as config.json says. Where nothing else is unfit, and all of them are, they
        may do so by chance: 4 bits in groups of 64 have the proportions of 8 bits in groups of 32.
        """
        by_chance = not (self._unfit or self._fitting_modules)
        (self._quantised if by_chance else self._unfit).extend(self._packed)

    def _absent_parts(self, missing: list[str]) -> set[str]:
        """The parts of the model that are left out, since nothing mentions them."""
        if not self._parameters.drops_absent:
            return set()
        tops = {name.partition(".")[0] for name in missing} - {"language_model"}
        there = {name.partition(".")[0] for name in self._tensors}
        return tops - there - self._declared

    def _is_open(self, name: str) -> bool:
        return any(name == start or name.startswith(start + ".") for start in self._parameters.open)

    def _plain(self, name: str, group: ParameterGroup) -> None:
        self._expected.add(name)
        self._hold(name, group.shape, FLOATS, self._unfit)

    def _module(self, path: str, group: ParameterGroup) -> None:
        """A matrix that may be quantised: then it is packed, with scales and biases beside it."""
        how = self._how(path, group)
        if how is None:
            self._expected.add(path + ".weight")
            packed = self._quantisation is not None and path + ".scales" in self._tensors
            unfit = self._quantised if packed else self._unfit
            self._hold(path + ".weight", group.shape, FLOATS, unfit)
            return
        parts = [".weight", ".scales"]
        mode = how.mode if self._parameters.reads_mode else None
        if (mode or "affine") not in WITHOUT_BIASES:
            parts.append(".biases")
        self._expected.update(path + part for part in parts)
        shape = group.shape
        if shape is None or shape[-1] is None or not how.bits or how.group_size is None:
            return
        unfit = self._packed if self._is_packed_so(path, how) else self._quantised
        if how.group_size < 1 or shape[-1] % how.group_size:
            asked = f"{shape[-1]} columns in groups of {how.group_size}"
            unfit.append(Unfit(name=path, asked=asked, found="they do not go into it"))
            return
        columns, rows = shape[-1], shape[:-1]
        wide = (*rows, columns * how.bits // 32)
        grouped = (*rows, columns // how.group_size)
        floats = FLOATS if len(parts) == 3 else frozenset({"U8", *FLOATS})
        before = len(unfit)
        self._hold(path + ".weight", wide, frozenset({"U32"}), unfit)
        for part in parts[1:]:
            self._hold(path + part, grouped, floats, unfit)
        self._fitting_modules += len(unfit) == before

    def _is_packed_so(self, path: str, how: ModuleQuantisation) -> bool:
        """Whether weight and scales have the proportions that this quantisation gives them."""
        weight, scales = (self._tensors.get(path + part) for part in (".weight", ".scales"))
        if weight is None or scales is None or not weight.shape or not scales.shape:
            return False
        assert how.bits is not None and how.group_size is not None
        wide, groups = weight.shape[-1], scales.shape[-1]
        return (
            weight.shape[:-1] == scales.shape[:-1]
            and wide * 32 == groups * how.group_size * how.bits
        )

    def _how(self, path: str, group: ParameterGroup) -> ModuleQuantisation | None:
        """How mlx-vlm quantises a module before it loads its weights; null where it does not."""
        block = self._quantisation
        if block is None:
            return None
        scales = path + ".scales" in self._tensors
        skips = self._config.get("vision_config.skip_vision") is True
        if (
            skips
            and any(part in path for part in MULTIMODAL)
            and not (scales and self._parameters.drops_absent)
        ):
            return None
        for name in (path, path.removeprefix("language_model.")):
            if name in block.modules:
                own = block.modules[name]
                return None if own.bits is None and own.group_size is None else own
        size = 1
        for length in group.shape or ():
            size *= length or 64
        if size % 64 or not scales:
            return None
        return ModuleQuantisation(bits=block.bits, group_size=block.group_size, mode=block.mode)

    def _hold(
        self, name: str, shape: Shape | None, types: frozenset[str], unfit: list[Unfit]
    ) -> None:
        """Hold a tensor against its shape and the types that it may have."""
        tensor = self._tensors.get(name)
        if tensor is None:
            return
        same = shape is None or (
            len(shape) == len(tensor.shape)
            and all(
                one is None or one == other for one, other in zip(shape, tensor.shape, strict=True)
            )
        )
        if not same and self._is_turned(name, shape, tensor.shape):
            same = True
        if not same:
            unfit.append(Unfit(name=name, asked=_text(shape), found=_text(tensor.shape)))
        elif tensor.dtype not in types:
            unfit.append(Unfit(name=name, asked=" or ".join(sorted(types)), found=tensor.dtype))

    def _is_turned(self, name: str, shape: Shape | None, found: tuple[int, ...]) -> bool:
        """Whether only the order of the axes is another, and the code looks at such names."""
        if shape is None or len(found) < 3 or None in shape:
            return False
        known = sorted(length for length in shape if length is not None)
        return known == sorted(found) and any(word in name for word in self._parameters.sanitised)


def _text(shape: Shape | None) -> str:
    return "x".join("?" if length is None else str(length) for length in shape or ()) or "a number"
