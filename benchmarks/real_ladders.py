"""Curves against ladders of real language models: is the next measured run where the interval says?

    python benchmarks/real_ladders.py

Fits the first sizes of each ladder of shared data real_curves, predicts the run that was made at twice the
largest, and compares.  Cross-validated: what the engine has learned is learned anew on one half of the models
and tasks (losses halved by model, scores by task) and tested on the other.  Beside it, on the same ladders:
last value, power law with offset, Lin et al.'s rectified law (2402.02314), and the figures of Assay 0.1.0.
The data are read from ``$ASSAY_SHARED/data/real_curves`` or ``../shared/data/real_curves``.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "curves"))
import learn

from assay.core import CurveResult
from assay.curves._curve import Curve, noise_words
from assay.curves._families import Array
from assay.curves._fit import _Asked, _result
from assay.curves._learned import Learned
from assay.curves._table import Ladder, ladders

ROWS = [("loss", k) for k in (4, 7, 10, 13)] + [("score", k) for k in (500, 2500, 5000)]
# Assay 0.1.0 (commit 1ce1faa) on the same ladders, its band against the measured value: cover, median error.
OLD = {
    **dict(zip(ROWS, [(0.91, 0.0268), (0.93, 0.0174), (0.98, 0.0106), (0.93, 0.0104)], strict=False)),
    **dict(zip(ROWS[4:], [(0.87, 0.0239), (0.88, 0.0133), (0.93, 0.0060)], strict=True)),
}
THRESHOLDS = {"score": 0.01, "loss": 0.005}


@dataclass(frozen=True)
class Row:
    """One forecast: the interval of the next run, forecasts of all methods, and what was measured."""

    row: tuple[str, int]
    inside: bool
    width: float
    errors: dict[str, float]
    word: str
    borne_out: bool
    """Whether the measured gain lies where the verdict says, within two sd of a run's noise."""
    strict: bool
    """The same with no allowance for noise."""


def shared() -> Path:
    """Return the folder of the data, or say that it is not there."""
    root = Path(os.environ.get("ASSAY_SHARED", Path(__file__).parents[1] / ".." / "shared"))
    return root / "data" / "real_curves"


def cut(ladder: Ladder, row: tuple[str, int]) -> tuple[list[int], int] | None:
    """Return the places of the sizes that are fitted and of the one that is foretold; None where missing."""
    kind, k = row
    n = ladder.n.astype(int)
    if kind == "loss":
        return (list(range(k)), k) if len(n) > k else None
    last, ahead = np.flatnonzero(n == k), np.flatnonzero(n == 2 * k)
    if not len(last) or not len(ahead) or last[0] < 3:
        return None
    return list(range(last[0] + 1)), int(ahead[0])


def power_law(n: Array, y: Array, ahead: float) -> float:
    """Least squares of E + B n^-beta, the exponent from a fine grid."""
    betas = np.geomspace(0.005, 4, 400)
    x = np.append(n, ahead)[:, None] / n[0]
    features = x**-betas
    centred = features[:-1] - features[:-1].mean(axis=0)
    slopes = (y @ centred) / (centred**2).sum(axis=0)
    best = int(np.argmax(slopes**2 * (centred**2).sum(axis=0)))
    return float(y.mean() + slopes[best] * (features[-1, best] - features[:-1, best].mean()))


def rectified(n: Array, y: Array, ahead: float) -> float:
    """Lin et al.'s law E + B / (D + n^beta): least squares of logs (of 1 - y for scores), some starts."""
    loss = y if y.max() > 1 else 1.0001 - y

    def law(p: Array, at: Array) -> Array:
        return np.exp(p[0]) + np.exp(p[1]) / (np.exp(p[2]) + at ** np.exp(p[3]))

    best = None
    for offset in (0.1, 0.6):
        for d, beta in ((3.0, 0.5), (6.0, 0.8), (0.0, 0.3)):
            b = np.log(max(loss[0] - offset * loss.min(), 1e-3) * (np.exp(d) + n[0] ** beta))
            start = np.array([np.log(offset * loss.min()), b, d, np.log(beta)])
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    fit = least_squares(
                        lambda p: np.nan_to_num(np.log(law(p, n) / loss), nan=1e3), start, max_nfev=400
                    )
                except ValueError:
                    continue
            if best is None or fit.cost < best.cost:
                best = fit
    assert best is not None
    found = float(law(best.x, np.array([ahead]))[0])
    return found if y.max() > 1 else 1.0001 - found


def shorter(ladder: Ladder, places: Sequence[int]) -> Ladder:
    """Return the ladder with some of its sizes."""
    (found,) = ladders(
        p for p in POINTS[ladder.type, ladder.arm] if p.n_train in set(ladder.n[places].astype(int))
    )
    return found


POINTS: dict[tuple[str, str], list] = {}


def load() -> list[Ladder]:
    points = learn.read(shared() / "real_curves.csv")
    POINTS.clear()
    for p in points:
        POINTS.setdefault((p.type, p.arm), []).append(p)
    return ladders(points)


def forecast(ladder: Ladder, row: tuple[str, int], prior: Learned) -> Row | None:
    """Fit the first sizes and compare with the next run."""
    places = cut(ladder, row)
    if places is None:
        return None
    short, ahead = shorter(ladder, places[0]), places[1]
    n, y = float(ladder.n[ahead]), float(ladder.value[ahead])
    (word,) = noise_words([short], prior)
    curve = Curve(short, word, prior, 0.0)
    threshold = THRESHOLDS[row[0]] * (1.0 if row[0] == "score" else float(short.value[-1]))
    result: CurveResult = _result(curve, _Asked(threshold, None, 2.0, None, None))
    assert result.next_run is not None
    assert result.verdict is not None
    # The largest size is foretold at exactly its double.
    mean = result.next_run.value
    errors = {
        "engine": abs(mean - y),
        "last value": abs(float(short.value[-1]) - y),
        "power law": abs(power_law(short.n, short.value, n) - y),
        "rectified": abs(rectified(short.n, short.value, n) - y),
    }
    gain = curve.sign * (y - float(short.value[-1]))
    noise = 2 * np.sqrt(2) * curve.run_sd * float(np.sqrt(short.factor[-1]))
    within = {
        "rising": gain > threshold - noise,
        "plateau": abs(gain) < threshold + noise,
        "falling": gain < -threshold + noise,
        "undecided": True,
    }
    plain = {
        "rising": gain > threshold,
        "plateau": abs(gain) <= threshold,
        "falling": gain < -threshold,
        "undecided": True,
    }
    low, high = result.next_run.low, result.next_run.high
    word = result.verdict.word
    inside = low <= y <= high
    return Row(row, inside, high - low, errors, word, bool(within[word]), bool(plain[word]))


def half_rows(job: tuple[str, int, float | None, float | None]) -> list[Row]:
    """Learn on one half of the ladders of a kind, forecast on the other."""
    kind, fold, exact, simple = job
    own = [ladder for ladder in load() if ladder.metric == kind]
    prior = learn.fit(kind, [x for x in own if learn.half(x) != fold], exact=exact, simple=simple)
    tested = [x for x in own if learn.half(x) == fold]
    found = [forecast(x, row, prior) for row in ROWS if row[0] == kind for x in tested]
    return [row for row in found if row is not None]


def report(rows: list[Row]) -> None:
    """Print the tables."""
    names = list(rows[0].errors)
    print("| ladder | n | cover | 0.1.0 | width | median error: " + " | ".join(names) + " | 0.1.0 |")
    print("|---|---|---|---|---|" + "---|" * (len(names) + 1))
    for key in ROWS:
        own = [r for r in rows if r.row == key]
        if own:
            cells = [f"{np.median([r.errors[name] for r in own]):.4f}" for name in names]
            cover, width = np.mean([r.inside for r in own]), np.median([r.width for r in own])
            head = f"| {key[0]}, {key[1]} | {len(own)} | {cover:.2f} | {OLD[key][0]:.2f} | {width:.3f} | "
            print(head + " | ".join(cells) + f" | {OLD[key][1]:.4f} |")
    print("\n| ladder | nearest other | the engine is nearer | sign test, p |\n|---|---|---|---|")
    for key in ROWS:
        own = [r for r in rows if r.row == key]
        if own:
            print(f"| {key[0]}, {key[1]} | {nearest(own)} |")
    for kind in ("loss", "score"):
        own = [r for r in rows if r.row[0] == kind]
        if own:
            print(f"{kind}: cover {np.mean([r.inside for r in own]):.3f} of {len(own)}")
            for word in ("rising", "plateau", "falling"):
                said = [r for r in own if r.word == word]
                out, strict = sum(r.borne_out for r in said), sum(r.strict for r in said)
                print(f"  {word} {len(said)}, borne out within noise {out}, without allowance {strict}")
    print(f"all: cover {np.mean([r.inside for r in rows]):.3f}")


def nearest(rows: Sequence[Row]) -> str:
    """Say which other forecast has the least median error, and on how many ladders the engine is nearer."""
    others = [name for name in rows[0].errors if name != "engine"]
    best = min(others, key=lambda name: float(np.median([r.errors[name] for r in rows])))
    apart = [r for r in rows if r.errors["engine"] != r.errors[best]]
    won = sum(r.errors["engine"] < r.errors[best] for r in apart)
    return f"{best} | {won} of {len(apart)} | {binomtest(won, len(apart)).pvalue:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exact", type=float, help="weight that a family holds as it is (else the shipped)")
    parser.add_argument(
        "--simple", type=float, help="weight of constant, log-linear and power (else the shipped)"
    )
    parser.add_argument("--kind", choices=("loss", "score"))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if not (shared() / "real_curves.csv").exists():
        sys.exit(f"skipped: no {shared() / 'real_curves.csv'}; set ASSAY_SHARED to the folder of shared data")
    kinds = [options.kind] if options.kind else ["loss", "score"]
    jobs = [(kind, fold, options.exact, options.simple) for kind in kinds for fold in (0, 1)]
    with ProcessPoolExecutor(options.workers) as pool:
        report([row for rows in pool.map(half_rows, jobs) for row in rows])


if __name__ == "__main__":
    main()
