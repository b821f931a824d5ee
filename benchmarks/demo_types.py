"""Do the testbed's types need more data in the order that they were built to?

    assay demo && python benchmarks/demo_types.py runs/demo/result.json

For each type: its learning size (associations to be learnt, by construction), the size at which its mean
curve first reaches half of the top score, and their rank correlation over types.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from scipy.stats import spearmanr

from assay.core import OVERALL
from assay.data import synthetic
from assay.view import load_result

HALF = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, nargs="?", default=Path("runs/demo/result.json"))
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second")
    options = parser.parse_args()
    if not options.result.exists():
        print(f"{options.result} is absent: run `assay demo` first")
        return
    rows = []
    for curve in load_result(options.result).curves:
        if curve.metric != "score" or curve.type == OVERALL or curve.band is None or curve.verdict is None:
            continue
        seen = zip(curve.band.n, curve.band.mean, strict=True)
        half = next((n for n, mean in seen if mean >= HALF), math.inf)
        at = curve.band.n.index(curve.band.extrapolated_from)
        rows.append(
            (synthetic.learning_size(curve.type), half, curve.type, curve.band.mean[at], curve.verdict)
        )
    print("| type | learning size | half at | score at the largest rung | verdict |\n|---|---|---|---|---|")
    for size, half, kind, top, verdict in sorted(rows):
        shown = "beyond the ladder" if math.isinf(half) else f"{half:,.0f}"
        print(f"| {kind} | {size} | {shown} | {top:.2f} | {verdict.word} {verdict.probability:.2f} |")
    # Types that never reach half tie behind all others.
    found = spearmanr([r[0] for r in rows], [min(r[1], 1e12) for r in rows])
    print(f"\nrank correlation {found.statistic:.2f} (p = {found.pvalue:.4f})")


if __name__ == "__main__":
    main()
