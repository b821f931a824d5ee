"""Recorded judges against people, on public labels: agreement as published, intervals that hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.judging import agreement, cohen_kappa, length_bias, position_bias, ppi_mean

STARS = {"Correctness": 3, "Explanation Correctness": 2, "Accuracy": 5, "Fluency": 3, "Informativeness": 3}
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def stars(shared: Path) -> dict[str, tuple[Array, Array, list[str], list[int]]]:
    """People's and GPT-4's stars in [0, 1] by criterion, with questions and lengths."""
    rows: dict[str, list[tuple[float, float, str, int]]] = {name: [] for name in STARS}
    with gzip.open(shared / "data/preferences/llmeval2_zh_answers.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for name in STARS.keys() & row["human_stars"].keys():
                people, judge = (
                    (row[f"{who}_stars"][name] - 1) / (STARS[name] - 1) for who in ("human", "gpt")
                )
                if people >= 0:
                    rows[name].append((people, judge, row["question_uuid"], len(row["answer"])))
    return {
        name: (
            np.array([r[0] for r in own]),
            np.array([r[1] for r in own]),
            [r[2] for r in own],
            [r[3] for r in own],
        )
        for name, own in rows.items()
    }


@pytest.mark.parametrize(
    ("name", "r", "equal"),
    [
        ("Correctness", 0.70, 0.82),
        ("Explanation Correctness", 0.47, 0.75),
        ("Accuracy", 0.60, 0.63),
        ("Fluency", 0.25, 0.79),
        ("Informativeness", 0.46, 0.56),
    ],
)
def test_agreement_with_people_is_that_recorded(
    name: str, r: float, equal: float, stars: dict[str, tuple[Array, Array, list[str], list[int]]]
) -> None:
    people, judge, questions, _ = stars[name]
    found = agreement(judge, people, clusters=questions, draws=60)
    assert found.pearson is not None
    assert found.pearson.value == pytest.approx(r, abs=0.03)
    assert found.equal == pytest.approx(equal, abs=0.015)
    assert found.kappa is not None and 0.1 < found.kappa < 0.75


def test_length_sways_the_judge_of_explanations(
    stars: dict[str, tuple[Array, Array, list[str], list[int]]],
) -> None:
    people, judge, questions, lengths = stars["Explanation Correctness"]
    found = length_bias(judge, people, lengths, clusters=questions)
    assert found is not None and found.partial is not None
    assert found.slope.low > 0.05 and found.partial > 0.2


@pytest.mark.parametrize("name", ["Correctness", "Accuracy", "Informativeness"])
def test_ppi_intervals_hold_on_real_labels(
    name: str, stars: dict[str, tuple[Array, Array, list[str], list[int]]]
) -> None:
    people, judge, _, _ = stars[name]
    rng = np.random.default_rng(1)
    hits, narrower = 0, []
    for _ in range(600):
        own, rest = rng.integers(0, len(people), 100), rng.integers(0, len(people), 1000)
        found = ppi_mean(people[own], judge[own], judge[rest])
        hits += found.low <= people.mean() <= found.high
        narrower.append(found.se / found.labels_se)
    assert 0.86 <= hits / 600 <= 0.94
    assert np.mean(narrower) < 0.93
    # The judge alone is off by more than its own error would ever say.
    if name != "Correctness":
        assert abs(judge.mean() - people.mean()) > 3 * judge.std() / len(judge) ** 0.5


def test_the_order_of_answers_sways_the_weaker_judge(shared: Path) -> None:
    words = {1: "first", -1: "second", 0: "tie"}
    orders: dict[str, tuple[list[str], list[str]]] = {"gpt3.5": ([], []), "gpt4": ([], [])}
    path = shared / "data/judge_outputs/cherry5pct_vs_alpaca_reviews.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for place, key in zip(orders[row["judge"]], ("scores", "scores_reverse"), strict=True):
                a, b = json.loads(row[key])
                place.append(words[int(np.sign(a - b))])
    weak, strong = (position_bias(*orders[name]) for name in ("gpt3.5", "gpt4"))
    assert weak.consistent < 0.5 < 0.7 < strong.consistent
    assert weak.p < 1e-20 and weak.second > 5 * weak.first and strong.p > 0.05


def test_verdicts_on_pairs_agree_with_the_majority_of_people(shared: Path) -> None:
    worth = {"Tie": "0", "garbage": None}
    said, wanted = [], []
    with gzip.open(shared / "data/preferences/pandalm_999.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            votes = [str(row[f"annotator{k}"]) for k in (1, 2, 3)]
            verdict = worth.get(row["gpt_result"], row["gpt_result"])
            if verdict is not None and len(set(votes)) < 3:
                said.append(verdict)
                wanted.append(max(set(votes), key=votes.count))
    kappa = cohen_kappa(said, wanted)
    assert len(said) > 700 and kappa is not None and 0.4 < kappa < 0.6
