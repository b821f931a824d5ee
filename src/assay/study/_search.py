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
class SearchReport(Shown):
    """What was tried, what was chosen, and what it is worth on the study's own evaluation set.

    ``reported`` and ``random`` are mean losses over seeds at the chosen size, of the arm and of random
    samples; ``ahead`` is how much lower the arm's is, with the 90 % interval of a t over the seeds (items are
    the same for both); ``samples`` were trained while searching.
    """

    arm: str
    method: str
    choice: Choice
    observations: tuple[Observation, ...]
    samples: int
    reported: float
    random: float
    seeds: int
    out: str
    page: str
    name: str
    smoothed: core.Smoothed
    ahead: core.Measurement
    language: str = "en"

    @property
    def word(self) -> Literal["better", "worse", "undecided"]:
        """Return whether the arm beats as many random samples, by the interval of ``ahead``."""
        if self.ahead.low > 0:
            return "better"
        return "worse" if self.ahead.high < 0 else "undecided"

    def as_page(self) -> core.Page:
        """Return the choice with its interval, the smoothed loss, what was tried, and what it is worth."""
        choice, a = self.choice, self.ahead
        found = say(
            "search.lead", low=choice.low, high=choice.high, runs=choice.runs, samples=self.samples,
            method=self.method,
        )  # fmt: skip
        own = say("search.lead.own", reported=self.reported, random=self.random, seeds=self.seeds)
        end = core.Paragraph(say(f"rule.end.{choice.end}"), "warning") if choice.end else None
        columns = (core.Column(say("col.n"), ","), core.Column(say("metric.loss"), ".4f"))
        blocks = page(
            core.Heading(say(f"search.headline.{self.word}", n=choice.size, arm=self.arm), 1),
            core.Paragraph(say("search.ahead", value=a.value, interval=(a.low, a.high), seeds=self.seeds)),
            core.Paragraph(found),
            core.Paragraph(own), end,
            self.smoothed, core.Paragraph(say("search.caption"), "quiet"),
            core.Table(columns, tuple((o.size, o.loss) for o in self.observations)),
            core.files(out=self.out, page=self.page),
        ).blocks  # fmt: skip
        title = say("search.title", name=self.name)
        return core.Page(blocks, self.language, title, say("search.eyebrow"), self.name)


def search(config: Study, *, set: Sequence[str] = ()) -> SearchReport:
    """Find the best size of an arm on one evaluation set, and report it on the study's own.

    Every run is stored: an interrupted search replays its results and continues.

    Example: `assay search study.yaml`, where the study file says

        search: {arm: ifd, evaluation: search.jsonl, low: 500, high: 20000, runs: 10}

    Parameters
    ----------
    config
        Study file (YAML) with a `search` section.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    """
    config = load(config, set)
    with spending(config, report_folder(config)) as meter:
        found = _search(config)
        meter.per |= {"run": len(found.observations) + 2 * found.seeds, "verdict": 1}
    return found


def _search(config: StudyConfig) -> SearchReport:
    wanted = _settings(config)
    claim(config, input_steps(config)[1], report_folder(config))
    budget = Budget(
        wanted.runs, wanted.samples, wanted.hours, wanted.money, config.question.price_per_thousand,
        wanted.price_per_hour,
    )  # fmt: skip
    made = searcher(wanted.method, wanted.low, wanted.high, budget, seed=wanted.seed)
    on_search = replace(config, measured=wanted.evaluation)
    with progress_bar("search") as advance:
        _explore(made, on_search, config.arms[wanted.arm], wanted, advance)
    choice = made.choice()
    arms = {
        wanted.arm: replace(config.arms[wanted.arm], rungs=(choice.size,)),
        "random": ArmConfig(rungs=(choice.size,)),
    }
    final = losses(config, arms, _REPORT_SEEDS, f"{config.name}-search-report")
    own = {arm: sum(v.loss for (a, _, _), v in final.items() if a == arm) / _REPORT_SEEDS for arm in arms}
    folder = report_folder(config) / "search"
    folder.mkdir(parents=True, exist_ok=True)
    out, seen = folder / f"{wanted.method}.json", tuple(made.observations)
    found = SearchReport(
        wanted.arm, wanted.method, choice, seen, sum(o.size for o in seen), own[wanted.arm], own["random"],
        _REPORT_SEEDS, str(out), str(out.with_suffix(".html")), config.name, _smoothed(wanted, choice, seen),
        _ahead(final, wanted.arm, choice.size), config.language,
    )  # fmt: skip
    view.write_page(found.as_page(), out.with_suffix(".html"))
    data.write_json(out, to_json(found))
    return found


def _ahead(final: Losses, arm: str, size: int) -> core.Measurement:
    """Return how much lower the arm's loss is than random's, with a 90 % interval of t over the seeds."""
    runs = {(a, seed): measured.loss for (a, _, seed), measured in final.items()}
    apart = [runs["random", seed] - runs[arm, seed] for seed in range(_REPORT_SEEDS)]
    from scipy.special import stdtrit  # slow to import

    reach = float(stdtrit(len(apart) - 1, 0.95)) * stdev(apart) / math.sqrt(len(apart))
    return core.Measurement(size, mean(apart), mean(apart) - reach, mean(apart) + reach)


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
