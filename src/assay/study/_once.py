"""Single jobs outside a study: one fine-tuning, one pass of answers, one table of points, one sample."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from assay import curve, data, judge, model, report
from assay.core import AssayError, Point, Reading, Sample, digest, task_type
from assay.data import testbed
from assay.plan import progress_bar
from assay.study._config import recipe_of
from assay.study._estimate import estimate_here
from assay.study._find import find_model


@dataclass(frozen=True, slots=True)
class ShownToken:
    """One token: its id, its bytes as the vocabulary spells them, and whether the loss counts it."""

    id: int
    piece: str
    learned: bool


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A sample as the model sees it: its tokens, and its text in runs that the loss counts or not."""

    origin: str
    tokens: tuple[ShownToken, ...]
    runs: tuple[tuple[str, bool], ...]
    cut: bool

    def __rich__(self) -> Any:
        """Return the text, what the loss counts set off in colour and brackets."""
        from rich.text import Text

        counted = sum(token.learned for token in self.tokens)
        head = f"{self.origin}: {len(self.tokens)} tokens, the loss counts {counted}"
        text = Text(f"{head}{', cut at the end' if self.cut else ''}\n\n")
        for run, learned in self.runs:
            text.append(f"⟦{run}⟧" if learned else run, style="bold green" if learned else "dim")
        return text


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, with its rows and what was counted on the way."""

    path: str
    rows: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers written to ``path`` with the mean score (None where nothing could be scored) and loss."""

    path: str
    items: int
    by_type: dict[str, dict[str, float | int | None]]
    loss: float | None
    bits_per_byte: float | None


def samples(place: str) -> Iterator[Sample]:
    """Yield the usable samples of a place."""
    return (row for row in data.read(place) if isinstance(row, Sample))


def show_tokens(place: str, *, base: str, row: int, max_tokens: int) -> ShownSample:
    """Return one usable sample of ``place`` tokenized, with its loss mask."""
    found = next(islice(samples(place), row, None), None) if row >= 0 else None
    if found is None:
        raise AssayError("no such row", place=place, value=row, expected="a usable row, counted from 0")
    tokenizer = model.load_tokenizer(model.resolve_base(base))
    encoded = model.encode(tokenizer, [found], max_tokens)[0]
    pieces = tokenizer.convert_ids_to_tokens(list(encoded.ids))
    rows = zip(encoded.ids, pieces, encoded.learned, strict=True)
    tokens = tuple(ShownToken(int(i), piece, learned) for i, piece, learned in rows)
    runs = tuple(
        (tokenizer.decode([token.id for token in run]), learned)
        for learned, run in groupby(tokens, key=lambda token: token.learned)
    )
    return ShownSample(found.origin, tokens, runs, encoded.cut)


def write_testbed(
    n: int, out: Path, *, seed: int, split: Literal["train", "eval"], defects: float
) -> Written:
    """Write ``n`` testbed samples to ``out`` and their planted defects to ``out`` + ``.defects.jsonl``."""
    if not 0 <= defects <= 1:
        raise AssayError("not a share", place="--defects", value=defects, expected="a number from 0 to 1")
    shares = {kind: defects / len(testbed.DEFECTS) for kind in testbed.DEFECTS} if defects else {}
    counts: dict[str, int] = {}
    truth = out.with_name(out.name + ".defects.jsonl")

    def rows() -> Iterator[Sample]:
        with truth.open("w", encoding="utf-8") as report:
            for index, planted in enumerate(testbed.generate(n, seed=seed, split=split, defects=shares)):
                if planted.defect:
                    counts[planted.defect] = counts.get(planted.defect, 0) + 1
                    entry = {"row": index, "defect": planted.defect, "span": planted.span}
                    report.write(json.dumps(entry) + "\n")
                yield planted.sample

    out.parent.mkdir(parents=True, exist_ok=True)
    data.write(rows(), out, "samples")
    if not counts:
        truth.unlink()
    return Written(str(out), n, counts)


def train_once(
    place: str,
    out: Path,
    *,
    base: str,
    recipe: str | None,
    seed: int,
    device: str,
    quiet: bool,
    launch: model.Launch | None = None,
    changes: Sequence[str] = (),
) -> Any:
    """Fine-tune ``base`` on all usable samples of ``place``; resumes where an earlier call was killed.

    ``changes`` are ``key=value`` settings laid over the preset ``recipe``.
    """
    folder = model.resolve_base(base)
    chosen = recipe_of(recipe or ("pocket" if base == model.POCKET else "belle"), changes)
    tokens = out / "tokens"
    identity = digest([base, model.base_digest(folder), dataclasses.asdict(chosen), seed, place])
    _claim(out, identity)
    if not (tokens / "done").exists():
        tokens.mkdir(parents=True, exist_ok=True)
        learnable = (s for s in samples(place) if s.answer)
        tokenizer = model.load_tokenizer(folder, chosen.template)
        model.write_tokens(tokenizer, learnable, tokens, chosen.max_tokens)
        (tokens / "done").touch()
    table = model.TokenTable(tokens)
    if not len(table):
        raise AssayError("no usable sample", place=place, hint="`assay data inspect` shows why")
    order = np.random.default_rng(seed).permutation(len(table))
    segment = model.Segment(chosen, seed, len(table), 0, chosen.steps(len(table)))
    estimate = estimate_here(folder, chosen, chosen.epochs * int(table.lengths.sum()), device, launch)
    if estimate is not None and not quiet:
        print(estimate, file=sys.stderr)
    with progress_bar("train", quiet=quiet) as advance:
        report = model.trainer(chosen.trainer, launch)(
            segment,
            base=folder,
            state=None,
            table=table,
            order=order,
            out=out,
            device=device,
            advance=advance,
        )
    if chosen.adapter != "none" and base != model.POCKET:
        model.name_base(out / "model", str(folder.resolve()) if Path(base).expanduser().is_dir() else base)
    (out / "train.json").write_text(json.dumps(dataclasses.asdict(report)), encoding="utf-8")
    return report


def _claim(out: Path, identity: str) -> None:
    """Refuse a folder that holds another training: resuming it would mix two runs."""
    mark = out / "identity"
    if mark.exists() and mark.read_text(encoding="utf-8") != identity:
        raise AssayError(
            "the folder holds another training",
            place=str(out),
            expected="an empty folder, or one of the same data, base, recipe and seed",
            hint="choose another folder, or delete this one",
        )
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(identity, encoding="utf-8")


def answer_once(
    name: str,
    place: str,
    out: Path,
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    quiet: bool,
    vllm: str | None = None,
) -> Answered:
    """Answer, measure and score the items of ``place`` with one model, and write them as JSONL.

    ``vllm`` names the python of vLLM's environment, which answers where there is one.
    """
    python = model.vllm_python(vllm)
    found_at = find_model(name)
    folder, base = found_at.folder, found_at.base
    if folder.suffix == ".gguf":
        raise AssayError(
            "a GGUF file answers in chat only", place=name, expected="a model's folder",
            hint="`assay chat`, or name the folder that it was made from",
        )  # fmt: skip
    items = list(samples(place))
    network = model.load_model(folder, model.pick_device(), base=base)
    tokenizer = model.load_tokenizer(folder)
    decoding = model.Decoding(max_new_tokens, temperature, seed=seed)
    with progress_bar("loss", quiet=quiet) as advance:
        losses = model.reference_loss(network, tokenizer, items, advance=advance)
    with progress_bar("answers", quiet=quiet) as advance:
        if python is None:
            answers = model.answer(network, tokenizer, items, decoding, advance=advance)
        else:
            del network  # vLLM wants the GPU for itself
            with TemporaryDirectory() as scratch:
                answers = model.vllm_answer(
                    python, folder, items, decoding, Path(scratch), base=base, advance=advance
                )
    judged = [judge.judge(item, a.text, None) for item, a in zip(items, answers, strict=True)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as lines:
        for item, loss, given, verdict in zip(items, losses, answers, judged, strict=True):
            row = {
                "item": item.id,
                "type": item.type,
                "prompt": "\n\n".join(m.content for m in item.prompt),
                "reference": item.answer,
                "answer": given.text,
                "ended": given.ended,
                "score": verdict.score,
                "method": verdict.method,
                "reason": verdict.reason,
                "nats": loss and loss.nats,
                "tokens": loss and loss.tokens,
            }
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    found = [loss for loss in losses if loss is not None]
    nats = sum(loss.nats for loss in found)
    by_type: dict[str, dict[str, float | int | None]] = {
        s.type: {"score": s.mean, "se": s.se, "n": s.n} for s in judge.summarise(judged)
    }
    tokens, n_bytes = sum(loss.tokens for loss in found), sum(loss.n_bytes for loss in found)
    return Answered(
        str(out),
        len(items),
        by_type,
        nats / tokens if tokens else None,
        nats / math.log(2) / n_bytes if n_bytes else None,
    )


def curves_of_table(
    table: Path,
    *,
    satisfied_at: float | None,
    smallest_gain: float,
    smallest_relative_gain: float,
    reach: float,
    form: str | None,
    price: float | None,
    plot: Path | None,
) -> Reading:
    """Read a table of points from any tool: curves, comparisons, double descent, balance; plot them."""
    points = read_points(table)
    reading = curve.read_curves(
        points,
        satisfied_at=satisfied_at,
        smallest_gain=smallest_gain,
        smallest_relative_gain=smallest_relative_gain,
        reach=reach,
        form=None if form is None else curve.free_form(form),
        price=price,
    )
    if plot is not None:
        report.write_plot(reading.curves, points, plot)
    return reading


def read_points(table: Path) -> list[Point]:
    """Read points from columns type, n_train, seed and score, loss or (metric, value).

    Optional columns: arm, n_eval, se.  Column names may be in any case.  Raises :class:`AssayError` with the
    row for values that are not numbers; an empty value is a missing point and is left out.
    """
    import polars

    readers: dict[str, Callable[[Path], Any]] = {
        ".parquet": polars.read_parquet,
        ".tsv": lambda p: polars.read_csv(p, separator="\t", infer_schema_length=None),
        ".csv": lambda p: polars.read_csv(p, infer_schema_length=None),
    }
    if not table.exists() or table.suffix not in readers:
        raise AssayError(
            "no such table", value=str(table), expected="an existing .csv, .tsv or .parquet file"
        )
    frame = readers[table.suffix](table)
    frame = frame.rename({c: c.strip().lower() for c in frame.columns})
    columns = set(frame.columns)
    metrics = [m for m in ("score", "loss", "bits_per_byte") if m in columns]
    long = {"metric", "value"} <= columns
    if "n_train" not in columns or not (metrics or long):
        raise AssayError(
            "columns are missing",
            place=str(table),
            value=", ".join(frame.columns),
            expected="n_train, and score or loss (or metric and value); type, seed, arm, n_eval, se if known",
        )
    points = []
    for line, row in enumerate(frame.iter_rows(named=True), start=2):
        pairs = [(row["metric"], row["value"])] if long else [(m, row[m]) for m in metrics]
        points += [_point(f"{table}:{line}", row, m, v) for m, v in pairs if v is not None]
    return points


def _point(place: str, row: dict[str, Any], metric: str, value: Any) -> Point:
    def number(name: str, default: float | None) -> float | None:
        found = row.get(name)
        if found is None:
            return default
        try:
            return float(found)
        except (TypeError, ValueError):
            raise AssayError("not a number", place=f"{place}, {name}", value=found) from None

    try:
        measured = float(value)
    except (TypeError, ValueError):
        raise AssayError("not a number", place=f"{place}, {metric}", value=value) from None
    n_train, n_eval = number("n_train", None), number("n_eval", None)
    if n_train is None or n_train < 0:
        raise AssayError("no training size", place=f"{place}, n_train", value=n_train, expected="0 or more")
    return Point(
        type=task_type(str(row.get("type") or "overall")),
        n_train=round(n_train),
        seed=round(number("seed", 0) or 0),
        metric=metric,
        value=measured,
        n_eval=None if n_eval is None else round(n_eval),
        se=number("se", None),
        arm=str(row.get("arm") or "random"),
        own_share=number("own_share", None),
    )
