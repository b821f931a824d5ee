"""A chat model as a study file names it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from assay.llm._chat import Chat
from assay.llm._values import Budget, Request, Sampling, parse_budget


@dataclass(frozen=True, slots=True)
class ChatConfig:
    """A chat model, how it is reached and what it may cost.

    ``model``, ``revision`` and what is sampled are part of every key; the rest is how it is executed.

    Parameters
    ----------
    model
        Chat model, by its inspect-ai name: `openai/…`, `anthropic/…`, `ollama/…`, `vllm/…`, `hf/…`, or
        `openai-api/<service>/<model>` with `--base-url` for any server with an OpenAI-compatible API.
    base_url
        URL of the server.
    revision
        Version label that distinguishes models of the same name; part of every cache key.
    budget
        Hard limit on spending: "20 USD", "2M tokens", or both joined by "and".
    prices
        Your own price list (TOML).
    connections
        Concurrent requests; by default adapted to the server's limits.
    attempts
        Maximum number of attempts per request.
    timeout
        Timeout per reply, in seconds.
    stream
        Stream replies.
    batch
        Use the provider's batch interface.
    temperature
        Sampling temperature; by default chosen by the command.
    top_p
        Nucleus sampling: cumulative probability of the tokens to sample from.
    max_tokens
        Maximum length of a reply, in tokens.
    seed
        Seed sent to the server, where supported.
    calls
        Folder that caches replies, so that no request is paid for twice.
    """

    model: str
    base_url: str | None = None
    revision: str = ""
    budget: str | None = None
    prices: Path | None = None
    connections: int | None = None
    attempts: int = 5
    timeout: float = 120.0
    stream: bool = False
    batch: bool = False
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    calls: Path = Path(".assay/calls")

    @property
    def identity(self) -> str:
        """Return the name of the model that is part of every key."""
        return f"{self.model}@{self.revision}" if self.revision else self.model

    def sampling(self, wanted: Sampling) -> Sampling:
        """Return ``wanted`` with this config's overrides."""
        given = {
            name: value
            for name in ("temperature", "top_p", "max_tokens", "seed")
            if (value := getattr(self, name)) is not None
        }
        return replace(wanted, **given)

    def request(self, request: Request) -> Request:
        """Return ``request`` with this config's overrides."""
        return replace(request, sampling=self.sampling(request.sampling))


def open_chat(config: ChatConfig, *, run: str | None = None) -> Chat:
    """Open the model of a config; see :class:`Chat` for ``run`` and the errors."""
    return Chat(
        config.model,
        base_url=config.base_url,
        calls=config.calls,
        budget=Budget() if config.budget is None else parse_budget(config.budget),
        connections=config.connections,
        attempts=config.attempts,
        timeout=config.timeout,
        stream=config.stream,
        prices=config.prices,
        batch=config.batch,
        run=run,
        revision=config.revision,
    )
