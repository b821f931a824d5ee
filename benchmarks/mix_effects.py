"""Matrices of mixtures against known truths: coverage, power, false words, curvature.

``python benchmarks/mix_effects.py --replicates 100``.  Twelve parts, twelve types; own effects of 0.02 to
0.04 per doubling, two effects of 132 across types for each part (sd 0.012), noise of 0.008 a run unless
said.  The truth of a cell is what the design's two levels average to, over all levels of the other parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from assay.mixtures import MixRuns, fit_effects, mix_design

Array = NDArray[np.float64]
SD = 0.008


def matrix(rng: np.random.Generator, k: int, share: float = 0.17) -> Array:
    """Return effects [parts, types]: own ones on the diagonal, a share of those across."""
    found = np.where(rng.random((k, k)) < share, rng.normal(0, 0.012, (k, k)), 0.0)
    np.fill_diagonal(found, rng.uniform(0.02, 0.04, k))
    return found


def linear(x: Array, gamma: Array, rng: np.random.Generator) -> Array:
    return x @ gamma


def curved(x: Array, gamma: Array, rng: np.random.Generator) -> Array:
    """Own gains get smaller, and pairs of parts share what they teach."""
    k = len(gamma)
    pairs = rng.normal(0, 0.0015, (k, k)) * (rng.random((k, k)) < 0.2)
    both = np.einsum("ri,rj,ij->r", x, x, pairs)[:, None] * rng.normal(0, 1, k)
    return x @ gamma - 0.008 * x**2 + both


def threshold(x: Array, gamma: Array, rng: np.random.Generator) -> Array:
    """Effects act only above the base mixture."""
    return 2 * np.maximum(x, 0) @ gamma


def logistic(x: Array, gamma: Array, rng: np.random.Generator) -> Array:
    """All effects act inside a bounded score."""
    return 1 / (1 + np.exp(-(x @ gamma) * 6)) / 1.5


def normal(rng: np.random.Generator, x: Array, k: int) -> Array:
    return rng.normal(0, SD, (len(x), k))


def heavy(rng: np.random.Generator, x: Array, k: int) -> Array:
    return SD * rng.standard_t(3, (len(x), k)) / np.sqrt(3)


def uneven(rng: np.random.Generator, x: Array, k: int) -> Array:
    """Types differ fourfold, and mixtures with fewer samples are noisier."""
    size = 2.0 ** (-0.5 * x.mean(axis=1, keepdims=True))
    return rng.normal(0, SD, (len(x), k)) * size * np.geomspace(0.5, 2, k)


def shared(rng: np.random.Generator, x: Array, k: int) -> Array:
    """Half of a run's variance is common to its types."""
    return SD * (rng.normal(0, 1, (len(x), 1)) + rng.normal(0, 1, (len(x), k))) / np.sqrt(2)


def failing(rng: np.random.Generator, x: Array, k: int) -> Array:
    """One run in twenty-five fails."""
    return normal(rng, x, k) - 0.15 * (rng.random((len(x), 1)) < 0.04)


def true_effects(truth: Callable[..., Array], gamma: Array, seed: int) -> Array:
    """Return half the mean difference between a part's two levels, over levels of the others."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (4096, len(gamma)))
    x = np.vstack([x, -x])
    y = truth(x, gamma, np.random.default_rng(seed))
    found: Array = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0][1:]
    return found


TRUTHS = {f.__name__: f for f in (linear, curved, threshold, logistic)}
NOISES = {f.__name__: f for f in (normal, heavy, uneven, shared, failing)}


def one(
    seed: int, way: str, k: int, truth: str, noise: str, centres: int = 2, share: float = 0.17
) -> dict[str, float]:
    """Return counts of one simulated study."""
    rng = np.random.default_rng(seed)
    gamma = matrix(rng, k, share)
    design = mix_design({f"t{i}": 100 for i in range(k)}, way, centres=centres, seed=seed)  # type: ignore[arg-type]
    x = np.log2(design.counts / np.array(design.base))
    values = 0.5 + TRUTHS[truth](x, gamma, np.random.default_rng(seed)) + NOISES[noise](rng, x, k)
    labels = tuple(f"run{i}" for i in range(len(x)))
    fit = fit_effects(MixRuns(design.names, design.names, design.counts.astype(float), values, False, labels))
    real = true_effects(TRUTHS[truth], gamma, seed).ravel()
    own = np.array([e.own for e in fit.effects])
    low, high = (np.array([getattr(e, name) for e in fit.effects]) for name in ("low", "high"))
    gain, raw = (np.array([getattr(e, name) for e in fit.effects]) for name in ("gain", "raw"))
    shown = np.array([e.shown for e in fit.effects])
    inside = (low <= real) & (real <= high)
    err = np.array([e.error for e in fit.effects])
    t = 1.645 if fit.freedom > 200 else float(stdtrit(fit.freedom, 0.95))
    plain = np.abs(raw - real) <= t * err
    across, large = ~own, ~own & (np.abs(real) > 0.006)
    wrong = shown & across & ((np.abs(real) < 1e-4) | (np.sign(raw) != np.sign(real)))
    return {
        "own": inside[own].mean(), "across": inside[across].mean(),
        "large": inside[large].mean() if large.any() else np.nan,
        "told": inside[shown & across].mean() if (shown & across).any() else np.nan,
        "raw_own": plain[own].mean(), "raw_across": plain[across].mean(),
        "raw_large": plain[large].mean() if large.any() else np.nan,
        "raw_told": plain[shown & across].mean() if (shown & across).any() else np.nan,
        "sd": np.mean(fit.sd) / SD,
        "power": shown[large].mean() if large.any() else np.nan,
        "false": wrong.sum() / max((shown & across).sum(), 1),
        "width": np.median(high[across] - low[across]) / (2 * 1.645 * SD * 0.204),
        "corr": np.corrcoef(gain[across], real[across])[0, 1],
        "corr_raw": np.corrcoef(raw[across], real[across])[0, 1],
        "rmse": np.sqrt(((gain - real)[across] ** 2).mean() / max(((raw - real)[across] ** 2).mean(), 1e-18)),
        "bent": np.mean([c.shown for c in fit.curvature]) if fit.curvature else np.nan,
        "any_bent": float(any(c.shown for c in fit.curvature)), "failed": float(len(fit.failed)),
    }  # fmt: skip


def main() -> None:
    """Print a line a cell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--parts", type=int, nargs="*", default=[12])
    parser.add_argument("--ways", nargs="*", default=["folded"])
    parser.add_argument("--share", type=float, default=0.17)
    parser.add_argument("--truths", nargs="*", default=list(TRUTHS))
    parser.add_argument("--noises", nargs="*", default=list(NOISES))
    args = parser.parse_args()
    for k in args.parts:
        for way in args.ways:
            for truth in args.truths:
                for noise in args.noises:
                    rows = [one(s, way, k, truth, noise, share=args.share) for s in range(args.replicates)]
                    means = {n: float(np.nanmean([r[n] for r in rows])) for n in rows[0]}
                    print(
                        k, way, truth, noise, " ".join(f"{n} {v:.3f}" for n, v in means.items()), flush=True
                    )


if __name__ == "__main__":
    main()
