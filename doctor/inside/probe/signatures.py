"""Whether the arguments of a call fit the parameters of a function, both read from source."""

from __future__ import annotations

import ast

# A name that a message gives of arguments is cut here; hostile sources have long ones.
MOST_NAMES = 6


class Passed:
    """What a call passes: so many arguments by position, and names by keyword.

    ``more_by_position`` and ``more_by_name`` tell that it may pass others too (``*x``, ``**x``).
    ``perhaps`` are keywords that it passes only sometimes.
    """

    def __init__(self) -> None:
        self.by_position: list[object] = []
        self.by_name: dict[str, object] = {}
        self.more_by_position = False
        self.more_by_name = False
        self.perhaps: set[str] = set()

    def describe(self) -> str:
        """Such as ``2 by position, then by name: stream, key``."""
        parts = []
        if self.by_position or self.more_by_position:
            count = str(len(self.by_position))
            parts.append(count + (" or more" if self.more_by_position else "") + " by position")
        if self.by_name:
            parts.append("by name: " + _listed(list(self.by_name)))
        return ", ".join(parts) or "nothing"


def misfit(parameters: ast.arguments, first: int, passed: Passed) -> str | None:
    """Why a call would raise a TypeError; null where it fits or that cannot be told.

    ``first`` is how many parameters are filled already (1 for a method's own object).
    """
    positional = [argument.arg for argument in parameters.posonlyargs + parameters.args]
    only_by_position = {argument.arg for argument in parameters.posonlyargs}
    by_name = {argument.arg for argument in parameters.args + parameters.kwonlyargs}
    count = first + len(passed.by_position)
    if count > len(positional) and parameters.vararg is None:
        most = max(len(positional) - first, 0)
        return f"it takes at most {most} by position"
    for name in passed.by_name:
        if name in positional[:count] and name not in only_by_position:
            return f"it gets {name} twice"
        if name not in by_name and parameters.kwarg is None and name not in passed.perhaps:
            return f"it takes no {name}"
    if passed.more_by_position or passed.more_by_name:
        return None
    missing = _required(parameters) - set(positional[:count]) - set(passed.by_name)
    return f"it needs {_listed(sorted(missing))}" if missing else None


def _required(parameters: ast.arguments) -> set[str]:
    """The parameters without a default."""
    positional = parameters.posonlyargs + parameters.args
    without = positional[: len(positional) - len(parameters.defaults)]
    without += [
        argument
        for argument, default in zip(parameters.kwonlyargs, parameters.kw_defaults)
        if default is None
    ]
    return {argument.arg for argument in without}


def takes(parameters: ast.arguments, first: int) -> str:
    """The parameters that are left to fill, such as ``(logits, *, scale, **kwargs)``."""
    positional = [argument.arg for argument in parameters.posonlyargs + parameters.args][first:]
    names = list(positional)
    if parameters.vararg:
        names.append("*" + parameters.vararg.arg)
    elif parameters.kwonlyargs:
        names.append("*")
    names += [argument.arg for argument in parameters.kwonlyargs]
    if parameters.kwarg:
        names.append("**" + parameters.kwarg.arg)
    return "(" + ", ".join(names) + ")"


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
