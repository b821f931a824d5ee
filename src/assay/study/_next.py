"""What data to get next for a budget, from what the study's runs have shown so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np

from assay import core, mixtures, view
from assay.core import OVERALL, AssayError, OnCommand, Shown, page, say
from assay.study._config import StudyConfig
from assay.study._mix import StudyMixtures
from assay.study._mix_allocate import Weights
from assay.study._mix_table import read_runs
from assay.study._run import Study, load, report_folder

Prices: TypeAlias = Annotated[Mapping[str, float] | Sequence[str], OnCommand(Sequence[str])]
"""What a sample costs, in the unit of the budget: ``PART:WAY`` or ``WAY`` to a number, or such texts."""

_ALL = "all"
_GENERATE = "generate"


@dataclass(frozen=True)
class NextData(Shown):
    """What to get next, what it should gain, and the command that gets it.

    ``basis``: ``mixtures``, where the effect of each part was measured, or ``curve``, where only the curve of
    the whole pool is known.  ``plain``: what plain ways would gain for the same budget.
    """

    purchase: mixtures.Purchase
    plain: Mapping[str, mixtures.Purchase]
    basis: Literal["mixtures", "curve"]
    metric: str
    unit: str
    command: str | None
    study: str
    language: str = "en"

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
            core.Items(tuple(self._notes()), "quiet"),
            core.next_command(self.command) if self.command and found.advice == "get" else None,
            language=self.language,
        )  # fmt: skip

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
        if self.purchase.advice == "get":
            notes.append(say("mix.next.after"))
            if self.purchase.cost < 0.98 * self.purchase.budget:
                notes.append(
                    say("mix.next.left", left=self.purchase.budget - self.purchase.cost, unit=self.unit)
                )
        return notes


def next(  # noqa: A001 - `assay study next`
    config: Study,
    budget: str,
    *,
    prices: Prices = (),
    worth: float | None = None,
    weights: Weights = (),
    metric: str | None = None,
    smallest_gain: float | None = None,
    set: Sequence[str] = (),
) -> NextData:
    """Say which data to get next for a budget, what that should gain, and when to stop.

    After `assay mix run` part by part; without it the curve of the whole pool decides. No more of a part is
    advised than doubles it, since nothing was measured beyond: get it, run again, ask again.

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
        (`generate=0.01`); may be repeated. The cheapest way of a part is taken. Not needed for samples. In
        Python also a mapping.
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
    costs = dict(prices) if isinstance(prices, Mapping) else mixtures.weights_of(prices, "prices")
    if not costs and unit == "samples":
        costs = {"get": 1.0}
    known = dict(weights) if isinstance(weights, Mapping) else mixtures.weights_of(weights) or None
    if study.mix is None:
        offers, loss, level = _of_curve(study, costs, metric)
    else:
        offers, loss, level = _of_mixtures(StudyMixtures(study), costs, known, metric)
    question = study.question
    if smallest_gain is None:
        smallest_gain = question.smallest_relative_gain if loss else question.smallest_gain
    found = mixtures.purchase(offers, amount, smallest=smallest_gain, worth=worth)
    ways: list[mixtures.Plain] = ["equal", "proportional"] if len(offers) > 1 else []
    ways += ["weakest"] if ways and level else []
    plain: dict[str, mixtures.Purchase] = {
        w: mixtures.plain(offers, amount, w, level, smallest=smallest_gain, worth=worth) for w in ways
    }
    basis: Literal["mixtures", "curve"] = "curve" if study.mix is None else "mixtures"
    return NextData(
        found, plain, basis, "loss" if loss else "score", unit, _command(study, found), study.name,
        study.language,
    )  # fmt: skip


Known: TypeAlias = tuple[tuple[mixtures.Offer, ...], bool, dict[str, float]]
"""Offers, whether gains are of log loss, and what each part's own type scores now (higher is better)."""


def _of_mixtures(
    own: StudyMixtures, prices: Mapping[str, float], weights: Mapping[str, float] | None, metric: str | None
) -> Known:
    runs = read_runs(own.measured(), metric)
    fit = mixtures.fit_effects(runs)
    value, sd = mixtures.worth(fit, weights or dict.fromkeys(fit.types, 1.0))
    offers = mixtures.offers_of(fit.names, own.drawn.held, value, sd, prices)
    middle = np.median(-runs.values if runs.loss else runs.values, axis=0).tolist()
    level = {k: v for k, v in zip(fit.types, middle, strict=True) if any(o.name == k for o in offers)}
    return offers, runs.loss, level


def _of_curve(study: StudyConfig, prices: Mapping[str, float], metric: str | None) -> Known:
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
    offers = mixtures.offers_of(
        (_ALL,), {_ALL: held}, np.array([verdict.gain / scale]), np.array([sd]), prices
    )
    return offers, loss, {}


def _budget(text: str) -> tuple[float, str]:
    number, _, unit = str(text).strip().partition(" ")
    try:
        return float(number.replace(",", "").replace("_", "")), unit.strip() or "samples"
    except ValueError:
        raise AssayError(
            "cannot read the budget", place="budget", value=text,
            expected="an amount and its unit: 500 USD, 40 hours, 2000 samples",
        ) from None  # fmt: skip


def _command(study: StudyConfig, found: mixtures.Purchase) -> str | None:
    """Return the command that generates what is to be generated; None where nothing is."""
    rows = [row for row in found.rows if row.way == _GENERATE]
    if not rows:
        return None
    named = [row for row in rows if row.name in core.TASK_TYPES]
    wanted = " ".join(f"--types {row.name}={row.samples}" for row in named)
    if len(named) < len(rows):
        wanted = f"--n {sum(row.samples for row in rows)}"
    sets = {"--against": study.pool, "--evaluation": study.evaluation}
    files = [f"{option} {p}" for option, own in sets.items() if isinstance(own, tuple) for p in own]
    return " ".join(["assay generate --out new.jsonl --model MODEL", wanted, *files])
