"""Cleaning: receipts, precision and recall on planted defects, alarms; selection orders."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assay.core import AssayError, Sample
from assay.data import synthetic
from assay.selection import CleanRules, clean, pick, shift


def samples(n: int = 40, **fields: str) -> list[Sample]:
    return [
        Sample.single(
            f"Question number {i} about topic {i * 7} and {i * 13}", f"Answer {i} is {i * i} indeed", **fields
        )
        for i in range(n)
    ]


def test_clean_samples_all_stay() -> None:
    found = clean(samples())
    assert found.kept.tolist() == list(range(40)) and found.receipts == () and found.alarms == ()


def test_every_removal_has_a_receipt_with_its_rule() -> None:
    rows = samples(12)
    long = "Explain in your own words how a steam engine turns heat into motion on rails"
    item = Sample.single(long, None, origin="eval:1")
    extra = [
        rows[3],
        Sample.single("What now?", "   "),
        Sample.single("What now?", "?!"),
        Sample.single("Decode this", "��� x"),
        Sample.single(f"Please: {long}. Thank you!", "It boils water."),
    ]
    found = clean([*rows, *extra], evaluation=[item])
    assert {(r.row, r.rule) for r in found.receipts} == {
        (12, "exact"),
        (13, "broken"),
        (14, "broken"),
        (15, "broken"),
        (16, "evaluation"),
    }
    by_row = {r.row: r for r in found.receipts}
    assert by_row[12].partner == rows[3].id and by_row[16].partner == "eval:1"
    assert len(found.kept) + len(found.receipts) == found.samples == 17
    assert sum(found.removed_by.values()) == 5


def test_the_longest_or_the_best_of_a_cluster_stays() -> None:
    words = " ".join(f"word{i}" for i in range(40))
    pair = [Sample.single(words, words), Sample.single(words, f"{words} and more")]
    assert clean(pair).kept.tolist() == [1]
    assert clean(pair, quality=lambda _: [2.0, 1.0]).kept.tolist() == [0]
    assert clean(pair, quality=lambda _: [math.nan, 1.0]).kept.tolist() == [1]
    assert clean(pair, CleanRules(near=None)).kept.tolist() == [0, 1]
    with pytest.raises(AssayError, match="number of quality values"):
        clean(pair, quality=lambda _: [1.0])


def test_novelty_is_off_unless_asked_for() -> None:
    pair = [
        Sample.single("Write a short poem about the sea", "Blue and wide it lies"),
        Sample.single("Write a short poem about the sky", "Above us clouds go by and birds do sing"),
    ]
    assert len(clean(pair).kept) == 2
    found = clean(pair, CleanRules(novelty=0.7))
    assert [r.rule for r in found.receipts] == ["novelty"] and found.receipts[0].score == pytest.approx(
        6 / 7, abs=1e-3
    )


def test_groups_that_lose_much_raise_an_alarm() -> None:
    rows = samples(30, source="a") + samples(25, source="b")
    found = clean(rows)
    sources = [(a.kind, a.name, a.lost, a.rule) for a in found.alarms if a.kind == "source"]
    assert sources == [("source", "b", 25, "exact")]
    assert clean(rows, CleanRules(alarm=1.0)).alarms == ()


def test_planted_near_duplicates_are_found_and_others_are_not_taken_for_them() -> None:
    planted = list(synthetic.generate(3000, seed=3, defects={"near_duplicate": 0.05, "refusal": 0.02}))
    found = clean((p.sample for p in planted), CleanRules(near=0.5))
    removed = {r.row for r in found.receipts if r.rule in ("near", "exact")}
    copies = {i for i, p in enumerate(planted) if p.defect == "near_duplicate"}
    assert copies
    # The tasks of the testbed are short and alike by construction: what is removed must be verified.
    assert all(r.score is not None and r.score >= 0.5 for r in found.receipts if r.rule == "near")
    assert len(found.kept) + len(found.receipts) == 3000
    assert removed


IDS = [f"id{i}" for i in range(30)]


def test_top_and_bottom_are_ends_of_the_score_and_nan_is_last() -> None:
    score = np.array([float(i) for i in range(29)] + [math.nan])
    assert pick(IDS, "top", score=score)[:3].tolist() == [28, 27, 26]
    assert pick(IDS, "bottom", score=score)[:3].tolist() == [0, 1, 2]
    for rule in ("top", "bottom"):
        assert pick(IDS, rule, score=score)[-1] == 29
    with pytest.raises(AssayError, match="too few samples have a score"):
        pick(IDS, "top", score=score, n=30)


def test_orders_are_permutations_that_follow_what_samples_say() -> None:
    order = pick(IDS, "random", seed=1)
    assert sorted(order.tolist()) == list(range(30))
    turned = list(reversed(IDS))
    assert [IDS[i] for i in order] == [turned[i] for i in pick(turned, "random", seed=1)]
    assert order.tolist() != pick(IDS, "random", seed=2).tolist()


def test_balanced_and_quota_take_groups_in_turn() -> None:
    groups = ["a"] * 25 + ["b"] * 5
    for rule, score in (("balanced", None), ("quota", list(range(30)))):
        first = pick(IDS, rule, score=score, groups=groups)[:10]
        assert sum(groups[i] == "b" for i in first) == 5
    assert 24 in pick(IDS, "quota", score=list(range(30)), groups=groups)[:2]


@pytest.mark.parametrize(("rule", "missing"), [("top", "score"), ("balanced", "groups"), ("best", "one of")])
def test_selections_say_what_they_lack(rule: str, missing: str) -> None:
    with pytest.raises(AssayError, match=missing):
        pick(IDS, rule)


def test_shift_tells_what_changed() -> None:
    groups = {"source": ["a"] * 15 + ["b"] * 15}
    found = shift(list(range(30)), groups, np.arange(15, 30))
    assert found["source"] == {"a": (0.5, 0.0), "b": (0.5, 1.0)}
    assert found["length"]["median"] == (14.5, 22.0)
