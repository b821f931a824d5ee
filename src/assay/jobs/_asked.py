"""What asking a chat model will cost and has cost, in words: the same for every command that asks one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from assay import plan as planning
from assay.core import Say, say
from assay.llm import Chat, Estimate, Spent

_CALLS_A_SECOND = 10.0
"""Before any call of a model was timed."""


@contextmanager
def asking(door: Chat, most: Estimate, per: str, count: int) -> Iterator[None]:
    """Count the block's requests for the command around it: said before, held to its cap, said after.

    ``per`` names what ``count`` are: item, sample.  The chat model's own budget holds beside the cap.
    """
    before, asked = door.spent, most.requests - most.cached
    takes = planning.Estimate(
        seconds=asked / _CALLS_A_SECOND, tokens=most.tokens_in + most.tokens_out,
        money=most.likely_money if most.learned else most.money, currency=most.currency,
        paid=asked > 0, kind=door.identity,
    )  # fmt: skip
    with planning.metered() as meter, planning.timed(door.folder, "ask", takes, said_before(most)):
        meter.per[per] = max(meter.per.get(per, 0), count)
        try:
            yield
        finally:
            _tell_calls(before, door.spent, most)


def _tell_calls(before: Spent, spent: Spent, most: Estimate) -> None:
    """Say how many calls were made, of how many tokens, beside what was likely."""
    calls = spent.calls - before.calls
    if calls:
        tokens = spent.tokens_in + spent.tokens_out - before.tokens_in - before.tokens_out
        money = None if spent.money is None else spent.money - (before.money or 0.0)
        key = "ask.after.learned" if most.learned else "ask.after"
        said = say(key, calls=calls, tokens=tokens, money=amount(money, most.currency), likely=most.likely)
        planning.tell(said)


def said_before(most: Estimate) -> Say:
    """Return what requests cost at most and, where replies of the model were seen, likely."""
    key = "ask.before.learned" if most.learned else "ask.before"
    return say(
        key, requests=most.requests, cached=most.cached, tokens=most.tokens_in + most.tokens_out,
        money=amount(most.money, most.currency), likely=most.likely, learned=most.learned,
        likely_money=amount(most.likely_money, most.currency),
    )  # fmt: skip


def amount(money: float | None, currency: str) -> Say:
    """Return an amount in words, or that no price is known."""
    return say("cost.money.unknown") if money is None else say(
        "cost.money", amounts=f"{money:.3g} {currency}"
    )  # fmt: skip
