"""Learn from real ladders how learning curves move: the numbers in src/assay/curves/learned.json.

    python recipes/curves/learn.py --data ../shared/data/real_curves/real_curves.csv

Expectation-maximisation of a mixture: discrepancies, families, gains per doubling, run-level noise, links and
failed runs all get the weights under which the ladders are likeliest, drawn towards even weights as by some
further ladders.  Not left to the ladders, since one run a size cannot tell noise from a curve that is rough,
are ``EXACT``, that a family holds as it is, ``SIMPLE``, that it is constant, log-linear or a power law, and
``BREAKS`` (decision 21 has the frontier that chose them).  The figures that a run prints are those of the
ladders; nothing but weights, centres and spreads is kept.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from assay.core import Point
from assay.curves._curve import Curve, NoiseWord, _Part
from assay.curves._families import COMPONENTS, FAMILIES
from assay.curves._learned import Learned
from assay.curves._table import Ladder, ladders

SIMPLE_SHARES = {"constant": 0.15, "log-linear": 0.35, "power": 0.5}
EXACT = {"score": 0.91, "loss": 0.4}
SIMPLE = {"score": 0.83, "loss": 0.6}
BREAKS = {"score": ((0.08, 1.0), (0.3, 2.0)), "loss": ((0.0, 0.0), (0.0, 0.0))}
"""Share and size of breaks just beyond the last size, of exact and of rough curves, set by hand too."""
WIDE = 2.0
"""Spread of the logarithm of the run-level sd with which ladders are fitted before noise is learned."""
PSEUDO = {"score": 4.0, "loss": 3.0}
"""How many further ladders the even weights stand for (times 2 for discrepancies, 8 for families)."""


def even(kind: str) -> Learned:
    """Return the prior from which learning starts: even weights over grids that hold what is plausible."""
    cells, gains, noise, damping, failure = _LOSS if kind == "loss" else _SCORE
    return Learned(
        cells=np.array(cells, float),
        cell_weight=np.full(len(cells), 1 / len(cells)),
        family_weight=dict.fromkeys(FAMILIES, 1 / len(FAMILIES)),
        gains=np.array([(mean, sd, 1 / len(gains)) for mean, sd in gains]),
        noise_centre=float(np.log(noise[2])),
        noise_spread=0.8,
        noise_grid=np.geomspace(noise[0], noise[1], 22),
        failure=0.03,
        failure_shift=failure[0],
        failure_spread=failure[1],
        damping=damping,
        straight=0.5,
        breaks=BREAKS[kind],
    )


def _grid(slope: Sequence[float], level: Sequence[float], bent: Sequence[float]) -> list[tuple[float, ...]]:
    """Return discrepancies: none, each kind alone, one of all, and slopes in units of the run-level sd.

    The last are a damped trend of unknown scale: curves that are rough are apt to have noisy runs.
    """
    alone = [(s, 0, 0, 0) for s in slope] + [(0, v, 0, 0) for v in level] + [(0, 0, b, 0) for b in bent]
    relative = [(1, 0, 0, 1), (2.5, 0, 0, 1), (1, 0.5, 0, 1)]
    return [(0, 0, 0, 0), *alone, (slope[1], level[0], bent[1], 0), *relative]


_SCORE = (
    _grid((0.015, 0.045, 0.15, 0.4), (0.03, 0.1, 0.2, 0.4), (0.1, 0.4)),
    ((0.0, 0.02), (0.1, 0.06), (0.3, 0.12), (0.6, 0.25), (1.2, 0.6), (-0.15, 0.15), (0.0, 1.0)),
    (0.004, 1.2, 0.1),
    0.7,
    (1.5, 1.2),
)
_LOSS = (
    _grid((0.002, 0.006, 0.015, 0.04), (0.005, 0.015, 0.05), (0.02, 0.08)),
    ((0.0, 0.005), (0.03, 0.02), (0.06, 0.03), (0.12, 0.06), (-0.03, 0.03), (0.0, 0.2)),
    (0.0006, 0.15, 0.01),
    0.95,
    (0.2, 0.2),
)


def read(path: Path) -> list[Point]:
    """Return the table's points; type and arm hold task and model."""
    with path.open(encoding="utf-8") as file:
        return [
            Point(
                type=row["task"],
                n_train=int(row["n_train"]),
                seed=int(row["seed"]),
                metric="loss" if row["metric"] == "loss" else "score",
                value=float(row["value"]),
                arm=row["model"],
            )
            for row in csv.DictReader(file)
        ]


def half(ladder: Ladder) -> int:
    """Return the half, 0 or 1, of a ladder: losses by model, scores by task, so that halves share neither."""
    name = ladder.arm if ladder.metric == "loss" else ladder.type
    return int(hashlib.md5(name.encode()).hexdigest(), 16) % 2


def fit(
    kind: str, group: Iterable[Ladder], *, exact: float | None = None, simple: float | None = None
) -> Learned:
    """Return the prior that the ladders of one kind teach."""
    prior = even(kind)
    wide = NoiseWord(prior.noise_centre, WIDE)
    parts = [[part for _, part in Curve(ladder, wide, prior, 0.0).parts] for ladder in group]
    for _ in range(40):
        prior = _step(prior, even(kind), parts, PSEUDO[kind])
    return _forced(prior, EXACT[kind] if exact is None else exact, SIMPLE[kind] if simple is None else simple)


def _log_noise(grid: np.ndarray, centre: float, spread: float) -> np.ndarray:
    log: np.ndarray = -0.5 * ((np.log(grid) - centre) / spread) ** 2
    return log - logsumexp(log)


def _under(prior: Learned, start: Learned, part: _Part) -> tuple[np.ndarray, float]:
    """Return the weights [noise x cell, gain, component] of a part under a prior, and its log evidence.

    The part was fitted under ``start`` and wide noise; other weights are factors, nothing is solved anew.
    """
    now = part.posterior.reweighed(prior)
    moved = _log_noise(prior.noise_grid, prior.noise_centre, prior.noise_spread)
    moved = moved - _log_noise(start.noise_grid, start.noise_centre, WIDE)
    kept = np.isin(prior.noise_grid, now.noise.sd)
    weights = now.weights * np.repeat(np.exp(moved[kept]), len(prior.cells))[:, None, None]
    total = float(weights.sum())
    return weights / total, now.log_evidence + math.log(total)


def _link(prior: Learned, part: _Part) -> float:
    """Return the log of a link's weight now over the half that it had when the part was fitted."""
    return math.log(2 * (prior.straight if part.link.kind == "straight" else 1 - prior.straight))


def _step(prior: Learned, start: Learned, parts: list[list[_Part]], pseudo: float) -> Learned:
    cells, noise = np.zeros(len(prior.cells)), np.zeros(len(prior.noise_grid))
    families, gains = dict.fromkeys(FAMILIES, 0.0), np.zeros(len(prior.gains))
    failed = straight = runs = 0.0
    for hypotheses in parts:
        found = [_under(prior, start, part) for part in hypotheses]
        total = np.array([evidence for _, evidence in found])
        before = [part.log_weight - part.posterior.log_evidence + _link(prior, part) for part in hypotheses]
        weight = np.exp(total + before - logsumexp(total + before))
        for part, (weights, _), share in zip(hypotheses, found, weight, strict=True):
            posterior = share * weights
            by = posterior.sum(axis=(1, 2)).reshape(-1, len(cells))
            cells += by.sum(axis=0)
            noise[np.isin(prior.noise_grid, part.posterior.noise.sd)] += by.sum(axis=1)
            for component, w in zip(COMPONENTS, posterior.sum(axis=(0, 1)), strict=True):
                families[component.family] += float(w)
            gains += posterior[:, :, 1:].sum(axis=(0, 2))
            failed += share * len(part.failed)
            straight += share * (part.link.kind == "straight")
        runs += len(hypotheses[0].posterior.data.d)
    n = len(parts)
    log_sd = np.log(prior.noise_grid)
    centre = float(noise @ log_sd / noise.sum())
    spread = math.sqrt(float(noise @ (log_sd - centre) ** 2 / noise.sum()))
    k = 2 * pseudo * 2
    weight = (gains + 0.5 * pseudo) / (gains.sum() + 0.5 * pseudo * len(gains))
    return replace(
        prior,
        cell_weight=(cells + k * start.cell_weight) / (n + k),
        family_weight={f: (w + 2 * k * start.family_weight[f]) / (n + 2 * k) for f, w in families.items()},
        gains=np.column_stack([prior.gains[:, :2], weight]),
        noise_centre=centre,
        noise_spread=max(spread, 0.8),
        failure=max((failed + 0.5) / (runs + 25), 0.02),
        straight=float(np.clip((straight + pseudo) / (n + 2 * pseudo), 0.1, 0.9)),
    )


def _forced(prior: Learned, exact: float, simple: float) -> Learned:
    cells = prior.cell_weight.copy()
    if exact > cells[0]:
        cells = np.concatenate([[exact], cells[1:] / cells[1:].sum() * (1 - exact)])
    families = prior.family_weight
    if simple:
        rest = sum(w for f, w in families.items() if f not in SIMPLE_SHARES)
        families = {
            f: simple * SIMPLE_SHARES[f] if f in SIMPLE_SHARES else (1 - simple) * w / rest
            for f, w in families.items()
        }
    return replace(prior, cell_weight=cells, family_weight=families)


def as_json(prior: Learned) -> dict[str, Any]:
    """Return the prior with six digits."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return float(f"{value:.6g}")

    found: dict[str, Any] = plain({k: v for k, v in asdict(prior).items() if v is not None})
    return found


def main() -> None:
    """Learn, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/real_curves/real_curves.csv"))
    parser.add_argument("--out", type=Path, default=Path("src/assay/curves/learned.json"))
    options = parser.parse_args()
    groups: dict[str, list[Ladder]] = defaultdict(list)
    for ladder in ladders(read(options.data)):
        groups[ladder.metric].append(ladder)
    found: dict[str, Any] = {
        "sources": [
            "linhaowei1/Fine-tuning-Scaling-Law, benchmark/*.csv (Lin et al. 2024, 2402.02314): loss",
            "r-three/dataefficiency, results/finetune_results (Je and Raffel 2025, 2512.24991): score",
        ]
    }
    for kind, group in groups.items():
        prior = fit(kind, group)
        found[kind] = as_json(prior)
        print(kind, len(group), "ladders")
        print(json.dumps(found[kind], indent=1))
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
