"""Connections that begin a request and do not end it are closed, and logged in one line."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_SECONDS = 30.0
"""So long a request may stay without another byte."""

_LOG = logging.getLogger("uvicorn.error")


class PatientProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, with an end for half requests."""

    patience = PATIENCE_SECONDS

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        super().connection_made(transport)
        self._heard, self._any = self.loop.time(), False
        self._watch: asyncio.TimerHandle | None = self.loop.call_later(self.patience, self._look)

    def data_received(self, data: bytes) -> None:
        """Note that the other side still speaks."""
        self._heard, self._any = self.loop.time(), True
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close the connection where the other side owes the rest of a request for too long."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        silent = self.loop.time() - self._heard
        if self._owed() and silent >= self.patience:
            # A browser opens connections ahead of need: they are closed without a word.
            if self._any:
                client = ":".join(str(part) for part in (self.client or ("unknown",)))
                _LOG.warning(
                    "closed a half-open connection from %s after %.0f s without a byte", client, silent
                )
            self.transport.close()
            return
        wait = self.patience - silent if self._owed() else self.patience
        self._watch = self.loop.call_later(max(wait, 0.01), self._look)

    def _owed(self) -> bool:
        """Tell whether a request has begun, or none came yet, and its end is not there."""
        return self.conn.their_state is h11.SEND_BODY or (
            self.conn.their_state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
        )
