"""Recipe or data: four planted causes on the testbed, and which of them the first sentence names.

``python benchmarks/planted_causes.py runs/planted-causes`` (some 20 minutes on one core; ``--quick`` for one
seed each).  The base has learned the tasks from 1,000 samples, so that training can do harm.  Every study is
a small ladder of losses on it with its own pool, evaluation set and seeds:

* ``rate``: the learning rate is far too high; the data are right.
* ``low``: it is far too low; the base is the pocket model as it is, which has all to learn.
* ``harm``: the answers of each type are exchanged by a fixed rule: a pool that teaches what is wrong, as
  consistently as the evaluation set asks for what is right.
* ``forgetting``: the pool holds other tasks in English, the evaluation set the learned ones in Chinese.

A study whose ladder shows no harm names no cause but a rate
that is too low; it is counted apart, as it is no answer.  Results are kept
in a log that a later run goes on from.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import assay
from assay.core import Sample, StudyResult
from assay.data import synthetic, write
from assay.view import headline

TYPES = ("classification", "code", "math", "extraction")
OTHERS = ("translation", "summarization", "rewrite", "closed_qa")
RIGHT = {"rate": "recipe", "harm": "data", "forgetting": "data", "low": "low"}
RATES = {"rate": 4e-2, "low": 5e-5}
POOL, RUNGS, ITEMS = 500, [60, 120, 240], 160
LEARNED = 1000


def exchanged(samples: list[Sample]) -> Iterator[Sample]:
    """Yield samples whose answers are those of the next answer of their type and language, by one rule."""
    answers: dict[tuple[str, str], list[str]] = {}
    for sample in samples:
        own = answers.setdefault((str(sample.type), str(sample.language)), [])
        if str(sample.answer) not in own:
            own.append(str(sample.answer))
    for sample in samples:
        own = sorted(answers[str(sample.type), str(sample.language)])
        wrong = own[(own.index(str(sample.answer)) + 1) % len(own)]
        yield Sample.single(
            sample.prompt[0].content, wrong, type=sample.type, language=sample.language, source="planted"
        )


def base(out: Path) -> Path:
    """Return the folder of the pocket model that has learned the tasks."""
    samples = [p.sample for p in synthetic.generate(LEARNED, seed=50, types=TYPES)]
    write(samples, out / "learned.jsonl", "samples", force=True)
    settings = ["batch_size=8", "warmup_steps=5"]
    store = out / "learned-store"
    assay.train(str(out / "learned.jsonl"), out / "base", recipe="testbed", set=settings, store=store)
    return out / "base" / "model"


def study(cause: str, seed: int, folder: Path) -> dict[str, Any]:
    """Write the pool of a planted cause and return the study on it."""
    both = ("en", "zh")
    languages, asked = (("en",), ("zh",)) if cause == "forgetting" else (both, both)
    types = OTHERS if cause == "forgetting" else TYPES
    pool = [p.sample for p in synthetic.generate(POOL, seed=100 + seed, types=types, languages=languages)]
    if cause == "harm":
        pool = list(exchanged(pool))
    folder.mkdir(parents=True, exist_ok=True)
    write([replace(s, checker=None) for s in pool], folder / "pool.jsonl", "samples", force=True)
    testbed = {"samples": ITEMS, "seed": 900 + seed, "types": list(TYPES), "languages": list(asked)}
    recipe: dict[str, Any] = {"preset": "testbed", "batch_size": 8, "warmup_steps": 4}
    recipe |= {"learning_rate": RATES[cause]} if cause in RATES else {}
    start = "pocket" if cause == "low" else str(base(folder.parent))
    return {
        "name": f"{cause}-{seed}", "base": start, "pool": str(folder / "pool.jsonl"),
        "evaluation": {"testbed": testbed}, "ladder": {"rungs": RUNGS, "seeds": 2}, "recipe": recipe,
        "measure": {"answers": False, "text": False},
        "where": {"pool": "inline", "store": str(folder / "store"), "out": str(folder / "report")},
    }  # fmt: skip


def ran(cause: str, seed: int, out: Path) -> dict[str, Any]:
    """Run one study and return what it said."""
    found = assay.study.run(study(cause, seed, out / f"{cause}-{seed}"))
    assert isinstance(found, StudyResult)
    losses: dict[int, list[float]] = {}
    for point in found.points:
        if (point.type, point.metric) == ("overall", "loss"):
            losses.setdefault(point.n_train, []).append(point.value)
    check = found.recipe_check
    return {
        "cause": cause, "seed": seed, "word": word(found),
        "check": None if check is None or check.chosen is None else
        [round(v, 6) for v in (check.chosen.learning_rate, check.chosen.low, check.chosen.high, check.share)],
        "harm": found.causes[0].harm if found.causes else "", "said": headline(found, "en"),
        "loss": {n: round(sum(v) / len(v), 3) for n, v in losses.items()},
        "elsewhere": [
            (e.recipe, round(e.shift.gain, 3), round(e.p_harmless, 3))
            for c in found.causes
            for e in c.elsewhere
        ],
    }  # fmt: skip


def word(found: StudyResult) -> str:
    """Return the cause that the first sentence names."""
    if "too low" in headline(found, "en"):
        return "low"
    return found.causes[0].word if found.causes else "none"


def main() -> None:
    """Run what is not in the log yet, and count what was said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/planted-causes"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--causes", nargs="+", default=list(RIGHT), choices=list(RIGHT))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    log = args.out / "log.jsonl"
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(row["cause"], row["seed"]) for row in rows}
    for seed in range(1 if args.quick else args.seeds):
        for cause in args.causes:
            if (cause, seed) not in done:
                rows.append(ran(cause, seed, args.out))
                with log.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(
                    cause,
                    seed,
                    rows[-1]["word"],
                    rows[-1]["loss"],
                    rows[-1]["elsewhere"],
                    rows[-1]["check"],
                    flush=True,
                )
    for cause in args.causes:
        words = Counter(row["word"] for row in rows if row["cause"] == cause)
        print(f"{cause}: right {words[RIGHT[cause]]} of {words.total()}; said {dict(words)}")


if __name__ == "__main__":
    main()
