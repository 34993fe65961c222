"""All texts of the doctor, found in the source as they are written: nothing has to be marked.

A text is what reads like one: words with a space between them, or anything that is given as a
title, a cause, a value and so on. Where something is filled in, the text has a place, ``{0}``,
``{1}`` …; where the source chooses between two endings, both texts are found.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import jinja2
import jinja2.ext

from doctor import language
from doctor.estimate.terms import Phases
from doctor.facts import Pressure
from doctor.findings import Severity, Verdict
from doctor.formats import html
from doctor.packages import recipes
from doctor.reports.fix import Outcome
from doctor.reports.smoke import PhaseName, StageName
from tools.documentation import SECTIONS
from tools.languages.argparse_texts import ARGPARSE

ROOT = Path(__file__).parents[2]
PACKAGES = ("doctor", "checks", "fixes")
# What these modules say is not for the doctor's user: they speak to models, and make files.
NOT_READ = ("doctor/proving/pictures.py", "doctor/packages/export.py", "doctor/inside/generation")
# In these, a single word is a text as well.
WORDS = ("doctor/texts", "doctor/formats/contents.py")
# What is given to these functions is a text, and so is what it is printed with.
PRINTERS = frozenset({"line", "text", "say", "Refused", "CouldNot"})
ARGUMENTS = frozenset(
    {"title", "cause", "fact", "value", "summary", "reason", "help", "hint", "message", "source"}
)
# Two words that follow each other; one before what is filled in; a single one.
SEVERAL = re.compile(r"(?<![\w./=-])[A-Za-z][a-z']+[,;:)]* +\(?[a-zA-Z][A-Za-z'-]*")
DOING = re.compile("^[a-z]{4,} \0$")
FEW = re.compile(r"[A-Za-z]{2}|(?<= )[A-Za-z]\b")
SINGLE = re.compile(r"[A-Za-z]")
# In a page: code, and issues.
NAMES = re.compile(r"`[^`]*`|[\w.-]+/[\w.-]+#\d+")
# Regular expressions, templates of files, names of styles.
CODE = re.compile(
    r"[\\^$]|\(\?|^bold |\n|<\w|::|^#|^Callable\[|^doctor\.|"
    r"^vlm-doctor( [a-z-]+)?( --[a-z-]+)* ?\0*$|^--[a-z-]+ ?\0?$"
)


@dataclass(frozen=True)
class Text:
    """A text, its plural if it has one, and where it stands (a path from the root, and a line)."""

    message: str
    plural: str | None
    path: str
    line: int


def all_texts() -> Iterator[Text]:
    """Every text, possibly several times."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(NOT_READ):
                yield from Source(name, path.read_text(encoding="utf-8")).texts()
    yield from _templates()
    yield from _incidents()
    yield from _pages()
    for message in ARGPARSE:
        yield Text(message, None, "tools/languages/argparse_texts.py", 1)
    yield from _recipes()
    for title in (*SECTIONS.values(), "Models"):
        yield Text(title, None, "tools/documentation.py", 1)
    words = (get_args(kind) for kind in (Verdict, Outcome, Pressure, StageName, PhaseName))
    for kind in (*words, Phases.__struct_fields__):
        for word in kind:
            yield Text(word, None, "doctor/reports", 1)
    for severity in Severity:
        yield Text(severity.value, None, "doctor/findings.py", 1)


class Source:
    """One module."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self.words = name.startswith(WORDS)

    def texts(self) -> Iterator[Text]:
        """The texts in it."""
        yield from self._in(self.tree, single=False)

    def _in(self, node: ast.AST, single: bool) -> Iterator[Text]:
        """The texts below a node; ``single`` tells whether one word would be a text here."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # documentation
        if isinstance(node, ast.Call) and _name(node.func) == "counted" and len(node.args) == 3:
            yield self._counted(node)
            return
        if isinstance(node, ast.Call) and _name(node.func) == "compile":
            return
        if self.words and isinstance(node, ast.Tuple) and len(node.elts) > 2:
            # The head of a table, where all is words.
            words = [cell.value for cell in node.elts if isinstance(cell, ast.Constant)]
            if len(words) == len(node.elts):
                for word in filter(FEW.search, map(str, words)):
                    yield Text(word, None, self.name, node.lineno)
                return
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _named_words(node):
            assert isinstance(node.value, ast.Dict)
            for value in node.value.values:
                # Of several, the first is how it looks.
                said = value.elts[1:] if isinstance(value, ast.Tuple) else [value]
                for item in said:
                    yield from self._in(item, single=True)
            return
        parts, inner = _parts(node)
        if parts is not None:
            for message in parts:
                if self._is_text(message, single):
                    yield Text(
                        numbered(message.strip()), None, self.name, getattr(node, "lineno", 1)
                    )
            for expression in inner:
                yield from self._in(expression, single=False)
            return
        printed = isinstance(node, ast.Call) and _name(node.func) in PRINTERS
        for child in ast.iter_child_nodes(node):
            if printed and isinstance(child, ast.Tuple):
                child = child.elts[0]  # noqa: PLW2901 the other is how it looks
            argument = isinstance(child, ast.keyword) and child.arg in ARGUMENTS
            passed = single and isinstance(node, (ast.keyword, ast.BoolOp, ast.IfExp, ast.Call))
            yield from self._in(child, single=argument or passed or printed)

    def _counted(self, call: ast.Call) -> Text:
        one, many = (ast.literal_eval(argument) for argument in call.args[1:3])
        return Text(numbered(one), numbered(many), self.name, call.lineno)

    def _is_text(self, message: str, single: bool) -> bool:
        if CODE.search(message):
            return False
        letters = PLACE.sub("", message)
        if DOING.search(message):
            return True
        if single or (self.words and PLACE.search(message)):
            return FEW.search(letters) is not None
        return SEVERAL.search(letters) is not None


# Where something is filled in: a character that no text has.
PLACE = re.compile("\0")


def _parts(node: ast.AST) -> tuple[list[str] | None, list[ast.expr]]:
    """What a string expression can be, with places; and the expressions that it has inside.

    Null where the node is no string expression.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value], []
    if isinstance(node, ast.JoinedStr):
        message = "".join(
            str(value.value) if isinstance(value, ast.Constant) else "\0" for value in node.values
        )
        inner = [value.value for value in node.values if isinstance(value, ast.FormattedValue)]
        return [message], [*inner]
    if isinstance(node, ast.IfExp):
        first, inner_first = _parts(node.body)
        second, inner_second = _parts(node.orelse)
        if first is None and second is None:
            return None, []
        inner = [
            node.test,
            *(inner_first if first is not None else [node.body]),
            *(inner_second if second is not None else [node.orelse]),
        ]
        return [*(first or ["\0"]), *(second or ["\0"])], inner
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, inner_left = _parts(node.left)
        right, inner_right = _parts(node.right)
        if left is None and right is None:
            return None, []
        inner = [
            *(inner_left if left is not None else [node.left]),
            *(inner_right if right is not None else [node.right]),
        ]
        pairs = itertools.product(left or ["\0"], right or ["\0"])
        return ["".join(pair) for pair in pairs], inner
    return None, []


def numbered(message: str) -> str:
    """A text with its places as ``{0}``, ``{1}`` …"""
    numbers = itertools.count()
    return re.sub("\0|{}", lambda _: f"{{{next(numbers)}}}", message)


def _named_words(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether a table of words is made here, by its name."""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return isinstance(node.value, ast.Dict) and _name(target).endswith("WORDS")


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _templates() -> Iterator[Text]:
    for path in sorted(html.TEMPLATES.glob("*.html")):
        with open(path, "rb") as file:
            found = jinja2.ext.babel_extract(file, ["_"], [], {"trimmed": "true"})
            for line, _, message, _ in found:
                name = path.relative_to(ROOT).as_posix()
                assert isinstance(message, str)
                yield Text(message, None, name, line)


def _incidents() -> Iterator[Text]:
    path = "checks/known/incidents.json"
    for incident in json.loads((ROOT / path).read_text(encoding="utf-8")):
        for field in ("title", "cause", "remedy"):
            yield Text(incident[field], None, path, 1)


def _pages() -> Iterator[Text]:
    """The blocks of the checks' own pages, and of those of the codes."""
    for path in sorted((ROOT / "checks").glob("[!_]*.py")):
        name = path.relative_to(ROOT).as_posix()
        document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        yield from _blocks(document, name)
    for path in (*sorted((ROOT / "checks" / "pages").glob("*.md")), ROOT / "docs" / "start.md"):
        yield from _blocks(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def _recipes() -> Iterator[Text]:
    for name in recipes.names():
        recipe = recipes.load(name)
        assert recipe is not None
        for words in (recipe.summary, recipe.for_whom, *recipe.promises):
            yield Text(words, None, f"fixes/recipes/{name}.toml", 1)


def _blocks(markdown: str, path: str) -> Iterator[Text]:
    for start, words in language.blocks(markdown):
        if start != "```" and SINGLE.search(NAMES.sub("", words)):
            yield Text(words, None, path, 1)
