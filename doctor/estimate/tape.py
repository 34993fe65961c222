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
        self._made: list[list[int]] = []
        self._moved: list[float] = []
        self._dispatches: list[int] = []

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
        array = len(self._sizes)
        self._sizes.append(elements * width)
        self._elements.append(elements)
        self._last.append(0)
        self._step(inputs, (array,), elements + weights, dispatches or 2)
        return array

    def reuse(self, array: int, *inputs: int, dispatches: int = 2) -> int:
        """An operation whose result takes the place of the array that only it reads."""
        self._step((array, *inputs), (), 0, dispatches)
        return array

    def view(self, array: int, count: int = 1) -> int:
        """Reshapes and transposes that move nothing, but are handed over as operations."""
        self._step((array,), (), -self._elements[array], count)
        return array

    def keep(self, *arrays: int) -> None:
        """Arrays that outlive the evaluation: they are read at its end."""
        self._step(arrays, (), 0, 1)

    def _step(
        self, inputs: tuple[int, ...], made: tuple[int, ...], moved: float, dispatches: int
    ) -> None:
        step = len(self._made)
        for array in (*inputs, *made):
            self._last[array] = step
        self._made.append(list(made))
        self._moved.append(moved + sum(self._elements[array] for array in inputs))
        self._dispatches.append(dispatches)

    def peak(self) -> float:
        """The most that is held at once, in bytes."""
        group, operations, elements = 0, 0, 0.0
        groups = []
        by_dispatches = self.evaluator.elements is None
        for moved, dispatches in zip(self._moved, self._dispatches, strict=True):
            groups.append(group)
            operations += dispatches if by_dispatches else int(moved > 0)
            elements += moved
            if by_dispatches:
                group = operations // self.evaluator.operations
            elif operations > self.evaluator.operations or elements > (
                self.evaluator.elements or 0
            ):
                group, operations, elements = group + 1, 0, 0.0
        released: dict[int, float] = {}
        for array, step in enumerate(self._last):
            last = groups[step]
            released[last] = released.get(last, 0) + self._sizes[array]
        held = most = self.resident
        done = -1
        for step, made in enumerate(self._made):
            while done < groups[step] - GROUPS_UNDER_WAY - 1:
                done += 1
                held -= released.pop(done, 0)
            held += sum(self._sizes[array] for array in made)
            most = max(most, held)
        return most
