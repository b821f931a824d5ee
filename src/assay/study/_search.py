"""The best size of an arm, searched on one evaluation set and reported on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay import data, view
from assay.core import AssayError, Remark, SearchPage, Shown, to_json
from assay.optimize import Budget, Choice, Observation, Searcher, Surface, searcher
from assay.plan import Advance, progress_bar, quiet
from assay.study._claim import claim
from assay.study._config import ArmConfig, SearchConfig, StudyConfig
from assay.study._graph import input_steps
from assay.study._measured import losses
from assay.study._run import Study, load, report_folder
from assay.view import new_table

_REPORT_SEEDS = 3


@dataclass(frozen=True)
class SearchReport(Shown):
    """What was tried, what was chosen, and what it is worth on the study's own evaluation set.

    ``reported`` and ``random`` are mean losses over seeds at the chosen size, of the arm and of random
    samples; ``samples`` were trained while searching.
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

    def __rich__(self) -> Any:
        """Return the choice with its interval, what was tried, and its worth against random samples."""
        from rich.console import Group

        table = new_table("samples", "loss")
        for o in self.observations:
            table.add_row(f"{o.size:,}", f"{o.loss:.4f}")
        choice = self.choice
        head = (
            f"{self.arm}: {choice.size:,} samples, between {choice.low:,} and {choice.high:,} (90 %), after "
            f"{choice.runs} runs on {self.samples:,} samples ({self.method}). "
            f"On the study's own set: {self.reported:.4f}, random samples {self.random:.4f} "
            f"({self.seeds} seeds)."
        )
        end = [view.said(Remark(f"end.{choice.end}"))] if choice.end else []
        return Group(head, *end, table, self.page)


def search(config: Study, *, set: Sequence[str] = ()) -> SearchReport:
    """Search the best size of an arm on one evaluation set, and report it on the study's own.

    Every run is in the store: a search that was killed goes through its answers again and on from there.

    Example: `assay search study.yaml`, where the study file says

        search: {arm: ifd, evaluation: search.jsonl, low: 500, high: 20000, runs: 10}

    Parameters
    ----------
    config
        A study file with a search.
    set
        Changes: key.path=value.
    """
    config = load(config, set)
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
    mean = {arm: sum(v.loss for (a, _, _), v in final.items() if a == arm) / _REPORT_SEEDS for arm in arms}
    folder = report_folder(config) / "search"
    folder.mkdir(parents=True, exist_ok=True)
    out, seen = folder / f"{wanted.method}.json", tuple(made.observations)
    page = _page(config, wanted, choice, seen, mean[wanted.arm], mean["random"])
    shown = view.write_search_page(page, out.with_suffix(".html"), config.language)
    found = SearchReport(
        wanted.arm, wanted.method, choice, seen, page.samples, page.reported, page.random, _REPORT_SEEDS,
        str(out), str(shown),
    )  # fmt: skip
    data.write_json(out, to_json(found))
    return found


def _page(
    config: StudyConfig, wanted: SearchConfig, choice: Choice, seen: tuple[Observation, ...], own: float,
    random: float,
) -> SearchPage:  # fmt: skip
    """Return what the page of the search shows: the runs and the smoothed loss."""
    surface = Surface(wanted.low, wanted.high, seen)
    below, above = surface.band()
    mean = surface.centre + surface.unit * surface.mean
    return SearchPage(
        config.name, wanted.arm, wanted.method, choice.size, choice.low, choice.high,
        sum(o.size for o in seen), tuple(o.size for o in seen), tuple(o.loss for o in seen),
        tuple(surface.sizes.tolist()), tuple(mean.tolist()), tuple(below.tolist()), tuple(above.tolist()),
        own, random, _REPORT_SEEDS, choice.end,
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
