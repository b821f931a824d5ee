"""The site is built offline, in both languages, and no link of it leads nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import ROOT

pytest.importorskip("mkdocs", reason="the site needs mkdocs: pip install 'instruct-assay[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    for command in (
        ["docs/_site.py"],
        ["-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(out)],
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        place = page.relative_to(ROOT / "docs")
        if place.parts[0] != "decisions" and not place.name.endswith(".zh.md"):
            assert f": {place.as_posix()}\n" in text, f"{place} is not in the navigation of mkdocs.yml"


def test_every_title_of_the_navigation_is_translated() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    translations, nav = text.partition("nav_translations:\n")[2], text.partition("\nnav:\n")[2]
    translated = set(re.findall(r"^ {12}(\S.*?): \S", translations, flags=re.M))
    assert set(re.findall(r"^ +- (.+?):(?: \S|$)", nav, flags=re.M)) <= translated


@pytest.mark.long
def test_every_page_is_there_in_both_languages(site: Path) -> None:
    pages = {p.relative_to(ROOT / "docs").with_suffix("") for p in (ROOT / "docs").rglob("*.md")}
    originals = {p for p in pages if not p.name.endswith(".zh") and p.parts[0] != "decisions"}
    for page in originals:
        for folder in (site, site / "zh"):
            assert (folder / page).with_suffix(".html").is_file(), page
    assert "我需要多少数据" in (site / "zh" / "tutorials" / "how-much.html").read_text(encoding="utf-8")
    assert "assay.study.run" in (site / "reference" / "functions.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"<(?:script|img|link rel=\"stylesheet\")[^>]*(?:src|href)=\"(https?:)?//")
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text(encoding="utf-8")), page
