"""Do indicators agree with raters of Alpaca, and does any say more than the length of the answer?

    python benchmarks/indicator_ratings.py ALPACA RATINGS --rows 26000 --model-rows 4000

RATINGS has one JSON object a line: `index` (line of ALPACA) and one rating per rater.  Spearman correlation
with 90 % intervals (bootstrap over rows), and the partial correlation given the length, for each rater.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from assay.core import Sample
from assay.score import INDICATORS, MODEL_INDICATORS, Undefined, pick

Array = NDArray[np.float64]
DRAWS = 200


def correlation(a: Array, b: Array) -> float:
    """Return Spearman's correlation."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def partial(a: Array, b: Array, given: Array) -> float:
    """Return Spearman's correlation of a and b with the ranks of a third taken out of both."""
    ab, ag, bg = correlation(a, b), correlation(a, given), correlation(b, given)
    return (ab - ag * bg) / np.sqrt(max((1 - ag**2) * (1 - bg**2), 1e-12))


def interval(a: Array, b: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 90 % bootstrap interval of Spearman's correlation, from at most 5,000 rows a draw."""
    size = min(len(a), 5000)
    shrink = np.sqrt(size / len(a))
    centre = correlation(a, b)
    draws = []
    for _ in range(DRAWS):
        rows = rng.integers(0, len(a), size)
        # A draw without one refusal among its rows says nothing of refusals.
        draws.append(correlation(a[rows], b[rows]) if np.ptp(a[rows]) and np.ptp(b[rows]) else np.nan)
    low, high = centre + shrink * (np.nanquantile(draws, (0.05, 0.95)) - centre)
    return float(low), float(high)


def main() -> None:
    folder = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("alpaca", nargs="?", default=str(folder / "alpaca_en_52k/alpaca_data.jsonl.gz"))
    parser.add_argument("ratings", nargs="?", default=str(folder / "alpaca_ratings/ratings.jsonl.gz"))
    parser.add_argument("--rows", type=int, default=26_000)
    parser.add_argument("--model-rows", type=int, default=4000, help="rows for ppl and ifd")
    parser.add_argument("--quick", action="store_true", help="2,000 rows, no model")
    options = parser.parse_args()
    if not (Path(options.alpaca).exists() and Path(options.ratings).exists()):
        print("skipped: no Alpaca, or no ratings of it")
        return
    with gzip.open(options.alpaca, "rt", encoding="utf-8") as lines:
        alpaca = [json.loads(line) for line in lines]
    with gzip.open(options.ratings, "rt", encoding="utf-8") as lines:
        ratings = [json.loads(line) for line in lines][: 2000 if options.quick else options.rows]
    ratings = [r for r in ratings if alpaca[r["index"]]["output"].strip()]
    samples = [_sample(alpaca[r["index"]]) for r in ratings]
    raters = [name for name in ratings[0] if name != "index"]
    lengths = np.array([len(s.answer or "") for s in samples], float)
    print("| indicator | rows | " + " | ".join(f"{r} | given length" for r in raters) + " |")
    print("|---|---|" + "---|---|" * len(raters))
    names = [*INDICATORS, *([] if options.quick else MODEL_INDICATORS)]
    for indicator in pick(names):
        count = options.model_rows if indicator.needs else len(samples)
        values = [np.nan if isinstance(v, Undefined) else v for v in indicator.measure(samples[:count])]
        found = np.array(values)
        defined = np.flatnonzero(~np.isnan(found))
        if len(defined) < 100 or np.ptp(found[defined]) == 0:
            print(f"| {indicator.name} | {len(defined):,} |" + " – | – |" * len(raters))
            continue
        cells = []
        for rater in raters:
            given = np.array([ratings[i][rater] for i in defined], float)
            low, high = interval(found[defined], given, np.random.default_rng(0))
            own = correlation(found[defined], given)
            beyond = partial(found[defined], given, lengths[defined])
            cells.append(f"{own:+.2f} [{low:+.2f}, {high:+.2f}] | {beyond:+.2f}")
        print(f"| {indicator.name} | {len(defined):,} | " + " | ".join(cells) + " |", flush=True)


def _sample(row: dict[str, str]) -> Sample:
    prompt = row["instruction"] + ("\n\n" + row["input"] if row.get("input") else "")
    return Sample.single(prompt, row["output"])


if __name__ == "__main__":
    main()
