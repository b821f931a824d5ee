"""What fine-tuning costs: the loss on plain text along a ladder, beside what the evaluation set gains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rise:
    """How much the loss on a text rose from the untrained model to ``n_train`` samples; nats per token.

    Positive is worse.  ``low`` and ``high`` hold it with probability 0.9: the errors of the text's parts,
    paired (each part is its own baseline), and of runs.  ``p_within`` is the probability that it is at most
    ``question.largest_loss``; None where none was given.
    """

    text: str
    arm: str
    n_train: int
    rise: float
    low: float
    high: float
    seeds: int
    parts: int
    p_within: float | None = None
