"""The documentation site, from what the doctor itself says (``make docs``).

Nothing is written for the site alone but the start page: commands come from the parser, codes and
incidents from their ``explain`` pages, checks from their docstrings, recipes from their files. So
none can be forgotten. Each page is there once in every language that the doctor speaks.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from doctor import language, pages, registry
from doctor.cli import Parser, parser
from doctor.known import incidents
from doctor.packages import recipes

ROOT = Path(__file__).parents[1]
BUILT = ROOT / ".cache" / "docs"
SOURCES = re.compile(r"(?<![\w/.-])([\w.-]+/[\w.-]+)#(\d+)")
NAMES = {"en": "English", "ru": "Русский"}
# The sections in their order: folder, and what the navigation calls them.
SECTIONS = {
    "commands": "Commands",
    "codes": "Findings",
    "incidents": "Known incidents",
    "checks": "Checks",
    "recipes": "Recipes",
}


def site() -> dict[str, str]:
    """All pages in English: their Markdown by their path."""
    made = {
        "index.md": (ROOT / "docs" / "start.md").read_text(encoding="utf-8"),
        "models.md": (ROOT / "docs" / "models.md").read_text(encoding="utf-8"),
    }
    made |= {f"commands/{name}.md": _command(name, one) for name, one in _commands()}
    made |= {f"codes/{code}.md": pages.of_code(code) for code in registry.codes()}
    made |= {f"checks/{name}.md": pages.of_check(name) for name in registry.names()}
    made |= {
        f"incidents/{incident.id}.md": pages.of_incident(incident)
        for incident in incidents.load().values()
    }
    made |= {f"recipes/{name}.md": _recipe(name) for name in recipes.names()}
    for folder, title in SECTIONS.items():
        listed = sorted(path for path in made if path.startswith(f"{folder}/"))
        made[f"{folder}/index.md"] = f"# {title}\n\n" + "".join(
            f"- [{Path(path).stem}]({Path(path).name}): {_title(made[path])}\n" for path in listed
        )
    return made


def _title(markdown: str) -> str:
    return markdown.partition("\n")[0].removeprefix("# ")


def _commands() -> Iterator[tuple[str, Parser]]:
    subparsers = next(
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    yield from subparsers.choices.items()


def _command(name: str, command: Parser) -> str:
    lines = [
        f"# vlm-doctor {name}",
        "",
        command.description or "",
        "",
        "```",
        *command.format_usage().splitlines(),
        "```",
        "",
    ]
    for action in command._actions:
        words = ", ".join(f"`{word}`" for word in action.option_strings) or f"`{action.metavar}`"
        if action.option_strings and action.metavar:
            words += f" `{action.metavar}`"
        lines += [f"### {words}", "", action.help or "", ""]
        if action.choices:
            lines += ["- " + ", ".join(f"`{choice}`" for choice in action.choices), ""]
    return "\n".join(lines)


def _recipe(name: str) -> str:
    recipe = recipes.load(name)
    assert recipe is not None
    lines = [f"# {recipe.summary}", "", f"`{name}`", "", recipe.for_whom, ""]
    lines += [f"- {promise}" for promise in recipe.promises]
    lines += ["", "## Requirements", "", "```", *recipe.requirements, "```"]
    lines += ["", "## Locked for", "", *(f"- `{lock}`" for lock in recipe.locks)]
    lines += ["", "## Ran a generation", ""]
    lines += [f"- `{lock}`: {day}" for lock, day in recipe.proven.items()]
    return "\n".join(lines)


def linked(markdown: str, path: str, known: dict[str, str]) -> str:
    """A page with its codes and incidents, and the issues that it names, as links."""
    up = "../" * path.count("/")

    def link(found: re.Match[str]) -> str:
        target = known.get(found.group(1))
        return found.group() if target in (None, path) else f"[{found.group()}]({up}{target})"

    lines = []
    for line in markdown.splitlines():
        if not line.startswith(("#", "|")):
            line = re.sub(r"(?<!\[)`([a-z0-9-]+)`(?!\])", link, line)  # noqa: PLW2901
            line = SOURCES.sub(r"[\g<0>](https://github.com/\1/issues/\2)", line)  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def write(folder: Path) -> None:
    """Write the site's sources and its configuration into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    english = site()
    known = {Path(path).stem: path for path in english if path.startswith(("codes/", "incidents/"))}
    for name in language.LANGUAGES:
        language.use(name)
        for path, markdown in english.items():
            said = markdown if path == "models.md" else language.page(markdown)
            file = folder / "pages" / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(linked(said, path, known), encoding="utf-8")
    language.use("en")
    navigation: list[object] = [{"vlm-doctor": "index.md"}]
    for section, title in SECTIONS.items():
        listed = sorted(path for path in english if path.startswith(f"{section}/"))
        listed.remove(f"{section}/index.md")
        names = [{Path(path).stem: path} for path in listed]
        navigation.append({title: [f"{section}/index.md", *names]})
    navigation.append({"Models": "models.md"})
    configuration = yaml.safe_dump(_configuration(navigation), allow_unicode=True, sort_keys=False)
    (folder / "mkdocs.yml").write_text(configuration, encoding="utf-8")


def _configuration(navigation: list[object]) -> dict[str, object]:
    titles = {name: _translations(name) for name in language.LANGUAGES if name != "en"}
    return {
        "site_name": "vlm-doctor",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,  # the site can be read from a folder
        "theme": {
            "name": "material",
            "font": False,  # nothing is fetched from elsewhere
            "features": ["navigation.indexes", "navigation.prune", "content.code.copy"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "markdown_extensions": ["tables", "sane_lists", "toc"],
        "plugins": [
            "search",
            {
                "i18n": {
                    "docs_structure": "folder",
                    "languages": [
                        {
                            "locale": name,
                            "name": NAMES[name],
                            "default": name == "en",
                            **({"nav_translations": titles[name]} if name != "en" else {}),
                        }
                        for name in language.LANGUAGES
                    ],
                }
            },
        ],
        "nav": navigation,
    }


def _translations(name: str) -> dict[str, str]:
    language.use(name)
    said = {title: language.text(title) for title in (*SECTIONS.values(), "Models")}
    language.use("en")
    return said


def build(folder: Path) -> int:
    """Build the site from a folder's sources; a link that leads nowhere is an error."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", "mkdocs.yml"],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # an advertisement
        check=False,
    ).returncode


def main() -> int:
    """Write and build the site, and say where it is."""
    write(BUILT)
    status = build(BUILT)
    if status == 0:
        print(BUILT / "site" / "index.html")
    return status


if __name__ == "__main__":
    sys.exit(main())
