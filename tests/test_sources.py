"""Where packages come from: the user's settings for uv, and pip's where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doctor.packages import sources


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://me:s3cret@packages.invalid/simple/", "https://packages.invalid/simple/"),
        ("https://token@packages.invalid:8080/a/b", "https://packages.invalid:8080/a/b"),
        ("ours=https://me:s3c@ret@packages.invalid/", "https://packages.invalid/"),
        ("https://packages.invalid/simple/", "https://packages.invalid/simple/"),
        ("/a/folder@home", "/a/folder@home"),
    ],
)
def test_no_credentials_are_shown(address: str, said: str) -> None:
    assert sources.shown(address) == said


def places(folder: Path, **environ: str) -> list[tuple[str, str | None]]:
    environ = {"HOME": str(folder), "PIP_CONFIG_FILE": os.devnull, **environ}
    found = sources.sources(environ, folder, None)
    return [(source.kind, source.location) for source in found]


def test_without_settings_it_is_the_index_that_uv_knows(tmp_path: Path) -> None:
    assert places(tmp_path) == [("index", None)]


def test_the_order_is_the_one_in_which_they_are_asked(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text(
        'find-links = ["/wheels"]\n[[index]]\nname = "ours"\nurl = "https://me:pw@ours.invalid"\n'
        '[[index]]\nurl = "https://torch.invalid"\nexplicit = true\n'
    )
    found = places(tmp_path, UV_DEFAULT_INDEX="https://default.invalid")
    assert found == [
        ("folder", "/wheels"),
        ("index", "https://ours.invalid"),
        ("index", "https://default.invalid"),
    ]


def test_a_users_and_a_projects_files_count_together(tmp_path: Path) -> None:
    user = tmp_path / ".config" / "uv"
    user.mkdir(parents=True)
    (user / "uv.toml").write_text('[pip]\nindex-url = "https://user.invalid"\n')
    project = tmp_path / "project" / "inner"
    project.mkdir(parents=True)
    (project.parent / "pyproject.toml").write_text(
        '[tool.uv]\nextra-index-url = ["https://project.invalid"]\n'
    )
    environ = {"HOME": str(tmp_path)}
    found = sources.sources(environ, project, None)
    assert [source.location for source in found] == [
        "https://project.invalid",
        "https://user.invalid",
    ]


@pytest.mark.parametrize(
    "text", ["[[index", "index = 3", "index = [3]", "pip = 1", "index-url = 1"]
)
def test_files_that_say_nothing_useful_are_uvs_to_complain_of(tmp_path: Path, text: str) -> None:
    (tmp_path / "uv.toml").write_text(text)
    assert places(tmp_path) == [("index", None)]


def test_pips_settings_count_only_where_uv_has_none(tmp_path: Path) -> None:
    pip = {"PIP_INDEX_URL": "https://pip.invalid", "PIP_EXTRA_INDEX_URL": "https://more.invalid"}
    environ = {"HOME": str(tmp_path), **pip}
    passed = sources.variables(environ, tmp_path, None)
    assert passed["UV_DEFAULT_INDEX"] == "https://pip.invalid"
    assert passed["UV_INDEX"] == "https://more.invalid"
    assert places(tmp_path, **pip) == [
        ("index", "https://more.invalid"),
        ("index", "https://pip.invalid"),
    ]
    environ["UV_INDEX_URL"] = "https://uv.invalid"
    assert "UV_INDEX" not in sources.variables(environ, tmp_path, None)
    assert places(tmp_path, **environ) == [("index", "https://uv.invalid")]


def test_pips_main_index_counts_beside_more_of_uvs(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text('[[index]]\nurl = "https://torch.invalid"\n')
    pip = {"PIP_INDEX_URL": "https://pip.invalid", "PIP_EXTRA_INDEX_URL": "https://more.invalid"}
    passed = sources.variables({"HOME": str(tmp_path), **pip}, tmp_path, None)
    assert (passed["UV_DEFAULT_INDEX"], "UV_INDEX" in passed) == ("https://pip.invalid", False)
    assert places(tmp_path, **pip) == [
        ("index", "https://torch.invalid"),
        ("index", "https://pip.invalid"),
    ]


def test_pips_files_count_the_environments_before_the_users(tmp_path: Path) -> None:
    user = tmp_path / ".config" / "pip"
    user.mkdir(parents=True)
    (user / "pip.conf").write_text(
        "[global]\nindex-url = https://user.invalid\ncert = /company.pem\n"
        "proxy = http://proxy.invalid:3128\ntrusted-host = a.invalid\n    b.invalid\n"
    )
    prefix = tmp_path / "environment"
    prefix.mkdir()
    (prefix / "pip.conf").write_text("[install]\nindex_url = https://own.invalid\n")
    environ = {"HOME": str(tmp_path)}
    passed = sources.variables(environ, tmp_path, str(prefix))
    assert passed["UV_DEFAULT_INDEX"] == "https://own.invalid"
    assert passed["SSL_CERT_FILE"] == "/company.pem"
    assert passed["ALL_PROXY"] == "http://proxy.invalid:3128"
    assert passed["UV_INSECURE_HOST"] == "a.invalid b.invalid"
    own = sources.variables({**environ, "https_proxy": "x", "SSL_CERT_FILE": "y"}, tmp_path, None)
    assert "ALL_PROXY" not in own
    assert own["SSL_CERT_FILE"] == "y"


def test_a_folder_and_no_index_is_how_pip_is_used_without_a_network(tmp_path: Path) -> None:
    pip = {"PIP_FIND_LINKS": f"{tmp_path} /not/there", "PIP_NO_INDEX": "1"}
    passed = sources.variables({"HOME": str(tmp_path), **pip}, tmp_path, None)
    assert (passed["UV_FIND_LINKS"], passed["UV_NO_INDEX"]) == (str(tmp_path), "1")
    assert places(tmp_path, **pip) == [("folder", str(tmp_path))]


def test_pips_files_that_are_none_do_no_harm(tmp_path: Path) -> None:
    broken = tmp_path / "pip.conf"
    broken.write_text("index-url = https://nowhere.invalid\n%")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(broken)}
    assert "UV_DEFAULT_INDEX" not in sources.variables(environ, tmp_path, None)
