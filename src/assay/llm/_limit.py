"""How many calls at once: grown while the server keeps up, cut by the share it turns away."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_START = 4
_MOST = 256
_SLOWED = 3.0
# With no more slots than this, a slow round is the server's or the machine's affair.
_FEW = 8
_REST_SECONDS = 2.0
# A fast round long ago says little of a server that has become busy.
_FORGET = 1.001


class Connections:
    """Slots for calls in flight.

    A round is as many replies and refusals as there are slots.  Until the first call is turned away (a 429,
    an overload, a timeout) each round doubles the slots; after it, a round adds one, and more after several
    without a refusal, and is cut by half the share of the round that was turned away (the rule of Data Center
    TCP, Alizadeh et al. 2010).  So a few stray 429 cost little, and a limit of the server is held from
    slightly above, where none of it is left unused.

    A server that does not turn calls away but lets them queue is seen by its replies: beyond eight slots none
    is added while their geometric mean time is above three times that of the fastest round.  Where for the
    length of a Retry-After nothing but refusals came, nothing is sent until it has passed once more.  All
    methods run on the loop of the calls.
    """

    def __init__(self, fixed: int | None) -> None:
        """Keep to ``fixed`` slots, or, where that is None, adapt between 1 and 256."""
        self._fixed = fixed
        self._limit = float(fixed or _START)
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answered, self._turned_away, self._log_seconds = 0, 0, 0.0
        self._fastest, self._typical = math.inf, 0.0
        self._careful, self._slowed = False, False
        self._clean_rounds = 0
        self._closed_until = 0.0
        self._last_answer: float | None = None

    @property
    def limit(self) -> int:
        """Slots at the moment."""
        return int(self._limit)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        await self._enter()
        try:
            while (left := self._closed_until - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(left)
            yield
        finally:
            self._active -= 1
            self._wake()

    async def rest(self) -> None:
        """Keep a slot, after a refusal, for as long as a reply takes.

        Refusals are quick: without this, a slot that is turned away would ask repeatedly, and the share
        of refusals would say nothing about the number of slots.
        """
        await asyncio.sleep(min(self._typical, _REST_SECONDS))

    async def _enter(self) -> None:
        """Take a slot, in the order of coming."""
        if not self._waiting and self._active < self.limit:
            self._active += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._active -= 1
            self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._active < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._active += 1
                turn.set_result(None)

    def answered(self, seconds: float) -> None:
        """Count a reply and the time it took."""
        self._answered += 1
        self._last_answer = asyncio.get_running_loop().time()
        self._log_seconds += math.log(max(seconds, 1e-3))
        self._end_round()

    def turned_away(self, retry_after: float | None) -> None:
        """Count a call that was too many, with the seconds that the server asks to wait."""
        self._turned_away += 1
        self._careful = True
        now = asyncio.get_running_loop().time()
        if self._last_answer is None:
            self._last_answer = now
        if retry_after and now - self._last_answer > retry_after:
            self._closed_until = max(self._closed_until, now + retry_after)
        self._end_round()

    def _end_round(self) -> None:
        total = self._answered + self._turned_away
        if total < self.limit:
            return
        share = self._turned_away / total
        if self._answered:
            self._typical = math.exp(self._log_seconds / self._answered)
            self._fastest = min(self._fastest * _FORGET, self._typical)
            self._slowed = self._limit > _FEW and self._typical > _SLOWED * self._fastest
            self._careful = self._careful or self._slowed
        self._answered, self._turned_away, self._log_seconds = 0, 0, 0.0
        self._clean_rounds = 0 if share else self._clean_rounds + 1
        if self._fixed is None:
            self._limit = min(max(self._limit * (1.0 - share / 2.0) + self._growth(), 1.0), _MOST)
            self._wake()

    def _growth(self) -> float:
        if self._slowed:
            return 0.0
        if not self._careful:
            return self._limit
        return min(max(2.0 ** (self._clean_rounds - 2), 1.0), self._limit)
