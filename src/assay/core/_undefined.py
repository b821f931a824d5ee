"""No value, with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Undefined:
    """There is no value for a sample or an answer, and why; never -1, never 0."""

    reason: str
