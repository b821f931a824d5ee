"""What went wrong with a call, whether to ask again, and whether it may have been paid for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN = 300
# 529 is Anthropic's.
_OVERLOADED = (408, 503, 504, 529)
_BACKOFF_SECONDS, _BACKOFF_MOST = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One call that brought no reply.

    ``limited``: the server asks for fewer calls; ``transient``: it may well answer next time; ``refused``: it
    never will; ``key``: it does not accept the key; ``capped``: the command's cap leaves no room.  ``paid``
    says that the model may have worked for it, ``crowded`` that it may have come of too many calls at once.
    """

    kind: Literal["limited", "transient", "refused", "key", "capped"]
    problem: str
    paid: bool = False
    retry_after: float | None = None
    crowded: bool = False


def pause(fault: Fault, failures: int) -> float:
    """Return the seconds to wait after the ``failures``-th fault of a request: doubling, with jitter."""
    grown = min(_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10), _BACKOFF_MOST)
    waited = grown * random.uniform(0.5, 1.5)
    if fault.retry_after is None:
        return waited
    # Never earlier than asked; spread, or all come back at the same moment.
    return fault.retry_after + random.uniform(0.0, min(0.25 * fault.retry_after, grown))


def fault_of(error: BaseException, secret: str | None = None) -> Fault:
    """Classify what a provider raised; ``secret`` is struck out of the text."""
    chain = list(_causes(error))
    problem = _text(chain, secret)
    for one in chain:
        if (status := _status(one)) is not None:
            return _of_status(status, problem, _retry_after(one))
    names = {type(one).__name__ for one in chain}
    if names & {"ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError"}:
        return Fault("transient", problem)
    if names & {"UnicodeEncodeError", "PrerequisiteError", "ModuleNotFoundError"}:
        return Fault("refused", problem)
    return Fault("transient", problem, paid=True)


def _of_status(status: int, problem: str, retry_after: float | None) -> Fault:
    if status == 401:
        return Fault("key", "the server does not accept the key (401)")
    if status == 429:
        # OpenAI's 429 for an account without money is no limit of rate.
        if "insufficient_quota" in problem:
            return Fault("refused", problem)
        return Fault("limited", problem, retry_after=retry_after, crowded=True)
    if status in (408, 409, 425) or status >= 500:
        return Fault("transient", problem, retry_after=retry_after, crowded=status in _OVERLOADED)
    if status < 400:
        return Fault("transient", problem, paid=True)
    return Fault("refused", problem)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, what it was made from, and what a retrier keeps of its last attempt."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        attempt = getattr(one, "last_attempt", None)
        if attempt is not None and attempt.done() and attempt.exception() is not None:
            yield from _causes(attempt.exception())
            return
        yield one
        one = one.__cause__ or one.__context__


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if type(value) is int and 100 <= value < 600:
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    """Return the seconds of ``retry-after-ms`` or ``Retry-After`` (seconds or a date, RFC 9110 10.2.3)."""
    headers: Mapping[str, str] | None = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        return None
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(float(text) * scale, 0.0)
        except ValueError:
            return _seconds_until(text)
    return None


def _seconds_until(date: str) -> float | None:
    from datetime import UTC, datetime

    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max((then - datetime.now(UTC)).total_seconds(), 0.0)


def _text(chain: list[BaseException], secret: str | None) -> str:
    """Return a line of what happened, without request, headers or key."""
    first = chain[0]
    said = str(getattr(first, "provider_message", None) or first).strip()
    body = next((found for one in chain if (found := getattr(one, "body", None)) is not None), None)
    if isinstance(body, dict):
        more = str(body.get("message") or body.get("detail") or "")
        said = said if more in said else f"{said}: {more}"
    line = " ".join(said.split()) or type(chain[-1]).__name__
    if secret:
        line = line.replace(secret, "…")
    name = type(first).__name__
    return f"{name}: {line}"[:_SHOWN]
