"""BM25 against the formula written out."""

from __future__ import annotations

import math
import random

import pytest

from assay.core import AssayError
from assay.data import words
from assay.selection import Bm25Index


def by_hand(kept: list[list[str]], new: list[str]) -> list[float]:
    """The score with each kept text, as gensim computes it for BELLE."""
    n = len(kept)
    vocabulary = {w for text in kept for w in text}
    raw = {w: sum(w in text for text in kept) for w in vocabulary}
    idf = {w: math.log(n - f + 0.5) - math.log(f + 0.5) for w, f in raw.items()}
    mean_idf = sum(idf.values()) / len(idf)
    idf = {w: v if v >= 0 else 0.25 * mean_idf for w, v in idf.items()}
    mean = sum(map(len, kept)) / n
    scores = []
    for text in kept:
        total = 0.0
        for word in new:
            f = text.count(word)
            total += idf.get(word, 0) * f * 2.5 / (f + 1.5 * (0.25 + 0.75 * len(text) / mean))
        scores.append(total)
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_formula(seed: int) -> None:
    rng = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(40)]
    index = Bm25Index()
    kept: list[list[str]] = []
    for _ in range(60):
        text = rng.choices(vocabulary, [1 / (i + 1) for i in range(40)], k=rng.randint(1, 12))
        if kept:
            assert index.scores(text) == pytest.approx(by_hand(kept, text))
        index.keep(text)
        kept.append(text)


def test_a_copy_goes_and_a_new_subject_stays_in_chinese() -> None:
    index = Bm25Index(limit=18)
    subjects = "茶叶 高铁 书法 象棋 月饼 竹子 长江 京剧 算盘 丝绸 瓷器 灯笼 饺子 龙舟 剪纸 围棋".split()
    for subject in subjects * 8:
        index.keep(words(f"请写一段话介绍{subject}的历史和用途{len(index)}号"))
    again = words("请根据下列化石标本的埋藏深度推算三叶虫灭绝的地质年代并列出误差来源")
    assert index.add(again)[0] == -1
    closest, score = index.add(again)
    assert closest == len(subjects) * 8 and score > 18
    assert index.add(words("今天晚上吃什么"))[0] == -1


def test_nothing_kept_and_no_words() -> None:
    index = Bm25Index()
    assert index.add([]) == (-1, 0.0)
    assert index.add(["a"])[0] == -1
    with pytest.raises(AssayError):
        Bm25Index(0)
