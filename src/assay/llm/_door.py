"""The way through inspect-ai's model layer: one call, no retries, no cache; what it raises is classified."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from assay.core import AssayError, Message
from assay.llm._faults import Fault, fault_of
from assay.llm._schema import is_strict, read_schema
from assay.llm._values import Ended, Request, TokenChoice

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, StreamEvent

_LOCAL = ("ollama", "llama-cpp-python", "vllm", "sglang", "hf", "transformer_lens", "nnterp")
_ENDED: Mapping[str, Ended] = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "filter",
}
# More than are ever open at once: how many may be is decided by Connections.
_NO_LIMIT = 100_000
_REPEAT, _REJECTED, _SEEDS = 1009, 7919, 2**31 - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply as the server gave it; the tokens are None where it did not count."""

    text: str
    ended: Ended
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    model: str
    logprobs: tuple[TokenChoice, ...]


def is_local(model: str, base_url: str | None) -> bool:
    """Return whether a model runs on this machine by its provider or its address: then it costs nothing."""
    if base_url is None:
        return model.split("/", 1)[0] in _LOCAL
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Door:
    """A chat model of inspect-ai."""

    def __init__(self, name: str, base_url: str | None, *, timeout: float, stream: bool, batch: bool) -> None:
        """Open the model ``name``; raise :class:`AssayError` where it is unknown or its key is missing."""
        self._name, self._batch = name, batch
        self._timeout = None if batch else timeout
        self._stream = stream
        self._model = _open(name, base_url)

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables that the provider reads its key from."""
        return tuple(self._model.api.api_key_vars)

    async def close(self) -> None:
        """Close the connections."""
        await self._model.api.aclose()

    async def ask(self, request: Request, rejected: int) -> Answer | Fault:
        """Make one call; ``rejected`` replies to the same request were no use before."""
        # The SDKs retry by themselves, out of sight of budget and limits; some clients are made late.
        client = getattr(self._model.api, "client", None)
        if client is not None and hasattr(client, "max_retries"):
            client.max_retries = 0
        began = time.monotonic()
        config = self._config(request, rejected)
        messages = [_message(one) for one in request.messages]
        try:
            async with AsyncExitStack() as stack:
                if self._timeout is not None:
                    await stack.enter_async_context(asyncio.timeout(self._timeout))
                output = await self._model.generate(
                    messages, config=config, cache=False, on_stream=_ignore if self._stream else None
                )
        except TimeoutError:
            return Fault("transient", f"no reply within {self._timeout:g} s", paid=True, crowded=True)
        except Exception as error:
            return fault_of(error, self._model.api.api_key)
        return _answer(output, time.monotonic() - began, streamed=self._stream)

    def _config(self, request: Request, rejected: int) -> GenerateConfig:
        from inspect_ai.model import GenerateConfig

        asked = request.sampling
        seed = asked.seed
        if seed is not None:
            seed = (seed + _REPEAT * request.repeat + _REJECTED * rejected) % _SEEDS
        # Newer models of Anthropic take temperature or top_p, not both.
        top_p = None if asked.top_p == 1.0 and self._name.startswith("anthropic/") else asked.top_p
        # transformers refuses a temperature of 0; the likeliest token alone is the same.
        greedy = asked.temperature == 0.0 and self._name.startswith("hf/")
        return GenerateConfig(
            max_retries=0,
            max_connections=_NO_LIMIT,
            adaptive_connections=False,
            temperature=None if greedy else asked.temperature,
            top_k=1 if greedy else None,
            top_p=top_p,
            max_tokens=asked.max_tokens,
            seed=seed,
            stop_seqs=list(asked.stop) or None,
            logprobs=True if asked.top_logprobs else None,
            top_logprobs=asked.top_logprobs or None,
            response_schema=_response_schema(request.schema),
            # Writing to a provider's cache costs more than the price of a prompt.
            cache_prompt=False,
            batch=True if self._batch else None,
        )


async def _ignore(event: StreamEvent) -> None:
    """Take no notice: that a handler is given makes inspect-ai stream."""


def _open(name: str, base_url: str | None) -> Model:
    if find_spec("inspect_ai") is None:
        raise AssayError("inspect-ai is not installed", value=name, hint='pip install "instruct-assay[llm]"')
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    hook = sys.excepthook
    try:
        try:
            return get_model(name, base_url=base_url, memoize=False)
        except PrerequisiteError:
            if not is_local(name, base_url):
                raise
            # A server on this machine that asks for no key.
            return get_model(name, base_url=base_url, memoize=False, api_key="none")
    except PrerequisiteError as error:
        raise _not_ready(name, str(error)) from None
    except (ValueError, ModuleNotFoundError, ImportError) as error:
        raise AssayError(
            f"cannot open this chat model: {error}",
            place="model",
            value=name,
            expected="a model name as inspect-ai spells it",
            hint="openai/…, anthropic/…, openai-api/<service>/<model> with base_url, ollama/…, vllm/…, hf/…",
        ) from None
    finally:
        # inspect-ai puts its own in place, which is not ours to change.
        sys.excepthook = hook


def _not_ready(name: str, said: str) -> AssayError:
    plain = " ".join(re.sub(r"\[/?[a-z ]+\]", "", said).split())
    variables = re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", plain)
    if not variables:
        return AssayError(plain, place="model", value=name)
    return key_error(name, variables, "the chat model's key is not in the environment")


def key_error(name: str, variables: list[str] | tuple[str, ...], problem: str) -> AssayError:
    """Return the error for a missing or wrong key: it names the variable, never its value."""
    expected = " or ".join(variables) or "the provider's key"
    hint = f"export {variables[0]}=…" if variables else None
    return AssayError(
        problem, place="model", value=name, expected=f"{expected} in the environment", hint=hint
    )


def _message(message: Message) -> ChatMessage:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    if message.role == "system":
        return ChatMessageSystem(content=message.content)
    if message.role == "assistant":
        return ChatMessageAssistant(content=message.content)
    return ChatMessageUser(content=message.content)


def _response_schema(schema: str | None) -> Any:
    if schema is None:
        return None
    from inspect_ai.model import ResponseSchema
    from inspect_ai.util import JSONSchema

    parsed = read_schema(schema)
    strict = True if is_strict(parsed) else None
    return ResponseSchema(name="reply", json_schema=JSONSchema.model_validate(parsed), strict=strict)


def _answer(output: ModelOutput, seconds: float, *, streamed: bool) -> Answer | Fault:
    usage = output.usage
    if not output.choices:
        return Fault("transient", output.error or "the reply holds no choice", paid=True)
    choice = output.choices[0]
    ended = _ENDED.get(choice.stop_reason, "unknown")
    text = _whole(output.completion)
    if usage is None and choice.stop_reason in ("content_filter", "model_length"):
        # inspect-ai words an error 400 of this kind as a reply.
        return Fault("refused", text[:300] or choice.stop_reason)
    if streamed and ended == "unknown":
        return Fault("transient", "the stream broke off", paid=True)
    tokens_in = tokens_out = None
    if usage is not None and usage.total_tokens:
        read, written = usage.input_tokens_cache_read or 0, usage.input_tokens_cache_write or 0
        tokens_in, tokens_out = usage.input_tokens + read + written, usage.output_tokens
    return Answer(text, ended, tokens_in, tokens_out, seconds, output.model, _logprobs(choice.logprobs))


def _logprobs(logprobs: Any) -> tuple[TokenChoice, ...]:
    if logprobs is None:
        return ()
    return tuple(
        TokenChoice(
            _whole(one.token),
            one.logprob,
            tuple((_whole(other.token), other.logprob) for other in one.top_logprobs or ()),
        )
        for one in logprobs.content
    )


def _whole(text: str) -> str:
    """Return text that has a UTF-8 form: half a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def size_of(request: Request) -> int:
    """Return the most tokens that a prompt can have.

    A tokenizer that falls back on bytes never makes more tokens than there are bytes; to these come
    the marks of the chat template (16 a message) and a default system prompt (64).
    """
    texts = [one.content for one in request.messages]
    held = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    schema = 0 if request.schema is None else len(json.dumps(json.loads(request.schema), indent=1).encode())
    return held + 16 * len(texts) + 64 + schema
