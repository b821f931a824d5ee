"""What plan, run, report and dashboard take of 10, 100 and 1,000 runs whose training is simulated.

    python benchmarks/growth_runs.py --shapes 5x2x1 10x5x2 20x10x5

A shape is sizes x seeds x arms.  Steps, store, judgements, curves, report and pages are the real ones; what
a run is trained to and what it answers is drawn, in milliseconds: answers are right and losses fall with
the samples.  Each row is a process of its own; its processor seconds leave out what is drawn and the
loading of libraries.  The dashboard is asked for a study of which half of the runs are measured: its
pages, what it does when it looks again and nothing has changed, and when one more run is measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

TASKS = ("plan", "run", "plan again", "run again", "report", "page", "look", "look, one more run")
ARMS: tuple[dict[str, str], ...] = (
    {"rule": "top", "by": "len_out"}, {"rule": "bottom", "by": "len_out"}, {"rule": "top", "by": "len_in"},
    {"rule": "bottom", "by": "len_in"},
)  # fmt: skip
LOOKS = 5
drawn = 0.0
"""Processor seconds that were spent on drawing."""


def config(folder: Path, shape: str, items: int) -> dict[str, Any]:
    """Return a study of a shape."""
    sizes, seeds, arms = map(int, shape.split("x"))
    rungs = sorted({round(200 * 32 ** (k / max(1, sizes - 1))) for k in range(sizes)})
    return {
        "name": shape, "base": "pocket", "pool": {"testbed": {"samples": 6900, "seed": 0}},
        "evaluation": {"testbed": {"samples": items, "seed": 1}}, "ladder": {"rungs": rungs, "seeds": seeds},
        "recipe": {"preset": "testbed", "batch_size": 16}, "measure": {"max_new_tokens": 24},
        "question": {"satisfied_at": 0.8, "smallest_gain": 0.02}, "baselines": False,
        "arms": {f"arm{k}": arm for k, arm in enumerate(ARMS[: arms - 1])},
        "where": {"store": str(folder / shape / "store"), "out": str(folder / "runs" / shape),
                  "pool": "inline"},
    }  # fmt: skip


def skill(n_train: int, seed: int) -> float:
    """Return the share of right answers after so many samples."""
    return 0.9 - 0.8 * (1 + n_train / 300) ** -0.6 + random.Random(n_train * 1000 + seed).gauss(0, 0.01)


def simulated(step: Callable[[Any], None]) -> Callable[[Any], None]:
    """Count what a step takes as drawn."""

    def run(context: Any) -> None:
        global drawn
        began = time.process_time()
        step(context)
        drawn += time.process_time() - began

    return run


def train(context: Any) -> None:
    """Leave a state or a model: the share of answers that it will have right; and a report."""
    from assay import data, model

    config = context.config
    recipe, start, stop = model.read_recipe(config["recipe"]), config["start"], config["stop"]
    n_train = config["n_train"] or stop * recipe.batch_size
    place = context.out / ("state" if config["n_train"] is None else "model") / "drawn.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(skill(n_train, config["seed"])))
    done = recipe.samples_in(n_train, start, stop)
    trace = tuple((step, 3 * (step + 2) ** -0.2) for step in range(start, stop))
    tokens = (60 * done, 40 * done, 70 * done)
    report = model.TrainReport(stop - start, done, *tokens, done / 300, "cpu", trace, 8192)
    data.write_json(context.out / "train.json", asdict(report))


def answer(context: Any) -> None:
    """Answer every item, as many of them rightly as the model is worth."""
    import polars

    from assay import data
    from assay.core import digest

    made = context.inputs.get("model")
    worth = 0.1 if made is None else json.loads((made / "model" / "drawn.json").read_text())
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    rng = random.Random(digest([str(made), len(items)]))
    table: dict[str, list[Any]] = {"item": [one.id for one in items]}
    table["type"] = [one.type or "untyped" for one in items]
    table["tokens"] = [max(4, len(one.answer or "") // 3) for one in items]
    table["n_bytes"] = [len((one.answer or "").encode()) for one in items]
    table["nats"] = [n * max(0.05, (1 - worth) * 2 + rng.gauss(0, 0.1)) for n in table["tokens"]]
    counts = {"items": len(items), "without_reference": 0, "too_long": 0, "cut": 0}
    if context.config["answers"]:
        table["answer"] = [said(one.answer or "", worth, rng) for one in items]
        table["answer_tokens"], table["ended"] = table["tokens"], [True] * len(items)
        counts["unended"] = 0
    polars.DataFrame(table).write_parquet(context.out / "items.parquet")
    data.write_json(context.out / "counts.json", counts)


def text(context: Any) -> None:
    """Give the paragraphs of plain texts a loss that rises a little with training."""
    import polars

    from assay import data

    made = context.inputs.get("model")
    worth = 0.1 if made is None else json.loads((made / "model" / "drawn.json").read_text())
    rng = random.Random(worth)
    rows = [
        {"text": name, "part": part, "nats": 120 + 4 * worth + rng.gauss(0, 0.4), "tokens": 40, "cut": False}
        for name in context.config["texts"]
        for part, _ in enumerate(data.read_texts(context.where["texts"][name]))
    ]
    polars.DataFrame(rows).write_parquet(context.out / "text.parquet")


def said(reference: str, worth: float, rng: random.Random) -> str:
    """Return the reference, or a part of it with a number that is not."""
    if rng.random() < worth:
        return reference
    return f"{reference[: rng.randrange(len(reference) + 1)]} {rng.randrange(1000)}"


def drawing() -> None:
    """Let models be drawn in this process instead of trained and asked."""
    from assay.study.steps import _measure, _text, _train

    _train.train, _measure.answer, _text.text = (simulated(one) for one in (train, answer, text))


def task(name: str, folder: Path, shape: str, items: int) -> dict[str, Any]:
    """Do what a row is about; return what it tells."""
    from assay import study

    asked = config(folder, shape, items)
    if name.startswith("plan"):
        return {"steps": sum(row.to_do for row in study.plan(asked).plan.rows)}
    if name.startswith("run"):
        drawing()
        return {"points": len(study.run(asked).points)}
    place = folder / "runs" / shape
    if name == "report":
        study.report(place / "result.json", out=folder / "again")
        files = {file.name: file.stat().st_size / 1e6 for file in (folder / "again").iterdir()}
        return {"report.html MB": files["report.html"], "all files MB": sum(files.values())}
    return dashboard(name, place)


@contextmanager
def half_done(place: Path) -> Iterator[Callable[[], None]]:
    """Take away the result and half of the models with what is measured; give what puts one back."""
    from assay.plan import Store, read_steps

    listed = read_steps(place)
    store = Store(listed.store)
    models = json.loads((place / "models.json").read_text())["models"]
    random.Random(0).shuffle(models)
    away = place.parent.parent / f"{place.name}-away"
    away.mkdir()
    gone = [(listed.steps[-1].key,)] + [
        tuple(m[part] for part in ("key", "answer", "judged") if m[part]) for m in models[: len(models) // 2]
    ]
    (place / "result.json").rename(away / "result.json")
    for key in {key for keys in gone for key in keys}:
        store.place(key).rename(away / key)
        (store.root / "work" / f"{key}.lock").unlink(missing_ok=True)  # nobody has begun it

    def back() -> None:
        for key in gone.pop():
            (away / key).rename(store.place(key))

    try:
        with store.at_work(listed.run):
            yield back
    finally:
        while gone:
            back()
        (away / "result.json").rename(place / "result.json")
        away.rmdir()


def dashboard(name: str, place: Path) -> dict[str, Any]:
    """Ask for the page of a study, and for the list of all, or look again as an open page does."""
    from assay.jobs._shelf import Shelf
    from assay.serving._site import _templates
    from assay.serving._studies import live_parts, state_parts
    from assay.web import site_words

    def never(place: Any, device: str) -> Any:
        raise AssertionError("no model is opened")

    shelf, pages, words = Shelf(place.parent, (), never), _templates(), site_words("en", "serve")

    def look(*, fitted: bool = True) -> int:
        rows = state_parts(pages, list(shelf.studies("en")), words)
        found = shelf.live(place.name, "en", fitted=fitted)
        assert found is not None
        return len(json.dumps([dict(live_parts(pages, found, words)), dict(rows)]))

    with half_done(place) as back:
        if name == "page":
            began = time.process_time()
            look(fitted=False)
            page = time.process_time() - began
            size = look()
            return {"page s": page, "page with curves MB": size / 1e6}
        look()
        began, wall = time.process_time(), time.perf_counter()
        for _ in range(LOOKS):
            if name != "look":
                back()
            look()
        spent = (time.process_time() - began) / LOOKS
        return {"cpu": spent, "seconds": (time.perf_counter() - wall) / LOOKS}


def measured(name: str, folder: Path, shape: str, items: int) -> None:
    import numpy  # noqa: F401 - libraries are no part of what grows
    import polars  # noqa: F401

    from assay import curves, plan, study, view  # noqa: F401

    began, cpu = time.perf_counter(), time.process_time()
    with plan.quiet():
        found = task(name, folder, shape, items)
    times = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu - drawn, "drawn": drawn}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(times | {"mb": peak} | found))


def row_of(name: str, folder: Path, shape: str, items: int) -> str:
    """Do a task in a process of its own and return its row of the table."""
    command = [sys.executable, __file__, "--items", str(items), "--task", name, str(folder), shape]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    got = json.loads(done.stdout.splitlines()[-1])
    sizes, seeds, arms = map(int, shape.split("x"))
    told = [f"{key} {value:,.4g}" for key, value in got.items() if key not in ("seconds", "cpu", "mb")]
    return (f"| {name} | {math.prod((sizes, seeds, arms)):,} | {got['cpu']:.3f} | {got['seconds']:.2f} "
            f"| {got['mb']:,.0f} | {', '.join(told)} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["5x2x1", "10x5x2", "20x10x5"])
    parser.add_argument("--items", type=int, default=480, help="of the evaluation set")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--folder", type=Path, help="where studies are kept; by default nowhere")
    parser.add_argument("--quick", action="store_true", help="ten runs, 48 items")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measured(options.task[0], Path(options.task[1]), options.task[2], options.items)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        print("| | runs | processor s | s | peak MB | |\n|---|---|---|---|---|---|", flush=True)
        for shape in options.shapes[:1] if options.quick else options.shapes:
            for name in options.tasks:
                print(row_of(name, folder, shape, 48 if options.quick else options.items), flush=True)


if __name__ == "__main__":
    main()
