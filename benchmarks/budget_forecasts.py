"""Forecasts beside what studies take: five small studies of the pocket model, one after the other.

``python benchmarks/budget_forecasts.py FOLDER --data DATA`` with the folder of public data sets that
``docs/data.md`` names (a quarter of an hour on one core).  All share a new store: of the first nothing is
known; what it took is what the plans of the other four are made from, each before anything of it has run.
They differ in what was seen before: other types, longer answers, real text in two languages, more seeds,
losses alone, an arm.  By the clock, and by processor time, which says more where a machine is shared.
``--again`` prints the table of a folder that has been filled.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import assay
from assay.core import digest

MOST = 500
_FILES = {
    "english": "alpaca_en_52k/alpaca_data",
    "chinese": "alpaca_zh/alpaca_zh_mt",
    "math": "other_pools/gsm8k_train",
}

Row = Mapping[str, Any]


def _rows(data: Path, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(data / f"{_FILES[name]}.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            asked = row.get("question") or "\n".join(filter(None, (row["instruction"], row["input"])))
            answer = row.get("answer") or row.get("output") or ""
            if answer and len(asked) + len(answer) <= MOST:
                yield {"instruction": asked, "output": answer, "type": "math" if name == "math" else name}


def _files(data: Path, folder: Path, name: str, pool: int, items: int) -> dict[str, Any]:
    """Write pool and evaluation set, drawn by the digests of prompts, and return where they are."""
    rows = {row["instruction"]: row for row in _rows(data, name)}
    chosen = [rows[key] for key in sorted(rows, key=digest)[: pool + items]]
    places = {}
    for what, part in (("evaluation", chosen[:items]), ("pool", chosen[items:])):
        place = folder / f"{name}-{what}.jsonl"
        place.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
        places[what] = str(place.resolve())
    return places


def _testbed(samples: int, items: int, types: Sequence[str] = ()) -> dict[str, Any]:
    own = {"types": list(types)} if types else {}
    return {
        "pool": {"testbed": {"samples": samples, **own}},
        "evaluation": {"testbed": {"samples": items, "seed": 1, **own}},
    }


def studies(data: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each study is, and its file."""
    three = _testbed(600, 120, ("math", "code", "rewrite"))
    yield "nothing known: 3 types, answers of 12 tokens", _study(three, [100, 200, 400], 2, answers=12)
    twelve = _testbed(1000, 120)
    yield "12 types, answers of 24", _study(twelve, [100, 200, 400, 800], 2, answers=24)
    english = _files(data, folder, "english", 500, 60)
    yield "real text, English, answers of 48", _study(english, [75, 150, 300], 2, answers=48)
    chinese = _files(data, folder, "chinese", 500, 80)
    yield "real text, Chinese, losses alone, 3 seeds", _study(chinese, [75, 150, 300], 3)
    math = _files(data, folder, "math", 500, 60)
    arms = {"longest": {"rule": "longest"}}
    yield "mathematics, answers of 32, an arm", _study(math, [75, 150, 300], 2, answers=32, arms=arms)


def _study(
    places: Mapping[str, Any], rungs: list[int], seeds: int, *, answers: int = 0, arms: Mapping[str, Any] = {}
) -> dict[str, Any]:
    measure = {"max_new_tokens": answers} if answers else {"answers": False}
    return {
        **places, "base": "pocket", "ladder": {"rungs": rungs, "seeds": seeds}, "measure": measure,
        "recipe": {"preset": "pocket", "batch_size": 16}, "arms": dict(arms), "baselines": False,
    }  # fmt: skip


def measure(folder: Path, name: str, what: str, study: dict[str, Any]) -> dict[str, Any]:
    """Plan a study, run it, and return what was foretold beside what it took."""
    store = folder / "store"
    study |= {"name": name, "where": {"store": str(store), "out": str(folder / name), "pool": "processes:1"}}
    known = assay.study.plan(study).plan.forecast
    load = os.getloadavg()[0]
    assay.study.run(study)
    took = json.loads((store / "runs.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return {
        "what": what, "plan_wall": known.wall, "plan_cpu": known.cpu,
        "low": known.low, "high": known.high, "load": load, "plan_steps": known.steps, **took,
    }  # fmt: skip


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a row per study: steps, then by the clock and by processors what it took, and how far off it was.

    From its plan, and from what was said as each part of it began: trainings that a result asks for, where
    the recipe is open, are in no plan.
    """
    yield "| study | steps (planned) | clock, s | off plan | off | processors, s | off plan | off | load |"
    yield "|" + "---|" * 9
    for row in rows:
        cells = [row["what"], f"{row['steps']} ({row['plan_steps']})"]
        for took, planned, said in (("wall", "plan_wall", "foretold"), ("cpu", "plan_cpu", "foretold_cpu")):
            off = [f"{row[took] / row[name] - 1:+.0%}" for name in (planned, said)]
            cells += [f"{row[took]:.0f}", *off]
        yield "| " + " | ".join([*cells, f"{row['load']:.1f}"]) + " |"


def main() -> None:
    """Run the studies that the folder does not hold yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/budget"))
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data"
    )
    parser.add_argument("--again", action="store_true", help="print the table of what is there")
    parser.add_argument("--quick", action="store_true", help="the first two studies alone")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    place = given.folder / "forecasts.jsonl"
    rows = [json.loads(line) for line in place.read_text().splitlines()] if place.is_file() else []
    if not given.again:
        for number, (what, study) in enumerate(studies(given.data, given.folder)):
            if number < len(rows) or (given.quick and number > 1):
                continue
            rows.append(measure(given.folder, f"forecast{number}", what, study))
            with place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
