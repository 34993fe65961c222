"""Documents with a text of one's own in every place that takes any, found by walking the types.

A field that is added to facts or to a report is such a place from then on: nobody has to remember.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from msgspec import Struct, inspect

# What is planted where: from a place (``Facts.model.files.{key}``) to the text that stands there.
Text = Callable[[str], str]


def document(kind: type[Struct], text: Text) -> object:
    """A JSON document of this type, with everything in it that may be there."""
    return _value(_described(kind), text, kind.__name__)


def places(kind: type[Struct]) -> list[str]:
    """All places of a type that take any text."""
    found: list[str] = []

    def note(place: str) -> str:
        found.append(place)
        return "x"

    document(kind, note)
    return found


def _value(kind: inspect.Type, text: Text, place: str) -> object:
    match kind:
        case inspect.StructType():
            return {
                field.encode_name: _value(field.type, text, f"{place}.{field.encode_name}")
                for field in kind.fields
            }
        case inspect.UnionType():
            return _value(max(kind.types, key=_rank), text, place)
        case inspect.StrType():
            return text(place)
        case inspect.DictType():
            name = _value(kind.key_type, text, f"{place}.{{key}}")
            return {name: _value(kind.value_type, text, f"{place}.{{value}}")}
        case inspect.VarTupleType() | inspect.ListType():
            return [_value(kind.item_type, text, f"{place}[]")]
        case inspect.TupleType():
            return [_value(item, text, f"{place}[]") for item in kind.item_types]
        case inspect.AnyType():
            return {text(f"{place}.{{key}}"): {"list": [text(f"{place}[]")]}}
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            return 1
    raise TypeError(f"{place}: {kind}")


def _rank(kind: inspect.Type) -> int:
    """Of several types, the one with the most places for texts."""
    if isinstance(kind, inspect.StrType):
        return 2
    return 0 if isinstance(kind, inspect.NoneType | inspect.BoolType | inspect.IntType) else 1


@functools.cache
def _described(kind: type[Struct]) -> inspect.Type:
    return inspect.type_info(kind)
