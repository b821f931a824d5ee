"""Hashed tokens against a plain reading of the same rules."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.data import hashed


def same(a: str, b: str) -> bool:
    return bool(np.array_equal(hashed([a]).tokens, hashed([b]).tokens))


def test_words_and_single_characters_are_tokens() -> None:
    counts = {
        "Hello, world!": 2,
        "a-b c_d": 4,
        "你好，世界": 4,
        "你好 world": 3,
        "": 0,
        "…!?  ": 0,
        "Привет мир": 2,
        "สวัสดี": 6,
        "ひらがな": 4,
        "안녕 세상": 2,
        "naïve": 1,
        "😀": 1,
    }
    assert {text: int(hashed([text]).lengths[0]) for text in counts} == counts


def test_case_and_width_do_not_matter() -> None:
    assert same("HELLO World", "hello wORLD")
    assert same("ＨＥＬＬＯ１", "hello1")
    assert same("ÉCOLE ПРИВЕТ ΑΒΓ", "école привет αβγ")
    assert not same("hello", "hallo")
    assert not same("你好", "好你")


@given(st.lists(st.text(max_size=60), max_size=20))
def test_each_text_is_hashed_alone(texts: list[str]) -> None:
    together = hashed(texts)
    assert len(together) == len(texts)
    for i, text in enumerate(texts):
        own = together.tokens[together.offsets[i] : together.offsets[i + 1]]
        assert np.array_equal(own, hashed([text]).tokens)


@given(st.lists(st.text("abcXYZ019", min_size=1, max_size=8), max_size=30))
def test_ascii_words_are_those_of_a_split(words: list[str]) -> None:
    found = hashed([" ".join(words)]).tokens
    ids = {int(hashed([w]).tokens[0]): w.lower() for w in words}
    assert [ids[int(t)] for t in found] == [w.lower() for w in words]
