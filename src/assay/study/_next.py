"""What data to get next for a budget, from what the study's runs have shown so far."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay import core, data, mixtures, selection, view
from assay.core import OVERALL, AssayError, OnCommand, Shown, page, say
from assay.study._config import StudyConfig
from assay.study._measured import prepared
from assay.study._mix import StudyMixtures
from assay.study._mix_allocate import Weights
from assay.study._mix_table import read_runs
from assay.study._run import Study, load, report_folder, study_file

Array = NDArray[np.float64]

Prices: TypeAlias = Annotated[Mapping[str, float] | Sequence[str], OnCommand(Sequence[str])]
"""What a sample costs, in the unit of the budget: ``PART:WAY`` or ``WAY`` to a number, or such texts."""

_ALL = "all"
_NEXT, _REST = "next", "rest.jsonl"
_ANNOTATE = (
    "assay annotate {place} --out labels.jsonl, then assay annotate export labels.sqlite --out new.jsonl"
)
_LEAST_LEFT = 0.02
"""Of a budget of which less is left, nothing is asked for."""


@dataclass(frozen=True)
class NextData(Shown):
    """What to get next, what it should gain, and the command that gets it.

    ``basis``: ``mixtures``, where the effect of each part was measured, or ``curve``, where only the curve of
    the whole pool is known.  ``plain``: what plain ways would gain for the same budget.  ``commands`` by way:
    what gets it; ``after``: what to run when it is there.
    """

    purchase: mixtures.Purchase
    plain: Mapping[str, mixtures.Purchase]
    basis: Literal["mixtures", "curve"]
    metric: str
    unit: str
    commands: Mapping[str, str]
    after: tuple[str, ...]
    study: str
    language: str = "en"
    near_zero: tuple[str, ...] = ()
    """Types whose losses come so near zero that something was added to them."""

    def as_page(self) -> core.Page:
        """Return the advice first, what it gains and costs, what plain ways would, and what to do after."""
        found = self.purchase
        columns = (
            core.Column(say("mix.col.part"), "@type"), core.Column(say("mix.col.way"), "@mix.get"),
            core.Column(say("mix.col.take"), ","), core.Column(say("mix.col.cost"), ",.2f"),
            core.Column(say("mix.col.effect"), "+.4f"),
        )  # fmt: skip
        rows = tuple((row.name, row.way, row.samples, row.cost, row.gain) for row in found.rows)
        said = [say(f"mix.next.{self.metric}", gain=self._change(found.gain),
                    interval=(self._change(found.low), self._change(found.high)),
                    pays=found.pays)]  # fmt: skip
        said += [
            say(
                f"mix.next.plain.{self.metric}",
                way=way,
                gain=self._change(p.gain),
                cost=p.cost,
                unit=self.unit,
            )
            for way, p in self.plain.items()
        ]
        return page(
            core.Paragraph(self._headline(), "strong"), core.Items(tuple(said)),
            core.Table(columns, rows) if rows and found.advice == "get" else None,
            *self._steps(), core.Items(tuple(self._notes()), "quiet"), language=self.language,
        )  # fmt: skip

    def _steps(self) -> Iterator[core.Block]:
        """Yield the command of each way that is advised, then what to run after them."""
        if self.purchase.advice == "get":
            yield core.Items(
                tuple(say("mix.next.by", way=way, command=text) for way, text in self.commands.items())
            )
            yield core.Paragraph(say("mix.next.after"))
            yield core.Items(tuple(say("mix.next.then", command=text) for text in self.after))

    def _change(self, gain: float) -> float:
        return mixtures.change(gain, loss=self.metric == "loss")

    def _headline(self) -> core.Say:
        found = self.purchase
        if found.advice == "stop":
            return say("mix.next.stop", pays=found.pays, budget=found.budget, unit=self.unit)
        samples = sum(row.samples for row in found.rows)
        return say("mix.next.get", samples=samples, cost=found.cost, budget=found.budget, unit=self.unit)

    def _notes(self) -> list[core.Say]:
        notes = [say(f"mix.next.basis.{self.basis}")]
        notes += [say("mix.near_zero", types=self.near_zero)] if self.near_zero else []
        if any(row.way == mixtures.RELABEL for row in self.purchase.rows):
            notes.append(say("mix.next.relabel"))
        if self.purchase.advice == "get" and self.purchase.cost < 0.98 * self.purchase.budget:
            notes.append(say("mix.next.left", left=self._left(), unit=self.unit))
        return notes

    def _left(self) -> float:
        return self.purchase.budget - self.purchase.cost


def next(  # noqa: A001 - `assay study next`
    config: Study,
    budget: str,
    *,
    prices: Prices = (),
    counts: Prices = (),
    available: Prices = (),
    faulty: Prices = (),
    worth: float | None = None,
    weights: Weights = (),
    metric: str | None = None,
    smallest_gain: float | None = None,
    set: Sequence[str] = (),
) -> NextData:
    """Say which data to get next for a budget, what that should gain, and when to stop.

    After `assay mix run` part by part; without it the curve of the whole pool decides. No more of a part is
    advised than doubles it, since nothing was measured beyond: get it, run again, ask again, until the answer
    is stop. Ways are generate, annotate, buy, relabel or names of your own, each with its price and command.

    Example: `assay study next study.yaml "500 USD" --prices generate=0.01 --prices math:annotate=0.8`

        >>> assay.study.next("study.yaml", "40 hours", prices={"annotate": 0.02})  # doctest: +SKIP

    Parameters
    ----------
    config
        A study file whose mixtures, or whose ladder, were trained.
    budget
        An amount and its unit: "500 USD", "40 hours", "2000 samples".
    prices
        What one sample costs in that unit, by part and way (`math:annotate=0.8`) or for all parts
        (`generate=0.01`); may be repeated. The cheapest way of a part is taken first. Not needed for samples.
        In Python also a mapping.
    counts
        What one sample of a way counts beside one at hand, `generate=0.5`; 1 by default. To measure it, give
        new samples a source of their own and study with `mix.by: source`.
    available
        How many samples of a way can be had, `math:buy=300`; as many as double the part by default.
    faulty
        Share of a part's samples whose answers are wrong, which relabelling repairs: `math=0.2`, `all=0.2`.
    worth
        What a gain of 0.01 (1 % of a loss) is worth, in that unit: then it pays where it gains more than it
        costs. Without it, where it gains more than the smallest gain.
    weights
        What a type counts, `TYPE=WEIGHT`; by default all alike. In Python also a mapping.
    metric
        `score` or `loss`; by default the score where there is one.
    smallest_gain
        The smallest gain that matters; by default that of the study's question.
    set
        Changes: key.path=value.
    """
    study = load(config, set)
    amount, unit = _budget(budget)
    ways = _Ways(*(_read(v, n) for v, n in ((prices, "prices"), (counts, "counts"), (available, "available"),
                                            (faulty, "faulty"))))  # fmt: skip
    if not ways.prices and unit == "samples":
        ways = _Ways({"get": 1.0})
    known = _read(weights, "weights") or None
    own = None if study.mix is None else StudyMixtures(study)
    offers, loss, level, near = (
        _of_curve(study, ways, metric) if own is None else _of_mixtures(own, ways, known, metric)
    )
    question = study.question
    if smallest_gain is None:
        smallest_gain = question.smallest_relative_gain if loss else question.smallest_gain
    found = mixtures.purchase(offers, amount, smallest=smallest_gain, worth=worth)
    several = len({o.name for o in offers}) > 1
    plainly: list[mixtures.Plain] = ["equal", "proportional"] if several else []
    plainly += ["weakest"] if several and level else []
    plain: dict[str, mixtures.Purchase] = {
        w: mixtures.plain(offers, amount, w, level, smallest=smallest_gain, worth=worth) for w in plainly
    }
    file = study_file(config, set) or "study.yaml"
    return NextData(
        found, plain, "curve" if own is None else "mixtures", "loss" if loss else "score", unit,
        _commands(study, own, found), _after(study, own, file, found, unit, ways), study.name,
        study.language, near,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Ways:
    """What is said of ways to get samples, by ``PART:WAY`` or ``WAY``; ``faulty`` by part."""

    prices: Mapping[str, float]
    counts: Mapping[str, float] = field(default_factory=dict)
    available: Mapping[str, float] = field(default_factory=dict)
    faulty: Mapping[str, float] = field(default_factory=dict)

    def offers(
        self, names: Sequence[str], held: Mapping[str, int], value: Array, sd: Array
    ) -> tuple[mixtures.Offer, ...]:
        """Return an offer for each part and way."""
        return mixtures.offers_of(
            names, held, value, sd, self.prices, self.counts, self.available, self.faulty
        )  # fmt: skip

    def asked(self) -> str:
        """Return the options that say it again, but for what can be had: that is less by what was got."""
        given = {"prices": self.prices, "counts": self.counts, "faulty": self.faulty}
        pairs = [(name, f"{key}={number:g}") for name, own in given.items() for key, number in own.items()]
        return " ".join(f"--{name} {quote(text)}" for name, text in pairs)


def _read(given: Mapping[str, float] | Sequence[str], place: str) -> dict[str, float]:
    return dict(given) if isinstance(given, Mapping) else mixtures.weights_of(given, place)


Known: TypeAlias = tuple[tuple[mixtures.Offer, ...], bool, dict[str, float], tuple[str, ...]]
"""Offers, whether gains are of log loss, what each part scores on its own type now (higher is better), and
the types whose losses come near zero."""


def _of_mixtures(
    own: StudyMixtures, ways: _Ways, weights: Mapping[str, float] | None, metric: str | None
) -> Known:
    runs = read_runs(own.measured(), metric)
    fit = mixtures.fit_effects(runs)
    value, sd = mixtures.worth(fit, weights or dict.fromkeys(fit.types, 1.0))
    offers = ways.offers(fit.names, own.drawn.held, value, sd)
    middle = np.median(-runs.values if runs.loss else runs.values, axis=0).tolist()
    level = {k: v for k, v in zip(fit.types, middle, strict=True) if any(o.name == k for o in offers)}
    return offers, runs.loss, level, fit.types_near_zero


def _of_curve(study: StudyConfig, ways: _Ways, metric: str | None) -> Known:
    """Return one offer, of the pool as it is: the gain of the next doubling of the whole."""
    place = report_folder(study) / "result.json"
    if not place.is_file():
        raise AssayError(
            "the study has no result yet", place=str(place),
            hint="`assay study run` with the same file first; with `mix` in the file, `assay mix run`",
        )  # fmt: skip
    result = view.load_study(place)
    if isinstance(result, core.BasesResult):
        raise AssayError("the study has several bases", place=str(place), expected="a study of one base",
                         hint="--set base=MODEL, with a name of its own")  # fmt: skip
    wanted = [c for c in result.curves if c.arm == "random" and c.verdict and metric in (None, c.metric)]
    whole = [c for c in wanted if c.type == OVERALL] or wanted[:1]
    if not whole or whole[0].verdict is None or whole[0].band is None:
        raise AssayError("no curve could be fitted", place=str(place), hint="train more rungs")
    curve, verdict = whole[0], whole[0].verdict
    loss = curve.metric != "score"
    scale = curve.band.mean[-1] if loss and curve.band is not None else 1.0
    sd = (verdict.gain_high - verdict.gain_low) / (2 * mixtures.Z) / scale
    held = round(curve.band.extrapolated_from) if curve.band is not None else 0
    offers = ways.offers((_ALL,), {_ALL: held}, np.array([verdict.gain / scale]), np.array([sd]))
    return offers, loss, {}, ()


def _budget(text: str) -> tuple[float, str]:
    number, _, unit = str(text).strip().partition(" ")
    try:
        return float(number.replace(",", "").replace("_", "")), unit.strip() or "samples"
    except ValueError:
        raise AssayError(
            "cannot read the budget", place="budget", value=text,
            expected="an amount and its unit: 500 USD, 40 hours, 2000 samples",
        ) from None  # fmt: skip


def _commands(study: StudyConfig, own: StudyMixtures | None, found: mixtures.Purchase) -> dict[str, str]:
    """Return what gets the samples, by way; a way of one's own has no command."""
    pool, evaluation = _files(study.pool), _files(study.evaluation)
    files = [*(("--against", p) for p in pool), *(("--evaluation", p) for p in evaluation)]
    beside = "".join(f" {option} {quote(place)}" for option, place in files)
    if found.advice == "stop":
        return {}
    made: dict[str, str] = {}
    for way in dict.fromkeys(row.way for row in found.rows):
        rows = [row for row in found.rows if row.way == way]
        if way == "generate":
            made[way] = f"assay generate --out new.jsonl --model MODEL {_quotas(rows)}{beside}"
        elif way == "annotate":
            made[way] = _ANNOTATE.format(place="prompts.jsonl")
        elif way == "buy":
            made[way] = f"assay clean bought.jsonl --out new.jsonl{beside}"
        elif way == mixtures.RELABEL:
            made[way] = _ANNOTATE.format(place=quote(str(_to_relabel(study, own, rows))))
    return made


def _quotas(rows: Sequence[mixtures.Bought]) -> str:
    """Return how much of what is to be generated: by type, or in all where parts are none."""
    if all(row.name in core.TASK_TYPES for row in rows):
        return " ".join(f"--types {row.name}={row.samples}" for row in rows)
    return f"--n {sum(row.samples for row in rows)}"


def _to_relabel(study: StudyConfig, own: StudyMixtures | None, rows: Sequence[mixtures.Bought]) -> Path:
    """Write the samples to relabel, drawn at random, and all others; return where the first are."""
    pool = _pool(study, own)
    wanted = {row.name: row.samples for row in rows}
    by = study.mix.by if study.mix is not None else None
    parts = pool.column(by).to_pylist() if by is not None else [_ALL] * len(pool)
    taken: set[int] = set()
    for row in selection.pick(pool.column("id").to_pylist(), "random", seed=0).tolist():
        if wanted.get(str(parts[row]), 0) > 0:
            wanted[str(parts[row])] -= 1
            taken.add(row)
    _write(study, pool, [row for row in range(len(pool)) if row not in taken], _REST)
    return _write(study, pool, sorted(taken), "relabel.jsonl")


def _pool(study: StudyConfig, own: StudyMixtures | None) -> data.Dataset:
    ladder, store = (own.ladder, own.store) if own is not None else prepared(study)
    return data.Dataset(store.path(ladder.pool.key) / "dataset")


def _write(study: StudyConfig, pool: data.Dataset, rows: Sequence[int], name: str) -> Path:
    """Write samples of the pool where the next data are planned."""
    path = report_folder(study) / _NEXT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data.write(pool.take(rows), path, "samples", force=True)
    return path


def _kept(study: StudyConfig, own: StudyMixtures | None, found: mixtures.Purchase) -> list[str]:
    """Return the files of the pool that the new samples are added to."""
    if any(row.way == mixtures.RELABEL for row in found.rows):
        return [str(report_folder(study) / _NEXT / _REST)]
    if isinstance(study.pool, tuple):
        return _files(study.pool)
    pool = _pool(study, own)
    return [str(_write(study, pool, range(len(pool)), _REST))]


def _after(
    study: StudyConfig, own: StudyMixtures | None, file: str, found: mixtures.Purchase, unit: str, ways: _Ways
) -> tuple[str, ...]:
    """Return what to run when the samples are there: measure again with them, and ask for what is left."""
    if found.advice == "stop":
        return ()
    kept = _kept(study, own, found)
    changes = {"name": _following(study.name), "pool": json.dumps([*kept, "new.jsonl"], ensure_ascii=False)}
    if study.where.out is not None:
        changes["where.out"] = _following(study.where.out)
    grown = " ".join(f"--set {quote(f'{key}={value}')}" for key, value in changes.items())
    measure = f"assay {'study' if study.mix is None else 'mix'} run {quote(file)} {grown}"
    left = found.budget - found.cost
    again = f"assay study next {quote(file)} {quote(f'{left:g} {unit}')} {grown} {ways.asked()}".rstrip()
    return (measure, again) if left >= _LEAST_LEFT * found.budget else (measure,)


def _following(name: str) -> str:
    """Return the name of the study that comes after one: a grown pool has a report of its own."""
    stem, _, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}" if stem and number.isdecimal() else f"{name}-2"


def _files(source: object) -> list[str]:
    return [str(place) for place in source] if isinstance(source, tuple) else []
