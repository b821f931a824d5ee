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
        A chat model by its name in inspect-ai: `openai/…`, `anthropic/…`, `ollama/…`, `vllm/…`, `hf/…`, or
        `openai-api/<service>/<model>` with `--base-url` for any server that speaks OpenAI's protocol.
    base_url
        Address of the server.
    revision
        Tells models of one name apart; part of every key.
    budget
        Hard cap: "20 USD", "2M tokens", or both with "and".
    prices
        A price list of your own (TOML).
    connections
        Calls at once; adapts to the server's limits by default.
    attempts
        How often a call that failed is made, the first time included.
    timeout
        Seconds for one reply.
    stream
        Ask for streamed replies.
    batch
        Use the provider's batch interface.
    temperature
        Of the replies, where not what the job takes.
    top_p
        Draw from the likeliest tokens that make up this share.
    max_tokens
        Longest reply.
    seed
        Sent to the server, where it takes one.
    calls
        Folder where replies are kept, so that nothing is paid twice.
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
