"""Reading tables and tests out of Python source, without running it."""

from __future__ import annotations

import ast

import pytest

from tests import probe

source = probe.module("source")


def value(text: str, name: str) -> object:
    return source.literal(source.assigned(text, name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X = 1\n", 1),
        ("X = 1", 1),
        ("X: int = 2\n", 2),
        ("X: dict[str, int] = {'a': 1}\n", {"a": 1}),
        ("X = {\n    'a': 1,\n}\n", {"a": 1}),
        ("X = OrderedDict(\n    [\n        ('a', 'b'),\n    ]\n)\nY = 3\n", {"a": "b"}),
        ("if True:\n    X = {\n        'a': [1],\n    }\n", {"a": [1]}),
        ("class A:\n    X = (\n        1,\n        2,\n    )\n", (1, 2)),
        ("XY = 1\nX = 2\n", 2),
        ("Y = 0\n# X = 1\nX = 2\n", 2),
        ("if X == 1:\n    pass\nX = 2\n", 2),
        ("X += [3]\nX = 2\n", 2),
        ("X['a'] = 1\nX.b = 1\nX = 2\n", 2),
        ("def f(\n    X=1,\n):\n    pass\nX = 2\n", 2),
        ("X = (1 +\nX = 2\n", 2),
        ("X = 'a = b'\n", "a = b"),
    ],
)
def test_the_value_that_is_assigned_to_a_name_is_found(text: str, expected: object) -> None:
    assert value(text, "X") == expected


def test_an_empty_table_for_type_checkers_is_passed_over() -> None:
    text = (
        "if TYPE_CHECKING:\n"
        "    X: OrderedDict[str, str] = OrderedDict()\n"
        "else:\n"
        "    X = OrderedDict(\n"
        "        {\n"
        "            'a': 'b',\n"
        "        }\n"
        "    )\n"
    )
    assert value(text, "X") == {"a": "b"}


@pytest.mark.parametrize(
    "text", ["", "Y = 1\n", "XX = 1\n", "X\n", "X = (\n", "f(X=1)\n", "X: int\n"]
)
def test_where_nothing_is_assigned_there_is_nothing(text: str) -> None:
    assert source.assigned(text, "X") is None


@pytest.mark.parametrize(
    "text",
    ["f()", "a", "{'a': b}", "OrderedDict(f())", "OrderedDict({1, 2})", "x if y else z", "[*a]"],
)
def test_what_is_no_literal_is_null(text: str) -> None:
    assert source.literal(ast.parse(text, mode="eval").body) is None


def test_no_expression_is_no_literal() -> None:
    assert source.literal(None) is None


@pytest.mark.parametrize("text", ["def f(:\n", "x = \0\n", "(" * 5000 + ")" * 5000])
def test_what_cannot_be_parsed_is_null(text: str) -> None:
    assert source.parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'model' in name", True),
        ("'other' in name", False),
        ("'other' not in name", True),
        ("name == 'modeling_x'", True),
        ("name == 'x'", False),
        ("name.startswith('modeling_')", True),
        ("name.endswith('_fast')", False),
        ("not name.endswith('_fast')", True),
        ("'model' in name and 'import torch' in content", True),
        ("'model' in name and 'jax' in content", False),
        ("'other' in name or 'torch' in content", True),
        ("TORCH.search(content)", True),
        ("TORCH.match(content)", False),
        ("JAX.search(content)", False),
        # What decides is enough; what is not understood is not guessed.
        ("'other' in name and unknown(content)", False),
        ("'model' in name or unknown(content)", True),
        ("'model' in name and unknown(content)", None),
        ("not unknown(content)", None),
        ("OTHER.search(content)", None),
        ("name.count('m')", None),
        ("name > 'a'", None),
        ("'a' in other", None),
        ("name", None),
    ],
)
def test_a_test_on_strings_is_decided_or_left_open(text: str, expected: bool | None) -> None:
    verdict = source.predicate(
        ast.parse(text, mode="eval").body,
        {"name": "modeling_x", "content": "# first\nimport torch\n"},
        {"TORCH": "^import torch$", "JAX": "^import jax$"},
    )
    assert verdict is expected
