"""Which types will need most data, before anything is trained: a prior for rungs, never a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np

from assay import core, curves, data, indicators, model, regression, view
from assay import plan as planning
from assay.core import (
    BASE_ARM,
    OVERALL,
    AssayError,
    File,
    OnCommand,
    Say,
    Shown,
    page,
    read_json,
    say,
    to_json,
)
from assay.plan import Step, Store, open_store
from assay.study._config import StudyConfig
from assay.study._graph import model_place
from assay.study._measured import prepared
from assay.study._run import Study, load, read_summary, report_folder
from assay.study._sizes import agreeing_cost
from assay.study._spend import spending
from assay.study.steps import Agreement, AgreeSettings, Base, agreement_step, read_agreement, read_step

LARGEST = 5000
"""Samples at which the possible gain is reached, as published."""
HALF = 0.5
_RUNGS = 6
Studies: TypeAlias = Annotated[Study | Sequence[Study], OnCommand(tuple[Path, ...])]
"""Study files, what stands in them, or their configurations."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Coefficients of one base model, as their file holds them."""

    base: indicators.ModelId
    metric: str
    largest: int
    settings: AgreeSettings
    fit: curves.AreaFit
    rank: regression.Rank | None


@dataclass(frozen=True, slots=True)
class TypeForecast:
    """One type: how alike its gradients are, and what that foretells where coefficients are known.

    ``area`` in [0, 1] under the data-efficiency curve, ``half`` the samples at which half of the possible
    gain is reached; each with bounds that hold 90 % of new types.  ``outside``: beyond the types of the fit.
    """

    agreement: Agreement
    area: tuple[float, float, float] | None = None
    half: tuple[float, float, float] | None = None
    outside: bool = False


@dataclass(frozen=True)
class Forecast(Shown):
    """Types, those that will need most data first; ``rungs`` are sizes between which most is learned."""

    base: str
    types: tuple[TypeForecast, ...]
    largest: int
    fitted: str | None
    """Where the coefficients are from; None without any."""
    error: float | None
    rungs: tuple[int, ...]
    notes: tuple[Say, ...]
    page: str | None = None
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return what is foretold per type, how sure it is, and what it took."""
        known = [t for t in self.types if t.agreement.cosine is not None]
        first = known[0].agreement.type if known else ""
        key = "none" if not known else "order" if self.fitted is None else "fitted"
        lead = say("forecast.lead") if self.fitted is None else say(
            "forecast.lead.fitted", place=self.fitted, error=self.error, largest=self.largest
        )  # fmt: skip
        rungs = core.Paragraph(say("forecast.rungs", rungs=self.rungs)) if self.rungs else None
        files = core.files(page=self.page) if self.page else None
        blocks = page(
            core.Heading(say(f"forecast.headline.{key}", type=first), 1), core.Paragraph(lead),
            core.Items(self.notes, "warning") if self.notes else None, self._table(), rungs,
            core.Paragraph(self._cost(), "quiet"), files,
        ).blocks  # fmt: skip
        return core.Page(blocks, self.language, say("forecast.title"), say("forecast.eyebrow"), self.base)

    def _table(self) -> core.Table:
        columns = [
            core.Column(say("col.type"), "@type"), core.Column(say("forecast.col.samples"), ","),
            core.Column(say("forecast.col.cosine"), "+.3f"), core.Column("90 %", "+.3f"),
        ]  # fmt: skip
        if self.fitted is not None:
            columns += [
                core.Column(say("forecast.col.area"), ".2f"), core.Column("90 %", ".2f"),
                core.Column(say("forecast.col.half"), ",.0f"), core.Column("90 %", ",.0f"),
            ]  # fmt: skip
        missing = any(one.agreement.reason for one in self.types)
        if missing:
            columns.append(core.Column(say("explain.why_not"), "@reason"))
        rows = (_row(one, fitted=self.fitted is not None, reason=missing) for one in self.types)
        return core.Table(tuple(columns), tuple(rows))

    def _cost(self) -> Say:
        every = [t.agreement for t in self.types]
        return say(
            "forecast.cost", answers=sum(a.answered for a in every), drawn=sum(a.drawn for a in every),
            answer_tokens=sum(a.answer_tokens for a in every),
            gradient_tokens=sum(a.gradient_tokens for a in every),
        )  # fmt: skip


def _row(one: TypeForecast, *, fitted: bool, reason: bool) -> tuple[core.Cell, ...]:
    a = one.agreement
    row: tuple[core.Cell, ...] = (a.type, a.samples, a.cosine, None if a.cosine is None else (a.low, a.high))
    if fitted:
        for found in (one.area, one.half):
            row += (None, None) if found is None else (found[0], found[1:])
    return (*row, a.reason) if reason else row


@dataclass(frozen=True)
class ForecastFit(Shown):
    """Coefficients of one base model; ``rank``: of the cosines with the areas; nothing is fitted in it."""

    path: str
    base: str
    metric: str
    largest: int
    fit: curves.AreaFit
    rank: regression.Rank | None
    types: tuple[str, ...]
    cosines: tuple[float, ...]
    areas: tuple[float, ...]
    foretold: tuple[float, ...]
    left_out: tuple[str, ...]
    """Types of the studies without an area or a cosine."""
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return how well gradients foretell areas of types that the line has not seen."""
        rank = self.rank
        head = say(
            "forecast.fit", n=self.fit.n, base=self.base, slope=self.fit.slope, intercept=self.fit.intercept,
            error=self.fit.error, spread=float(np.std(self.areas)),
        )  # fmt: skip
        ranked = say("forecast.fit.rank", value=rank.value, interval=(rank.low, rank.high)) if rank else None
        poor = not _foretells(rank)
        columns = (
            core.Column(say("col.type"), "@type"), core.Column(say("forecast.col.cosine"), "+.3f"),
            core.Column(say("forecast.col.measured"), ".2f"),
            core.Column(say("forecast.col.foretold"), ".2f"),
        )  # fmt: skip
        rows = tuple(zip(self.types, self.cosines, self.areas, self.foretold, strict=True))
        left = say("forecast.fit.left_out", types=self.left_out) if self.left_out else None
        return page(
            core.Paragraph(head), core.Paragraph(ranked) if ranked else None,
            core.Paragraph(say("forecast.fit.poor"), "warning") if poor else None,
            core.Table(columns, rows), core.Paragraph(left) if left else None,
            core.files(out=self.path), language=self.language,
        )  # fmt: skip


def forecast(
    places: Sequence[str],
    *,
    base: str = model.POCKET,
    coefficients: File | None = None,
    drawn: int = 32,
    most: int = 1000,
    max_new_tokens: int = 32,
    max_tokens: int = 1024,
    template: str = "auto",
    other_models: bool = False,
    out: File | None = None,
    store: File = Path(".assay"),
    pool: str = "processes:2",
    language: str = "en",
    cap: str | None = None,
) -> Forecast:
    """Forecast which types will need most data, before anything is trained.

    Per type: the base model answers the samples, 32 are drawn from the tenth that it is least sure of, and
    the gradients of their losses are compared (CoS-Low; Je and Raffel 2025, arXiv:2512.24991). Gradients that
    agree mean that few samples teach much. With coefficients fitted on the same base (`assay forecast fit`)
    that becomes a curve with its own error. A prior for choosing rungs, never a verdict.

    Example: `assay forecast data.jsonl --base pocket --coefficients pocket.json`

        >>> found = assay.forecast(["pool.jsonl"], most=16, max_new_tokens=2, pool="inline")
        >>> found.fitted is None        # no coefficients: an order, no sizes
        True

    Parameters
    ----------
    places
        Data with answers and types: files, folders, globs or `hf:owner/name`.
    base
        Base model: `pocket`, a folder, or a Hugging Face id.
    coefficients
        What `assay forecast fit` wrote for this base model; without it types are only put in order.
    drawn
        Samples per type whose gradients are compared.
    most
        Samples per type that are answered, at most.
    max_new_tokens
        Maximum length of an answer, in tokens.
    max_tokens
        Samples are cut to this many tokens.
    template
        Chat template for the base model: `auto` (the model's own), `plain`, `belle`, `alpaca`, `chatml`.
    other_models
        Use coefficients of another base model; the result says so.
    out
        Page to write (.html).
    store
        Folder of the store; what is measured there is reused.
    pool
        Where steps run: `inline` or `processes:N`.
    language
        Language of the page: en or zh.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what is finished is kept, and the same command goes on.

    Raises
    ------
    AssayError
        Where coefficients are of another base model or other settings, and nobody insists.
    """
    settings = AgreeSettings(drawn, 0.1, most, max_new_tokens, max_tokens, template)
    own, kept = Base.at(model.resolve_base(base)), open_store(store)
    line = None if coefficients is None else _read_fit(Path(coefficients))
    notes = () if line is None else _of_base(line, own, settings, forced=other_models)
    samples = read_step("evaluation", tuple(places), key="places", base=own.folder, template=template)
    with planning.metered(cap) as meter, planning.parse_pool(pool) as workers:
        planning.run([samples], kept, workers)
        kinds = read_summary(kept, samples).by_type
        found = _measured(own, samples, kinds, settings, kept, workers)
        meter.per |= {"row": sum(kinds.values()), "type": len(found)}
    types = tuple(sorted((_foretold(a, line) for a in found), key=_need))
    if line is not None and not _foretells(line.rank):
        notes = (*notes, say("forecast.poor"))
    beyond = [t.agreement.type for t in types if t.outside]
    if beyond:
        notes = (*notes, say("forecast.outside", types=beyond))
    made = Forecast(
        base, types, line.largest if line else LARGEST, None if line is None else str(coefficients),
        line.fit.error if line else None, _rungs(types, line), notes, None if out is None else str(out),
        language,
    )  # fmt: skip
    if out is not None:
        view.write_page(made.as_page(), Path(out))
    return made


def _foretells(rank: regression.Rank | None) -> bool:
    """Whether types whose gradients agree more were shown to need less data."""
    return rank is not None and rank.low > 0


def _measured(
    base: Base,
    samples: Step,
    kinds: Mapping[str, int],
    settings: AgreeSettings,
    store: Store,
    workers: planning.Pool,
) -> list[Agreement]:
    """Return the agreement of each type, of which ``kinds`` says how many samples there are."""
    device = model.pick_device()
    steps = [
        agreement_step(base, samples, kind, settings, agreeing_cost(base, settings, count, device))
        for kind, count in sorted(kinds.items())
    ]
    store.register(f"forecast {samples.key[:8]}", steps)
    planning.run(steps, store, workers)
    return [read_agreement(store.path(step.key)) for step in steps]


def _need(one: TypeForecast) -> tuple[float, str]:
    """Order types so that those whose gradients agree least come first, and those without any last."""
    cosine = one.agreement.cosine
    area = one.area[0] if one.area else cosine
    return (math.inf if area is None else area, one.agreement.type)


def _foretold(found: Agreement, line: _Line | None) -> TypeForecast:
    if line is None or found.cosine is None:
        return TypeForecast(found)
    area = line.fit.area(found.cosine)
    middle, late, early = (curves.size_for(a, HALF, line.largest) for a in area)
    return TypeForecast(found, area, (middle, early, late), line.fit.outside(found.cosine))


def _rungs(types: Sequence[TypeForecast], line: _Line | None) -> tuple[int, ...]:
    """Return log-spaced sizes, from a quarter of the fastest type's gain to most of the slowest's."""
    areas = [t.area[0] for t in types if t.area]
    if line is None or not areas:
        return ()
    low, high = (
        curves.size_for(max(areas), 0.25, line.largest),
        curves.size_for(min(areas), 0.9, line.largest),
    )
    sizes = np.geomspace(max(low, 8), max(high, 16), _RUNGS)
    return tuple(int(float(f"{size:.2g}")) for size in sizes)


def _read_fit(path: Path) -> _Line:
    try:
        line = read_json(path)
        return _Line(
            indicators.ModelId(**line["base"]), str(line["metric"]), int(line["largest"]),
            AgreeSettings(**line["settings"]), curves.AreaFit(**line["fit"]),
            None if line["rank"] is None else regression.Rank(**line["rank"]),
        )  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AssayError(
            f"no coefficients ({type(error).__name__}: {error})", place=str(path),
            expected="what `assay forecast fit` wrote",
        ) from None  # fmt: skip


def _of_base(line: _Line, base: Base, settings: AgreeSettings, *, forced: bool) -> tuple[Say, ...]:
    """Return what is to be said of coefficients of another base; raise where nobody insists."""
    if line.settings != settings:
        raise AssayError(
            "the coefficients were fitted with other settings", place="coefficients",
            value=asdict(settings), expected=str(asdict(line.settings)),
            hint="give the same settings, or fit again",
        )  # fmt: skip
    own = _named(base)
    if line.base.same(own):
        return ()
    if not forced:
        raise AssayError(
            "the coefficients are of another base model, and do not carry over between models",
            place="coefficients", value=str(own), expected=str(line.base),
            hint="fit them on studies of this base (`assay forecast fit`), leave them out to get the order "
            "of types alone, or use them all the same with --other-models",
        )  # fmt: skip
    return (say("forecast.other", used=str(own), fitted=str(line.base)),)


def _named(base: Base) -> indicators.ModelId:
    return indicators.ModelId(model.base_name(base.folder) or base.folder.name, base.digest)


def forecast_fit(
    studies: Studies,
    *,
    out: File,
    metric: str | None = None,
    best: float | None = None,
    largest: int | None = None,
    arm: str = "random",
    drawn: int = 32,
    most: int = 1000,
    max_new_tokens: int = 32,
    max_tokens: int = 1024,
    set: Sequence[str] = (),
    cap: str | None = None,
) -> ForecastFit:
    """Fit the coefficients of a forecast on finished studies, or a pilot, of one base model.

    Each type of each study gives a pair: how alike the gradients of its hardest samples are, and the area
    under its measured curve. Nothing is trained.

    Example: `assay forecast fit pilot.yaml --out pocket.json`

    Parameters
    ----------
    studies
        Study files (YAML) whose report is there; all of one base model.
    out
        File for the coefficients (.json).
    metric
        `score` or `loss`; by default the score where there is one.
    best
        The best value that a type can reach; by default 1 for scores, the lowest measured for losses.
    largest
        Samples at which the possible gain is reached; by default the largest rung that all studies have, at
        most 5,000.
    arm
        Arm whose curves are used.
    drawn
        Samples per type whose gradients are compared.
    most
        Samples per type that are answered, at most.
    max_new_tokens
        Maximum length of an answer, in tokens.
    max_tokens
        Samples are cut to this many tokens.
    set
        Override a setting of all study files, `key.path=value`; may be repeated.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the first study file. What is finished is kept.

    Raises
    ------
    AssayError
        Where a study has no report, studies differ in their base model, or fewer than 5 types can be used.
    """
    configs = [load(one, set) for one in _several(studies)]
    wanted = AgreeSettings(drawn, 0.1, most, max_new_tokens, max_tokens, configs[0].recipe.template)
    with spending(configs[0], Path(out).parent, cap) as meter:
        found = _fit_of(configs, wanted, Path(out), metric, best, largest, arm)
        meter.per["type"] = len(found.types) + len(found.left_out)
    return found


def _fit_of(
    configs: Sequence[StudyConfig], settings: AgreeSettings, out: Path, metric: str | None,
    best: float | None, largest: int | None, arm: str,
) -> ForecastFit:  # fmt: skip
    """Measure the types of finished studies, and fit their areas."""
    bases = {str(model_place(config.base, Path(config.folder))): config for config in configs}
    own = [Base.at(model.resolve_base(name)) for name in bases]
    if len({base.digest for base in own}) != 1:
        raise AssayError(
            "coefficients are of one base model", place="studies", value=", ".join(bases) or "none",
            expected="studies of the same base",
        )  # fmt: skip
    results = [_result(report_folder(config)) for config in configs]
    measured_by = metric or ("score" if any(p.metric == "score" for p in results[0].points) else "loss")
    size = largest or min(LARGEST, *(max(p.n_train for p in r.points if p.arm == arm) for r in results))
    pairs: list[tuple[str, float, float]] = []
    left: list[str] = []
    for config, result in zip(configs, results, strict=True):
        areas = _areas(result, measured_by, arm, best, size)
        cosines = _cosines(config, own[0], sorted(areas), settings)
        for kind, area in areas.items():
            cosine = cosines.get(kind)
            if area is None or cosine is None:
                left.append(kind)
            else:
                pairs.append((kind, cosine, area))
    return _fitted(pairs, left, own[0], measured_by, size, settings, out, configs[0].language)


def _several(studies: Studies) -> list[Study]:
    return [studies] if isinstance(studies, str | Path | Mapping | StudyConfig) else list(studies)


def _result(folder: Path) -> core.StudyResult:
    path = folder / "result.json"
    if not path.is_file():
        raise AssayError("the study has no report", place=str(path), hint="`assay study run` writes it")
    found = view.load_study(path)
    if not isinstance(found, core.StudyResult):
        raise AssayError(
            "a study of several base models", place=str(path), expected="studies of one base model",
            hint="coefficients are of one base: run a study of it alone",
        )  # fmt: skip
    return found


def _areas(
    result: core.StudyResult, metric: str, arm: str, best: float | None, largest: int
) -> dict[str, float | None]:
    """Return the area under each type's mean curve; None where it cannot be had.

    A type that no rung made better than the untrained model has no gain of which a share could be had.
    """
    sign = 1.0 if core.higher_is_better(metric) else -1.0
    found: dict[str, float | None] = {}
    for kind in sorted({p.type for p in result.points if p.metric == metric and p.type != OVERALL}):
        own = [p for p in result.points if p.type == kind and p.metric == metric]
        base = [p.value for p in own if p.arm == BASE_ARM]
        sizes = sorted({p.n_train for p in own if p.arm == arm})
        means = [float(np.mean([p.value for p in own if p.arm == arm and p.n_train == n])) for n in sizes]
        found[kind] = None
        top = best if best is not None else 1.0 if metric == "score" else min(means, default=math.inf)
        if base and sign * (top - base[0]) > 0:
            found[kind] = curves.efficiency_area(sizes, means, untrained=base[0], best=top, largest=largest)
    return found


def _cosines(
    config: StudyConfig, base: Base, kinds: Sequence[str], settings: AgreeSettings
) -> dict[str, float | None]:
    ladder, store = prepared(config)
    counts = read_summary(store, ladder.pool).by_type
    wanted = {kind: counts[kind] for kind in kinds if counts.get(kind)}
    if not wanted:
        raise AssayError(
            "no sample of the pool is of a type that was measured", place=f"{config.name}: pool",
            value=", ".join(sorted(counts)), expected=", ".join(kinds),
            hint="`assay evalset classify POOL --out typed.jsonl` gives samples their types; run the study "
            "on that file as its pool",
        )  # fmt: skip
    with planning.parse_pool(config.where.pool) as workers:
        found = _measured(base, ladder.pool, wanted, settings, store, workers)
    return {a.type: a.cosine for a in found}


def _fitted(
    pairs: Sequence[tuple[str, float, float]],
    left: Sequence[str],
    base: Base,
    metric: str,
    largest: int,
    settings: AgreeSettings,
    out: Path,
    language: str,
) -> ForecastFit:
    """Fit, write and return the coefficients."""
    types, cosines, areas = (tuple(column) for column in zip(*pairs, strict=True)) if pairs else ((), (), ())
    fit = curves.fit_areas(cosines, areas)
    foretold = curves.left_out(cosines, areas)
    named = _named(base)
    made = ForecastFit(
        str(out), named.name, metric, largest, fit,
        regression.rank_correlation(np.array(cosines), np.array(areas)),
        types, cosines, areas, tuple(foretold.tolist()), tuple(left), language,
    )  # fmt: skip
    text = {
        "base": asdict(named), "metric": metric, "largest": largest,
        "settings": asdict(settings), "fit": asdict(fit), "rank": to_json(made.rank), "types": types,
        "cosines": cosines, "areas": areas,
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    data.write_json(out, text)
    return made
