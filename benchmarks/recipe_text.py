"""Recipe or data on real text with the pocket model: small ladders, and what each report says of the cause.

``python benchmarks/recipe_text.py runs/recipe-text`` (all studies, or those named with ``--only``), data sets
in ``../shared/data`` or ``$ASSAY_SHARED/data``.  Losses only, two seeds; what is trained is kept in one
store, so that a later run goes on from it.

* ``example``: Chinese instructions as pool, English rows of the same file as evaluation set, rate 1.5e-3.
* ``found``: the same at the rate that the report of ``example`` names.
* ``english``: English Alpaca as pool, Chinese evaluation set, small batches: many steps.
* ``harm``: Chinese instructions whose answers are written backwards, evaluation set as it should be.
* ``low``: Chinese instructions and evaluation set, at a rate that is far too low.
* ``curves``: Chinese instructions, three learning rates, a selection beside random samples, fewer samples at
  equal steps: double descent and the balance point under control.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import assay
from assay import curves
from assay.core import BASE_ARM, Point, StudyResult
from assay.view import words
from assay.view._says import answer_text

Row = dict[str, Any]
POOL, ITEMS = 1500, 80
SHORT = {"rungs": [200, 500, 1200], "seeds": 2}
LONG = {"rungs": [40, 80, 160, 320, 640], "seeds": 2}


def rows(name: str, start: int, stop: int | None) -> list[Row]:
    """Return some rows of a data set; a negative start counts from its end."""
    place = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data" / name
    with gzip.open(place, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in list(file)[start:stop]]


CHINESE = "alpaca_zh/alpaca_zh_human_revised.jsonl.gz"
ENGLISH = "alpaca_en_52k/alpaca_data.jsonl.gz"


def backwards(found: Iterable[Row]) -> list[Row]:
    """Return rows whose answers are written from their end."""
    return [row | {"output": row["output"][::-1]} for row in found]


def chinese() -> tuple[list[Row], list[Row]]:
    """Return a pool and an evaluation set that are alike."""
    return rows(CHINESE, 0, POOL), rows(CHINESE, POOL, POOL + ITEMS)


SETS: dict[str, Callable[[], tuple[list[Row], list[Row]]]] = {
    "example": lambda: (rows(CHINESE, 0, POOL), rows(CHINESE, -ITEMS, None)),
    "found": lambda: (rows(CHINESE, 0, POOL), rows(CHINESE, -ITEMS, None)),
    "english": lambda: (rows(ENGLISH, 0, POOL), rows(CHINESE, POOL, POOL + ITEMS)),
    "harm": lambda: (backwards(rows(CHINESE, 0, POOL)), rows(CHINESE, POOL, POOL + ITEMS)),
    "low": chinese,
    "curves": chinese,
}
SETTINGS: dict[str, Row] = {
    "example": {"ladder": SHORT, "recipe": "testbed"},
    "found": {"ladder": SHORT, "recipe": "pocket"},
    "english": {"ladder": SHORT, "recipe": {"preset": "testbed", "batch_size": 8, "warmup_steps": 4}},
    "harm": {"ladder": SHORT, "recipe": "pocket"},
    "low": {"ladder": SHORT, "recipe": {"preset": "pocket", "learning_rate": 1.5e-4}},
    "curves": {
        "ladder": LONG,
        "recipe": {"preset": "testbed", "batch_size": 16, "warmup_steps": 2},
        "arms": {"longest": {"rule": "longest"}},
        "baselines": False,
        "question": {"recipes": ["lr/3", "lr*3"], "steps_or_samples": True},
    },
}


def study(name: str, out: Path) -> Row:
    """Write the files of a study and return it."""
    places = {}
    for what, found in zip(("pool", "evaluation"), SETS[name](), strict=True):
        target = out / f"{name}-{what}.jsonl"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        target.write_text(text, encoding="utf-8")
        places[what] = str(target)
    where = {"pool": "inline", "store": str(out / "store"), "out": str(out / name)}
    measure = {"answers": False, "text": False}
    return {"name": name, **places, **SETTINGS[name], "measure": measure, "where": where}


def curve(found: StudyResult) -> dict[str, dict[int, float]]:
    """Return the mean loss over seeds by arm and size, and those of the control slice."""
    cells: dict[str, dict[int, list[float]]] = {}
    for point in found.points:
        if point.metric == "loss":
            cells.setdefault(point.arm, {}).setdefault(point.n_train, []).append(point.value)
    for mean in found.control.means if found.control else ():
        cells.setdefault(f"{mean.arm}, {mean.part}", {}).setdefault(mean.n_train, []).append(mean.loss)
    return {
        name: {n: round(sum(v) / len(v), 3) for n, v in sorted(own.items())} for name, own in cells.items()
    }


def said(found: StudyResult) -> Iterator[str]:
    """Yield what the report says and what it rests on."""
    for language in ("en", "zh"):
        yield from answer_text(found, words(language))
    yield from (f"{name}: {own}" for name, own in curve(found).items())
    yield f"causes {found.causes}"
    yield (
        f"check {found.recipe_check}"
        if found.recipe_check is None
        else f"check {vars_of(found.recipe_check)}"
    )
    for one in found.curves:
        yield f"curve {one.arm} {one.type} {one.metric}: {one.verdict}"
    for one in found.recipes.ladders if found.recipes else ():
        yield f"recipe {one.name}: " + "; ".join(f"{c.arm} {c.verdict}" for c in one.curves)
        for arm in sorted({p.arm for p in one.points}):
            own = [p for p in one.points if p.arm == arm and p.metric == "loss"]
            means = {n: [p.value for p in own if p.n_train == n] for n in sorted({p.n_train for p in own})}
            yield f"  {arm} { ({n: round(sum(v) / len(v), 3) for n, v in means.items()}) }"
    yield f"robust {found.recipes.robustness if found.recipes else None}"
    for best in found.recipes.envelopes if found.recipes else ():
        yield f"envelope {best}"
    yield from phenomena(found)
    yield f"steps {found.steps_or_samples}"


def phenomena(found: StudyResult) -> Iterator[str]:
    """Yield double descent and the balance point under each recipe, and of the control slice."""
    name = "own" if found.recipes is None else found.recipes.own
    others = found.recipes.ladders if found.recipes else ()
    every = {name: found.points, **{one.name: one.points for one in others}}
    if found.control is not None:
        every["control slice"] = tuple(
            Point("control", m.n_train, m.seed, "loss", m.loss, n_eval=m.samples, se=m.se, arm=m.arm)
            for m in found.control.means
            if m.part == "control" and m.n_train
        )
    for which, points in every.items():
        own = [p for p in points if p.metric == "loss" and p.arm != BASE_ARM]
        yield from (f"descent {which}: {one}" for one in curves.double_descent(own))
        yield from (f"balance {which}: {one}" for one in curves.balance_points(own))


def vars_of(value: Any) -> dict[str, Any]:
    """Return the fields of a frozen value; none of None."""
    return {} if value is None else {name: getattr(value, name) for name in value.__dataclass_fields__}


def main() -> None:
    """Run the studies and print what each says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/recipe-text"))
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=list(SETS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        found = assay.study.run(study(name, args.out))
        assert isinstance(found, StudyResult)
        print(f"== {name}", *said(found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
