"""Six sources of real data: which of them helps or hurts which, on the pocket model.

``python benchmarks/mix_sources.py DATA runs/mix-sources`` with the folder of public data sets that
``docs/data.md`` names (half an hour on one core).  Mathematics (GSM8K), code and roleplay (GPTeacher), short
questions (Alpaca), translation (Alpaca, Self-Instruct, their Chinese versions), Chinese instructions (Alpaca
in Chinese).  Losses on items of the same sources, those of mathematics from GSM8K's test set.  With
``--advice`` a sixth of the base mixture is bought as the fit advises, in equal amounts, and of the weakest
type alone, and each is trained: what did it gain?
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import assay
from assay import mixtures
from assay.core import Sample, digest
from assay.data import Dataset, write
from assay.study import ArmConfig, load
from assay.study._measured import finished
from assay.study._mix import Drawn, StudyMixtures
from assay.study._mix_table import read_runs
from assay.study._noise import measured_run

ITEMS, EACH, MOST = 60, 338, 700
PLAIN: tuple[mixtures.Plain, ...] = ("equal", "weakest")
_QUESTION = re.compile(r"(what|who|when|where|which|how many|name)\b", re.IGNORECASE)

Row = Mapping[str, Any]


def _rows(data: Path, name: str) -> Iterator[Row]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _pairs(
    data: Path, names: tuple[str, ...], takes: Callable[[Row], bool] = lambda row: True
) -> Iterator[tuple[str, str]]:
    """Yield prompt and answer of the rows that are taken and short enough to be seen whole."""
    for row in (row for name in names for row in _rows(data, name)):
        asked = row.get("question") or "\n".join(filter(None, (row["instruction"], row["input"])))
        answer = row.get("answer") or row.get("output") or row.get("response") or ""
        if answer and len(asked) + len(answer) <= MOST and takes(row):
            yield asked, answer


def _translates(row: Row) -> bool:
    return "翻译" in row["instruction"] or "translat" in row["instruction"].lower()


def _asks(row: Row) -> bool:
    return bool(_QUESTION.match(row["instruction"])) and not row["input"] and len(row["output"]) < 120


def sources(data: Path) -> dict[str, Iterator[tuple[str, str]]]:
    """Return prompt and answer of each source."""
    english, chinese = "alpaca_en_52k/alpaca_data", "alpaca_zh/alpaca_zh_mt"
    several = (english, "self_instruct/self_instruct_5k", chinese, "alpaca_zh/zh_extra")
    return {
        "math": _pairs(data, ("other_pools/gsm8k_train",)),
        "code": _pairs(data, ("other_pools/gpteacher_codegen",)),
        "roleplay": _pairs(data, ("other_pools/gpteacher_roleplay",)),
        "open_qa": _pairs(data, (english,), _asks),
        "translation": _pairs(data, several, _translates),
        "chinese": _pairs(data, (chinese,), lambda row: not _translates(row)),
    }


def split(data: Path) -> tuple[list[Sample], list[Sample]]:
    """Return pool and evaluation set: of each source the same number, drawn by the digests of prompts."""
    pool, items = [], []
    tests = dict(_pairs(data, ("eval_sets/gsm8k_test",)))
    for name, found in sources(data).items():
        rows = sorted(dict(found).items(), key=lambda row: digest(row[0]))
        held = (
            sorted(tests.items(), key=lambda row: digest(row[0]))[:ITEMS] if name == "math" else rows[:ITEMS]
        )
        own = rows if name == "math" else rows[ITEMS:]
        print(f"{name}: {len(own):,} for the pool, {min(len(own), EACH):,} taken, {len(held)} items")
        items += [Sample.single(*row, type=name, source=name) for row in held]
        pool += [Sample.single(*row, type=name, source=name) for row in own[:EACH]]
    return pool, items


def _bought(own: StudyMixtures, budget: int) -> dict[str, dict[str, int]]:
    """Return for each way of buying how many samples of each part there are then."""
    runs = read_runs(own.measured(), "loss")
    fit = mixtures.fit_effects(runs)
    value, sd = mixtures.worth(fit, dict.fromkeys(fit.types, 1.0))
    base = dict(zip(own.drawn.design.names, own.drawn.design.base, strict=True))
    offers = mixtures.offers_of(fit.names, base, value, sd, {"get": 1.0})
    level = dict(zip(fit.types, np.median(-runs.values, axis=0).tolist(), strict=True))
    every = {"advice": mixtures.purchase(offers, budget, smallest=0.005)}
    for way in PLAIN:
        every[way] = mixtures.plain(offers, budget, way, level, smallest=0.005)
    for way, one in every.items():
        rows = {row.name: row.samples for row in one.rows}
        print(
            f"{way}: {rows}, cost {one.cost:.0f}, foretold {one.gain:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
        )
    return {
        way: {n: count + sum(r.samples for r in one.rows if r.name == n) for n, count in base.items()}
        for way, one in every.items()
    }


def advised(study: Path, budget: int, seeds: int) -> None:
    """Train what each way of buying gives, and print the gain in mean log loss over the base mixture."""
    own = StudyMixtures(load(study))
    base = _gains(np.log(read_runs(own.measured(), "loss").values[-own.wanted.centres :]))
    print(f"base: {base.mean():.4f}, sd {base.std(ddof=1):.4f} of {len(base)} runs")
    pool = Dataset(own.store.path(own.ladder.pool.key) / "dataset")
    for way, counts in _bought(own, budget).items():
        arms = {}
        for seed in range(seeds):
            place = own.folder / f"{way}{seed}.ids"
            ids = Drawn(replace(own.wanted, seed=10 + seed), pool).take(counts)
            place.write_text("\n".join(ids) + "\n", encoding="utf-8")
            arms[f"{way}{seed}"] = ArmConfig("file", file=str(place.resolve()), rungs=(len(ids),))
        runs = [run for run in own._of(arms, 1) if run.branch is not None]
        finished(own.ladder, [s for r in runs for s in r.parts.values()], own.store, f"mix-sources-{way}")
        items = list(Dataset(own.store.path(own.ladder.evaluation.key) / "dataset"))
        points = [measured_run(own.store, run).points(items) for run in runs]
        losses = [[p.value for p in one if p.metric == "loss" and p.type != "overall"] for one in points]
        gains = _gains(np.log(losses)) - base.mean()
        error = np.hypot(base.std(ddof=1) / len(base) ** 0.5, gains.std(ddof=1) / seeds**0.5)
        each = 100 * gains.mean() / budget
        print(f"{way}: gain {gains.mean():+.4f} (se {error:.4f}), per 100 samples {each:+.4f}")


def _gains(logs: np.ndarray) -> np.ndarray:
    return -logs.mean(axis=1)


def main() -> None:
    """Write pool and study, train the mixtures, print the matrix."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pool", default="processes:2")
    parser.add_argument("--n", type=int, default=960)
    parser.add_argument("--advice", action="store_true", help="buy and train, after the mixtures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for rows, name in zip(split(args.data), ("pool.jsonl", "eval.jsonl"), strict=True):
        write(rows, args.out / name, "samples", force=True)
    study = {
        "name": "mix-sources", "base": "pocket", "pool": "pool.jsonl", "evaluation": "eval.jsonl",
        "ladder": {"rungs": [args.n], "seeds": 3}, "control": False, "recipe_check": False,
        "recipe": {"preset": "pocket", "batch_size": 16, "learning_rate": 5.0e-4},
        "measure": {"answers": False, "text": False},
        "mix": {"n": args.n, "by": "source", "base": "equal", "centres": 4},
        "where": {"pool": args.pool, "store": str(args.out / "store"), "out": str(args.out / "report")},
    }  # fmt: skip
    (args.out / "study.yaml").write_text(yaml.safe_dump(study))
    print(assay.mix.design(args.out / "study.yaml"))
    print(assay.mix.run(args.out / "study.yaml"))
    fit = assay.mix.fit(args.out / "study.yaml").fit
    print(f"run sd {[round(sd, 4) for sd in fit.sd]}, found from {fit.found:.4f}, failed {fit.failed}")
    for e in fit.effects:
        print(f"{e.part} -> {e.type}: {e.gain:+.4f} [{e.low:+.4f}, {e.high:+.4f}] raw {e.raw:+.4f} "
              f"q {e.q:.4f} {'shown' if e.shown else ''}")  # fmt: skip
    print("bends:", [(c.type, round(c.bend, 4), c.shown) for c in fit.curvature])
    if args.advice:
        advised(args.out / "study.yaml", args.n // 6, 3)


if __name__ == "__main__":
    main()
