"""Reports as documents: what they say, and that nothing from outside is markup in them."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import html5lib
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from doctor import formats, plan, registry
from doctor.actions import Change, Remove
from doctor.facts import Facts
from doctor.findings import NotChecked
from doctor.formats import github, markdown, picture
from doctor.formats.contents import packages
from doctor.known import incidents
from doctor.proving import pictures
from doctor.reports import SCHEMA, Report, Tool
from doctor.reports.check import CheckReport, MemoryReport, PlanReport, check_report, plan_report
from doctor.reports.explain import ErrorSeen, ExplainReport, incident_report
from doctor.reports.fix import FixReport
from doctor.reports.smoke import Answer, SmokeModel, SmokeReport, Stage
from tests.conftest import Doctor, recorded
from tests.facts_of import distribution, replace, with_distributions

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "`|` | x |\n\n# @octocat closes #1 and owner/repo#2",
    "``` \n```\n</details><h1>owned</h1>",
    "[a](https://evil.example) ![b](https://evil.example/b) <https://evil.example>",
    "\x1b[31m\u202e\n::error::owned\r\n%0A::add-mask::x",
    "\\`@octocat\\|",
    "{{ 7 * 7 }}{% raw %}",
    "GH-12 #13 @octocat",
    "1. x",
)


def evil_facts(evil: str) -> Facts:
    facts = with_distributions(
        recorded("report"),
        distribution("mlx-vlm", evil, f"{evil}>=1"),
        distribution("transformers", "1"),
        distribution("mlx", evil),
    )
    return replace(facts, model=replace(facts.model, id=evil), found_by=evil)


def checked(facts: Facts, evil: str = "") -> CheckReport:
    examination = registry.examine(facts, registry.names())
    made = plan_report(plan.make(facts, examination.findings), 1) if not evil else evil_plan(evil)
    report = check_report(facts, examination, made, 0.1)
    if evil:
        gap = NotChecked(reason=evil, check=evil)
        findings = [
            replace(report.findings[0], title=evil, cause=evil, incident=evil),
            replace(report.findings[0], ignored=evil),
        ]
        report = replace(
            report,
            not_checked=(gap,),
            findings=(*report.findings, *findings),
            memory=MemoryReport(phases={evil: 1}, pictures=((1, 1),), budget_bytes=None),
        )
    return report


def evil_plan(evil: str) -> PlanReport:
    change = Change(name=evil, before=evil, after=evil)
    return PlanReport(actions=(Remove(summary=evil, changes=(change,)),), breaks=(evil,))


def smoked(evil: str, image: str | None = None) -> SmokeReport:
    stages = (
        Stage(name="import", passed=True, seconds=0.5, error=None),
        Stage(name="load", passed=False, seconds=None, error=evil, traceback=f"{evil}\n  {evil}"),
    )
    return SmokeReport(
        schema=SCHEMA,
        command="smoke",
        tool=Tool(),
        model=SmokeModel(id=evil, stand_in=True),
        passed=False,
        stages=stages,
        load_seconds=None,
        generation_tokens=3,
        tokens_per_second=2.0,
        time_to_first_token_seconds=0.1,
        peak_memory_bytes=5_000_000,
        ram_delta_bytes=-1,
        swap_delta_bytes=0,
        pressure_before="normal",
        pressure_after="warn",
        prompt=evil,
        answer=evil,
        expected=evil,
        seconds=1.0,
        answers=(Answer(prompt=evil, expected=evil + "!", answer=evil),),
        understood=False,
        image=image,
    )


def fixed(evil: str) -> FixReport:
    before = checked(evil_facts(evil), evil)
    return FixReport(
        schema=SCHEMA,
        command="fix",
        tool=Tool(),
        outcome="rolled-back",
        reason=evil,
        before=before,
        plan=before.plan,
        applied=(),
        smoke=smoked(evil),
        real_smoke=None,
        after=None,
        seconds=2.0,
    )


def hostile(evil: str) -> list[Report]:
    return [checked(evil_facts(evil), evil), smoked(evil), fixed(evil)]


# Markdown


def parsed(document: str) -> list[str]:
    """All text that a reader of GitHub would see outside code; fails on markup of strangers."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(document)
    seen = []
    for token in tokens:
        if token.type == "html_block":
            assert re.fullmatch(
                r"(</?details>|<summary>[^<>]*</summary>|<sub>[^<>]*</sub>|\s)*", token.content
            ), token.content
        for child in token.children or ():
            assert child.type not in ("link_open", "image"), child
            if child.type == "html_inline":
                assert child.content in ("<!-- -->", "<sub>", "</sub>"), child.content
            if child.type == "text":
                seen.append(child.content)
            elif child.type == "html_inline":
                seen.append("\0")
    return seen


@pytest.mark.parametrize("evil", EVIL)
def test_markdown_of_strangers_is_text(evil: str) -> None:
    for report in hostile(evil):
        document = formats.render(report, "markdown")
        headings = [line for line in document.splitlines() if line.startswith("#")]
        assert not any("owned" in line and line.startswith("# ") for line in headings)
        words = "".join(parsed(document))
        # GitHub looks for these in what is shown, outside code.
        assert not re.search(r"@octocat|#\d|GH-\d", words), words


@pytest.mark.parametrize("evil", EVIL)
def test_a_cell_stays_one_cell(evil: str) -> None:
    lines = markdown.table(("a", "b"), [(markdown.code(evil), markdown.sentence(evil))])
    html = MarkdownIt("commonmark").enable("table").render("\n".join(lines))
    assert html.count("<td") == 2
    assert html.count("<tr") == 2


def test_code_is_shown_as_it_is() -> None:
    for value in ("a", "`", "a``b", " x ", "|", "\\|", "```"):
        html = MarkdownIt("commonmark").render(markdown.code(value))
        assert re.fullmatch(r"<p><code>(.*)</code></p>\n", html), html
        assert re.sub(r"</?(p|code)>|\n$", "", html) == value


def test_markdown_has_what_an_issue_needs() -> None:
    document = formats.render(checked(recorded("report")), "markdown")
    for part in (
        "## vlm-doctor: broken",
        "`torchvision-missing`",
        "lib/python3.11/site-packages",
        "`mlx-vlm` | `0.3.9`",
        "vlm-doctor fix will:",
        "1 error, 1 note",
    ):
        assert part in document


@pytest.mark.parametrize("evil", EVIL)
def test_every_other_report_is_markdown_too(evil: str) -> None:
    incident = incident_report(next(iter(incidents.load().values())), evil, 3)
    report = ExplainReport(
        schema=SCHEMA,
        command="explain",
        tool=Tool(),
        code=None,
        check=None,
        page="",
        incidents=(incident,),
        errors=(ErrorSeen(type=evil, message=evil, line=1),),
    )
    words = "".join(parsed(formats.render(report, "markdown")))
    assert not re.search(r"@octocat|#\d|GH-\d", words)
    assert "line 3" in words


def test_reports_without_a_layout_of_their_own(doctor: Doctor) -> None:
    run = doctor("recipes", "--format", "markdown")
    assert run.code == 0
    assert run.out.startswith("## vlm-doctor recipes")
    assert "torch-free" in "".join(parsed(run.out))
    assert doctor("explain", "swap-high", "--format", "markdown").out.count("\n## By hand") == 1


# GitHub's runners


def commands(lines: list[str]) -> list[tuple[str, str, str]]:
    """The commands, as the runner takes them apart (actions/runner, ActionCommand.cs)."""
    found = []
    for line in lines:
        match = re.fullmatch(r"::(\w+) title=([^:,]*)::(.*)", line)
        if match:
            level, title, message = match.groups()
            for mark, letter in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")):
                title = title.replace(mark, letter)
                message = message.replace(mark, letter) if mark < "%3" else message
            found.append((level, title.replace("%25", "%"), message.replace("%25", "%")))
        else:
            assert not line.startswith(("::", "##[")), line
    return found


@pytest.mark.parametrize("evil", EVIL)
def test_annotations_of_strangers_are_no_commands(evil: str) -> None:
    for report in hostile(evil):
        lines = formats.render(report, "github").split("\n")
        assert {level for level, _, _ in commands(lines)} <= {"error", "warning", "notice"}
        assert not any("\r" in line or "\x1b" in line for line in lines)
        assert len(commands(lines)) == len(lines) - 1  # and the last line, for the log


def test_an_annotation_says_what_the_finding_says() -> None:
    report = checked(recorded("report"))
    found = commands(formats.render(report, "github").split("\n"))
    level, title, message = found[0]
    assert level == "error"
    assert title == f"torchvision-missing: {report.findings[0].title}"
    assert report.findings[0].cause in message
    assert found[1][0] == "notice"


def test_the_job_summary_is_added_to(doctor: Doctor) -> None:
    summary = doctor.folder / "summary.md"
    summary.write_text("before\n")
    facts = Path(__file__).parent / "recorded" / "report.json"
    words = ("check", "--facts", str(facts), "--format", "github")
    run = doctor(*words, GITHUB_STEP_SUMMARY=str(summary))
    assert run.code == 1
    assert run.out.startswith("::error title=torchvision-missing%3A ")
    assert summary.read_text().startswith("before\n## vlm-doctor: broken")
    assert doctor(*words).out == run.out
    there_is_none = doctor(*words, GITHUB_STEP_SUMMARY=str(doctor.folder / "no" / "summary"))
    assert there_is_none.code == 3
    assert "The job summary could not be written" in there_is_none.err


def test_a_summary_too_long_for_the_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    github.summarise("x" * github.MOST_SUMMARY_BYTES)
    assert (tmp_path / "summary").read_text().startswith("The report is too long")


# Pages


def page_of(report: Report) -> str:
    document = formats.render(report, "html")
    html5lib.HTMLParser(strict=True).parse(document)  # raises for what is not HTML
    return document


@pytest.mark.parametrize("evil", EVIL)
def test_a_page_of_strangers_is_a_page(evil: str) -> None:
    for report in hostile(evil):
        tree = html5lib.parse(page_of(report), namespaceHTMLElements=False)
        names = {str(element.tag) for element in tree.iter() if isinstance(element.tag, str)}
        assert not names & {"script", "iframe", "object", "link", "base", "form"}
        attributes = [pair for element in tree.iter() for pair in element.attrib.items()]
        assert not [name for name, _ in attributes if name.startswith("on")]
        addresses = {value for name, value in attributes if name in ("href", "src")}
        assert all(address.startswith(("#", "data:")) for address in addresses)
        words = "".join(tree.itertext())
        assert "49{" not in words
        assert "\x1b" not in words


def test_a_page_lets_nothing_run_and_fetches_nothing() -> None:
    page = page_of(checked(recorded("report")))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in policy.group(1) or (
        f"style-src 'sha256-{digest}'" in policy.group(1)
    )
    assert policy.group(1).startswith("default-src 'none'")
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert not re.search(r"(?:src|href)=.?https?:|@import|url\(", page)


def test_the_package_table_says_what_is_wrong_with_each() -> None:
    listed = {package.name: package for package in packages(checked(recorded("report")))}
    assert [finding.code for finding in listed["torchvision"].wrong] == ["torchvision-missing"]
    assert listed["torchvision"].version is None
    assert listed["mlx-vlm"].wrong == ()
    assert listed["mlx-vlm"].changes


def test_the_doctors_pictures_are_those_that_the_model_saw() -> None:
    for what, _, _ in pictures.examination():
        source = picture.drawing(what)
        svg = base64.b64decode(source.partition(",")[2]).decode()
        painted = Image.new("RGB", what.size)
        for colour, boxes in re.findall(r'fill="rgb\(([^)]+)\)" d="([^"]+)"', svg):
            red, green, blue = (int(part) for part in colour.split(","))
            for box in re.findall(r"M(-?\d+) (-?\d+)H(-?\d+)V(-?\d+)H-?\d+z", boxes):
                left, upper, right, lower = (int(part) for part in box)
                painted.paste((red, green, blue), (left, upper, right, lower))
        assert painted.tobytes() == pictures.draw(what).tobytes()


def test_the_users_picture_is_in_the_page(tmp_path: Path) -> None:
    for kind in ("png", "jpeg", "webp", "gif"):
        path = tmp_path / f"mine.{kind}"
        Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
        page = page_of(smoked("x", str(path)))
        found = re.search(rf'src="data:image/{kind};base64,([^"]+)"', page)
        assert found is not None
        assert base64.b64decode(found.group(1)) == path.read_bytes()
    (tmp_path / "mine.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "<img" not in page_of(smoked("x", str(tmp_path / "mine.svg")))
    assert "<img" not in page_of(smoked("x", str(tmp_path / "gone.png")))


def test_formats_that_a_command_does_not_have_are_refused(doctor: Doctor) -> None:
    run = doctor("undo", "--format", "html")
    assert run.code == 2
    assert "invalid choice" in run.err
