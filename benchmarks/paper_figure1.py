"""BELLE's Figure 1 read again: what each of the paper's sentences needs, and what its data support.

    python benchmarks/paper_figure1.py paper_figure1_scores.csv

The table has the columns type, n_train, score, n_eval: four sizes, one run each.  Item-level error comes from
n_eval (the largest that a score in [0, 1] can have), run-level error from what is typical, as there are no
replicates.  For a claim that the data leave undecided, studies are simulated along the fitted curve with more
items and seeds: the first design, by seeds and then items, with which 8 of 10 decide it.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import read_points
from assay.core import Point, Verdict
from assay.curves import fit_curves, verdicts_between

Array = NDArray[np.float64]
GAIN = 0.02
RUN_SD = 0.01
ITEMS = (200, 500, 1000, 2000, 5000, 10000)
SEEDS = (3, 6, 12)
STUDIES = 40
M = 1_000_000


@dataclass(frozen=True)
class Claim:
    """A step of the ladder and what the paper says of it."""

    start: int
    end: int
    word: str


Design = tuple[int, int]
Job = tuple[str, tuple[Point, ...], Claim]
UP_TO_ONE, FLAT_AFTER = Claim(200_000, M, "rising"), Claim(M, 2 * M, "plateau")
STILL = Claim(M, 2 * M, "rising")
CLAIMS: dict[str, tuple[str, tuple[Claim, ...]]] = {
    "math": ("better up to 1M, then flat", (UP_TO_ONE, FLAT_AFTER)),
    "code": ("better up to 1M, then flat", (UP_TO_ONE, FLAT_AFTER)),
    "cot": ("better up to 1M, then flat", (UP_TO_ONE, FLAT_AFTER)),
    "extraction": ("still rising at 2M", (STILL,)),
    "classification": ("still rising at 2M", (STILL,)),
    "closed_qa": ("still rising at 2M", (STILL,)),
    "summarization": ("still rising at 2M", (STILL,)),
    "open_qa": ("rising", (STILL,)),
    "translation": ("good at 0.2M", (Claim(200_000, 2 * M, "plateau"),)),
    "rewrite": ("good at 0.6M", (Claim(600_000, 2 * M, "plateau"),)),
    "generation": ("rises to 1M, then plateau", (UP_TO_ONE, FLAT_AFTER)),
    "brainstorming": ("best at 0.2M", (Claim(200_000, 2 * M, "plateau"),)),
}


def support(verdict: Verdict, word: str) -> tuple[str, float]:
    """Return whether the data support a claim, and the probability of the claim."""
    p = {"rising": verdict.p_rising, "plateau": verdict.p_plateau}[word]
    if p >= 0.9:
        return "supported", p
    return ("contradicted" if p <= 0.1 else "undecided"), p


def study_of(
    job: Job, sizes: list[int], truth: Array, design: Design, rng: np.random.Generator
) -> list[Point]:
    """Return a simulated study along a curve [K]."""
    seeds, items = design
    spread = np.sqrt(truth * (1 - truth) / items)
    alike = rng.standard_normal() * np.sqrt(0.6)
    apart = rng.standard_normal(len(sizes)) * np.sqrt(0.4)
    level = truth + spread * (alike + apart) + rng.normal(0, RUN_SD, (seeds, len(sizes)))
    return [
        Point(job[0], n, s, "score", float(np.clip(level[s, k], 0, 1)), items)
        for k, n in enumerate(sizes)
        for s in range(seeds)
    ]


def needed(job: Job) -> Design | None:
    """Return the first design (seeds, items) with which 8 of 10 studies decide the claim."""
    kind, points, claim = job
    (curve,) = [c for c in fit_curves(points, smallest_gain=GAIN) if c.type == kind]
    assert curve.band is not None
    sizes = sorted({p.n_train for p in points if p.type == kind})
    truth = np.interp(np.log(sizes), np.log(curve.band.n), curve.band.mean)
    for design in product(SEEDS, ITEMS):
        decided = 0
        for study in range(STUDIES):
            rows = study_of(job, sizes, truth, design, np.random.default_rng([study, *design]))
            (verdict,) = verdicts_between(rows, claim.start, claim.end, smallest_gain=GAIN).values()
            decided += support(verdict, claim.word)[0] != "undecided"
        if decided >= 0.8 * STUDIES:
            return design
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="without the simulated studies")
    options = parser.parse_args()
    folder = Path(os.environ.get("ASSAY_SHARED", "../shared"))
    table = options.table or folder / "data/belle/paper_figure1_scores.csv"
    if not table.exists():
        print(f"skipped: no table at {table}")
        return
    points = tuple(p for p in read_points(table) if p.type != "overall")
    rows = []
    for kind, (sentence, claims) in CLAIMS.items():
        own = sorted((p for p in points if p.type == kind), key=lambda p: p.n_train)
        for claim in claims:
            steps = verdicts_between(points, claim.start, claim.end, smallest_gain=GAIN)
            verdict = steps[kind, "random", "score"]
            rows.append((kind, own, sentence, claim, verdict, *support(verdict, claim.word)))
    jobs = [(row[0], points, row[3]) for row in rows if row[5] == "undecided"]
    with ProcessPoolExecutor() as pool:
        items = dict(zip(jobs, pool.map(needed, jobs), strict=True)) if not options.quick else {}
    head = (
        "type",
        "items",
        "scores at 0.2, 0.6, 1, 2M",
        "the paper",
        "step",
        "gain, 90 %",
        "the data",
        "seeds x items wanted",
    )
    print("| " + " | ".join(head) + " |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, own, sentence, claim, verdict, word, p in rows:
        scores = ", ".join(f"{q.value:.3f}" for q in own)
        step = f"{claim.start / M:g} to {claim.end / M:g}M {claim.word}"
        gain = f"{verdict.gain:+.3f} [{verdict.gain_low:+.3f}, {verdict.gain_high:+.3f}]"
        wanted = items.get((kind, points, claim), ())
        more = "none looked at" if wanted is None else " x ".join(f"{w:,}" for w in wanted)
        cells = (kind, own[0].n_eval, scores, sentence, step, gain, f"{word} {p:.2f}", more)
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
