"""Ask a chat model many things at once: nothing lost, nothing paid twice, no cap passed."""

from __future__ import annotations

import asyncio
import os
import queue
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, TypeAlias

from assay.core import AssayError
from assay.llm._door import Answer, Door, is_local, key_error, size_of
from assay.llm._faults import Fault, pause
from assay.llm._ledger import Ledger, Refusal, Use
from assay.llm._limit import Connections
from assay.llm._loop import call_loop
from assay.llm._prices import Price, find_price
from assay.llm._schema import bare_json, misfit, read_schema
from assay.llm._values import Advance, Budget, Estimate, Failure, Reply, Request, Spent

Usable: TypeAlias = Callable[[Reply], str | None]
Outcome: TypeAlias = Reply | Failure
_Said: TypeAlias = Reply | Fault | Refusal

_WINDOW, _BATCH_WINDOW = 1024, 10_000
_PATIENCE_SECONDS = 900.0
_POLL_SECONDS = 0.2
_NO_BUDGET = Budget()


@dataclass(slots=True)
class _Asking:
    """One call of ``ask``: what is under way for it."""

    usable: Usable | None
    most: int
    outcomes: queue.SimpleQueue[tuple[int, Outcome | BaseException]] = field(
        default_factory=queue.SimpleQueue
    )
    serving: set[Future[None]] = field(default_factory=set)
    flying: set[asyncio.Task[_Said]] = field(default_factory=set)
    pending: int = 0
    asleep: int = 0


class Chat:
    """A chat model with its stored replies and its budget.

    ``calls`` is a folder for the calls file; several processes may share it, and a request that one of them
    is asking is waited for by the others.  Every complete reply is stored as it arrives, usable or not:
    ``attempts`` counts the replies to one request over all runs, and errors of server and network within
    one.  A 429 is no attempt; a request gives up when it was turned away for a quarter of an hour.

    The budget holds for what this object spends or, with ``run`` given, for all that was ever spent under
    that name in the calls file, by any process, before or now.  Each call is entered at the most it can cost
    before it is sent.  Calls that broke off, of which nobody knows whether they were paid, stay counted at
    their most.

    ``connections`` None adapts to the server's limits.  ``stream`` asks for streamed replies, ``batch`` for
    the provider's batch interface (hours, about half the price) where inspect-ai has it.  ``revision`` tells
    models of one name apart: it is part of :attr:`identity`, where the address is not.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        calls: Path = Path(".assay/calls"),
        budget: Budget = _NO_BUDGET,
        connections: int | None = None,
        attempts: int = 5,
        timeout: float = 120.0,
        stream: bool = False,
        prices: Path | None = None,
        batch: bool = False,
        run: str | None = None,
        revision: str = "",
    ) -> None:
        """Open the model.

        Raises :class:`AssayError` for an unknown model, a missing key, or a cap in money where no price is
        known.
        """
        self.identity = f"{model}@{revision}" if revision else model
        self.budget = budget
        self._name, self._attempts = model, attempts
        self._price = find_price(model, prices, local=is_local(model, base_url))
        _check(model, budget, self._price, attempts, connections)
        self._door = Door(model, base_url, timeout=timeout, stream=stream, batch=batch)
        self._ledger = Ledger(calls, run or uuid.uuid4().hex, budget)
        self._before = self._ledger.total()
        self._window = _BATCH_WINDOW if batch else _WINDOW
        self._connections = Connections(_BATCH_WINDOW if batch else connections)
        self._keys: dict[str, tuple[asyncio.Lock, int]] = {}
        self._settled = asyncio.Event()
        self._asking: list[_Asking] = []
        self.spent = Spent(money=None if self._price is None else 0.0)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Finish what is in flight and close connections and calls file."""
        for asking in self._asking[:]:
            self._stop(asking)
        asyncio.run_coroutine_threadsafe(self._door.close(), call_loop()).result()
        self._ledger.close()

    def ask(
        self,
        requests: Iterable[Request],
        *,
        usable: Usable | None = None,
        most: int | None = None,
        advance: Advance | None = None,
    ) -> Iterator[tuple[int, Outcome]]:
        """Yield the number of each request with its outcome, as outcomes arrive.

        ``requests`` is read as there is room for more, in the thread of the caller.  ``usable`` says what is
        wrong with a reply, None where nothing is; it is called in another thread and must be quick.  A reply
        to a request with a schema is its JSON without a Markdown fence.  ``most`` unusable replies to one
        request make it malformed (``attempts`` by default).  Where the iterator is closed early
        or interrupted, calls in flight are waited for and stored; a second interrupt does not wait.

        Raises :class:`AssayError` where the server does not accept the key or the calls file cannot be
        written.
        """
        asking = _Asking(usable, most or self._attempts)
        self._asking.append(asking)
        total = len(requests) if isinstance(requests, Sized) else None
        try:
            for done, one in enumerate(self._outcomes(asking, requests), 1):
                if advance is not None:
                    seen = total if total is not None else done + asking.pending
                    advance(done, seen, f"replies, {self._money_text()}")
                yield one
        finally:
            self._stop(asking)
            self._asking.remove(asking)

    def estimate(self, requests: Sequence[Request]) -> Estimate:
        """Return what the requests that are not stored yet cost at most, if each is answered once."""
        keys = {request.digest(self.identity): request for request in requests}
        new = [request for key, request in keys.items() if not self._ledger.replies(key)]
        tokens_in = sum(size_of(request) for request in new)
        tokens_out = sum(request.sampling.max_tokens for request in new)
        money = None if self._price is None else self._price.of(tokens_in, tokens_out)
        cached = len(requests) - len(new)
        read, written, learned = self._ledger.shares(self.identity) if new else (1.0, 1.0, 0)
        likely = round(read * tokens_in), round(written * tokens_out)
        return Estimate(
            len(requests), cached, tokens_in, tokens_out, money, self.currency, sum(likely),
            None if self._price is None else self._price.of(*likely), learned,
        )  # fmt: skip

    @property
    def currency(self) -> str:
        """Return the currency of what is spent: that of the model's price, else of the budget."""
        return self.budget.currency if self._price is None else self._price.currency

    def _outcomes(self, asking: _Asking, requests: Iterable[Request]) -> Iterator[tuple[int, Outcome]]:
        """Keep as many requests under way as may be, and yield what comes of them."""
        source = enumerate(requests)
        more = True
        while more or asking.pending:
            while more and asking.pending < self._room(asking) and asking.outcomes.empty():
                following = next(source, None)
                if following is None:
                    more = False
                elif (stored := self._stored(following[1], asking)) is not None:
                    yield following[0], stored
                else:
                    self._start(*following, asking)
            if asking.pending:
                index, outcome = asking.outcomes.get()
                asking.pending -= 1
                if isinstance(outcome, BaseException):
                    raise outcome
                yield index, outcome

    def _room(self, asking: _Asking) -> int:
        return min(2 * self._connections.limit + asking.asleep, self._window)

    def _stored(self, request: Request, asking: _Asking) -> Reply | None:
        if request.schema is not None:
            read_schema(request.schema)
        key = request.digest(self.identity)
        found, _ = self._search(self._ledger.replies(key), request, asking)
        if found is not None:
            self._spend(cached=1)
        return found

    def _start(self, index: int, request: Request, asking: _Asking) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(
            self._deliver(index, request, asking), call_loop()
        )
        asking.pending += 1
        asking.serving.add(future)
        future.add_done_callback(asking.serving.discard)

    def _stop(self, asking: _Asking) -> None:
        """Send nothing more, and wait for what is in flight."""
        for future in list(asking.serving):
            future.cancel()
        waiting = asyncio.run_coroutine_threadsafe(_landed(asking), call_loop())
        waiting.result()

    async def _deliver(self, index: int, request: Request, asking: _Asking) -> None:
        outcome: Outcome | BaseException
        try:
            outcome = await self._serve(request, asking)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            outcome = error
        asking.outcomes.put((index, outcome))

    async def _serve(self, request: Request, asking: _Asking) -> Outcome:
        """Ask until there is a usable reply or no hope."""
        key = request.digest(self.identity)
        async with self._alone(key):
            failures, turned_away = 0, 0
            give_up = 0.0
            while True:
                replies = self._ledger.replies(key)
                found, problem = self._search(replies, request, asking)
                if found is not None:
                    self._spend(cached=1)
                    return found
                if len(replies) >= asking.most:
                    return Failure(key, "malformed", problem, len(replies))
                said = await self._fly(request, key, len(replies), asking)
                if isinstance(said, Reply):
                    found, _ = self._search([said], request, asking)
                    if found is not None:
                        return replace(found, tries=len(replies) + 1)
                elif said == "never":
                    return Failure(key, "budget", self._why_full(request), failures)
                elif isinstance(said, str):
                    await self._wait_for_others(said)
                elif said.kind == "key":
                    raise self._key_error(said)
                elif said.kind == "refused":
                    return Failure(key, "refused", said.problem, failures + 1)
                else:
                    now = asyncio.get_running_loop().time()
                    if said.kind == "limited":
                        turned_away += 1
                        give_up = give_up or now + _PATIENCE_SECONDS
                    else:
                        failures += 1
                    if failures >= self._attempts or (said.kind == "limited" and now > give_up):
                        return Failure(key, "exhausted", said.problem, failures + turned_away)
                    await self._sleep(pause(said, failures + turned_away), asking)

    def _search(self, replies: list[Reply], request: Request, asking: _Asking) -> tuple[Reply | None, str]:
        """Return the first reply that is of use, else what is wrong with the last."""
        problem = ""
        for tries, one in enumerate(replies, 1):
            reply = one if request.schema is None else replace(one, text=bare_json(one.text))
            wrong = None if request.schema is None else misfit(reply.text, request.schema)
            if wrong is None and asking.usable is not None:
                wrong = asking.usable(reply)
            if wrong is None:
                return replace(reply, tries=tries), ""
            problem = wrong
        return None, problem

    async def _fly(self, request: Request, key: str, known: int, asking: _Asking) -> _Said:
        """Make one call in a slot.  It goes on to its end even where nobody waits for it any more."""
        async with self._connections.slot():
            task = asyncio.create_task(self._call(request, key, known))
            asking.flying.add(task)
            task.add_done_callback(asking.flying.discard)
            said = await asyncio.shield(task)
            if isinstance(said, Fault) and said.crowded:
                self._connections.turned_away(said.retry_after)
                await self._connections.rest()
            elif isinstance(said, Reply):
                self._connections.answered(said.seconds)
        return said

    async def _call(self, request: Request, key: str, known: int) -> _Said:
        size, room = size_of(request), request.sampling.max_tokens
        most = Use(size + room, self._cost(size, room) or 0.0)
        taken = await asyncio.wrap_future(self._ledger.take(key, known, most))
        if isinstance(taken, str):
            return taken
        said = await self._door.ask(request, known)
        if isinstance(said, Answer):
            reply = self._reply(key, said)
            tokens_in = size if said.tokens_in is None else said.tokens_in
            tokens_out = len(said.text.encode()) if said.tokens_out is None else said.tokens_out
            use = Use(tokens_in + tokens_out, self._cost(tokens_in, tokens_out) or 0.0)
            bound = (self.identity, size, room)
            await asyncio.wrap_future(self._ledger.settle(taken, use, reply, bound))
            self._spend(1, 0, tokens_in, tokens_out, unknown=int(said.tokens_out is None))
            self._settled.set()
            return reply
        if said.paid:
            await asyncio.wrap_future(self._ledger.settle(taken, most, None))
            self._spend(1, 0, size, room, unknown=1)
        else:
            await asyncio.wrap_future(self._ledger.free(taken))
        self._settled.set()
        return said

    def _reply(self, key: str, said: Answer) -> Reply:
        cost = None
        if said.tokens_in is not None and said.tokens_out is not None:
            cost = self._cost(said.tokens_in, said.tokens_out)
        return Reply(
            key, said.text, said.ended, said.tokens_in, said.tokens_out, cost, said.seconds, said.model,
            said.logprobs,
        )  # fmt: skip

    def _cost(self, tokens_in: int, tokens_out: int) -> float | None:
        return None if self._price is None else self._price.of(tokens_in, tokens_out)

    def _spend(
        self, calls: int = 0, cached: int = 0, tokens_in: int = 0, tokens_out: int = 0, unknown: int = 0
    ) -> None:
        now, cost = self.spent, self._cost(tokens_in, tokens_out)
        self.spent = Spent(
            now.calls + calls,
            now.cached + cached,
            now.tokens_in + tokens_in,
            now.tokens_out + tokens_out,
            None if now.money is None or cost is None else now.money + cost,
            now.unknown + unknown,
        )

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """Let one task at a time ask a question: the next finds it answered."""
        lock, users = self._keys.get(key, (asyncio.Lock(), 0))
        self._keys[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._keys.pop(key)
            if users > 1:
                self._keys[key] = (lock, users - 1)

    async def _wait_for_others(self, why: str) -> None:
        if why == "stored":
            return
        self._settled.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), _POLL_SECONDS)

    async def _sleep(self, seconds: float, asking: _Asking) -> None:
        asking.asleep += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            asking.asleep -= 1

    def _why_full(self, request: Request) -> str:
        size, room = size_of(request), request.sampling.max_tokens
        return f"{size + room:,} tokens at most do not fit into what is left: {self._money_text()}"

    def _key_error(self, fault: Fault) -> AssayError:
        variables = self._door.key_variables
        given = [name for name in variables if os.environ.get(name)]
        return key_error(self._name, given or variables[:1], fault.problem)

    def _money_text(self) -> str:
        now, cap = self.spent, self.budget
        parts = []
        if cap.money is not None:
            spent = self._before.money + (now.money or 0.0)
            parts.append(f"{_amount(spent)} of {_amount(cap.money)} {cap.currency}")
        elif now.money is not None:
            parts.append(f"{_amount(now.money)} {self.currency}")
        tokens = now.tokens_in + now.tokens_out
        if cap.tokens is not None:
            parts.append(f"{self._before.tokens + tokens:,} of {cap.tokens:,} tokens")
        elif now.money is None:
            parts.append(f"{tokens:,} tokens")
        return ", ".join(parts)


async def _landed(asking: _Asking) -> None:
    while asking.flying:
        await asyncio.wait(list(asking.flying))


def _amount(money: float) -> str:
    text = f"{money:.2f}" if money == 0.0 or money >= 0.01 else f"{money:.2g}"
    return text.removesuffix(".00")


def _check(model: str, budget: Budget, price: Price | None, attempts: int, connections: int | None) -> None:
    if attempts < 1:
        raise AssayError("attempts must be at least 1", place="attempts", value=attempts, expected="≥ 1")
    if connections is not None and connections < 1:
        raise AssayError(
            "connections must be at least 1", place="connections", value=connections, expected="≥ 1"
        )
    if budget.money is None:
        return
    if price is None:
        raise AssayError(
            "a budget in money cannot be enforced: the price of this model is unknown",
            place="budget",
            value=model,
            expected="a price list that has the model",
            hint='prices: a TOML file with [[price]] model = "…", input = …, output = … (per million tokens)',
        )
    if price.currency != budget.currency and (price.input or price.output):
        raise AssayError(
            f"the price of {model} is in {price.currency}",
            place="budget.currency",
            value=budget.currency,
            expected=price.currency,
        )
