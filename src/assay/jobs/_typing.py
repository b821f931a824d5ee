"""The job that gives evaluation items their types, by a local classifier or a chat model."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import core, data, generation, llm, selection
from assay import plan as planning
from assay.core import AssayError, File, Sample, Say, Shown, page, say
from assay.generation import TypeClassifier, TypedText, TypeQuality
from assay.jobs._asked import asking
from assay.jobs._pool import Data, Pool
from assay.plan import progress_bar

CHECKED = 200


@dataclass(frozen=True, slots=True)
class Untyped:
    """Items that stay without a type for one reason."""

    reason: str
    items: int


@dataclass(frozen=True, slots=True)
class ClassifyReport(Shown):
    """What was typed and by what; every row is typed before, typed now, untyped for a reason, or rejected.

    ``stated`` is the classifier's quality on prompts left out of its fit, ``checked`` that against the types
    which items of this file had before: the one to go by.  ``tokens`` and ``money`` are those of this run.
    """

    out: str
    by: str
    trained_on: str
    sure: float
    threshold: float | None
    rows: int
    rejected: int
    before: int
    typed: dict[str, int]
    untyped: tuple[Untyped, ...]
    stated: TypeQuality | None
    checked: TypeQuality | None
    saved: str | None
    calls: int
    cached: int
    tokens: int
    money: float | None

    def as_page(self) -> core.Page:
        """Return counts by type, what is known of their accuracy, and what to do next."""
        head = say(
            "classify.rows", rows=self.rows, before=self.before, now=sum(self.typed.values()),
            stay=sum(u.items for u in self.untyped), rejected=self.rejected, by=self.by,
            trained_on=self.trained_on,
        )  # fmt: skip
        columns = (core.Column(say("col.type"), "@type"), core.Column(say("classify.now"), ","))
        blocks: list[core.Block] = [core.Paragraph(head)]
        if self.typed:
            blocks.append(core.Table(columns, tuple(self.typed.items())))
        blocks.append(
            core.Items(tuple(say("classify.untyped", reason=u.reason, n=u.items) for u in self.untyped))
        )
        for quality in (self.stated, self.checked):
            blocks += [] if quality is None else quality_blocks(quality)
        blocks += [core.Paragraph(say("classify.unchecked"))] if self.checked is None else []
        blocks += [core.Paragraph(self.overstated, "warning")] if self.overstated else []
        if self.calls or self.cached:
            spent = (
                say("classify.money.unknown")
                if self.money is None
                else say("classify.money", money=self.money)
            )
            cost = say("classify.calls", calls=self.calls, cached=self.cached, tokens=self.tokens, cost=spent)
            blocks.append(core.Paragraph(cost))
        saved = [(say("classify.saved"), self.saved)] if self.saved else []
        blocks.append(core.Facts(((say("file.out"), self.out), *saved)))
        return page(*blocks, core.next_command(f"assay evalset sample {self.out}"))

    @property
    def overstated(self) -> Say | None:
        """What to say where the items do not bear out how sure the classifier was to be."""
        if self.checked is None or self.threshold is None or self.checked.high >= self.sure:
            return None
        return say("classify.overstated", sure=self.sure, measured=self.checked.accuracy)


def quality_blocks(quality: TypeQuality) -> list[core.Block]:
    """Return the words and tables of a classifier's quality."""
    head = say(
        "classify.quality", items=quality.items, how=quality.how, accuracy=quality.accuracy,
        interval=(quality.low, quality.high), f1=quality.macro_f1, calibration=quality.calibration_error,
        rules=quality.rules, majority=quality.majority,
    )  # fmt: skip
    columns = (
        core.Column(say("col.type"), "@type"), core.Column(say("col.items"), ","),
        core.Column(say("classify.precision"), ".2f"),
        core.Column(say("classify.recall"), ".2f"),
    )  # fmt: skip
    rows = tuple((s.type, s.items, s.precision, s.recall) for s in quality.per_type)
    levels = tuple(
        say("classify.level", sure=level.sure, share=level.share, accuracy=level.accuracy)
        for level in quality.levels
        if level.sure > 0
    )
    return [core.Paragraph(head), core.Table(columns, rows), core.Items(levels)]


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said of an item: its type or why there is none, and how probable."""

    type: str | None
    probability: float | None
    reason: str = ""


class _Local:
    """A local classifier at a level of sureness."""

    def __init__(self, model: TypeClassifier, name: str, sure: float) -> None:
        self.model, self.by, self.threshold = model, name, model.threshold(sure)

    def say(self, samples: Sequence[Sample]) -> dict[int, _Said]:
        """Type what it can."""
        found = self.model.classify([selection.prompt_of(s) for s in samples])
        said = {}
        for row, (sample, typing) in enumerate(zip(samples, found, strict=True)):
            known = sample.language is None or sample.language in self.model.languages
            if known and typing.probability >= self.threshold:
                said[row] = _Said(typing.type, typing.probability)
            else:
                reason = "unsure" if known else f"the classifier has not learnt {sample.language}"
                said[row] = _Said(None, typing.probability if known else None, reason)
        return said


def classify(
    samples: Data,
    *,
    out: File,
    labels: Sequence[str] = (),
    classifier: File | None = None,
    save: File | None = None,
    sure: float = 0.9,
    again: bool = False,
    check: int = CHECKED,
    chat: llm.ChatConfig | None = None,
    prompts: File | None = None,
    cap: str | None = None,
) -> ClassifyReport:
    """Classify items into the twelve types with a classifier or a chat model; unsure stays untyped.

    Example: `assay evalset classify eval.jsonl --out typed.jsonl --labels typed-by-hand.jsonl`

        >>> assay.evalset.classify("pool.jsonl", out="typed.jsonl", again=True).rows
        40

    Without --labels, --classifier or --model, the built-in classifier is used (English and
    Chinese; trained on texts written for this project).

    Parameters
    ----------
    samples
        The items.
    out
        File for all items (JSONL); new types carry the name of the classifier.
    labels
        Typed samples to train a classifier on; any set of types.
    classifier
        Previously trained classifier (.safetensors).
    save
        File for the trained classifier; next to OUT by default.
    sure
        Target accuracy, measured on held-out prompts: 0 (classify everything), 0.7, 0.8, 0.9 or 0.95. Not
        for chat models.
    again
        Reclassify items that already have a type.
    check
        Number of already typed items to classify as well, to measure accuracy on this file.
    chat
        A chat model that names types, instead of a local classifier.
    prompts
        Folder with a `classify.txt` of your own, for a chat model.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; replies are kept, and the same command goes on.
    """
    ways = [name for name, way in (("labels", labels), ("classifier", classifier), ("model", chat)) if way]
    if len(ways) > 1:
        raise AssayError(
            "more than one way to classify",
            place=", ".join(f"--{w}" for w in ways),
            expected="one of them, or none",
        )
    rejected = Counter[str]()
    pool = Pool(samples, lambda row: rejected.update([row.reason]))
    items = list(pool)
    if not items:
        raise AssayError("nothing to classify", place=pool.name, value=dict(rejected) or None)
    wanted = [row for row, sample in enumerate(items) if again or sample.type is None]
    checked = _to_check(items, check, {generation.prompt_key(label) for label in Pool(labels)})
    rows = sorted({*wanted, *checked})
    saved, spent, stated, trained_on, threshold = None, llm.Spent(), None, "", None
    if chat is not None:
        by, trained_on = f"the chat model {chat.model}", "what its makers trained it on"
        asked = [items[row] for row in rows]
        with planning.metered(cap):
            said, spent = _by_chat(chat, asked, None if prompts is None else Path(prompts))
    else:
        local, saved = _local(
            labels, classifier, sure, Path(save or Path(out).with_suffix(".classifier.safetensors"))
        )
        by, trained_on, stated, threshold = (
            local.by,
            local.model.trained_on,
            local.model.quality,
            local.threshold,
        )
        said = local.say([items[row] for row in rows])
    found = {row: said[place] for place, row in enumerate(rows)}
    data.write_lines(_typed_rows(items, {row: found[row] for row in wanted}, by), Path(out))
    types = Counter(found[row].type for row in wanted)
    reasons = Counter(found[row].reason for row in wanted if found[row].type is None)
    return ClassifyReport(
        out=str(out),
        by=by,
        trained_on=trained_on,
        sure=sure,
        threshold=threshold,
        rows=len(items) + sum(rejected.values()),
        rejected=sum(rejected.values()),
        before=len(items) - len(wanted),
        typed={name: count for name, count in types.most_common() if name is not None},
        untyped=tuple(Untyped(reason, count) for reason, count in reasons.most_common()),
        stated=stated,
        checked=_checked(items, {row: found[row] for row in checked}),
        saved=None if saved is None else str(saved),
        calls=spent.calls,
        cached=spent.cached,
        tokens=spent.tokens_in + spent.tokens_out,
        money=spent.money,
    )


def _to_check(samples: Sequence[Sample], most: int, learnt: Collection[str]) -> list[int]:
    """Return rows that have a type and were not learnt from, drawn by their digests."""
    rows = [
        row
        for row, sample in enumerate(samples)
        if sample.type is not None and generation.prompt_key(sample) not in learnt
    ]
    order = selection.pick([samples[row].id for row in rows], "random")
    return [rows[place] for place in order[:most].tolist()]


def _local(
    labels: Sequence[str], classifier: File | None, sure: float, save: Path
) -> tuple[_Local, Path | None]:
    if labels:
        model = train_types(labels)
        local = _Local(model, f"a local classifier trained on {', '.join(labels)}", sure)
        model.save(save)
        return local, save
    if classifier is not None:
        return _Local(
            generation.load_classifier(Path(classifier)), f"the classifier {classifier}", sure
        ), None
    return _Local(generation.shipped(), "the classifier of the package", sure), None


def train_types(labels: Sequence[str]) -> TypeClassifier:
    """Train a classifier on the typed samples of files; samples without a type are passed over."""
    typed = [sample for sample in Pool(labels) if sample.type is not None]
    texts = [
        TypedText(selection.prompt_of(s), s.type or "", s.group or generation.prompt_key(s))
        for s in {generation.prompt_key(s): s for s in typed}.values()
    ]
    languages = sorted({s.language for s in typed if s.language})
    return generation.train_on_labels(texts, languages=languages, name=", ".join(labels))


def _by_chat(
    chat: llm.ChatConfig, samples: Sequence[Sample], prompts: Path | None
) -> tuple[dict[int, _Said], llm.Spent]:
    with llm.open_chat(chat) as door:
        requests = generation.type_requests(chat, samples, prompts=prompts)
        with asking(door, door.estimate(requests), "item", len(samples)):
            return _typed_by_chat(door, chat, samples, prompts), door.spent


def _typed_by_chat(
    door: llm.Chat, chat: llm.ChatConfig, samples: Sequence[Sample], prompts: Path | None
) -> dict[int, _Said]:
    said: dict[int, _Said] = {}
    with progress_bar("classify") as advance:
        for row, found in generation.ask_types(door, chat, samples, prompts=prompts, advance=advance):
            if isinstance(found, str):
                said[row] = _Said(found, None)
            else:
                reason = (
                    "no reply names one type" if found.kind == "malformed" else f"{found.kind} by the model"
                )
                said[row] = _Said(None, None, "the budget ended" if found.kind == "budget" else reason)
    return said


def _typed_rows(samples: Sequence[Sample], said: Mapping[int, _Said], by: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of all samples, those of new types with who says so and how sure."""
    for row, sample in enumerate(samples):
        found = said.get(row)
        if found is None:
            yield generation.item_row(sample)
            continue
        told: dict[str, Any] = {"by": by}
        if found.probability is not None:
            told["probability"] = round(found.probability, 4)
        if found.reason:
            told["reason"] = found.reason
        yield generation.item_row(dataclasses.replace(sample, type=found.type), typing=told)


def _checked(samples: Sequence[Sample], said: Mapping[int, _Said]) -> TypeQuality | None:
    """Compare with the types that were there; items on which nothing was said count as untyped, not wrong."""
    rows = [row for row, found in said.items() if found.type is not None]
    if not rows:
        return None
    likely = [said[row].probability for row in rows]
    known = [p for p in likely if p is not None]
    untyped = len(said) - len(rows)
    left = f" ({untyped:,} more stay untyped)" if untyped else ""
    quality = generation.measure_types(
        [samples[row].type or "" for row in rows],
        [said[row].type or "" for row in rows],
        [selection.prompt_of(samples[row]) for row in rows],
        how=f"items that had a type before{left}",
        confidence=known if len(known) == len(rows) else None,
    )
    # Thresholds chosen on the items themselves would promise too much.
    return dataclasses.replace(quality, levels=())
