"""Jobs that build an evaluation set: split it off a pool, give its items types, sample it to a size."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from assay import core, data, generation, indicators, selection
from assay.core import AssayError, File, Sample, Say, Shown, page, say, task_type
from assay.generation import Candidates, Noise, Stratum, TypeSize
from assay.jobs._clean import REMOVED, Receipts, receipts_beside
from assay.jobs._pool import Data, Pool
from assay.plan import progress_bar

_ALARM, _ALARM_LEAST = 0.1, 20


@dataclass(frozen=True, slots=True)
class StratumRow:
    """One stratum of a split: prompts in the pool, evaluation items, samples for training, removed ones."""

    type: str
    source: str
    language: str
    pool: int
    items: int
    training: int
    removed: int


@dataclass(frozen=True, slots=True)
class SplitReport(Shown):
    """What was split off; every row of the pool is an item, a training sample, a removal or a rejection.

    ``earlier`` items come from earlier evaluation sets, among ``items``.  ``removed_by``: rejected (no
    sample), item (has the prompt of an item), evaluation (holds much of an item's prompt), unanswered (may be
    an item, but nothing is learnt from it).  ``short``: how many items fewer than asked for there are.
    ``alarms``: groups that lost more than a tenth of their training samples to items.
    """

    out: str
    train: str
    receipts: str
    rows: int
    items: int
    earlier: int
    training: int
    removed_by: dict[str, int]
    short: int
    alarms: tuple[Say, ...]
    strata: tuple[StratumRow, ...]

    def as_page(self) -> core.Page:
        """Return the strata and what to do next."""
        columns = (
            core.Column(say("col.type"), "@type"), core.Column(say("col.source")),
            core.Column(say("col.language")),
            *(core.Column(say(f"split.{name}"), ",") for name in ("pool", "items", "training", "removed")),
        )  # fmt: skip
        rows = tuple(
            (s.type, s.source, s.language, s.pool, s.items, s.training, s.removed) for s in self.strata
        )
        head = say(
            "split.rows", rows=self.rows, items=self.items, earlier=self.earlier, training=self.training
        )
        removed = say("split.removed_by", counts=self.removed_by) if self.removed_by else None
        warnings = list(self.alarms)
        if self.short:
            warnings.append(say("split.short", n=self.short))
        untyped = any(s.type == generation.UNTYPED for s in self.strata)
        return page(
            core.Paragraph(head), core.Paragraph(removed) if removed else None, core.Table(columns, rows),
            core.Items(tuple(warnings), "warning"),
            core.Paragraph(say("split.untyped", out=self.out)) if untyped else None,
            core.files(out=self.out, train=self.train, receipts=self.receipts),
            core.next_command(f"assay evalset sample {self.out}"),
        )  # fmt: skip


def split(
    samples: Data,
    *,
    out: File,
    train: File,
    n: int,
    spread: Literal["equal", "proportional"] = "equal",
    most: float = 0.5,
    keep: Sequence[str] = (),
    contained: float = 0.6,
    alike: float = 0.95,
    embedder: str = "lexical",
    seed: int = 0,
) -> SplitReport:
    """Split a pool into evaluation items and training samples that contain none of them.

    Example: `assay evalset split pool.jsonl --out eval.jsonl --train rest.jsonl --n 2400`

    Items are drawn by content hash, so that adding rows to the pool changes few of them.

        >>> found = assay.evalset.split("pool.jsonl", out="eval.jsonl", train="rest.jsonl", n=12)
        >>> found.items
        12

    Parameters
    ----------
    samples
        The pool.
    out
        File for the evaluation items (JSONL).
    train
        File for the training samples (JSONL); removal records go to TRAIN.removed.jsonl.
    n
        Number of items.
    spread
        equal: the same number per type; proportional: as in the pool. Within a type, sources and languages
        keep their shares.
    most
        Maximum share of a type that may become items.
    keep
        Earlier evaluation sets, whose items are kept and count towards n.
    contained
        Remove training samples whose prompt contains this share of an item's 8-grams.
    alike
        Remove training samples whose prompt embedding reaches this cosine with an item's; above 1: off.
    embedder
        `lexical` (any script, no model), `minilm` (English), or a sentence-transformers or Model2Vec model.
    seed
        Random seed for the draw.
    """
    out, train, near = Path(out), Path(train), None if alike > 1 else alike
    _check_split(n, most, contained, near, out, train)
    pool, candidates = Pool(samples), Candidates()
    earlier = _earlier(keep)
    with ExitStack() as stack:
        receive = stack.enter_context(receipts_beside(train))
        files = [stack.enter_context(data.replacing_text(path)) for path in (train, out)]
        advance = stack.enter_context(progress_bar("split"))
        stream = candidates.watch(Pool(pool.source, receive.reject, advance))
        hashes = data.hashed(map(selection.prompt_of, stream))
        kept = {generation.prompt_key(item): generation.stratum_of(item) for item in earlier}
        rows = generation.choose(candidates, n, spread=spread, most=most, seed=seed, earlier=kept)
        items = [*earlier, *pool.rows(rows)]
        held = selection.holding(hashes, items, contained)
        if near is not None and items:
            tools = indicators.Tools(indicators.Models(embedder=embedder))
            asked = tools.embed(map(selection.prompt_of, items))
            held = selection.alike(tools.embed(map(selection.prompt_of, pool)), asked, near) | held
        fates = _fates(candidates, items, held, set(rows.tolist()))
        _write_split(receive, files, pool, items, fates)
    receipts = train.with_name(train.name + REMOVED)
    return _split_report((out, train, receipts), candidates, items, len(earlier), fates, receive.rejected, n)


def _check_split(n: int, most: float, contained: float, alike: float | None, out: Path, train: Path) -> None:
    if n < 1:
        raise AssayError("the number of items must be at least 1", place="--n", value=n, expected="1 or more")
    for name, value in (("--most", most), ("--contained", contained), ("--alike", alike)):
        if value is not None and not 0 < value <= 1:
            raise AssayError("out of range", place=name, value=value, expected="above 0, at most 1")
    if out.resolve() == train.resolve():
        raise AssayError(
            "items and training samples would be written to the same file", place="--train", value=str(train)
        )


def _earlier(places: Sequence[str]) -> list[Sample]:
    """Return the items of earlier sets, one for each prompt; a row that is none is an error."""

    def refuse(row: data.Rejected) -> None:
        raise AssayError(
            f"an earlier evaluation set has an unusable row: {row.reason}",
            place=f"{row.place}:{row.line}",
            hint="fix or remove the row: an unknown item cannot be kept out of training",
        )

    return list({generation.prompt_key(item): item for item in Pool(places, refuse)}.values())


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of a row: an item, or removed from training by a rule with its receipt."""

    rule: str
    receipt: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _fates(
    candidates: Candidates,
    items: Sequence[Sample],
    held: Mapping[int, selection.Match],
    chosen: Collection[int],
) -> dict[int, _Fate]:
    """Return the fate of each row that is not for training."""
    owners = {generation.prompt_key(item): place for place, item in enumerate(items)}
    fates = {row: _Fate("chosen") for row in chosen}
    for row, key in enumerate(candidates.keys):
        if row in fates:
            continue
        receipt = {"row": row, "id": candidates.ids[row]}
        if key in owners:
            same = selection.Match(owners[key], 1.0, "its prompt is that of an evaluation item")
            fates[row] = _Fate("item", receipt | _matched(items, same))
        elif row in held:
            fates[row] = _Fate("evaluation", receipt | _matched(items, held[row]))
        elif not candidates.answered[row]:
            fates[row] = _Fate("unanswered", receipt | {"detail": "no answer to learn from"})
    return fates


def _matched(items: Sequence[Sample], match: selection.Match) -> dict[str, Any]:
    item = items[match.item]
    return {
        "partner": item.origin or item.id, "score": round(match.score, 4), "detail": match.detail,
        "span": match.span,
    }  # fmt: skip


def _write_split(
    receive: Receipts, files: Sequence[TextIO], pool: Pool, items: Sequence[Sample],
    fates: Mapping[int, _Fate],
) -> None:  # fmt: skip
    train, out = files
    for item in items:
        _line(out, generation.item_row(item))
    for row, sample in enumerate(pool):
        fate = fates.get(row)
        if fate is None:
            _line(train, generation.item_row(sample))
        elif fate.receipt:
            receive({"rule": fate.rule, "origin": sample.origin, **fate.receipt})


def _line(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _split_report(
    paths: tuple[Path, Path, Path],
    candidates: Candidates,
    items: Sequence[Sample],
    earlier: int,
    fates: Mapping[int, _Fate],
    rejected: int,
    n: int,
) -> SplitReport:
    pool, out_of = Counter(candidates.strata), Counter(map(generation.stratum_of, items))
    removed = Counter(candidates.strata[row] for row, fate in fates.items() if fate.receipt)
    held = Counter(
        candidates.strata[row] for row, fate in fates.items() if fate.rule in ("item", "evaluation")
    )
    rules = Counter(fate.rule for fate in fates.values() if fate.receipt)
    counts = {"rejected": rejected, **{name: rules[name] for name in ("item", "evaluation", "unanswered")}}
    chosen = Counter(candidates.strata[row] for row, fate in fates.items() if not fate.receipt)
    strata = tuple(
        StratumRow(*s, pool[s], out_of[s], pool[s] - chosen[s] - removed[s], removed[s])
        for s in sorted(pool | out_of, key=lambda s: (-pool[s], s))
    )
    out, train, receipts = map(str, paths)
    return SplitReport(
        out=out,
        train=train,
        receipts=receipts,
        rows=len(candidates.keys) + rejected,
        items=len(items),
        earlier=earlier,
        training=len(candidates.keys) - len(fates),
        removed_by={rule: count for rule, count in counts.items() if count},
        short=max(0, n - len(items)),
        alarms=_alarms(strata, held),
        strata=strata,
    )


def _alarms(strata: Sequence[StratumRow], held: Mapping[Stratum, int]) -> tuple[Say, ...]:
    """Name the types, sources and languages of which more than a tenth of the training samples hold items."""
    found = []
    for kind in ("type", "source", "language"):
        for name in sorted({getattr(s, kind) for s in strata}):
            own = [s for s in strata if getattr(s, kind) == name]
            lost = sum(held.get((s.type, s.source, s.language), 0) for s in own)
            whole = lost + sum(s.training for s in own)
            if lost >= _ALARM_LEAST and lost > _ALARM * whole:
                share = lost / whole
                found.append(
                    say("split.alarm", kind=say(f"pool.kind.{kind}"), name=name, lost=lost, share=share)
                )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class SampleReport(Shown):
    """A set sampled to a size, and what each of its types can show.

    Differences are of mean scores in [0, 1] between two models on the same items, seen with probability
    ``power`` at a level of 0.05: item noise only, seeds add theirs.
    """

    out: str
    effect: float
    power: float
    holm: bool
    pool: int
    items: int
    untyped: int
    repeated: int
    rejected: int
    types: tuple[TypeSize, ...]

    def as_page(self) -> core.Page:
        """Return what each type needs, has and can show, and the next command."""
        columns = (
            core.Column(say("col.type"), "@type"), core.Column(say("size.prompts"), ","),
            core.Column(say("size.paired_sd"), "g"),
            core.Column(say("size.needed"), ","), core.Column(say("size.needed_holm"), ","),
            core.Column(say("size.taken"), ","),
            core.Column(say("size.detects"), ".3f"), core.Column(say("size.detects_holm"), ".3f"),
        )  # fmt: skip
        rows = tuple(
            (t.type, t.pool, t.paired_sd, t.wanted, t.wanted_holm, t.taken, t.detectable, t.detectable_holm)
            for t in self.types
        )
        return page(
            core.Paragraph(self.headline), core.Table(columns, rows), core.Items(tuple(self.notes)),
            core.files(out=self.out),
            core.next_command(f"assay annotate {self.out}"),
        )  # fmt: skip

    @property
    def headline(self) -> Say:
        """What a type needs to show the effect."""
        needs = [t.wanted_holm if self.holm else t.wanted for t in self.types]
        low, high = (min(needs), max(needs)) if needs else (0, 0)
        span = say("size.same" if low == high else "size.span", low=low, high=high)
        return say(
            "size.headline.holm" if self.holm else "size.headline", effect=self.effect, power=self.power,
            span=span, items=self.items, pool=self.pool,
        )  # fmt: skip

    @property
    def notes(self) -> list[Say]:
        """What falls short."""
        needs = {t.type: t.wanted_holm if self.holm else t.wanted for t in self.types}
        found = [
            say("size.few", type=t.type, taken=t.taken, needed=needs[t.type], detects=t.detectable)
            for t in self.types
            if t.taken < needs[t.type] and t.detectable is not None
        ]
        found += [
            say("size.alike", type=t.type, taken=t.taken, groups=t.clusters)
            for t in self.types
            if t.clusters < t.taken
        ]
        for name in ("untyped", "repeated", "rejected"):
            if getattr(self, name):
                found.append(say(f"size.{name}", n=getattr(self, name)))
        return found


def sample(
    samples: Data,
    *,
    out: File,
    wanted: float = 0.03,
    sd: Sequence[str] = (),
    judge_sd: float = 0.0,
    repeats: int = 1,
    power: float = generation.POWER,
    holm: bool = False,
    most: int | None = None,
    seed: int = 0,
) -> SampleReport:
    """Sample enough items per type to detect a given effect; say what too few can detect.

    Example: `assay evalset sample typed.jsonl --out eval.jsonl --wanted 0.03`

    Next step: `assay annotate eval.jsonl`.

        >>> assay.data.testbed(60, "typed.jsonl", split="eval").rows
        60
        >>> assay.evalset.sample("typed.jsonl", out="taken.jsonl", wanted=0.5, most=2).items
        24

    Parameters
    ----------
    samples
        Typed items.
    out
        File for the sampled items (JSONL).
    wanted
        Difference in mean score between two models to detect per type, in [0, 1].
    sd
        Standard deviation of an item's score difference between two models: `0.2` for all types,
        `math=0.45` for one; by default 0.45 for math, code and cot (right or wrong) and 0.18 for the others.
    judge_sd
        Standard deviation of a single judgement of one answer, if `sd` does not include it.
    repeats
        Number of judgements averaged per answer.
    power
        Probability of detecting the difference.
    holm
        Size the sample for the worst case of Holm's correction over all types.
    most
        Maximum number of items per type.
    seed
        Random seed for the draw.
    """
    for name, value, low, high in (("--wanted", wanted, 0, 1), ("--power", power, 0.05, 1)):
        if not low < value < high:
            raise AssayError("out of range", place=name, value=value, expected=f"above {low:g}, below {high}")
    if repeats < 1 or judge_sd < 0 or (most is not None and most < 1):
        raise AssayError(
            "out of range", value=f"repeats {repeats}, judge sd {judge_sd}, most {most}",
            expected="repeats and most of 1 or more, a judge sd of 0 or more",
        )  # fmt: skip
    noise = _noise(sd, judge_sd, repeats)
    pool, candidates, rejected = Pool(samples), Candidates(), Counter[str]()

    def refuse(row: data.Rejected) -> None:
        rejected[row.reason] += 1

    for _ in candidates.watch(Pool(pool.source, refuse)):
        pass
    rows, types = generation.sample_by_power(
        candidates, wanted, noise, holm=holm, most=most, power=power, seed=seed
    )
    if not types:
        raise AssayError(
            "no item has a type, and effects are per type",
            place=pool.name,
            hint="`assay evalset classify` assigns a type to each item",
        )
    data.write_lines(map(generation.item_row, pool.rows(rows)), Path(out))
    distinct = candidates.distinct()
    untyped = sum(candidates.strata[row][0] == generation.UNTYPED for row in distinct)
    return SampleReport(
        out=str(out),
        effect=wanted,
        power=power,
        holm=holm,
        pool=len(candidates.keys),
        items=len(rows),
        untyped=untyped,
        repeated=len(candidates.keys) - len(distinct),
        rejected=sum(rejected.values()),
        types=types,
    )


def _noise(sds: Sequence[str], judge_sd: float, repeats: int) -> Noise:
    default, by_type = generation.PAIRED_SD, dict(generation.PAIRED_SDS)
    named: dict[str, float] = {}
    for text in sds:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not 0 < value <= 1:
            raise AssayError(
                "not a standard deviation of scores", place="--sd", value=text,
                expected="a number in (0, 1], or type=number",
            )  # fmt: skip
        if name:
            named[task_type(name)] = value
        else:
            default, by_type = value, {}
    return Noise({**by_type, **named}, default, judge_sd, repeats)
