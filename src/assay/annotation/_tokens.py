"""Tokens of the annotators' seats."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """One random token for each annotator's seat; they live as long as the server."""

    by_seat: Mapping[int, str]

    @classmethod
    def new(cls, seats: int) -> Tokens:
        """Return fresh tokens for seats 1..``seats``."""
        return cls({seat: secrets.token_urlsafe(24) for seat in range(1, seats + 1)})

    def seat(self, token: str) -> int | None:
        """Return the seat of a token, in a time that says nothing of how much of it was right."""
        given = token.encode("utf-8", "replace")
        found = [seat for seat, own in self.by_seat.items() if secrets.compare_digest(own.encode(), given)]
        return found[0] if found else None
