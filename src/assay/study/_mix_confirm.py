"""The largest effects of a study's mixtures, tried again at a second size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from assay import core, data, mixtures
from assay.core import AssayError, Shown, page, say
from assay.study._config import MixConfig, StudyConfig
from assay.study._mix import CONFIRMED, RUNS, Drawn, StudyMixtures
from assay.study._mix_table import read_runs
from assay.study._run import Study, load, report_folder
from assay.study._spend import spending

_SCALES = (2.0, 0.5)
"""The second size over the first, the wanted one first; the other where the pool is too small for it."""


@dataclass(frozen=True)
class MixConfirmed(Shown):
    """The effects at both sizes, and the file that holds them."""

    found: mixtures.Confirmation
    path: str
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return a sentence and a row for each effect."""
        near = self.found.near_zero
        return page(
            *mixtures.confirmed_blocks(self.found),
            core.Paragraph(say("mix.near_zero", types=near), "quiet") if near else None,
            core.files(out=self.path), core.next_command("assay mix fit"), language=self.language,
        )  # fmt: skip


def confirm(
    config: Study, *, scale: float | None = None, most: int = 3, repeats: int = 2, metric: str | None = None,
    set: Sequence[str] = (), cap: str | None = None,
) -> MixConfirmed:  # fmt: skip
    """Try the largest effects again at a second size, with runs of their own.

    After `assay mix run`. The parts of these effects are halved and doubled around a base mixture of another
    size, all others stay; only what holds there should be counted on at the size that you will train.

    Example: `assay mix confirm study.yaml --scale 4`

        >>> assay.mix.confirm("study.yaml", most=1)  # doctest: +SKIP

    Parameters
    ----------
    config
        A study file whose mixtures were trained.
    scale
        The second size over `mix.n`; 2 by default, 0.5 where the pool is too small for that.
    most
        How many effects are tried: the largest of those shown, then those nearest to it.
    repeats
        Runs of each combination of halved and doubled parts.
    metric
        `score` or `loss`; by default the score where there is one.
    set
        Changes: key.path=value.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    study = load(config, set)
    with spending(study, report_folder(study), cap) as meter:
        made = _confirmed(study, scale, most, repeats, metric)
        meter.per |= {"run": made.found.runs, "verdict": len(made.found.rows)}
    return made


def _confirmed(
    study: StudyConfig, scale: float | None, most: int, repeats: int, metric: str | None
) -> MixConfirmed:
    own = StudyMixtures(study)
    fit = mixtures.fit_effects(read_runs(own.measured(), metric))
    if most < 1:
        raise AssayError("no effect to try", place="most", value=most, expected="1 or more")
    found = _Again(study, mixtures.largest(fit, most), scale, repeats).confirmed(fit)
    path = own.folder / CONFIRMED
    data.write_json(path, {"identity": own.identity(), "found": core.to_json(found)})
    return MixConfirmed(found, str(path), study.language)


class _Again(StudyMixtures):
    """Mixtures at the second size: the parts of some effects around the base mixture, all others as it is."""

    def __init__(
        self, study: StudyConfig, effects: Sequence[mixtures.Effect], scale: float | None, repeats: int
    ) -> None:
        super().__init__(study)
        self.effects, self.scale = effects, scale
        self.parts = tuple(dict.fromkeys(effect.part for effect in effects))
        self.levels = mixtures.confirm_levels(len(self.parts), repeats)
        self.first, self.folder = self.wanted.n, self.folder / "confirm"

    @cached_property
    def drawn(self) -> Drawn:
        """Return which samples each mixture takes, at the first size that the pool is large enough for."""
        pool = data.Dataset(self.store.path(self.ladder.pool.key) / "dataset")
        scales = _SCALES if self.scale is None else (self.scale,)
        for scale in scales[:-1]:
            try:
                return self._drawn(scale, pool)
            except AssayError:
                continue
        return self._drawn(scales[-1], pool)

    def _drawn(self, scale: float, pool: data.Dataset) -> Drawn:
        if not scale > 0 or math.isclose(scale, 1.0):
            raise AssayError("not a second size", place="scale", value=scale, expected="above 0, not 1")
        wanted: MixConfig = replace(
            self.wanted, n=round(scale * self.first), centres=0, seed=self.wanted.seed + 1, parts=self.parts
        )
        return Drawn(wanted, pool, self.levels * float(np.log2(self.wanted.step)))

    def confirmed(self, fit: mixtures.MixEffects) -> mixtures.Confirmation:
        """Train and measure the mixtures, and hold what they say against the first size."""
        self.drawn.write(self.folder, self.identity())
        runs = len(self.table())
        table = read_runs(self.folder / RUNS, "loss" if fit.loss else "score")
        # Effects at the second size are shares of what those at the first are shares of.
        table = replace(table, near_zero=fit.near_zero)
        found = mixtures.confirm_effects(self.effects, table, self.drawn.design.levels)
        size = self.drawn.wanted.n
        return mixtures.Confirmation(found, fit.loss, size, self.first, runs, fit.types_near_zero)
