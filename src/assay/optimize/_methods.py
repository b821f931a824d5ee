"""Ways to search, behind one interface: ask for sizes, tell losses."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from assay.core import AssayError
from assay.optimize._budget import Budget
from assay.optimize._surface import Choice, Observation, Surface

RUNGS = 7
_FEWEST = 4
_WORTH = 0.01
"""Share of the range seen so far that one more run must be expected to gain."""
_PATIENCE = 1000
_RATIO = (5**0.5 - 1) / 2


class Searcher(Protocol):
    """A search between ``low`` and ``high`` samples.

    It is replayed from what it was told: two searchers of the same settings that were told the same are in
    the same state, so a search goes on after a kill from its observations alone.
    """

    observations: list[Observation]

    def ask(self, count: int = 1) -> list[int]:
        """Return up to ``count`` sizes to run next, none where the search is over."""

    def tell(self, observation: Observation) -> None:
        """Take note of a run's loss."""

    def choice(self) -> Choice:
        """Return the best of the sizes that were trained, by the smoothed losses or as observed."""


class _Base:
    def __init__(self, low: int, high: int, budget: Budget, seed: int) -> None:
        self.low, self.high, self.budget, self.seed = low, high, budget, seed
        self.observations: list[Observation] = []

    def tell(self, observation: Observation) -> None:
        self.observations.append(observation)

    def choice(self) -> Choice:
        return Surface(self.low, self.high, self.observations).choice()

    def affordable(self, sizes: Sequence[int]) -> list[int]:
        """Return the sizes, in order, that the budget still allows."""
        spent = list(self.observations)
        kept = []
        for size in sizes:
            if self.budget.allows(spent, size):
                kept.append(size)
                spent.append(Observation(size, 0.0))
        return kept


def _ladder(low: int, high: int, rungs: int) -> list[int]:
    return [round(v) for v in np.geomspace(low, high, rungs)]


class Grid(_Base):
    """A log-spaced grid as large as the budget's runs (7 without one), and its smoothed minimum."""

    def ask(self, count: int = 1) -> list[int]:
        """Return the next sizes of the grid."""
        wanted = _ladder(self.low, self.high, self.budget.runs or RUNGS)
        return self.affordable(wanted[len(self.observations) :][:count])


class LadderGradient(_Base):
    """A log ladder of 7 sizes (fewer in a small budget), then sizes by knowledge gradient per root of cost.

    Stops where no run is expected to lower the loss by more than 1 % of the range seen (methods: section 3).
    """

    def ask(self, count: int = 1) -> list[int]:
        """Return rungs of the ladder, then the sizes of greatest gain.

        Each is chosen as if those before had come out as expected.
        """
        first = self._first()
        done = len(self.observations)
        if done < len(first):
            return self.affordable(first[done:][:count])
        believed = list(self.observations)
        sizes: list[int] = []
        while len(sizes) < count:
            surface = Surface(self.low, self.high, believed)
            gain = surface.gain()
            if gain.max() < _WORTH * surface.unit:
                break
            best = int((gain / np.sqrt(surface.sizes)).argmax())
            sizes.append(round(surface.sizes[best]))
            believed.append(Observation(sizes[-1], surface.centre + surface.unit * float(surface.mean[best])))
        return self.affordable(sizes)

    def _first(self) -> list[int]:
        """Return the ladder of most rungs, up to 7, that the whole budget allows from end to end."""
        for rungs in range(RUNGS, _FEWEST - 1, -1):
            sizes = _ladder(self.low, self.high, rungs)
            done = self.observations[: rungs - 1]
            spent = [*done, *(Observation(size, 0.0) for size in sizes[len(done) : -1])]
            if self.budget.allows(spent, sizes[-1]):
                return sizes
        raise AssayError(
            "the budget does not cover both ends of the range",
            place="search",
            value=f"{self.low:,} to {self.high:,} samples",
            expected=f"{_FEWEST} runs, {sum(_ladder(self.low, self.high, _FEWEST)):,} samples, or more",
            hint="lower `high`, or raise the budget",
        )


class Golden(_Base):
    """Golden section on the log size: right for one valley, and here for comparison."""

    def ask(self, count: int = 1) -> list[int]:
        """Return the next size; one at a time, whatever ``count``."""
        left, right = np.log(self.low), np.log(self.high)
        known = {o.size: o.loss for o in self.observations}
        while right - left > 0.02:
            inner = [
                round(np.exp(right - _RATIO * (right - left))),
                round(np.exp(left + _RATIO * (right - left))),
            ]
            missing = [size for size in inner if size not in known]
            if missing:
                return self.affordable(missing[:1])
            if known[inner[0]] < known[inner[1]]:
                right = np.log(inner[1])
            else:
                left = np.log(inner[0])
        return []


class _Replayed(_Base):
    """A library's searcher, brought to its state by suggesting again what was told."""

    def ask(self, count: int = 1) -> list[int]:
        """Return what the library suggests next; one at a time, as it learns from each."""
        suggest = self.start()
        for observation in self.observations:
            suggest(observation)
        size = suggest(None)
        return self.affordable([size])

    def start(self) -> Callable[[Observation | None], int]:
        """Return a function that suggests, and is told the loss of what it suggested before."""
        raise NotImplementedError


class Blend(_Replayed):
    """FLAML's BlendSearch from the lowest cost up, cost its attribute, and the best run that it saw.

    The way of INSTRUCTMINING, which takes the best observed size (section 4).
    """

    def choice(self) -> Choice:
        """Return the size of the run with the lowest loss."""
        return Surface(self.low, self.high, self.observations).choice(observed=True)

    def start(self) -> Callable[[Observation | None], int]:
        """Start it with its low-cost configuration."""
        _installed("flaml")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its AutoML part is not wanted
            import flaml
            from flaml import tune

            logging.getLogger("flaml").setLevel(logging.ERROR)
            logging.getLogger("optuna").setLevel(logging.WARNING)

        library: Any = flaml
        sample: Any = tune
        space = {"size": sample.lograndint(self.low, self.high + 1)}
        search = library.BlendSearch(
            metric="loss", mode="min", space=space, low_cost_partial_config={"size": self.low},
            cost_attr="cost", seed=self.seed + 20,
        )  # fmt: skip
        names: dict[str, str] = {}

        def suggest(trial: str) -> int:
            for turn in range(_PATIENCE):
                found = search.suggest(f"{trial}/{turn}")
                # The library says nothing where a local search came back to what it knows, and then moves on.
                if found is not None:
                    names[trial] = f"{trial}/{turn}"
                    return int(found["size"])
            raise AssayError("BlendSearch has no size left to suggest", place="method", value="blendsearch")

        def told(trial: str, size: int, loss: float) -> None:
            result = {"loss": loss, "cost": size, "config/size": size, "training_iteration": 1}
            search.on_trial_complete(names[trial], result)

        return _alternate(suggest, told)


class Optuna(_Replayed):
    """Optuna's tree-structured Parzen estimator over the log size."""

    def start(self) -> Callable[[Observation | None], int]:
        """Start a study in memory."""
        _installed("optuna")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed))
        trials: dict[str, Any] = {}

        def suggest(name: str) -> int:
            trials[name] = study.ask()
            return int(trials[name].suggest_int("size", self.low, self.high, log=True))

        return _alternate(suggest, lambda name, _, loss: study.tell(trials[name], loss))


def _alternate(
    suggest: Callable[[str], int], told: Callable[[str, int, float], object]
) -> Callable[[Observation | None], int]:
    """Return a function that suggests and is told in turn; the size told is the one suggested."""
    count = 0

    def step(observation: Observation | None) -> int:
        nonlocal count
        name = f"trial{count}"
        count += 1
        size = suggest(name)
        if observation is not None:
            told(name, observation.size, observation.loss)
        return size

    return step


def _installed(name: str) -> None:
    if find_spec(name) is None:
        raise AssayError(
            f"{name} is not installed", place="method", hint='pip install "instruct-assay[rule]"'
        )


METHODS: dict[str, type[Any]] = {
    "ladder": LadderGradient,
    "blendsearch": Blend,
    "optuna": Optuna,
    "grid": Grid,
    "golden": Golden,
}
"""Ways to search by name; ``ladder`` is the default."""


def searcher(method: str, low: int, high: int, budget: Budget, *, seed: int = 0) -> Searcher:
    """Return a new search between ``low`` and ``high`` samples."""
    if method not in METHODS:
        raise AssayError("no such method", value=method, expected=", ".join(METHODS))
    if not 0 < low < high:
        raise AssayError(
            "empty search range", value=f"{low} to {high}", expected="low above 0, high above low"
        )
    made: Searcher = METHODS[method](low, high, budget, seed)
    return made
