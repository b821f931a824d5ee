"""The streaming index: the decisions of comparing all pairs, whatever the batches, and from restored rows."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer

from assay.core import AssayError
from assay.data import hashed, synthetic
from assay.selection import NearIndex, NoveltyIndex, near_duplicates, novel

WORDS = [f"w{i}" for i in range(60)]


def texts_of(seed: int, count: int) -> list[str]:
    """Texts of all lengths, many of them changed copies of earlier ones."""
    rng = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        if texts and rng.random() < 0.5:
            words = rng.choice(texts).split()
            for _ in range(rng.choice((0, 1, 2, 4))):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(rng.choices(WORDS, k=rng.choice((1, 2, 4, 9, 30, 70, 140)))))
    return texts


def f1(a: Sequence[str], b: Sequence[str]) -> float:
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b)) if a and b else 0.0


def brute(texts: Sequence[Sequence[str]], limit: float) -> list[tuple[int, float]]:
    """For each text the closest kept one, by its number among the kept, as all pairs give it."""
    kept: list[Sequence[str]] = []
    found = []
    for text in texts:
        scores = [f1(other, text) for other in kept]
        best = max(scores, default=0.0)
        if best >= limit - 1e-9 and scores:
            found.append((min(i for i, s in enumerate(scores) if s > best - 1e-9), best))
        else:
            found.append((-1, 0.0))
            kept.append(text)
    return found


def in_batches(
    index: NoveltyIndex | NearIndex, texts: Sequence[str], rng: random.Random
) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    at = 0
    while at < len(texts):
        size = rng.choice((1, 2, 7, 50))
        partner, score = index.add(hashed(texts[at : at + size]))
        found += zip(partner.tolist(), score.tolist(), strict=True)
        at += size
    return found


@pytest.mark.parametrize("limit", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_decision_partner_and_score_is_that_of_all_pairs(seed: int, limit: float) -> None:
    texts = texts_of(seed, 400)
    found = in_batches(NoveltyIndex(limit), texts, random.Random(seed))
    wanted = brute([t.split() for t in texts], limit)
    assert [p for p, _ in found] == [p for p, _ in wanted]
    assert np.allclose([s for _, s in found], [s for _, s in wanted], atol=1e-6)


def test_growth_over_many_reorderings_changes_no_decision() -> None:
    rng = random.Random(3)
    vocabulary = [f"x{i}" for i in range(4000)]
    weights = [1 / (i + 1) for i in range(4000)]
    # The language of the texts changes half-way: what was rare becomes common.
    texts = [" ".join(rng.choices(vocabulary, weights, k=rng.randint(4, 14))) for _ in range(6000)]
    texts += [" ".join(f"y{w}" for w in t.split()) for t in texts[:3000]]
    index = NoveltyIndex(0.6)
    found = in_batches(index, texts, random.Random(0))
    partner, _ = novel(hashed(texts), limit=0.6)
    assert [p >= 0 for p, _ in found] == (partner >= 0).tolist()
    assert len(index) == int((partner < 0).sum()) > 4000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcde"), max_size=14), max_size=30), st.sampled_from([0.5, 0.7, 1.0])
)
def test_few_words_as_all_pairs(rows: list[list[str]], limit: float) -> None:
    partner, _ = NoveltyIndex(limit).add(hashed([" ".join(row) for row in rows]))
    assert partner.tolist() == [p for p, _ in brute(rows, limit)]


def test_same_decisions_as_rouge_score() -> None:
    texts = [p.sample.prompt[-1].content for p in synthetic.generate(400, seed=5, languages=["en"])]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    kept: list[str] = []
    removed = []
    for text in texts:
        like = any(scorer.score(k, text)["rougeL"].fmeasure >= 0.7 - 1e-9 for k in kept)
        removed.append(like)
        if not like:
            kept.append(text)
    partner, _ = NoveltyIndex().add(hashed(texts))
    assert (partner >= 0).tolist() == removed
    assert 0 < sum(removed) < len(removed)


def test_chinese_is_compared_by_characters() -> None:
    texts = [p.sample.prompt[-1].content for p in synthetic.generate(300, seed=2, languages=["zh"])]
    plain = [[c for c in "".join(t.split()) if "\u4e00" <= c <= "\u9fff"] for t in texts]
    keep = [
        t
        for t, p in zip(texts, plain, strict=True)
        if all("\u4e00" <= c <= "\u9fff" or not c.isalnum() for c in t)
    ]
    assert len(keep) > 50
    only = [[c for c in t if "\u4e00" <= c <= "\u9fff"] for t in keep]
    partner, _ = NoveltyIndex().add(hashed(keep))
    assert partner.tolist() == [p for p, _ in brute(only, 0.7)]


def test_restored_from_kept_rows_it_decides_alike() -> None:
    texts = texts_of(7, 600)
    whole = NoveltyIndex()
    partner, _ = whole.add(hashed(texts[:400]))
    restored = NoveltyIndex()
    restored.keep(hashed([t for t, p in zip(texts, partner.tolist(), strict=False) if p < 0]))
    assert len(restored) == len(whole)
    for ours, theirs in zip(restored.add(hashed(texts[400:])), whole.add(hashed(texts[400:])), strict=True):
        assert np.array_equal(ours, theirs)


def test_closest_is_the_best_of_all_and_keeps_nothing() -> None:
    texts = texts_of(8, 150)
    index = NoveltyIndex()
    index.keep(hashed(texts))
    new = texts_of(9, 40)
    partner, score = index.closest(hashed(new), before=100)
    assert len(index) == 150
    for text, who, value in zip(new, partner.tolist(), score.tolist(), strict=True):
        scores = [f1(t.split(), text.split()) for t in texts[:100]]
        assert value == pytest.approx(max(scores), abs=1e-6)
        assert who == (scores.index(max(scores)) if max(scores) else -1)


def test_long_texts_and_texts_without_tokens() -> None:
    long = " ".join(f"t{i}" for i in range(70_000))
    index = NoveltyIndex()
    assert index.add(hashed(["", "!!", long, "", long + " more"]))[0].tolist() == [-1, -1, -1, -1, 2]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    wide = min(5, len(words))
    return {tuple(words[i : i + wide]) for i in range(len(words) - wide + 1)}


def test_near_duplicates_are_those_of_all_pairs_by_jaccard() -> None:
    texts = texts_of(11, 300)
    found = in_batches(NearIndex(0.6), texts, random.Random(1))
    kept: list[str] = []
    for text, (partner, score) in zip(texts, found, strict=True):
        likeness = [len(shingles(k) & shingles(text)) / len(shingles(k) | shingles(text)) for k in kept]
        assert (partner >= 0) == (max(likeness, default=0) >= 0.6 - 1e-9)
        if partner < 0:
            kept.append(text)
        else:
            assert score == pytest.approx(max(likeness), abs=1e-6)
    batch, _ = near_duplicates(hashed(texts), similarity=0.6)
    assert abs(int((batch < 0).sum()) - len(kept)) <= 2


@pytest.mark.parametrize("limit", [0.0, 1.1])
def test_limits_out_of_range_are_refused(limit: float) -> None:
    with pytest.raises(AssayError):
        NoveltyIndex(limit)
    with pytest.raises(AssayError):
        NearIndex(limit)
