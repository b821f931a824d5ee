"""Languages told many at once are those told one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data import _languages, language_of
from assay.data._languages import languages_of

_SCRIPTS = "aэ한ไกαعहא一かカ\ud800\U00020000𝒜ɏɐßİſ 0.\n\0"
_letters = st.sampled_from([*_SCRIPTS, "the ", "DER ", "für ", "qué ", "e ", "following ", "x" * 13])
_texts = st.lists(_letters, max_size=80).map("".join) | st.text(st.characters(), max_size=700)


@given(texts=st.lists(_texts, min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_at_once_as_one_by_one(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_languages, "_asked", [10**9])
        assert languages_of(texts) == [language_of(text) for text in texts]


def test_the_kernel_takes_over_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_languages, "_asked", [0])
    monkeypatch.setattr(_languages, "_WORTH_KERNEL", 5)
    assert languages_of(["The cat is on the mat."] * 3) == ["en"] * 3
    assert languages_of(["Der Hund und die Katze"] * 3) == ["de"] * 3
    assert languages_of([]) == []
