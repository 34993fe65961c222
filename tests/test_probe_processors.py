"""What processors need, read from real releases of mlx-vlm and transformers; none is imported.

The truth was measured by loading each processor without torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import probe

imports = probe.module("imports")
processors = probe.module("processors")
readers = probe.module("processor_source")

# What Pillow opens the first picture with, as far as it is there; it is not in these tests.
PICTURES = ["PIL.PngImagePlugin"]
tables = probe.module("transformers_tables")

Install = Callable[[str, str], Path]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """The folder of one release of a package, alone; installed when first asked for."""
    folder = tmp_path_factory.mktemp("releases")

    def install(name: str, version: str) -> Path:
        target = folder / f"{name}-{version}"
        return target if target.exists() else probe.install(target, f"{name}=={version}")

    return install


@pytest.fixture(scope="session")
def notes() -> Any:
    """Each file is read once for all tests."""
    return probe.notes()


@pytest.fixture(scope="session")
def processor(release: Install, notes: Any) -> Ask:
    """What a pair of releases says of the processor of a model type."""

    def ask(mlx_vlm: str, transformers: str, model_type: str, **more: str) -> dict[str, Any]:
        folders = release("mlx-vlm", mlx_vlm), release("transformers", transformers)
        question = {"model_type": model_type, **more}
        answer = processors.processor(probe.finder(*folders), notes, question)
        assert isinstance(answer, dict)
        return answer

    return ask


PAIRS = (
    ("0.3.9", "4.57.3"),
    ("0.3.9", "5.23.0"),
    ("0.4.0", "5.3.0"),
    ("0.4.4", "5.23.0"),
    ("0.5.0", "5.23.0"),
    ("0.6.3", "5.5.4"),
    ("0.6.10", "5.14.1"),
    ("0.6.10", "5.23.0"),
    ("0.7.10", "5.23.0"),
)

# Whether the processor needs torch and torchvision, for each of the pairs: T it does, - it does
# not, ? it was not measured, or fails for other reasons.
MEASURED = {
    "qwen2_vl": "TTTT-----",
    "qwen2_5_vl": "TTTT-----",
    "qwen3_vl": "TTTT-----",
    "gemma3": "?--------",
    "paligemma": "?-?------",
    "idefics3": "?----TT--",
    "smolvlm": "?TT--TT--",
    "florence2": "?-?--TT--",
    "llava": "?--------",
    "llava_next": "?--------",
    "mllama": "?--------",
    "pixtral": "?T---T---",
    "mistral3": "??---T---",
    "internvl_chat": "???------",
    "phi3_v": "???------",
    "kimi_vl": "???------",
    "molmo": "???------",
    "llava_qwen2": "??-------",
    "glm4v": "?TT------",
    "llama4": "?TT------",
    "aya_vision": "?--------",
    "gemma4": "???------",
    "llava_onevision": "????????-",
    "paddleocr_vl": "??-------",
    "lfm2_vl": "TTTTT----",
}


@pytest.mark.parametrize("model_type", MEASURED)
def test_whether_a_processor_needs_torchvision_is_as_measured(
    processor: Ask, model_type: str
) -> None:
    told = ""
    for pair, measured in zip(PAIRS, MEASURED[model_type], strict=True):
        answer = processor(*pair, model_type)
        backends = {backend for need in answer["needs"] for backend in need["backends"]}
        assert backends in (set(), {"torch", "torchvision"})
        verdict = "unknown" if answer["unknown"] else "T" if backends else "-"
        told += "?" if measured == "?" else verdict
    assert told == MEASURED[model_type]


def test_the_reports_own_failure(processor: Ask, release: Install) -> None:
    answer = processor("0.3.9", "4.57.3", "qwen3_vl", processor_class="Qwen3VLProcessor")
    models = release("transformers", "4.57.3") / "transformers" / "models"
    assert answer == {
        "name": "Qwen3VLProcessor",
        "provider": "transformers",
        "source": str(models / "qwen3_vl" / "processing_qwen3_vl.py"),
        "needs": [
            {
                "class_name": "AutoVideoProcessor",
                "backends": ["torch", "torchvision"],
                "source": str(models / "auto" / "video_processing_auto.py"),
            }
        ],
        "reads_image_processor_type": True,
        "reads_preprocessor_config": True,
        "takes_videos": True,
        "unknown": None,
        "fails": None,
        "packages": [],
        "sees": True,
        "prompts": True,
        # A tokenizer of the class that the processor names, and the settings that its parts take.
        "settings": None,
        "names_tokenizer": True,
    }


def test_a_processor_of_mlx_vlm_that_needs_nothing(processor: Ask, release: Install) -> None:
    answer = processor("0.7.10", "5.23.0", "qwen3_vl", processor_class="Qwen3VLProcessor")
    models = release("mlx-vlm", "0.7.10") / "mlx_vlm" / "models"
    assert answer["provider"] == "mlx-vlm"
    assert answer["source"] == str(models / "qwen3_vl" / "processing_qwen3_vl.py")
    assert answer["needs"] == []
    assert answer["reads_image_processor_type"] is False
    assert answer["unknown"] is None
    assert {"do_rescale", "do_normalize", "image_mean"} < set(answer["settings"])
    assert answer["names_tokenizer"] is False


def test_where_mlx_vlms_own_fails_the_one_of_transformers_is_taken(processor: Ask) -> None:
    assert processor("0.6.3", "5.5.4", "gemma3")["provider"] == "transformers"
    assert processor("0.6.10", "5.23.0", "gemma3")["provider"] == "mlx-vlm"


def test_a_processor_class_that_is_a_placeholder_itself(processor: Ask) -> None:
    answer = processor("0.3.9", "5.23.0", "mistral3", processor_class="PixtralProcessor")
    assert answer["needs"][0]["class_name"] == "PixtralProcessor"
    assert answer["needs"][0]["backends"] == ["torch", "torchvision"]


@pytest.mark.parametrize("model_type", ["qwen3_vl", "QWEN3_VL"])
def test_the_letters_of_the_model_type_do_not_matter(processor: Ask, model_type: str) -> None:
    assert processor("0.7.10", "5.23.0", model_type)["name"] == "Qwen3VLProcessor"


@pytest.mark.parametrize("model_type", ["no_such_type", "../../etc", "a\0b", "a/b", ".", "\udcff"])
def test_a_type_that_nobody_knows(release: Install, notes: Any, model_type: str) -> None:
    finder = probe.finder(release("mlx-vlm", "0.7.10"), release("transformers", "5.23.0"))
    question = {"model_type": model_type, "processor_class": "NoSuchProcessor"}
    answer = processors.processor(finder, notes, question)
    assert (answer["name"], answer["provider"], answer["needs"]) == ("NoSuchProcessor", None, [])
    assert answer["unknown"]
    starts = processors.starts(finder, notes, question, answer)
    assert starts == ["mlx_vlm", "mlx_vlm.prompt_utils", "jinja2", *PICTURES]


@pytest.mark.parametrize("model_type", [None, ""])
def test_no_type(release: Install, notes: Any, model_type: str | None) -> None:
    finder = probe.finder(release("mlx-vlm", "0.7.10"), release("transformers", "5.23.0"))
    question = {"model_type": model_type}
    assert processors.processor(finder, notes, question) is None
    starts = processors.starts(finder, notes, question, None)
    assert starts == ["mlx_vlm", "mlx_vlm.prompt_utils", "jinja2", *PICTURES]


@pytest.mark.parametrize(
    ("pair", "model_type", "fails"),
    [
        # Measured: `unexpected keyword argument 'padding'` with the first, and the second runs.
        (("0.7.10", "5.23.0"), "llava", "`padding`"),
        (("0.4.4", "5.23.0"), "llava", "`padding`"),
        (("0.6.10", "5.14.1"), "llava", None),
        (("0.4.0", "5.3.0"), "llava", None),
        (("0.7.10", "5.23.0"), "llava_next", None),
        (("0.7.10", "5.23.0"), "qwen2_vl", None),
    ],
)
def test_a_keyword_that_is_handed_on_and_refused(
    processor: Ask, pair: tuple[str, str], model_type: str, fails: str | None
) -> None:
    answer = processor(*pair, model_type)
    assert answer["needs"] == []
    assert (fails in answer["fails"]) if fails else answer["fails"] is None


def of_files(processor: Ask, pair: tuple[str, str], model_type: str, **named: Any) -> Any:
    """The answer about a model whose files were read, and name what is given."""
    return processor(*pair, model_type, files_read=True, **named)


def test_code_of_the_models_own_repository_is_not_run(processor: Ask) -> None:
    """Measured with Phi-3.5-vision and InternVL: "contains custom code which must be executed"."""
    named = {"processor_class": "Phi3VProcessor", "remote_processor": True}
    old = of_files(processor, PAIRS[0], "phi3_v", **named)
    assert "trust_remote_code" in old["fails"]
    assert of_files(processor, PAIRS[-1], "phi3_v", **named)["fails"] is None
    configured = of_files(processor, PAIRS[0], "internvl_chat", remote_config=True)
    assert "trust_remote_code" in configured["fails"]


def test_a_type_that_transformers_4_does_not_know(processor: Ask) -> None:
    """With transformers 5 the tokenizer is next; transformers 4 ends there."""
    assert "does not know" in of_files(processor, PAIRS[0], "llava-qwen2")["fails"]
    later = of_files(processor, PAIRS[-1], "llava-qwen2")
    assert (later["fails"], later["sees"]) == (None, True)  # mlx-vlm puts the pictures in


def test_a_tokenizer_alone_sees_nothing(processor: Ask) -> None:
    assert of_files(processor, PAIRS[-1], "qwen3")["sees"] is False
    named = {"processor_class": "VLChatProcessor", "remote_processor": False}
    assert of_files(processor, PAIRS[-1], "multi_modality", **named)["sees"] is True
    assert processor(*PAIRS[-1], "qwen3")["sees"] is None  # without the files it is not known


def test_a_class_that_transformers_finds_by_its_name(processor: Ask) -> None:
    named = {"processor_class": "DeepseekVLV2Processor"}
    answer = of_files(processor, PAIRS[0], "deepseek_vl_v2", **named)
    assert (answer["provider"], answer["needs"], answer["sees"]) == ("mlx-vlm", [], True)


def test_the_image_processor_that_the_models_files_name_counts(processor: Ask) -> None:
    """Llama 4 has no slow class in transformers 4; Aya names one of another model."""
    fast = of_files(
        processor,
        PAIRS[0],
        "llama4",
        processor_class="Llama4Processor",
        image_processor_type="Llama4ImageProcessorFast",
    )
    assert [need["class_name"] for need in fast["needs"]] == ["AutoImageProcessor"]
    slow = of_files(
        processor,
        PAIRS[0],
        "cohere2_vision",
        processor_class="Cohere2VisionProcessor",
        image_processor_type="GotOcr2ImageProcessor",
    )
    assert slow["needs"] == []


@pytest.mark.parametrize(
    ("pair", "model_type", "prompts"),
    [
        (("0.4.4", "5.23.0"), "qwen3_vl", True),
        (("0.4.4", "5.23.0"), "granite_vision", False),  # "Unsupported model: granite_vision"
        (("0.7.10", "5.23.0"), "no_such_type", None),  # a prompt of text alone
    ],
)
def test_whether_a_prompt_is_made(
    processor: Ask, pair: tuple[str, str], model_type: str, prompts: bool | None
) -> None:
    assert processor(*pair, model_type)["prompts"] is prompts


def test_a_processor_that_is_loaded_by_a_class_above_it(tmp_path: Path, notes: Any) -> None:
    models = "mlx_vlm/models/"
    files = {
        "mlx_vlm/__init__.py": "",
        "mlx_vlm/utils.py": "",
        models + "x/__init__.py": "from .p import Own, Model",
        models + "x/p.py": "from ..y.p import Base\nclass Own(Base): pass\n"
        'install_auto_processor_patch("x", Own)',
        models + "y/p.py": "class Base(ProcessorMixin):\n"
        "    def from_pretrained(cls, path): return AutoVideoProcessor",
        "transformers/__init__.py": "",
        "transformers/utils/import_utils.py": "BASE_FILE_REQUIREMENTS = {\n"
        '    lambda name, content: "video_processing_" in name: ("torch", "torchvision"),\n}\n',
        "transformers/models/auto/video_processing_auto.py": "class AutoVideoProcessor: pass",
    }
    finder = probe.finder(probe.write(tmp_path, files))
    answer = processors.processor(finder, notes, {"model_type": "x"})
    assert (answer["name"], answer["provider"]) == ("Own", "mlx-vlm")
    assert [need["class_name"] for need in answer["needs"]] == ["AutoVideoProcessor"]
    circle = {models + "x/p.py": files[models + "x/p.py"].replace("Own(Base)", "Own(Own)")}
    probe.write(tmp_path, circle)
    answer = processors.processor(probe.finder(tmp_path), probe.notes(), {"model_type": "x"})
    assert answer["unknown"]


@pytest.mark.parametrize("missing", ["mlx-vlm", "transformers"])
def test_no_processor_without_both(release: Install, notes: Any, missing: str) -> None:
    versions = {"mlx-vlm": "0.7.10", "transformers": "5.23.0"}
    del versions[missing]
    finder = probe.finder(*(release(name, version) for name, version in versions.items()))
    assert processors.processor(finder, notes, {"model_type": "qwen3_vl"}) is None


def test_the_starts_of_a_generation(release: Install, notes: Any) -> None:
    question = {"model_type": "qwen3_vl"}
    common = ["mlx_vlm", "mlx_vlm.prompt_utils", "jinja2", *PICTURES]
    common += ["mlx_vlm.models.qwen3_vl", "transformers.models.qwen3_vl"]
    common += ["transformers.models.qwen2"]  # the tokenizer's
    more = ["transformers.models.qwen3_vl.processing_qwen3_vl"]
    expected = {("0.7.10", "5.23.0"): common, ("0.3.9", "4.57.3"): common + more}
    for (mlx_vlm, transformers), starts in expected.items():
        finder = probe.finder(release("mlx-vlm", mlx_vlm), release("transformers", transformers))
        answer = processors.processor(finder, notes, question)
        assert processors.starts(finder, notes, question, answer) == starts
    assert processors.starts(probe.finder(), notes, question, None) == []


@pytest.mark.parametrize("version", ["0.3.9", "0.7.10"])
def test_the_model_types_that_are_supported(release: Install, notes: Any, version: str) -> None:
    types = processors.supported_model_types(probe.finder(release("mlx-vlm", version)), notes)
    assert {"qwen2_vl", "qwen3_vl", "gemma3", "llava_qwen2"} <= set(types)
    assert types == sorted(types)
    assert not {"base", "cache", "kernels", "__init__", "__pycache__"} & set(types)
    assert ("llava_onevision" in types) == (version == "0.7.10")


def test_no_types_without_mlx_vlm(tmp_path: Path, notes: Any) -> None:
    assert processors.supported_model_types(probe.finder(tmp_path), notes) is None
    probe.write(tmp_path, {"mlx_vlm/__init__.py": ""})
    assert processors.supported_model_types(probe.finder(tmp_path), notes) is None


@pytest.mark.parametrize(
    ("version", "gated"),
    [
        ("4.57.3", False),
        ("5.3.0", False),
        ("5.5.4", True),
        ("5.14.1", True),
        ("5.18.0", False),
        ("5.23.0", False),
    ],
)
def test_when_auto_image_processor_is_a_placeholder_without_torch(
    release: Install, notes: Any, version: str, gated: bool
) -> None:
    folder = release("transformers", version) / "transformers"
    backends = tables.Backends(str(folder), notes)
    auto = folder / "models" / "auto"
    image = backends.of(str(auto / "image_processing_auto.py"), "AutoImageProcessor")
    assert image == (["torch", "torchvision", "vision"] if gated else ["vision"])
    video = backends.of(str(auto / "video_processing_auto.py"), "AutoVideoProcessor")
    assert video == ["torch", "torchvision", "vision"]
    assert backends.of(str(auto / "gone.py"), "AutoImageProcessor") is None
    elsewhere = tables.Backends(str(folder / "gone"), notes)
    assert elsewhere.of(str(auto / "image_processing_auto.py"), "AutoImageProcessor") is None


@pytest.mark.parametrize(
    ("version", "named", "model_type", "exists"),
    [
        # The report says that it does not exist; it does.
        ("4.57.3", "Qwen2VLImageProcessorFast", "qwen3_vl", True),
        ("4.57.3", "Qwen2VLImageProcessor", "qwen3_vl", True),
        ("4.57.3", "Qwen2_5_VLImageProcessor", "qwen2_5_vl", False),
        ("4.57.3", "CLIPFeatureExtractor", "llava", True),
        ("4.57.3", "NoSuchImageProcessorFast", "no_such_type", False),
        ("5.23.0", "Qwen2VLImageProcessorFast", "qwen3_vl", True),
        ("5.23.0", "Qwen2_5_VLImageProcessor", "qwen2_5_vl", False),
        ("5.23.0", "CLIPFeatureExtractor", "llava", False),
        ("5.23.0", "CLIPImageProcessor", "llava", True),
    ],
)
def test_whether_the_named_image_processor_exists(
    release: Install, notes: Any, version: str, named: str, model_type: str, exists: bool
) -> None:
    finder = probe.finder(release("transformers", version))
    question = {"model_type": model_type, "image_processor_type": named}
    answer = tables.image_processor(finder, notes, question)
    assert (answer["named"], answer["exists"]) == (named, exists)
    assert Path(answer["source"]).is_file()
    replacement = {
        "qwen2_5_vl": "Qwen2VLImageProcessor",
        "qwen3_vl": "Qwen2VLImageProcessor",
        "llava": "LlavaImageProcessor",
    }.get(model_type)
    assert answer["replacement"] == replacement
    if replacement:
        again = {"model_type": model_type, "image_processor_type": replacement}
        assert tables.image_processor(finder, notes, again)["exists"]


@pytest.mark.parametrize(
    ("pair", "model_type", "named", "lacks"),
    [
        (("0.3.9", "4.57.3"), "qwen3_vl", "Qwen2VLImageProcessorFast", None),
        (("0.3.9", "4.57.3"), "qwen3_vl", "CLIPImageProcessor", "image_grid_thw"),
        (("0.3.9", "4.57.3"), "qwen3_vl", "CLIPFeatureExtractor", "image_grid_thw"),
        (("0.3.9", "4.57.3"), "llava", "CLIPImageProcessor", None),
        (("0.6.3", "5.5.4"), "llava", "CLIPImageProcessor", None),
        # mlx-vlm's own prepares the pictures, whatever is named.
        (("0.7.10", "5.23.0"), "qwen3_vl", "CLIPImageProcessor", None),
    ],
)
def test_a_class_of_another_family_does_not_give_what_is_taken(
    processor: Ask,
    release: Install,
    notes: Any,
    pair: tuple[str, str],
    model_type: str,
    named: str,
    lacks: str | None,
) -> None:
    used = processor(*pair, model_type)
    finder = probe.finder(release("transformers", pair[1]))
    question = {"model_type": model_type, "image_processor_type": named}
    assert tables.image_processor(finder, notes, question, used)["lacks"] == lacks


def test_the_lengths_that_a_class_takes_where_none_are_named(
    processor: Ask, release: Install, notes: Any
) -> None:
    used = processor("0.3.9", "4.57.3", "qwen3_vl")
    finder = probe.finder(release("transformers", "4.57.3"))
    question = {"model_type": "qwen3_vl", "image_processor_type": "Qwen2VLImageProcessorFast"}
    answer = tables.image_processor(finder, notes, question, used)
    assert answer["defaults"] == {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}


def test_no_image_processor_without_a_name_or_transformers(release: Install, notes: Any) -> None:
    finder = probe.finder(release("transformers", "5.23.0"))
    question = {"model_type": "qwen3_vl", "image_processor_type": None}
    assert tables.image_processor(finder, notes, question) is None
    named = {"model_type": "qwen3_vl", "image_processor_type": "Qwen2VLImageProcessor"}
    assert tables.image_processor(probe.finder(), notes, named) is None


def test_whether_it_exists_is_unknown_where_there_is_no_table(tmp_path: Path, notes: Any) -> None:
    probe.write(tmp_path, {"transformers/__init__.py": ""})
    question = {"model_type": "qwen3_vl", "image_processor_type": "Qwen2VLImageProcessor"}
    answer = tables.image_processor(probe.finder(tmp_path), notes, question)
    assert (answer["exists"], answer["replacement"]) == (None, None)


@pytest.mark.parametrize(
    ("version", "enforced"),
    [
        ("4.57.3", {"tokenizers>=0.22.0,<=0.23.0": True, "huggingface-hub>=0.34.0,<1.0": False}),
        ("5.23.0", {"tokenizers>=0.23.1,<0.24.0": True, "huggingface-hub>=1.31.0,<3.0": False}),
    ],
)
def test_the_versions_that_transformers_enforces(
    release: Install, notes: Any, version: str, enforced: dict[str, bool]
) -> None:
    folder = release("transformers", version)
    described = tables.describe(probe.finder(folder), notes)
    found = {one["requirement"]: one["if_installed"] for one in described["enforced"]}
    assert enforced.items() <= found.items()
    assert found == _really_enforced(folder / "transformers")
    sources = {Path(one["source"]).name for one in described["enforced"]}
    assert sources == {"dependency_versions_table.py"}


def _really_enforced(folder: Path) -> dict[str, bool]:
    """What transformers' own loop asks for, and whether only where it is installed."""
    code = """
import json, pathlib, sys, types
folder = pathlib.Path(sys.argv[1])
def asked(there):
    result = []
    names = ["t", "t.utils", "t.utils.versions", "t.utils.import_utils"]
    for name in [*names, "t.dependency_versions_table"]:
        made = sys.modules[name] = types.ModuleType(name)
        made.is_tokenizers_available = made.is_accelerate_available = lambda: there
        made.require_version = made.require_version_core = lambda text, _=0: result.append(text)
        made.__path__ = []
    exec((folder / "dependency_versions_table.py").read_text(), made.__dict__)
    check = (folder / "dependency_versions_check.py").read_text()
    exec(check, {"__name__": "t.dependency_versions_check", "__package__": "t"})
    return [text for text in result if not text.startswith("python")]
always = asked(False)
print(json.dumps({text: text not in always for text in asked(True)}))
"""
    output = subprocess.check_output([sys.executable, "-I", "-S", "-c", code, str(folder)])
    result = json.loads(output)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize(
    ("version", "needs_torch"),
    [("4.57.3", False), ("5.3.0", False), ("5.5.4", True), ("5.23.0", True)],
)
def test_whether_torchvision_counts_only_with_torch(
    release: Install, notes: Any, version: str, needs_torch: bool
) -> None:
    described = tables.describe(probe.finder(release("transformers", version)), notes)
    assert described["torchvision_needs_torch"] is needs_torch


def test_a_transformers_that_tells_nothing(tmp_path: Path, notes: Any) -> None:
    assert tables.describe(probe.finder(tmp_path), notes) is None
    probe.write(tmp_path, {"transformers/__init__.py": ""})
    described = tables.describe(probe.finder(tmp_path), notes)
    assert (described["enforced"], described["torchvision_needs_torch"]) == (None, None)


@pytest.mark.parametrize("pair", [("0.3.9", "4.57.3"), ("0.7.10", "5.23.0")])
def test_what_a_pair_alone_lacks(release: Install, notes: Any, pair: tuple[str, str]) -> None:
    """With nothing else installed, modules of others are missing: those that Python names."""
    folders = [release("mlx-vlm", pair[0]), release("transformers", pair[1])]
    library = Path(sysconfig.get_path("stdlib"))
    entries = [{"path": str(folder), "kind": "site-packages"} for folder in folders]
    for folder in (library, library / "lib-dynload"):
        entries.append({"path": str(folder), "kind": "standard-library"})
    finder = probe.module("modules").Finder(entries)
    question = {"model_type": "qwen3_vl"}
    answer = processors.processor(finder, notes, question)
    starts = processors.starts(finder, notes, question, answer)
    traced = imports.trace(finder, notes, starts, [])
    missing = {one["module"] for one in traced["problems"] if one["name"] is None}
    assert {"mlx", "numpy", "tqdm", "huggingface_hub", "jinja2"} <= missing
    assert not [name for name in missing if name.startswith(("mlx_vlm", "transformers"))]
    assert traced["reached"] == ["mlx_vlm", "transformers"]
    for start in starts:
        assert _missing_for(folders, start) in missing


def _missing_for(folders: list[Path], module: str) -> str:
    """The module for the lack of which this one cannot be imported, as Python says."""
    code = """
import importlib, sys
sys.path[:0] = sys.argv[2:]
try:
    importlib.import_module(sys.argv[1])
except ModuleNotFoundError as error:
    print(error.name)
"""
    command = [sys.executable, "-I", "-S", "-B", "-c", code, module, *map(str, folders)]
    return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()


# A class as real releases have had them, and functions beside it.
LOADER = """
def helper(path):
    return AutoImageProcessor
def deep(path):
    return helper(path)
def careful(path):
    try:
        return AutoVideoProcessor
    except:
        pass
def circle(path):
    return circle(path) or ring(path)
def ring(path):
    return circle(path)
class Processor(ProcessorMixin):
    attributes = ["tokenizer"]
    @classmethod
    def from_pretrained(cls, path, **kwargs):
        tokenizer = AutoTokenizer.from_pretrained(path)
"""


@pytest.mark.parametrize(
    ("body", "free", "guarded"),
    [
        ("x = AutoImageProcessor.from_pretrained(path)", ["AutoImageProcessor"], []),
        ("x = OwnImageProcessor.from_pretrained(path)", ["OwnImageProcessor"], []),
        ("x = helper(path)", ["AutoImageProcessor"], []),
        ("x = deep(path)", ["AutoImageProcessor"], []),
        ("x = careful(path)", [], ["AutoVideoProcessor"]),
        ("x = circle(path)", [], []),
        ("try: x = AutoVideoProcessor\nexcept Exception: pass", [], ["AutoVideoProcessor"]),
        ("try: x = AutoVideoProcessor\nexcept: pass", [], ["AutoVideoProcessor"]),
        ("try: x = deep()\nexcept (ImportError, OSError): pass", [], ["AutoImageProcessor"]),
        ("try: x = deep()\nexcept ValueError: pass", ["AutoImageProcessor"], []),
        ("try: x = Own()\nexcept ValueError: x = deep()", [], ["AutoImageProcessor"]),
    ],
)
def test_the_auto_classes_that_a_loader_uses(
    body: str, free: list[str], guarded: list[str]
) -> None:
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    outline = readers.outline(LOADER + lines, "Processor")
    assert (outline["free"], outline["guarded"]) == (free, guarded)
    assert outline["attributes"] == ["tokenizer"]
    assert (outline["loads_itself"], outline["bases"]) == (True, ["ProcessorMixin"])
    assert (outline["patched"], outline["calls_original"]) == (False, None)


@pytest.mark.parametrize(
    ("body", "calls_original"),
    [
        ("return cls(AutoImageProcessor)", None),
        ("return original.__func__(cls, path)", "always"),
        ("if not READY: return original.__func__(cls, path)", "READY"),
        ("if path: return original.__func__(cls, path)", "always"),
    ],
)
def test_a_class_of_transformers_that_is_changed(body: str, calls_original: str | None) -> None:
    text = (
        "from transformers.models.x import Processor\n"
        "original = Processor.from_pretrained\n"
        f"@classmethod\ndef load(cls, path):\n    {body}\n"
        "Processor.from_pretrained = load\n"
    )
    outline = readers.outline(text, "Processor")
    assert outline["patched"]
    assert outline["loads_itself"]
    assert outline["calls_original"] == calls_original
    assert outline["free"] == ([] if calls_original else ["AutoImageProcessor"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class ProcessorMixin: pass",
        "Processor = make()",
        "class Processor(:",
        "# class Processor",
        "Processor.from_pretrained = make()",
        "Other.from_pretrained = Processor.from_pretrained = load",
    ],
)
def test_a_class_that_a_file_does_not_define(text: str) -> None:
    assert readers.outline(text, "Processor") is None


@pytest.mark.parametrize(
    ("call", "types"),
    [
        ('install_auto_processor_patch("Qwen3_VL", Own)', ["qwen3_vl"]),
        ('install_auto_processor_patch(["a", "B"], Own)', ["a", "b"]),
        ('install_auto_processor_patch(("a", "b"), Own)', ["a", "b"]),
        ('install_auto_processor_patch({"a"}, Own)', ["a"]),
        ('TYPES = ["a", "b"]\ninstall_auto_processor_patch(TYPES, Own)', ["a", "b"]),
        ('previous = install_auto_processor_patch(\n    ["a"],\n    Own,\n)', ["a"]),
        ('if Own:\n    install_auto_processor_patch("a", Own)', ["a"]),
        ("install_auto_processor_patch(make(), Own)", None),
        ('install_auto_processor_patch("a")', None),
        ('install_auto_processor_patch("a", make())', None),
        ("def install_auto_processor_patch(types, cls): pass", None),
    ],
)
def test_what_a_file_registers(call: str, types: list[str] | None) -> None:
    assert readers.registrations(call + "\n") == ([] if types is None else [[types, "Own"]])


def test_a_file_that_replaces_the_auto_processor() -> None:
    """So does mlx-vlm for Molmo 2."""
    text = (
        "@classmethod\n"
        "def _load(cls, path, **kwargs):\n"
        "    ours = config.get('model_type') == 'Molmo2'\n"
        "    if ours:\n        return Own.from_pretrained(path)\n"
        "    return original.__func__(cls, path)\n"
        "AutoProcessor.from_pretrained = _load\n"
    )
    assert readers.registrations(text) == [[["molmo2"], "Own"]]
    assert readers.registrations(text.replace("= _load", "= elsewhere")) == []


def test_a_class_that_is_added_to_the_table() -> None:
    assert readers.registered_by_name('AutoProcessor.register("x", Own)') == ["Own"]
    assert readers.registered_by_name("AutoProcessor.register(KEY, Own, exist_ok=True)") == ["Own"]
    assert readers.registered_by_name("# AutoProcessor.register(KEY, Own)") == []


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("from .m import Model, VisionModel", ["Model", "VisionModel"]),
        ("from .p import Own as ImageProcessor", ["ImageProcessor"]),
        ("class Model: pass\nImageProcessor = None", ["ImageProcessor", "Model"]),
        ("import Model.inner", []),
        ("def f():\n    Model = 1", []),
        ("(", []),
    ],
)
def test_what_a_models_package_binds(text: str, bound: list[str]) -> None:
    assert readers.binds(text) == bound


@pytest.mark.parametrize(
    ("failed", "deciding"),
    [("READY = False", [["a.b", ["C"]]]), ("C = Own\n    READY = True", []), ("pass", None)],
)
def test_a_flag_that_an_import_sets(failed: str, deciding: list[Any] | None) -> None:
    text = f"try:\n    from a.b import C\n    READY = True\nexcept ImportError:\n    {failed}\n"
    assert readers.flag(text, "READY") == deciding


@pytest.mark.parametrize(
    ("body", "passes_on"),
    [
        ("self.image_processor(images, **kwargs)", True),
        ("self.image_processor(images)", False),
        ("kwargs = self._merge(**kwargs)\n        self.image_processor(images, **kwargs)", False),
        ("self.tokenizer(text, **kwargs)", False),
    ],
)
def test_what_a_call_hands_on(body: str, passes_on: bool) -> None:
    text = f"class P:\n    def __call__(self, images, *, text, **kwargs):\n        {body}\n"
    outline = readers.call_outline(text, "P")
    assert (outline["takes"], outline["passes_on"]) == (["self", "images", "text"], passes_on)
    assert readers.call_outline(text, "Q") is None


def test_the_keywords_of_image_processors() -> None:
    text = "class TextKwargs(T):\n    padding: bool\n\nclass ImagesKwargs(T):\n    do_pad: bool\n"
    assert readers.declares(text, "do_pad")
    assert not readers.declares(text, "padding")


def test_the_modules_that_functions_import() -> None:
    text = (
        "import numpy\ntry:\n    import torch\nexcept ImportError:\n    pass\n"
        "def f():\n    import scipy.signal\n    from soundfile import read\n    from . import x\n"
        "    try:\n        import cv2\n    except ImportError:\n        pass\n"
    )
    assert readers.imports_within(text) == ["scipy", "soundfile"]


@pytest.mark.parametrize(
    ("test", "asked"),
    [
        ("not num2words", ["num2words"]),
        ("num2words is None", ["num2words"]),
        ("not is_soundfile_available()", ["soundfile"]),
        ("not is_torch_available()", []),  # that is a backend
        ("not tokenizer", []),
        ("num2words", []),
    ],
)
def test_the_packages_that_a_processor_asks_for(test: str, asked: list[str]) -> None:
    text = (
        "if is_num2words_available():\n    from num2words import num2words\n"
        "else:\n    num2words = None\n"
        f"class P:\n    def __init__(self, tokenizer):\n        if {test}:\n"
        "            raise ImportError('it is required')\n"
    )
    assert readers.asks_for_packages(text, "P") == asked
    assert readers.asks_for_packages(text, "Q") == []


def test_another_name_for_a_class() -> None:
    assert readers.alias_of("Sam31Processor = Sam3Processor\n", "Sam31Processor") == "Sam3Processor"
    assert readers.alias_of("A = make()\nB = B\n", "A") is None
    assert readers.alias_of("A = make()\nB = B\n", "B") is None


def test_with_torch_and_torchvision_mlx_vlms_own_processor_is_taken(
    release: Install, notes: Any, tmp_path: Path
) -> None:
    """Measured: with torch LLaVA fails in this pair, and runs without."""
    both = {"torch/__init__.py": "", "torchvision/__init__.py": ""}
    folders = [release("mlx-vlm", "0.6.3"), release("transformers", "5.5.4")]
    question = {"model_type": "llava"}
    bare = processors.processor(probe.finder(*folders), notes, question)
    assert (bare["provider"], bare["fails"]) == ("transformers", None)
    folders.append(probe.write(tmp_path, both))
    full = processors.processor(probe.finder(*folders), notes, question)
    assert full["provider"] == "mlx-vlm"
    assert "`padding`" in full["fails"]


def test_smolvlm_asks_for_a_package_that_nobody_requires(processor: Ask) -> None:
    """Measured with torch and torchvision: "Package `num2words` is required"."""
    assert processor("0.3.9", "4.57.3", "smolvlm")["packages"] == ["num2words"]
    assert processor("0.7.10", "5.23.0", "smolvlm")["packages"] == []


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({"model_type": "pictures"}, "transformers.models.words"),
        (
            {"model_type": "Pictures", "tokenizer_class": "WordsTokenizerFast"},
            "transformers.models.words",
        ),
        ({"model_type": "pictures", "tokenizer_class": "OtherTokenizer"}, None),
        ({"model_type": "unknown"}, None),
        ({"model_type": None}, None),
    ],
)
def test_the_package_of_a_tokenizer(
    tmp_path: Path, question: dict[str, Any], found: str | None
) -> None:
    """By the table of transformers 4 (pairs) and of 5 (names)."""
    pair, name = '("WordsTokenizer", "WordsTokenizerFast" if x else None)', '"WordsTokenizer"'
    for classes in (pair, name):
        table = f'("pictures", {classes}),\n("words", {classes})'
        auto = "transformers/models/auto/tokenization_auto.py"
        probe.write(tmp_path, {"transformers/__init__.py": "", auto: f"NAMES = dict([{table}])"})
        finder = probe.finder(tmp_path)
        assert tables.tokenizer_module(finder, probe.notes(), question) == found


@pytest.mark.parametrize(
    ("model_type", "promised"), [("x", True), ("inner", False), ("x-y", False), ("other", False)]
)
def test_a_module_that_the_tables_promise(tmp_path: Path, model_type: str, promised: bool) -> None:
    """Whether it is there or not: where it is not, a generation ends."""
    table = (
        'CONFIG_MAPPING_NAMES = dict([("x", "X"), ("inner", "Inner"), ("x-y", "Y")])\n'
        'SPECIAL_MODEL_TYPE_TO_MODULE_NAME = dict([("inner", "x")])\n'
    )
    auto = "transformers/models/auto/configuration_auto.py"
    files = {"transformers/__init__.py": "", auto: table, "mlx_vlm/__init__.py": ""}
    finder = probe.finder(probe.write(tmp_path, files))
    starts = processors.starts(finder, probe.notes(), {"model_type": model_type}, None)
    assert (f"transformers.models.{model_type}" in starts) == promised
