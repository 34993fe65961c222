"""The pages of reports in a real Chromium: for everybody, on every screen, with no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

from doctor import cli, commands, formats, language
from doctor.memory import drawn
from doctor.reports import Report
from tests.conftest import RECORDED, recorded
from tests.facts_of import replace
from tests.test_formats import checked, evil_facts, fixed, smoked


def compared() -> Report:
    """Two facts side by side: a report that has no page of its own."""
    paths = [str(RECORDED / f"{name}.json") for name in ("report", "matched")]
    return commands.run(cli.parser(["compare"]).parse_args(["compare", *paths]))[0]


PAGES: dict[str, Report] = {
    "check": replace(checked(recorded("report")), memory=drawn.memory(recorded("report"))),
    "hostile": checked(evil_facts('"><img src=x onerror=alert(1)>'), "<b>" + "w" * 300),
    "smoke": smoked("x y " * 40),
    "fix": fixed("x y " * 40),
    "compare": compared(),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium: the system's, else the one that playwright has fetched."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        try:
            # As root, which CI is, Chromium has no sandbox.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            if os.environ.get("VLM_DOCTOR_BROWSER") == "required":
                raise
            pytest.skip(f"no Chromium here (make browser fetches one): {error.message[:80]}")
        yield browser
        browser.close()


def written(name: str, folder: Path, spoken: str = "en") -> Path:
    language.use(spoken)
    try:
        document = formats.render(PAGES[name], "html")
    finally:
        language.use("en")
    path = folder / f"{name}.html"
    path.write_text(document, encoding="utf-8")
    return path


def opened(browser: Browser, path: Path, width: int, scheme: str, *, inspected: bool) -> Page:
    """The page; what is injected to inspect it needs its content policy out of the way."""
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=inspected,
        java_script_enabled=inspected,
    )
    page = context.new_page()
    page.goto(path.as_uri())
    return page


# Page, language, width in pixels, colours. A small phone, and a desk.
SCREENS = (
    ("check", "en", 390, "light"),
    ("check", "en", 390, "dark"),
    ("check", "en", 1440, "light"),
    ("check", "en", 1440, "dark"),
    ("check", "ru", 390, "light"),
    ("fix", "en", 390, "dark"),
    ("fix", "en", 1440, "light"),
    ("smoke", "en", 390, "light"),
    ("smoke", "en", 1440, "dark"),
    ("hostile", "en", 390, "dark"),
    ("compare", "en", 390, "light"),
    ("compare", "ru", 1440, "dark"),
)


@pytest.mark.parametrize(("name", "spoken", "width", "scheme"), SCREENS)
def test_everybody_can_read_it(
    browser: Browser, tmp_path: Path, name: str, spoken: str, width: int, scheme: str
) -> None:
    page = opened(browser, written(name, tmp_path, spoken), width, scheme, inspected=True)
    page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    found = Axe().run(page).response
    assert not found["violations"], [
        (item["id"], [node["html"] for node in item["nodes"]]) for item in found["violations"]
    ]
    assert found["passes"]  # it has looked
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_runs_and_nothing_is_fetched(browser: Browser, tmp_path: Path, name: str) -> None:
    path = written(name, tmp_path)
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(path.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert not said  # a style or a script that the page's policy refuses would be told here
    width = page.locator("main").evaluate("node => getComputedStyle(node).maxWidth")
    assert width != "none"  # its own style is in force
    context.close()


def test_by_keyboard_alone_and_without_scripts(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, written("check", tmp_path), 390, "light", inspected=False)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the report"
    assert page.locator(".skip").bounding_box() is not None
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    changes = page.locator("details", has_text="Changes").first
    table = changes.locator("table")
    assert not table.is_visible()
    changes.locator("summary").focus()
    page.keyboard.press("Enter")
    assert table.is_visible()
    page.context.close()


def test_dark_is_dark(browser: Browser, tmp_path: Path) -> None:
    path = written("check", tmp_path)
    shades = []
    for scheme in ("light", "dark"):
        page = opened(browser, path, 390, scheme, inspected=True)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(sum(int(part) for part in colour[4:-1].split(",")))
        page.context.close()
    assert shades[0] > 700 > 100 > shades[1]
