"""Facts: everything that was seen, and nothing that was concluded.

Facts are frozen and go through JSON both ways (schema ``vlm-doctor/facts/1``), so that they can be
saved on one machine and judged on another. They are portable: the home folder is written ``~``, and
paths inside the environment are relative to its prefix. What is not known is null.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

SCHEMA = "vlm-doctor/facts/1"

# What a run is to be judged for: pictures, videos, or pictures through mlx-vlm's server.
Purpose = Literal["image", "video", "server"]

Pressure = Literal["normal", "warn", "critical"]
FileState = Literal["ok", "missing", "broken", "not-an-object", "too-large", "unreadable"]


# Bytes, lines. No machine has more, and none has less; a hostile file might say so.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen record; fields are given by name."""


class PathEntry(Struct, frozen=True):
    """One folder that modules are looked for in, and how it came to be on the path."""

    path: str
    kind: str


class Interpreter(Struct, frozen=True):
    """The target's Python. ``kind`` is ``virtual``, ``conda`` or ``system``."""

    executable: str
    version: str
    prefix: str
    base_prefix: str
    kind: str
    base_is_there: bool
    externally_managed: bool
    writable: bool
    site_packages: str
    platform_site_packages: str
    scripts: str
    search_path: tuple[PathEntry, ...]
    libc: str | None
    macos: str | None
    markers: dict[str, str]


class Distribution(Struct, frozen=True):
    """An installed distribution, as its own metadata tells.

    ``requires`` holds requirement strings with their markers. ``metadata`` is the folder of the
    metadata. ``tags`` are those of its wheel that bind it to a Python or a platform. ``editable``
    is the source folder of an editable install. ``problem`` says why the metadata could not be read
    whole; name and version then come from the folder's name.
    """

    name: str
    version: str | None
    requires: tuple[str, ...]
    extras: tuple[str, ...]
    requires_python: str | None
    metadata: str
    installer: str | None
    editable: str | None
    problem: str | None
    tags: tuple[str, ...] = ()


class Module(Struct, frozen=True):
    """Where a module would be imported from.

    ``kind`` is ``package``, ``module``, ``extension`` or ``namespace``.
    """

    origin: str
    kind: str


class Build(Struct, frozen=True):
    """What a package's own ``version.py`` says of its build (CUDA is null for CPU and macOS)."""

    version: str
    cuda: str | None
    source: str


class EnforcedRequirement(Struct, frozen=True):
    """A requirement that transformers checks whenever it is imported, and the file that says so.

    With ``if_installed`` it does so only where it takes the distribution for available: where
    ``guard_needs`` are too, and its release is not below ``guard_least``.
    """

    requirement: str
    if_installed: bool
    source: str
    guard_needs: tuple[str, ...] = ()
    guard_least: str | None = None


class TransformersFacts(Struct, frozen=True):
    """What the installed transformers says of itself; null where its source does not tell.

    ``least`` are the least releases of distributions that it accepts when it comes to use them,
    by name, which its metadata do not say. ``module_suffices`` tells that it takes a package for
    available by its module alone, without metadata.
    """

    folder: str
    enforced: tuple[EnforcedRequirement, ...] | None
    torchvision_needs_torch: bool | None
    least: dict[str, str] = {}
    module_suffices: bool | None = None


class BackendNeed(Struct, frozen=True):
    """A class that a processor is composed of, and the backends that it cannot do without."""

    class_name: str
    backends: tuple[str, ...]
    source: str


class Processor(Struct, frozen=True):
    """The processor that this model type gets here. ``unknown`` is why nothing could be told.

    ``reads_preprocessor_config`` tells whether it reads that file at all,
    ``reads_image_processor_type`` whether the class named there matters. ``fails`` is why it ends
    in an error that no backend helps with, ``packages`` are those that it asks for and that are not
    there. ``sees`` tells whether a picture would reach the model, ``prompts`` whether mlx-vlm makes
    a prompt with a picture for this type, ``takes_videos`` whether the processor mentions videos.
    """

    name: str | None
    provider: str | None
    source: str | None
    needs: tuple[BackendNeed, ...]
    reads_image_processor_type: bool | None
    reads_preprocessor_config: bool | None
    unknown: str | None
    takes_videos: bool | None = None
    fails: str | None = None
    packages: tuple[str, ...] = ()
    sees: bool | None = None
    prompts: bool | None = None


class ImageProcessorClass(Struct, frozen=True):
    """The image processor class that the model names, looked up in the installed transformers."""

    named: str
    exists: bool | None
    replacement: str | None
    source: str


class ImportProblem(Struct, frozen=True):
    """An import on the way to a generation that would fail.

    ``module`` is what is imported, ``name`` the missing name in it (null: the module itself is
    missing), ``importer`` and ``line`` the place.
    """

    importer: str
    line: Count
    module: str
    name: str | None


class Misfit(Struct, frozen=True):
    """A call on the way to a generation whose arguments do not fit.

    ``caller`` and ``line`` are the place, ``function`` is what is called, defined at
    ``definition`` and ``definition_line``. ``passes`` and ``takes`` describe both sides, ``why``
    says what is wrong.
    """

    caller: str
    line: Count
    function: str
    definition: str
    definition_line: Count
    passes: str
    takes: str
    why: str


class Imports(Struct, frozen=True):
    """The summary of a static trace of the imports that a generation makes, and of its calls.

    ``reached`` are the top-level names of the modules that it gets to; ``problems`` those imports
    that nothing would catch; ``misfits`` those calls into another package that would raise a
    TypeError. ``unknown`` is why there is no trace.
    """

    reached: tuple[str, ...]
    problems: tuple[ImportProblem, ...]
    unknown: str | None
    misfits: tuple[Misfit, ...] = ()


class DamagedFile(Struct, frozen=True):
    """A file that is gone (``bytes`` is null) or not of the size that its RECORD says.

    ``kind`` is ``compiled``, ``source`` or ``data``; ``module`` the name by which it would be
    imported. ``used`` tells whether a generation loads it, ``problem`` why it then fails by it, or
    is null where no harm was seen.
    """

    distribution: str
    path: str
    recorded_bytes: Count
    bytes: Count | None
    module: str | None = None
    kind: str = "compiled"
    used: bool = True
    problem: str | None = "a generation loads it"


class Shadow(Struct, frozen=True):
    """A module that hides another of its name.

    ``place`` is the kind of the folder that it lies in (see ``PathEntry``), or ``current-folder``:
    then it hides the other only from what is started there. ``standard`` tells that it hides a
    module of Python's own, ``used`` that a generation loads it. ``problem`` is what it asks of it
    in vain, or null.
    """

    module: str
    origin: str
    hides: str
    place: str
    standard: bool
    used: bool
    problem: str | None


class StartupEffect(Struct, frozen=True):
    """What start-up code does: see ``effects`` in the probe's ``startup.py`` for the kinds."""

    line: Count
    kind: str
    detail: str | None
    on_the_way: bool


class StartupFile(Struct, frozen=True):
    """Code that Python runs when it starts and that belongs to no distribution.

    ``kind`` is ``sitecustomize``, ``usercustomize`` or ``pth``.
    """

    path: str
    kind: str
    effects: tuple[StartupEffect, ...]


class StrayLibrary(Struct, frozen=True):
    """A copy of MLX's library that the loader takes before the installed one.

    ``lacks`` is a symbol that the installed mlx asks for and this one has not, or null.
    """

    path: str
    lacks: str | None


class AlteredFile(Struct, frozen=True):
    """A file of the recorded size whose content is not the recorded one (``check --deep``).

    ``kind`` is ``compiled``, ``source`` or ``data``.
    """

    distribution: str
    path: str
    kind: str


class MissingLibrary(Struct, frozen=True):
    """A shared library that ``needed_by`` loads, and that is nowhere; it belongs in ``folder``."""

    name: str
    needed_by: str
    folder: str


class Environment(Struct, frozen=True):
    """What the probe saw in the target.

    ``torch_bytes`` are the sizes on disk of torch and of what it brings with it, by distribution,
    as far as their RECORDs tell.
    ``conda`` has the versions that conda believes to have installed, ``foreign_scripts`` the
    commands in it that another Python would run, with that Python's path; ``stray_libraries`` are
    copies of MLX's library in folders that a variable names. ``altered`` is null where no contents
    were compared. ``mlx_library`` is the library that computes, where mlx finds it.
    """

    interpreter: Interpreter
    distributions: tuple[Distribution, ...]
    leftovers: tuple[str, ...]
    modules: dict[str, Module | None]
    builds: dict[str, Build | None]
    transformers: TransformersFacts | None
    processor: Processor | None
    image_processor: ImageProcessorClass | None
    supported_model_types: tuple[str, ...] | None
    imports: Imports | None = None
    damaged: tuple[DamagedFile, ...] = ()
    torch_bytes: dict[str, Count] = msgspec.field(default_factory=dict)
    shadows: tuple[Shadow, ...] = ()
    startup: tuple[StartupFile, ...] = ()
    conda: dict[str, str] = msgspec.field(default_factory=dict)
    foreign_scripts: dict[str, str] = msgspec.field(default_factory=dict)
    stray_libraries: tuple[StrayLibrary, ...] = ()
    altered: tuple[AlteredFile, ...] | None = None
    mlx_library: str | None = None
    missing_libraries: tuple[MissingLibrary, ...] = ()


class Process(Struct, frozen=True):
    """A process (or the processes of one name together) and the memory that it holds, in bytes.

    ``footprint_bytes`` is macOS's own account, with what is compressed and what the GPU holds; null
    where the system keeps none, or not for everybody.
    """

    name: str
    resident_bytes: Count
    footprint_bytes: Count | None = None

    @property
    def held_bytes(self) -> int:
        """What would come free, as well as it is known."""
        return self.resident_bytes if self.footprint_bytes is None else self.footprint_bytes


class Machine(Struct, frozen=True):
    """The machine as it is now. Sizes are in bytes; total and available honour container limits.

    ``apple_silicon`` tells of the hardware, whatever the Python is made for; ``virtual`` that macOS
    runs in a virtual machine; ``translated`` that the doctor runs under Rosetta.
    ``available_percent`` is macOS's own share of memory that is not in hard use. ``wired_bytes``
    may not be moved to disk, ``compressed_bytes`` is the memory that compressed memory takes, and
    ``compressed_from_bytes`` what it was before. ``swapped_in_bytes`` and ``swapped_out_bytes``
    count since the machine was started: only their growth says something. ``zram_bytes`` is the
    memory that swap in zram takes. ``memory_limit_source`` is the container's limit that total and
    available honour. ``gpu_wired_limit_bytes`` is a limit that somebody set by hand,
    ``gpu_largest_buffer_bytes`` the largest single buffer, ``gpu_name`` the device.
    """

    os: str
    os_version: str | None
    arch: str
    chip: str | None
    ram_total_bytes: Count | None
    ram_available_bytes: Count | None
    swap_total_bytes: Count | None
    swap_used_bytes: Count | None
    memory_pressure: Pressure | None
    gpu_budget_bytes: Count | None
    gpu_budget_source: str | None
    processes: tuple[Process, ...]
    apple_silicon: bool | None = None
    virtual: bool | None = None
    hardware_model: str | None = None
    translated: bool | None = None
    available_percent: Count | None = None
    wired_bytes: Count | None = None
    compressed_bytes: Count | None = None
    compressed_from_bytes: Count | None = None
    swapped_in_bytes: Count | None = None
    swapped_out_bytes: Count | None = None
    zram_bytes: Count | None = None
    memory_limit_source: str | None = None
    gpu_wired_limit_bytes: Count | None = None
    gpu_largest_buffer_bytes: Count | None = None
    gpu_name: str | None = None


class ModelFile(Struct, frozen=True):
    """One JSON file of a model: its path, its state, and why it is in that state."""

    path: str
    state: FileState
    problem: str | None


class Tokenizer(Struct, frozen=True):
    """What the model's tokenizer files say. ``files`` are those of the known names that are there.

    ``extra_special_tokens`` is the kind of that value: ``list``, ``object``, or null (none).
    """

    class_name: str | None
    extra_special_tokens: str | None
    files: tuple[str, ...]


class Weights(Struct, frozen=True):
    """A model's weights as they will lie in memory, in bytes.

    ``vision`` is the part of the vision tower and projector, ``embedding`` the table of the words,
    ``experts`` those of a mixture of experts, ``head`` the
    words' scores, all within ``total``; ``largest`` is one array.
    ``width`` is the size of one activation (2 for bfloat16 and float16, 4 for float32); ``bits``
    those of one weight where they are quantised, else null; ``vision_quantised`` tells that the
    vision tower's are too.
    ``source`` says where that is from: ``headers``, ``config`` or ``card``. ``problems`` are
    what is wrong with the files, in words.
    """

    total: int
    vision: int = 0
    embedding: int = 0
    experts: int = 0
    head: int = 0
    largest: int = 0
    width: int = 2
    bits: float | None = None
    vision_quantised: bool = False
    source: str = "headers"
    problems: tuple[str, ...] = ()


class Model(Struct, frozen=True):
    """The model that was asked about.

    ``found`` is ``cache``, ``folder`` or ``card`` (not here, but well known) or ``nowhere``.
    ``image_processor_named_by`` is the file that names the image processor class.
    ``weights_bytes`` is the size of the safetensors files, or what the card says.
    ``remote_processor`` and ``remote_config`` tell that its files name code of its own repository
    for these (``auto_map``). ``tokenizer`` is null where the model is not here. ``config`` and
    ``preprocessor`` are what those files say, as far as sizes may depend on it; ``weights`` what
    the headers of its safetensors files add up to.
    """

    id: str
    found: str
    path: str | None
    revision: str | None
    type: str | None
    processor_class: str | None
    image_processor_type: str | None
    image_processor_named_by: str | None
    files: dict[str, ModelFile]
    weights_bytes: Count | None
    cache: str
    remote_processor: bool = False
    remote_config: bool = False
    tokenizer: Tokenizer | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    preprocessor: dict[str, Any] = msgspec.field(default_factory=dict)
    weights: Weights | None = None
    weights_problem: str | None = None


class Generation(Struct, frozen=True):
    """A generation that was really run in the target (``check --deep``).

    ``model`` and ``model_type`` are of the model that generated, ``stand_in`` tells that it is the
    doctor's own. ``stage`` is where it failed (``answer``: it ran, and did not understand the
    picture), ``error`` and ``traceback`` what was said there. ``timed_out`` tells that it was ended
    before it told anything.
    """

    model: str
    model_type: str | None
    stand_in: bool
    passed: bool
    stage: str | None = None
    error: str | None = None
    traceback: str | None = None
    timed_out: bool = False


class Facts(Struct, frozen=True):
    """All that is known of one target, one model and one machine at one moment.

    ``purpose`` is what the environment was looked at for. ``generation`` is null where none was
    run.
    """

    schema: str
    tool: str
    taken_at: str
    found_by: str
    environment: Environment
    machine: Machine
    model: Model
    variables: dict[str, str]
    purpose: Purpose = "image"
    generation: Generation | None = None


def decode(text: bytes) -> Facts:
    """Facts from their JSON; raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    facts = msgspec.json.decode(text, type=Facts)
    if facts.schema != SCHEMA:
        known = SCHEMA.rpartition("/")[0]
        newer = " (of a newer doctor)" if facts.schema.startswith(known) else ""
        shown = facts.schema[:60]
        raise msgspec.ValidationError(f"the schema is {shown!r}{newer}, not {SCHEMA!r}")
    return facts


def encode(facts: Facts) -> bytes:
    """Facts as JSON, indented for people."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=1)


# Kept whole, since people copy them: everything else inside the environment becomes relative.
_WHOLE = frozenset({"executable", "prefix", "base_prefix"})


def portable(value: object, prefix: str | None, home: str, key: str = "") -> object:
    """A JSON value with the environment's prefix taken off its paths, and home written ``~``."""
    if isinstance(value, Mapping):
        return {name: portable(inner, prefix, home, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(inner, prefix, home, key) for inner in value]
    if not isinstance(value, str):
        return value
    if prefix and key not in _WHOLE and value.startswith(prefix + os.sep):
        return value[len(prefix) + 1 :]
    if home != os.sep and (value == home or value.startswith(home + os.sep)):
        return "~" + value[len(home) :]
    return value
