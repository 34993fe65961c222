"""The static trace of imports, held against what Python itself says of the same files."""

from __future__ import annotations

import importlib.machinery
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests import probe

imports = probe.module("imports")

EXTENSION = importlib.machinery.EXTENSION_SUFFIXES[0]
THIS = "({}, {})".format(*sys.version_info[:2])

Problem = tuple[str, str | None]


def finder(folder: Path) -> Any:
    """A finder on one folder and this Python's own library."""
    entries = [{"path": str(folder), "kind": "site-packages"}]
    for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")):
        entries.append({"path": path, "kind": "standard-library"})
    return probe.module("modules").Finder(entries)


def trace(folder: Path, *starts: str, cache: Path | None = None) -> dict[str, Any]:
    notes = probe.notes(cache)
    # What is followed is decided by name; here it is all that the test made.
    result = imports.trace(finder(folder), notes, list(starts or ["app"]), ["app", "other"])
    notes.save()
    assert isinstance(result, dict)
    return result


def problems(folder: Path, *starts: str) -> list[Problem]:
    return [(one["module"], one["name"]) for one in trace(folder, *starts)["problems"]]


def really_imports(folder: Path, module: str = "app") -> bool:
    """Whether this Python imports the module."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2])"
    command = [sys.executable, "-I", "-B", "-c", code, str(folder), module]
    result = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert result.returncode in (0, 1)
    return result.returncode == 0


# What is in `app` or `other`, and the problems there: the first is what Python says too.
WRONG: dict[str, tuple[dict[str, str], list[Problem]]] = {
    "a module that is missing": ({"app.py": "import gone"}, [("gone", None)]),
    "the package of a module that is missing": (
        {"app.py": "import gone.inner"},
        [("gone", None)],
    ),
    "a module that is missing in a package": (
        {"app.py": "import other.gone", "other/__init__.py": ""},
        [("other.gone", None)],
    ),
    "a module in a module": ({"app.py": "import other.a", "other.py": ""}, [("other.a", None)]),
    "a name that is missing": (
        {"app.py": "from other import a, b", "other.py": "a = 1"},
        [("other", "b")],
    ),
    "a name that is missing in a package of nobody": (
        {"app.py": "from third import a, b", "third.py": "a = 1"},
        [("third", "b")],
    ),
    "a name from a module that is missing": (
        {"app.py": "from gone import a, b"},
        [("gone", None)],
    ),
    "each thing only once": (
        {
            "app/__init__.py": "from . import a, b",
            "app/a.py": "import gone",
            "app/b.py": "import gone",
        },
        [("gone", None)],
    ),
    "several things": (
        {"app.py": "import gone\nfrom other import x, y", "other.py": ""},
        [("gone", None), ("other", "x"), ("other", "y")],
    ),
    "relative: a module": ({"app/__init__.py": "from .gone import a"}, [("app.gone", None)]),
    "relative: a name": ({"app/__init__.py": "from . import gone"}, [("app", "gone")]),
    "relative: a name in a sibling": (
        {"app/__init__.py": "from . import a", "app/a.py": "from .b import c", "app/b.py": ""},
        [("app.b", "c")],
    ),
    "relative: from a package further up": (
        {
            "app/__init__.py": "from .sub import a",
            "app/sub/__init__.py": "from ..b import c\na = 1",
            "app/b.py": "",
        },
        [("app.b", "c")],
    ),
    "relative: out of all packages": ({"app/__init__.py": "from ..b import c"}, [("..b", None)]),
    "relative: without a package": ({"app.py": "from . import b"}, [(".", None)]),
    "below a submodule": (
        {
            "app/__init__.py": "import app.sub.a",
            "app/sub/__init__.py": "",
            "app/sub/a.py": "import gone",
        },
        [("gone", None)],
    ),
    "by a star, in the other module": (
        {"app.py": "from other import *", "other.py": "import gone"},
        [("gone", None)],
    ),
    "a name that a star does not bring": (
        {
            "app.py": "from other import b",
            "other/__init__.py": "from .a import *",
            "other/a.py": "c = 1",
        },
        [("other", "b")],
    ),
    "in a namespace package": (
        {"app.py": "from space import a, gone", "space/a.py": ""},
        [("space", "gone")],
    ),
    "caught, but as another error": (
        {"app.py": "try:\n    import gone\nexcept ValueError:\n    pass"},
        [("gone", None)],
    ),
    "caught, but as other errors": (
        {"app.py": "try:\n    import gone\nexcept (KeyError, OSError):\n    pass"},
        [("gone", None)],
    ),
    "in a try with only a finally": (
        {"app.py": "try:\n    import gone\nfinally:\n    pass"},
        [("gone", None)],
    ),
    "in a finally": (
        {"app.py": "try:\n    pass\nexcept ImportError:\n    pass\nfinally:\n    import gone"},
        [("gone", None)],
    ),
    "in the body of a class": ({"app.py": "class A:\n    import gone"}, [("gone", None)]),
    "in a with": ({"app.py": "with open(__file__):\n    import gone"}, [("gone", None)]),
    "not for type checkers": (
        {"app.py": "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import gone"},
        [("gone", None)],
    ),
    "else than for type checkers": (
        {
            "app.py": "import typing as t\nif t.TYPE_CHECKING:\n    pass\nelse:\n    import gone",
        },
        [("gone", None)],
    ),
    "for this version on": (
        {"app.py": f"import sys\nif sys.version_info >= {THIS}:\n    import gone"},
        [("gone", None)],
    ),
    "for more than this version's first release": (
        {"app.py": f"import sys\nif sys.version_info > {THIS}:\n    import gone"},
        [("gone", None)],
    ),
    "for no version up to this": (
        {"app.py": f"import sys\nif sys.version_info <= {THIS}:\n    pass\nelse:\n    import gone"},
        [("gone", None)],
    ),
    "for this system": (
        {"app.py": f"import sys\nif sys.platform == {sys.platform!r}:\n    import gone"},
        [("gone", None)],
    ),
    "for all systems but one": (
        {"app.py": "import os\nif os.name != 'other' and True:\n    import gone"},
        [("gone", None)],
    ),
    "behind a test that another package is there": (
        {
            "app.py": "from other import *\nif is_third_available():\n    from third import gone",
            "other.py": "def is_third_available():\n    return True",
            "third.py": "",
        },
        [("third", "gone")],
    ),
    "each of a list": (
        {"app.py": "for name in ('json', 'gone'):\n    locals()[name] = __import__(name)"},
        [("gone", None)],
    ),
    "in the submodule of a package with a table of places": (
        {
            "app.py": "from other import A, b",
            "other/__init__.py": "import importlib\n"
            "TABLE = {'A': (__spec__.parent, '.a'), 'B': (__spec__.parent, '.gone')}\n"
            "def __getattr__(name):\n"
            "    if name == 'b':\n"
            "        return 1\n"
            "    package, module = TABLE[name]\n"
            "    return getattr(importlib.import_module(module, package), name)\n",
            "other/a.py": "import gone\nA = 1",
        },
        [("gone", None)],
    ),
    "a syntax error": (
        {"app/__init__.py": "from . import a", "app/a.py": "def f(:\n"},
        [("app.a", None)],
    ),
    "a null byte": ({"app.py": "import other", "other.py": "a = 1\0"}, [("other", None)]),
    "what a lazy package does not list": (
        {
            "app.py": "from other import Gone",
            "other/__init__.py": "from .lazy import attach\n"
            "__getattr__, __dir__, __all__ = attach(__name__, {'a': ['A', 'B'], 'b': ['C']})",
            "other/lazy.py": """
def attach(package, table):
    import importlib
    homes = {name: module for module, names in table.items() for name in names}
    def get(name):
        if name not in homes:
            raise AttributeError(name)
        return getattr(importlib.import_module(package + '.' + homes[name]), name)
    return get, lambda: list(homes), list(homes)
""",
            "other/a.py": "A = B = 1",
            "other/b.py": "C = 1",
        },
        [("other", "Gone")],
    ),
    "in the submodule of a lazy package": (
        {
            "app.py": "from other import A",
            "other/__init__.py": "TABLE = {'a': ['A'], 'b': ['B']}\n"
            "def __getattr__(name):\n"
            "    import importlib\n"
            "    for module, names in TABLE.items():\n"
            "        if name in names:\n"
            "            return getattr(importlib.import_module('other.' + module), name)\n"
            "    raise AttributeError(name)",
            "other/a.py": "import gone\nA = 1",
            "other/b.py": "import gone_too\nB = 1",
        },
        [("gone", None)],
    ),
}

# What is in `app` or `other` where Python imports it, and the trace must not complain.
RIGHT: dict[str, dict[str, str]] = {
    "Python's own": {
        "app.py": "import os.path, sys, time, xml.etree.ElementTree as E, _thread\n"
        "from os.path import join\nfrom os import path"
    },
    "the future": {"app.py": "from __future__ import annotations\nimport collections.abc"},
    "a cycle": {
        "app/__init__.py": "from . import a",
        "app/a.py": "import app.b",
        "app/b.py": "import app.a\nfrom app import a",
    },
    "a name of every kind": {
        "app.py": "from other import a, b, c, d, e, f, g, h, i, j, k, l, m, n, o\n"
        "from other import __name__, __file__",
        "other.py": "a = b, *c = 1, 2\n"
        "def d(): global l; l = 1\n"
        "d()\n"
        "class e: pass\n"
        "async def f(): pass\n"
        "import os as g, sys\n"
        "from os import path as h\n"
        "for i in range(2): j = i\n"
        "with open(__file__) as k: pass\n"
        "if (m := 1): n: int = 2\n"
        "try:\n    o = 1\nexcept ValueError:\n    pass\n",
    },
    "names from branches": {
        "app.py": "from other import a, b, c, d",
        "other.py": "import os\n"
        "if os.sep: a = b = 1\nelse: from gone import a, b\n"
        "try:\n    from gone import c\nexcept ImportError:\n    c = None\n"
        "while True:\n    d = 1\n    break\n",
    },
    "names by stars over stars": {
        "app.py": "from other import a, b",
        "other/__init__.py": "from .one import *",
        "other/one.py": "from .two import *\nb = 1",
        "other/two.py": "a = 1",
    },
    "a star in a circle": {
        "app.py": "from other import a",
        "other/__init__.py": "from .one import *\na = 1",
        "other/one.py": "from other import *",
    },
    "submodules as names": {
        "app/__init__.py": "from app import a\nfrom . import b\nfrom .sub import c",
        "app/a.py": "",
        "app/b.py": "",
        "app/sub/c.py": "",
    },
    "relative, further up": {
        "app/__init__.py": "from .sub.deep import a",
        "app/b.py": "c = 1",
        "app/sub/__init__.py": "",
        "app/sub/deep.py": "from ..b import c as a",
    },
    "caught": {
        "app.py": "try:\n    import gone\n    from gone import a\n"
        "except ImportError:\n    a = None\n"
        "try:\n    import gone\nexcept (KeyError, ModuleNotFoundError):\n    pass\n"
        "try:\n    import gone\nexcept Exception as error:\n    pass\n"
        "try:\n    import gone\nexcept:\n    pass\n"
        "import builtins\ntry:\n    import gone\nexcept builtins.ImportError:\n    pass\n"
        "try:\n    try:\n        import gone\n    except ValueError:\n        pass\n"
        "except ImportError:\n    import os\n"
        "try:\n    import os\nexcept ImportError:\n    import gone\n",
    },
    "after a try that another import ends": {
        "app.py": "try:\n    import gone\n"
        "except ImportError:\n    pass\nelse:\n    import gone_too\n"
    },
    "suppressed": {
        "app.py": "import contextlib\nwith contextlib.suppress(ImportError):\n    import gone"
    },
    "in functions": {
        "app.py": "def f():\n    import gone\nasync def g():\n    from gone import a\n"
        "class A:\n    def h(self):\n        import gone\nb = lambda: __import__('gone')"
    },
    "for type checkers": {
        "app.py": "import typing\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import gone\n"
        "if typing.TYPE_CHECKING:\n    from gone import a\n"
        "if TYPE_CHECKING and typing:\n    import gone\n"
        "if not TYPE_CHECKING:\n    pass\nelse:\n    import gone\n"
        "if False:\n    import gone\n"
        "if 0:\n    import gone\n"
    },
    "for other versions": {
        "app.py": "import sys\n"
        f"if sys.version_info < {THIS}:\n    import gone\n"
        f"if sys.version_info <= {THIS}:\n    import gone\n"
        f"if sys.version_info == {THIS}:\n    import gone\n"
        "if sys.version_info >= (3, 99):\n    import gone\n"
        "elif sys.version_info > (4,):\n    import gone\n"
        f"if sys.version_info[:2] < {THIS}:\n    import gone\n"
        "if sys.version_info.major < 3:\n    import gone\n"
    },
    "for other systems": {
        "app.py": "import os, sys\nif sys.platform == 'other':\n    import gone\n"
        "if os.name == 'other' or sys.platform == 'other':\n    import gone\n"
        "if sys.platform.startswith('other'):\n    import gone\n"
    },
    "behind a condition that nobody can tell": {
        "app.py": "import os\nif os.environ.get('NO_SUCH_VARIABLE'):\n    import gone\n"
        "for name in ():\n    import gone\n"
        "while os.environ.get('NO_SUCH_VARIABLE'):\n    import gone\n"
    },
    "each of a list, caught": {
        "app.py": "for name in ('json', 'gone'):\n"
        "    try:\n        locals()[name] = __import__(name)\n"
        "    except ImportError:\n        pass\n"
        "try:\n    for name in ['gone']: __import__(name)\n"
        "except ImportError:\n    pass\n"
        "for name in ('', 'gone'):\n    __import__(name + 'json') if not name else None\n"
    },
    "behind a test that a package is there": {
        "app.py": "from other import *\n"
        "if is_gone_available():\n    import gone\n"
        "if is_torch_available():\n    import torch\n"
        "if is_vision_available():\n    import PIL.gone\n"
        "if not is_gone_available():\n    pass\nelse:\n    import gone\n"
        "if is_gone_available() and is_torch_available():\n    import gone\n",
        "other.py": "def is_gone_available():\n    return False\n"
        "is_torch_available = is_vision_available = is_gone_available",
    },
    "names that are made": {
        "app.py": "from other.a import A\nfrom other.b import B\nfrom other.c import C\n"
        "from other.d import D\nfrom other.e import E\nfrom other.f import F\n"
        "from other.g import G",
        "other/__init__.py": "",
        "other/a.py": "globals().update(A=1)",
        "other/b.py": "import sys\nfor name in 'B':\n    setattr(sys.modules[__name__], name, 1)",
        "other/c.py": "vars()['C'] = 1",
        "other/d.py": "exec('D = 1')",
        "other/e.py": "globals()['E'] = 1",
        "other/f.py": "import sys\nclass M:\n    F = 1\nsys.modules[__name__] = M()",
        "other/g.py": "def __getattr__(name):\n"
        "    if name == 'G':\n        return 1\n    raise AttributeError(name)",
    },
    "a lazy package that builds its table": {
        "app.py": "from other import A, B, C, D, a\nimport other.a",
        "other/__init__.py": "import sys\nfrom typing import TYPE_CHECKING\n"
        "_structure = {'a': ['A']}\n"
        "_structure['b'] = ['B']\n"
        "_structure['a'].append('C')\n"
        "_structure['b'].extend(['D'])\n"
        "if TYPE_CHECKING:\n    from .a import A\n"
        "else:\n    from .lazy import Lazy\n"
        "    sys.modules[__name__] = Lazy(__name__, __path__, __spec__, _structure)",
        "other/lazy.py": """
import importlib, types
class Lazy(types.ModuleType):
    def __init__(self, name, path, spec, table):
        super().__init__(name)
        self.__path__, self.__spec__ = path, spec
        self._homes = {one: module for module, names in table.items() for one in names}
    def __getattr__(self, name):
        if name in self._homes:
            return getattr(importlib.import_module(self.__name__ + '.' + self._homes[name]), name)
        raise AttributeError(name)
""",
        "other/a.py": "A = C = 1",
        "other/b.py": "B = D = 1",
    },
    "a lazy package's names that it treats by hand": {
        "app.py": "from other import A, special",
        "other/__init__.py": "TABLE = {'a': ['A'], 'b': ['B']}\n"
        "def __getattr__(name):\n"
        "    import importlib\n"
        "    if name == 'special':\n"
        "        return 1\n"
        "    for module, names in TABLE.items():\n"
        "        if name in names:\n"
        "            return getattr(importlib.import_module('other.' + module), name)\n"
        "    raise AttributeError(name)",
        "other/a.py": "A = 1",
        "other/b.py": "B = 1",
    },
    "a submodule that a package enters itself": {
        "app.py": "import other.made\nfrom other.made import a\nimport single.made.deep",
        "other/__init__.py": "import sys, types\n"
        "sys.modules[f'{__name__}.made'] = types.ModuleType('made')\n"
        "sys.modules[f'{__name__}.made'].a = 1",
        "single.py": "import sys, types\n"
        "sys.modules['single.made'] = sys.modules['single.made.deep'] = types.ModuleType('made')",
    },
    "old names for new modules": {
        "app.py": "from other.old_name import a\nfrom other.thing_fast import a",
        "other/__init__.py": "import re, sys\n"
        "from .hook import Hook\n"
        "ALIASES = {'old_name': 'new_name'}\n"
        "def resolve(name):\n"
        "    if re.fullmatch(rf'{__name__}.(\\w+)_fast', name):\n"
        "        return 'other.new_name'\n"
        "    return {'other.' + old: 'other.' + new for old, new in ALIASES.items()}.get(name)\n"
        "sys.meta_path.append(Hook(resolve))",
        "other/new_name.py": "a = 1",
        "other/hook.py": """
import importlib, importlib.abc, importlib.util
class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, resolve):
        self.resolve = resolve
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if self.resolve(name) else None
    def create_module(self, spec):
        return importlib.import_module(self.resolve(spec.name))
    def exec_module(self, module):
        pass
""",
    },
    "a package with folders of its own": {
        "app.py": "from other import a\nimport other.a",
        "other/__init__.py": "import os\n"
        "__path__.append(os.path.join(os.path.dirname(__file__), 'x'))",
        "other/x/a.py": "",
    },
    "a byte order mark": {"app.py": "\ufeffimport other\n", "other.py": "\ufeffa = 1\n"},
    "a form feed and tabs": {"app.py": "if True:\n\timport other\n\x0c\n", "other.py": ""},
}


@pytest.mark.parametrize("case", WRONG)
def test_an_import_that_fails_is_a_problem(tmp_path: Path, case: str) -> None:
    files, expected = WRONG[case]
    probe.write(tmp_path, files)
    assert problems(tmp_path) == expected
    assert not really_imports(tmp_path)


@pytest.mark.parametrize("case", RIGHT)
def test_an_import_that_works_is_no_problem(tmp_path: Path, case: str) -> None:
    probe.write(tmp_path, RIGHT[case])
    assert really_imports(tmp_path)
    assert problems(tmp_path) == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="`except*` came with Python 3.11")
def test_a_group_of_errors_is_caught_too(tmp_path: Path) -> None:
    text = "try:\n    from gone import a\nexcept* ImportError:\n    a = None\n"
    probe.write(tmp_path, {"app.py": "from other import a", "other.py": text})
    assert really_imports(tmp_path)
    assert problems(tmp_path) == []


def test_a_match_at_the_top_of_a_module(tmp_path: Path) -> None:
    text = "match 1:\n    case a:\n        b = 1\n"
    probe.write(tmp_path, {"app.py": "from other import a, b", "other.py": text})
    assert really_imports(tmp_path)
    assert problems(tmp_path) == []


def test_a_problem_says_where(tmp_path: Path) -> None:
    probe.write(tmp_path, {"app/__init__.py": "\n\nfrom . import a", "app/a.py": "\nimport gone"})
    (problem,) = trace(tmp_path)["problems"]
    expected = {"importer": str(tmp_path / "app/a.py"), "line": 2, "module": "gone", "name": None}
    assert problem == expected


def test_a_start_that_is_missing(tmp_path: Path) -> None:
    assert problems(tmp_path, "app", "jinja2") == [("app", None), ("jinja2", None)]


def test_reached_are_the_packages_that_are_not_pythons_own(tmp_path: Path) -> None:
    files = {
        "app.py": "import os, sys, json\nimport third.a\n"
        "try:\n    import rare\nexcept ImportError: 0"
    }
    probe.write(tmp_path, {**files, "third/__init__.py": "", "third/a.py": "", "rare.py": ""})
    assert trace(tmp_path)["reached"] == ["app", "third"]


def test_reached_in_site_packages_that_lie_inside_the_library(tmp_path: Path) -> None:
    """As in conda's environments and a system's Python."""
    library = tmp_path / "lib"
    site = library / "site-packages"
    probe.write(library, {"json/__init__.py": ""})
    probe.write(site, {"app.py": "import json.gone\nfrom third import gone", "third.py": ""})
    entries = [(library, "standard-library"), (site, "site-packages")]
    finder = probe.module("modules").Finder([{"path": str(p), "kind": kind} for p, kind in entries])
    result = imports.trace(finder, probe.notes(), ["app"], ["app"])
    assert result["reached"] == ["app", "third"]
    assert [(one["module"], one["name"]) for one in result["problems"]] == [("third", "gone")]


def test_others_packages_are_not_followed(tmp_path: Path) -> None:
    probe.write(tmp_path, {"app.py": "from third import a", "third.py": "import gone\na = 1"})
    assert problems(tmp_path) == []
    followed = imports.trace(finder(tmp_path), probe.notes(), ["app"], ["app", "third"])
    assert [one["module"] for one in followed["problems"]] == ["gone"]


def test_the_packages_that_grow_against_each_other_are_followed(tmp_path: Path) -> None:
    probe.write(tmp_path, {"mlx_vlm/__init__.py": "from .utils import a", "mlx_vlm/utils.py": ""})
    result = imports.trace(finder(tmp_path), probe.notes(), ["mlx_vlm"], [])
    assert [(one["module"], one["name"]) for one in result["problems"]] == [("mlx_vlm.utils", "a")]


@pytest.mark.parametrize("kind", ["a folder", "a link to nowhere"])
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    probe.write(tmp_path, {"app/__init__.py": "from . import a"})
    if kind == "a folder":
        (tmp_path / "app/a.py").mkdir()
    else:
        (tmp_path / "app/a.py").symlink_to(tmp_path / "gone.py")
    assert problems(tmp_path) == [("app.a", None)]
    assert not really_imports(tmp_path)


def test_another_encoding_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = 'J\xf6rg'\nimport gone\n")
    assert problems(tmp_path) == [("gone", None)]


def test_too_many_modules_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"app/m{number}.py": f"import app.m{number + 1}" for number in range(20)}
    probe.write(tmp_path, {"app/__init__.py": "import app.m0", **files})
    assert trace(tmp_path)["unknown"] is None
    assert problems(tmp_path) == [("app.m20", None)]
    monkeypatch.setattr(imports, "MOST_MODULES", 10)
    assert trace(tmp_path)["unknown"] == "there are too many modules to follow"
    assert problems(tmp_path) == []


# The stub of a compiled module, what is taken from it, and what is missing there.
STUB = (
    "import enum\nfrom . import fast as fast\nclass array: ...\ndef eval(*a): ...\nfloat32: int\n"
)


@pytest.mark.parametrize(
    ("stub", "text", "expected"),
    [
        (STUB, "from mlx.core import array, float32, fast", []),
        (STUB, "from mlx.core import new_thread_local_stream", ["new_thread_local_stream"]),
        (STUB, "import mlx.core as mx\nx = mx.array\ny = mx.gone(1)", ["gone"]),
        (STUB, "import mlx.core as mx\nx = [mx.array, {'a': mx.gone}]", ["gone"]),
        (STUB, "import mlx.core as mx\nclass A:\n    x = mx.gone", ["gone"]),
        (STUB, "import mlx.core as mx\nx = mx.__name__, mx.__file__", []),
        (STUB, "import mlx.core as mx\ndef f():\n    return mx.gone", []),
        (STUB, "import mlx.core as mx\nx = lambda: mx.gone", []),
        (
            STUB,
            "import mlx.core as mx\ntry:\n    x = mx.gone\nexcept AttributeError:\n    x = 0",
            [],
        ),
        (STUB, "import mlx.core as mx\nif mx:\n    x = mx.gone", []),
        (STUB, "import os as mx\nx = mx.gone", []),
        (STUB, "from mlx.core import linalg\nimport mlx.core.linalg", []),
        (STUB, "import mlx.core.fast.deep", []),
        (STUB + "from .x import *\n", "from mlx.core import gone", []),
        (STUB + "def __getattr__(name): ...\n", "from mlx.core import gone", []),
        ("", "from mlx.core import gone", []),
        ("def f(:", "from mlx.core import gone", []),
        (None, "from mlx.core import gone\nimport mlx.core as mx\nx = mx.gone", []),
    ],
)
def test_a_compiled_module_is_believed_by_its_stub(
    tmp_path: Path, stub: str | None, text: str, expected: list[str]
) -> None:
    probe.write(tmp_path, {"app.py": text, f"mlx/core{EXTENSION}": "", "mlx/core/linalg.pyi": ""})
    if stub is not None:
        probe.write(tmp_path, {"mlx/core/__init__.pyi": stub})
    assert problems(tmp_path) == [("mlx.core", name) for name in expected]


ENUMS = "class Resampling:\n    BOX = 1\n"
OLD = (
    "def __getattr__(name):\n"
    "    if name == 'OLD':\n"
    "        return 1\n"
    "    else:\n"
    "        names = {'OLDER': 2}\n"
    "        if name in names:\n"
    "            return names[name]\n"
    "    raise AttributeError(name)\n"
)
ANY = "def __getattr__(name):\n    if name == 'a':\n        return 1\n    return __import__(name)\n"
TABLE = (
    "table = {}\ntable['Resampling'] = 1\n"
    "def __getattr__(name):\n"
    "    if name in table:\n"
    "        return table[name]\n"
    "    raise AttributeError(name)\n"
)


@pytest.mark.parametrize(
    ("text", "image", "runs"),
    [
        ("import pic.image\nx = pic.image.Resampling.BOX", ENUMS, True),
        ("import pic.image\nx = pic.image.Resampling.BOX", "", False),
        ("import pic.image\nx = pic.image.Resampling", OLD, False),
        ("import pic.image\nx = pic.image.OLD, pic.image.OLDER", OLD, True),
        ("import pic.image\nx = pic.image.json", ANY, True),
        ("import pic.image\nx = pic.image.Resampling", TABLE, True),
        ("import pic.image as p\nx = p.Resampling", "", False),
        ("from pic.image import OLD", OLD, True),
        (
            "import pic.image\nx = pic.image.Resampling",
            "class Image:\n    def __getattr__(self, name): return name\n",
            False,
        ),
        (
            "import pic.image\nx = pic.image.Resampling",
            "import sys, types\nclass M(types.ModuleType):\n"
            "    def __getattr__(self, name):\n        return name\n"
            "def put():\n    sys.modules[__name__].__class__ = M\nput()\n",
            True,
        ),
        ("from pic.image import Resampling", OLD, False),
        ("import pic.image\nx = pic.image", "", True),
        ("import pic.image\ntry:\n    x = pic.image.a\nexcept Exception:\n    pass", "", True),
        ("import sys\nif sys.maxsize:\n    import pic.image as p\nx = p.a", "a = 1", True),
        (
            "import sys\nif sys.maxsize:\n    import pic.image as p\nelse:\n    import pic as p\n"
            "x = p.a",
            "a = 1",
            True,
        ),
        ("import pic.image as p\nimport json as p\nx = p.dumps", "", True),
    ],
)
def test_what_is_taken_from_a_module_at_once(
    tmp_path: Path, text: str, image: str, runs: bool
) -> None:
    probe.write(tmp_path, {"app.py": text, "pic/__init__.py": "", "pic/image.py": image})
    assert (problems(tmp_path) == []) is runs
    assert really_imports(tmp_path) is runs


def test_what_is_taken_where_a_package_is_there(tmp_path: Path) -> None:
    text = (
        "from other import is_pic_available\n"
        "if is_pic_available():\n    import pic.image\n    x = pic.image.Resampling\n"
    )
    files = {"app.py": text, "other.py": "def is_pic_available(): return {}\n"}
    probe.write(tmp_path, {**files, "other.py": files["other.py"].format(False)})
    assert problems(tmp_path) == [] and really_imports(tmp_path)
    probe.write(tmp_path, {"pic/__init__.py": "", "pic/image.py": ""})
    probe.write(tmp_path, {"other.py": files["other.py"].format(True)})
    assert problems(tmp_path) == [("pic.image", "Resampling")]
    assert not really_imports(tmp_path)


def test_a_compiled_module_for_another_python_is_missing(tmp_path: Path) -> None:
    files = {"app.py": "import mlx.core", "mlx/core.cpython-36m-x86_64-linux-gnu.so": ""}
    probe.write(tmp_path, files)
    assert problems(tmp_path) == [("mlx.core", None)]
    assert not really_imports(tmp_path)


def test_an_auto_class_of_transformers_is_followed_to_its_file(tmp_path: Path) -> None:
    files = {
        "app.py": "from transformers import AutoProcessor, AutoOther, Anything",
        "transformers/__init__.py": "import sys\nsys.modules[__name__] = make()",
        "transformers/models/__init__.py": "",
        "transformers/models/auto/__init__.py": "",
        "transformers/models/auto/base.py": "from .processing_auto import AutoProcessor",
        "transformers/models/auto/processing_auto.py": "import gone\nclass AutoProcessor: pass",
    }
    probe.write(tmp_path, files)
    assert problems(tmp_path) == [("gone", None), ("transformers", "AutoOther")]
    # Without their folder there is none of them.
    shutil.rmtree(tmp_path / "transformers/models/auto")
    assert ("transformers", "AutoProcessor") in problems(tmp_path)


@pytest.mark.parametrize(("outdated", "missing"), [("other", [("other", "later")]), ("x", [])])
def test_a_name_of_a_later_release(tmp_path: Path, outdated: str, missing: list[Problem]) -> None:
    """Names that a module makes when it runs are not known, but one that stands nowhere in it."""
    files = {
        "app.py": "from other import later, earlier",
        "other.py": "import sys\nglobals()[sys.argv[0]] = 1\n# earlier",
    }
    probe.write(tmp_path, files)
    tracer = imports.follow(
        finder(tmp_path), probe.notes(), ["app"], ["app"], outdated=frozenset([outdated])
    )
    assert [(one["module"], one["name"]) for one in tracer.problems] == missing


def test_a_package_may_list_its_files_for_a_name(tmp_path: Path) -> None:
    files = {
        "app.py": "from other import later",
        "other/__init__.py": "import sys\nglobals()[sys.argv[0]] = 1",
        "other/inner.py": "later = 1",
    }
    probe.write(tmp_path, files)
    notes = probe.notes()
    tracer = imports.follow(
        finder(tmp_path), notes, ["app"], ["app"], outdated=frozenset(["other"])
    )
    assert tracer.problems == []


def test_a_second_trace_reads_its_notes_and_says_the_same(tmp_path: Path) -> None:
    work = probe.write(tmp_path / "work", WRONG["several things"][0])
    cache = tmp_path / "cache" / "notes"
    first = trace(work, cache=cache)
    assert len(first["problems"]) == 3
    kept = cache.read_bytes()
    # The same size and time: the note is believed, and the file not read again.
    times = os.stat(work / "app.py")
    (work / "app.py").write_text((work / "app.py").read_text().replace("gone", "json"))
    os.utime(work / "app.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert trace(work, cache=cache) == first
    assert cache.read_bytes() == kept


@pytest.mark.parametrize("new", ["import json\n", "import gone\nimport lost\n"])
def test_a_file_that_changed_is_read_anew(tmp_path: Path, new: str) -> None:
    work, cache = tmp_path / "work", tmp_path / "notes"
    probe.write(work, {"app.py": "import gone\n"})
    assert len(trace(work, cache=cache)["problems"]) == 1
    (work / "app.py").write_text(new)
    os.utime(work / "app.py", (1, 1))
    for _ in range(2):
        found = [one["module"] for one in trace(work, cache=cache)["problems"]]
        assert found == (["gone", "lost"] if "lost" in new else [])


def test_what_could_not_be_read_is_not_remembered(tmp_path: Path) -> None:
    """Once it may be read, it is, though neither its size nor its time has changed."""
    path = tmp_path / "app.py"
    reads: list[str] = []

    def reader(text: str) -> str:
        reads.append(text)
        return text

    path.mkdir()
    status = path.stat()
    kept = tmp_path / "notes"
    notes = probe.notes(kept)
    assert notes.of(str(path), reader) is None
    notes.save()
    path.rmdir()
    path.write_text("x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert probe.notes(kept).of(str(path), reader) == "x" * status.st_size
    assert len(reads) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        "of another python",
        "by other readers",
        "without results",
        "with files that are none",
    ],
)
def test_notes_that_are_no_notes_are_ignored(tmp_path: Path, content: bytes | str) -> None:
    work, cache = tmp_path / "work", tmp_path / "notes"
    probe.write(work, {"app.py": "import gone\n"})
    first = trace(work, cache=cache)
    if isinstance(content, bytes):
        cache.write_bytes(content)
    else:
        head, small, large = map(json.loads, cache.read_text().splitlines())
        for summary in large.values():
            summary[2]["imports summarise"]["imports"] = []  # a lie, if it were believed
        if content == "of another python":
            head["made_by"][0] += "x"
        elif content == "by other readers":
            head["made_by"][1][0][1] += 1
        elif content == "without results":
            del head["results"]
        else:
            large = 5
        cache.write_text("\n".join(map(json.dumps, (head, small, large))))
    assert trace(work, cache=cache) == first
    assert json.loads(cache.read_text().splitlines()[2])


def test_notes_that_cannot_be_written_do_no_harm(tmp_path: Path) -> None:
    work = probe.write(tmp_path / "work", {"app.py": "import gone\n"})
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for cache in (tmp_path / "file" / "notes", tmp_path / "folder"):
        assert len(trace(work, cache=cache)["problems"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "work"]
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_source_of_any_size_ends(tmp_path: Path) -> None:
    deep = "x = " + "(" * 3000 + ")" * 3000
    files = {
        "app.py": "from other import a\nimport big",
        "other.py": deep,
        "big.py": "#" * 6_000_000,
    }
    probe.write(tmp_path, files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = trace(tmp_path)
    assert result["unknown"] is None


def test_a_deep_expression_is_followed_or_left(tmp_path: Path) -> None:
    """Python computes what is deeper than the trace can follow."""
    deep = "VALUE = " + " + ".join(["1"] * 1500)
    probe.write(tmp_path, {"app.py": f"{deep}\nprint({deep[8:]})\nfrom other import x\n"})
    probe.write(tmp_path, {"other.py": f"x = 1\n{deep}\n"})
    assert problems(tmp_path) == []
    assert really_imports(tmp_path)


def test_a_version_that_cannot_be_compared(tmp_path: Path) -> None:
    """The trace does not tell of that error, but it goes on."""
    code = f"import sys\nif sys.version_info >= ({sys.version_info[0]}, 'x'): import gone\n"
    probe.write(tmp_path, {"app.py": code + "import other", "other.py": "import gone.too"})
    assert problems(tmp_path) == [("gone", None)]
    assert not really_imports(tmp_path)


@pytest.mark.parametrize(
    "statement",
    ["raise X", "assert False", "assert 0, 'no'", "x = 1 / 0", "1 % 0", "import sys\nsys.exit(1)"],
)
def test_a_module_that_always_ends_its_import(tmp_path: Path, statement: str) -> None:
    probe.write(tmp_path, {"app/__init__.py": "from app import inner", "app/inner.py": statement})
    assert problems(tmp_path) == [("app.inner", None)]
    assert not really_imports(tmp_path)


@pytest.mark.parametrize(
    "statement",
    ["assert True", "x = 0 / 1", "x = '%d' % 0", "x = lambda: 1 / 0", "f = exit", "x = 1.0 // 2"],
)
def test_a_module_that_only_looks_like_it(tmp_path: Path, statement: str) -> None:
    probe.write(tmp_path, {"app/__init__.py": "from app import inner", "app/inner.py": statement})
    assert problems(tmp_path) == []
    assert really_imports(tmp_path)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("name = 1\ndel name", True),
        ("name = other = 1\ndel other, name", True),
        ("name = 1\ndel name\nname = 2", False),
        ("name = 1\nif name > 1:\n    del name", False),
        ("name = 1\ndef f():\n    del name", False),
    ],
)
def test_a_name_that_is_deleted(tmp_path: Path, text: str, missing: bool) -> None:
    probe.write(tmp_path, {"app.py": "from other import name", "other.py": text})
    assert problems(tmp_path) == ([("other", "name")] if missing else [])
    assert really_imports(tmp_path) != missing


def test_a_package_that_takes_everything_from_itself(tmp_path: Path) -> None:
    probe.write(tmp_path, {"app/__init__.py": "value = 1\nfrom . import *\n"})
    assert problems(tmp_path) == []
    assert really_imports(tmp_path)


def test_a_name_that_no_module_can_have(tmp_path: Path) -> None:
    probe.write(tmp_path, {"app.py": 'for name in ("a(",):\n    __import__(name)\n'})
    assert problems(tmp_path) == [("a(", None)]
    assert not really_imports(tmp_path)


def test_a_package_that_takes_from_itself_what_is_gone(tmp_path: Path) -> None:
    probe.write(
        tmp_path,
        {
            "app/__init__.py": "from app import inner, gone\nfrom app import value\n",
            "app/inner.py": "",
        },
    )
    assert ("app", "gone") in problems(tmp_path)
    assert not really_imports(tmp_path)
    probe.write(
        tmp_path,
        {"app/__init__.py": "value = 1\ndef gone(): ...\nfrom app import inner, gone, value\n"},
    )
    assert problems(tmp_path) == []
    assert really_imports(tmp_path)
