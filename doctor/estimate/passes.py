"""What one pass through a vision tower or a language model puts on the tape."""

from __future__ import annotations

import math
from dataclasses import dataclass

from doctor.estimate import fastvit
from doctor.estimate.architecture import Text, Vision
from doctor.estimate.kernels import Kernels
from doctor.estimate.pictures import Sight

# A cache grows by so many tokens at a time (``KVCache.step`` in mlx-vlm's and mlx-lm's cache.py).
CACHE_STEP = 256
# The tokens of a chunk of a gated delta network without a kernel of its own.
SCAN = 64
# So many layers are put on the tape; what MLX holds at once is never that of more.
MOST_ON_TAPE = 32


@dataclass(frozen=True)
class Tower:
    """How a family's vision tower is written in mlx-vlm.

    ``rotary`` is the width of the cosines of its rotation (0: none). ``joined`` tells that queries,
    keys and values come from one matrix, ``mean`` that its norms take the mean off, ``bias`` that
    its matrices have one. ``padded`` tells that narrow heads are widened for the fused kernel,
    ``mask`` that there is a dense mask of all patches.
    ``filled`` is the width of a mask that one picture fills whole: assigning to all of it leaves a
    broadcast, which has no rows of its own, and Metal's attention copies that for each head
    (``copy_unless`` in scaled_dot_product_attention.cpp). ``unfused`` tells that attention writes
    out its scores wherever it runs, ``wide_scores`` that its softmax is in float32. ``cut`` tells
    that the squares of patches which become a token are cut out one by one before the projector,
    ``convolutions`` that the tower is FastViTHD, which has its own module.
    """

    rotary: int = 0
    joined: bool = False
    mean: bool = True
    bias: bool = True
    padded: bool = False
    mask: bool = False
    filled: int = 0
    unfused: bool = False
    wide_scores: bool = False
    cut: bool = False
    convolutions: bool = False


def cache_tokens(tokens: float) -> int:
    """The tokens that a cache has room for when it holds ``tokens``."""
    return math.ceil(tokens / CACHE_STEP) * CACHE_STEP


def vision_pass(
    kernels: Kernels, tower: Tower, vision: Vision, sight: Sight, text: Text, channels: int = 3
) -> None:
    """One picture through the tower and the projector."""
    if tower.convolutions:
        fastvit.convolved(kernels, sight, text)
        return
    tape = kernels.tape
    rows = sight.sequences * sight.patches
    width = vision.hidden
    pixels = sight.pixels
    prepared = tape.run(elements=pixels, width=kernels.width, dispatches=2)
    x = tape.run(prepared, elements=rows * width, width=kernels.width, dispatches=6)
    masks: tuple[int, ...] = (kernels.array(sight.patches**2),) if tower.mask else ()
    windows = _window_patches(vision)
    for layer in range(min(vision.layers, MOST_ON_TAPE)):
        normed = kernels.norm(x, rows, width, tower.mean)
        size = vision.heads * vision.head_dim
        if tower.joined:
            joined = kernels.linear(normed, rows, width, 3 * size, tower.bias)
            query = key = value = joined
        else:
            query = kernels.linear(normed, rows, width, size, tower.bias)
            key = kernels.linear(normed, rows, width, size, tower.bias)
            value = kernels.linear(normed, rows, width, size, tower.bias)
        if tower.rotary:
            wide = max(tower.rotary, kernels.width)
            query = kernels.rope_by_hand(query, rows, rows * size, vision.head_dim, wide)
            key = kernels.rope_by_hand(key, rows, rows * size, vision.head_dim, wide)
        head_dim = vision.head_dim
        if tower.padded and head_dim not in (64, 80, 128) and head_dim < 128:
            head_dim = next(wide for wide in (64, 80, 128) if wide > head_dim)
            padded = rows * vision.heads * head_dim
            query = tape.run(query, elements=padded, width=kernels.width, dispatches=3)
            key = tape.run(key, elements=padded, width=kernels.width, dispatches=3)
            value = tape.run(value, elements=padded, width=kernels.width, dispatches=3)
        whole = not windows or layer in vision.full_layers
        length = sight.patches if whole else min(windows, sight.patches)
        out = kernels.attention(
            query,
            key,
            value,
            sequences=rows / length,
            queries=length,
            keys=length,
            heads=vision.heads,
            kv_heads=vision.heads,
            head_dim=head_dim,
            causal=False,
            unfused=tower.unfused,
            filled=0 if windows and not whole else tower.filled,
            wide_scores=tower.wide_scores,
        )
        for mask in masks:
            tape.view(mask)
        out = kernels.linear(out, rows, size, width, tower.bias)
        x = tape.reuse(out, x)
        normed = kernels.norm(x, rows, width, tower.mean)
        up = kernels.linear(normed, rows, width, vision.intermediate, tower.bias)
        if vision.gated:
            gate = kernels.linear(normed, rows, width, vision.intermediate, tower.bias)
            up = tape.reuse(gate, up, dispatches=4)
        else:
            up = tape.reuse(up, dispatches=3)
        down = kernels.linear(up, rows, vision.intermediate, width, tower.bias)
        x = tape.reuse(down, x)
        if layer < vision.deepstack:
            tape.keep(_project(kernels, x, sight, vision, text))
    if tower.cut:
        tape.keep(_project_cut(kernels, x, sight, vision, text))
    else:
        tape.keep(_project(kernels, x, sight, vision, text))


def _project(kernels: Kernels, x: int, sight: Sight, vision: Vision, text: Text) -> int:
    """From patches to tokens of the language model's width."""
    tokens = max(1, sight.tokens)
    merged = max(1, vision.hidden * sight.sequences * sight.patches // tokens)
    hidden = kernels.linear(x, tokens, merged, merged, True) if vision.merge > 1 else x
    return kernels.linear(hidden, tokens, merged, text.hidden, True)


def _project_cut(kernels: Kernels, x: int, sight: Sight, vision: Vision, text: Text) -> int:
    """DeepSeek-VL2's projector (``MlpProjector``): patches are filled up to whole squares first.

    Each square is copied on its own, and all are put together again.
    """
    tokens = max(1, sight.tokens)
    squares, merged = tokens // sight.sequences, vision.hidden * vision.merge**2
    x = kernels.norm(x, sight.sequences * sight.patches, vision.hidden, mean=True)
    x = kernels.tape.run(x, elements=tokens * merged, width=kernels.width)
    x = kernels.tape.run(x, elements=tokens * merged, width=kernels.width, dispatches=3 * squares)
    x = kernels.tape.run(x, elements=tokens * merged, width=kernels.width, dispatches=squares)
    hidden = kernels.tape.reuse(kernels.linear(x, tokens, merged, text.hidden, True))
    return kernels.linear(hidden, tokens, text.hidden, text.hidden, True)


def _window_patches(vision: Vision) -> int:
    """The patches of one window of attention; 0 where there are no windows."""
    if not (vision.window and vision.full_layers):
        return 0
    return max(1, (vision.window // vision.patch) ** 2)


def text_pass(
    kernels: Kernels,
    text: Text,
    *,
    tokens: int,
    before: int,
    logits: bool,
    by_hand: bool,
    mixed_softcap: bool = False,
) -> None:
    """``tokens`` tokens through the language model, with ``before`` in the cache already.

    ``logits`` tells whether the words' scores of every token are worked out, as they are where a
    prompt is not cut into chunks. Without them, the last layer stops at its cache.
    """
    tape = kernels.tape
    x = kernels.array(tokens * text.hidden)
    layers = min(text.layers, MOST_ON_TAPE)
    caches: list[int] = []
    for layer in range(layers):
        last = layer == text.layers - 1 and not logits
        normed = kernels.norm(x, tokens, text.hidden)
        if text.kinds[layer] == "state":
            mixed = _state(kernels, text, normed, tokens)
        else:
            mixed = _attend(kernels, text, normed, tokens, before, layer, by_hand, last, caches)
        if last:
            break
        inner = text.heads * text.head_dim
        if text.kinds[layer] == "state" and text.delta_keys:
            inner = text.delta_values
        out = kernels.linear(mixed, tokens, inner, text.hidden)
        if text.result_norms:
            out = kernels.norm(out, tokens, text.hidden)
        x = tape.reuse(out, x)
        normed = kernels.norm(x, tokens, text.hidden)
        down = (
            _experts(kernels, text, normed, tokens)
            if text.experts and layer >= text.dense_layers
            else _feed_forward(kernels, text, normed, tokens, text.intermediate)
        )
        if text.result_norms:
            down = kernels.norm(down, tokens, text.hidden)
        x = tape.reuse(down, x)
    tape.keep(*caches)
    if logits:
        normed = kernels.norm(x, tokens, text.hidden)
        scores = kernels.linear(normed, tokens, text.hidden, text.vocabulary)
        if mixed_softcap:
            scores = tape.reuse(scores)
            scores = tape.reuse(scores)
        last_one = tape.run(scores, elements=text.vocabulary, width=kernels.width)
        tape.keep(last_one)


def _attend(
    kernels: Kernels,
    text: Text,
    normed: int,
    tokens: int,
    before: int,
    layer: int,
    by_hand: bool,
    last: bool,
    caches: list[int],
) -> int:
    tape = kernels.tape
    size, kv = text.heads * text.head_dim, text.kv_width / 2
    gates = 2 if text.query_gates else 1
    query = (
        normed if last else kernels.linear(normed, tokens, text.hidden, gates * size, text.biased)
    )
    key = kernels.linear(normed, tokens, text.hidden, int(kv), text.biased)
    value = kernels.linear(normed, tokens, text.hidden, int(kv), text.biased)
    for array in (query, key, value):
        tape.view(array, 2)
    if text.query_norms:
        query = query if last else kernels.norm(query, tokens * text.heads, text.head_dim)
        key = kernels.norm(key, tokens * text.kv_heads, text.head_dim)

    def turned(array: int, count: float) -> int:
        if by_hand:
            return kernels.rope_by_hand(array, tokens, count, text.head_dim, kernels.width)
        return kernels.rope(array, tokens, count, text.head_dim)

    query = query if last else turned(query, tokens * size)
    key = turned(key, tokens * kv)
    window = text.window if text.kinds[layer] == "sliding" else None
    held = before + tokens if window is None else min(before + tokens, window + tokens)
    room = cache_tokens(held) * kv
    old: tuple[int, ...] = ()
    if before:
        old = (kernels.array(cache_tokens(min(before, window or before)) * 2 * kv),)
    keys = tape.reuse(tape.run(*old, elements=room, width=kernels.width), key, dispatches=4)
    values = tape.reuse(tape.run(*old, elements=room, width=kernels.width), value, dispatches=4)
    caches += [keys, values]
    if last:
        return normed
    return kernels.attention(
        query,
        keys,
        values,
        sequences=1,
        queries=tokens,
        keys=held,
        heads=text.heads,
        kv_heads=text.kv_heads,
        head_dim=text.head_dim,
        causal=tokens > 1,
        sliced=True,
    )


def _state(kernels: Kernels, text: Text, normed: int, tokens: int) -> int:
    """A layer that keeps a state in place of a cache.

    A gated delta network as mlx_vlm/models/qwen3_5/language.py writes it; anything else is taken
    to be as wide as attention's queries, keys and values together.
    """
    run, width = kernels.tape.run, kernels.width
    if not text.delta_keys:
        size = tokens * text.heads * text.head_dim
        mixed = kernels.linear(normed, tokens, text.hidden, 3 * text.heads * text.head_dim)
        mixed = run(mixed, elements=3 * size, width=width)
        return run(mixed, elements=size, width=width)
    keys, values = text.delta_keys, text.delta_values
    mixed = kernels.linear(normed, tokens, text.hidden, 2 * keys + values)
    gate = kernels.linear(normed, tokens, text.hidden, values)
    if kernels.scanned and tokens > 1:
        return _scan(kernels, text, mixed, gate, tokens)
    mixed = run(mixed, elements=tokens * (2 * keys + values), width=width)  # joined to the last
    mixed = run(mixed, elements=tokens * (2 * keys + values), width=width)  # the convolution
    mixed = kernels.tape.reuse(mixed)
    query = run(mixed, elements=tokens * keys, width=width, dispatches=6)
    key = run(mixed, elements=tokens * keys, width=width, dispatches=6)
    value = run(mixed, elements=tokens * values, width=width)
    out = run(query, key, value, elements=tokens * values, width=width)
    out = run(out, elements=tokens * values, width=width)
    return kernels.tape.reuse(out, gate)


def _scan(kernels: Kernels, text: Text, mixed: int, gate: int, tokens: int) -> int:
    """A gated delta network's way through a prompt in chunks (``gated_delta_chunked``).

    All but its first steps are in float32. It hands its work over at its end, with every array that
    has a name in Python still held, so that none makes room for another.
    """
    tape, run, width, heads = kernels.tape, kernels.tape.run, kernels.width, text.delta_heads
    chunks = math.ceil(tokens / SCAN)
    rows = chunks * SCAN
    key_size = text.state_bytes // (4 * text.delta_values)
    keys, values, pairs = rows * heads * key_size, rows * text.delta_values, rows * heads * SCAN
    joined = tokens * (2 * text.delta_keys + text.delta_values)
    joint = run(mixed, elements=joined, width=width)
    turned = tape.reuse(run(joint, elements=joined, width=width))

    def chunked(array: int, elements: float) -> int:
        """Filled up to whole chunks, and in float32."""
        array = run(array, elements=elements, width=width, dispatches=3)
        return run(array, elements=elements, width=4) if width < 4 else array

    def product(one: int, other: int, elements: float) -> int:
        return run(one, other, elements=elements, width=4, dispatches=3)

    def likened(one: int, other: int) -> int:
        """Each chunk's rows with one another. What is float32 already was not copied by chunks."""
        copies = [run(array, elements=keys, width=4) for array in (one, other) if width == 4]
        return run(one, other, *copies, elements=pairs, width=4, dispatches=3)

    wide = tokens * heads * key_size
    narrow = tokens * text.delta_keys // key_size
    query = kernels.norm(turned, narrow, key_size)
    query = run(query, elements=wide, width=width, dispatches=6)
    key = run(kernels.norm(turned, narrow, key_size), elements=wide, width=width, dispatches=6)
    query, key, value = chunked(query, keys), chunked(key, keys), chunked(turned, values)
    differences = run(elements=pairs, width=4, dispatches=20)
    ratios = run(differences, elements=pairs, width=4)
    likeness = likened(key, key)
    lower = run(ratios, elements=pairs, width=4, dispatches=4)
    lower = tape.reuse(tape.reuse(lower, likeness))
    # Solved row by row: those that there are, are joined for each.
    whole = run(lower, elements=pairs, width=4)
    solved = tape.reuse(run(whole, elements=pairs, width=4))
    for row in range(1, SCAN):
        before = run(solved, elements=pairs / SCAN * row, width=4, dispatches=row + 2)
        tape.reuse(solved, whole, before, dispatches=10)
    inverse = run(solved, elements=pairs, width=4, dispatches=SCAN + 2)
    scaled_keys = run(key, elements=keys, width=4, dispatches=5)
    scaled_values = run(value, elements=values, width=4, dispatches=5)
    own = product(inverse, scaled_values, values)
    passed = product(inverse, scaled_keys, keys)
    mixing = likened(query, key)
    mixing = tape.reuse(tape.reuse(mixing, ratios))
    asked = run(query, elements=keys, width=4, dispatches=5)
    asked = tape.reuse(asked, product(mixing, passed, keys))
    mixed_own = product(mixing, own, values)
    # Some thirty dispatches a chunk, of small arrays.
    parts = run(mixed_own, asked, elements=values, width=4, dispatches=30 * chunks)
    out = run(parts, elements=values, width=4, dispatches=chunks + 2)
    out = run(out, elements=values, width=4, dispatches=4)
    if width < 4:
        out = run(out, elements=values, width=width)
    tape.keep(mixed, joint, turned, query, key, value, differences, ratios, likeness, lower)
    tape.keep(inverse, scaled_keys, own, passed, mixing, asked, mixed_own, parts, out)
    out = kernels.norm(out, tokens * heads, text.delta_values // heads)
    return tape.reuse(out, gate)


def _feed_forward(kernels: Kernels, text: Text, x: int, tokens: int, width: int) -> int:
    up = kernels.linear(x, tokens, text.hidden, width)
    if text.gated:
        gate = kernels.linear(x, tokens, text.hidden, width)
        up = kernels.tape.reuse(gate, up)
    else:
        up = kernels.tape.reuse(up)
    return kernels.linear(up, tokens, width, text.hidden)


def _experts(kernels: Kernels, text: Text, x: int, tokens: int) -> int:
    """Each token through the experts that it is sent to (``SwitchGLU`` gathers them first).

    The counts of dispatches are those of ``MoEGate`` and ``_gather_sort`` in DeepSeek-VL2's code.
    """
    sent = tokens * max(1, text.experts_used)
    route = kernels.linear(x, tokens, text.hidden, text.experts)
    route = kernels.tape.reuse(route, dispatches=30)
    tape, width = kernels.tape, kernels.width
    gathered = tape.run(x, route, elements=sent * text.hidden, width=width, dispatches=12)
    read = text.experts * text.hidden * text.expert_intermediate * kernels.weight_width / 4
    inner = sent * text.expert_intermediate
    gate = tape.run(gathered, elements=inner, width=width, weights=read)
    up = tape.run(gathered, elements=inner, width=width, weights=read)
    up = tape.reuse(gate, up)
    out = tape.run(up, elements=sent * text.hidden, width=width, weights=read)
    out = tape.run(out, route, elements=sent * text.hidden, width=width, dispatches=4)
    out = tape.reuse(out, route, dispatches=3)
    down = tape.run(out, elements=tokens * text.hidden, width=width)
    if text.shared_intermediate:
        shared = _feed_forward(kernels, text, x, tokens, text.shared_intermediate)
        down = tape.reuse(down, shared)
    return down
