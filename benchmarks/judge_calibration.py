"""Do prediction-powered intervals hold what they promise on real labels, and what do they save?

    python benchmarks/judge_calibration.py [--quick]

Each set of answers with scores by people and by a judge is taken as a population whose mean by people is
known.  Over and over some rows are drawn as labelled and others as judged only; printed is how often the 90 %
interval holds the mean, with PPI++ and with the labels alone, the ratio of their widths, and how many labels
alone would do as well.  Populations: stars of llmeval-2 (people, GPT-4) by criterion; differences between two
models on the same questions; whole questions at a time (clusters); verdicts of PandaLM's pairs (majority of
three, GPT-3.5).  Before them, without any data: invented populations with 30 labels, the fewest for which the
coverage is promised (0.88 or more), among them rare and skewed scores.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from judge_agreement import STARS, lines_of
from numpy.typing import NDArray
from scipy.stats import t as student

from assay.judging import ppi_mean

Array = NDArray[np.float64]
HEAD = (
    "| population | ρ | labels | judged only | λ | coverage PPI++ | coverage labels "
    "| width ratio | labels saved |"
)


def rows_of(folder: Path) -> dict[str, list[tuple[str, str, float, float]]]:
    """Return (question, model, people, judge) by criterion, in [0, 1]."""
    found: dict[str, list[tuple[str, str, float, float]]] = defaultdict(list)
    for row in lines_of(folder / "preferences/llmeval2_zh_answers.jsonl.gz"):
        for name, people in row["human_stars"].items():
            if people >= 1:
                high = STARS[name] - 1
                entry = ((people - 1) / high, (row["gpt_stars"][name] - 1) / high)
                found[name].append((row["question_uuid"], row["llm_name"], *entry))
    return found


def trial(
    name: str, people: Array, judge: Array, n: int, m: int, draws: int, clusters: NDArray[Any] | None = None
) -> None:
    """Print one row: coverage and widths over ``draws`` samples of ``n`` labelled and ``m`` judged rows."""
    rng = np.random.default_rng(0)
    truth = float(people.mean())
    bounds = (-1.0, 1.0) if people.min() < 0 else (0.0, 1.0)
    hits, alone, ratios, powers, savings = 0, 0, [], [], []
    groups = None
    if clusters is not None:
        _, place = np.unique(clusters, return_inverse=True)
        groups = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    for _ in range(draws):
        if groups is None:
            one, other = rng.integers(0, len(people), n), rng.integers(0, len(people), m)
            found = ppi_mean(people[one], judge[one], judge[other], bounds=bounds)
            freedom = n - 1
        else:
            # Questions drawn with replacement are clusters of their own, however often they come.
            picked = [rng.integers(0, len(groups), k) for k in (n, m)]
            one, other = (np.concatenate([groups[g] for g in chosen]) for chosen in picked)
            names = [
                [f"{side}{k}" for k, g in enumerate(chosen) for _ in groups[g]]
                for side, chosen in zip("lu", picked, strict=True)
            ]
            found = ppi_mean(
                people[one], judge[one], judge[other], clusters=names[0], clusters_only=names[1],
                bounds=bounds,
            )  # fmt: skip
            freedom = n - 1
        reach = float(student.ppf(0.95, freedom)) * found.labels_se
        hits += found.low <= truth <= found.high
        alone += abs(found.labels_mean - truth) <= reach
        ratios.append((found.high - found.low) / (2 * reach) if reach else math.nan)
        savings.append((found.labels_se / found.se) ** 2 if reach else math.nan)
        powers.append(found.power)
    rho = np.corrcoef(people, judge)[0, 1]
    print(
        f"| {name} | {rho:.2f} | {n} | {m} | {np.mean(powers):.2f} | {hits / draws:.1%} "
        f"| {alone / draws:.1%} | {np.nanmean(ratios):.2f} | {np.nanmean(savings):.2f}× |",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="200 draws a row")
    draws = 200 if options.parse_args().quick else 2000
    print(f"{draws:,} draws per row, nominal coverage 90 %\n\n{HEAD}\n|{'---|' * 9}")
    for name, invented in simulated().items():
        for n in (30, 50):
            trial(f"invented: {name}", invented[:, 0], invented[:, 1], n, 600, draws)
    folder = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data"
    if not (folder / "preferences").is_dir():
        print("skipped: no human labels")
        return
    criteria = rows_of(folder)
    for name, rows in criteria.items():
        people, judge = (np.array([r[k] for r in rows]) for k in (2, 3))
        for n in (30, 50, 100, 200):
            trial(f"stars: {name}", people, judge, n, 1000, draws)
    for name in ("Correctness", "Accuracy"):
        for a, b in (("GPT4", "belle-7b-2m"), ("chatglm2-6b", "belle-7b-2m"), ("GPT3.5", "chatglm2-6b")):
            one, other = ({r[0]: r[2:] for r in criteria[name] if r[1] == model} for model in (a, b))
            both = sorted(set(one) & set(other))
            pairs = np.array([np.subtract(one[q], other[q]) for q in both])
            trial(f"difference {a} − {b}: {name}", pairs[:, 0], pairs[:, 1], 60, 300, draws)
    rows = criteria["Accuracy"]
    people, judge = (np.array([r[k] for r in rows]) for k in (2, 3))
    questions = np.array([r[0] for r in rows])
    trial("whole questions: Accuracy", people, judge, 40, 200, min(draws, 1000), questions)
    verdicts = pairwise(folder)
    trial("PandaLM verdicts", verdicts[:, 0], verdicts[:, 1], 60, 600, draws)


def simulated() -> dict[str, Array]:
    """Return invented scores by people and by a judge, 100,000 rows each: even, skewed, rare, differences."""
    rng, found = np.random.default_rng(1), {}
    for rho in (0.3, 0.6, 0.9):
        f, noise = rng.normal(size=(2, 100_000))
        y = rho * f + np.sqrt(1 - rho**2) * noise
        pairs = {
            "even": (0.5 + 0.18 * y, 0.5 + 0.18 * f),
            "right or wrong": (y > 0, f > 0),
            "wrong in 16 %": (y > 1, f > 0.8),
            "wrong in 5 %": (y > 1.645, 1 / (1 + np.exp(1 - f))),
            "stars near the top": (np.round(3.3 + y) / 4, np.round(3 + 1.2 * f) / 4),
            "skewed": (np.exp(y - 2.5), np.exp(f - 2.5)),
        }
        for name, both in pairs.items():
            found[f"{name}, ρ = {rho}"] = np.clip(np.array(both, float).T, 0, 1)
        found[f"differences, ρ = {rho}"] = np.clip(
            np.array([0.05 + 0.2 * y * np.abs(noise), 0.2 * f]).T, -1, 1
        )
    return found


def pairwise(folder: Path) -> Array:
    """Return the majority's and GPT-3.5's verdicts as 0 (second better), 0.5, 1."""
    worth = {"1": 1.0, "0": 0.5, "Tie": 0.5, "2": 0.0}
    rows = []
    for row in lines_of(folder / "preferences/pandalm_999.jsonl.gz"):
        votes = [worth[str(row[f"annotator{k}"])] for k in (1, 2, 3)]
        if row["gpt_result"] in worth:
            rows.append((float(np.median(votes)), worth[row["gpt_result"]]))
    return np.array(rows)


if __name__ == "__main__":
    main()
