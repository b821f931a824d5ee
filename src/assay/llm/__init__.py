"""The one door to chat models: replies kept by request, hard budgets, faults that lose nothing."""

from assay.llm._values import (
    Advance,
    Budget,
    Estimate,
    Failure,
    Reply,
    Request,
    Sampling,
    Spent,
    TokenChoice,
    parse_budget,
)

__all__ = [
    "Advance",
    "Budget",
    "Estimate",
    "Failure",
    "Reply",
    "Request",
    "Sampling",
    "Spent",
    "TokenChoice",
    "parse_budget",
]
