"""How many calls at once: grown while the server keeps up, cut by the share it turns away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_START = 8
_MOST = 256
_CROWDED = 0.5


class Connections:
    """Slots for calls in flight.

    A round is as many replies as there are slots.  Until the first 429 each round doubles the slots; after
    it, one slot more a round and a cut by half the share of the round that was turned away (the rule of Data
    Center TCP, Alizadeh et al. 2010).  So a few stray 429 cost little, and a limit of the server is held from
    slightly above, where none of it is left unused.  Where half a round and more is turned away, nothing is
    sent until the server's Retry-After has passed.  All methods run on the loop of the calls.
    """

    def __init__(self, fixed: int | None) -> None:
        """Keep to ``fixed`` slots, or, where that is None, adapt between 1 and 256."""
        self._fixed = fixed
        self._limit = float(fixed or _START)
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answered, self._turned_away = 0, 0
        self._careful = False
        self._closed_until = 0.0

    @property
    def limit(self) -> int:
        """Slots at the moment."""
        return int(self._limit)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        await self._enter()
        try:
            yield
        finally:
            self._active -= 1
            self._wake()

    async def _enter(self) -> None:
        while self._active >= self.limit:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._waiting = deque(one for one in self._waiting if one is not turn)
                self._wake()
                raise
        self._active += 1
        while (left := self._closed_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)

    def _wake(self) -> None:
        free = self.limit - self._active
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    def answered(self) -> None:
        """Count a reply, or an error that says nothing about the rate."""
        self._answered += 1
        if not self._careful and self._fixed is None:
            self._limit = min(self._limit + 1.0, _MOST)
            self._wake()
        self._end_round(None)

    def turned_away(self, retry_after: float | None) -> None:
        """Count a 429, with the seconds that the server asks to wait."""
        self._turned_away += 1
        self._careful = True
        self._end_round(retry_after)

    def _end_round(self, retry_after: float | None) -> None:
        total = self._answered + self._turned_away
        if total < self.limit:
            return
        share = self._turned_away / total
        self._answered, self._turned_away = 0, 0
        if share >= _CROWDED and retry_after:
            self._closed_until = asyncio.get_running_loop().time() + retry_after
        if self._fixed is None and self._careful:
            self._limit = min(max(self._limit * (1.0 - share / 2.0) + 1.0, 1.0), _MOST)
            self._wake()
