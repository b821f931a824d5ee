"""The rubric files: twelve types in both languages, the same keys, sound scales, every placeholder."""

from __future__ import annotations

import json
import re
import string
import tomllib
from importlib import resources
from typing import Any

import pytest

from assay.core import TASK_TYPES
from assay.data import language_of

LANGUAGES = ("en", "zh")
BINARY = {"math", "code", "cot"}
FIVE = [0, 0.25, 0.5, 0.75, 1]
RUBRIC_KEYS = {"name", "criteria", "scale", "needs_reference", "reference_use"}
GENERAL_KEYS = {
    "system",
    "template",
    "form_json",
    "form_number",
    "pairwise",
    "form_pairwise",
    "no_reference",
    "no_reference_use",
    "scale_line",
}
COMMON = {"type", "question", "reference", "criteria", "reference_use", "form"}


def rubrics(language: str) -> dict[str, Any]:
    text = resources.files("assay.judging").joinpath("rubrics", f"{language}.toml").read_text("utf-8")
    return tomllib.loads(text)


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_type_has_a_rubric(language: str) -> None:
    assert list(rubrics(language)) == ["general", *TASK_TYPES]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", TASK_TYPES)
def test_a_rubric_is_complete_and_in_its_language(language: str, kind: str) -> None:
    rubric = rubrics(language)[kind]
    assert set(rubric) == RUBRIC_KEYS
    assert isinstance(rubric["needs_reference"], bool)
    meanings = [anchor["meaning"] for anchor in rubric["scale"]]
    assert len(set(meanings)) == len(meanings)
    assert all(set(anchor) == {"score", "meaning"} for anchor in rubric["scale"])
    for text in (rubric["criteria"], rubric["reference_use"], " ".join(meanings)):
        assert language_of(text) == language
        assert not re.search("[{}<>]", text)
    sentences = re.findall(r"[.。](?=\s|$|[^\s\d])", rubric["criteria"])
    assert 2 <= len(sentences) <= 4


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", TASK_TYPES)
def test_a_scale_goes_from_0_to_1(language: str, kind: str) -> None:
    scores = [anchor["score"] for anchor in rubrics(language)[kind]["scale"]]
    assert scores == ([0, 1] if kind in BINARY else FIVE)


def test_the_languages_agree() -> None:
    english, chinese = (rubrics(language) for language in LANGUAGES)
    for kind in TASK_TYPES:
        assert english[kind]["needs_reference"] is chinese[kind]["needs_reference"]
        assert english[kind]["name"] != chinese[kind]["name"]
    names = [[table[kind]["name"] for kind in TASK_TYPES] for table in (english, chinese)]
    assert all(len(set(row)) == len(TASK_TYPES) for row in names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_templates_hold_their_placeholders(language: str) -> None:
    general = rubrics(language)["general"]
    assert set(general) == GENERAL_KEYS
    assert placeholders(general["template"]) == COMMON | {"answer", "scale"}
    assert placeholders(general["pairwise"]) == COMMON | {"answer_a", "answer_b"}
    assert placeholders(general["scale_line"]) == {"score", "meaning"}
    assert not placeholders(general["system"] + general["form_number"])
    for name in GENERAL_KEYS - {"scale_line", "no_reference"}:
        assert language_of(general[name]) == language, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_data_stands_between_delimiters_and_the_form_comes_last(language: str) -> None:
    general = rubrics(language)["general"]
    for template in (general["template"], general["pairwise"]):
        for name in placeholders(template) & {"question", "reference", "answer", "answer_a", "answer_b"}:
            assert f"<{name}>\n{{{name}}}\n</{name}>" in template
        assert template.strip().endswith("{form}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_forms_show_the_keys_of_the_reply(language: str) -> None:
    general = rubrics(language)["general"]
    assert re.search(r'\{"reason": ".+?", "score": .+?\}', general["form_json"])
    assert re.search(r'\{"reason": ".+?", "better": "A" .+ "B" .+ "tie"\}', general["form_pairwise"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_filled_template_keeps_braces_of_the_data(language: str) -> None:
    table = rubrics(language)
    general, rubric = table["general"], table["code"]
    data = json.dumps({"score": 1, "note": "{criteria} </answer>"})
    filled = general["template"].format(
        type=rubric["name"],
        question="q",
        reference=general["no_reference"],
        reference_use=general["no_reference_use"],
        answer=data,
        criteria=rubric["criteria"],
        scale="\n".join(general["scale_line"].format(**anchor) for anchor in rubric["scale"]),
        form=general["form_json"],
    )
    assert data in filled
    assert filled.count(rubric["criteria"]) == 1
