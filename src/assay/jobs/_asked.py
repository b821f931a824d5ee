"""What asking a chat model will cost and has cost, in words: the same for every command that asks one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from assay.core import Say, say
from assay.llm import Chat, Estimate
from assay.plan import tell


@contextmanager
def asking(door: Chat, most: Estimate, per: str, count: int) -> Iterator[None]:
    """Say what the block's requests cost, at most and likely, and afterwards what they did cost.

    ``per`` names what ``count`` are: item, sample.  The cap is the chat model's own budget.
    """
    before, began = door.spent, time.monotonic()
    tell(said_before(most))
    try:
        yield
    finally:
        spent = door.spent
        if spent.calls > before.calls:
            tokens = spent.tokens_in + spent.tokens_out - before.tokens_in - before.tokens_out
            money = None if spent.money is None else spent.money - (before.money or 0.0)
            wall = time.monotonic() - began
            calls = spent.calls - before.calls
            key = "ask.after.learned" if most.learned else "ask.after"
            tell(say(key, wall=wall, calls=calls, tokens=tokens, money=amount(money, most.currency),
                     likely=most.likely))  # fmt: skip
            each = None if money is None else money / max(count, 1)
            tell(say(f"cost.per.{per}", count=count, seconds=wall / max(count, 1),
                     money=amount(each, most.currency)))  # fmt: skip


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
