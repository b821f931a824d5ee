"""Alternatives that are left out never change a match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.indicators import _text
from assay.indicators._phrases import Phrases

_PIECES = st.sampled_from(
    [
        "Sure",
        "ſure",
        "certaınly",
        ",",
        "!",
        " ",
        "\n",
        "here's a list",
        "HERE ARE the facts:",
        "Here is your",
        "as an AI",
        "as a large language model",
        "I'm",
        " sorry",
        "i cannot",
        " answer",
        " asK",
        "feel free to asK",
        "let me know if you need",
        "İ hope this helps",
        "I hope that helps",
        "thank you for your question",
        "希望",
        "这有帮助。",
        "如果",
        "请随时",
        "欢迎",
        "当然可以，",
        "以下是三点：",
        "抱歉，",
        "对不起",
        "作为一个",
        "人工智能",
        "无法",
        "回答",
        "请求",
        "完成这个请求",
        ".",
        ":",
        "好的！",
        "measure",
        "where is a",
    ]
)


@pytest.mark.parametrize("name", ["_REFUSAL", "_STOCK"])
@given(text=st.lists(_PIECES, max_size=14).map("".join))
@settings(max_examples=400, deadline=None)
def test_all_alternatives_at_once_match_the_same(name: str, text: str) -> None:
    phrases: Phrases = getattr(_text, name)
    whole = re.compile("|".join(pattern for pattern, _ in phrases.alternatives), re.IGNORECASE)
    assert phrases.spans(text) == [match.span() for match in whole.finditer(text)]
