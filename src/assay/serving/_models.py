"""The models that are talked to: opened at first use, a few kept, each answering one question at a time."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.core import AssayError, Message

if TYPE_CHECKING:
    from assay.model import ChatModel, Decoding, Piece

KEPT = 2
"""Models kept in memory: two are compared side by side."""
QUEUE = 64
"""Questions that may wait for one model: programs ask as many at once as they may."""

Opener = Callable[[str], "ChatModel"]


class BusyError(Exception):
    """Too many questions wait for a model."""


class NotServedError(Exception):
    """A model that cannot be had."""


def printable(text: str) -> str:
    """Return text without control characters, with which a model could steer a terminal or a page."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


@dataclass
class _Seat:
    """One name's model, its lock, and how many wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    model: ChatModel | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer under way: tokens of the question, old turns left out of it, and the pieces to come."""

    tokens: int
    dropped: int
    pieces: AsyncIterator[Piece]


class Models:
    """Models by name for a server: one question at a time each, up to ``queue`` others wait in order."""

    def __init__(self, opener: Opener, queue: int = QUEUE) -> None:
        """Open models by ``opener``, in a thread."""
        self._open, self._queue = opener, queue
        self._seats: dict[str, _Seat] = {}
        # Models load one after another: libraries that import their parts on demand do not like two at once.
        self._loading = asyncio.Lock()

    @asynccontextmanager
    async def answer(
        self,
        name: str,
        messages: Sequence[Message],
        decoding: Decoding,
        stop: Sequence[str] = (),
        *,
        drop: bool = False,
        top: int | None = None,
    ) -> AsyncIterator[Answering]:
        """Hold a model for one answer; leaving the block early stops it.

        With ``top`` the pieces hold the odds of their tokens, and of as many others in the place of each.

        Raises :class:`BusyError` where too many wait, :class:`NotServedError` where the model cannot be had,
        and :class:`AssayError` where the model cannot take the conversation.
        """
        from anyio import to_thread

        async with self._held(name) as model:
            prompt = await to_thread.run_sync(
                lambda: model.prompt(messages, decoding.max_new_tokens, drop=drop)
            )
            stream = model.stream(prompt, decoding, stop, top=top)
            try:
                yield Answering(len(prompt.ids), prompt.dropped, _in_threads(stream))
            finally:
                stream.close()

    async def warm(self, names: Sequence[str]) -> None:
        """Load the first models ahead of their first question, and let each write a token.

        Libraries prepare themselves at first use.  What is wrong with a model is told who asks it.
        """
        from anyio import to_thread

        for name in names[:KEPT]:
            once = await to_thread.run_sync(_one_token)
            with suppress(AssayError, BusyError, NotServedError):
                async with self.answer(name, (Message("user", "?"),), once) as answering:
                    async for _ in answering.pieces:
                        pass

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[ChatModel]:
        seat = self._seats.setdefault(name, _Seat())
        if seat.waiting > self._queue:
            raise BusyError
        seat.waiting += 1
        try:
            async with seat.lock:
                self._seats[name] = self._seats.pop(name, seat)  # the most recently used is last
                if seat.model is None:
                    seat.model = await self._load(name)
                yield seat.model
        finally:
            seat.waiting -= 1
            if seat.model is None and not seat.waiting:
                self._seats.pop(name, None)

    async def _load(self, name: str) -> ChatModel:
        from anyio import to_thread

        async with self._loading:
            self._make_room()
            try:
                return await to_thread.run_sync(self._open, name)
            except AssayError as error:
                raise NotServedError(str(error)) from error

    def _make_room(self) -> None:
        """Let go of models that nobody waits for, the least recently used first."""
        loaded = [name for name, seat in self._seats.items() if seat.model is not None]
        idle = [name for name in loaded if not self._seats[name].waiting]
        for name in idle[: max(0, len(loaded) - KEPT + 1)]:
            del self._seats[name]


def _one_token() -> Decoding:
    from assay.model import Decoding  # brings torch

    return Decoding(1)


async def _in_threads(pieces: Iterator[Piece]) -> AsyncIterator[Piece]:
    """Yield pieces, each made in a thread; a thread under way is always waited for."""
    from anyio import to_thread

    while (piece := await to_thread.run_sync(next, pieces, None)) is not None:
        yield piece


def unknown_model(name: str, known: Sequence[str]) -> AssayError:
    """Return the error for a model that is not served."""
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return AssayError(
        "no such model here", place="model", value=name, expected="one of /v1/models",
        hint=f"did you mean `{near[0]}`?" if near else None,
    )  # fmt: skip
