"""Read the evaluation set and the pool: every row kept or rejected with a reason."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay import data, indicators, model, selection, view
from assay.core import AssayError, DataSummary, Sample, SourceRow, digest, file_digest, read_json
from assay.data import synthetic
from assay.plan import Estimate, Step, StepContext
from assay.study._config import TestbedConfig

REJECTED = "rejected.jsonl"
SUMMARY = "summary.json"


def read_step(
    name: Literal["pool", "evaluation"],
    source: Sequence[str] | TestbedConfig,
    *,
    folder: Path = Path(),
    key: str,
    inputs: Mapping[str, Step] = {},
    settings: Mapping[str, Any] = {},
    where: Mapping[str, str] = {},
    base: Path | None = None,
    template: str = "auto",
    fields: data.Map = None,
) -> Step:
    """Return the step that reads a pool or an evaluation set; files enter by their digests.

    Of a pool, ``inputs`` are the evaluation sets that it may hold nothing of, by the ``decontaminate`` rules
    in ``settings``.  Relative paths start from ``folder``; ``key`` is where errors say they were named.  What
    the chat template of ``base`` refuses is a rejected row; of several bases it is that of the first.
    ``fields`` says which fields of the files hold what (a map).
    """
    if fields is not None and not isinstance(source, TestbedConfig):
        settings = {**settings, "map": data.parse_map(fields)}
    if base is not None and not isinstance(source, TestbedConfig):
        settings = {**settings, "template": [template, model.tokenizer_digest(base)]}
        where = {**where, "template": str(base)}
    if isinstance(source, TestbedConfig):
        own: dict[str, Any] = {"testbed": dataclasses.asdict(source)}
        places: dict[str, str] = {}
        estimate = Estimate(seconds=source.samples / 5000)
    else:
        own, places = file_settings(source, folder, key)
        n_bytes = sum(p.stat().st_size for p in map(Path, places.values()) if p.is_file())
        estimate = Estimate(seconds=1 + n_bytes / 5e6, bytes=2 * n_bytes)
    return Step(
        f"read-{name}", 3 if name == "pool" else 2, f"{__name__}:read_{name}", {**own, **settings}, inputs,
        where={**where, **places}, label=name, estimate=estimate,
    )  # fmt: skip


def file_settings(source: Sequence[str], folder: Path, key: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return files as a step's config (names and digests) and the places where they lie."""
    found = expand(source, folder, key)
    entries = [_entry(place) for place in found]
    return {"files": entries}, {f"file/{index}": place for index, place in enumerate(found)}


def _entry(place: str) -> dict[str, str]:
    """Return what identifies a file: its name, its content, and the plug-ins that read it."""
    entry = {"name": Path(place).name, "digest": place_digest(place)}
    other = data.reader_identity(place)
    return {**entry, "plugin": other} if other else entry


def expand(places: Sequence[str], folder: Path, key: str) -> list[str]:
    """Return the places of a source: globs expanded and sorted, paths made absolute, ids kept."""
    found = []
    for index, place in enumerate(places):
        if place.startswith("hf:"):
            found.append(place)
            continue
        path = folder / Path(place).expanduser()
        whole = path.exists() or not any(sign in path.name for sign in "*?[")
        matches = [path] if whole else sorted(path.parent.glob(path.name))
        missing = [m for m in matches if not m.exists()]
        if missing or not matches:
            raise AssayError(
                "no such file",
                place=f"{key}[{index}]",
                value=place,
                expected="a file, a folder of shards, a glob, or hf:owner/name",
                hint=f"relative paths start from {folder.resolve()}",
            )
        found += [str(m.resolve()) for m in matches]
    return found


def place_digest(place: str) -> str:
    """Return the digest of a file or of every file of a folder; of a hub id, with what it stands for now."""
    if place.startswith("hf:"):
        return f"{place}@{data.hub_revision(place)}"
    path = Path(place)
    if path.is_file():
        return file_digest(path)
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return digest({str(p.relative_to(path)): file_digest(p) for p in files})


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
        self.unused: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()

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
            unused=dict(self.unused.most_common()),
            noted=dict(self.noted.most_common()),
        )


def read_evaluation(context: StepContext) -> None:
    """Read the evaluation set: every prompt once, with its reference or checker where there is one."""
    tally = Tally()
    samples = map(_typed, _unique(_read(context, tally, split="eval"), tally))
    data.write_dataset(_counted(samples, tally), context.out / "dataset")
    _finish(context.out, tally, "evaluation")


def read_pool(context: StepContext) -> None:
    """Read the pool, drop exact duplicates, and drop samples that hold a prompt of an evaluation set."""
    tally = Tally()
    staging = context.out / "scratch" / "pool"
    rows = _learnable(_read(context, tally, split="train"), tally, context.out / REJECTED)
    data.write_dataset(_unique(rows, tally), staging)
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
    if not context.inputs:
        return {}
    rules, where = context.config["decontaminate"], context.where
    items = _items(context)
    tools = indicators.Tools(indicators.Models(embedder=where["embedder"], cache=Path(where["cache"])))
    prompts = tools.embed(map(selection.prompt_of, pool))
    found = selection.alike(prompts, tools.embed(map(selection.prompt_of, items)), rules["alike"])
    hashes = data.hashed(map(selection.prompt_of, pool))
    found |= selection.holding(hashes, items, rules["contained"])
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
            own, other = seen.setdefault(selection.prompt_of(item), (name, item.origin))
            if own != name:
                raise AssayError(
                    "an item appears in two evaluation sets", place=item.origin, value=other,
                    expected="separate sets: to fit on, to search on, to report on",
                    hint="`assay evalset split` makes them",
                )  # fmt: skip
            items.append(item)
    return items


def _typed(sample: Sample) -> Sample:
    """Return the item with a type: its own, or the name of its data set, so that sets stay apart."""
    return sample if sample.type else dataclasses.replace(sample, type=sample.source or "untyped")


def _learnable(
    samples: Iterable[tuple[int, Sample]], tally: Tally, rejected: Path
) -> Iterator[tuple[int, Sample]]:
    """Reject samples without an answer; they are appended to the rows that could not be read."""
    lost: list[str] = []
    for row, sample in samples:
        if sample.answer:
            yield row, sample
        else:
            counts = tally.rows[row]
            tally.rows[row] = dataclasses.replace(counts, kept=counts.kept - 1, rejected=counts.rejected + 1)
            lost.append(sample.origin)
    with rejected.open("a", encoding="utf-8") as report:
        for origin in lost:
            entry = {"place": origin, "reason": "no answer to learn from"}
            report.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _counted(samples: Iterable[Sample], tally: Tally) -> Iterator[Sample]:
    for sample in samples:
        tally.keep(sample)
        yield sample


def _finish(out: Path, tally: Tally, what: str) -> None:
    summary = tally.summary()
    # Tasks of harnesses alone may be the evaluation: then no file was asked for.
    if not summary.samples and summary.sources:
        raise AssayError(
            f"the {what} holds no usable sample",
            place=what,
            value={row.place: f"{row.rejected} of {row.rows} rows rejected" for row in summary.sources},
            hint="`assay data inspect FILE` shows each rejected row with its reason",
        )
    data.write_json(out / SUMMARY, dataclasses.asdict(summary))


def summary_of(folder: Path) -> DataSummary:
    """Return what a reading step counted, from its folder."""
    return view.restore(DataSummary, read_json(folder / SUMMARY))


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


def _read(context: StepContext, tally: Tally, split: synthetic.Split) -> Iterator[tuple[int, Sample]]:
    """Yield (index of the source row, sample), writing rejected rows to their report."""
    if "testbed" in context.config:
        settings = dict(context.config["testbed"])
        n, place = int(settings.pop("samples")), f"testbed ({split})"
        tally.rows.append(SourceRow(place, "generated by the testbed", n, n, 0, 0, ""))
        for planted in synthetic.generate(n, split=split, **_testbed(settings)):
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
    files, refused = config["files"], _refused(config, where)
    for index, entry in enumerate(files):
        reading = data.read(where[f"file/{index}"], map=config.get("map"))
        _refuse_changed(where[f"file/{index}"], entry["digest"])
        detected = f"{reading.detection.format}: {reading.detection.why}"
        tally.rows.append(SourceRow(entry["name"], detected, 0, 0, 0, 0, entry["digest"]))
        for row in reading:
            counts = tally.rows[index]
            if isinstance(row, Sample) and (reason := refused(row)) is not None:
                place, _, line = row.origin.rpartition(":")
                at = int(line) if line.isdigit() else counts.rows + 1
                row = data.Rejected(place or row.origin, at, reason, row.messages[0].content[:80])
            if isinstance(row, Sample):
                tally.rows[index] = dataclasses.replace(counts, rows=counts.rows + 1, kept=counts.kept + 1)
                yield index, row
            else:
                tally.rows[index] = dataclasses.replace(
                    counts, rows=counts.rows + 1, rejected=counts.rejected + 1
                )
                reject(row)
        tally.unused.update(reading.unused)
        tally.noted.update(reading.notes)
        progress(index + 1, len(files), "file")


def _refuse_changed(place: str, digest: str) -> None:
    """Raise where a hub id stands for something else than when the step was planned."""
    if place.startswith("hf:") and place_digest(place) != digest:
        raise AssayError(
            "the data set changed on the Hub since the study was planned", place=place,
            hint="run the same command again: it plans with the data as they are now",
        )  # fmt: skip


def _refused(config: Mapping[str, Any], where: Mapping[str, str]) -> Callable[[Sample], str | None]:
    """Return what says why the base's chat template refuses a conversation, None where it takes it."""
    if "template" not in config:
        return lambda sample: None
    tokenizer = model.load_tokenizer(Path(where["template"]), config["template"][0])

    def why(sample: Sample) -> str | None:
        return next((reason for _, reason in model.refusals(tokenizer, [sample])), None)

    return why


def _testbed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
