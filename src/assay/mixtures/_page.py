"""What the effects of mixtures look like: sentences for what is shown, the whole matrix as a heat map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assay.core import (
    Block,
    Cell,
    Column,
    Fold,
    Heading,
    Items,
    Page,
    Paragraph,
    Say,
    Shade,
    Table,
    say,
)
from assay.mixtures._confirm import Confirmation, Confirmed
from assay.mixtures._fit import Effect, MixEffects, change

_SHADES, _ROWS = 3, 24


@dataclass(frozen=True)
class MixPage:
    """The effects of one study or table; ``name`` is that of the study."""

    name: str
    fit: MixEffects
    again: Confirmation | None = None
    notes: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """Return ``loss`` or ``score``, by which sentences are worded."""
        return "loss" if self.fit.loss else "score"

    def as_page(self) -> Page:
        """Return the answer, what is shown, the matrix, curvature, and every pair."""
        fit = self.fit
        blocks: list[Block] = [Heading(self._headline(), 1), Paragraph(self._lead())]
        blocks += [Items(self.notes, "quiet")] if self.notes else []
        warnings = tuple(self._warnings())
        blocks += [Items(warnings, "warning")] if warnings else []
        across = [e for e in fit.effects if e.shown and not e.own]
        blocks += [Heading(say("mix.shown")), Items((*self._sentences(across), *self._own()))]
        blocks += list(confirmed_blocks(self.again)) if self.again else [Paragraph(say("mix.once"), "quiet")]
        blocks += [Heading(say("mix.matrix")), Paragraph(say("mix.matrix.lead"), "quiet"), self._heat()]
        blocks += [Heading(say("mix.bend")), *self._bends()]
        lead = say("mix.pairs.lead", shown=min(_ROWS, len(fit.effects)), of=len(fit.effects))
        blocks.append(Fold(say("mix.pairs"), (Paragraph(lead, "quiet"), self._pairs())))
        return Page(tuple(blocks), None, say("mix.title", name=self.name), say("mix.eyebrow"), self.name)

    def _headline(self) -> Say:
        across = [e for e in self.fit.effects if not e.own]
        harm = sum(e.shown and e.raw < 0 for e in across)
        help_ = sum(e.shown and e.raw > 0 for e in across)
        if not across:
            return say("mix.headline.own")
        return say(
            "mix.headline" if harm + help_ else "mix.headline.none", harm=harm, help=help_, pairs=len(across)
        )

    def _lead(self) -> Say:
        fit = self.fit
        return say(
            f"mix.lead.{self.metric}", runs=fit.runs, parts=len(fit.names), types=len(fit.types),
            found=self._change(fit.found),
        )  # fmt: skip

    def _change(self, gain: float) -> float:
        return change(gain, loss=self.fit.loss)

    def _sentences(self, across: list[Effect]) -> Iterator[Say]:
        """Yield harm first, the largest first; where there is none of a kind, from where it would be seen."""
        harm = sorted((e for e in across if e.raw < 0), key=lambda e: e.gain)
        gain = sorted((e for e in across if e.raw > 0), key=lambda e: -e.gain)
        for found, none in ((harm, "mix.none.harm"), (gain, "mix.none.help")):
            yield from (self._sentence(e) for e in found)
            if not found:
                yield say(f"{none}.{self.metric}", found=self._change(self.fit.found))

    def _own(self) -> Iterator[Say]:
        """Yield how far each type's own data move it, where there are such."""
        own = [e for e in self.fit.effects if e.own]
        shown = [self._change(e.gain) for e in own if e.shown and e.raw > 0]
        if own and not shown:
            yield say("mix.own.none", of=len(own))
        elif own:
            yield say(
                f"mix.own.{self.metric}", shown=len(shown), of=len(own), low=min(shown), high=max(shown)
            )

    def _sentence(self, effect: Effect) -> Say:
        """Return the effect in the metric's own direction; its size is above zero."""
        up = effect.raw > 0
        size, interval = self._sizes(up, effect.gain, effect.low, effect.high)
        word = "raises" if up != self.fit.loss else "lowers"
        return say(
            f"mix.{word}.{self.metric}", part=effect.part, type=effect.type, size=size, interval=interval
        )

    def _sizes(self, up: bool, *values: float) -> tuple[float, tuple[float, float]]:
        """Return a mean and its interval as sizes, above zero where the sign is that of ``up``."""
        mean, low, high = (self._change(value) for value in values)
        return (mean, (low, high)) if up else (-mean, (-high, -low))

    def _warnings(self) -> Iterator[Say]:
        yield from (say("mix.failed", run=run.label, off=abs(run.off)) for run in self.fit.failed)
        if self.fit.types_near_zero:
            yield say("mix.near_zero", types=self.fit.types_near_zero)

    def _heat(self) -> Table:
        """Return a row per part, a column per type; what is shown is set off."""
        by_pair = {(e.part, e.type): e for e in self.fit.effects}
        most = max((abs(e.gain) for e in self.fit.effects if not e.own), default=0.0) or 1.0
        form = "+.1%" if self.fit.loss else "gain"
        heads = (Column(say("mix.col.more"), "@type"),) + tuple(
            Column(say("cell.type", name=kind), form) for kind in self.fit.types
        )
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (part, *(self._shade(by_pair[part, kind], most) for kind in self.fit.types))
            for part in self.fit.names
        )
        return Table(heads, rows, note=say(f"mix.matrix.note.{self.metric}"))

    def _shade(self, effect: Effect, most: float) -> Shade:
        level = round(_SHADES * min(abs(effect.gain) / most, 1.0))
        return Shade(self._change(effect.gain), level if effect.gain > 0 else -level, effect.shown)

    def _bends(self) -> Iterator[Block]:
        fit = self.fit
        if not fit.curvature:
            yield Paragraph(say("mix.bend.unknown"))
            return
        shown = [c for c in fit.curvature if c.shown]
        for one in shown:
            size, interval = self._sizes(one.bend > 0, one.bend, one.low, one.high)
            key = f"mix.bend.{'less' if one.bend < 0 else 'more'}.{self.metric}"
            yield Paragraph(say(key, type=one.type, size=size, interval=interval))
        if not shown:
            widest = max((c.high - c.low) / 2 for c in fit.curvature)
            yield Paragraph(say(f"mix.bend.none.{self.metric}", reach=self._change(widest)))

    def _pairs(self) -> Table:
        form = "+.2%" if self.fit.loss else "+.4f"
        heads = (
            Column(say("mix.col.more"), "@type"), Column(say("mix.col.judged"), "@type"),
            Column(say("mix.col.effect"), form), Column("90 %", form), Column(say("mix.col.raw"), "+.4f"),
            Column(say("mix.col.error"), ".4f"), Column("p", ".4f"), Column("q", ".3f"),
        )  # fmt: skip
        order = sorted(self.fit.effects, key=lambda e: (e.own, e.p))[:_ROWS]
        rows = tuple(
            (
                e.part, e.type, self._change(e.gain), (self._change(e.low), self._change(e.high)), e.raw,
                e.error, e.p, e.q,
            )
            for e in order
        )  # fmt: skip
        return Table(heads, rows)


def confirmed_blocks(again: Confirmation) -> tuple[Block, ...]:
    """Return what a second size says of the largest effects: a sentence and a row for each."""
    form = "+.1%" if again.loss else "+.3f"
    heads = (
        Column(say("mix.col.more"), "@type"), Column(say("mix.col.judged"), "@type"),
        Column(say("mix.col.at", n=again.before), form), Column("90 %", form),
        Column(say("mix.col.at", n=again.n), form), Column("90 %", form), Column("p", ".4f"),
        Column(say("mix.col.word"), "@mix.confirm"),
    )  # fmt: skip

    def row(one: Confirmed) -> tuple[Cell, ...]:
        said = [change(v, loss=again.loss) for v in (one.first.low, one.first.high, one.low, one.high)]
        first, then = (change(v, loss=again.loss) for v in (one.first.gain, one.again))
        return (one.part, one.type, first, (said[0], said[1]), then, (said[2], said[3]), one.p, one.word)

    held = sum(one.word == "confirmed" for one in again.rows)
    lead = say("mix.confirm.lead", held=held, of=len(again.rows), n=again.n, before=again.before,
               runs=again.runs)  # fmt: skip
    return Heading(say("mix.confirm")), Paragraph(lead), Table(heads, tuple(map(row, again.rows)))
