"""Selections by embeddings and tags against plain implementations, and semantic cleaning."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.core import AssayError, Processes, Sample
from assay.data import hashed
from assay.model import embedder
from assay.selection import SELECTIONS, CleanRules, alike, clean, holding, pick, similar

Vectors = NDArray[np.float32]
needs_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """700 unit vectors in 30 bundles, so that many are alike; more than one block of the kernels."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, 24))
    made = centres[rng.integers(0, 30, 700)] + 0.25 * rng.normal(size=(700, 24))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


IDS = [f"id{i}" for i in range(700)]


@pytest.fixture(scope="module")
def quality() -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(size=700)


def options(rule: str, vectors: Vectors, quality: NDArray[np.float64]) -> dict[str, Any]:
    given: dict[str, Any] = {"vectors": vectors, "groups": [str(i % 5) for i in range(700)]}
    if rule in ("top", "bottom", "quota", "deita", "qdit"):
        given["score"] = quality
    if rule == "target":
        given["targets"] = vectors[:3]
    if rule == "tags":
        given["tags"] = [frozenset({str(i % 11), str(i % 13)}) for i in range(700)]
    return given


@pytest.mark.parametrize(
    "rule", [pytest.param(r, marks=needs_faiss) if r == "clusters" else r for r in SELECTIONS]
)
def test_every_selection_is_a_permutation_that_repeats(
    rule: str, vectors: Vectors, quality: NDArray[np.float64]
) -> None:
    given = options(rule, vectors, quality)
    order = pick(IDS, rule, n=100, seed=3, **given)
    assert sorted(order.tolist()) == list(range(700))
    np.testing.assert_array_equal(order, pick(IDS, rule, n=100, seed=3, **given))


@pytest.mark.parametrize("rule", ["deita", "k_center", "target", "facility"])
def test_smaller_selections_are_prefixes(rule: str, vectors: Vectors, quality: NDArray[np.float64]) -> None:
    given = options(rule, vectors, quality)
    few, many = (pick(IDS, rule, n=n, **given)[:20] for n in (20, 200))
    np.testing.assert_array_equal(few, many)


def test_similar_is_the_plain_greedy_and_stops_at_enough(vectors: Vectors) -> None:
    order = np.random.default_rng(2).permutation(700)
    partner, cosine = similar(vectors, order, 0.8)
    kept: list[int] = []
    for row in order.tolist():
        likeness = vectors[kept] @ vectors[row] if kept else np.zeros(1)
        if likeness.max() > 0.8:
            assert partner[row] in kept and cosine[row] == pytest.approx(likeness.max(), abs=1e-5)
        else:
            assert partner[row] == -1
            kept.append(row)
    assert 30 <= len(kept) < 700
    first = pick(IDS, "deita", n=40, score=-np.argsort(order).astype(float), vectors=vectors)[:40]
    plain: list[int] = []
    for row in order.tolist():
        if len(plain) < 40 and (not plain or (vectors[plain] @ vectors[row]).max() <= 0.9):
            plain.append(row)
    assert first.tolist() == plain


def test_k_center_takes_the_farthest_each_time(vectors: Vectors) -> None:
    order = pick(IDS, "k_center", n=25, vectors=vectors)[:25].tolist()
    for place in range(1, 25):
        closest = (vectors @ vectors[order[:place]].T).max(axis=1)
        closest[order[:place]] = np.inf
        assert closest[order[place]] == pytest.approx(closest.min(), abs=1e-6)


def test_lazy_greedy_equals_greedy(vectors: Vectors, quality: NDArray[np.float64]) -> None:
    likeness = np.maximum(vectors @ vectors.T, 0).astype(np.float64)
    rank = np.empty(700)
    rank[np.argsort(-quality)] = np.linspace(1, 0, 700)
    for rule, weight in (("facility", 0.0), ("qdit", 0.5)):
        order = pick(IDS, rule, n=30, vectors=vectors, score=quality)[:30].tolist()
        covered = np.zeros(700)
        for row in order:
            gains = (1 - weight) * np.maximum(likeness - covered, 0).sum(axis=1) / 700 + weight * rank / 30
            gains[order[: order.index(row)]] = -1
            assert gains[row] == pytest.approx(gains.max(), rel=1e-4)
            covered = np.maximum(covered, likeness[row])


@needs_faiss
def test_clusters_are_taken_in_turn(vectors: Vectors) -> None:
    """Of 30 bundles, the first 18 rows come from 18 clusters; the best by score come from few."""
    order = pick(IDS, "clusters", vectors=vectors, score=vectors[:, 0].astype(float))
    spread = len(set(np.round(vectors[order[:18]] @ vectors[order[:18]].T, 1)[0]))
    assert spread > 3
    best = np.argsort(-vectors[:, 0])[:18]
    inner = (vectors[order[:18]] @ vectors[order[:18]].T).mean()
    assert inner < (vectors[best] @ vectors[best].T).mean()


def test_targets_take_turns(vectors: Vectors) -> None:
    targets = vectors[[5, 9]]
    order = pick(IDS, "target", n=6, vectors=vectors, targets=targets)[:6].tolist()
    assert order[0] == 5 and order[1] == 9
    for turn in (0, 1):
        taken = [vectors[r] @ targets[turn] for r in order[turn::2]]
        assert taken == sorted(taken, reverse=True)


def test_tags_bring_something_new_first() -> None:
    tags = [frozenset("ab"), frozenset("a"), frozenset("bc"), frozenset("d"), frozenset()]
    order = pick(list("vwxyz"), "tags", tags=tags, score=[2.0, 1.0, 2.0, 1.0, 0.0])
    assert set(order[:3].tolist()) >= {3} and {0, 2} <= set(order[:3].tolist())
    assert order[-1] == 4


def test_what_a_selection_lacks_is_named(vectors: Vectors) -> None:
    for rule, part in (("deita", "score"), ("k_center", "vectors"), ("target", "target"), ("tags", "tags")):
        given: dict[str, Any] = {"vectors": vectors} if rule in ("target",) else {}
        with pytest.raises(AssayError, match="missing its input") as caught:
            pick(IDS, rule, **given)
        assert part in str(caught.value)


def test_semantic_duplicates_and_prompts_beside_the_evaluation_set_go() -> None:
    pool = [
        Sample.single("Name the largest city of France", "The largest city of France is Paris"),
        Sample.single("Name the largest city of France!", "The largest city of France: is Paris."),
        Sample.single("Name the largest lake of Italy", "That is Lake Garda, in the north of the country"),
        Sample.single("给出三个保持健康的建议", "多运动，早睡，少吃糖。"),
    ]
    encode = embedder("lexical").encode
    found = clean(pool, CleanRules(near=None, semantic=0.95), embed=encode)
    assert [(r.row, r.rule) for r in found.receipts] == [(0, "semantic")]
    item = Sample.single("请给出三个保持健康的建议。", None, origin="eval:1")
    found = clean(pool, CleanRules(near=None, alike=0.8), evaluation=[item], embed=encode)
    assert [(r.row, r.rule, r.partner) for r in found.receipts] == [(3, "evaluation", "eval:1")]
    with pytest.raises(AssayError, match="no embedding model"):
        clean(pool, CleanRules(semantic=0.9))


def test_holding_finds_equal_and_contained_prompts_in_any_script() -> None:
    long = "Explain in detail how a steam engine turns heat into motion, step by step."
    items = [
        Sample.single("What is 2+2?", "4"),
        Sample.single(long, None),
        Sample.single("写一首关于春天的诗", None),
    ]
    prompts = [
        "what is  2+2",
        f"Please help. {long.upper()} Thanks!",
        "写一首关于春天的诗。",
        "写一首关于秋天的诗",
        "What is 2+22?",
    ]
    found = holding(hashed(prompts), items, 0.6)
    assert {row: match.item for row, match in found.items()} == {0: 0, 1: 1, 2: 2}
    assert found[1].span == (2, 16) and found[0].span == (0, 4), "in tokens of the prompt"
    assert holding(hashed(prompts), [], 0.6) == {}
    encode = embedder("lexical").encode
    assert set(alike(encode(prompts), encode([long]), 0.85)) == {1}


def test_workers_change_nothing_and_to_keeps_the_best() -> None:
    pool = [Sample.single(f"Question {i} about thing {i * 7}", "word " * (i + 1)) for i in range(60)]
    pool += pool[:5]
    plain = clean(pool)
    with Processes(2) as workers:
        parallel = clean(pool, pool=workers)
    assert plain.receipts == parallel.receipts and plain.kept.tolist() == parallel.kept.tolist()
    found = clean(pool, CleanRules(to=10), quality=lambda part: [float(len(s.answer or "")) for s in part])
    assert found.kept.tolist() == list(range(50, 60)) and found.removed_by == {"exact": 5, "surplus": 50}
    assert len(clean(pool, CleanRules(to=10)).kept) == 10
    assert not any(a.rule == "surplus" for a in found.alarms)
