"""How a family cuts pictures: patches for its vision tower, tokens for its language model.

Each rule is that of the family's own processor in mlx-vlm and transformers, named beside it. Limits
come from the model's ``preprocessor_config.json`` where it gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from doctor.estimate.architecture import (
    MOST_SIDE,
    Architecture,
    Vision,
    number,
    section,
    sizes,
)
from doctor.estimate.terms import NotEstimable


@dataclass(frozen=True)
class Sight:
    """One picture as the model gets it.

    ``sequences`` of ``patches`` each go through the vision tower; ``tokens`` is what comes out, and
    ``pixels`` what is put in. The language model's prompt grows by ``length`` (tokens and the marks
    around them; for one that reads them by cross-attention, the mark alone), and the prompt's own
    count by ``counted``.
    """

    sequences: int
    patches: int
    tokens: int
    pixels: int
    length: int
    counted: int


def _sight(
    sequences: int,
    patches: int,
    tokens: int,
    pixels: int,
    length: int | None = None,
    counted: int | None = None,
) -> Sight:
    """A picture whose tokens, unless said otherwise, are all in the prompt and in its count."""
    length = tokens if length is None else length
    return Sight(sequences, patches, tokens, pixels, length, length if counted is None else counted)


@dataclass(frozen=True)
class Given:
    """What a rule goes by: the model, its preprocessor's file, and the picture's size."""

    type: str
    vision: Vision
    preprocessor: Mapping[str, object]
    width: int
    height: int


Rule = Callable[[Given], Sight]


def see(
    architecture: Architecture, preprocessor: Mapping[str, object], width: int, height: int
) -> tuple[Sight, bool]:
    """One picture of ``width`` by ``height`` pixels, and whether the family's own rule is known."""
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise NotEstimable(f"{width}x{height} is no size of a picture")
    vision = architecture.vision
    if vision is None:
        return _sight(1, 1, 256, 3 * 224 * 224), False
    rule = RULES.get(architecture.type)
    known = rule is not None
    if rule is None:
        fixed = vision.image_size and not {"min_pixels", "max_pixels"} & set(preprocessor)
        rule = _whole if fixed and vision.merge == 1 else _smart
    return rule(Given(architecture.type, vision, preprocessor, width, height)), known


def _limits(preprocessor: Mapping[str, object], least: int, most: int) -> tuple[int, int]:
    """The least and most pixels of a resized picture."""
    size = section(preprocessor, "size")
    limit = 10**10
    low = number(preprocessor, ("min_pixels",), limit) or number(size, ("shortest_edge",), limit)
    high = number(preprocessor, ("max_pixels",), limit) or number(size, ("longest_edge",), limit)
    return low or least, high or most


def smart_resize(width: int, height: int, factor: int, low: int, high: int) -> tuple[int, int]:
    """Both sides as multiples of ``factor``, with between ``low`` and ``high`` pixels in all.

    transformers' ``smart_resize`` (models/qwen2_vl/image_processing_qwen2_vl.py).
    """
    w = max(factor, round(width / factor) * factor)
    h = max(factor, round(height / factor) * factor)
    if w * h > high:
        scale = math.sqrt(width * height / high)
        w = max(factor, math.floor(width / scale / factor) * factor)
        h = max(factor, math.floor(height / scale / factor) * factor)
    elif w * h < low:
        scale = math.sqrt(low / (width * height))
        w = math.ceil(width * scale / factor) * factor
        h = math.ceil(height * scale / factor) * factor
    return w, h


# The limits of the published preprocessor files, in pixels; by default those of Qwen2-VL.
PUBLISHED_LIMITS = {
    "qwen3_vl": (65_536, 16_777_216),
    "qwen3_vl_moe": (65_536, 16_777_216),
    "qwen3_5": (65_536, 16_777_216),
    "qwen3_5_moe": (65_536, 16_777_216),
    "glm4v": (12_544, 9_633_792),
    "glm4v_moe": (12_544, 9_633_792),
    "glm_ocr": (12_544, 9_633_792),
    "hunyuan_vl": (262_144, 4_194_304),
    "ernie4_5_moe_vl": (3_136, 1_003_520),
}
# GLM's limit counts a still picture as two frames.
FRAMES = {"glm4v": 2, "glm4v_moe": 2, "glm_ocr": 2}


def _smart(given: Given) -> Sight:
    merge = number(given.preprocessor, ("merge_size",), 16) or given.vision.merge
    patch = number(given.preprocessor, ("patch_size",), 1_024) or given.vision.patch
    published = PUBLISHED_LIMITS.get(given.type, (3_136, 12_845_056))
    low, high = _limits(given.preprocessor, *published)
    frames = FRAMES.get(given.type, 1)
    w, h = smart_resize(given.width, given.height, patch * merge, low // frames, high // frames)
    patches = (w // patch) * (h // patch)
    tokens = patches // merge**2
    return _sight(1, patches, tokens, 3 * given.vision.temporal * w * h)


def _whole(given: Given) -> Sight:
    """One picture of the tower's own size, whatever was given (CLIP, SigLIP)."""
    side = max(1, (given.vision.image_size or 336) // given.vision.patch)
    tokens = max(1, side * side // given.vision.merge**2)
    return _sight(1, side * side, tokens, 3 * (side * given.vision.patch) ** 2)


def _gemma3(given: Given) -> Sight:
    whole = _whole(given)
    tokens = min(256, whole.patches)
    return _sight(1, whole.patches, tokens, whole.pixels)


def _bunny(given: Given) -> Sight:
    """As ``_whole``, but its one mark in the prompt stands for all its tokens."""
    whole = _whole(given)
    return _sight(1, whole.patches, whole.tokens, whole.pixels, counted=1)


def _fastvlm(given: Given) -> Sight:
    """One square, padded (fastvlm/processing.py); its one mark stands for all its tokens."""
    crop = section(given.preprocessor, "crop_size")
    size = section(given.preprocessor, "size")
    edge = number(crop, ("height",), 16_384) or number(size, ("shortest_edge", "height"), 16_384)
    edge = edge or given.vision.image_size
    tokens = math.ceil(edge / given.vision.patch) ** 2
    return _sight(1, tokens, tokens, 3 * edge**2, counted=1)


def _longest_edge(preprocessor: Mapping[str, object], otherwise: int) -> int:
    size = section(preprocessor, "size")
    return number(size, ("longest_edge", "height"), MOST_SIDE) or otherwise


def _pixtral(given: Given) -> Sight:
    """Shrunk to the longest edge, in whole patches; a break after each row of tokens."""
    patch = given.vision.patch
    unit = patch * (given.vision.merge if given.type == "mistral3" else 1)
    edge = _longest_edge(given.preprocessor, given.vision.image_size or 1_024)
    scale = max(1.0, given.width / edge, given.height / edge)
    columns = max(1, math.ceil(math.floor(given.width / scale) / unit))
    rows = max(1, math.ceil(math.floor(given.height / scale) / unit))
    patches = columns * rows * (unit // patch) ** 2
    tokens = columns * rows + rows
    return _sight(1, patches, tokens, 3 * patches * patch**2)


def _idefics(given: Given) -> Sight:
    """Scaled to a longest edge, cut into tiles, and the whole once more (Idefics3, SmolVLM)."""
    tile = _longest_edge(
        {"size": given.preprocessor.get("max_image_size")}, given.vision.image_size or 364
    )
    edge = _longest_edge(given.preprocessor, 4 * tile)
    side = max(1, tile // given.vision.patch)
    each = max(1, (side // max(1, given.vision.merge)) ** 2)
    scale = edge / max(given.width, given.height)
    columns = max(1, math.ceil(round(given.width * scale) / tile))
    rows = max(1, math.ceil(round(given.height * scale) / tile))
    if given.preprocessor.get("do_image_splitting") is False:
        columns = rows = 0
    if columns == rows == 1:
        columns = rows = 0
    tiles = columns * rows + 1
    # Two marks before each tile, a line break after each row, and three marks more.
    length = tiles * (each + 2) + rows + 3
    return _sight(tiles, side * side, tiles * each, 3 * tiles * tile**2, length)


def _internvl(given: Given) -> Sight:
    """Up to twelve tiles in the arrangement nearest to the picture's form, and a thumbnail.

    How many is in the config, as mlx-vlm's internvl_chat/processor.py reads it.
    """
    tile = given.vision.image_size or 448
    most = given.vision.tiles or 12
    columns, rows = _grid(given.width, given.height, tile, most, given.type == "internvl_chat")
    tiles = columns * rows + (columns * rows > 1)
    side = tile // given.vision.patch
    each = side * side // 4
    return _sight(tiles, side * side + 1, tiles * each, 3 * tiles * tile**2)


def _grid(width: int, height: int, tile: int, most: int, by_area: bool) -> tuple[int, int]:
    """The arrangement of at most ``most`` tiles whose form is nearest.

    Of those with one form, mlx-vlm's own processor takes the one of the nearest area (``by_area``),
    transformers' the largest of which the picture fills half.
    """
    best, nearest = (1, 1), math.inf
    area = width * height
    for count in range(1, most + 1):
        for columns in range(1, count + 1):
            rows, rest = divmod(count, columns)
            if rest:
                continue
            distance = abs(width / height - columns / rows)
            if distance == nearest:  # to the last bit, as they do it
                nearer = abs(area - tile**2 * count) < abs(area - tile**2 * best[0] * best[1])
                better = nearer if by_area else area > 0.5 * tile**2 * count
            else:
                better = distance < nearest
            if better:
                best, nearest = (columns, rows), distance
    return best


def _covering(width: int, height: int, tile: int, most: int) -> tuple[int, int]:
    """The arrangement that shows most of a picture, and no more than its own pixels if it can."""
    shapes = [(c, r) for c in range(1, most + 1) for r in range(1, most // c + 1)]
    scales = {shape: min(shape[0] * tile / width, shape[1] * tile / height) for shape in shapes}
    enough = [shape for shape in shapes if scales[shape] >= 1]
    if enough:
        return min(enough, key=lambda shape: scales[shape])
    return max(shapes, key=lambda shape: scales[shape])


def _mllama(given: Given) -> Sight:
    """Up to four tiles, always padded to four; read by cross-attention, not in the prompt."""
    tile = given.vision.image_size or 560
    side = tile // given.vision.patch
    # A class token for each tile, padded to a multiple of eight.
    patches = math.ceil((side * side + 1) / 8) * 8
    return _sight(1, 4 * patches, 4 * (side * side + 1), 3 * 4 * tile**2, length=1)


def _phi3(given: Given) -> Sight:
    """Phi-3's HD form: tiles of 336 pixels, 144 tokens each, a break after each row of tokens."""
    most = number(given.preprocessor, ("num_crops",), 64) or 4
    columns = rows = 1
    ratio = max(given.width, given.height) / min(given.width, given.height)
    scale = 1
    while scale * math.ceil(scale / ratio) <= most:
        scale += 1
    scale = max(1, scale - 1)
    columns = scale
    rows = max(1, math.ceil(scale / ratio))
    if given.width < given.height:
        columns, rows = rows, columns
    tokens = (columns * rows + 1) * 144 + 1 + (rows + 1) * 12
    return _sight(columns * rows + 1, 577, tokens, 3 * (columns * rows + 1) * 336**2)


def _kimi(given: Given) -> Sight:
    """Native sizes up to 4,096 patches, two by two to a token (MoonViT).

    What is over is cut off, or filled up where the preprocessor says so (``rescale`` in
    kimi_vl/processing_kimi_vl.py).
    """
    patch, width, height = given.vision.patch, given.width, given.height
    limit = number(given.preprocessor, ("in_token_limit",), 10**6) or 4_096
    count = (width // patch) * (height // patch)
    if count > limit:
        scale = math.sqrt(limit / count)
        width, height = int(width * scale), int(height * scale)
    whole = math.ceil if given.preprocessor.get("pad_input") is True else math.floor
    columns = max(1, whole(width / patch / 2))
    rows = max(1, whole(height / patch / 2))
    patches = 4 * columns * rows
    return _sight(1, patches, columns * rows, 3 * patches * patch**2)


def _tiled(given: Given) -> Sight:
    """Tiles of the tower's own size, as many as show the picture best, and the whole once more.

    Llama 4 takes up to sixteen (``get_best_fit``), Aya Vision twelve
    (``get_optimal_tiled_canvas``); two by two patches become a token.
    """
    most = number(given.preprocessor, ("max_patches",), 64) or (
        16 if given.type == "llama4" else 12
    )
    tile = given.vision.image_size or 336
    columns, rows = _covering(given.width, given.height, tile, most)
    tiles = columns * rows + (columns * rows > 1)
    side = max(2, tile // given.vision.patch)
    tokens = tiles * (side // 2) ** 2
    return _sight(tiles, side * side, tokens, 3 * tiles * tile**2)


def _resampled(given: Given) -> Sight:
    """Patches in the picture's own form, of which a resampler makes 64 tokens.

    Idefics2 shrinks to a longest edge of 980 pixels, MiniCPM-o to about 448 by 448.
    """
    patch = given.vision.patch
    if given.type == "idefics2":
        edge = _longest_edge(given.preprocessor, 980)
        scale = min(1.0, edge / max(given.width, given.height))
        w, h = int(given.width * scale), int(given.height * scale)
    else:
        scale_to = number(given.preprocessor, ("scale_resolution",), 65_536) or 448
        w, h = _fitted(given.width, given.height, scale_to, patch, True)
    patches = max(1, w // patch) * max(1, h // patch)
    return _sight(1, patches, 64, 3 * patches * patch**2, 66)


def _lfm2(given: Given) -> Sight:
    """Between 64 and 256 tokens for a picture that is not split, filled up to the most patches."""
    patch = given.vision.patch
    unit = patch * 2
    least = number(given.preprocessor, ("min_image_tokens",), 10**6) or 64
    most = number(given.preprocessor, ("max_image_tokens",), 10**6) or 256
    w, h = smart_resize(given.width, given.height, unit, least * unit**2, most * unit**2)
    tokens = w * h // unit**2
    return _sight(1, 4 * most, tokens, 3 * most * unit**2)


def _gemma4(given: Given) -> Sight:
    """At most 280 tokens of three by three patches, in the picture's own form."""
    most = number(given.preprocessor, ("max_soft_tokens", "image_seq_length"), 10**5) or 280
    unit = 3 * given.vision.patch
    scale = math.sqrt(most * unit**2 / (given.width * given.height))
    columns = max(1, int(given.width * scale / unit))
    rows = max(1, int(given.height * scale / unit))
    tokens = columns * rows
    return _sight(1, 9 * most, tokens, 3 * tokens * unit**2)


def _molmo(given: Given) -> Sight:
    """Overlapping crops, up to twelve, and the whole; two by two patches a token.

    A mark after each row of tokens, the whole's own rows only in Molmo's first form
    (``select_tiling`` and ``get_image_tokens`` of its processors; later ones take eight crops).
    """
    first = given.type == "molmo"
    most = number(given.preprocessor, ("max_crops",), 64) or (12 if first else 8)
    size = given.vision.image_size or (336 if first else 378)
    side = max(9, size // given.vision.patch)
    window, margins = (side - 8) * given.vision.patch, 8 * given.vision.patch
    columns, rows = _covering(
        max(1, given.width - margins), max(1, given.height - margins), window, most
    )
    crops = columns * rows + 1
    wide, high = math.ceil((columns * (side - 8) + 8) / 2), math.ceil((rows * (side - 8) + 8) / 2)
    low = math.ceil(side / 2)
    tokens = wide * high + low**2
    length = tokens + high + (low if first else 0) + 4
    return _sight(crops, side * side, tokens, 3 * crops * size**2, length)


def _minicpm(given: Given) -> Sight:
    """Slices of about 448 by 448 pixels, up to nine, and the whole; four by four patches a token.

    ``get_sliced_grid`` and ``_find_best_resize`` in minicpmv4_6/processing_minicpmv4_6.py.
    """
    patch = given.vision.patch
    scale = number(given.preprocessor, ("scale_resolution",), 65_536) or 448
    most = number(given.preprocessor, ("max_slice_nums",), 64) or 9
    count = min(math.ceil(given.width * given.height / scale**2), most)
    whole = _fitted(given.width, given.height, scale, 4 * patch, count <= 1)
    if count <= 1 or given.preprocessor.get("slice_mode") is False:
        tokens = whole[0] * whole[1] // (4 * patch) ** 2
        return _sight(1, 16 * tokens, tokens, 3 * whole[0] * whole[1], tokens + 2)
    grids = [
        (columns, number_of // columns)
        for number_of in (count - 1, count, count + 1)
        if 1 < number_of <= most
        for columns in range(1, number_of + 1)
        if number_of % columns == 0
    ]
    form = math.log(given.width / given.height)
    columns, rows = min(grids, key=lambda grid: abs(form - math.log(grid[0] / grid[1])))
    slice_ = _fitted(given.width / columns, given.height / rows, scale, 4 * patch, True)
    each = slice_[0] * slice_[1] // (4 * patch) ** 2
    first = whole[0] * whole[1] // (4 * patch) ** 2
    slices = columns * rows
    tokens = first + slices * each
    pixels = 3 * (4 * patch) ** 2 * tokens
    # A mark on either side of each slice. They go through the tower one by one.
    return _sight(1, 16 * max(first, each), tokens, pixels, tokens + 2 * (slices + 1))


def _fitted(width: float, height: float, scale: int, unit: int, larger: bool) -> tuple[int, int]:
    """A size of about ``scale`` squared pixels of this form, in whole units."""
    if larger or width * height > scale**2:
        ratio = width / height
        height = int(scale / math.sqrt(ratio))
        width = int(height * ratio)
    return max(round(width / unit), 1) * unit, max(round(height / unit), 1) * unit


# The published shapes of LLaVA-NeXT's canvas, in pixels: height and width.
PINPOINTS = ((336, 672), (672, 336), (672, 672), (1_008, 336), (336, 1_008))


def _anyres(given: Given) -> Sight:
    """LLaVA-NeXT: the tower's own size once, and the tiles of the canvas that shows most.

    The processor counts a token for each patch that is no margin, and a break after each row
    (transformers' models/llava_next). mlx-vlm's ``llava_next.py`` puts all patches of all tiles in
    their place, and as many breaks.
    """
    whole = _whole(given)
    tile = given.vision.image_size or 336
    side = max(1, tile // given.vision.patch)
    listed = sizes(given.preprocessor.get("image_grid_pinpoints"))
    height, width = _canvas(listed or PINPOINTS, given.height, given.width)
    tiles = max(1, height // tile) * max(1, width // tile) + 1
    rows, columns = side * max(1, height // tile), side * max(1, width // tile)
    if given.width * rows > given.height * columns:
        rows -= (rows - given.height * columns // given.width) // 2 * 2
    else:
        columns -= (columns - given.width * rows // given.height) // 2 * 2
    counted = whole.tokens + rows * (columns + 1)
    # A class token for each tile.
    return _sight(
        tiles,
        whole.patches + 1,
        tiles * whole.tokens,
        tiles * whole.pixels,
        length=2 * tiles * whole.tokens,
        counted=counted,
    )


def _canvas(shapes: tuple[tuple[int, int], ...], first: int, second: int) -> tuple[int, int]:
    """The shape in which most of a picture is seen, with the least margin.

    ``first`` and ``second`` are the picture's edges in the order of those of the shapes.
    """

    def seen(shape: tuple[int, int]) -> tuple[int, int]:
        scale = min(shape[0] / first, shape[1] / second)
        effective = min(int(first * scale) * int(second * scale), first * second)
        return effective, effective - shape[0] * shape[1]

    return max(shapes, key=seen)


# The sizes that the published DeepSeek-VL2 configs list, in tiles of 384 pixels: up to nine tiles.
DEEPSEEK_TILE, DEEPSEEK_TILES = 384, 9


def _deepseek(given: Given) -> Sight:
    """DeepSeek-VL2: the whole in one tile, and the tiles of the listed size that shows most.

    A break after each row of tokens, of the whole and of the tiles together, and one mark between
    them (``tokenize_with_images`` in deepseek_vl_v2/processing_deepsek_vl_v2.py). With more than
    two pictures in one prompt it takes one tile for each.
    """
    canvases = given.vision.canvases or tuple(
        (columns * DEEPSEEK_TILE, rows * DEEPSEEK_TILE)
        for columns in range(1, DEEPSEEK_TILES + 1)
        for rows in range(1, DEEPSEEK_TILES // columns + 1)
    )
    tile = canvases[0][0]
    width, height = _canvas(canvases, given.width, given.height)
    columns, rows = max(1, width // tile), max(1, height // tile)
    tiles = columns * rows + 1
    side = max(1, tile // given.vision.patch)
    low = math.ceil(side / given.vision.merge)
    return _sight(
        tiles,
        side * side,
        tiles * low * low,
        3 * tiles * tile**2,
        low * (low + 1) + 1 + rows * low * (columns * low + 1),
    )


RULES: dict[str, Rule] = {
    "qwen2_vl": _smart,
    "qwen2_5_vl": _smart,
    "qwen3_vl": _smart,
    "qwen3_vl_moe": _smart,
    "qwen3_5": _smart,
    "qwen3_5_moe": _smart,
    "glm4v": _smart,
    "glm4v_moe": _smart,
    "glm_ocr": _smart,
    "qwen3_omni_moe": _smart,
    "qwen3_vl_embedding": _smart,
    "hunyuan_vl": _smart,
    "ernie4_5_moe_vl": _smart,
    "paddleocr_vl": _smart,
    "dots_ocr": _smart,
    "pixtral": _pixtral,
    "mistral3": _pixtral,
    "idefics3": _idefics,
    "smolvlm": _idefics,
    "gemma3": _gemma3,
    "gemma3n": _gemma3,
    "gemma4": _gemma4,
    "diffusion_gemma": _gemma4,
    "paligemma": _whole,
    "llava": _whole,
    "llava_next": _anyres,
    "llava_bunny": _bunny,
    "llava-qwen2": _bunny,
    "deepseek_vl_v2": _deepseek,
    "fastvlm": _fastvlm,
    "llava_qwen2": _fastvlm,
    "internvl_chat": _internvl,
    "internvl": _internvl,
    "mllama": _mllama,
    "phi3_v": _phi3,
    "kimi_vl": _kimi,
    "lfm2_vl": _lfm2,
    "lfm2-vl": _lfm2,
    "molmo": _molmo,
    "molmo2": _molmo,
    "molmo_point": _molmo,
    "llama4": _tiled,
    "aya_vision": _tiled,
    "cohere2_vision": _tiled,
    "idefics2": _resampled,
    "minicpmo": _resampled,
    "minicpmv4_6": _minicpm,
    "minicpmv4_7": _minicpm,
}
