"""Differences between texts: nothing lost, words whole, long texts in time."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.annotation import difference


def shown(first: str, second: str) -> list[str]:
    marks = {"same": "=", "removed": "-", "added": "+"}
    return [marks[part.kind] + part.text for part in difference(first, second)]


PIECES = ["今天", "天气", "很好", "，", " ", "\n", "the", "cat's", "👩‍👩‍👧‍👦", "🇨🇳"]
PIECES += ["नमस्ते", "مرحبا", "\u202e", "\ud800"]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES)).map("".join))


@settings(deadline=None)  # the dictionary is loaded by the first Chinese text
@given(TEXTS, TEXTS)
def test_the_parts_are_the_texts(first: str, second: str) -> None:
    parts = difference(first, second)
    assert "".join(p.text for p in parts if p.kind != "added") == first
    assert "".join(p.text for p in parts if p.kind != "removed") == second
    assert all(p.text for p in parts)
    assert all(a.kind != b.kind for a, b in itertools.pairwise(parts))


def test_whole_words_change() -> None:
    assert shown("The quick brown fox jumps.", "The slow red fox leaps.") == [
        "=The ", "-quick brown", "+slow red", "= fox ", "-jumps", "+leaps", "=.",
    ]  # fmt: skip


def test_chinese_words_change() -> None:
    assert shown("今天天气很好，我们去公园散步。", "今天天气不好，我们去公园跑步。") == [
        "=今天天气", "-很好", "+不好", "=，我们去公园", "-散步", "+跑步", "=。",
    ]  # fmt: skip


def test_signs_of_several_characters_stay_whole() -> None:
    assert shown("ok 👩‍👩‍👧", "ok 👩‍👩‍👦") == ["=ok ", "-👩‍👩‍👧", "+👩‍👩‍👦"]
    assert shown("🇨🇳", "🇨🇦") == ["-🇨🇳", "+🇨🇦"]
    assert shown("दी", "दि") == ["-दी", "+दि"]


@pytest.mark.timeout(60)  # a quadratic comparison of 9,000 words takes minutes
def test_long_texts_take_little_time() -> None:
    random.seed(1)
    words = [f"w{i}" for i in range(3000)]
    first, second = (" ".join(random.choices(words, k=9_000)) for _ in range(2))  # 50 kB each
    assert len(difference(first, second)) > 10
    huge = "line of text\n" * 60_000
    assert shown(huge, huge + "one more\n") == ["=" + huge, "+one more\n"]
