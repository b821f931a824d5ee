"""The one door to chat models: replies kept by request, hard budgets, faults that lose nothing."""

from assay.llm._chat import Chat
from assay.llm._config import ChatConfig, open_chat
from assay.llm._door import is_local
from assay.llm._prices import Price, find_price
from assay.llm._tinker import Asked, Course, Tinker
from assay.llm._tune import (
    TuneConfig,
    Tuned,
    Tuner,
    check_tuning,
    is_hosted,
    is_tinker,
    training_most,
    training_price,
    tuned_name,
)
from assay.llm._values import (
    Advance,
    Budget,
    Estimate,
    Failure,
    Limit,
    Reply,
    Request,
    Sampling,
    Spent,
    TokenChoice,
    limited,
    parse_budget,
)

__all__ = [
    "Advance",
    "Asked",
    "Budget",
    "Chat",
    "ChatConfig",
    "Course",
    "Estimate",
    "Failure",
    "Limit",
    "Price",
    "Reply",
    "Request",
    "Sampling",
    "Spent",
    "Tinker",
    "TokenChoice",
    "TuneConfig",
    "Tuned",
    "Tuner",
    "check_tuning",
    "find_price",
    "is_hosted",
    "is_local",
    "is_tinker",
    "limited",
    "open_chat",
    "parse_budget",
    "training_most",
    "training_price",
    "tuned_name",
]
