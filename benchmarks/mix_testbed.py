"""Pairs of types that help and hurt each other by construction: which of them do mixtures find?

``python benchmarks/mix_testbed.py runs/mix-testbed`` (minutes on two cores; ``--null`` for the twin without
any pair).  In the testbed every type rests on a table of its own, so that types teach each other next to
nothing.  Here 60 % of the samples of one type are prompts of another answered by another table (each right
answer always replaced by the same wrong one: the tables conflict), and 60 % of a third are right samples of a
fourth (they share its table).  Models are scored on their own answers; ``--losses`` measures losses alone.
``--allocate 3`` divides the same number of samples anew and trains that beside equal shares and the pool's.
``--alike``: all parts are of one kind, so that by construction no division is better than equal shares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

import assay
from assay.core import Sample
from assay.data import synthetic, write
from assay.view import value_markdown

HARM, HELP = ("math", "rewrite"), ("cot", "translation")
TYPES = ("math", "cot", "rewrite", "translation", "code", "classification")
SHARE = 0.6
LANGUAGES, DIFFICULTY = ("en",), 0.3


def pool(samples: int, *, planted: bool) -> Iterator[Sample]:
    """Yield the testbed's samples, those of two types replaced by what another type asks."""
    given = [p.sample for p in _stream(samples, 0, TYPES)]
    source = {HARM[0]: _conflicting(), HELP[0]: (p.sample for p in _stream(10**9, 8, [HELP[1]]))}
    count = dict.fromkeys(TYPES, 0)
    for sample in given:
        kind = str(sample.type)
        count[kind] += 1
        if planted and kind in source and count[kind] % 5 < 5 * SHARE:
            yield replace(next(source[kind]), type=kind, checker=None)
        else:
            yield sample


def _stream(samples: int, seed: int, types: Sequence[str]) -> Iterator[synthetic.Planted]:
    return synthetic.generate(samples, seed=seed, types=types, languages=LANGUAGES, difficulty=DIFFICULTY)


def _conflicting() -> Iterator[Sample]:
    """Yield prompts of the type that is hurt, each right answer replaced by the next in the alphabet."""
    known = sorted({str(p.sample.answer) for p in _stream(2000, 6, [HARM[1]])})
    other = dict(zip(known, known[1:] + known[:1], strict=True))
    for one in _stream(10**9, 7, [HARM[1]]):
        yield Sample.single(
            one.sample.prompt[0].content, other[str(one.sample.answer)], language=one.sample.language
        )


def alike(samples: int, seed: int) -> Iterator[Sample]:
    """Yield samples of one type under the names of six, dealt in turn."""
    for i, one in enumerate(_stream(samples, seed, [TYPES[-1]])):
        yield replace(one.sample, type=TYPES[i % len(TYPES)])


def main() -> None:
    """Write pool and study, train the mixtures, print what is shown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--alike", action="store_true")
    parser.add_argument("--pool", default="processes:2")
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--items", type=int, default=720)
    parser.add_argument(
        "--allocate", type=int, help="train the allocation so many times, in place of a second size"
    )
    parser.add_argument("--losses", action="store_true", help="no answers: losses alone")
    args = parser.parse_args()
    out = args.out / ("alike" if args.alike else "null" if args.null else "planted")
    out.mkdir(parents=True, exist_ok=True)
    given = alike(args.samples, 0) if args.alike else pool(args.samples, planted=not args.null)
    write(given, out / "pool.jsonl", "samples", force=True)
    write(alike(args.items, 1), out / "alike.jsonl", "samples", force=True)
    testbed = {"samples": args.items, "seed": 1, "types": list(TYPES), "languages": list(LANGUAGES)}
    study = {
        "name": "mix-testbed", "base": "pocket", "pool": "pool.jsonl",
        "evaluation": "alike.jsonl" if args.alike else {"testbed": {**testbed, "difficulty": DIFFICULTY}},
        "ladder": {"rungs": [args.n], "seeds": 3}, "recipe": {"preset": "testbed", "batch_size": 16},
        "measure": {"answers": not args.losses, "max_new_tokens": 24, "text": False},
        "mix": {"n": args.n, "centres": 4},
        "where": {"pool": args.pool, "store": str(args.out / "store"), "out": str(out / "report")},
    }  # fmt: skip
    (out / "study.yaml").write_text(yaml.safe_dump(study))
    # What the base runs alone say that the design will see, beside what the fit says it saw.
    planned = assay.mix.run(out / "study.yaml", base=True)
    print(value_markdown(planned))
    print(value_markdown(assay.mix.run(out / "study.yaml")))
    for metric in ("loss",) if args.losses else ("score", "loss"):
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
    if args.allocate is None:
        print(value_markdown(assay.mix.confirm(out / "study.yaml")))
    else:
        print(value_markdown(assay.mix.allocate(out / "study.yaml", args.n, runs=args.allocate)))


if __name__ == "__main__":
    main()
