"""The operations that models are made of, as MLX's backends carry them out.

A GPU has one kernel for a norm, a rotation or an attention; the CPU backend falls back to the
single operations that mlx/fast.cpp lists, and writes the matrix of scores out. The counts of
dispatches are those of its graphs as ``mx.export_to_dot`` shows them: two for what computes, one
for each reshape, broadcast or transpose.
"""

from __future__ import annotations

from dataclasses import dataclass

from doctor.estimate.tape import Evaluator, Tape

# The weights that share a scale where nothing else is said (``mx.quantize``).
GROUP = 64
# Widths of heads with a fused kernel that is also used, for more than eight queries
# (mlx/backend/metal/scaled_dot_product_attention.cpp, ``has_fused_kernel`` and ``use_fallback``),
# and the release of MLX that brought the later ones.
FUSED_ALWAYS = (64, 80, 128)
FUSED_SINCE = {72: (0, 32, 2), 96: (0, 32, 1)}
# Heads of 256, of chips with neural accelerators in their GPUs, under a causal mask: 0.32.2 has it
# but for its first days.
FUSED_BY_ACCELERATORS, LEAST_QUERIES = (0, 32, 3), 1_024


@dataclass(frozen=True)
class Ways:
    """How operations run: ``Kernels`` without what they are written on."""

    evaluator: Evaluator
    fused: bool
    scanned: bool
    accelerated: bool
    mlx: tuple[int, ...]
    width: int
    weight_width: float


@dataclass(frozen=True)
class Kernels:
    """How operations run here.

    ``fused`` is true on a GPU, ``accelerated`` where that has accelerators for neural networks
    (Apple's from M5 on). ``scanned`` tells that gated delta networks have no kernel here and go
    through a prompt in chunks of matrix products. ``mlx`` is MLX's release. ``width`` is the size
    of an activation, ``weight_width`` that of a weight in bytes: quantised weights have less than
    two. What is narrower than the activations is copied to their type when read; of quantised
    weights, the scales.
    """

    tape: Tape
    fused: bool
    scanned: bool
    accelerated: bool
    mlx: tuple[int, ...]
    width: int
    weight_width: float

    @classmethod
    def on_a_tape(cls, ways: Ways) -> Kernels:
        """Operations on a new tape on which nothing is held beforehand."""
        return cls(
            tape=Tape(ways.evaluator),
            fused=ways.fused,
            scanned=ways.scanned,
            accelerated=ways.accelerated,
            mlx=ways.mlx,
            width=ways.width,
            weight_width=ways.weight_width,
        )

    @property
    def widens(self) -> bool:
        """Whether what is read of the model is copied to a wider type first."""
        return self.weight_width < self.width and self.width > 2

    def array(self, elements: float, width: float | None = None) -> int:
        """A new array that nothing is read for."""
        return self.tape.run(elements=elements, width=self.width if width is None else width)

    def linear(self, x: int, rows: float, inputs: int, outputs: int, bias: bool = False) -> int:
        """A matrix product with weights."""
        weights = inputs * outputs
        packed = weights * self.weight_width / 4 if self.weight_width < 2 else weights
        read = [x]
        if self.widens and self.weight_width < 2:  # scales and offsets
            read += [self.array(weights / GROUP) for _ in range(2)]
        elif self.widens:
            read.append(self.tape.run(elements=weights, width=self.width, weights=weights))
            packed = 0
        if self.widens and bias:
            read.append(self.array(outputs))
        out = self.tape.run(
            *read,
            elements=rows * outputs,
            width=self.width,
            weights=packed,
            dispatches=8 if bias else 5,
        )
        if bias and self.weight_width < 2:  # ``nn.QuantizedLinear`` adds it afterwards
            out = self.tape.reuse(out)
        return out

    def norm(self, x: int, rows: float, size: int, mean: bool = False) -> int:
        """A norm over the last axis: root mean square, or with the mean taken off first."""
        run, width = self.tape.run, self.width
        if self.fused:
            wider = [self.array(size) for _ in range(2 if mean else 1)] if self.widens else []
            return run(x, *wider, elements=rows * size, width=width, weights=size)
        if mean:
            average = run(x, elements=rows, width=4, dispatches=4)
            x = run(x, average, elements=rows * size, width=width, dispatches=3)
        square = run(x, elements=rows * size, width=width)
        scale = run(square, elements=rows, width=4, dispatches=4)
        scale = self.tape.reuse(scale, dispatches=6)
        out = run(x, scale, elements=rows * size, width=width, dispatches=3)
        return self.tape.reuse(out, dispatches=6 if mean else 3)

    def rope(self, x: int, rows: float, count: float, head_dim: int) -> int:
        """The fused rotation of ``count`` elements in all, or its fallback."""
        run = self.tape.run
        if self.fused:
            return run(x, elements=count, width=self.width)
        half = rows * head_dim / 2
        angle = run(elements=half, width=4, dispatches=16)
        cos = run(angle, elements=half, width=4)
        sin = run(angle, elements=half, width=4)
        return self._rotated(x, cos, sin, count)

    def _rotated(self, x: int, cos: int, sin: int, count: float) -> int:
        run, width = self.tape.run, self.width
        parts = []
        for _ in range(2):
            one = run(x, cos, elements=count / 2, width=width, dispatches=4)
            two = run(x, sin, elements=count / 2, width=width, dispatches=4)
            parts.append(self.tape.reuse(one, two))
        return run(*parts, elements=count, width=width)

    def rope_by_hand(self, x: int, rows: float, count: float, head_dim: int, wide: int) -> int:
        """A rotation written in Python: half of ``x`` negated, both products, their sum.

        ``wide`` is the width of its cosines; where they are wider, so is all between.
        """
        run = self.tape.run
        cos = run(elements=rows * head_dim, width=wide, dispatches=4)
        sin = run(elements=rows * head_dim, width=wide, dispatches=4)
        source = run(x, elements=count, width=wide) if wide > self.width else x
        one = run(source, cos, elements=count, width=wide, dispatches=4)
        negative = run(x, elements=count / 2, width=self.width, dispatches=3)
        turned = run(x, negative, elements=count, width=self.width, dispatches=3)
        if wide > self.width:
            turned = run(turned, elements=count, width=wide)
        two = self.tape.reuse(turned, sin, dispatches=4)
        one = self.tape.reuse(one, two)
        return run(one, elements=count, width=self.width) if wide > self.width else one

    def is_fused(self, head_dim: int, queries: float, causal: bool) -> bool:
        """Whether attention writes no matrix of scores."""
        if not self.fused or queries <= 8:
            return self.fused
        if head_dim == 256 and causal and self.accelerated:
            return queries >= LEAST_QUERIES and self.mlx >= FUSED_BY_ACCELERATORS
        return head_dim in FUSED_ALWAYS or (
            head_dim in FUSED_SINCE and self.mlx >= FUSED_SINCE[head_dim]
        )

    def attention(
        self,
        query: int,
        key: int,
        value: int,
        *,
        sequences: float,
        queries: float,
        keys: float,
        heads: int,
        kv_heads: int,
        head_dim: int,
        causal: bool,
        sliced: bool = False,
        unfused: bool = False,
        filled: int = 0,
        wide_scores: bool = False,
    ) -> int:
        """Attention of all heads, and its result in the order of the tokens.

        ``sliced`` tells that keys and values are parts of a larger cache, which a matrix product
        on the CPU copies first. ``filled`` is the width of a mask that is copied for each head
        (0: none), ``wide_scores`` tells that the softmax is taken in float32.
        """
        run, width = self.tape.run, self.width
        size = sequences * queries * heads * head_dim
        if not unfused and self.is_fused(head_dim, queries, causal):
            masks = []
            if filled:
                copies = sequences * heads * queries * keys
                masks = [self.tape.scratch(copies, min(filled, width))]
            return run(query, key, value, *masks, elements=size, width=width)
        mask = None
        if causal:
            mask = run(elements=queries * keys, width=1, dispatches=9)
        scaled = run(query, elements=size, width=width, dispatches=4)
        copy = sequences * keys * kv_heads * head_dim
        if sliced and not self.fused:
            key = run(key, elements=copy, width=width, dispatches=1)
        scores = run(
            scaled, key, elements=sequences * heads * queries * keys, width=width, dispatches=3
        )
        if mask is not None and self.fused:
            # Metal keeps the scores beside those that the mask has gone over (measured: two models
            # of heads of 256, with 2,048 and 4,096 tokens at a time).
            scores = run(scores, mask, elements=sequences * heads * queries * keys, width=width)
        elif mask is not None:
            scores = self.tape.reuse(scores, mask, dispatches=5)
        if wide_scores and width < 4:
            wide = run(scores, elements=sequences * heads * queries * keys, width=4)
            wide = self.tape.reuse(wide)
            scores = run(wide, elements=sequences * heads * queries * keys, width=width)
        else:
            scores = self.tape.reuse(scores)
        if sliced and not self.fused:
            value = run(value, elements=copy, width=width, dispatches=1)
        out = run(scores, value, elements=size, width=width)
        return run(out, elements=size, width=width, dispatches=3)
