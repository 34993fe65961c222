"""FastVLM's vision tower, FastViTHD: a stem and five stages of convolutions.

Its sizes are fixed in mlx_vlm/models/fastvlm/config.py, whatever a config says, and its operations
are those of vision.py there. A picture is brought to one square; each point of the last stage is a
token of the language model.
"""

from __future__ import annotations

import math

from doctor.estimate.architecture import Text
from doctor.estimate.kernels import Kernels
from doctor.estimate.pictures import Sight

LAYERS = (2, 12, 24, 4, 2)
WIDTHS = (96, 192, 384, 768, 1536)
# From this stage on, attention mixes the points, with position embeddings before it.
FIRST_ATTENDING, HEAD = 3, 32
FEED_FORWARD, OUTPUT = 4, 2 * WIDTHS[-1]
# The parameters of the tower, counted in a model that mlx-vlm made.
PARAMETERS = 125_109_216


def convolved(kernels: Kernels, sight: Sight, text: Text) -> None:
    """One picture through the tower and the projector (two layers, ``mlp2x_gelu``)."""
    tape, width = kernels.tape, kernels.width
    edge = math.isqrt(sight.pixels // 3)
    prepared = tape.run(elements=sight.pixels, width=width, dispatches=2)
    edge = math.ceil(edge / 2)
    x = _activated(kernels, _mixed(kernels, prepared, sight.pixels, edge**2 * WIDTHS[0], 3))
    edge = math.ceil(edge / 2)
    points = edge**2 * WIDTHS[0]
    x = _activated(kernels, _by_channel(kernels, x, points))
    x = _activated(kernels, _mixed(kernels, x, points, points))
    for stage, (layers, channels) in enumerate(zip(LAYERS, WIDTHS, strict=True)):
        if stage:
            edge = math.ceil(edge / 2)
            points = edge**2 * channels
            x = _activated(kernels, _by_channel(kernels, x, points))
            x = _activated(kernels, _mixed(kernels, x, points, points))
        if stage >= FIRST_ATTENDING:
            x = _by_channel(kernels, x, points)
        for _ in range(layers):
            if stage >= FIRST_ATTENDING:
                x = tape.reuse(_attended(kernels, x, edge**2, channels), x, dispatches=6)
            else:
                x = _by_channel(kernels, x, points)
            x = tape.reuse(_feed_forward(kernels, x, points), x, dispatches=6)
    expanded = _by_channel(kernels, x, edge**2 * OUTPUT)
    gate = tape.run(expanded, elements=OUTPUT, width=width, dispatches=20)
    x = _activated(kernels, tape.reuse(expanded, gate, dispatches=3))
    hidden = kernels.linear(x, edge**2, OUTPUT, text.hidden, True)
    hidden = _activated(kernels, hidden)
    tape.keep(kernels.linear(hidden, edge**2, text.hidden, text.hidden, True))


def _activated(kernels: Kernels, x: int) -> int:
    return kernels.tape.reuse(x)


def _by_channel(kernels: Kernels, x: int, elements: int) -> int:
    """A convolution of each channel on its own, and its bias."""
    x = kernels.tape.run(x, elements=elements, width=kernels.width)
    return kernels.tape.reuse(x, dispatches=3)


def _mixed(kernels: Kernels, x: int, inputs: int, outputs: int, side: int = 1) -> int:
    """A convolution over all channels, and its bias; ``side`` is that of its kernel.

    The CPU backend makes a matrix product of it: the picture is copied with its margins, and then
    once for each point of the kernel (``explicit_gemm_conv_ND_cpu`` in mlx/backend/cpu/conv.cpp).
    """
    tape, width = kernels.tape, kernels.width
    copies = []
    if not kernels.fused:
        # The stem's kernel goes in steps of two, which leaves a quarter of the points.
        unfolded = inputs * side**2 / (4 if side > 1 else 1)
        copies = [tape.scratch(inputs, width), tape.scratch(unfolded, width)]
    x = tape.run(x, *copies, elements=outputs, width=width, dispatches=0 if kernels.fused else 5)
    return tape.reuse(x, dispatches=3)


def _feed_forward(kernels: Kernels, x: int, points: int) -> int:
    """``ConvFFN``: channels on their own, a batch norm, wider, and back."""
    x = kernels.tape.run(x, elements=points, width=kernels.width)
    for _ in range(4):
        x = kernels.tape.reuse(x, dispatches=4)
    up = _activated(kernels, _mixed(kernels, x, points, FEED_FORWARD * points))
    return _mixed(kernels, up, FEED_FORWARD * points, points)


def _attended(kernels: Kernels, x: int, rows: int, channels: int) -> int:
    """``LayerNormChannel``, written out, and attention over all points."""
    run, reuse, width = kernels.tape.run, kernels.tape.reuse, kernels.width
    average = run(x, elements=rows, width=width, dispatches=4)
    square = run(x, average, elements=rows * channels, width=width, dispatches=4)
    square = reuse(square, dispatches=3)
    scale = run(square, elements=rows, width=width, dispatches=10)
    normed = run(x, average, elements=rows * channels, width=width, dispatches=4)
    normed = reuse(normed, scale, dispatches=9)
    normed = run(normed, elements=rows * channels, width=width, dispatches=4)
    joined = kernels.linear(normed, rows, channels, 3 * channels)
    heads = channels // HEAD
    out = kernels.attention(
        joined,
        joined,
        joined,
        sequences=1,
        queries=rows,
        keys=rows,
        heads=heads,
        kv_heads=heads,
        head_dim=HEAD,
        causal=False,
    )
    return kernels.linear(out, rows, channels, channels, True)
