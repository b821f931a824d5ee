"""How well types of use are told: the shipped classifier, one trained on labels, keyword rules, the majority.

    python benchmarks/type_classifier.py --labels eval_set.jsonl      (items with types, any language)
    python benchmarks/type_classifier.py --write                      (train the shipped classifier anew)

The public evaluation set of BELLE names ten types: it has no translation and no chain of thought, and calls
translations rewrites.  So the shipped classifier is also shown with its choice held to the types of the file.
A quarter of the prompts (those whose digest begins with 0 to 3) was looked at while its wordings were
written: figures are of the other three quarters.  A classifier trained on labels is measured by
cross-validation.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from assay import data
from assay.core import Sample
from assay.generation import TypedText, TypeQuality, prompt_key, shipped, train_on_labels, train_shipped
from assay.generation._classify import SHIPPED, measure_types
from assay.selection import prompt_of

SHARED = Path(os.environ.get("ASSAY_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))


def row(name: str, quality: TypeQuality) -> None:
    error = "–" if quality.calibration_error is None else f"{quality.calibration_error:.3f}"
    levels = {level.sure: level for level in quality.levels}
    cells = []
    for sure in (0.8, 0.9):
        level = levels.get(sure)
        share = "–" if level is None else f"{level.share:.0%}"
        cells.append(share)
    interval = f"{quality.accuracy:.3f} [{quality.low:.3f}, {quality.high:.3f}]"
    print(
        f"| {name} | {quality.items} | {interval} | {quality.macro_f1:.3f} | {quality.majority:.3f} "
        f"| {quality.rules:.3f} | {error} | {' | '.join(cells)} |",
        flush=True,
    )


def held_to(types: set[str], samples: list[Sample], how: str) -> TypeQuality:
    """Measure the shipped classifier with its choice held to some types."""
    found, model = [prompt_of(s) for s in samples], shipped()
    likely = model.probabilities(found)
    likely[:, [name not in types for name in model.types]] = 0
    likely /= likely.sum(axis=1, keepdims=True)
    named = [model.types[k] for k in likely.argmax(axis=1)]
    return measure_types(
        [s.type or "" for s in samples], named, found, how=how, confidence=likely.max(axis=1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, default=SHARED / "data/belle/eval_set.jsonl")
    parser.add_argument("--write", action="store_true", help="train the shipped classifier and write it")
    parser.add_argument("--quick", action="store_true", help="one training on labels only")
    options = parser.parse_args()
    if options.write:
        train_shipped().save(SHIPPED)
        shipped.cache_clear()
    print(
        "| classifier | items | accuracy [95 %] | macro F1 | majority | keyword rules | ECE "
        "| typed at 0.8 | typed at 0.9 |"
    )
    print("|" + "---|" * 9)
    row("shipped: seed tasks left out", shipped().quality)
    if not options.labels.exists():
        print(f"{options.labels} is absent")
        return
    samples = [s for s in data.read(options.labels) if isinstance(s, Sample) and s.type]
    unseen = [s for s in samples if prompt_key(s)[0] >= "4"]
    texts, truth = [prompt_of(s) for s in unseen], [s.type or "" for s in unseen]
    found = shipped().classify(texts)
    named, sure = [f.type for f in found], [f.probability for f in found]
    quality = measure_types(truth, named, texts, how="unseen", confidence=sure)
    row("shipped: file", quality)
    row("shipped: file, held to its types", held_to(set(truth), unseen, "held"))
    for level in (0.8, 0.9):
        least = shipped().threshold(level)
        typed = np.array(sure) >= least
        right = np.array([a == b for a, b in zip(named, truth, strict=True)])
        print(
            f"\nshipped, sure {level}: {typed.mean():.1%} typed, {right[typed].mean():.1%} of these rightly"
        )
    print("\n| type | items | precision | recall |\n|---|---|---|---|")
    for s in quality.per_type:
        shown = ("–" if v is None else f"{v:.2f}" for v in (s.precision, s.recall))
        print(f"| {s.type} | {s.items} | {' | '.join(shown)} |")
    print()
    labels = [TypedText(prompt_of(s), s.type or "", s.group or prompt_key(s)) for s in samples]
    trained = None
    for count, weight in ((len(labels), 0.1), (len(labels), 0.0), (200, 0.1), (200, 0.0)):
        rows = np.random.default_rng(0).permutation(len(labels))[:count]
        began = time.monotonic()
        trained = train_on_labels(
            [labels[k] for k in rows], languages=("zh",), name="file", own_weight=weight
        )
        row(f"{count} labels, own texts at {weight:g} ({time.monotonic() - began:.0f} s)", trained.quality)
        if options.quick:
            break


if __name__ == "__main__":
    main()
