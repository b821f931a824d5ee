"""What measuring the samples of a pool costs, whichever command measures them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from assay import indicators
from assay import plan as planning
from assay.core import Sample, Say
from assay.indicators import Models
from assay.jobs._asked import said_before
from assay.jobs._pool import Pool

SAMPLES_A_SECOND = 50.0
"""Of a model of a million weights on one core, before any was measured."""


@contextmanager
def measuring(
    verb: str, names: Sequence[str], pool: Pool, models: Models, cap: str | None, *, embeds: bool = False
) -> Iterator[tuple[Callable[[], None], int]]:
    """Count a command that measures ``names``, or embeds texts: said before, held to its cap, said after.

    Gives what to call as it goes on, which raises :class:`AssayError` once the time of the cap is over, and
    the number of samples where models measure them (0 where none does: then nothing is foretold).
    """
    slow = sorted(name for name in names if set(indicators.needs(name)) - {"pool"}) + ["embed"] * embeds
    rows = sum(1 for _ in pool) if slow else 0
    takes, said = _estimate([name for name in slow if name != "embed"], rows, pool, models)
    folder = models.cache or Path(".assay/scores")
    with planning.metered(cap) as meter:
        with planning.timed(folder, " ".join([verb, *slow]), takes, said) as check:
            yield check, rows
        meter.per["row"] = rows


def _estimate(
    names: Sequence[str], rows: int, pool: Pool, models: Models
) -> tuple[planning.Estimate, Say | None]:
    """Return what models take for the samples; of chat models what they are asked, in words too."""
    seconds = rows / SAMPLES_A_SECOND
    if not any("rater" in indicators.needs(name) for name in names):
        return planning.Estimate(seconds=seconds), None
    most = indicators.rating_estimate(indicators.Tools(models), names, pool)
    money = most.likely_money if most.learned else most.money
    return planning.Estimate(
        seconds=seconds, tokens=most.tokens_in + most.tokens_out, money=money, currency=most.currency,
        paid=most.requests > most.cached,
    ), said_before(most)  # fmt: skip


def watched(samples: Iterable[Sample], check: Callable[[], None]) -> Iterator[Sample]:
    """Yield samples, checking before each."""
    for sample in samples:
        check()
        yield sample
