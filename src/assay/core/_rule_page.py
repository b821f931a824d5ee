"""What a quality rule says, and the page that says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.core._page import (
    Beside,
    Block,
    Cell,
    Column,
    Heading,
    Items,
    Page,
    Paragraph,
    Say,
    Scatter,
    Table,
    say,
)
from assay.core._points import ArmComparison


@dataclass(frozen=True, slots=True)
class RuleSlope:
    """One indicator of a rule: slopes of log loss per standard deviation over the pool.

    ``low`` and ``high`` bound the ridge slope (90 %, bootstrap of residuals), ``sign`` is the share of
    bootstrap fits with its sign; ``ols`` with ``ols_low`` to ``ols_high`` (90 %), ``p`` and ``inflation`` are
    of least squares; ``between`` and ``within`` sources are per unit of the subset mean, None where a design
    does not vary both.
    """

    name: str
    slope: float
    low: float
    high: float
    sign: float
    ols: float
    p: float
    inflation: float
    between: float | None = None
    within: float | None = None
    ols_low: float | None = None
    ols_high: float | None = None


@dataclass(frozen=True, slots=True)
class RulePage:
    """A fitted rule: what it says, how well it fits, and what the trial said of it.

    ``predicted`` and ``measured`` are log losses by subset, ``doubled`` marks those at twice the tilt, which
    served only to see whether the line is straight.
    """

    name: str
    base: str
    n: int
    slopes: tuple[RuleSlope, ...]
    rank: float
    error: float
    noise: float | None
    r2: float
    length_r2: float
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    doubled: tuple[bool, ...]
    warnings: tuple[Say, ...] = ()
    verdict: Say | None = None
    trial: tuple[ArmComparison, ...] = ()

    def as_page(self) -> Page:
        """Return the verdict, the caveats, the slopes, how well they fit, and the trial."""
        fitted = say(
            "rule.lead", runs=self.doubled.count(False), n=self.n, base=self.base, rank=self.rank,
            error=self.error, r2=self.r2, length=self.length_r2,
        )  # fmt: skip
        blocks: list[Block] = [Heading(self.verdict or say("rule.headline.untried"), 1), Paragraph(fitted)]
        if self.noise is not None:
            blocks.append(Paragraph(say("rule.lead.noise", noise=self.noise)))
        if self.warnings:
            blocks += [Heading(say("rule.warnings")), Items(self.warnings, "warning")]
        blocks += [Heading(say("rule.slopes")), Paragraph(say("rule.slopes.lead"), "quiet")]
        blocks += [Paragraph(say("rule.slopes.apart"), "quiet")] if self._apart else []
        blocks.append(self._table())
        blocks += [Heading(say("rule.holds")), Paragraph(say("rule.holds.lead"), "quiet")]
        if any(self.doubled):
            blocks.append(Paragraph(say("rule.holds.doubled"), "quiet"))
        blocks.append(Beside(tuple((chart,) for chart in self._charts())))
        if self.trial:
            blocks += [Heading(say("rule.trial")), Paragraph(say("rule.trial.lead"), "quiet")]
            blocks.append(trial_table(self.trial))
        return Page(tuple(blocks), None, say("rule.title", name=self.name), say("rule.eyebrow"), self.name)

    def _table(self) -> Table:
        heads: tuple[Column, ...] = (
            Column(say("rule.col.indicator"), "@pool.indicator"), Column(say("rule.col.slope"), "+.4f"),
            Column("90 %", "+.4f"), Column(say("rule.col.sign"), "percent"),
            Column(say("rule.col.ols"), "+.4f"), Column("90 %", "+.4f"),
            Column("p", ".3f"), Column("VIF", ".1f"),
        )  # fmt: skip
        rows: list[tuple[Cell, ...]] = [
            (s.name, s.slope, (s.low, s.high), s.sign, s.ols, (s.ols_low, s.ols_high), s.p, s.inflation)
            for s in self.slopes
        ]
        if self._apart:
            heads += Column(say("rule.col.between"), "+.3g"), Column(say("rule.col.within"), "+.3g")
            rows = [(*row, s.between, s.within) for row, s in zip(rows, self.slopes, strict=True)]
        return Table(heads, tuple(rows))

    @property
    def _apart(self) -> bool:
        """Whether slopes between sources and within them are known."""
        return any(s.between is not None for s in self.slopes)

    def _charts(self) -> tuple[Scatter, Scatter]:
        across, up = say("rule.axis.predicted"), say("rule.axis.measured")
        left = tuple(m - p for p, m in zip(self.predicted, self.measured, strict=True))
        residual = say("rule.axis.residual")
        return (
            Scatter(self.predicted, self.measured, self.doubled, across, up),
            Scatter(self.predicted, left, self.doubled, across, residual, residuals=True),
        )


def trial_table(rows: Sequence[ArmComparison]) -> Table:
    """Return the comparisons of a rule's selections with random samples."""
    heads = (
        Column(say("col.arm"), "@rule.arm"), Column(say("col.n"), ","), Column(say("col.verdict"), "@word"),
        Column(say("col.difference"), "gain"), Column("90 %", "gain"), Column(say("col.seeds"), "d"),
    )  # fmt: skip
    return Table(heads, tuple((c.a, c.n_train, c.word, c.difference, (c.low, c.high), c.seeds) for c in rows))
