"""What is asked of a chat model and what comes back: frozen values, no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from assay.core import AssayError, Message, digest

Advance: TypeAlias = Callable[[float, float, str], None]
Ended: TypeAlias = Literal["stop", "length", "filter", "unknown"]
FailureKind: TypeAlias = Literal["refused", "exhausted", "malformed", "budget"]

_VERSION = 1


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise AssayError("out of range", place=name, value=value, expected=f"{low} to {high}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn.

    ``temperature`` in [0, 2]; ``top_p`` in (0, 1]; ``max_tokens`` bounds the reply; ``top_logprobs`` in
    [0, 20]: how many alternatives are wanted at each token, 0 for no log-probabilities at all.
    The seed that is sent differs by :attr:`Request.repeat` and by rejected reply: else a repeat were a copy.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int | None = None
    top_logprobs: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise :class:`AssayError` for a value out of its range."""
        _within("temperature", self.temperature, 0.0, 2.0)
        _within("top_p", self.top_p, 0.0, 1.0)
        _within("top_logprobs", self.top_logprobs, 0, 20)
        if self.max_tokens < 1:
            raise AssayError(
                "no tokens left for a reply", place="max_tokens", value=self.max_tokens, expected="≥ 1"
            )


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a chat model.

    ``schema`` is a JSON schema as text: the reply must be JSON that fits it.  ``repeat`` is k for the k-th
    independent reply to the same question.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    schema: str | None = None
    repeat: int = 0

    def digest(self, model: str) -> str:
        """Return the SHA-256 (64 hex digits) of the question as put to ``model`` (:attr:`Chat.identity`)."""
        return digest(["chat", _VERSION, model, self.messages, self.sampling, self.schema, self.repeat])


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """One token of a reply: its natural log-probability, and the likeliest in its place, best first."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said.

    ``ended`` is ``length`` where it was cut at ``max_tokens``; tokens are None where the server did not
    count; ``cost`` is money by the price list, None where no price is known; ``seconds`` the time the call
    took; ``model`` the name that the server gave; ``cached`` whether it was stored before this object asked;
    ``tries`` how many replies its request got until this one, those that were of no use included.
    """

    key: str
    text: str
    ended: Ended
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    seconds: float
    model: str
    logprobs: tuple[TokenChoice, ...] = ()
    cached: bool = False
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no usable reply, and why.

    ``refused``: the server will not answer it however often it is asked (400, 403, 404, 422, filtered).
    ``exhausted``: errors of server or network at every attempt.  ``malformed``: every reply was unusable.
    ``budget``: the cap does not leave room for it.
    """

    key: str
    kind: FailureKind
    problem: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Hard caps; None is no cap.  ``tokens`` counts prompt and reply together."""

    tokens: int | None = None
    money: float | None = None
    currency: str = "USD"


class Limit(Protocol):
    """What counts every call of chat models, and says where no more may be made.

    ``over`` is asked before a call with the most that it can take, which counts until ``settle`` corrects it
    by a difference; it returns why the call may not be made, else None.
    """

    def over(self, tokens: float, money: float, currency: str) -> str | None:
        """Return why there is no room for a call; None where it counts."""

    def settle(self, tokens: float, money: float, currency: str) -> None:
        """Correct what was counted by as much."""


_LIMIT: ContextVar[Limit | None] = ContextVar("limit", default=None)


@contextmanager
def limited(limit: Limit | None) -> Iterator[None]:
    """Let ``limit`` count the calls of chat models that are opened inside the block; None lets none."""
    before = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(before)


def limit_here() -> Limit | None:
    """Return what counts the calls of a chat model that is opened here."""
    return _LIMIT.get()


@dataclass(frozen=True, slots=True)
class Spent:
    """What one :class:`Chat` has used so far.

    ``calls`` were answered and are paid; ``cached`` replies cost nothing.  ``unknown`` of the calls broke off
    or came without a count: they are counted at the most they can have cost.  ``money`` is None where the
    price of the model is not known.
    """

    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    money: float | None = 0.0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What some requests can cost at most, if each is answered once: those not stored yet.

    Prompt tokens are bounded by their bytes of UTF-8, which no tokenizer that falls back on bytes exceeds;
    the true number is about a quarter of it in English and in Chinese.  ``likely`` tokens and
    ``likely_money`` are what that comes to by the last ``learned`` replies of the model in the calls file.
    """

    requests: int
    cached: int
    tokens_in: int
    tokens_out: int
    money: float | None
    currency: str = "USD"
    likely: int | None = None
    likely_money: float | None = None
    learned: int = 0

    def __str__(self) -> str:
        """Return a line to show before anything is sent."""
        money = "price unknown" if self.money is None else f"{self.money:.2f} {self.currency}"
        return (
            f"{self.requests:,} requests, {self.cached:,} stored already; the others at most "
            f"{self.tokens_in:,} tokens of prompts and {self.tokens_out:,} of replies, {money}"
        )


_SCALE = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "千": 10**3, "万": 10**4, "百万": 10**6, "亿": 10**8}
_CURRENCY = {
    "$": "USD", "us$": "USD", "美元": "USD", "¥": "CNY", "元": "CNY", "人民币": "CNY", "rmb": "CNY",
    "€": "EUR", "欧元": "EUR", "£": "GBP", "英镑": "GBP",
}  # fmt: skip
_TOKENS = {"token", "tokens", "tok", "词元", "令牌"}
_PART = re.compile(r"([^\d\s.]*)\s*(\d[\d,_]*(?:\.\d+)?)\s*(百万|[kmb千万亿]?)\s*([^\d\s]*)", re.IGNORECASE)


def parse_budget(text: str) -> Budget:
    """Read ``20 USD``, ``$20``, ``2M tokens``, ``200万 词元``, ``50 元``, or one of each (``and``, ``;``).

    Raises :class:`AssayError` for anything else; nothing is guessed.
    """
    tokens: int | None = None
    money: float | None = None
    currency = "USD"
    for part in re.split(r"\s+and\s+|[;；+和、]", text.strip()):
        amount, unit = _amount(part.strip(), text)
        if unit == "tokens" and tokens is None:
            tokens = int(amount)
        elif unit != "tokens" and money is None:
            money, currency = amount, unit
        else:
            raise _unreadable(text)
    return Budget(tokens, money, currency)


def _amount(part: str, whole: str) -> tuple[float, str]:
    found = _PART.fullmatch(part)
    if found is None:
        raise _unreadable(whole)
    before, number, scale, after = found.groups()
    unit = (before or after).lower()
    if bool(before) == bool(after):
        raise _unreadable(whole)
    amount = float(number.replace(",", "").replace("_", "")) * _SCALE[scale.lower()]
    if unit in _TOKENS:
        return amount, "tokens"
    unit = _CURRENCY.get(unit, unit.upper())
    if not re.fullmatch(r"[A-Z]{3}", unit):
        raise _unreadable(whole)
    return amount, unit


def _unreadable(text: str) -> AssayError:
    return AssayError(
        "cannot parse the budget",
        place="budget",
        value=text,
        expected="an amount of money, of tokens, or one of each",
        hint='"20 USD", "2M tokens", "2M tokens and 20 USD", "200万 词元"',
    )
