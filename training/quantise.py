"""MLX's affine 4-bit scheme, in NumPy for the file and in PyTorch for the training.

A group of `GROUP` neighbouring weights of a row shares a scale and a bias; a weight is
`scale * q + bias` with `q` from 0 to 15.  Scale and bias are chosen so that zero and the edge of
larger magnitude are met exactly.  Eight `q` lie in one 32-bit word, the first in the lowest bits.
Source: MLX's documentation of `mlx.core.quantize`; `tests` compare with MLX itself.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from training.settings import BITS, GROUP

_LEVELS = 2**BITS - 1
_SMALLEST_SCALE = 1e-7


def quantised(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Levels, scales and biases of float32 weights whose last side is a multiple of GROUP.

    Levels have shape (..., groups, GROUP), scales and biases (..., groups, 1).
    """
    groups = weights.reshape(*weights.shape[:-1], -1, GROUP)
    highest = groups.amax(-1, keepdim=True)
    lowest = groups.amin(-1, keepdim=True)
    scale = ((highest - lowest) / _LEVELS).clamp_min(_SMALLEST_SCALE)
    low_is_edge = lowest.abs() > highest.abs()
    scale = torch.where(low_is_edge, scale, -scale)
    edge = torch.where(low_is_edge, lowest, highest)
    steps = torch.round(edge / scale)
    meets = steps != 0
    scale = torch.where(meets, edge / torch.where(meets, steps, torch.ones_like(steps)), scale)
    bias = torch.where(meets, edge, torch.zeros_like(edge))
    levels = torch.round((groups - bias) / scale).clamp(0, _LEVELS)
    return levels, scale, bias


def as_shipped(weights: torch.Tensor) -> torch.Tensor:
    """The weights as the quantised model has them."""
    levels, scale, bias = quantised(weights)
    return (levels * scale + bias).flatten(-2)


def straight_through(weights: torch.Tensor) -> torch.Tensor:
    """The weights as shipped, with the gradient of the weights as trained."""
    return weights + (as_shipped(weights.detach()) - weights.detach())


def packed(
    weights: torch.Tensor,
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    """Words, scales and biases of a (rows, columns) matrix, as MLX's files have them."""
    levels, scale, bias = quantised(weights.detach().float().cpu())
    each_word = 32 // BITS
    numbers = levels.flatten(-2).numpy().astype(np.uint32)
    numbers = numbers.reshape(weights.shape[0], -1, each_word)
    shifts = np.arange(each_word, dtype=np.uint32) * BITS
    words = np.bitwise_or.reduce(numbers << shifts, axis=-1).astype(np.uint32)
    return (
        words,
        scale.squeeze(-1).numpy(),
        bias.squeeze(-1).numpy(),
    )
