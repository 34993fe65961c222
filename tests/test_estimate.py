"""The estimate: phases, families, releases, and files that lie."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doctor.estimate import (
    Estimate,
    Job,
    Library,
    NotEstimable,
    estimate,
    estimate_of,
    judge,
    weights_of_config,
    weights_of_headers,
)
from doctor.estimate.architecture import read
from doctor.estimate.pictures import see, smart_resize
from doctor.estimate.tape import CPU, METAL_SMALL, Tape
from doctor.facts import Process, WeightSizes
from doctor.memory import popular
from doctor.probes import safetensors as safetensors_probe
from tests.conftest import Doctor, recorded
from tests.facts_of import REPORT_MAC, on_machine, replace
from tests.hub_server import Repository, serve
from tools.estimate_accuracy.mac import CONFIGS

TABLE = popular.load()
QWEN3_4B = TABLE.quantised("Qwen3-VL-4B-Instruct", 4)
QWEN2_2B = TABLE.quantised("Qwen2-VL-2B-Instruct", 4)
GIB = 2**30


def told(config: dict[str, Any], job: Job = Job(), **library: Any) -> Estimate:  # noqa: B008
    libraries = Library(**{"mlx_vlm": "0.7.10", "mlx": "0.32.4", **library})
    return estimate(config, weights_of_config(config), job, libraries, chip="Apple M2")


def test_the_tape_holds_what_is_under_way() -> None:
    """A hundred arrays, each read by the next: on the CPU backend some fifty are still held."""
    tape = Tape(CPU, resident=1000)
    array = tape.run(elements=10, width=1)
    for _ in range(100):
        array = tape.run(array, elements=10, width=1)
    held = (tape.peak() - 1000) / 10
    assert 50 <= held <= 62
    large = Tape(METAL_SMALL)
    array = large.run(elements=50 * 2**20)
    for _ in range(100):
        array = large.run(array, elements=50 * 2**20)
    # Each fills a command buffer of its own, and ten of them are under way.
    assert 10 <= large.peak() / (100 * 2**20) <= 13


def test_what_takes_the_place_of_another_costs_nothing() -> None:
    tape = Tape(CPU)
    array = tape.run(elements=100, width=4)
    for _ in range(5):
        array = tape.reuse(array)
    assert tape.peak() == 400


@pytest.mark.parametrize(
    ("kind", "size", "tokens"),
    [
        ("Qwen3-VL-4B-Instruct", (1024, 1024), 1_024),
        ("Qwen3-VL-4B-Instruct", (1920, 1080), 2_040),
        ("Qwen3-VL-4B-Instruct", (3840, 2160), 8_160),
        ("Qwen2-VL-2B-Instruct", (1024, 1024), 1_369),
        ("Qwen2-VL-2B-Instruct", (1920, 1080), 2_691),
        ("Qwen2-VL-2B-Instruct", (2880, 1800), 6_592),
    ],
)
def test_the_tokens_of_a_picture(kind: str, size: tuple[int, int], tokens: int) -> None:
    """MEMORY.md's figures, which were made with transformers' processors."""
    architecture = read(TABLE.configs[kind].config)
    assert see(architecture, {}, *size)[0].tokens == tokens


@pytest.mark.parametrize(
    ("size", "counted", "length"),
    [
        ((224, 224), 1_176, 3_456),
        ((640, 480), 2_340, 5_760),
        ((3_000, 500), 1_452, 4_608),
        ((100, 900), 1_224, 4_608),
    ],
)
def test_llava_next_takes_more_in_than_its_processor_counts(
    size: tuple[int, int], counted: int, length: int
) -> None:
    """What transformers counts; and twice the patches of all tiles (mlx-vlm's llava_next.py)."""
    vision = {"model_type": "clip_vision_model", "hidden_size": 64, "image_size": 336}
    config = {"model_type": "llava_next", **TEXT, "vision_config": {**vision, "patch_size": 14}}
    sight, known = see(read(config), {}, *size)
    assert known
    assert (sight.counted, sight.length) == (counted, length)


@pytest.mark.parametrize(
    ("kind", "size", "most", "tiles"),
    [
        ("internvl_chat", (448, 448), None, 1),
        ("internvl_chat", (1_024, 1_024), None, 5),
        ("internvl", (1_024, 1_024), None, 10),
        ("internvl_chat", (3_000, 1_000), None, 13),
        ("internvl_chat", (2_176, 1_536), None, 7),
        ("internvl_chat", (2_400, 2_300), 6, 5),
    ],
)
def test_the_tiles_of_internvl(
    kind: str, size: tuple[int, int], most: int | None, tiles: int
) -> None:
    """As mlx-vlm's ``dynamic_preprocess`` cuts pictures, and transformers, which prefers more."""
    vision = {"hidden_size": 64, "image_size": 448, "patch_size": 14}
    config = {"model_type": kind, **TEXT, "vision_config": vision, "max_dynamic_patch": most}
    assert see(read(config), {}, *size)[0].sequences == tiles


@pytest.mark.parametrize(
    ("size", "tiles", "tokens"),
    [
        ((384, 384), 2, 421),
        ((640, 320), 3, 617),
        ((1_024, 1_024), 10, 2_017),
        ((1_920, 1_080), 9, 1_807),
        ((300, 2_000), 7, 1_471),
    ],
)
def test_the_tiles_of_deepseek(size: tuple[int, int], tiles: int, tokens: int) -> None:
    """What mlx-vlm's ``tokenize_with_images`` counts, with the published list of sizes."""
    vision = {"layers": 27, "width": 1_152, "patch_size": 14, "model_type": "vision"}
    config = {"model_type": "deepseek_vl_v2", "language_config": TEXT, "vision_config": vision}
    sight, known = see(read(config), {}, *size)
    assert known
    assert (sight.sequences, sight.length, sight.counted) == (tiles, tokens, tokens)
    assert (sight.patches, sight.tokens) == (729, tiles * 196)
    listed = {**config, "candidate_resolutions": [[384, 384], [384, 768], [768, 384]]}
    assert see(read(listed), {}, *size)[0].sequences <= 3


def test_deepseek_keeps_the_keys_and_values_of_all_heads() -> None:
    """Its cache holds no latent, and its smallest size has none to hold."""
    latent = {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64}
    text = {**TEXT, **latent, "v_head_dim": 128, "num_attention_heads": 16}
    config = {"model_type": "deepseek_vl_v2", "language_config": text}
    assert read(config).text.kv_width == 16 * (128 + 64 + 128)
    plain = {**config, "language_config": {**text, "qk_nope_head_dim": 0}}
    numbers = read(plain).text
    assert numbers.kv_width == 2 * numbers.kv_heads * numbers.head_dim


@pytest.mark.parametrize("kind", ["fastvlm", "llava_qwen2"])
@pytest.mark.parametrize(("edge", "tokens"), [(1_024, 256), (1_536, 576), (256, 16)])
def test_the_squares_of_fastvlm(kind: str, edge: int, tokens: int) -> None:
    """Whatever the picture, one square, each 64 by 64 pixels of which are a token."""
    config = {"model_type": kind, **TEXT, "mm_vision_tower": f"mobileclip_l_{edge}"}
    cropped = {"crop_size": {"height": edge, "width": edge}}
    for preprocessor in ({}, cropped):
        for size in ((224, 224), (4_000, 300)):
            sight, known = see(read(config), preprocessor, *size)
            assert known
            assert (sight.sequences, sight.tokens, sight.length) == (1, tokens, tokens)
            assert (sight.counted, sight.pixels) == (1, 3 * edge**2)


def test_the_stages_of_fastvlms_tower() -> None:
    """Its convolutions outweigh its tokens: four times the points are four times the memory."""
    config = {"model_type": "fastvlm", **TEXT, "torch_dtype": "bfloat16"}
    weights = weights_of_config(config)
    assert weights.vision // 2 == 125_109_216 + (3_072 + TEXT["hidden_size"]) * TEXT["hidden_size"]

    def above(edge: int) -> int:
        shown = {"crop_size": {"height": edge, "width": edge}}
        library = Library(mlx_vlm="0.7.10", mlx="0.32.4", backend="metal")
        job = Job(images=((640, 480),))
        return estimate(config, weights, job, library, shown).phases.vision - weights.total

    assert above(1_024) > 100_000_000
    assert 3.2 < above(2_048) / above(1_024) < 4.5


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_resized_pictures_keep_to_their_limits(width: int, height: int) -> None:
    w, h = smart_resize(width, height, 28, 3_136, 1_003_520)
    assert w % 28 == 0 and h % 28 == 0
    if max(width, height) / min(width, height) < 100:
        assert 3_136 <= w * h <= 1_003_520


def test_the_cache_of_grouped_heads() -> None:
    """MEMORY.md: 147,456 bytes a token for Qwen3-VL-4B, 28,672 for Qwen2-VL-2B."""
    job = Job(images=(), prompt_tokens=1_000, max_tokens=24)
    assert told(QWEN3_4B, job).kv_cache_bytes == 1_024 * 147_456
    assert told(QWEN2_2B, job).kv_cache_bytes == 1_024 * 28_672


def test_a_sliding_window_bounds_the_cache() -> None:
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 256,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "sliding_window": 512,
        "sliding_window_pattern": 6,
        "vocab_size": 1000,
    }
    job = Job(images=(), prompt_tokens=8_000, max_tokens=192)
    found = told({"model_type": "gemma3", "text_config": text}, job)
    assert found.kv_cache_bytes == 2 * 8_192 * 512 + 10 * 512 * 512


def test_a_quantised_cache_is_smaller_from_5000_tokens_on() -> None:
    long = Job(images=(), prompt_tokens=20_000)
    whole = told(QWEN3_4B, long).kv_cache_bytes
    assert told(QWEN3_4B, replace(long, kv_bits=8)).kv_cache_bytes < 0.6 * whole
    short = Job(images=(), prompt_tokens=1_000)
    assert (
        told(QWEN3_4B, replace(short, kv_bits=8)).kv_cache_bytes
        == told(QWEN3_4B, short).kv_cache_bytes
    )


def test_larger_jobs_take_more() -> None:
    small, large = Job(images=((512, 512),)), Job(images=((2048, 2048),))
    assert told(QWEN3_4B, small).peak_bytes < told(QWEN3_4B, large).peak_bytes
    two = Job(images=((512, 512), (512, 512)))
    assert told(QWEN3_4B, two).vision_tokens == 2 * told(QWEN3_4B, small).vision_tokens


def test_the_release_of_mlx_vlm_matters() -> None:
    """Releases before 0.3.12 made a dense mask of all patches; before 0.7.0, all words' scores."""
    picture = Job(images=((2048, 2048),))
    old, new = told(QWEN2_2B, picture, mlx_vlm="0.3.9"), told(QWEN2_2B, picture)
    assert old.phases.vision > 2 * new.phases.vision
    text = Job(images=(), prompt_tokens=2_000)
    assert told(QWEN2_2B, text, mlx_vlm="0.6.8").phases.prefill > 500_000_000 + (
        told(QWEN2_2B, text).phases.prefill
    )


def test_the_cpu_backend_writes_out_its_scores() -> None:
    """Of 64 narrow heads the matrix of scores is larger than all else."""
    config = {"model_type": "llava", **TEXT, "num_attention_heads": 64, "head_dim": 64}
    job = Job(images=(), prompt_tokens=2_000)
    scores = 64 * 2_000**2 * 2
    cpu, metal = (told(config, job, backend=name).phases.prefill for name in ("cpu", "metal"))
    assert metal < scores < cpu


def test_gated_delta_networks_without_a_kernel() -> None:
    """Without Metal their prompts go through in chunks from 0.6.4 on, in matrices of float32."""
    config = json.loads(CONFIGS.read_bytes())["mlx-community/Qwen3.5-27B-4bit"]["config"]
    job = Job(images=(), prompt_tokens=4_096)

    def prefill(mlx_vlm: str, backend: str) -> int:
        return told(config, job, mlx_vlm=mlx_vlm, backend=backend).phases.prefill

    # Queries, keys and values of 48 heads, for one chunk of the prompt.
    wide = 3 * 2_048 * 48 * 128 * 4
    for backend in ("cpu", "cuda"):
        assert prefill("0.6.4", backend) > prefill("0.6.3", backend) + wide
    assert prefill("0.6.4", "metal") == prefill("0.6.3", "metal")


def test_weights_of_the_reports_models() -> None:
    """MEMORY.md: 3.09, 1.78 and 5.76 GB; the quantised vision tower of Qwen2-VL-2B aside."""
    for name, size in (
        ("Qwen3-VL-4B-Instruct", 3.09e9),
        ("Qwen3-VL-2B-Instruct", 1.78e9),
        ("Qwen3-VL-8B", 5.76e9),
    ):
        found = weights_of_config(TABLE.quantised(name, 4)).total
        assert found == pytest.approx(size, rel=0.01)
    assert weights_of_config(QWEN2_2B, quantised_vision=True).total == pytest.approx(
        1.25e9, rel=0.02
    )


def test_the_reports_mac_comes_out_as_it_happened() -> None:
    """8 GB, 3 GB of it free: it loaded, paged, 16 tokens a second, 2.6 GB of swap, critical."""
    facts = replace(recorded("report"), machine=REPORT_MAC)
    found = estimate_of(facts)
    verdict = judge(found, facts.machine)
    assert 3.7e9 < found.peak_bytes < 4.6e9  # 4.2 GB in use, measured
    assert verdict.room == "pages"
    assert verdict.tokens_per_second is not None
    assert 8 < verdict.tokens_per_second < 25
    assert verdict.swap_bytes is not None
    assert 2e9 < verdict.swap_bytes < 4e9
    assert [row.met for row in verdict.ready] == [False, False, False]


def test_more_memory_makes_it_ready() -> None:
    """The report's tiers: 16 GB is recommended, 32 GB ideal."""
    for gib in (16, 32):
        facts = on_machine(
            recorded("report"),
            os="macOS",
            chip="Apple M2 Pro",
            ram_total_bytes=gib * GIB,
            ram_available_bytes=int(gib * GIB * 0.6),
            gpu_budget_bytes=int(gib * GIB * 2 / 3),
            swap_total_bytes=0,
            swap_used_bytes=0,
            memory_pressure="normal",
        )
        verdict = judge(estimate_of(facts), facts.machine)
        assert verdict.room == "fits"
        assert [row.met for row in verdict.ready] == [True, True, True]


def test_what_has_to_be_closed_is_named() -> None:
    processes = (
        Process(name="Browser", resident_bytes=3_000_000_000),
        Process(name="Editor", resident_bytes=1_000_000_000),
    )
    facts = on_machine(
        replace(recorded("report"), machine=REPORT_MAC),
        ram_total_bytes=16 * GIB,
        gpu_budget_bytes=10 * GIB,
        processes=processes,
    )
    verdict = judge(estimate_of(facts), facts.machine)
    assert (verdict.room, verdict.close) == ("fits-if-closed", ("Browser",))


def test_weights_beyond_all_memory_will_not_run() -> None:
    facts = on_machine(recorded("report"), ram_total_bytes=2 * GIB, swap_total_bytes=0)
    verdict = judge(estimate_of(facts), facts.machine)
    assert verdict.room == "will-not-run"
    assert verdict.tokens_per_second is None


def test_an_estimate_is_quick_and_imports_no_models() -> None:
    code = (
        "import json, sys, time\n"
        "from doctor.estimate import Job, Library, estimate, weights_of_config\n"
        "config = json.loads(sys.argv[1])\n"
        "estimate(config, weights_of_config(config), Job(), Library())\n"
        "print(sorted({'mlx', 'transformers', 'numpy', 'huggingface_hub'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code, json.dumps(QWEN3_4B)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


# Files that lie.


def safetensors(path: Path, header: object, data: int = 0, length: int | None = None) -> None:
    """A safetensors file with any header, and so many bytes of data that take no space."""
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    with path.open("wb") as file:
        file.write((len(text) if length is None else length).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + data)


def read_weights(folder: Path) -> WeightSizes:
    found = weights_of_headers(safetensors_probe.look(folder))
    assert found is not None
    return found


def array(size: int, start: int = 0) -> dict[str, object]:
    return {"dtype": "BF16", "shape": [size // 2], "data_offsets": [start, start + size]}


def test_headers_are_summed(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "mlx"},
        "language_model.model.embed_tokens.weight": array(1_000),
        "vision_tower.blocks.0.attn.qkv.weight": array(600, 1_000),
        "language_model.lm_head.weight": array(400, 1_600),
    }
    safetensors(tmp_path / "model.safetensors", header, 2_000)
    found = read_weights(tmp_path)
    assert (found.total, found.vision, found.embedding, found.head) == (2_000, 600, 1_000, 400)
    assert (found.width, found.problems) == (2, ())


def test_arrays_that_are_alike_are_counted(tmp_path: Path) -> None:
    header = {f"model.layers.{n}.mlp.up.weight": array(10, 10 * n) for n in (0, 1, 2, 5)}
    safetensors(tmp_path / "a.safetensors", header, 40)
    safetensors(tmp_path / "b.safetensors", {"model.norm.weight": array(6)}, 6)
    found = read_weights(tmp_path)
    assert (found.total, found.largest) == (46, 10)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"a": array(100)}, 2**62),
        (b"not json", None),
        (b"[1, 2]", None),
        (b"[" * 100_000, None),
        ({"a": {"dtype": "BF16", "shape": [1]}}, None),
        ({"a": {"dtype": "BF16", "shape": [9], "data_offsets": [5, 1]}}, None),
        ({"a": {"dtype": "BF16", "shape": [99], "data_offsets": [0, 2]}}, None),
        ({"a": 7}, None),
    ],
)
def test_a_header_that_lies_gives_no_weights(
    tmp_path: Path, header: object, length: int | None
) -> None:
    safetensors(tmp_path / "model.safetensors", header, 200, length)
    assert weights_of_headers(safetensors_probe.look(tmp_path)) is None


def test_a_file_that_ends_too_early_is_a_problem(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", {"a.weight": array(10**12)}, 50)
    found = read_weights(tmp_path)
    assert found.total == 10**12
    assert found.problems == (
        f"model.safetensors: {10**12 - 50} bytes of its tensors are not there",
    )


def test_an_index_that_lies_is_not_believed(tmp_path: Path) -> None:
    """A published conversion declares 66.7 GB for 19.6 GB, and names files that are not there."""
    safetensors(tmp_path / "model.safetensors", {"a.weight": array(2_000)}, 2_000)
    index = {
        "metadata": {"total_size": 66_700_000_000},
        "weight_map": {"a.weight": "model.safetensors", "b.weight": "gone.safetensors"},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = read_weights(tmp_path)
    assert found.total == 2_000
    assert found.problems == ("the index names 1 files that are not there",)


TEXT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "intermediate_size": 128,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"hidden_size": -5}, "hidden_size"),
        ({"vocab_size": float("nan")}, "vocab_size"),
        ({"num_attention_heads": "many"}, "num_attention_heads"),
        ({"hidden_size": None}, "hidden_size"),
        ({"intermediate_size": float("inf")}, "intermediate_size"),
        ({"num_experts": 10**9, "num_experts_per_tok": 2}, "num_experts"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
    ],
)
def test_absurd_numbers_are_one_line(changes: dict[str, object], said: str) -> None:
    config = {"model_type": "qwen2_vl", **TEXT, **changes}
    with pytest.raises(NotEstimable, match=said) as caught:
        estimate(config, weights_of_config({"model_type": "llava", **TEXT}), Job(), Library())
    assert "\n" not in str(caught.value)


def test_a_type_that_nobody_knows_gets_the_general_form() -> None:
    config = {"model_type": "brand_new", **TEXT, "vision_config": {"hidden_size": 32}}
    found = told(config)
    assert not found.exact
    assert any("only known in general" in note for note in found.notes)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=5)
    | st.just("gemma3"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    [
        *TEXT,
        "model_type",
        "layer_types",
        "sliding_window",
        "kv_lora_rank",
        "full_attention_interval",
        "quantization",
        "tie_word_embeddings",
        "head_dim",
        "patch_size",
        "image_size",
        "spatial_merge_size",
        "size",
        "max_pixels",
        "depth",
    ]
)
parts = st.dictionaries(names, values, max_size=6)


@settings(max_examples=60, deadline=None)
@given(parts, parts, parts)
def test_whatever_a_config_says_there_is_an_estimate_or_one_line(
    top: dict[str, object], text: dict[str, object], vision: dict[str, object]
) -> None:
    config = {"model_type": "qwen2_vl", **TEXT, **top, "text_config": text, "vision_config": vision}
    try:
        weights = weights_of_config(config)
        found = estimate(config, weights, Job(), Library(), vision)
    except NotEstimable as error:
        assert "\n" not in str(error)
    else:
        assert found.low_bytes <= found.peak_bytes <= found.high_bytes
        assert found.peak_bytes >= found.weights_bytes


def test_the_largest_model_takes_little_of_this_machine() -> None:
    """Up to the limits of what is believed: a thousand layers, a hundred pictures, long prompts."""
    config = {
        "model_type": "qwen3_vl",
        "text_config": {**TEXT, "num_hidden_layers": 1_000, "hidden_size": 65_536},
        "vision_config": {"hidden_size": 8_192, "depth": 1_000, "patch_size": 16},
    }
    tracemalloc.start()
    started = time.process_time()
    told(config, Job(images=((9_000, 9_000),) * 100, prompt_tokens=9_000_000))
    assert time.process_time() - started < 30
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


# The command.


def folder(path: Path, config: object = None, header: object = None) -> Path:
    path.mkdir()
    text = config if isinstance(config, str) else json.dumps(config or QWEN3_4B)
    (path / "config.json").write_text(text)
    safetensors(path / "model.safetensors", header or {"a.weight": array(10**9)}, 10**9)
    return path


def test_the_command_says_what_it_takes(doctor: Doctor, tmp_path: Path) -> None:
    saved = tmp_path / "facts.json"
    facts = replace(recorded("torch-free"), machine=REPORT_MAC)
    saved.write_bytes(msgspec.json.encode(facts))
    run = doctor.json(
        "estimate",
        facts.model.id,
        "--facts",
        str(saved),
        "--image",
        "1920x1080",
        "--max-tokens",
        "9",
    )
    assert run.code == 0, run.err
    report = run.report
    assert report["vision_tokens"] == 2_040
    assert report["job"]["max_tokens"] == 9
    assert report["peak_bytes"] == max(report["phases"].values())
    assert (report["room"], report["backend"]) == ("pages", "metal")
    text = doctor("estimate", facts.model.id, "--facts", str(saved)).out
    assert "It loads, and pages to disk" in text
    assert "more than 25" in text


def test_a_model_in_a_folder(doctor: Doctor, tmp_path: Path) -> None:
    model = folder(tmp_path / "model")
    run = doctor.json("estimate", str(model), "--python", sys.executable)
    assert run.code == 0, run.err
    assert run.report["weights_bytes"] == 10**9


@pytest.mark.parametrize(
    "config",
    [
        '{"model_type": "qwen2_vl", "a": ' * 1_000 + "1" + "}" * 1_000,
        '{"model_type": "qwen2_vl", "hidden_size": 64, "num_hidden_layers": 1000000000000}',
        "{",
    ],
)
def test_a_broken_config_is_one_line(doctor: Doctor, tmp_path: Path, config: str) -> None:
    model = folder(tmp_path / "model", config)
    run = doctor("estimate", str(model), "--python", sys.executable)
    assert run.code == 2
    assert len(run.err.strip().splitlines()) == 2  # what is wrong, and what helps
    check = doctor.json("check", "--model", str(model), "--python", sys.executable)
    assert check.code in (1, 3)
    assert any(gap["check"] == "memory" for gap in check.report["not_checked"])


@pytest.mark.parametrize(
    "words",
    [
        ("--image", "0x10"),
        ("--image", "wide"),
        ("--prompt-tokens", "-1"),
        ("--max-tokens", "1e9"),
        ("--kv-bits", "7"),
    ],
)
def test_wrong_words_are_refused(doctor: Doctor, words: tuple[str, ...]) -> None:
    run = doctor.json("estimate", "some/model", *words)
    assert run.code == 2
    assert run.report["error"]["message"]


def test_a_model_that_nobody_knows(doctor: Doctor) -> None:
    run = doctor("estimate", "nobody/nothing", "--python", sys.executable)
    assert run.code == 2
    assert "sizes are not known" in run.err


def test_headers_are_read_from_the_hub_only_where_that_is_asked(
    doctor: Doctor, tmp_path: Path
) -> None:
    model = folder(tmp_path / "model", header={"vision_tower.a.weight": array(10**6)})
    weights = (model / "model.safetensors").read_bytes()[: 10**6 + 200]
    files = {"config.json": (model / "config.json").read_bytes(), "model.safetensors": weights}
    with serve({"org/model": Repository(files)}) as hub:
        words = ("estimate", "org/model", "--python", sys.executable)
        assert doctor(*words, HF_ENDPOINT=hub.address).code == 2
        assert not hub.asked
        run = doctor.json(*words, "--online", HF_ENDPOINT=hub.address)
        assert run.code == 0, run.out
        assert run.report["weights_bytes"] == 10**6
        assert hub.sent("model.safetensors") < 300_000  # by ranges, not the megabyte of the file


@pytest.mark.parametrize(
    ("mlx_vlm", "least", "most"),
    [("0.3.10", 130e9, 290e9), ("0.3.11", 68e9, 150e9), ("0.3.12", 2e9, 9e9)],
)
def test_what_qwen2_asked_for_by_release(mlx_vlm: str, least: float, most: float) -> None:
    """One copy of its mask at 16,500 tokens, as people reported it: 136 GB, then 73, then 5."""
    job = Job(images=((3_600, 3_600),), prompt_tokens=20)
    found = told(QWEN2_2B, job, mlx_vlm=mlx_vlm)
    assert 16_000 < found.vision_tokens < 17_000
    assert least <= found.phases.vision <= most


def test_the_joined_matrices_of_gated_delta_networks() -> None:
    config = json.loads(CONFIGS.read_bytes())["mlx-community/Qwen3.5-27B-4bit"]["config"]
    before, joined, after = (
        told(config, mlx_vlm=release).phases.decode for release in ("0.5.0", "0.6.5", "0.7.10")
    )
    # 48 layers of 5,120 x 16,384 weights of 4.5 bits, beside what they are joined of.
    assert joined - before == pytest.approx(48 * 5_120 * 16_384 * 4.5 / 8, rel=0.02)
    assert after == before
    mxfp8 = {**config, "quantization": {"bits": 8, "group_size": 32, "mode": "mxfp8"}}
    assert told(mxfp8, mlx_vlm="0.6.5").phases.decode == told(mxfp8, mlx_vlm="0.5.0").phases.decode


def test_a_prompt_within_one_step_is_not_cut() -> None:
    """Until 0.7.0 all its words' scores are then worked out: 3,000 of 151,936 words."""
    usual = Job(images=(), prompt_tokens=3_000)
    whole = replace(usual, prefill_step_size=4_096)
    cut, uncut = (told(QWEN3_4B, job, mlx_vlm="0.6.5").phases.prefill for job in (usual, whole))
    assert uncut - cut > 0.5 * 3_000 * 151_936 * 2


def test_heads_of_256_by_chip_and_release() -> None:
    config = json.loads(CONFIGS.read_bytes())["mlx-community/Qwen3.5-27B-4bit"]["config"]
    job = Job(images=(), prompt_tokens=20_000)

    def prefill(chip: str, mlx: str) -> int:
        weights = weights_of_config(config)
        library = Library(mlx_vlm="0.7.10", mlx=mlx)
        return estimate(config, weights, job, library, chip=chip).phases.prefill

    assert prefill("Apple M5 Max", "0.32.4") < 0.9 * prefill("Apple M4 Max", "0.32.4")
    assert prefill("Apple M5 Max", "0.32.1") == prefill("Apple M4 Max", "0.32.1")
