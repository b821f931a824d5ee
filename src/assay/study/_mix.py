"""Mixtures of a study's pool: design, run, and the effect of each part on each type."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay import core, data, mixtures, model, selection, view
from assay import plan as planning
from assay.core import AssayError, File, OnCommand, Shown, digest, page, say
from assay.plan import Store
from assay.study._claim import claim
from assay.study._config import ArmConfig, MixConfig, StudyConfig
from assay.study._control import control_size
from assay.study._graph import Ladder, RunSteps, input_steps, model_place
from assay.study._measured import finished, prepared
from assay.study._mix_table import read_runs, write_runs
from assay.study._noise import RunNoise, by_size, measured_run, noise_at
from assay.study._run import Study, load, report_folder
from assay.study._spend import prices, spending
from assay.study.steps import MeasuredRun

Counts = NDArray[np.int64]

_MIX = "mix{:03}"
_DESIGN, RUNS, _FIT, CONFIRMED = "design.json", "runs.csv", "effects.json", "confirmed.json"
_UNTYPED = "untyped"

Runs: TypeAlias = Annotated[Path | str | Mapping[str, Any] | StudyConfig | Sequence[Any], OnCommand(Path)]
"""A study's file, what stands in one, a table of measured mixtures, or its rows."""


@dataclass(frozen=True)
class MixPlan(Shown):
    """Mixtures that will be trained, what they can see, and what they take; ``folder`` holds them.

    ``most`` are the most samples of each part that a mixture takes, ``pool`` what the pool holds;
    ``shared`` runs are the study's own random runs.  ``power`` is that for runs whose standard deviation is
    1; ``noise`` what it comes to for each type and metric, by ``learned``: what is known of the runs' own
    noise (nothing where no mixture was run twice and no ``mix.sd`` is given).
    """

    folder: str
    way: str
    runs: int
    n: int
    step: float
    names: tuple[str, ...]
    base: tuple[int, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]
    pool: tuple[int, ...]
    types: int
    power: tuple[mixtures.MixPower, ...]
    noise: tuple[mixtures.MixNoise, ...]
    learned: tuple[RunNoise, ...]
    passes: int
    epochs: int
    shared: int
    cost: planning.Plan
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return what will be trained, what it costs, and from which effect on each part is seen."""
        head = say("mix.design", runs=self.runs, n=self.n, way=self.way, step=self.step, passes=self.passes,
                   epochs=self.epochs)  # fmt: skip
        total = self.cost.total
        cost = say("mix.design.cost", cached=total.cached, steps=total.cached + total.to_do)
        takes = core.Paragraph(self.cost.forecast.said()) if total.to_do else None
        shared = say(
            "mix.design.shared" if self.shared else "mix.design.unshared", shared=self.shared, n=self.n
        )
        columns = (
            core.Column(say("mix.col.part"), "@type"), core.Column(say("mix.col.base"), ","),
            core.Column(say("mix.col.range"), ","), core.Column(say("mix.col.pool"), ","),
        )  # fmt: skip
        rows = tuple(
            (name, base, (least, most), pool)
            for name, base, least, most, pool in zip(
                self.names, self.base, self.least, self.most, self.pool, strict=True
            )
        )
        return page(
            core.Paragraph(head), core.Paragraph(shared), core.Paragraph(cost), takes,
            core.Table(columns, rows), *self._seen(), core.files(folder=self.folder),
            core.next_command("assay mix run" if self.noise else "assay mix run --base"),
            language=self.language,
        )  # fmt: skip

    def _seen(self) -> Iterator[core.Block]:
        """Yield what these runs can see of each type, or what it takes to say so."""
        alone, among = max(p.alone for p in self.power), max(p.among for p in self.power)
        pairs = self.types * len(self.names)
        if not self.noise:
            unknown = say("mix.design.unknown", alone=alone, among=among, pairs=pairs)
            yield core.Paragraph(unknown, "warning")
            return
        for one in self.learned:
            sure = say("mix.design.noise", runs=one.runs, most=mixtures.at_most(one.freedom))
            yield core.Paragraph(sure, "quiet")
            break
        for metric in dict.fromkeys(one.metric for one in self.noise):
            yield self._table(metric, pairs)

    def _table(self, metric: str, pairs: int) -> core.Table:
        form = ".1%" if metric == "loss" else ".3f"
        names = ("judged", "noise", "alone", "among")
        heads = tuple(core.Column(say(f"mix.col.{n}"), "@type" if n == "judged" else form) for n in names)
        rows: tuple[tuple[core.Cell, ...], ...] = tuple(
            (one.type, *(_shown(v, metric) for v in (one.sd, one.alone, one.among)))
            for one in self.noise
            if one.metric == metric
        )
        return core.Table(heads, rows, title=say(f"mix.design.power.{metric}", pairs=pairs))


def _shown(value: float | None, metric: str) -> float | None:
    return math.expm1(value) if value is not None and metric == "loss" else value


@dataclass(frozen=True)
class MixTrained(Shown):
    """What was trained and measured: amounts and values are in ``path``."""

    path: str
    runs: int
    types: int
    hours: float
    notes: tuple[core.Say, ...] = ()
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return how much was trained, and where the table is."""
        head = say("mix.runs", runs=self.runs, types=self.types, hours=self.hours)
        notes = core.Items(self.notes, "warning") if self.notes else None
        files = core.files(runs=self.path)
        return page(core.Paragraph(head), notes, files, core.next_command("assay mix fit"),
                    language=self.language)  # fmt: skip


@dataclass(frozen=True)
class MixReport(Shown):
    """The effects, and the files that hold them (None where nothing was written)."""

    fit: mixtures.MixEffects
    shown: mixtures.MixPage
    path: str | None = None
    page: str | None = None
    language: str | None = None

    def as_page(self) -> core.Page:
        """Return the page of the effects, and where it is."""
        own = self.shown.as_page()
        files = () if self.path is None else (core.files(out=self.path, page=str(self.page)),)
        return replace(own, blocks=(*own.blocks, *files), language=self.language)


def settings(config: StudyConfig) -> MixConfig:
    """Return the part of a study's file that is about mixtures."""
    if config.mix is None:
        raise AssayError(
            "the study file has no mixtures", place="mix",
            expected="mix: {n: 1000, by: type}",
            hint="n: samples of the base mixture; 5 to 10 % of the size that you will train is enough",
        )  # fmt: skip
    return config.mix


def design(config: Study, *, set: Sequence[str] = ()) -> MixPlan:
    """Choose mixtures that tell which type of data helps or hurts which; nothing is trained.

    Shows the smallest effect that these runs can find, and what they cost, before anything is spent.

    Example: `assay mix design study.yaml`, where the study file says

        mix: {n: 1000, by: type}

    Parameters
    ----------
    config
        A study file with mixtures.
    set
        Changes: key.path=value.
    """
    return StudyMixtures(load(config, set)).planned()


def run(
    config: Study, *, base: bool = False, set: Sequence[str] = (), cap: str | None = None
) -> MixTrained | MixPlan:
    """Train and measure the mixtures; what is in the store is not trained again.

    Example: `assay mix run study.yaml`

    Parameters
    ----------
    config
        A study file with mixtures.
    base
        Train the runs of the base mixture alone: how much they differ says what the whole design can see,
        which is shown.
    set
        Changes: key.path=value.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    own = StudyMixtures(load(config, set))
    with spending(own.config, report_folder(own.config), cap):
        return own.based() if base else own.trained()


def fit(
    runs: Runs, *, metric: str | None = None, set: Sequence[str] = (), out: File | None = None
) -> MixReport:
    """Say which type of data helps or hurts which, per doubling, with what chance may explain left out.

    From a study whose mixtures were trained, or from any table of runs: a column `n_NAME` for the amount of
    each part, `score_NAME` or `loss_NAME` for what was measured on each type.

    Example: `assay mix fit study.yaml`, or `assay mix fit runs.csv --metric loss`

        >>> rows = [{"n_math": 100 * 2**a, "n_code": 100 * 2**b, "score_math": 0.4 + 0.05 * a + 0.001 * s,
        ...          "score_code": 0.4 + 0.04 * b - 0.03 * a - 0.001 * s}
        ...         for a in (-1, 0, 1) for b in (-1, 0, 1) for s in (-1, 1)]
        >>> found = assay.mix.fit(rows).fit
        >>> [(e.part, e.type) for e in found.effects if e.shown and e.raw < 0]
        [('math', 'code')]

    Parameters
    ----------
    runs
        A study file with mixtures, or a table of runs (CSV, TSV or Parquet); in Python also its rows.
    metric
        `score` or `loss`; by default the score where there is one.
    set
        Changes of a study file: key.path=value.
    out
        Folder of the page and the effects; by default that of the study's mixtures, and none for a table.
    """
    if isinstance(runs, StudyConfig | Mapping) or (isinstance(runs, str | Path) and _is_study(Path(runs))):
        own = StudyMixtures(load(runs, set))
        folder, language = Path(out or own.folder), own.config.language
        return _report(own.measured(), metric, own.config.name, folder, language, own.confirmation())
    name = Path(runs).stem if isinstance(runs, str | Path) else "mixtures"
    return _report(runs, metric, name, None if out is None else Path(out), None)


def _is_study(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml")


def _report(
    runs: Any, metric: str | None, name: str, folder: Path | None, language: str | None,
    again: mixtures.Confirmation | None = None,
) -> MixReport:  # fmt: skip
    table = read_runs(runs, metric)
    fitted = mixtures.fit_effects(table)
    shown = mixtures.MixPage(name, fitted, again if again is not None and again.loss == fitted.loss else None)
    if folder is None:
        return MixReport(fitted, shown, language=language)
    folder.mkdir(parents=True, exist_ok=True)
    data.write_json(folder / _FIT, core.to_json(fitted))
    written = view.write_page(shown.as_page(), folder / "mix.html", language or "en")
    return MixReport(fitted, shown, str(folder / _FIT), str(written), language)


class StudyMixtures:
    """The mixtures of one study: the pool is read, the rest is built from it."""

    def __init__(self, config: StudyConfig) -> None:
        # Mixtures are drawn from the whole pool, so that a control slice would take samples out of them.
        self.study, self.config, self.wanted = config, replace(config, control=False), settings(config)
        self.folder = report_folder(config) / "mix"

    @cached_property
    def _read(self) -> tuple[Ladder, Store]:
        return prepared(self.config)

    @property
    def ladder(self) -> Ladder:
        """Return the study's ladder; the pool is read for it."""
        return self._read[0]

    @property
    def store(self) -> Store:
        """Return the study's store."""
        return self._read[1]

    @cached_property
    def drawn(self) -> Drawn:
        """Return which samples each mixture takes."""
        return Drawn(self.wanted, data.Dataset(self.store.path(self.ladder.pool.key) / "dataset"))

    def planned(self) -> MixPlan:
        """Draw the mixtures, write them down, and say what they show and take."""
        ladder, store, drawn = self.ladder, self.store, self.drawn
        claim(self.config, ladder.pool, report_folder(self.config))
        drawn.write(self.folder, self.identity())
        runs = self._runs()
        counts, base = drawn.counts, dict(zip(drawn.design.names, drawn.design.base, strict=True))
        types = len(_types(store, ladder))
        power, learned = mixtures.mix_power(drawn.design, 1.0, types), self._learned()
        return MixPlan(
            str(self.folder), self.wanted.way, len(counts), self.wanted.n, self.wanted.step,
            drawn.design.names, drawn.design.base, tuple(counts.min(axis=0).tolist()),
            tuple(counts.max(axis=0).tolist()), tuple(drawn.held[name] for name in base), types,
            power, self._noise_seen(power, learned), learned,
            self.config.recipe.epochs * drawn.samples, self.config.recipe.epochs, self._shared(),
            planning.plan(
                [step for run in runs for step in run.parts.values()], store,
                planning.parse_pool(self.config.where.pool).size, prices(self.config),
            ),
            self.config.language,
        )  # fmt: skip

    def _learned(self) -> tuple[RunNoise, ...]:
        """Return what repeated runs say of the noise: those of the base mixture, and the ladder's seeds."""
        if self.wanted.sd is not None:
            return ()
        if (fitted := self._fitted()) is not None:
            return fitted
        own, rungs = self.ladder, self.study.ladder.rungs
        random = {"random": ArmConfig(rungs=rungs)}
        ladder = Ladder(self.study, own.evaluation, own.pool, own.summary, random)
        groups = [(self.wanted.n, self._base_runs()), *by_size(ladder.runs())]
        return noise_at(self.store, own.evaluation, groups, self.wanted.n)

    def _fitted(self) -> tuple[RunNoise, ...] | None:
        """Return how far runs lie off the fit, where the mixtures are trained; None where they are not."""
        try:
            place = self.measured()
        except AssayError:
            return None
        measure = self.config.measure
        fits = {
            metric: mixtures.fit_effects(read_runs(place, metric))
            for metric, asked in (("score", measure.answers), ("loss", measure.loss))
            if asked
        }
        return tuple(
            RunNoise(metric, dict(zip(fit.types, fit.sd, strict=True)), fit.freedom, fit.runs)
            for metric, fit in fits.items()
        )

    def _noise_seen(
        self, power: Sequence[mixtures.MixPower], learned: Sequence[RunNoise]
    ) -> tuple[mixtures.MixNoise, ...]:
        """Return what the design sees of each type, by the noise that is learned or given."""
        types, measure = _types(self.store, self.ladder), self.config.measure
        known: dict[str, list[float | None]] = {o.metric: [o.sd.get(t) for t in types] for o in learned}
        if self.wanted.sd is not None:
            metrics = ["score"] * measure.answers + ["loss"] * measure.loss
            known = {metric: [self.wanted.sd] * len(types) for metric in metrics}
        return tuple(n for m, sd in known.items() for n in mixtures.noise_seen(power, types, m, sd))

    def based(self) -> MixPlan:
        """Train and measure the runs of the base mixture, and say what the design sees beside their noise."""
        with spending(self.config, report_folder(self.config)) as meter:
            self.planned()
            runs = self._base_runs()
            steps = [step for run in runs for step in run.parts.values()]
            finished(self.ladder, steps, self.store, f"{self.config.name}-mix-base")
            meter.per |= {"run": len(runs)}
        return self.planned()

    def trained(self) -> MixTrained:
        """Train and measure every mixture, and write the table of amounts and values."""
        with spending(self.config, report_folder(self.config)) as meter:
            found = self._trained()
            meter.per |= {"run": found.runs, "verdict": found.types * len(self.drawn.design.names)}
        return found

    def _trained(self) -> MixTrained:
        # Made again from what the store holds, so that it is never that of other settings.
        self.planned()
        measured = self.table()
        data.write_json(self.folder / "runs.json", {"identity": self.identity()})
        hours = sum(report["seconds"] for one in measured for report in one.reports) / 3600
        notes: list[core.Say] = []
        for note in (note for one in measured for note in one.notes):
            notes += [note] if note not in notes else []
        types = len(_types(self.store, self.ladder))
        return MixTrained(
            str(self.folder / RUNS), len(measured), types, hours, tuple(notes), self.config.language
        )

    def table(self) -> list[MeasuredRun]:
        """Train and measure every mixture that is written down, and write the table of amounts and values."""
        ladder, store, drawn = self.ladder, self.store, self.drawn
        runs = self._runs()
        steps = [step for run in runs for step in run.parts.values()]
        finished(ladder, steps, store, f"{self.config.name}-{self.folder.name}")
        items = list(data.Dataset(store.path(ladder.evaluation.key) / "dataset"))
        measured = [measured_run(store, run) for run in runs]
        points = [[p for p in one.points(items) if p.type != core.OVERALL] for one in measured]
        write_runs(self.folder / RUNS, drawn.design.names, drawn.counts, _labels(runs), points)
        return measured

    def measured(self) -> Path:
        """Return the table of runs; raise where there is none, or one of other settings."""
        place = self.folder / "runs.json"
        known = core.read_json(place) if place.is_file() else None
        if not isinstance(known, dict) or known.get("identity") != self.identity():
            raise AssayError(
                "the mixtures are not trained" if known is None else "the mixtures are of other settings",
                place=str(place), hint="run `assay mix run` with the same file first; it resumes by itself",
            )  # fmt: skip
        return self.folder / RUNS

    def confirmation(self) -> mixtures.Confirmation | None:
        """Return what runs at a second size say of these mixtures' effects; None where there are none."""
        place = self.folder / CONFIRMED
        known = core.read_json(place) if place.is_file() else None
        if not isinstance(known, dict) or known.get("identity") != self.identity():
            return None
        found: mixtures.Confirmation = view.restore(mixtures.Confirmation, known["found"])
        return found

    def identity(self) -> str:
        """Return a digest of all that the measurements of the mixtures depend on."""
        evaluation, pool = input_steps(self.config)
        base = model.base_digest(
            model.resolve_base(str(model_place(self.config.base, Path(self.config.folder))))
        )
        parts = [dataclasses.asdict(replace(self.wanted, sd=0.0)), evaluation.key, pool.key, base]
        return digest(
            [*parts, dataclasses.asdict(self.config.recipe), dataclasses.asdict(self.config.measure)]
        )

    def _runs(self) -> list[RunSteps]:
        """Return the steps of each mixture in the order of the design, measured as the study measures."""
        drawn = self.drawn
        mixed = {
            _MIX.format(number): ArmConfig("file", file=str(path.resolve()), rungs=(drawn.total(number),))
            for number, path in drawn.files(self.folder)
        }
        runs = [run for run in self._of(mixed, 1) if run.branch is not None]
        if drawn.random and drawn.wanted.centres:
            # The rungs below are those of the study's ladder, so that what both train has the same keys.
            below = tuple(r for r in self.config.ladder.rungs if isinstance(r, int) and r < self.wanted.n)
            arm = {"random": ArmConfig(rungs=(*below, self.wanted.n))}
            runs += [run for run in self._of(arm, self.wanted.centres) if run.n_train == self.wanted.n]
        return runs

    def _base_runs(self) -> list[RunSteps]:
        """Return the runs of the base mixture."""
        return self._runs()[-self.wanted.centres :] if self.wanted.centres else []

    def _of(self, arms: Mapping[str, ArmConfig], seeds: int) -> list[RunSteps]:
        config = replace(self.config, ladder=replace(self.config.ladder, seeds=seeds))
        own = self.ladder
        return Ladder(config, own.evaluation, own.pool, own.summary, arms).runs()

    def _shared(self) -> int:
        if not self.drawn.random or self.wanted.n not in self.config.ladder.rungs:
            return 0
        if control_size(self.study, self.ladder.summary):
            return 0  # the study trains on other orders: without its slice
        return min(self.wanted.centres, self.config.ladder.seeds)


def _types(store: Store, ladder: Ladder) -> list[str]:
    kinds = data.Dataset(store.path(ladder.evaluation.key) / "dataset").column("type").to_pylist()
    return sorted({kind or _UNTYPED for kind in kinds})


def _labels(runs: Sequence[RunSteps]) -> list[str]:
    return [run.arm if run.arm != "random" else f"random-{run.n_train}-seed{run.seed}" for run in runs]


class Drawn:
    """Which samples each mixture takes; those of the base are the ladder's where its shares are the pool's.

    ``held``: samples of each part in the pool; ``random``: the base runs are the ladder's random runs;
    ``levels``: doublings [runs, parts] in place of those of a design.
    """

    def __init__(
        self, wanted: MixConfig, pool: data.Dataset, levels: NDArray[np.float64] | None = None
    ) -> None:
        self.wanted = wanted
        self.ids = pool.column("id").to_pylist()
        self.own = np.array([name or _UNTYPED for name in pool.column(wanted.by).to_pylist()], object)
        kinds, counts = np.unique(self.own.astype(str), return_counts=True)
        self.held: dict[str, int] = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
        every = _base(wanted, self.held)
        names = wanted.parts or tuple(every)
        self.rest = {name: count for name, count in every.items() if name not in names}
        self.design = mixtures.mix_design(
            {name: every[name] for name in names}, wanted.way, centres=wanted.centres, step=wanted.step,
            seed=wanted.seed, levels=levels,
        )  # fmt: skip
        self.random = wanted.base == "proportional"
        self._check()
        self.rows = [self._draw(number) for number in range(len(self.design.counts))]
        self.counts: Counts = np.array(
            [[int((self.own[rows] == name).sum()) for name in self.design.names] for rows in self.rows]
        )

    @property
    def samples(self) -> int:
        """Return the samples of all mixtures together."""
        return sum(map(len, self.rows))

    def total(self, number: int) -> int:
        """Return the samples of a mixture."""
        return len(self.rows[number])

    def _check(self) -> None:
        most = dict(zip(self.design.names, self.design.counts.max(axis=0).tolist(), strict=True))
        short = {name: most[name] for name in most if most[name] > self.held[name]}
        if short:
            base = dict(zip(self.design.names, self.design.base, strict=True))
            # Largest remainders may give a part one sample more than its share.
            fits = min(
                int((self.held[n] * base[n] / c - 1) * self.wanted.n / base[n]) for n, c in short.items()
            )
            told = ", ".join(f"{n}: {c:,} wanted, {self.held[n]:,} there" for n, c in short.items())
            raise AssayError(
                "the pool holds too few samples to multiply a part", place="mix.n", value=self.wanted.n,
                expected=told, hint=f"mix.n of at most {fits:,} fits; or a smaller mix.step, or more data",
            )  # fmt: skip

    def _draw(self, number: int) -> Counts:
        """Return the rows of a mixture: drawn anew for each, so that errors of runs hold those of subsets."""
        seed = number - (len(self.design.counts) - self.wanted.centres)
        if seed >= 0 and self.random:
            return selection.pick(self.ids, "random", seed=seed)[: self.wanted.n]
        order = selection.pick(self.ids, "random", seed=1000 * (self.wanted.seed + 1) + number)
        wanted = dict(zip(self.design.names, self.design.counts[number].tolist(), strict=True)) | self.rest
        taken = [order[self.own[order] == name][:count] for name, count in wanted.items()]
        return np.concatenate(taken)

    def of(self, counts: Sequence[tuple[int, ...]]) -> Drawn:
        """Return mixtures of given counts [runs, parts] of the same pool."""
        made = copy(self)
        made.wanted = replace(self.wanted, centres=0, seed=self.wanted.seed + 2)
        amounts = np.array(counts)
        levels = np.log2(np.maximum(amounts, 1) / np.array(self.design.base))
        made.design, made.random = replace(self.design, counts=amounts, levels=levels), False
        made.rows, made.counts = [made._draw(number) for number in range(len(counts))], amounts
        return made

    def take(self, counts: Mapping[str, int]) -> list[str]:
        """Return the ids of a mixture of these amounts."""
        order = selection.pick(self.ids, "random", seed=self.wanted.seed)
        named = np.array(self.ids, object)
        taken = [order[self.own[order] == name][:count] for name, count in counts.items()]
        found: list[str] = named[np.concatenate(taken)].tolist()
        return found

    def files(self, folder: Path) -> list[tuple[int, Path]]:
        """Return the files of the mixtures that are no random runs of the ladder."""
        own = len(self.rows) - (self.wanted.centres if self.random else 0)
        return [(number, folder / f"{_MIX.format(number)}.ids") for number in range(own)]

    def write(self, folder: Path, identity: str) -> None:
        """Write the ids of each mixture, and the design."""
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("mix*.ids"):
            old.unlink()
        named = np.array(self.ids, object)
        for number, path in self.files(folder):
            path.write_text("\n".join(named[self.rows[number]]) + "\n", encoding="utf-8")
        facts = {
            "identity": identity, "way": self.design.way, "by": self.wanted.by, "base": dict(
                zip(self.design.names, self.design.base, strict=True)
            ), "rest": self.rest, "levels": self.design.levels.tolist(), "counts": self.counts.tolist(),
        }  # fmt: skip
        data.write_json(folder / _DESIGN, facts)


def _base(wanted: MixConfig, held: Mapping[str, int]) -> dict[str, int]:
    """Return the samples of each part of the base mixture, by largest remainders."""
    unknown = [name for name in wanted.parts if name not in held]
    if unknown:
        raise AssayError(
            "the pool has no such part", place="mix.parts", value=", ".join(unknown),
            expected=", ".join(sorted(held)),
        )  # fmt: skip
    total = sum(held.values())
    share = {n: (1 / len(held) if wanted.base == "equal" else c / total) for n, c in held.items()}
    found = {name: int(wanted.n * part) for name, part in share.items()}
    left = sorted(share, key=lambda name: found[name] - wanted.n * share[name])
    for name in left[: wanted.n - sum(found.values())]:
        found[name] += 1
    return found
