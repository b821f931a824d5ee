"""Addresses of OpenAI's protocol: models, and answers whole or streamed."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from assay.core import AssayError
from assay.serving._door import Door
from assay.serving._models import Answering, BusyError, Models, NotServedError
from assay.serving._protocol import ChatRequest, RefusedError, Shapes, parse_request, refusal, usage
from assay.serving._values import Library

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from assay.model import Decoding

LONGEST = 1024
"""Tokens of an answer where the request does not say."""


def openai_routes(library: Library, models: Models, door: Door) -> APIRouter:
    """Return the addresses under ``/v1``."""
    router = APIRouter(prefix="/v1")

    def enter(request: Request) -> None:
        """Let in programs with the token, and pages that are logged in."""
        if door.bearer(request.headers):
            return
        if not door.page(request.cookies):
            raise RefusedError(401, "the token is missing or wrong", code="invalid_api_key")
        if request.method != "GET" and not door.own(request.headers.get("x-csrf-token", "")):
            raise RefusedError(403, "the request does not come from this server's own page")

    def served() -> dict[str, None]:
        names = [*library.given, *(name for row in library.studies("en") for name in row.models)]
        return dict.fromkeys(names)

    @router.get("/models")
    def list_models(request: Request) -> Response:
        enter(request)
        return JSONResponse({"object": "list", "data": [_model(name) for name in served()]})

    @router.get("/models/{name:path}")
    def one_model(request: Request, name: str) -> Response:
        enter(request)
        if name not in served():
            raise RefusedError(404, f"no such model here: {name}", code="model_not_found", param="model")
        return JSONResponse(_model(name))

    @router.post("/chat/completions")
    async def complete(request: Request) -> Response:
        enter(request)
        try:
            asked = parse_request(await request.json())
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is not JSON ({type(error).__name__})") from None
        stack = AsyncExitStack()
        try:
            answering = await stack.enter_async_context(_answer(models, asked))
        except (AssayError, BusyError, NotServedError) as error:
            raise refusal(error) from None
        if asked.stream:
            return _Events(_events(asked, answering), stack)
        async with stack:
            return JSONResponse(await _whole(request, asked, answering))

    return router


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "assay"}


def _answer(models: Models, asked: ChatRequest) -> Any:
    return models.answer(
        asked.model, asked.conversation, _decoding(asked), asked.stops, drop=asked.truncation == "auto",
        top=asked.top,
    )  # fmt: skip


def _decoding(asked: ChatRequest) -> Decoding:
    from assay.model import Decoding

    seed = secrets.randbits(63) if asked.seed is None else asked.seed % 2**63
    return Decoding(
        asked.max_completion_tokens or asked.max_tokens or LONGEST,
        1.0 if asked.temperature is None else asked.temperature,
        1.0 if asked.top_p is None else asked.top_p,
        seed,
    )


async def _whole(request: Request, asked: ChatRequest, answering: Answering) -> dict[str, Any]:
    """Return the reply, or as much of it as there was when the client went away."""
    text, tokens, ended, odds = "", 0, "stop", list[Any]()
    async for piece in answering.pieces:
        text, tokens, ended = text + piece.text, piece.tokens, piece.ended or ended
        odds += piece.odds
        if await request.is_disconnected():
            break
    used = usage(answering.tokens, tokens)
    return Shapes(asked.model).reply(
        text, ended, used, answering.dropped, None if asked.top is None else odds
    )


class _Events(StreamingResponse):
    """A stream of events that lets go of its model however it ends, even before it began."""

    def __init__(self, events: AsyncIterator[str], held: AsyncExitStack) -> None:
        """Send ``events`` and close ``held``."""
        super().__init__(events, media_type="text/event-stream")
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until its end, or until the client goes away."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._held.aclose()


async def _events(asked: ChatRequest, answering: Answering) -> AsyncIterator[str]:
    """Yield the reply as server-sent events."""
    shapes, tokens = Shapes(asked.model), 0
    yield _event(shapes.chunk({"role": "assistant", "content": ""}, dropped_turns=answering.dropped))
    try:
        async for piece in answering.pieces:
            tokens = piece.tokens
            if piece.text or piece.odds:
                odds = None if asked.top is None else piece.odds
                yield _event(shapes.chunk({"content": piece.text}, odds=odds))
            if piece.ended:
                yield _event(shapes.chunk({}, piece.ended))
    except Exception as error:  # the status has been sent: the stream itself must say it
        yield _event(RefusedError(500, f"{type(error).__name__}: {error}").body)
        return
    if asked.stream_options is not None and asked.stream_options.include_usage:
        yield _event(shapes.last(usage(answering.tokens, tokens)))
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    # Ends of lines inside are escaped by JSON; U+2028 is no end of line in an event stream.
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode("utf-8", "replace").decode()
