"""What MLX holds while it evaluates: arrays live until the work that reads them is done.

MLX's evaluator walks the graph and hands operations to the device without waiting for them. An
array's memory is taken when its operation is handed over, and given back when the last operation
that reads it has *run*. The walker waits only when more than ten groups of work are under way
(``MAX_ACTIVE_TASKS`` in mlx/transforms.cpp), so the memory in use is what is needed now and what
up to ten groups still hold. A group is a command buffer on a GPU (40 or 50 operations, or 40 or 50
times 2^20 elements read and written: mlx/backend/metal/device.cpp, ``needs_commit``) and ten
dispatches on the CPU backend (``DISPATCHES_PER_TASK`` in mlx/backend/cpu/encoder.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

GROUPS_UNDER_WAY = 10


@dataclass(frozen=True)
class Evaluator:
    """When a group of work is full: after so many operations, or so many elements."""

    operations: int
    elements: int | None


# Apple's base and Pro chips, Max and Ultra chips, and MLX's CPU backend. CUDA graphs are cut by
# similar counts (mlx/backend/cuda/device.cpp: 20 to 100 operations by chip).
METAL_SMALL = Evaluator(operations=40, elements=40 * 2**20)
METAL_LARGE = Evaluator(operations=50, elements=50 * 2**20)
CPU = Evaluator(operations=10, elements=None)


class Step(NamedTuple):
    """One operation: the arrays that it reads and makes, and what it counts for."""

    arrays: tuple[int, ...]
    weights: float
    operations: int
    dispatches: int


class Tape:
    """Operations in the order of their evaluation, with the arrays that they make and read.

    An array is a number. ``resident`` is what is held throughout, in bytes.
    """

    def __init__(self, evaluator: Evaluator, resident: float = 0) -> None:
        self.resident = resident
        self.evaluator = evaluator
        self._sizes: list[float] = []
        self._elements: list[float] = []
        self._last: list[int] = []
        self._steps: list[Step] = []

    def run(
        self,
        *inputs: int,
        elements: float = 0,
        width: float = 2,
        weights: float = 0,
        dispatches: int = 0,
    ) -> int:
        """An operation that makes a new array of ``elements`` of ``width`` bytes, and its number.

        ``weights`` are the elements that it reads of the model. ``dispatches`` are those of the CPU
        backend: by default the work and the release of what it read.
        """
        array = self.scratch(elements, width)
        self._step(Step((*inputs, array), weights, 1, dispatches or 2))
        return array

    def scratch(self, elements: float, width: float) -> int:
        """An array that the operation which reads it makes for itself."""
        array = len(self._sizes)
        self._sizes.append(elements * width)
        self._elements.append(elements)
        self._last.append(0)
        return array

    def reuse(self, array: int, *inputs: int, dispatches: int = 2) -> int:
        """An operation whose result takes the place of the array that only it reads."""
        self._step(Step((array, *inputs), 0, 1, dispatches))
        return array

    def view(self, array: int, count: int = 1) -> int:
        """Reshapes and transposes that move nothing, but are handed over as operations."""
        self._step(Step((array,), 0, 0, count))
        return array

    def keep(self, *arrays: int) -> None:
        """Arrays that outlive the evaluation: they are read at its end."""
        self._step(Step(arrays, 0, 0, 1))

    def _step(self, step: Step) -> None:
        here = len(self._steps)
        for array in step.arrays:
            self._last[array] = here
        self._steps.append(step)

    def _groups(self) -> list[int]:
        """The number of the group that each step falls into."""
        groups, group = [], 0
        most = self.evaluator.elements
        if most is None:
            dispatches = 0
            for step in self._steps:
                groups.append(dispatches // self.evaluator.operations)
                dispatches += step.dispatches
            return groups
        sizes, operations, elements = self._elements, 0, 0.0
        # The group that touched an array last: what it has touched does not count again.
        touched = [-1] * len(sizes)
        for arrays, weights, counted, _ in self._steps:
            groups.append(group)
            if not counted:
                continue
            operations += 1
            elements += weights
            for array in arrays:
                if touched[array] != group:
                    touched[array] = group
                    elements += sizes[array]
            if operations > self.evaluator.operations or elements > most:
                group, operations, elements = group + 1, 0, 0.0
        return groups

    def peak(self) -> float:
        """The most that is held at once, in bytes."""
        groups, sizes = self._groups(), self._sizes
        released = [0.0] * (groups[-1] + 1 if groups else 0)
        for array, last in enumerate(self._last):
            released[groups[last]] += sizes[array]
        held = most = self.resident
        done, made = -1, [False] * len(sizes)
        for group, step in zip(groups, self._steps, strict=True):
            while done < group - GROUPS_UNDER_WAY - 1:
                done += 1
                held -= released[done]
            for array in step.arrays:
                if not made[array]:
                    made[array] = True
                    held += sizes[array]
            most = max(most, held)
        return most
