"""What a generation calls, held against what Python itself says when it runs the same files."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests import probe

calls = probe.module("calls")
imports = probe.module("imports")

EXTENSION = importlib.machinery.EXTENSION_SUFFIXES[0]

# A small mlx_vlm. Each case changes some files of it; most only `generate.py`, and `mlx_lm`.
BASE = {
    "mlx_vlm/__init__.py": (
        "from .utils import load, prepare_inputs\nfrom .generate import stream_generate\n"
    ),
    "mlx_vlm/utils.py": """
from .models import toy

def load(path, lazy=False, **kwargs):
    config = toy.ModelConfig.from_dict({"model_type": "toy"})
    return toy.Model(config), object()

def prepare_inputs(processor, images=None, prompts=None, image_token_index=None, **kwargs):
    return {"pixel_values": 1}
""",
    "mlx_vlm/prompt_utils.py": """
def apply_chat_template(processor, config, prompt, num_images=0):
    return prompt
""",
    "mlx_vlm/models/__init__.py": "",
    "mlx_vlm/models/toy.py": """
from dataclasses import dataclass

@dataclass
class ModelConfig:
    model_type: str = "toy"
    num_hidden_layers: int = 1

    @classmethod
    def from_dict(cls, values):
        return cls(**values)

class Model:
    def __init__(self, config):
        self.config = config

    def forward(self, pixel_values=None):
        return 1
""",
    "mlx_vlm/generate.py": """
def stream_generate(model, processor, prompt, image=None, **kwargs):
    yield 1
""",
    "mlx_lm/__init__.py": "",
}

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import mlx_vlm
import mlx_vlm.prompt_utils
model, processor = mlx_vlm.load("model")
mlx_vlm.prompt_utils.apply_chat_template(processor, model.config, "prompt", num_images=1)
mlx_vlm.prepare_inputs(processor, images=["a"], prompts="prompt", image_token_index=None)
for _ in mlx_vlm.stream_generate(
    model, processor, "prompt", image=["a"], max_tokens=3, temperature=0.0
):
    pass
"""


def generate(body: str, above: str = "") -> str:
    """A ``generate.py`` with this body of ``stream_generate``."""
    lines = "".join("    " + line + "\n" for line in body.splitlines())
    start = "def stream_generate(model, processor, prompt, image=None, flag=None, **kwargs):\n"
    return above + "\n" + start + lines + "    yield 1\n"


def walk(folder: Path, cache: Path | None = None) -> list[str]:
    """What is wrong: modules and names that are not there, and the calls that do not fit."""
    entries = [{"path": str(folder), "kind": "site-packages"}]
    for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")):
        entries.append({"path": path, "kind": "standard-library"})
    finder = probe.module("modules").Finder(entries)
    notes = probe.notes(cache)
    starts = ["mlx_vlm", "mlx_vlm.prompt_utils", "mlx_vlm.models.toy"]
    tracer = imports.follow(finder, notes, starts, [])
    assert tracer.problems == []
    misfits = calls.follow(finder, notes, tracer, "mlx_vlm.models.toy", "toy")
    notes.save()
    found = [one["module"] + (":" + one["name"] if one["name"] else "") for one in tracer.problems]
    return found + [one["function"] + ": " + one["why"] for one in misfits]


def really_runs(folder: Path) -> bool:
    """Whether Python gets through a generation with these files."""
    command = [sys.executable, "-I", "-B", "-c", RUN, str(folder)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    assert result.returncode in (0, 1), result.stderr
    known = ("TypeError", "ImportError", "ModuleNotFoundError", "AttributeError")
    assert result.returncode == 0 or result.stderr.splitlines()[-1].startswith(known), result.stderr
    return result.returncode == 0


def case(body: str, above: str = "", **other: str) -> dict[str, str]:
    """The files of a case: a body, what stands above it, and other files by module."""
    files = {name.replace("__", "/") + ".py": text for name, text in other.items()}
    return {**BASE, "mlx_vlm/generate.py": generate(body, above), **files}


F = {"mlx_lm__x": "def f(a, b=1, *, c=2): return a\nclass K:\n    def __init__(self, a): pass\n"}
X = "from mlx_lm.x import f, K\n"
NO_KEY = ["mlx_lm.x.f: it takes no key"]

# What surely runs, and what is wrong with it: Python says so too.
WRONG: dict[str, tuple[dict[str, str], list[str]]] = {
    "an import inside": (case("import gone"), ["gone"]),
    "a name imported inside": (case("from mlx_lm.x import gone", **F), ["mlx_lm.x:gone"]),
    "an import in a function that is called": (
        case("g()", "def g():\n    import gone\n"),
        ["gone"],
    ),
    "an import in what an import inside imports": (
        case("import mlx_vlm.late", mlx_vlm__late="import gone"),
        ["gone"],
    ),
    "a keyword too many": (case("f(1, key=2)", X, **F), NO_KEY),
    "an argument too many": (
        case("f(1, 2, 3)", X, **F),
        ["mlx_lm.x.f: it takes at most 2 by position"],
    ),
    "an argument too few": (case("f(b=2)", X, **F), ["mlx_lm.x.f: it needs a"]),
    "an argument twice": (case("f(1, a=2)", X, **F), ["mlx_lm.x.f: it gets a twice"]),
    "a class": (case("K(1, 2)", X, **F), ["mlx_lm.x.__init__: it takes at most 1 by position"]),
    "a method": (
        case("K().m(1)", X, mlx_lm__x="def f(): pass\nclass K:\n    def m(self): pass"),
        ["mlx_lm.x.m: it takes at most 0 by position"],
    ),
    "a method of a base": (
        case("K().m(1)", X, mlx_lm__x="f = 1\nclass B:\n    def m(self): pass\nclass K(B): pass"),
        ["mlx_lm.x.m: it takes at most 0 by position"],
    ),
    "a class method": (
        case("K.m()", X, mlx_lm__x="f = 1\nclass K:\n    @classmethod\n    def m(cls, a): pass"),
        ["mlx_lm.x.m: it needs a"],
    ),
    "a static method": (
        case("K.m()", X, mlx_lm__x="f = 1\nclass K:\n    @staticmethod\n    def m(a): pass"),
        ["mlx_lm.x.m: it needs a"],
    ),
    "by a module": (case("x.f(1, key=2)", "from mlx_lm import x\n", **F), NO_KEY),
    "an attribute that a module lacks": (
        case("x.gone", "from mlx_lm import x\n", **F),
        ["mlx_lm.x:gone"],
    ),
    "under another name": (case("h(1, key=2)", "from mlx_lm.x import f as h\n", **F), NO_KEY),
    "under a name of the module": (case("h(1, key=2)", X + "h = f\n", **F), NO_KEY),
    "imported inside": (case("from mlx_lm.x import f\nf(1, key=2)", **F), NO_KEY),
    "by a star": (case("f(1, key=2)", "from mlx_lm.x import *\n", **F), NO_KEY),
    "by the package": (
        {
            **case("f(1, key=2)", "from mlx_lm import f\n", **F),
            "mlx_lm/__init__.py": "from .x import f",
        },
        NO_KEY,
    ),
    "after a condition": (case("if prompt:\n    pass\nf(1, key=2)", X, **F), NO_KEY),
    "after a condition that may raise": (
        case("if len(prompt) > 99:\n    raise ValueError\nf(1, key=2)", X, **F),
        NO_KEY,
    ),
    "where else there is an error": (
        case("if len(prompt) < 99:\n    f(1, key=2)\nelse:\n    raise ValueError", X, **F),
        NO_KEY,
    ),
    "in a condition": (case("if f(1, key=2):\n    pass", X, **F), NO_KEY),
    "by default": (case("if flag is None:\n    f(1, key=2)", X, **F), NO_KEY),
    "by default, the other way": (
        case("if flag:\n    pass\nelse:\n    f(1, key=2)", X, **F),
        NO_KEY,
    ),
    "what the doctor asks for": (case("if image:\n    f(1, key=2)", X, **F), NO_KEY),
    "a keyword that was given": (
        case("if kwargs.get('temperature') == 0.0:\n    f(1, key=2)", X, **F),
        NO_KEY,
    ),
    "a keyword that was not given": (
        case("if kwargs.pop('other', None) is None:\n    f(1, key=2)", X, **F),
        NO_KEY,
    ),
    "keywords handed on": (
        case("f(1, **kwargs)", X, **F),
        ["mlx_lm.x.f: it takes no max_tokens"],
    ),
    "keywords handed on and taken": (
        case("g(**kwargs)", X + "def g(max_tokens, **more):\n    f(1, **more)\n", **F),
        ["mlx_lm.x.f: it takes no temperature"],
    ),
    "a constant of a module": (
        case("if N > 2:\n    f(1, key=2)", X + "N = 3\n", **F),
        NO_KEY,
    ),
    "the value of a function": (
        case(
            "if g() is None:\n    f(1, key=2)",
            X + "def g(a=1):\n    if a:\n        return None\n",
            **F,
        ),
        NO_KEY,
    ),
    "a default of a function": (
        case("g()", X + "def g(a=None):\n    if a is None:\n        f(1, key=2)\n", **F),
        NO_KEY,
    ),
    "the model's type": (
        case("if model.config.model_type == 'toy':\n    f(1, key=2)", X, **F),
        NO_KEY,
    ),
    "the model has no such thing": (
        case("if hasattr(model, 'other'):\n    return\nf(1, key=2)", X, **F),
        NO_KEY,
    ),
    "the model's method": (
        {
            **case("model.forward(None)", **F),
            "mlx_vlm/models/toy.py": BASE["mlx_vlm/models/toy.py"]
            .replace("return 1", "f(1, key=2)")
            .replace("from dataclasses", X + "from dataclasses"),
        },
        NO_KEY,
    ),
    "a layer": (
        {
            **case("model.forward()", **F),
            "mlx_vlm/models/toy.py": BASE["mlx_vlm/models/toy.py"]
            .replace("from dataclasses", X + "from dataclasses")
            .replace(
                "return 1", "for n, (a, b) in enumerate(zip(self.layers, [1])):\n            a(1)"
            )
            .replace(
                "        self.config = config\n",
                "        self.config = config\n"
                "        self.layers = [Layer() for _ in range(config.num_hidden_layers)]\n",
            )
            + "\nclass Layer:\n    def __call__(self, x):\n        f(1, key=2)\n",
        },
        NO_KEY,
    ),
    "in super": (
        case(
            "L()",
            X
            + "class B:\n    def __init__(self):\n        f(1, key=2)\n"
            + "class L(B):\n    def __init__(self):\n        super().__init__()\n",
            **F,
        ),
        NO_KEY,
    ),
    "in a function inside": (case("def g():\n    f(1, key=2)\ng()", X, **F), NO_KEY),
    "in a context manager": (
        case(
            "with g():\n    pass",
            X
            + "from contextlib import contextmanager\n"
            + "@contextmanager\ndef g():\n    f(1, key=2)\n    yield\n",
            **F,
        ),
        NO_KEY,
    ),
    "within a with": (case("with open(__file__) as s:\n    f(1, key=2)", X, **F), NO_KEY),
    "a generator that is gone through": (
        case(
            "for n, one in enumerate(g()):\n    pass",
            X + "def g():\n    f(1, key=2)\n    yield 1\n",
            **F,
        ),
        NO_KEY,
    ),
    "what is done with the first value": (
        case("for one in g():\n    f(1, key=2)", X + "def g():\n    yield 1\n", **F),
        NO_KEY,
    ),
    "yield from": (
        case("yield from g()", X + "def g():\n    f(1, key=2)\n    yield 1\n", **F),
        NO_KEY,
    ),
    "a loop over constants": (case("for a in (1, 2):\n    f(a, key=2)", X, **F), NO_KEY),
    "a loop for ever": (case("while True:\n    f(1, key=2)\n    break", X, **F), NO_KEY),
    "try and raise again": (
        case("try:\n    f(1, key=2)\nexcept TypeError as e:\n    raise TypeError(e)", X, **F),
        NO_KEY,
    ),
    "try and finally": (case("try:\n    f(1, key=2)\nfinally:\n    pass", X, **F), NO_KEY),
    "partly given": (
        case("h = functools.partial(f, key=2)\nh(1)", "import functools\n" + X, **F),
        NO_KEY,
    ),
    "by name from a module": (
        case(
            "m = sys.modules.get('mlx_lm.x')\ngetattr(m, 'f', None)(1, key=2)",
            "import sys\n" + X,
            **F,
        ),
        NO_KEY,
    ),
    "while modules load": (case("pass", X + "f(1, key=2)\n", **F), NO_KEY),
    "while modules load, assigned": (case("pass", X + "a = f(1, key=2)\n", **F), NO_KEY),
    "what strings do not have": (
        case("pass", X + "f('text')\n", mlx_lm__x="def f(a):\n    a.__module__\nK = 1"),
        ["mlx_lm.x.f: x.py:2 takes __module__ of the string 'text'"],
    ),
    "an overloaded function": (
        case(
            "f(1, key=2)",
            X,
            mlx_lm__x="from typing import overload\n@overload\ndef f(key): ...\n"
            "@overload\ndef f(a): ...\ndef f(a): pass\nK = 1",
        ),
        NO_KEY,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_surely_fails(tmp_path: Path, name: str) -> None:
    files, expected = WRONG[name]
    probe.write(tmp_path, files)
    assert walk(tmp_path) == expected
    assert not really_runs(tmp_path)


# What runs, for all that it looks wrong.
RIGHT: dict[str, dict[str, str]] = {
    "nothing special": dict(BASE),
    "what fits": case(
        "f(1)\nf(1, 2)\nf(1, b=2, c=3)\nf(a=1)\nf(*[1, 2])\nf(1, **{'c': 1})\nK(1)", X, **F
    ),
    "any arguments": case("f(1, 2, key=3)", X, mlx_lm__x="def f(*a, **k): pass\nK = 1"),
    "not called": case("pass", "def g():\n    import gone\n"),
    "after the end": case("yield 1\nreturn\nimport gone"),
    "under a condition": case("if len(prompt) > 99:\n    import gone"),
    "under one of two conditions": case("if len(prompt) > 99 and image:\n    import gone"),
    "after a return under a condition": case(
        "if len(prompt) < 99:\n    yield 1\n    return\nimport gone"
    ),
    "caught": case("try:\n    import gone\nexcept ImportError:\n    pass"),
    "caught further out": case(
        "try:\n    g()\nexcept Exception:\n    pass", "def g():\n    import gone\n"
    ),
    "suppressed": case(
        "with contextlib.suppress(Exception):\n    import gone", "import contextlib\n"
    ),
    "after what is caught": case(
        "try:\n    int(prompt)\n    import gone\nexcept ValueError:\n    pass"
    ),
    "after a break": case("for a in (1, 2):\n    if prompt:\n        break\n    import gone"),
    "after a loop that leaves": case(
        "while True:\n    if prompt:\n        yield 1\n        return\nimport gone"
    ),
    "a loop over nothing": case("for a in prompt[99:]:\n    import gone"),
    "an expression that decides": case("prompt and True or x.gone", "from mlx_lm import x\n", **F),
    "a lambda": case("g = lambda: x.gone", "from mlx_lm import x\n", **F),
    "a generator that nobody asks": case("g()", "def g():\n    import gone\n    yield 1\n"),
    "a generator that is asked once": case("next(g())", "def g():\n    yield 1\n    import gone\n"),
    "a comprehension of nothing": case(
        "[x.gone for a in prompt[99:]]", "from mlx_lm import x\n", **F
    ),
    "defined in two ways": case(
        "f(1, key=2)",
        X,
        mlx_lm__x="import sys\nif sys.maxsize > 9:\n    def f(a, key): pass\n"
        "else:\n    def f(a): pass\nK = 1",
    ),
    "defined anew": case("f(1, key=2)", X, mlx_lm__x="def f(a): pass\ndef f(a, key): pass\nK = 1"),
    "decorated": case(
        "f(1, key=2)",
        X,
        mlx_lm__x="def d(g):\n    return lambda *a, **k: None\n@d\ndef f(a): pass\nK = 1",
    ),
    "a class that is decorated": case(
        "K(1, key=2)",
        X,
        mlx_lm__x="f = 1\ndef d(c):\n    return lambda *a, **k: None\n@d\nclass K:\n"
        "    def __init__(self, a): pass",
    ),
    "a dataclass": case(
        "K(1, 2)",
        X,
        mlx_lm__x="f = 1\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass K:\n    a: int\n    b: int",
    ),
    "a class with a metaclass": case(
        "K(1, 2)",
        X,
        mlx_lm__x="f = 1\nclass M(type):\n    def __call__(cls, *a): pass\n"
        "class K(metaclass=M):\n    def __init__(self): pass",
    ),
    "a class with __new__": case(
        "K(1)",
        X,
        mlx_lm__x="f = 1\nclass K:\n"
        "    def __new__(cls, a): return 1\n    def __init__(self): pass",
    ),
    "a class without __init__": case("K()", X, mlx_lm__x="f = 1\nclass K(Exception): pass"),
    "patched: a function": case(
        "x.f(1, key=2)",
        "from mlx_lm import x\ndef g(a, key): pass\nx.f = g\n",
        **F,
    ),
    "patched: a method": case(
        "K().m(1)",
        X + "K.m = lambda self, a: 1\n",
        mlx_lm__x="f = 1\nclass K:\n    def m(self): pass",
    ),
    "patched: by setattr": case(
        "x.f(1, key=2)", "from mlx_lm import x\nsetattr(x, 'f', lambda a, key: 1)\n", **F
    ),
    "patched: an attribute of a module": case("x.new", "from mlx_lm import x\nx.new = 1\n", **F),
    "a module with its own way": case(
        "x.new(1)", "from mlx_lm import x\n", mlx_lm__x="def __getattr__(name): return print"
    ),
    "a global that changes": case(
        "g()\nif N == 1:\n    import gone", "N = 1\ndef g():\n    global N\n    N = 2\n"
    ),
    "a name that changes": case("a = None\nif prompt:\n    a = 1\nif a is None:\n    import gone"),
    "a name that changes in a loop": case(
        "a = None\nfor b in prompt:\n    a = 1\nif a is None:\n    import gone"
    ),
    "a name that a function inside changes": case(
        "a = None\ndef g():\n    nonlocal a\n    a = 1\ng()\nif a is None:\n    import gone"
    ),
    "a name under try": case(
        "a = None\ntry:\n    a = int('1')\nexcept ValueError:\n    pass\n"
        "if a is None:\n    import gone"
    ),
    "keywords that change": case(
        "if prompt:\n    kwargs['other'] = 1\nif kwargs.get('other') is None:\n    import gone"
    ),
    "keywords that another changes": case(
        "g(kwargs)\nif kwargs.get('other') is None:\n    import gone",
        "def g(k):\n    for a in ('other',):\n        k[a] = 1\n",
    ),
    "keywords that something unknown changes": case(
        "kwargs.update({'other': 1})\nif kwargs.get('other') is None:\n    import gone"
    ),
    "keywords that are taken out": case(
        "kwargs.pop('max_tokens')\nkwargs.pop('temperature', None)\nf(1, **kwargs)", X, **F
    ),
    "keywords that may be taken out": case(
        "for a in list(kwargs):\n    kwargs.pop(a)\nf(1, **kwargs)", X, **F
    ),
    "keywords of which any one is taken out": case(
        "for a in ('max_tokens', 'temperature'):\n    kwargs.pop(a)\nf(1, **kwargs)", X, **F
    ),
    "a parameter that a star fills": case(
        "g(*[1, 2])", "def g(a, b=None):\n    if b is None:\n        import gone\n"
    ),
    "a parameter that two stars fill": case(
        "g(**dict(b=2))", "def g(a=1, b=None):\n    if b is None:\n        import gone\n"
    ),
    "an attribute set elsewhere": {
        **case("model.set()\nif hasattr(model, 'other'):\n    pass\nelse:\n    import gone"),
        "mlx_vlm/models/toy.py": BASE["mlx_vlm/models/toy.py"]
        + "\n    def set(self):\n        self.other = 1\n",
    },
    "an attribute set from outside": case(
        "model.other = 1\nif not hasattr(model, 'other'):\n    import gone"
    ),
    "a settings' field": case("if model.config.num_hidden_layers > 5:\n    import gone"),
    "the model has it": case("if hasattr(model, 'forward'):\n    yield 1\n    return\nimport gone"),
    "another name for what is built in": case(
        "hasattr = lambda a, b: True\nif not hasattr(model, 'other'):\n    import gone"
    ),
    "an import of a type": case(
        "pass", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gone\n"
    ),
    "within one package": case("pass", "def g(a):\n    pass\n"),
    "caught while modules load": case(
        "pass", X + "try:\n    f(1, key=2)\nexcept TypeError:\n    pass\n", **F
    ),
    "what strings have": case(
        "pass", X + "f('text')\n", mlx_lm__x="def f(a):\n    a.upper()\n    a.__class__\nK = 1"
    ),
    "what is asked for first": case(
        "pass",
        X + "f('text')\n",
        mlx_lm__x="def f(a):\n    if hasattr(a, '__module__'):\n        a.__module__\nK = 1",
    ),
    "recursion": case("g(3)", "def g(n):\n    if n:\n        g(n - 1)\n"),
    "a match": case("match len(prompt):\n    case 0:\n        import gone"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_runs(tmp_path: Path, name: str) -> None:
    if name == "a match" and sys.version_info < (3, 10):
        pytest.skip("this Python has no match")
    probe.write(tmp_path, RIGHT[name])
    assert walk(tmp_path) == []
    assert really_runs(tmp_path)


STUB = """
import enum
from . import fast as fast
def zeros(shape, dtype=None, *, stream=None): ...
@overload
def stream(s: int) -> None: ...
@overload
def stream(s: str, t: str) -> None: ...
class array: ...
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("mx.zeros(1, stream=None)", []),
        ("mx.zeros(1, 2, 3)", ["mlx.core.zeros: it takes at most 2 by position"]),
        ("mx.zeros(1, mode='a')", ["mlx.core.zeros: it takes no mode"]),
        ("mx.stream(1)\nmx.stream('a', t='b')", []),
        ("mx.stream()", ["mlx.core.stream: it needs s"]),
        ("mx.new_thread_local_stream(1)", ["mlx.core:new_thread_local_stream"]),
        ("mx.fast.rope(1)", []),
        ("mx.fast.gone(1)", ["mlx.core.fast:gone"]),
        ("mx.fast.rope(1, 2)", ["mlx.core.fast.rope: it takes at most 1 by position"]),
        ("mx.array(1, 2, 3, a=4)", []),
        ("mx._private\nmx.__name__", []),
        ("if len(prompt) > 9:\n    mx.gone", []),
    ],
)
@pytest.mark.parametrize("layout", ["mlx/core/fast.pyi", "mlx/core/fast/__init__.pyi"])
def test_compiled_functions_are_held_against_their_stub(
    tmp_path: Path, body: str, expected: list[str], layout: str
) -> None:
    """Nothing can be run here: the stubs of real releases are compared with them elsewhere."""
    files = case(body, "import mlx.core as mx\n")
    files |= {f"mlx/core{EXTENSION}": "", "mlx/core/__init__.pyi": STUB}
    files[layout] = "def rope(x): ...\n"
    probe.write(tmp_path, files)
    assert walk(tmp_path) == expected


def test_a_problem_tells_both_sides(tmp_path: Path) -> None:
    probe.write(tmp_path, case("f(1, 2, key=3)", X, **F))
    finder = probe.finder(tmp_path)
    notes = probe.notes()
    tracer = imports.follow(finder, notes, ["mlx_vlm", "mlx_vlm.prompt_utils"], [])
    (misfit,) = calls.follow(finder, notes, tracer, None, None)
    assert misfit == {
        "caller": str(tmp_path / "mlx_vlm/generate.py"),
        "line": 4,
        "function": "mlx_lm.x.f",
        "definition": str(tmp_path / "mlx_lm/x.py"),
        "definition_line": 1,
        "passes": "2 by position, by name: key",
        "takes": "(a, b, *, c)",
        "why": "it takes no key",
    }


def test_a_second_look_reads_its_notes_and_says_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    work, cache = (
        probe.write(tmp_path / "work", case("import gone\nf(1, key=2)", X, **F)),
        tmp_path / "n",
    )
    first = walk(work, cache)
    assert first == ["gone", *NO_KEY]
    with monkeypatch.context() as patch:
        patch.setattr(probe.module("walk"), "Walk", None)
        assert walk(work, cache) == first


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mlx_vlm/generate.py", generate("f(1)", X), []),
        ("mlx_lm/x.py", "def f(a, key): pass\nK = 1", []),
        ("mlx_lm/x.py", "def f(a, b, c): pass\nK = 1", NO_KEY),
    ],
)
def test_what_changed_is_followed_anew(
    tmp_path: Path, name: str, text: str, expected: list[str]
) -> None:
    work, cache = probe.write(tmp_path / "work", case("f(1, key=2)", X, **F)), tmp_path / "n"
    assert walk(work, cache) == NO_KEY
    probe.write(work, {name: text})
    for _ in range(2):
        assert walk(work, cache) == expected


def test_a_module_that_came_is_followed(tmp_path: Path) -> None:
    work, cache = probe.write(tmp_path / "work", case("import late\nlate.f(1)")), tmp_path / "n"
    assert walk(work, cache) == ["late"]
    probe.write(work, {"late.py": "def f(): pass"})
    for _ in range(2):
        assert walk(work, cache) == ["late.f: it takes at most 0 by position"]


def test_texts_do_not_grow_for_ever(tmp_path: Path) -> None:
    body = "a = 'text'\n" + "a = f'{a}{a}'\n" * 60 + "(1, [2]) in kwargs\nimport gone"
    probe.write(tmp_path, case(body))
    assert walk(tmp_path) == ["gone"]


def test_hostile_sources_end(tmp_path: Path) -> None:
    many = "".join(f"def g{n}():\n    g{n + 1}()\n    g{n + 1}()\n" for n in range(200))
    files = case("g0()", many + "def g200():\n    g0()\n")
    probe.write(tmp_path, files)
    assert walk(tmp_path) == []
