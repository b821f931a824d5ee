"""Names of metrics as trainers and trackers write them, and the last value of each in a run's history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from assay.core import DIRECTIONS, Say, say
from assay.results._values import Measure

_PREFIX = re.compile(r"(eval|val|valid|validation|test|dev|predict)[/_.](.+)", re.IGNORECASE)
_BOOKS = re.compile(
    r"(train(ing)?[/_.].*|.*(runtime|per_second|num_tokens|num_input_tokens_seen|total_flos|grad_norm|epoch"
    r"|global_step|max_steps|_timestamp|_step|_runtime|lr|learning_rate|preparation_time))",
    re.IGNORECASE,
)
"""Numbers that are kept of a training and measure nothing of the model on data apart."""
_SECOND = ("mean_token_accuracy", "entropy")
"""What TRL writes beside the loss: of the training's own tokens, not of answers."""


def direction(metric: str) -> bool | None:
    """Say whether more is better of a metric's name without its filter or dashes, or None."""
    plain = metric.lower().split(",")[0].replace("-", "")
    if plain in DIRECTIONS:
        return DIRECTIONS[plain]
    return {"acc_norm": True, "acc_bytes": True, "bleu4": True, "rougelsum": True, "word_perplexity": False,
            "byte_perplexity": False}.get(plain)  # fmt: skip


def split_name(key: str) -> tuple[str, str, bool] | None:
    """Return (task, metric, whether it is a first one) of a tracker's key; None for bookkeeping.

    ``eval_law_loss`` is the loss on a set called law; a bare ``loss`` is that of training.
    """
    found = _PREFIX.fullmatch(key)
    if _BOOKS.fullmatch(key) or (found is None and key.lower() in ("loss", "entropy", *_SECOND)):
        return None
    rest = key if found is None else found[2]
    if rest.lower() in _SECOND:
        return "", rest.lower(), False
    set_of = "" if found is None or found[1].lower() == "eval" else found[1].lower()
    # A tracker's own key is a metric by its whole name or behind a slash: mean_loss may be of anything.
    parts = re.split(r"[/_.]" if found is not None else "/", rest)
    for start in range(len(parts)):
        metric = "_".join(parts[start:])
        if direction(metric) is not None:
            task = rest[: len(rest) - len(metric)].strip("/_.")
            return "/".join(part for part in (set_of, task) if part), metric, True
    return ("", rest, True) if found is not None else None


def measured(values: Mapping[str, float]) -> tuple[Measure, ...]:
    """Return the measures among named numbers; what is not finite is one too, for its run diverged."""
    found = []
    for key, value in values.items():
        name = split_name(key)
        if name is not None and isinstance(value, int | float):
            task, metric, first = name
            found.append(Measure(task, metric, float(value), direction(metric), first=first))
    return tuple(found)


def last_values(
    history: Iterable[tuple[int, Mapping[str, float]]],
) -> tuple[dict[str, float], tuple[Say, ...]]:
    """Return the last value of every key of (step, values), and what is to be said of it.

    Values from before the end are of a schedule that had not ended: where a metric was last measured then,
    a note says so.
    """
    last: dict[str, tuple[int, float]] = {}
    end = 0
    for step, values in history:
        end = max(end, step)
        last |= {
            key: (step, value) for key, value in values.items() if key not in last or step >= last[key][0]
        }
    early = {step for key, (step, _) in last.items() if split_name(key) is not None and step < end}
    notes = tuple(say("import.note.early", step=step, end=end) for step in sorted(early)[:1])
    return {key: value for key, (_, value) in last.items()}, notes
