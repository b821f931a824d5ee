"""A chat model as a study file names it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from assay.llm._chat import Chat
from assay.llm._values import Budget, Request, Sampling, parse_budget


@dataclass(frozen=True, slots=True)
class ChatConfig:
    """A chat model and how it is to be used.

    ``budget`` is text (:func:`parse_budget`); ``temperature``, ``top_p``, ``max_tokens`` and ``seed``, where
    given, override what the asker would take (:meth:`sampling`).  ``model``, ``revision`` and these are
    identity; the rest is how it is executed.
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


def open_chat(config: ChatConfig, *, calls: Path = Path(".assay/calls"), run: str | None = None) -> Chat:
    """Open the model of a config; see :class:`Chat` for ``calls``, ``run`` and the errors."""
    return Chat(
        config.model,
        base_url=config.base_url,
        calls=calls,
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
