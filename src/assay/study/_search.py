"""The best size of an arm, searched on one evaluation set and reported on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Literal

from assay import core, data, view
from assay.core import AssayError, Shown, page, say, to_json
from assay.optimize import Budget, Choice, Observation, Searcher, Surface, searcher
from assay.plan import Advance, progress_bar, quiet
from assay.study._claim import claim
from assay.study._config import ArmConfig, SearchConfig, StudyConfig
from assay.study._graph import input_steps
from assay.study._measured import Losses, losses
from assay.study._run import Study, load, report_folder
from assay.study._spend import spending

_REPORT_SEEDS = 3


@dataclass(frozen=True)
class SearchFound(Shown):
    """What one method tried and chose, and what that is worth on the study's own evaluation set.

    ``reported`` and ``random`` are mean losses over seeds at the chosen size, of the arm and of random
    samples; ``ahead`` is how much lower the arm's is than random's, ``over_full`` than that of all samples
    (None where these were not trained on), each with the 90 % interval of a t over the seeds (items are the
    same for both).  ``samples`` were trained while searching.
    """

    method: str
    choice: Choice
    observations: tuple[Observation, ...]
    samples: int
    reported: float
    random: float
    smoothed: core.Smoothed
    ahead: core.Measurement
    over_full: core.Measurement | None

    @property
    def word(self) -> Literal["better", "worse", "undecided"]:
        """Return whether the arm beats as many random samples, by the interval of ``ahead``."""
        if self.ahead.low > 0:
            return "better"
        return "worse" if self.ahead.high < 0 else "undecided"

    def blocks(self) -> tuple[core.Block, ...]:
        """Return the choice with its interval, the smoothed loss, and what was tried."""
        choice = self.choice
        lead = say(
            "search.lead", low=choice.low, high=choice.high, runs=choice.runs, samples=self.samples,
            method=self.method,
        )  # fmt: skip
        end = core.Paragraph(say(f"rule.end.{choice.end}"), "warning") if choice.end else None
        columns = (core.Column(say("col.n"), ","), core.Column(say("metric.loss"), ".4f"))
        return page(
            core.Paragraph(lead), end, self.smoothed,
            core.Table(columns, tuple((o.size, o.loss) for o in self.observations)),
        ).blocks  # fmt: skip


@dataclass(frozen=True)
class SearchReport(Shown):
    """The best size by each method, the first first, on the study's own set beside random and full data.

    ``full`` is the mean loss over seeds of all ``full_samples``; None where these were not trained on.
    """

    arm: str
    found: tuple[SearchFound, ...]
    full: float | None
    full_samples: int | None
    seeds: int
    out: str
    page: str
    name: str
    language: str = "en"

    @property
    def choice(self) -> Choice:
        """Return what the first method chose."""
        return self.found[0].choice

    @property
    def word(self) -> Literal["better", "worse", "undecided"]:
        """Return whether the first method's choice beats as many random samples."""
        return self.found[0].word

    def as_page(self) -> core.Page:
        """Return the verdict, each method's choice beside random and full data, and how it was found."""
        first, whole = self.found[0], None
        if first.over_full is not None:
            whole = core.Paragraph(self._against("search.over_full", first.over_full))
        blocks = page(
            core.Heading(say(f"search.headline.{self.word}", n=first.choice.size, arm=self.arm), 1),
            core.Paragraph(self._against("search.ahead", first.ahead)),
            whole,
            core.Paragraph(say("search.lead.own", seeds=self.seeds)),
            self._choices(),
            *(block for found in self.found for block in found.blocks()),
            core.Paragraph(say("search.caption"), "quiet"),
            core.files(out=self.out, page=self.page),
        ).blocks  # fmt: skip
        title = say("search.title", name=self.name)
        return core.Page(blocks, self.language, title, say("search.eyebrow"), self.name)

    def _against(self, key: str, measured: core.Measurement) -> core.Text:
        interval = (-measured.high, -measured.low)  # of losses: how much lower is measured, what differs told
        return say(key, value=-measured.value, interval=interval, seeds=self.seeds, n=self.full_samples)

    def _choices(self) -> core.Table:
        """Return one row per method, and one of all data."""
        names = ("method", "n", "tried", "reported", "random")
        heads = tuple(core.Column(say(f"search.col.{name}"), _FORMS[name]) for name in names)
        rows: list[tuple[core.Cell, ...]] = [
            (found.method, found.choice.size, found.samples, found.reported, found.random)
            for found in self.found
        ]
        if self.full is not None:
            rows.append((say("search.full"), self.full_samples, None, None, self.full))
        return core.Table(heads, tuple(rows))


_FORMS = {"method": "", "n": ",", "tried": ",", "reported": ".4f", "random": ".4f"}


def search(config: Study, *, set: Sequence[str] = (), cap: str | None = None) -> SearchReport:
    """Find the best size of an arm on one evaluation set, and report it on the study's own.

    Every run is stored: an interrupted search replays its results and continues. Several methods
    (`method: [ladder, blendsearch]`) have the same budget each and stand side by side.

    Example: `assay search study.yaml`, where the study file says

        search: {arm: ifd, evaluation: search.jsonl, low: 500, high: 20000, runs: 10}

    Parameters
    ----------
    config
        Study file (YAML) with a `search` section.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    config = load(config, set)
    with spending(config, report_folder(config), cap) as meter:
        found = _search(config)
        tried = sum(len(one.observations) for one in found.found)
        meter.per |= {"run": tried, "verdict": len(found.found)}
    return found


def _search(config: StudyConfig) -> SearchReport:
    wanted = _settings(config)
    claim(config, input_steps(config)[1], report_folder(config))
    made = [_searched(config, wanted, method) for method in wanted.method]
    sizes = tuple(sorted({one.choice().size for one in made}))
    arms = {
        wanted.arm: replace(config.arms[wanted.arm], rungs=sizes),
        "random": ArmConfig(rungs=(*sizes, "full") if wanted.full else sizes),
    }
    with quiet():
        final = losses(config, arms, _REPORT_SEEDS, f"{config.name}-search-report")
    full = max(n for _, n, _ in final) if wanted.full else None
    folder = report_folder(config) / "search"
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{'+'.join(wanted.method)}.json"
    each = zip(wanted.method, made, strict=True)
    found = SearchReport(
        wanted.arm, tuple(_found(wanted, method, one, final, full) for method, one in each),
        None if full is None else _mean(final, "random", full), full, _REPORT_SEEDS,
        str(out), str(out.with_suffix(".html")), config.name, config.language,
    )  # fmt: skip
    view.write_page(found.as_page(), out.with_suffix(".html"))
    data.write_json(out, to_json(found))
    return found


def _searched(config: StudyConfig, wanted: SearchConfig, method: str) -> Searcher:
    """Return a search that is over."""
    budget = Budget(
        wanted.runs, wanted.samples, wanted.hours, wanted.money, config.question.price_per_thousand,
        wanted.price_per_hour,
    )  # fmt: skip
    made = searcher(method, wanted.low, wanted.high, budget, seed=wanted.seed)
    on_search = replace(config, measured=wanted.evaluation)
    with progress_bar(f"search, {method}") as advance:
        _explore(made, on_search, config.arms[wanted.arm], wanted, advance)
    return made


def _found(wanted: SearchConfig, method: str, made: Searcher, final: Losses, full: int | None) -> SearchFound:
    choice, seen, arm = made.choice(), tuple(made.observations), wanted.arm
    size = choice.size
    return SearchFound(
        method, choice, seen, sum(o.size for o in seen),
        _mean(final, arm, size), _mean(final, "random", size),
        _smoothed(wanted, choice, seen), _ahead(final, (arm, size), ("random", size)),
        None if full is None else _ahead(final, (arm, size), ("random", full)),
    )  # fmt: skip


def _mean(final: Losses, arm: str, size: int) -> float:
    return mean(final[arm, size, seed].loss for seed in range(_REPORT_SEEDS))


def _ahead(final: Losses, own: tuple[str, int], other: tuple[str, int]) -> core.Measurement:
    """Return how much lower the loss of ``own`` is, with a 90 % interval of t over the seeds."""
    apart = [final[*other, seed].loss - final[*own, seed].loss for seed in range(_REPORT_SEEDS)]
    from scipy.special import stdtrit  # slow to import

    reach = float(stdtrit(len(apart) - 1, 0.95)) * stdev(apart) / math.sqrt(len(apart))
    return core.Measurement(own[1], mean(apart), mean(apart) - reach, mean(apart) + reach)


def _smoothed(wanted: SearchConfig, choice: Choice, seen: tuple[Observation, ...]) -> core.Smoothed:
    """Return the smoothed loss over the size with its band, the runs, and the interval of the best size."""
    surface = Surface(wanted.low, wanted.high, seen)
    below, above = surface.band()
    mean = surface.centre + surface.unit * surface.mean
    return core.Smoothed(
        say("search.aria", n=choice.size), tuple(surface.sizes.tolist()), tuple(mean.tolist()),
        tuple(below.tolist()), tuple(above.tolist()), tuple(float(o.size) for o in seen),
        tuple(o.loss for o in seen), (float(choice.low), float(choice.size), float(choice.high)),
        say("search.axis.size"), say("search.axis.loss"),
    )  # fmt: skip


def _explore(
    made: Searcher, config: StudyConfig, arm: ArmConfig, wanted: SearchConfig, advance: Advance
) -> None:
    """Ask and tell until the search is over; each run has a seed of its own, so that noise is seen."""
    while sizes := made.ask(wanted.parallel):
        arms = {f"{wanted.arm}-{size}": replace(arm, rungs=(size,)) for size in sizes}
        with quiet():
            found = losses(config, arms, 1, f"{config.name}-search-{len(made.observations)}")
        by_arm = {name: value for (name, _, _), value in found.items()}
        for size in sizes:
            measured = by_arm[f"{wanted.arm}-{size}"]
            made.tell(Observation(size, measured.loss, measured.hours))
            advance(len(made.observations), wanted.runs or len(made.observations) + 1, "run")


def _settings(config: StudyConfig) -> SearchConfig:
    if config.search is None:
        raise AssayError(
            "the study file has no search",
            place="search",
            expected="search: {arm: mine, evaluation: search.jsonl, low: 500, high: 20000}",
        )
    if config.search.arm not in config.arms:
        raise AssayError(
            "no such arm",
            place="search.arm",
            value=config.search.arm,
            expected=", ".join(config.arms) or "an arm",
        )
    return config.search
