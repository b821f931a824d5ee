"""What advice from mixtures is worth: true gains of the allocation and of purchases against plain ways.

``python benchmarks/mix_allocation.py --studies 40``.  Truths as in ``mix_effects.py`` (own effects 0.005 to
0.04, a tenth of the effects across), a pool with uneven shares, weights on some types.  Gains are in the
weighted mean over types, computed from the truth.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict

import numpy as np
from mix_effects import NOISES, Array, matrix

from assay.mixtures import (
    MixEffects,
    MixRuns,
    allocate,
    fit_effects,
    mix_design,
    offers_of,
    plain,
    purchase,
    worth,
)


def study(seed: int, k: int, noise: str) -> tuple[MixEffects, Array, dict[str, int], Array]:
    """Return the fit, the true effects [parts, types], the base counts and the weights."""
    rng = np.random.default_rng(seed)
    gamma = matrix(rng, k, 0.1)
    np.fill_diagonal(gamma, rng.uniform(0.005, 0.04, k))
    share = rng.dirichlet(np.full(k, 6.0))
    base = {f"t{i}": int(max(round(1200 * s), 4)) for i, s in enumerate(share)}
    design = mix_design(base)
    x = np.log2(design.counts / np.array(design.base))
    values = 0.5 + x @ gamma + NOISES[noise](rng, x, k)
    labels = tuple(map(str, range(len(x))))
    counts = design.counts.astype(float)
    fit = fit_effects(MixRuns(design.names, design.names, counts, values, False, labels))
    return fit, gamma, base, rng.dirichlet(np.ones(k))


def main() -> None:
    """Print mean true gains and how often words were right."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--parts", type=int, default=12)
    parser.add_argument("--noise", default="normal", choices=list(NOISES))
    args = parser.parse_args()
    gains, inside, words = defaultdict(list), defaultdict(list), defaultdict(Counter)
    for seed in range(args.studies):
        fit, gamma, base, w = study(seed, args.parts, args.noise)
        weights = dict(zip(fit.types, w.tolist(), strict=True))
        found = allocate(fit, base, 12000, weights=weights, others={"proportional": base})
        value = gamma @ w
        ideal = allocate(_true(fit, gamma), base, 12000, weights=weights)
        for row in (*found.against,):
            true = value @ (np.log2(found.counts) - np.log2(np.maximum(row.counts, 1)))
            best = value @ (np.log2(ideal.counts) - np.log2(np.maximum(row.counts, 1)))
            gains[row.name].append((true, best))
            words[row.name][row.word, bool(true > 0)] += 1
            if row.low is not None:
                inside[row.name].append(row.low <= true <= row.high)
    for name, rows in gains.items():
        mean, best = np.mean(rows, axis=0)
        better, held = np.mean([t > 0 for t, _ in rows]), np.mean(inside[name] or [np.nan])
        print(f"against {name}: true gain {mean:+.4f} of {best:+.4f} possible, better in {better:.2f}")
        print(f"  90 % interval holds {held:.2f}")
        print("  (word, truly better): ", dict(words[name]))
    purchases(args.studies, args.parts, args.noise)


def purchases(studies: int, parts: int, noise: str) -> None:
    """Print true gains per cost of the advice and of plain ways, and how often foretold chances came true."""
    per_cost, inside, chances = defaultdict(list), [], []
    for seed in range(studies):
        fit, gamma, base, w = study(seed, parts, noise)
        rng = np.random.default_rng(seed + 10_000)
        prices = {
            f"{name}:write": float(p) for name, p in zip(base, rng.lognormal(0, 0.7, parts), strict=True)
        }
        value, sd = worth(fit, dict(zip(fit.types, w.tolist(), strict=True)))
        offers = offers_of(fit.names, base, value, sd, prices)
        budget, true = 400.0, gamma @ w
        level = dict(zip(fit.types, rng.uniform(0.2, 0.8, parts).tolist(), strict=True))
        plans = {"advice": purchase(offers, budget, smallest=0.005)}
        plans |= {
            way: plain(offers, budget, way, level, smallest=0.005)
            for way in ("equal", "proportional", "weakest")
        }
        for name, plan in plans.items():
            got = {row.name: row.samples for row in plan.rows}
            gain = sum(true[i] * np.log2(1 + got.get(o.name, 0) / o.held) for i, o in enumerate(offers))
            per_cost[name].append((gain, gain / plan.cost if plan.cost else 0.0))
            if name == "advice":
                inside.append(plan.low <= gain <= plan.high)
                chances.append((plan.pays, gain > 0.005))
    for name, rows in per_cost.items():
        gain, per = np.mean(rows, axis=0)
        print(f"{name}: true gain {gain:+.4f}, per 100 of cost {100 * per:+.4f}")
    foretold, happened = np.mean(chances, axis=0)
    print(
        f"interval holds {np.mean(inside):.2f}; chance that it pays {foretold:.2f}, it did in {happened:.2f}"
    )


def _true(fit: MixEffects, gamma: Array) -> MixEffects:
    from dataclasses import replace

    rows = zip(fit.effects, gamma.ravel().tolist(), strict=True)
    return replace(fit, effects=tuple(replace(e, gain=g, low=g, high=g) for e, g in rows))


if __name__ == "__main__":
    main()
