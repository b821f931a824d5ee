"""How a chat model is reached: options that verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from assay.llm import ChatConfig

Flat = Parameter(name="*")


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """How a chat model is reached, and what it may cost.

    Parameters
    ----------
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
    timeout
        Seconds for one reply.
    stream
        Ask for streamed replies.
    batch
        Use the provider's batch interface.
    calls
        Folder where replies are kept, so that nothing is paid twice.
    """

    base_url: str | None = None
    revision: str = ""
    budget: str | None = None
    prices: Path | None = None
    connections: int | None = None
    timeout: float = 120.0
    stream: bool = False
    batch: bool = False
    calls: Path = Path(".assay/calls")

    def reach(self, model: str, **overrides: Any) -> ChatConfig:
        """Return how to reach ``model``; ``overrides`` are its sampling."""
        from assay.llm import ChatConfig

        return ChatConfig(
            model, self.base_url, self.revision, self.budget, self.prices, self.connections,
            timeout=self.timeout, stream=self.stream, batch=self.batch, **overrides,
        )  # fmt: skip
