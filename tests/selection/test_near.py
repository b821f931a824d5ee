"""Near-duplicates and novelty against brute force."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from assay.core import AssayError
from assay.data import hashed
from assay.selection import near_duplicates, novel

WORDS = [f"w{i}" for i in range(300)]


def shingles(text: str, width: int = 5) -> set[tuple[str, ...]]:
    tokens = text.lower().split()
    wide = min(width, len(tokens))
    return {tuple(tokens[i : i + wide]) for i in range(len(tokens) - wide + 1)} if tokens else set()


def jaccard(a: str, b: str) -> float:
    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y) if x and y else 0.0


def pool(seed: int, count: int = 120) -> list[str]:
    """Texts of all lengths, a third of them perturbed copies."""
    rng = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        if texts and rng.random() < 0.35:
            words = rng.choice(texts).split()
            for _ in range(rng.choice((0, 1, 1, 2, 5))):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(rng.choices(WORDS, k=rng.choice((1, 3, 8, 40, 120)))))
    return texts


@pytest.mark.parametrize("seed", range(4))
def test_removed_texts_have_a_kept_partner_as_like_as_said(seed: int) -> None:
    texts = pool(seed)
    partner, score = near_duplicates(hashed(texts), similarity=0.6)
    for row, kept in enumerate(partner.tolist()):
        if kept >= 0:
            assert partner[kept] == -1, "partners are kept: no chains"
            assert score[row] == pytest.approx(jaccard(texts[row], texts[kept]), abs=1e-6)
            assert score[row] >= 0.6


@pytest.mark.parametrize("seed", range(4))
def test_nearly_all_pairs_are_found(seed: int) -> None:
    texts = pool(seed, 200)
    partner, _ = near_duplicates(hashed(texts), similarity=0.7)
    missed = 0
    kept: list[int] = []
    for row, text in enumerate(texts):
        like = any(jaccard(text, texts[k]) >= 0.7 for k in kept)
        if partner[row] < 0:
            missed += like
            kept.append(row)
    assert missed <= 1


def test_the_best_of_a_cluster_stays() -> None:
    texts = ["a b c d e f g h", "a b c d e f g h", "a b c d e f g h"]
    partner, _ = near_duplicates(hashed(texts), np.array([2, 0, 1]))
    assert partner.tolist() == [2, 2, -1]


def test_short_chinese_instructions_are_not_lost() -> None:
    rng = random.Random(0)
    characters = "写一首关于春天的诗翻译这句话成英文列出三种水果名称解释什么是光合作用"
    texts = list({"".join(rng.choices(characters, k=rng.randint(2, 8))) for _ in range(1100)})[:1000]
    assert len(texts) == 1000
    partner, _ = near_duplicates(hashed(texts))
    assert (partner == -1).all()


def test_signs_only_and_empty_texts_are_kept() -> None:
    partner, _ = near_duplicates(hashed(["", "!!!", "", "???"]))
    assert partner.tolist() == [-1] * 4
    assert novel(hashed(["", "!!!", ""]))[0].tolist() == [-1] * 3
    assert len(near_duplicates(hashed([]))[0]) == len(novel(hashed([]))[0]) == 0


@pytest.mark.parametrize("limit", [0.0, -1.0, 1.5])
def test_limits_out_of_range_are_refused(limit: float) -> None:
    with pytest.raises(AssayError):
        near_duplicates(hashed(["a"]), similarity=limit)
    with pytest.raises(AssayError):
        novel(hashed(["a"]), limit=limit)


def by_all_pairs(texts: list[str], limit: float) -> list[bool]:
    """The rule of self-instruct with Google's rouge_score."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    kept: list[str] = []
    removed = []
    for text in texts:
        like = any(scorer.score(k, text)["rougeL"].fmeasure >= limit - 1e-9 for k in kept)
        removed.append(like)
        if not like:
            kept.append(text)
    return removed


@pytest.mark.parametrize("limit", [0.3, 0.7, 0.9, 1.0])
def test_novelty_is_that_of_comparing_all_pairs(limit: float) -> None:
    rng = random.Random(int(limit * 10))
    texts = [" ".join(rng.choices(WORDS[:12], k=rng.choice((1, 2, 5, 9, 80)))) for _ in range(150)]
    partner, _ = novel(hashed(texts), limit=limit)
    assert [p >= 0 for p in partner.tolist()] == by_all_pairs(texts, limit)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=12), max_size=25))
def test_novelty_on_few_words_is_that_of_comparing_all_pairs(rows: list[list[str]]) -> None:
    texts = [" ".join(row) for row in rows]
    partner, _ = novel(hashed(texts), limit=0.7)
    wanted = by_all_pairs(texts, 0.7)
    # rouge_score calls two empty texts unlike; so do we.
    assert [p >= 0 for p in partner.tolist()] == wanted
