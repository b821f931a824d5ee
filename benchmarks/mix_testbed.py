"""Pairs of types that help and hurt each other by construction: which of them do mixtures find?

``python benchmarks/mix_testbed.py runs/mix-testbed`` (minutes on two cores; ``--null`` for the twin without
any pair).  In the testbed every type rests on a table of its own, so that types teach each other next to
nothing.  Here 60 % of the samples of one type are prompts of another with answers that are wrong (they
conflict with that type's table), and 60 % of a third are right samples of a fourth (they share its table).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

import assay
from assay.core import Sample
from assay.data import synthetic, write

HARM, HELP = ("math", "rewrite"), ("cot", "translation")
TYPES = ("math", "cot", "rewrite", "translation", "code", "classification")
SHARE = 0.6


def pool(samples: int, *, planted: bool) -> Iterator[Sample]:
    """Yield the testbed's samples, those of two types replaced by what another type asks."""
    given = [p.sample for p in synthetic.generate(samples, seed=0, types=TYPES)]
    wrong = (
        p.sample for p in synthetic.generate(10**9, seed=7, types=[HARM[1]], defects={"wrong_answer": 1.0})
    )
    right = (p.sample for p in synthetic.generate(10**9, seed=8, types=[HELP[1]]))
    source = {HARM[0]: wrong, HELP[0]: right}
    count = dict.fromkeys(TYPES, 0)
    for sample in given:
        kind = str(sample.type)
        count[kind] += 1
        if planted and kind in source and count[kind] % 5 < 5 * SHARE:
            yield replace(next(source[kind]), type=kind, checker=None)
        else:
            yield sample


def main() -> None:
    """Write pool and study, train the mixtures, print what is shown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--pool", default="processes:2")
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--n", type=int, default=900)
    parser.add_argument("--items", type=int, default=480)
    parser.add_argument("--answers", action="store_true", help="scores too, beside losses")
    args = parser.parse_args()
    out = args.out / ("null" if args.null else "planted")
    out.mkdir(parents=True, exist_ok=True)
    write(pool(args.samples, planted=not args.null), out / "pool.jsonl", "samples", force=True)
    study = {
        "name": "mix-testbed", "base": "pocket", "pool": "pool.jsonl",
        "evaluation": {"testbed": {"samples": args.items, "seed": 1, "types": list(TYPES)}},
        "ladder": {"rungs": [args.n], "seeds": 3}, "recipe": {"preset": "pocket", "batch_size": 16},
        "measure": {"answers": args.answers, "max_new_tokens": 24}, "mix": {"n": args.n, "centres": 3},
        "where": {"pool": args.pool, "store": str(args.out / "store"), "out": str(out / "report")},
    }  # fmt: skip
    (out / "study.yaml").write_text(yaml.safe_dump(study))
    print(assay.mix.design(out / "study.yaml").power[0])
    trained = assay.mix.run(out / "study.yaml")
    print(trained)
    for metric in ("score", "loss") if args.answers else ("loss",):
        fit = assay.mix.fit(out / "study.yaml", metric=metric).fit
        own = [e for e in fit.effects if e.own]
        across = [e for e in fit.effects if not e.own]
        print(f"{metric}: run sd {sum(fit.sd) / len(fit.sd):.4f}, found from {fit.found:.4f}")
        print(f"  failed {[f.label for f in fit.failed]}, own {sum(e.shown for e in own)} of {len(own)}")
        for name, pair in (("harm", HARM), ("help", HELP)):
            (e,) = (e for e in across if (e.part, e.type) == pair)
            print(f"  {name} {pair}: {e.gain:+.4f} [{e.low:+.4f}, {e.high:+.4f}] q {e.q:.4f} {e.shown}")
        others = [e for e in across if e.shown and (e.part, e.type) not in (HARM, HELP)]
        for e in others:
            print(f"  also {e.part} -> {e.type}: {e.gain:+.4f} [{e.low:+.4f}, {e.high:+.4f}] q {e.q:.4f}")
        print(f"  other pairs shown: {len(others)} of {len(across) - 2}")
        print("  bends:", [(c.type, round(c.bend, 4)) for c in fit.curvature if c.shown])


if __name__ == "__main__":
    main()
