"""The work of each step: functions of a step context that read inputs and write into ``context.out``."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay import data, judge, model, score, select
from assay.core import AssayError, DataSummary, Sample, SourceRow
from assay.data import testbed
from assay.plan import StepContext

REJECTED = "rejected.jsonl"
SUMMARY = "summary.json"


def write_json(path: Path, value: object) -> None:
    """Write readable JSON; it appears whole, by a rename."""
    with data.replacing_text(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


class Tally:
    """Counts of what a reading kept, rejected and dropped."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.types: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.lengths: list[int] = []
        self.rows: list[SourceRow] = []
        self.seen: set[str] = set()
        self.decontaminated = 0

    def keep(self, sample: Sample) -> None:
        """Count a kept sample."""
        self.types[sample.type or "untyped"] += 1
        self.languages[sample.language or "unknown"] += 1
        self.sources[sample.source or "unnamed"] += 1
        self.lengths.append(len(sample.answer or ""))

    def summary(self) -> DataSummary:
        """Return the frozen counts."""
        marks = {"min": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "max": 1.0}
        lengths = np.asarray(self.lengths or [0])
        return DataSummary(
            sources=tuple(self.rows),
            samples=sum(self.types.values()),
            by_type=dict(self.types.most_common()),
            by_language=dict(self.languages.most_common()),
            by_source=dict(self.sources.most_common()),
            length_quantiles={name: float(np.quantile(lengths, q)) for name, q in marks.items()},
            decontaminated=self.decontaminated,
        )


def read_evaluation(context: StepContext) -> None:
    """Read the evaluation set: every prompt once, with its reference or checker where there is one."""
    tally = Tally()
    samples = map(_typed, _unique(_read(context, tally, split="eval"), tally))
    data.write_dataset(_counted(samples, tally), context.out / "dataset")
    _finish(context.out, tally, "evaluation")


def read_pool(context: StepContext) -> None:
    """Read the pool, drop exact duplicates, and drop samples that hold a prompt of the evaluation set."""
    tally = Tally()
    staging = context.out / "scratch" / "pool"
    samples = _unique(_read(context, tally, split="train"), tally)
    data.write_dataset(_learnable(samples, context.out / REJECTED), staging)
    held = _contaminated(context, data.Dataset(staging))
    tally.decontaminated = len(held)
    with (context.out / REJECTED).open("a", encoding="utf-8") as report:
        for row in held.values():
            report.write(json.dumps(row, ensure_ascii=False) + "\n")
    kept = (sample for row, sample in enumerate(data.Dataset(staging)) if row not in held)
    data.write_dataset(_counted(kept, tally), context.out / "dataset")
    _finish(context.out, tally, "pool")


def _contaminated(context: StepContext, pool: data.Dataset) -> dict[int, dict[str, Any]]:
    """Return the rows that hold a prompt of an evaluation set, each with what is told of it."""
    rules, where = context.config["decontaminate"], context.where
    items = _items(context)
    tools = score.Tools(score.Models(embedder=where["embedder"], cache=Path(where["cache"])))
    prompts = tools.embed(map(select.prompt_of, pool))
    found = select.alike(prompts, tools.embed(map(select.prompt_of, items)), rules["alike"])
    hashes = data.hashed(map(select.prompt_of, pool))
    found |= select.holding(hashes, items, rules["contained"])
    return {
        row: {"place": sample.origin, "reason": f"evaluation: {found[row].detail}",
              "item": items[found[row].item].origin, "score": round(found[row].score, 4)}
        for row, sample in enumerate(pool) if row in found
    }  # fmt: skip


def _items(context: StepContext) -> list[Sample]:
    """Return the items of all evaluation sets; none may be in two, or a search would report on itself."""
    items: list[Sample] = []
    seen: dict[str, tuple[str, str]] = {}
    for name in sorted(name for name in context.inputs if name.startswith("evaluation")):
        for item in data.Dataset(context.inputs[name] / "dataset"):
            own, other = seen.setdefault(select.prompt_of(item), (name, item.origin))
            if own != name:
                raise AssayError(
                    "an item is in two evaluation sets", place=item.origin, value=other,
                    expected="sets apart: to fit on, to search on, to report on",
                    hint="`assay evalset split` makes them",
                )  # fmt: skip
            items.append(item)
    return items


def _typed(sample: Sample) -> Sample:
    """Return the item with a type: its own, or the name of its data set, so that sets stay apart."""
    return sample if sample.type else dataclasses.replace(sample, type=sample.source or "untyped")


def _learnable(samples: Iterable[Sample], rejected: Path) -> Iterator[Sample]:
    with rejected.open("a", encoding="utf-8") as report:
        for sample in samples:
            if sample.answer:
                yield sample
            else:
                row = {"place": sample.origin, "reason": "no answer to learn from"}
                report.write(json.dumps(row, ensure_ascii=False) + "\n")


def _counted(samples: Iterable[Sample], tally: Tally) -> Iterator[Sample]:
    for sample in samples:
        tally.keep(sample)
        yield sample


def _finish(out: Path, tally: Tally, what: str) -> None:
    summary = tally.summary()
    if not summary.samples:
        raise AssayError(
            f"the {what} holds no usable sample",
            place=what,
            value={row.place: f"{row.rejected} of {row.rows} rows rejected" for row in summary.sources},
            hint="`assay data inspect FILE` shows each rejected row with its reason",
        )
    write_json(out / SUMMARY, dataclasses.asdict(summary))


def _unique(samples: Iterable[tuple[int, Sample]], tally: Tally) -> Iterator[Sample]:
    for row, sample in samples:
        if sample.id in tally.seen:
            counts = tally.rows[row]
            tally.rows[row] = dataclasses.replace(
                counts, kept=counts.kept - 1, duplicates=counts.duplicates + 1
            )
            continue
        tally.seen.add(sample.id)
        yield sample


def _read(context: StepContext, tally: Tally, split: testbed.Split) -> Iterator[tuple[int, Sample]]:
    """Yield (index of the source row, sample), writing rejected rows to their report."""
    if "testbed" in context.config:
        settings = dict(context.config["testbed"])
        n, place = int(settings.pop("samples")), f"testbed ({split})"
        tally.rows.append(SourceRow(place, "generated by the testbed", n, n, 0, 0, ""))
        for planted in testbed.generate(n, split=split, **_testbed(settings)):
            yield 0, planted.sample
        return
    with (context.out / REJECTED).open("w", encoding="utf-8") as report:

        def reject(row: data.Rejected) -> None:
            report.write(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n")

        yield from iterate(context.config, context.where, tally, reject, context.progress)


def iterate(
    config: Mapping[str, Any],
    where: Mapping[str, str],
    tally: Tally,
    reject: Callable[[data.Rejected], None],
    progress: Callable[[float, float, str], None] = lambda done, total, unit: None,
) -> Iterator[tuple[int, Sample]]:
    """Yield (index of the source row, sample) of all files, counting rows and handing on the rejected."""
    files = config["files"]
    for index, entry in enumerate(files):
        reading = data.read(where[f"file/{index}"])
        detected = f"{reading.detection.format}: {reading.detection.why}"
        tally.rows.append(SourceRow(entry["name"], detected, 0, 0, 0, 0, entry["digest"]))
        for row in reading:
            counts = tally.rows[index]
            if isinstance(row, Sample):
                tally.rows[index] = dataclasses.replace(counts, rows=counts.rows + 1, kept=counts.kept + 1)
                yield index, row
            else:
                tally.rows[index] = dataclasses.replace(
                    counts, rows=counts.rows + 1, rejected=counts.rejected + 1
                )
                reject(row)
        progress(index + 1, len(files), "file")


def _testbed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


def tokenize(context: StepContext) -> None:
    """Tokenize the pool for one tokenizer and length limit."""
    tokenizer = model.load_tokenizer(Path(context.where["base"]), context.config["template"])
    dataset = data.Dataset(context.inputs["pool"] / "dataset")

    def counted() -> Iterator[Sample]:
        for done, sample in enumerate(dataset):
            if done % 1000 == 0:
                context.progress(done, len(dataset), "sample")
            yield sample

    counts = model.write_tokens(tokenizer, counted(), context.out, context.config["max_tokens"])
    write_json(context.out / "counts.json", counts)


def order(context: StepContext) -> None:
    """Write the order in which an arm takes the samples of the pool; every prefix is a rung.

    Random order sorts by a digest of (seed, id), so that it depends on what the samples say and not on
    where they stood in a file.  A selection is shuffled between one rung and the next: were the best always
    first, it would be a curriculum as well, and a comparison with random would be of both.
    """
    dataset = data.Dataset(context.inputs["pool"] / "dataset")
    config = context.config
    seed, rule = config["seed"], config["rule"]
    ids = dataset.column("id").to_pylist()
    groups = _groups(context, dataset)
    if rule == "file":
        listed = _listed(context.where["file"], ids, config["rungs"][-1])
        chance = select.pick(ids, "random", seed=seed)
        found = _shuffled(np.concatenate([listed, np.setdiff1d(chance, listed)]), chance, config["rungs"])
    elif rule in ("random", "balanced"):
        found = select.pick(ids, rule, groups=groups, seed=seed)
    else:
        found = select.pick(
            ids,
            "top" if rule == "longest" else rule,
            n=config["rungs"][-1],
            score=_wanted(context, dataset),
            groups=groups,
            seed=seed,
            **_compared(context, dataset),
        )
        found = _shuffled(found, select.pick(ids, "random", seed=seed), config["rungs"])
    np.save(context.out / "order.npy", found)


def _listed(place: str, ids: list[str], wanted: int) -> NDArray[np.int64]:
    """Return the pool's rows of a file of samples or ids, in its order."""
    if place.endswith(".ids"):
        listed = Path(place).read_text(encoding="utf-8").split()
    else:
        listed = [row.id for row in data.read(place) if isinstance(row, Sample)]
    rows = {sample: row for row, sample in enumerate(ids)}
    found = [rows[sample] for sample in dict.fromkeys(listed) if sample in rows]
    if len(found) < wanted:
        raise AssayError(
            "the file holds too few samples of the pool",
            place=place,
            value=f"{len(found):,} of {len(listed):,} are in the pool",
            expected=f"at least {wanted:,}, the largest rung",
        )
    return np.array(found, np.int64)


def _groups(context: StepContext, dataset: data.Dataset) -> list[str]:
    """Return what is taken in turn; classes of length are equally large, by rank."""
    kind = context.config.get("groups", "source")
    if kind != "length":
        return [name or "unknown" for name in dataset.column(kind).to_pylist()]
    return select.length_classes(model.TokenTable(context.inputs["tokens"]).lengths.astype(float))


def _wanted(context: StepContext, dataset: data.Dataset) -> NDArray[np.float64] | None:
    """Return how good each sample is, more is better: the length of its answer, or its indicator."""
    import polars

    if context.config["rule"] == "longest":
        return np.array([len(sample.answer or "") for sample in dataset], float)
    if "by" not in context.config:
        return None
    values = polars.read_parquet(context.inputs["scores"] / "scores.parquet")[context.config["by"]].to_numpy()
    found: NDArray[np.float64] = context.config["direction"] * values.astype(float)
    return found


def _compared(context: StepContext, dataset: data.Dataset) -> dict[str, Any]:
    """Return what the arm's rule compares samples by: embeddings, target samples, tags."""
    rule = context.config["rule"]
    if rule == "tags":
        tags = score.Tags(dataset)
        return {"tags": [tags.of(sample) for sample in dataset]}
    if rule not in select.VECTOR_SELECTIONS:
        return {}
    tools = score.Tools(models(context.where))
    found = {"vectors": tools.embed(map(score.whole, dataset))}
    if rule == "target":
        found["targets"] = tools.embed(map(score.whole, tools.target("of the arm")))
    return found


def models(where: Mapping[str, Any]) -> score.Models:
    """Return the models of a step from their places."""

    def samples(places: list[str]) -> tuple[Sample, ...]:
        return tuple(row for place in places for row in data.read(place) if isinstance(row, Sample))

    plain = {name: where[name] for name in ("base", "embedder", "second", "reward", "dialog", "neighbour")}
    target, reference = samples(where["target"]), samples(where["reference"])
    return score.Models(**plain, target=target, reference=reference, cache=Path(where["cache"]))


def _shuffled(order: NDArray[np.int64], chance: NDArray[np.int64], rungs: list[int]) -> NDArray[np.int64]:
    """Put the rows between one rung and the next in the order of ``chance``."""
    places = np.empty(len(order), np.int64)
    places[chance] = np.arange(len(order))
    edges = [0, *rungs, len(order)]
    blocks = [order[start:stop] for start, stop in pairwise(edges)]
    return np.concatenate([block[np.argsort(places[block])] for block in blocks])


def measure(context: StepContext) -> None:
    """Measure one indicator or rule of every sample of the pool."""
    dataset = data.Dataset(context.inputs["pool"] / "dataset")

    def watch(done: int) -> None:
        context.progress(done, len(dataset), "sample")

    score.score(
        dataset,
        context.out / "scores.parquet",
        [context.where["by"]],
        models=models(context.where),
        watch=watch,
    )


def train(context: StepContext) -> None:
    """Train one segment of a run: a part of a trunk, or the branch that ends a rung."""
    config = context.config
    recipe = model.read_recipe(config["recipe"])
    rows = np.load(context.inputs["order"] / "order.npy")
    n_train = config["n_train"] if config["n_train"] is not None else len(rows)
    state = context.inputs.get("state")
    report = model.trainer(recipe.trainer, model.Launch(**context.where["launch"]))(
        model.Segment(recipe, config["seed"], n_train, config["start"], config["stop"]),
        base=Path(context.where["base"]),
        state=None if state is None else state / "state",
        table=model.TokenTable(context.inputs["tokens"]),
        order=rows,
        out=context.out,
        device=context.where["device"],
        advance=context.progress,
    )
    write_json(context.out / "train.json", dataclasses.asdict(report))


def answer(context: StepContext) -> None:
    """Measure a model on the evaluation set: loss on references and answers of its own."""
    import polars

    config = context.config
    trained = context.inputs.get("model")
    base = Path(context.where["base"])
    folder = base if trained is None else trained / "model"
    model.set_threads(config["threads"])
    network = model.load_model(folder, model.pick_device(context.where["device"]), base=base)
    tokenizer = model.load_tokenizer(folder, config["template"])
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    table: dict[str, list[Any]] = {
        "item": [s.id for s in items],
        "type": [s.type or "untyped" for s in items],
    }
    losses = (
        model.reference_loss(
            network, tokenizer, items, max_tokens=config["max_tokens"], advance=context.progress
        )
        if config["loss"]
        else [None] * len(items)
    )
    for name in ("nats", "tokens", "n_bytes"):
        table[name] = [None if loss is None else getattr(loss, name) for loss in losses]
    if config["answers"]:
        decoding = model.Decoding(
            config["max_new_tokens"], config["temperature"], config["top_p"], config["seed"]
        )
        python = model.vllm_python(context.where.get("vllm"))
        if python is None:
            answers = model.answer(network, tokenizer, items, decoding, advance=context.progress)
        else:
            del network  # vLLM wants the GPU for itself
            answers = model.vllm_answer(
                python,
                folder,
                items,
                decoding,
                context.out / "scratch" / "vllm",
                base=base,
                template=config["template"],
                advance=context.progress,
            )
        table["answer"] = [a.text for a in answers]
        table["answer_tokens"] = [a.tokens for a in answers]
        table["ended"] = [a.ended for a in answers]
    polars.DataFrame(table, infer_schema_length=None).write_parquet(context.out / "items.parquet")


def judge_answers(context: StepContext) -> None:
    """Score the answers of one model."""
    import polars

    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    answers = polars.read_parquet(context.inputs["answers"] / "items.parquet")["answer"].to_list()
    rows = []
    for item, text in zip(items, answers, strict=True):
        method = context.config["method"]
        rows.append(judge.judge(item, text, None if method == "auto" else method))
    columns = ("item", "type", "group", "method", "score", "reason")
    table = {c: [getattr(row, c) for row in rows] for c in columns}
    schema = {c: polars.Float64 if c == "score" else polars.String for c in columns}
    polars.DataFrame(table, schema=schema).write_parquet(context.out / "judgements.parquet")
