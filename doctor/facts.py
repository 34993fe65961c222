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

from doctor import undecoded

SCHEMA = "vlm-doctor/facts/1"

# What a run is to be judged for: pictures, videos, or pictures through mlx-vlm's server.
Purpose = Literal["image", "video", "server"]

Pressure = Literal["normal", "warn", "critical"]
# A value of a JSON file that is kept: a number, a short text, a short list of numbers.
Value = bool | int | float | str | None | list[int | float]

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
    is the source folder of an editable install, ``conda`` the conda package that it is a part of.
    ``problem`` says why the metadata could not be read whole; name and version then come from the
    folder's name.
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
    conda: str | None = None


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
    ``settings`` are those of preprocessor_config.json that mlx-vlm's own processor mentions; null
    where one of transformers prepares the pictures, which takes all. ``names_tokenizer`` tells that
    the tokenizer is of the class that the processor names, whatever the model's files say.
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
    settings: tuple[str, ...] | None = None
    names_tokenizer: bool | None = None


class ImageProcessorClass(Struct, frozen=True):
    """The image processor class that the model names, looked up in the installed transformers.

    ``lacks`` is what the model's processor takes of its answer and it does not give, where the
    class is another family's; ``defaults`` are the lengths that it takes where none are named.
    """

    named: str
    exists: bool | None
    replacement: str | None
    source: str
    lacks: str | None = None
    defaults: dict[str, int] = {}


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

    Zeros that compiled code ends with by the thousand do not count: nobody wrote them.
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


class ParameterGroup(Struct, frozen=True):
    """Parameters that mlx-vlm's code makes for the model, alike but for one number in their names.

    ``pattern`` and ``numbers`` as in ``TensorGroup``; a length of the shape is null where it could
    not be told, the shape where not even their count could. ``quantises`` tells that it is a
    matrix which MLX quantises where the weights are quantised.
    """

    pattern: str
    shape: tuple[int | None, ...] | None
    numbers: str
    quantises: bool


class Parameters(Struct, frozen=True):
    """What the installed mlx-vlm makes of ``config.json``, followed in its code.

    Below the names in ``open`` nothing could be told. ``fails`` is the error that making the model
    ends in, ``unknown`` why its code could not be followed. ``sanitised`` are the words that the
    code looks for in names of weights, since it renames or drops some. ``reads_index`` tells that
    it loads the shards that the index names, not all; ``drops_absent`` that it goes on without a
    part of the model that neither weights nor index mention; ``takes_tokenizers_template`` that it
    looks for a chat template in the tokenizer too, ``template_places_pictures`` that it leaves the
    picture's place in the prompt to the template, ``reads_mode`` that it reads the quantisation's
    mode. ``marks`` are the numbers of tokens for the picture's place that it goes by.
    ``makes_plain_prompts`` tells that a model without any chat template gets a prompt all the same.
    """

    groups: tuple[ParameterGroup, ...]
    open: tuple[str, ...]
    fails: str | None
    unknown: str | None
    sanitised: tuple[str, ...]
    reads_index: bool
    drops_absent: bool
    takes_tokenizers_template: bool = True
    template_places_pictures: bool = False
    reads_mode: bool = True
    marks: dict[str, int] = {}
    makes_plain_prompts: bool = False


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


class Manager(Struct, frozen=True):
    """Who else manages the environment, and would not know of a change by the doctor.

    ``kind`` is a tool that keeps a lock for a project (``uv``, ``poetry``, ``pdm``, ``pipenv``,
    ``pixi``), one that keeps a record of what it installed (``conda``, ``pipx``, ``uv-tool``), or
    whoever has marked the Python itself as its own (``debian``, ``homebrew``, ``uv-python``,
    ``system``). ``source`` is the file that tells, ``project`` the project's folder, ``name`` the
    tool's name for the environment. ``locked`` has the versions in the project's lock, by canonical
    name.
    """

    kind: str
    source: str
    project: str | None = None
    name: str | None = None
    locked: dict[str, str] = {}


class Environment(Struct, frozen=True):
    """What the probe saw in the target.

    ``torch_bytes`` are the sizes on disk of torch and of what it brings with it, by distribution,
    as far as their RECORDs tell.
    ``conda`` has the versions that conda believes to have installed, ``foreign_scripts`` the
    commands in it that another Python would run, with that Python's path; ``stray_libraries`` are
    copies of MLX's library in folders that a variable names. ``altered`` is null where no contents
    were compared. ``mlx_library`` is the library that computes, where mlx finds it. ``parameters``
    is null where the model's configuration was not there to be read. ``newest_file_ns`` is when the
    last of the installed files that were held against their RECORD was written, in nanoseconds
    since 1970.
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
    manager: Manager | None = None
    parameters: Parameters | None = None
    video_processor: ImageProcessorClass | None = None
    altered: tuple[AlteredFile, ...] | None = None
    mlx_library: str | None = None
    missing_libraries: tuple[MissingLibrary, ...] = ()
    newest_file_ns: Count | None = None


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
    memory that swap in zram takes, ``swap_on_disk`` tells whether any swap is elsewhere.
    ``memory_limit_source`` is the container's limit that total and available honour.
    ``gpu_wired_limit_bytes`` is a limit that somebody set by hand, ``gpu_largest_buffer_bytes`` the
    largest single buffer, ``gpu_name`` the device.
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
    swap_on_disk: bool | None = None
    memory_limit_source: str | None = None
    gpu_wired_limit_bytes: Count | None = None
    gpu_largest_buffer_bytes: Count | None = None
    gpu_name: str | None = None


class ModelFile(Struct, frozen=True):
    """One JSON file of a model: its path, its state, and why it is in that state."""

    path: str
    state: FileState
    problem: str | None


class Template(Struct, frozen=True):
    """A chat template in one of its places; ``problem`` is why it cannot be used.

    ``pictures`` tells that it speaks of images at all.
    """

    problem: str | None
    pictures: bool = True


class Tokenizer(Struct, frozen=True):
    """What the model's tokenizer files say. ``files`` are those of the known names that are there.

    ``extra_special_tokens`` is the kind of that value: ``list``, ``object``, or null (none).
    ``problem`` is why tokenizer.json cannot be used. ``marks`` are the tokens that config.json
    means by its numbers, by the numbers' names, null where tokenizer.json has none of that number;
    ``marks_of_config`` are those numbers that tokenizer_config.json knows. ``pictures`` are added
    tokens that speak of images, ``highest`` is the highest number of an added token. ``templates``
    are the chat templates, by file. ``shifted`` are tokens that tokenizer_config.json has in
    between and tokenizer.json has not, ``one_way`` tells that it has bytes for letters in only one
    of the two directions.
    """

    class_name: str | None
    extra_special_tokens: str | None
    files: tuple[str, ...]
    problem: str | None = None
    marks: dict[str, str | None] = msgspec.field(default_factory=dict)
    marks_of_config: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    highest: int | None = None
    shifted: tuple[str, ...] = ()
    one_way: bool = False
    templates: dict[str, Template] = msgspec.field(default_factory=dict)


class StoredFile(Struct, frozen=True):
    """One file of the model's folder, or one that should be there.

    ``kind`` is ``file``, ``link`` (to a file), ``dangling`` (a link to nothing), ``folder``,
    ``special`` (a pipe, a device, a link to itself), ``absent`` or ``unreadable``. ``blob`` is the
    name of the Hub cache's blob that the link leads to. ``expected_bytes`` and ``expected_hash``
    (SHA-256, or git's SHA-1) are what the Hub said of it, by the blob's name or by the lists that
    huggingface-hub keeps; ``hash_is_right`` tells whether the content has that hash, null where it
    was not computed. ``laid_out_anew`` tells that only the white space of a JSON file is another.
    ``backup`` is a copy beside it that has the expected hash. ``took_place`` tells of a file in a
    snapshot that stands where a link stood, and is not one that the doctor mended.
    """

    name: str
    kind: str
    bytes: int | None
    blob: str | None = None
    expected_bytes: int | None = None
    expected_hash: str | None = None
    hash_is_right: bool | None = None
    laid_out_anew: bool = False
    backup: str | None = None
    took_place: bool = False


class Leftover(Struct, frozen=True):
    """What an interrupted download or an editor left: ``kind`` is ``incomplete`` or ``backup``.

    ``bytes`` is what it occupies, ``of`` the blob or file that it belongs to, ``needed`` tells that
    this one is not there whole, so that the leftover is the beginning of what is missing.
    """

    path: str
    kind: str
    bytes: int
    of: str | None
    needed: bool


class Storage(Struct, frozen=True):
    """How a model lies on the disk.

    ``home`` is its folder in the Hub's cache, null for a folder of the user's. ``reference`` is the
    state of ``refs/main``: ``ok``, ``missing``, ``unusable`` or ``dangling`` (it names a snapshot
    that is not there); ``white_space`` tells that it ends in some, which huggingface-hub takes for
    a part of the name. ``snapshots`` are the names of those that are there, ``whole`` those with a
    configuration and weights. ``listed`` tells that huggingface-hub keeps a list of the
    revision's files. ``more`` counts the files that were not looked at. ``commit`` is the revision
    that ``hf download --local-dir`` noted of the files of a folder.
    """

    home: str | None
    reference: str | None
    white_space: bool
    snapshots: tuple[str, ...]
    whole: tuple[str, ...]
    listed: bool
    files: tuple[StoredFile, ...]
    leftovers: tuple[Leftover, ...]
    more: int = 0
    commit: str | None = None


class TensorGroup(Struct, frozen=True):
    """Tensors that are alike but for one number in their names, in one file.

    ``pattern`` has ``*`` in the place of the first number, ``numbers`` says which: ``0-2,5``; it is
    empty where the name has none.
    """

    pattern: str
    dtype: str
    shape: tuple[int, ...]
    numbers: str

    @property
    def count(self) -> int:
        """How many tensors these are."""
        runs = (run.partition("-") for run in self.numbers.split(",") if run)
        return sum(int(last or first) - int(first) + 1 for first, _, last in runs) or 1


class WeightsFile(Struct, frozen=True):
    """A safetensors file, by its header. ``tensors`` counts them; null where it has no header.

    ``kind`` says what is wrong: ``unreadable``, ``pointer`` (of git-lfs), ``text`` (a web page),
    ``empty``, ``cut``, ``header``, ``entry`` (one of the header), ``dtype`` or ``rest`` (bytes that
    belong to no tensor). ``bytes`` is null where it is not there.
    """

    name: str
    bytes: int | None
    tensors: int | None
    kind: str | None = None
    problem: str | None = None
    groups: tuple[TensorGroup, ...] = ()


class WeightsIndex(Struct, frozen=True):
    """``model.safetensors.index.json``: its state, the shards that it names, and how it fits.

    ``absent`` are shards that are not there, ``unlisted`` counts tensors of the shards that it does
    not name, ``misplaced`` those that lie in another shard than it says, ``unfound`` those that no
    file has; ``example`` is one of the unfound. ``tops`` are the first parts of the names.
    """

    state: FileState
    problem: str | None
    shards: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unlisted: int = 0
    misplaced: int = 0
    unfound: int = 0
    example: str | None = None
    tops: tuple[str, ...] = ()


class Conflict(Struct, frozen=True):
    """Two files of weights that have other contents for the same tensors, so many of them."""

    files: tuple[str, str]
    tensors: tuple[str, ...]
    count: int


class Weights(Struct, frozen=True):
    """The model's weights as their headers describe them. ``too_many`` says what was left out."""

    files: tuple[WeightsFile, ...]
    index: WeightsIndex | None
    too_many: str | None = None
    conflicts: tuple[Conflict, ...] = ()


class ModuleQuantisation(Struct, frozen=True):
    """How one module is quantised; all null for one that is not."""

    bits: int | None
    group_size: int | None
    mode: str | None = None


class Quantisation(Struct, frozen=True):
    """The block ``quantization`` of config.json.

    ``modules`` has those that it names by themselves. ``problem`` says why it cannot be used.
    """

    bits: int | None
    group_size: int | None
    mode: str | None
    modules: dict[str, ModuleQuantisation]
    problem: str | None = None


class WeightSizes(Struct, frozen=True):
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

    ``found`` is ``cache``, ``folder``, ``card`` (not here, but well known, or told by the Hub) or
    ``nowhere``.
    ``image_processor_named_by`` is the file that names the image processor class.
    ``weights_bytes`` is the size of the safetensors files, or what the card says.
    ``remote_processor`` and ``remote_config`` tell that its files name code of its own repository
    for these (``auto_map``). ``tokenizer``, ``storage`` and ``weights`` are null where the model is
    not here. ``quantisation`` is null where config.json has no such block. ``values`` are the
    plain values of its JSON files, by file and by their names joined with dots. ``config`` and
    ``preprocessor`` are what those files say, as far as sizes may depend on it; ``weight_sizes``
    what the headers of its safetensors files add up to, where the Hub told them.
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
    weight_sizes: WeightSizes | None = None
    weights_problem: str | None = None
    storage: Storage | None = None
    weights: Weights | None = None
    quantisation: Quantisation | None = None
    values: dict[str, dict[str, Value]] = msgspec.field(default_factory=dict)


class RemoteFile(Struct, frozen=True):
    """One file of a model's repository on the Hub, and what is here of it.

    ``bytes`` is its size, ``blob`` its name in a cache: the SHA-256 of a large file, git's SHA-1 of
    a small one. ``here`` is ``whole`` (its hash was taken), ``missing``, ``damaged`` (what lies
    under that name is something else), ``edited`` (a file of somebody's own in the snapshot, which
    is not the doctor's to replace) or null (not looked at). ``fetched_bytes`` lie there already of
    an earlier download.
    """

    path: str
    bytes: int
    blob: str
    here: Literal["whole", "missing", "damaged", "edited"] | None = None
    fetched_bytes: int = 0


class Remote(Struct, frozen=True):
    """What the Hub says of the model: its name there, its commit and those files a run needs."""

    id: str
    commit: str
    gated: bool
    files: tuple[RemoteFile, ...]


Trouble = Literal[
    "offline", "gated", "missing", "token", "certificate", "proxy", "unreachable", "refused"
]


class HubTrouble(Struct, frozen=True):
    """Why the Hub did not answer a question: the kind, and one line that says it."""

    kind: Trouble
    message: str


class Hub(Struct, frozen=True):
    """How this machine would reach the Hub, and where it keeps what it fetched.

    ``endpoint`` is the Hub's address where it is not the usual one. ``token`` tells whether there
    is one, in the variable or in its file. ``variables`` are those that say how the network is
    reached, without what they hide (names, passwords). ``lost_certificates`` are files that such a
    variable names and that are not there. ``filesystem`` is that of the cache, ``links`` whether it
    knows symbolic links, ``locked_folder`` the first folder on the way of a fetch that this user
    may not write to, or null; ``free_bytes`` is the space there. ``remote`` and ``trouble`` are
    null where nothing was asked.
    """

    endpoint: str | None
    token: bool
    offline: bool
    variables: dict[str, str]
    lost_certificates: dict[str, str]
    filesystem: str | None
    links: bool | None
    locked_folder: str | None
    free_bytes: Count | None
    remote: Remote | None = None
    trouble: HubTrouble | None = None


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
    hub: Hub | None = None
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
    r"""Facts as JSON, indented for people. Bytes of a path that are no text become ``\xff``."""
    try:
        text = msgspec.json.encode(facts)
    except UnicodeEncodeError:
        text = msgspec.json.encode(undecoded.document(msgspec.to_builtins(facts)))
    return msgspec.json.format(text, indent=1)


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
