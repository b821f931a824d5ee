"""Do indicators agree with raters of Alpaca, and does any say more than the length of the answer?

    python benchmarks/indicator_ratings.py ALPACA RATINGS --subsets SUBSETS --fit rule.json

RATINGS has one JSON object a line: `index` (line of ALPACA) and one rating per rater.  Spearman correlation
with 90 % intervals (bootstrap over rows), and the partial correlation given the length, for each rater.
SUBSETS are lists of lines that papers selected: how much of each the best by an indicator, equally many of
the rated rows, hold, and how much random rows would.  ``--fit`` writes a rule, least squares of the mean
standardised rating on a few indicators over half of the rows, and prints its correlation on the other half.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from assay.core import Sample
from assay.indicators import INDICATORS, Models, Undefined, direction, ready

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


RULE = ("len_in", "len_out", "compression", "overlap", "novelty", "knn")


def measured(names: list[str], samples: list[Sample], models: Models) -> dict[str, Array]:
    """Return a column for each indicator, NaN where it is undefined."""
    columns = {}
    for indicator in ready(names, models, samples):
        assert indicator.measure is not None
        values: list[float] = []
        for start in range(0, len(samples), 256):
            found = indicator.measure(samples[start : start + 256])
            values += [np.nan if isinstance(v, Undefined) else v for v in found]
        columns[indicator.name] = np.array(values)
    return columns


def correlations(columns: dict[str, Array], ratings: dict[str, Array], lengths: Array) -> None:
    """Print the correlation of every column with every rater."""
    print("| indicator | rows | " + " | ".join(f"{r} | given length" for r in ratings) + " |")
    print("|---|---|" + "---|---|" * len(ratings))
    for name, values in columns.items():
        defined = np.flatnonzero(~np.isnan(values))
        if len(defined) < 100 or np.ptp(values[defined]) == 0:
            print(f"| {name} | {len(defined):,} |" + " – | – |" * len(ratings))
            continue
        cells = []
        for given in ratings.values():
            low, high = interval(values[defined], given[defined], np.random.default_rng(0))
            own = correlation(values[defined], given[defined])
            beyond = partial(values[defined], given[defined], lengths[defined])
            cells.append(f"{own:+.2f} [{low:+.2f}, {high:+.2f}] | {beyond:+.2f}")
        print(f"| {name} | {len(defined):,} | " + " | ".join(cells) + " |", flush=True)


def overlaps(columns: dict[str, Array], subsets: dict[str, set[int]]) -> None:
    """Print the share of each published subset among as many of the best rows by each column."""
    print("\n| best by | " + " | ".join(f"{n} ({len(rows):,})" for n, rows in subsets.items()) + " |")
    print("|---|" + "---|" * len(subsets))
    for name, values in columns.items():
        sign = direction(name) if name in INDICATORS else 1
        order = np.argsort(-np.where(np.isnan(values), -np.inf, sign * values), kind="stable")
        shares = [len(rows & set(order[: len(rows)].tolist())) / len(rows) for rows in subsets.values()]
        print(f"| {name} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    size = len(next(iter(columns.values())))
    print(
        "| at random | " + " | ".join(f"{len(rows) / size:.2f}" for rows in subsets.values()) + " |",
        flush=True,
    )


def fit(columns: dict[str, Array], ratings: dict[str, Array], out: Path) -> None:
    """Fit a rule on the even rows, print its correlations on the odd ones, and write it."""
    target = np.mean([(r - r.mean()) / r.std() for r in ratings.values()], axis=0)
    table = np.column_stack([columns[name] for name in RULE])
    usable = ~np.isnan(table).any(axis=1)
    train, test = (usable & (np.arange(len(target)) % 2 == side) for side in (0, 1))
    design = np.column_stack([np.ones(train.sum()), table[train]])
    weights = np.linalg.lstsq(design, target[train], rcond=None)[0]
    predicted = weights[0] + table[test] @ weights[1:]
    print("\n| rater | rule | length alone | rows |\n|---|---|---|---|")
    for rater, given in ratings.items():
        own, length = correlation(predicted, given[test]), correlation(columns["len_out"][test], given[test])
        print(f"| {rater} | {own:+.3f} | {length:+.3f} | {test.sum():,} |")
    rule = {
        "name": "alpaca-raters",
        "predicts": "mean standardised rating",
        "direction": 1,
        "intercept": round(float(weights[0]), 6),
        "coefficients": {n: round(float(w), 8) for n, w in zip(RULE, weights[1:], strict=True)},
        "source": "least squares on half of the ratings of Alpaca by three LLM raters (DS2, 2410.10877)",
        "models": {"embedder": "minilm"},
        "rows": int(train.sum()),
        "command": "python benchmarks/indicator_ratings.py --fit recipes/studies/alpaca-rule.json",
    }
    out.write_text(json.dumps(rule, indent=1) + "\n", encoding="utf-8")
    print(f"\nwrote {out}")


def lines_of(path: str) -> list[dict[str, Any]]:
    """Return the rows of gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    folder = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("alpaca", nargs="?", default=str(folder / "alpaca_en_52k/alpaca_data.jsonl.gz"))
    parser.add_argument("ratings", nargs="?", default=str(folder / "alpaca_ratings/ratings.jsonl.gz"))
    parser.add_argument("--subsets", default=str(folder / "alpaca_ratings/published_subsets.jsonl.gz"))
    parser.add_argument(
        "--cache", type=Path, default=Path(".assay/scores"), help="folder of values of models"
    )
    parser.add_argument("--models", default="ppl,ifd,ifd_ppl,knn", help="indicators that need a model")
    parser.add_argument("--rows", type=int, help="so many rated rows, from the first")
    parser.add_argument("--fit", type=Path, help="write a rule fitted on half of the ratings")
    parser.add_argument("--quick", action="store_true", help="2,000 rows, no model")
    options = parser.parse_args()
    if not (Path(options.alpaca).exists() and Path(options.ratings).exists()):
        print("skipped: no Alpaca, or no ratings of it")
        return
    alpaca = lines_of(options.alpaca)
    ratings = lines_of(options.ratings)[: 2000 if options.quick else options.rows]
    ratings = [r for r in ratings if alpaca[r["index"]]["output"].strip()]
    samples = [_sample(alpaca[r["index"]]) for r in ratings]
    given = {name: np.array([r[name] for r in ratings], float) for name in ratings[0] if name != "index"}
    names = [name for name, indicator in INDICATORS.items() if not set(indicator.needs) - {"pool"}]
    if not options.quick:
        names += options.models.split(",")
    columns = measured(names, samples, Models(cache=options.cache))
    lengths = np.array([len(s.answer or "") for s in samples], float)
    correlations(columns, given, lengths)
    place = {r["index"]: row for row, r in enumerate(ratings)}
    chosen: dict[str, set[int]] = {}
    for row in lines_of(options.subsets) if Path(options.subsets).exists() else []:
        for index in row["index"] if isinstance(row["index"], list) else [row["index"]]:
            if index in place:
                chosen.setdefault(row["subset"], set()).add(place[index])
    if chosen:
        overlaps({**columns, "mean rating": np.mean(list(given.values()), axis=0)}, chosen)
    if options.fit:
        fit(columns, given, options.fit)


def _sample(row: dict[str, str]) -> Sample:
    prompt = row["instruction"] + ("\n\n" + row["input"] if row.get("input") else "")
    return Sample.single(prompt, row["output"])


if __name__ == "__main__":
    main()
