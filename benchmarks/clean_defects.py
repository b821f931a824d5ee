"""Recall and precision of cleaning and indicators on planted defects of known kind and place.

    python benchmarks/clean_defects.py --samples 20000

The testbed plants each kind of defect in 2 % of its samples.  Each kind is looked for by the rule or
indicator that is meant for it; precision counts a sample with any planted defect that the detector is meant
for as right.  A wrong answer and one to another question are not looked for: no text indicator can see them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from assay.core import Sample
from assay.data import synthetic
from assay.indicators import INDICATORS, Undefined
from assay.selection import CleanRules, clean


def by_indicator(name: str, test: Callable[[float], bool]) -> Callable[[Sequence[Sample]], set[int]]:
    """Return a detector: the rows whose indicator passes a test."""

    def detect(samples: Sequence[Sample]) -> set[int]:
        values = INDICATORS[name].measure(samples)
        return {row for row, v in enumerate(values) if not isinstance(v, Undefined) and test(v)}

    return detect


def removed(rules: CleanRules, *names: str) -> Callable[[Sequence[Sample]], set[int]]:
    """Return a detector: the rows that cleaning removes by one of the named rules."""

    def detect(samples: Sequence[Sample]) -> set[int]:
        return {receipt.row for receipt in clean(samples, rules).receipts if receipt.rule in names}

    return detect


DETECTORS: tuple[tuple[str, str, Callable[[Sequence[Sample]], set[int]]], ...] = (
    ("refusal", "refusal = 1", by_indicator("refusal", lambda v: v == 1)),
    ("wrong_language", "language_match = 0", by_indicator("language_match", lambda v: v == 0)),
    ("garbled", "garbled > 0", by_indicator("garbled", lambda v: v > 0)),
    ("truncated", "complete = 0", by_indicator("complete", lambda v: v == 0)),
    ("near_duplicate", "exact or near (0.8)", removed(CleanRules(), "exact", "near")),
    ("near_duplicate", "exact or near (0.5)", removed(CleanRules(near=0.5), "exact", "near")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="2,000 samples")
    options = parser.parse_args()
    count = 2000 if options.quick else options.samples
    planted = list(synthetic.generate(count, seed=5, defects=dict.fromkeys(synthetic.DEFECTS, 0.02)))
    samples = [p.sample for p in planted]
    print("| planted | detector | planted | found | recall | precision |\n|---|---|---|---|---|---|")
    for kind, name, detect in DETECTORS:
        truth = {row for row, p in enumerate(planted) if p.defect == kind}
        found = detect(samples)
        right = len(found & truth)
        precision = f"{right / len(found):.2f}" if found else "–"
        recall = right / len(truth)
        print(f"| {kind} | {name} | {len(truth)} | {len(found)} | {recall:.2f} | {precision} |")


if __name__ == "__main__":
    main()
