"""Does the agreement of gradients foretell how much data the testbed's types need?

    assay study run recipes/studies/forecast-pilot.yaml
    assay forecast fit recipes/studies/forecast-pilot.yaml --out pocket.json --most 300 --max-new-tokens 24
    python benchmarks/forecast_testbed.py pocket.json

For each type: the median cosine of its hardest samples' gradients, the area under its measured curve, and its
learning size, which is known by construction; and the rank correlations of the three over types, with 90 %
intervals.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from assay.curves import left_out
from assay.data import synthetic
from assay.regression import rank_correlation


def said(name: str, a: np.ndarray, b: np.ndarray) -> str:
    found = rank_correlation(a, b)
    if found is None:
        return f"{name}: none"
    return f"{name}: {found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}] over {found.n} types"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("coefficients", type=Path, nargs="?", default=Path("pocket.json"))
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second")
    options = parser.parse_args()
    if not options.coefficients.exists():
        print(f"{options.coefficients} is absent: run `assay forecast fit` first")
        return
    known = json.loads(options.coefficients.read_text(encoding="utf-8"))
    cosines, areas = (np.array(known[name]) for name in ("cosines", "areas"))
    sizes = np.array([synthetic.learning_size(kind) for kind in known["types"]])
    print("| type | learning size | cosine | area measured | area from the other types |")
    print("|---|---|---|---|---|")
    foretold = left_out(cosines, areas)
    for row in sorted(zip(sizes, known["types"], cosines, areas, foretold, strict=True)):
        print("| {1} | {0} | {2:+.3f} | {3:.2f} | {4:.2f} |".format(*row))
    print()
    print(said("learning size, smaller first, with area", -sizes, areas))
    print(said("cosine with area", cosines, areas))
    print(said("cosine with learning size, smaller first", cosines, -sizes))
    print(said("area from the other types with area", foretold, areas))


if __name__ == "__main__":
    main()
