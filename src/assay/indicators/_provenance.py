"""What a rule was fitted with, against what it is applied with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay import model
from assay.core import AssayError, Sample, Say, digest, say
from assay.indicators._indicator import Indicator
from assay.indicators._ratings import RATED_BY, prompts_digest
from assay.indicators._tools import CRITICS, Tools

_TOKENIZED = frozenset({"tokens_in", "tokens_out", "mtld_tokens"})
"""Indicators of a base that ask its tokenizer alone."""
_SHOWN = 12


_OTHER, _OUTSIDE = APPLIED = ("note.rule.model", "note.rule.outside")
"""Keys of the notes on how a rule was applied: with other models, outside what it was fitted on."""


@dataclass(frozen=True, slots=True)
class ModelId:
    """A model, template or set of samples by name; ``digest`` of what decides values, "" where unknown."""

    name: str
    digest: str = ""

    def __str__(self) -> str:
        """Return the name, with the beginning of the digest."""
        return f"{self.name} ({self.digest[:_SHOWN]})" if self.digest else self.name

    def same(self, other: ModelId) -> bool:
        """Whether both are one: by digest where both have one, else by the last part of their names."""
        if self.digest and other.digest:
            return self.digest == other.digest
        first, second = (CRITICS.get(one.name, one.name).rsplit("/", 1)[-1] for one in (self, other))
        return first == second


@dataclass(frozen=True, slots=True)
class Range:
    """Least and greatest value of an indicator over the samples of a fit, and over its subsets' means."""

    samples: tuple[float, float]
    subsets: tuple[float, float]


def models_used(parts: Sequence[Indicator], tools: Tools) -> dict[str, ModelId]:
    """Return by setting what the values of indicators depend on beside the samples measured.

    ``tokenizer`` and not ``base`` where only tokens are counted.  Raises :class:`AssayError` for a model that
    is needed and not there.
    """
    needs = {need for part in parts for need in part.needs}
    found: dict[str, ModelId] = {}
    if any("base" in part.needs and part.name not in _TOKENIZED for part in parts):
        found["base"] = _base(tools.base.folder)
        text = model.chat_template(tools.base.tokenizer)
        found["template"] = ModelId(tools.models.template, digest(text))
    if "base" in needs:
        folder = tools.base.folder
        found["tokenizer"] = ModelId(_base(folder).name, model.tokenizer_digest(folder))
    if "second" in needs:
        found["second"] = _base(tools.second.folder)
    if "embedder" in needs:
        name = tools.models.embedder
        found["embedder"] = ModelId(_short(name), model.embedder_id(name))
    if any(part.name.startswith("knn") for part in parts):
        found["neighbour"] = ModelId(str(tools.models.neighbour))
    for need in ("reward", "dialog"):
        if need in needs:
            folder = tools.critic(need)
            found[need] = ModelId(_name(folder), model.critic_digest(folder))
    if "rater" in needs:
        found["rater"] = _rater(parts, tools)
    if "target" in needs:
        found["target"] = _of_samples(tools.target("of the rule"))
    if "reference" in needs:
        found["reference"] = _of_samples(tools.reference())
    return found


def _rater(parts: Sequence[Indicator], tools: Tools) -> ModelId:
    """Return the chat model by name, with the digest of name and prompts: its weights cannot be seen."""
    questions = {q for part in parts for q in RATED_BY.get(part.name, ())}
    name = tools.rater.identity
    return ModelId(name, digest([name, prompts_digest(questions)]))


def _of_samples(samples: Sequence[Sample]) -> ModelId:
    return ModelId(f"{len(samples):,} samples", digest([s.id for s in samples]))


def _base(folder: Path) -> ModelId:
    return ModelId(_name(folder), model.base_digest(folder))


def _name(folder: Path) -> str:
    return model.base_name(folder) or folder.name


def _short(name: str) -> str:
    return Path(name).name if Path(name).expanduser().is_dir() else name


def other_models(
    rule: str, fitted: Mapping[str, ModelId], used: Mapping[str, ModelId], *, forced: bool
) -> tuple[Say, ...]:
    """Return what is to be said of a rule's application with models that are not its own.

    Raises :class:`AssayError` where there are such models and nobody insists (``forced``).
    """
    others = {name: one for name, one in used.items() if name in fitted and not fitted[name].same(one)}
    if others and not forced:
        raise AssayError(
            f"the rule {rule} was fitted with other models",
            place=", ".join(others),
            value=", ".join(map(str, others.values())),
            expected=", ".join(f"{name} {fitted[name]}" for name in others),
            hint="give the rule's own models; --other-models applies it all the same, and the result says so",
        )
    return tuple(
        say(_OTHER, rule=rule, what=name, used=str(one), fitted=str(fitted[name]))
        for name, one in others.items()
    )


class Outside:
    """Counts the samples that lie outside what a rule was fitted on."""

    def __init__(self, rule: str, ranges: Mapping[str, Range]) -> None:
        """Count nothing yet."""
        self.rule, self.ranges = rule, ranges
        self.samples = self.outside = 0
        self.by_name: Counter[str] = Counter()

    def see(self, values: Mapping[str, float]) -> None:
        """Look at the indicators of one sample."""
        ends = {name: self.ranges[name].samples for name in values if name in self.ranges}
        beyond = [name for name, (low, high) in ends.items() if not low <= values[name] <= high]
        self.samples += 1
        self.outside += bool(beyond)
        self.by_name.update(beyond)

    def notes(self) -> tuple[Say, ...]:
        """Return how many there were, and of which indicators; nothing where none was."""
        if not self.outside:
            return ()
        counts, n = dict(self.by_name.most_common()), self.outside
        return (say(_OUTSIDE, rule=self.rule, n=n, of=self.samples, counts=counts),)
