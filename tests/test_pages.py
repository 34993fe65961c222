"""Every code and every incident has its page, with all parts, and the site has them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from doctor import commands, pages, registry
from doctor.known import incidents
from doctor.packages import recipes
from tests.conftest import Doctor
from tools import documentation


def parts(page: str) -> dict[str, str]:
    """The parts of a page by their headings; what stands before the first under the title."""
    pieces = re.split(r"^#+ (.+)$", page.strip(), flags=re.MULTILINE)
    assert pieces[0] == ""
    return dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))


@pytest.mark.parametrize("code", registry.codes())
def test_every_code_has_its_page(code: str) -> None:
    found = parts(pages.of_code(code))
    title, *headings = found
    assert 10 < len(title) < 90
    assert tuple(headings[: len(pages.PARTS)]) == pages.PARTS
    assert all(len(text) > 10 for text in found.values()), found


@pytest.mark.parametrize("name", incidents.load())
def test_every_incident_has_its_page(name: str) -> None:
    found = parts(pages.of_incident(incidents.load()[name]))
    assert tuple(list(found)[1:]) == pages.PARTS
    assert all(found.values())


def test_pages_are_explained(doctor: Doctor) -> None:
    run = doctor("explain", "torchvision-missing")
    assert run.code == 0
    assert "## By hand" in run.out
    assert "`video-processor-torchvision`" in run.out
    assert doctor("explain", "torchvision").out.startswith("# Does this model's processor")
    assert "## Sources" in doctor("explain", "tokenizers-range").out


def test_nothing_is_missing_on_the_site() -> None:
    site = documentation.site()
    for folder, names in {
        "codes": registry.codes(),
        "incidents": incidents.load(),
        "checks": registry.names(),
        "recipes": recipes.names(),
        "commands": commands.SUMMARIES,
    }.items():
        assert {f"{folder}/{name}.md" for name in names} <= set(site)
        assert all(f"({name}.md)" in site[f"{folder}/index.md"] for name in names)
    assert "`--facts` `FILE`" in site["commands/check.md"]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    documentation.write(tmp_path)
    assert documentation.build(tmp_path) == 0
    page = (tmp_path / "site" / "codes" / "torchvision-missing.html").read_text()
    assert 'href="torchvision-without-torch.html"' in page
    assert (tmp_path / "site" / "ru" / "codes" / "torchvision-missing.html").is_file()
    # What the pages need is all here.
    assert not re.search(r'(?:src|href)="https?://(?!github\.com|squidfunk)', page)
