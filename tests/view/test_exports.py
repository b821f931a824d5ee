"""Exports as people read them: page, section of the report, Markdown, model and data cards."""

from __future__ import annotations

import dataclasses
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hostile import NASTY
from rich.console import Console

from assay.core import OVERALL, ExportCard, ExportDrop, ExportedFile, ExportPage, Page, StudyResult
from assay.view import (
    data_card,
    export_page,
    export_summary,
    model_card,
    page_html,
    page_markdown,
    print_page,
    render_html,
    report,
    stated_license,
)
from assay.view._export import cost_text, headline, sentence
from assay.view._words import words


def render_export(page: ExportPage) -> str:
    return page_html(export_page(page))


def render_markdown(result: StudyResult) -> str:
    return page_markdown(report(result))


def drop(kind: str, metric: Any, cost: float, reach: float, word: Any) -> ExportDrop:
    low, high = cost - reach, cost + reach
    return ExportDrop(kind, metric, 0.8, 0.8 - cost, cost, reach / 1.7, low, high, 0.04, 40, 1, 0.01, word)


def page_of(language: str = "en", model: str = "demo:random/6400/seed0") -> ExportPage:
    def file(name: str, size: int, cost: float, word: Any, backend: str = "transformers") -> ExportedFile:
        drops = tuple(
            drop(kind, metric, cost * scale, 0.004 * scale, word if kind == "math" else "as good")
            for metric, scale in (("score", 1.0), ("loss", 0.1))
            for kind in ("math", "translation", OVERALL)
        )
        return ExportedFile(name, name, size, backend, 214.3, 0.975, drops, ("a note <b>",))

    files = (
        file("merged", 2_660_000, 0.0, "as good"),
        file("gptq8", 1_900_000, -0.002, "better"),
        file("gptq4", 1_512_944, 0.012, "worse"),
        file("gguf-q4_k", 1_100_000, 0.03, "undecided", "llama.cpp"),
    )
    return ExportPage(model, language, 480, "checker-v1", 128, "cpu", 1, 5_320_000, 288.0, files)


@pytest.fixture
def card(result: StudyResult) -> ExportCard:
    run = result.runs[-1]
    return ExportCard("owner/base", "owner/base", "cc-by-sa-4.0", None, "0.1.0", page_of(), result, run)


def front_matter(text: str) -> dict[str, Any]:
    """Read by the Hub's own parser."""
    from huggingface_hub import ModelCard

    return dict(ModelCard(text, ignore_metadata_errors=False).data.to_dict())


def test_a_cost_is_said_in_words() -> None:
    page, w = page_of(), words("en")
    gptq4 = page.files[2]
    assert sentence(gptq4, gptq4.drops[0], w) == "gptq4 costs 0.012 ± 0.004 in math"
    assert sentence(page.files[1], page.files[1].drops[2], w) == (
        "gptq8 is not shown to differ overall: cost −0.0020 ± 0.0040"
    )
    assert sentence(gptq4, gptq4.drops[3], w) == "gptq4 adds 0.0012 ± 0.0004 to the loss in math"
    assert sentence(gptq4, gptq4.drops[0], words("zh")) == "gptq4 在数学上得分下降 0.012 ± 0.004"
    assert cost_text(dataclasses.replace(gptq4.drops[0], low=None, high=None)) == "0.012"
    assert (
        cost_text(None) == "–"
        and cost_text(drop("math", "loss", -0.00001, 0.001, "as good")) == "0.0000 ± 0.0010"
    )
    same = drop("math", "score", 0.0, 0.0, "as good")
    assert sentence(gptq4, same, w) == "gptq4 does not change any score in math"
    assert headline(page, w).startswith(
        "gguf-q4_k is the smallest file with no relevant loss of quality: 21 %"
    )
    nothing = dataclasses.replace(page, files=(dataclasses.replace(gptq4, drops=()),))
    assert headline(nothing, w) == "Exported, not measured"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_is_quiet(
    chromium: Any, tmp_path: Path, language: str, width: int, scheme: str
) -> None:
    (tmp_path / "export.html").write_text(render_export(page_of(language, f"m:{NASTY}")), encoding="utf-8")
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
    page.goto((tmp_path / "export.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("table").count() == 4 and troubles == []
    assert NASTY in page.locator("header").inner_text()
    page.close()


def test_the_report_has_a_section_only_where_there_are_exports(
    result: StudyResult, chinese: StudyResult
) -> None:
    assert 'id="exports"' not in render_html(result) and "Exported models" not in render_markdown(result)
    shown = dataclasses.replace(result, exports=(page_of(model=NASTY),))
    html, markdown = render_html(shown), render_markdown(shown)
    assert 'id="exports"' in html and "gptq4 costs 0.012 ± 0.004 in math" in html and NASTY not in html
    assert "## Exported models" in markdown and "gptq4 costs 0.012 ± 0.004 in math" in markdown
    assert "<script" not in markdown
    assert "已导出的模型" in render_html(dataclasses.replace(chinese, exports=(page_of("zh"),)))


def test_the_terminal_shows_sizes_speeds_and_costs() -> None:
    console = Console(width=80, file=StringIO())
    print_page(Page(tuple(export_summary(page_of()))), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("gguf-q4_k ", "1.51 MB (28 %)", "214", "97.5 %", "0.0012 ± 0.0004"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    assert "gptq4 costs 0.012 ± 0.004 in math" in text


@pytest.mark.parametrize("index", range(4))
def test_a_model_card_is_what_the_hub_reads(card: ExportCard, index: int) -> None:
    file = card.page.files[index]
    text = model_card(card, file)
    front = front_matter(text)
    assert front["license"] == "unknown", "never guessed from the base or the data"
    assert front["base_model"] == "owner/base" and front["pipeline_tag"] == "text-generation"
    assert set(front["language"]) == {"en", "zh"}
    assert front["library_name"] == ("gguf" if index == 3 else "transformers")
    for part in ("## Licences", "cc-by-sa-4.0", "## Data", "## Training", "## Evaluation", "## Known limits"):
        assert part in text
    assert "gptq4 costs 0.012 ± 0.004 in math" in text
    assert ("ollama create" in text) == (index == 3) and ("from_pretrained" in text) == (index < 3)


def test_a_licence_is_what_somebody_stated(card: ExportCard, tmp_path: Path) -> None:
    stated = dataclasses.replace(card, license="apache-2.0", base_license=None)
    text = model_card(stated, card.page.files[0])
    assert front_matter(text)["license"] == "apache-2.0"
    chain = text.partition("## Licences")[2].partition("## Data")[0]
    rows = dict(re.findall(r"^\| (base model|data|this model).*? \| (.*?) \|$", chain, re.MULTILINE))
    assert rows == {"base model": "unknown", "data": "unknown", "this model": "apache-2.0"}
    from assay.model import resolve_base

    assert stated_license(resolve_base("pocket")) == "cc-by-sa-4.0"
    assert stated_license(tmp_path) is None
    (tmp_path / "README.md").write_text("---\nlicense: [broken\n---\n")
    assert stated_license(tmp_path) is None


def test_cards_in_chinese_and_from_hostile_data(chinese: StudyResult, nasty: StudyResult) -> None:
    from huggingface_hub import DatasetCard

    page = page_of("zh", NASTY)
    for study in (chinese, nasty):
        card = ExportCard(NASTY, None, NASTY, None, "0.1.0", page, study, study.runs[0])
        text = model_card(card, page.files[2])
        assert "base_model" not in front_matter(text), "no name of the Hub, no link"
        assert "<script" not in text and r"{{7\*7}}" in text
    card = ExportCard("owner/base", None, None, None, "0.1.0", page, chinese, chinese.runs[0])
    assert "## 许可" in model_card(card, page.files[2]) and "gptq4 在数学上得分下降" in model_card(
        card, page.files[2]
    )
    for study in (chinese, nasty):
        front = DatasetCard(data_card(study)).data.to_dict()
        assert front["license"] == "unknown" and front["size_categories"]
        assert "<script" not in data_card(study)


def test_a_model_without_a_study_has_a_card_too() -> None:
    page = dataclasses.replace(page_of(), items=0, files=(dataclasses.replace(page_of().files[0], drops=()),))
    text = model_card(ExportCard("pocket", None, "cc-by-sa-4.0", None, "0.1.0", page), page.files[0])
    assert (
        "The exported file was not measured." in text and front_matter(text)["library_name"] == "transformers"
    )
    assert "Exported, not measured" in render_export(page)


def test_a_cost_has_the_sign_of_its_word_once(chromium: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(render_export(page_of()), encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    signs = page.locator(".chip").evaluate_all("all => all.map(e => getComputedStyle(e, '::before').content)")
    page.close()
    assert len(signs) > 10 and set(signs) == {"none"}
