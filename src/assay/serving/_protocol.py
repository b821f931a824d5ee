"""OpenAI's chat protocol: what a request may ask, and the shape of replies, chunks and errors.

https://platform.openai.com/docs/api-reference/chat; what would change an answer and is not done here is
refused, never ignored.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from assay.core import Message
from assay.serving._models import BusyError, NotServedError

if TYPE_CHECKING:
    from assay.model import Odds

MOST_ODDS = 20
"""Likeliest tokens that a request may ask for in the place of each, as OpenAI has it."""
_NOT_DONE = (
    "tools", "tool_choice", "functions", "function_call", "logit_bias",
    "response_format", "presence_penalty", "frequency_penalty", "audio", "modalities", "prediction",
)  # fmt: skip
_HARMLESS = frozenset((
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
    "parallel_tool_calls", "verbosity", "reasoning_effort",
))  # fmt: skip
"""Options that clients send and that change no answer here."""
_NOTHING: tuple[Any, ...] = (None, False, 0, [], {}, "none", ["text"], {"type": "text"})


def _text(content: Any) -> Any:
    """Return the text of a content given in parts; leave anything else to be refused by its type."""
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        return "".join(str(part.get("text", "")) for part in content)
    return content


class Turn(BaseModel):
    """One message of a request."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[StrictStr, BeforeValidator(_text)]


class StreamOptions(BaseModel):
    """Whether the stream ends with a chunk of usage."""

    include_usage: StrictBool = False


class ChatRequest(BaseModel):
    """A request, with OpenAI's names and defaults.

    ``truncation: auto`` (the name is that of OpenAI's responses) leaves out the oldest turns where the
    context is full; without it a conversation that is too long is refused.
    """

    model: StrictStr
    messages: list[Turn] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stop: StrictStr | Annotated[list[StrictStr], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=MOST_ODDS)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    @property
    def top(self) -> int | None:
        """Return how many likeliest tokens are told in the place of each; None without log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def conversation(self) -> tuple[Message, ...]:
        """Return the turns; a developer is what a system was."""
        return tuple(Message("system" if t.role == "developer" else t.role, t.content) for t in self.messages)

    @property
    def stops(self) -> tuple[str, ...]:
        """Return the texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class RefusedError(Exception):
    """A request that is refused, with the status and code that OpenAI's clients know."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        """Keep the parts."""
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    @property
    def body(self) -> dict[str, Any]:
        """Return the error as OpenAI's protocol writes it."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def parse_request(body: Any) -> ChatRequest:
    """Return a request checked; raise :class:`RefusedError` for what is wrong or not done here."""
    if not isinstance(body, dict):
        raise RefusedError(400, "the body is not a JSON object")
    for name in _NOT_DONE:
        if body.get(name) not in _NOTHING:
            raise RefusedError(400, f"{name} is not supported here", code="unsupported_parameter", param=name)
    known = {*ChatRequest.model_fields, *_NOT_DONE, *_HARMLESS}
    for name in body:
        if name not in known and body[name] not in _NOTHING:
            raise RefusedError(400, f"{name} is not known here", code="unsupported_parameter", param=name)
    try:
        return ChatRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top_logprobs"
        raise RefusedError(400, f"{place}: {first['msg']}", code="invalid_value", param=place) from None


def refusal(error: Exception) -> RefusedError:
    """Return what a client is told of a model that cannot answer."""
    from assay.model import TooLongError

    if isinstance(error, BusyError):
        return RefusedError(429, "too many questions wait for this model", code="rate_limit_exceeded")
    message = " ".join(str(error).split())
    if isinstance(error, NotServedError):
        return RefusedError(404, message, code="model_not_found", param="model")
    code = "context_length_exceeded" if isinstance(error, TooLongError) else None
    return RefusedError(400, message, code=code, param="messages")


class Shapes:
    """Replies and chunks to one request, under one id."""

    def __init__(self, model: str) -> None:
        """Take an id of its own."""
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}

    def reply(
        self, text: str, ended: str, usage: Mapping[str, int], dropped: int, odds: Sequence[Odds] | None
    ) -> dict[str, Any]:
        """Return a whole reply; ``dropped`` turns that were left out of the question are told beside it."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ended}
        return {
            **self._head, "object": "chat.completion", "choices": [{**choice, "logprobs": logprobs(odds)}],
            "usage": usage, "dropped_turns": dropped,
        }  # fmt: skip

    def chunk(
        self, delta: Mapping[str, str], ended: str | None = None, odds: Sequence[Odds] | None = None,
        **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Return one chunk of a streamed reply."""
        choice = {"index": 0, "delta": delta, "finish_reason": ended, "logprobs": logprobs(odds)}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **more}

    def last(self, usage: Mapping[str, int]) -> dict[str, Any]:
        """Return the chunk that says what was used."""
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def logprobs(odds: Sequence[Odds] | None) -> dict[str, Any] | None:
    """Return the odds of tokens as OpenAI writes them; None where nobody asked."""
    return None if odds is None else {"content": [_token(one) for one in odds], "refusal": None}


def _token(found: Odds) -> dict[str, Any]:
    return _spelled(found) | {"top_logprobs": [_spelled(one) for one in found.top]}


def _spelled(found: Odds) -> dict[str, Any]:
    raw = None if found.bytes is None else list(found.bytes)
    return {"token": found.text, "logprob": found.logprob, "bytes": raw}


def usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    """Return the count of tokens as OpenAI names it."""
    return {
        "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out
    }  # fmt: skip
