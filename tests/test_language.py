"""The doctor in Russian: what is said, and that whoever writes only English is not stopped."""

from __future__ import annotations

import contextlib
import gzip
import json
import plistlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor import cli, formats, language, pages, registry
from doctor.commands import SUMMARIES
from doctor.language import Pattern, counted, text
from tests.conftest import Doctor, recorded
from tests.test_formats import checked, smoked
from tools.languages import catalogues
from tools.languages.texts import Source

FACTS = str(Path(__file__).parent / "recorded" / "report.json")
MATRIX = Path(__file__).parent / "matrix" / "facts"
CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


@pytest.fixture
def russian() -> Iterator[None]:
    language.use("ru")
    yield
    language.use("en")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru"}, "ru"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "ru_RU.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ru_RU.UTF-8", "LANG": "en_US.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LANGUAGE": "en"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "uk:ru:en"}, "ru"),
        ({"LC_ALL": "C", "LANGUAGE": "ru"}, "en"),
        ({"LC_ALL": "C.UTF-8", "LANG": "ru_RU.UTF-8"}, "en"),
        ({"LANG": "ru_RU@euro"}, "ru"),
        ({"LANG": "rubbish"}, "en"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac's own setting would count")
def test_the_locale_tells_the_language(variables: dict[str, str], expected: str) -> None:
    assert language.of_locale(variables) == expected


def test_the_option_comes_before_the_locale() -> None:
    variables = {"LANG": "ru_RU.UTF-8"}
    assert language.choose(["check", "--lang", "en"], variables) == "en"
    assert language.choose(["check", "--lang=en"], variables) == "en"
    assert language.choose(["check", "--lang"], variables) == "ru"
    assert language.choose(["check", "--lang", "xx"], {}) == "en"


def test_a_macs_own_setting(tmp_path: Path) -> None:
    path = tmp_path / "preferences.plist"
    path.write_bytes(plistlib.dumps({"AppleLocale": "ru_RU"}, fmt=plistlib.FMT_BINARY))
    assert language._of_mac(path) == "ru_RU"
    assert language._of_mac(tmp_path / "gone") == "C"
    path.write_bytes(b"no list")
    assert language._of_mac(path) == "C"


def test_a_text_is_recognised_by_its_places() -> None:
    pattern = Pattern(0, "{0} requires {1}; {2} stays", None, ("", " requires ", "; ", " stays"))
    assert pattern.values("a requires b>=1; c stays") == ["a", "b>=1", "c"]
    assert pattern.values("a requires b>=1; stays") is None
    assert pattern.values("a needs b; c stays") is None
    assert Pattern(0, "{0}x", None, ("", "x")).values("x") == [""]
    assert Pattern(0, "ab{0}ba", None, ("ab", "ba")).values("aba") is None


@pytest.mark.usefixtures("russian")
def test_plural_forms() -> None:
    def said(number: int) -> str:
        return text(counted(number, "{} error", "{} errors"))

    assert [said(number) for number in (1, 2, 5, 11, 21, 22, 111)] == [
        "1 ошибка",
        "2 ошибки",
        "5 ошибок",
        "11 ошибок",
        "21 ошибка",
        "22 ошибки",
        "111 ошибок",
    ]


@pytest.mark.usefixtures("russian")
def test_what_has_no_translation_stays_english() -> None:
    assert text("A text that nobody has translated yet.") == (
        "A text that nobody has translated yet."
    )
    assert text("") == ""
    assert (
        language.page("# New\n\nNot yet.\n\n```\ncode\n```")
        == "# New\n\nNot yet.\n\n```\ncode\n```"
    )


def test_english_pages_are_left_as_they_are() -> None:
    for code in registry.codes():
        page = pages.of_code(code)
        assert language.page(page) == page


def test_the_report_in_russian(doctor: Doctor) -> None:
    run = doctor("check", "--facts", FACTS, "--lang", "ru")
    assert run.code == 1
    english = doctor("check", "--facts", FACTS).out
    assert "torchvision-missing" in run.out
    assert "3.11.7" in run.out
    lines = [line for line in run.out.splitlines() if re.search("[a-z]{3}", line)]
    spoken = [line for line in lines if CYRILLIC.search(line)]
    # Names, versions and paths stand alone in some lines.
    assert len(spoken) > 0.8 * len(lines), run.out
    assert len(run.out.splitlines()) == len(english.splitlines())
    assert doctor("check", "--facts", FACTS, LANG="ru_RU.UTF-8", LANGUAGE="").out.count(
        "torchvision-missing"
    )


# What is no sentence of the doctor's: code, commands, names, and what Python says.
NOT_SAID = re.compile(
    r"```.*?```|`[^`]*`|\(pip [^)]*\)|(?:hf|uv pip|vlm-doctor) [^\n]*|\S*[/\\=@_.\[\]-]\S*"
    r"|\w+Error: [^\n]*",
    re.DOTALL,
)
CELLS = (
    *("0.3.9-today", "0.4.4-torchvision-only", "0.6.10-torch-cpu-torchvision-cuda"),
    *("cut-libmlx", "0.6.10-mlx-lm-removed", "backup-files"),
)


def test_no_command_speaks_english_to_russians(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    for name in CELLS:
        facts = gzip.decompress((MATRIX / f"{name}.json.gz").read_bytes())
        (room / f"{name}.json").write_bytes(facts)
    files = sorted(map(str, room.iterdir()))
    commands = [
        *(["check", "--facts", file] for file in files),
        *(["fix", "--dry-run", "--facts", file] for file in files),
        ["check", "--facts", files[0], "--format", "markdown"],
        ["compare", files[0], files[1]],
        ["report", "--fleet", str(room)],
        ["estimate", "mlx-community/Qwen3-VL-4B-Instruct-4bit", "--facts", files[0]],
        ["bundle", str(tmp_path / "b.zip"), "--facts", files[0]],
        ["undo", "--list", "--python", sys.executable],
        ["recipes"],
        *(["explain", code] for code in registry.codes()),
        ["check", "--facts", str(tmp_path / "nowhere")],
        ["check", "--venv", str(tmp_path / "nowhere")],
        *([command, "--help"] for command in SUMMARIES),
    ]
    for words in commands:
        with contextlib.suppress(SystemExit):
            cli.main([*words, "--lang", "ru"])
        out, err = capfd.readouterr()
        said = NOT_SAID.sub("", (out + err).replace(str(tmp_path), ""))
        assert CYRILLIC.search(said), words
        english = re.search(r"\b[a-z]{2,} [a-z]{3,} [a-z]{2,}\b", said)
        assert english is None, (words, english)


def test_json_is_the_same_in_every_language(doctor: Doctor) -> None:
    documents = []
    for spoken in language.LANGUAGES:
        report = doctor("check", "--facts", FACTS, "--format", "json", "--lang", spoken).report
        report["seconds"] = 0
        documents.append(json.dumps(report))
    assert len(set(documents)) == 1
    assert not CYRILLIC.search(documents[0])


def test_help_and_refusals_in_russian(doctor: Doctor) -> None:
    for words in (("--help",), ("check", "--help")):
        run = doctor(*words, LANG="ru_RU.UTF-8", LANGUAGE="ru")
        assert run.code == 0
        assert CYRILLIC.search(run.out)
        assert "show this help" not in run.out
        assert not run.out.startswith("usage")
    run = doctor("check", "--lang", "ru", "--bad")
    assert run.code == 2
    assert CYRILLIC.search(run.err)
    refused = doctor("check", "--lang", "xx")
    assert refused.code == 2
    assert "xx" in refused.err
    assert CYRILLIC.search(doctor("explain", "swap-high", "--lang", "ru").out)


@pytest.mark.usefixtures("russian")
@pytest.mark.parametrize("name", formats.DOCUMENTS)
def test_documents_in_russian(name: str) -> None:
    for report in (checked(recorded("report")), smoked("it")):
        document = formats.render(report, name)
        assert CYRILLIC.search(document)
        if name == "html":
            assert '<html lang="ru">' in document


@pytest.mark.parametrize("name", catalogues.TRANSLATED)
def test_the_compiled_catalogue_is_that_of_the_translators(name: str) -> None:
    for file, content in catalogues.compiled(name).items():
        assert (catalogues.folder(name) / file).read_bytes() == content, "run: make languages"


def test_texts_are_found_as_they_are_written() -> None:
    source = '''
"""No text: documentation."""
NAMES = ("mlx-vlm", "a", "utf-8")
def check():
    """Nor this."""
    title = f"{name} has {'no such' if none else 'one'} backend"
    Evidence(fact="none", value=x or "gone", source="lib")
    cause = f"It is {a}. " + ("This is so." if a else f"That is {b}.")
    counted(n, "{} thing here", "{} things here")
    re.compile(r"two words")
'''
    found = {(item.message, item.plural) for item in Source("checks/new.py", source).texts()}
    assert found == {
        ("{0} has {1} backend", None),
        ("no such", None),
        ("none", None),
        ("gone", None),
        ("lib", None),
        ("It is {0}. This is so.", None),
        ("It is {0}. That is {1}.", None),
        ("{0} thing here", "{0} things here"),
    }


def test_a_release_is_told_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text is missing at first; then one has a place that is not there."""
    monkeypatch.setattr(catalogues, "FOLDER", tmp_path)
    assert len(catalogues.problems("ru")) == len(catalogues.source())
    catalogues.update("ru")
    path = catalogues.folder("ru") / "vlm-doctor.po"
    empty = 'msgid "{0} has lost its Python: {1} is gone."\nmsgstr ""'
    assert empty in path.read_text()
    path.write_text(path.read_text().replace(empty, empty[:-2] + '"{2} без Python"'))
    assert [line for line in catalogues.problems("ru") if "other places" in line]
    path.write_text(path.read_text() + '\nmsgid "It is no more."\nmsgstr "Больше нет."\n')
    assert [line for line in catalogues.problems("ru") if "no longer" in line]
