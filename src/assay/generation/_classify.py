"""The type of use of a prompt by a small local classifier: shipped, or trained on the user's labels.

Logistic regression on hashed features (:mod:`assay.generation._type_features`), its probabilities calibrated
by a temperature (Guo et al. 2017, arXiv 1706.04599) and measured on prompts that were left out of the fit.
Where it is not sure enough it abstains.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay.core import TASK_TYPES, AssayError, digest
from assay.data import replacing
from assay.generation._type_features import VERSION, by_rules, features
from assay.generation._type_texts import LANGUAGES, TypedText, seed_texts, testbed_texts, wordings

Values: TypeAlias = NDArray[np.float64]

SHIPPED = Path(__file__).parent / "types" / "classifier.safetensors"
LEVELS = (0.0, 0.7, 0.8, 0.9, 0.95)
"""Accuracies among the typed that can be asked for; 0 types everything."""

_FOLDS = 5
_FEWEST = 5
_STRENGTH, _STEPS = 16.0, 200
_OWN_WEIGHT, _OWN_EACH = 0.1, 2


@dataclass(frozen=True, slots=True)
class TypeScore:
    """One type: how many prompts are of it; precision and recall, None where nothing is to be divided by."""

    type: str
    items: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class SureLevel:
    """What abstaining buys: from ``threshold`` on, ``share`` is typed, ``accuracy`` of that rightly.

    ``threshold`` is None where the wanted accuracy is not reached on any part: then nothing is typed.
    """

    sure: float
    threshold: float | None
    share: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class TypeQuality:
    """How well types are told, on prompts left out of the fit or typed by others.

    ``low`` and ``high``: Wilson's 95 % interval of ``accuracy``.  ``macro_f1`` is over the types that occur.
    ``majority``: accuracy of the commonest type; ``rules``: of keyword rules.  ``calibration_error``: mean
    distance of confidence and accuracy over ten equally full bins (ECE), None where there is no confidence.
    """

    how: str
    items: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    majority: float
    rules: float
    calibration_error: float | None
    levels: tuple[SureLevel, ...]
    per_type: tuple[TypeScore, ...]


@dataclass(frozen=True, slots=True)
class Typing:
    """What a classifier says of one prompt: the likeliest type and its probability."""

    type: str
    probability: float


@dataclass(frozen=True, eq=False)
class TypeClassifier:
    """A classifier of prompts.

    ``weights`` [features, types], ``bias`` [types]; ``temperature`` divides the logits; ``languages`` are
    those it has learnt; ``trained_on`` says from what.
    """

    types: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float
    languages: tuple[str, ...]
    trained_on: str
    quality: TypeQuality

    def probabilities(self, texts: Sequence[str]) -> Values:
        """Return the probability of each type [texts, types]."""
        return _softmax((features(texts) @ self.weights + self.bias) / self.temperature)

    def classify(self, texts: Sequence[str]) -> list[Typing]:
        """Return the likeliest type of each text."""
        found = self.probabilities(texts)
        best = found.argmax(axis=1)
        return [Typing(self.types[k], float(p[k])) for k, p in zip(best.tolist(), found, strict=True)]

    def threshold(self, sure: float) -> float:
        """Return the probability from which on types are right with a share of ``sure``; 1.1: never."""
        for level in self.quality.levels:
            if level.sure == sure:
                return 1.1 if level.threshold is None else level.threshold
        raise AssayError(
            "no threshold is known for this classifier", place="--sure", value=sure,
            expected=", ".join(f"{level.sure:g}" for level in self.quality.levels),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the weights (safetensors, half precision) and all else beside them (JSON)."""
        from safetensors.numpy import save

        blob = save({"weights": self.weights.astype(np.float16), "bias": self.bias})
        plain: dict[str, Any] = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("weights", "bias", "quality")
        }
        card = plain | {
            "quality": dataclasses.asdict(self.quality),
            "features": VERSION,
            "weights": hashlib.sha256(blob).hexdigest(),
        }
        text = json.dumps(card, ensure_ascii=False, indent=1) + "\n"
        for place, content in ((path, blob), (path.with_suffix(".json"), text.encode())):
            with replacing(place) as partial:
                partial.write_bytes(content)


@cache
def shipped() -> TypeClassifier:
    """Return the classifier of the package."""
    return load_classifier(SHIPPED)


def load_classifier(path: Path) -> TypeClassifier:
    """Read what :meth:`TypeClassifier.save` wrote; raise :class:`AssayError` where it is not whole."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        blob = path.read_bytes()
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        tensors = load(blob)
        if card["features"] != VERSION or card["weights"] != hashlib.sha256(blob).hexdigest():
            raise AssayError(
                "weights and card do not match, or were written by another version", place=str(path),
                hint="train it again: `assay evalset classify --labels FILE`",
            )  # fmt: skip
        return TypeClassifier(
            types=tuple(card["types"]),
            weights=tensors["weights"].astype(np.float32),
            bias=tensors["bias"].astype(np.float32),
            temperature=card["temperature"],
            languages=tuple(card["languages"]),
            trained_on=card["trained_on"],
            quality=_quality_of(card["quality"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise AssayError(
            f"the classifier cannot be read ({type(error).__name__})", place=str(path),
            expected="a .safetensors file of `assay evalset classify --labels`, its .json beside it",
        ) from None  # fmt: skip


def _quality_of(row: dict[str, Any]) -> TypeQuality:
    levels = tuple(SureLevel(**level) for level in row.pop("levels"))
    per_type = tuple(TypeScore(**score) for score in row.pop("per_type"))
    return TypeQuality(**row, levels=levels, per_type=per_type)


def train_shipped() -> TypeClassifier:
    """Train the shipped classifier on texts of this project; its quality is that on left-out seed tasks."""
    seeds = list(seed_texts())
    own = [*wordings("en"), *wordings("zh"), *testbed_texts()]
    note = (
        f"{len(seeds)} seed tasks, {len(own)} prompts of the project's wordings and testbed, English and "
        "Chinese, all written for this project"
    )
    return _fit(
        [*seeds, *own],
        measured=len(seeds),
        weights=np.array([4.0] * len(seeds) + [1.0] * len(own)),
        languages=LANGUAGES,
        trained_on=note,
        how="seed tasks, each left out of the fit by 5 folds",
        even=True,
    )


def train_on_labels(
    labels: Sequence[TypedText], *, languages: Sequence[str], name: str, own_weight: float = _OWN_WEIGHT
) -> TypeClassifier:
    """Train a classifier on typed prompts, and a little on the project's own texts of their types.

    Each of these weighs ``own_weight``.  Quality is that of a 5-fold cross-validation in which prompts of one
    group stay together.  Types of fewer than 5 prompts are left out.  Raises :class:`AssayError` where fewer
    than two types are left.
    """
    counts = Counter(label.type for label in labels)
    types = sorted(t for t, count in counts.items() if count >= _FEWEST)
    if len(types) < 2:
        raise AssayError(
            "too few labels to train on", place=name, value=dict(counts),
            expected=f"two types or more with {_FEWEST} prompts or more each",
        )  # fmt: skip
    # Sorted by content, so that the order of rows changes nothing.
    usable = sorted(
        (label for label in labels if label.type in types), key=lambda t: digest([t.text, t.type])
    )
    texts = (*seed_texts(), *(text for lang in LANGUAGES for text in wordings(lang, _OWN_EACH)))
    own = [t for t in texts if t.type in types and own_weight > 0]
    rare = {t: n for t, n in sorted(counts.items()) if n < _FEWEST}
    note = f"{len(usable)} labelled prompts of {name}"
    if own:
        note += f", and {len(own)} prompts of the project at a weight of {own_weight:g} each"
    return _fit(
        [*usable, *own],
        measured=len(usable),
        weights=np.array([1.0] * len(usable) + [own_weight] * len(own)),
        languages=languages,
        trained_on=note + (f"; left out as too rare: {rare}" if rare else ""),
        how="labels, each left out of the fit by 5 folds",
        even=False,
    )


def _fit(
    texts: Sequence[TypedText],
    *,
    measured: int,
    weights: Values,
    languages: Sequence[str],
    trained_on: str,
    how: str,
    even: bool,
) -> TypeClassifier:
    """Fit on all texts; quality and calibration are of the first ``measured``, each left out by folds.

    ``even``: types weigh alike; else as often as they occur.
    """
    matrix, types = features([t.text for t in texts]), np.array([t.type for t in texts])
    if even:
        totals = {t: weights[types == t].sum() for t in set(types.tolist())}
        weights = weights * np.array([weights.sum() / len(totals) / totals[t] for t in types.tolist()])
    names, whole, bias = _regression(matrix, types, weights)
    logits = np.zeros((measured, len(names)))
    for train, test in _folds(texts, measured):
        own, w, b = _regression(matrix[train], types[train], weights[train])
        found = np.full((len(test), len(names)), -1e3)
        found[:, [names.index(t) for t in own]] = matrix[test] @ w + b
        logits[test] = found
    truth = types[:measured].tolist()
    temperature = _temperature(logits, [names.index(t) for t in truth])
    likely = _softmax(logits / temperature)
    best = [names[k] for k in likely.argmax(axis=1)]
    quality = measure_types(
        truth, best, [t.text for t in texts[:measured]], how=how, confidence=likely.max(axis=1)
    )
    return TypeClassifier(tuple(names), whole, bias, temperature, tuple(languages), trained_on, quality)


def _regression(matrix: Any, types: Any, weights: Values) -> tuple[list[str], Any, Any]:
    """Return the types, weights [features, types] and bias [types] of a multinomial regression."""
    try:
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    except ImportError:
        raise AssayError(
            "training a classifier needs scikit-learn", hint="pip install scikit-learn"
        ) from None
    # Features that no text has get no weight, so they are left out of the fit.
    used = np.unique(matrix.indices)
    found = LogisticRegression(C=_STRENGTH, max_iter=_STEPS).fit(
        matrix[:, used], types, sample_weight=weights
    )
    own, bias = found.coef_.T, found.intercept_
    if own.shape[1] == 1:
        own, bias = np.concatenate([-own, own], axis=1) / 2, np.concatenate([-bias, bias]) / 2
    whole = np.zeros((matrix.shape[1], own.shape[1]), np.float32)
    # What is stored is what is measured: half precision.
    whole[used] = own.astype(np.float16)
    return found.classes_.tolist(), whole, bias.astype(np.float32)


def _folds(texts: Sequence[TypedText], measured: int) -> list[tuple[Any, Any]]:
    """Return (rows to fit on, rows left out) by groups; rows beyond ``measured`` are always fitted on."""
    from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

    types, groups = [t.type for t in texts[:measured]], [t.group for t in texts[:measured]]
    always = np.arange(measured, len(texts))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    found = []
    for train, test in folds.split(np.zeros(measured), types, groups):
        apart = {groups[row] for row in test.tolist()}
        more = [row for row in always.tolist() if texts[row].group not in apart]
        found.append((np.concatenate([train, more]).astype(int), test))
    return found


def _softmax(logits: Any) -> Values:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float64)


def _temperature(logits: Values, truth: Sequence[int]) -> float:
    """Return the temperature of the lowest mean negative log-likelihood."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        likely = _softmax(logits / np.exp(log_temperature))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(likely, 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def measure_types(
    truth: Sequence[str],
    named: Sequence[str],
    texts: Sequence[str],
    *,
    how: str,
    confidence: Sequence[float] | Values | None = None,
) -> TypeQuality:
    """Compare types named with true ones; ``texts`` are the prompts, for the keyword rules beside them."""
    from scipy.stats import binomtest

    right = np.array([a == b for a, b in zip(truth, named, strict=True)])
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    likely = None if confidence is None else np.asarray(confidence, np.float64)
    scores = tuple(_type_score(t, truth, named) for t in sorted(set(truth) | set(named), key=_place))
    return TypeQuality(
        how=how,
        items=len(truth),
        accuracy=float(right.mean()),
        low=float(interval.low),
        high=float(interval.high),
        macro_f1=float(np.mean([_f1(s) for s in scores if s.items])),
        majority=Counter(truth).most_common(1)[0][1] / len(truth),
        rules=float(np.mean([by_rules(text) == t for text, t in zip(texts, truth, strict=True)])),
        calibration_error=None if likely is None else _calibration(likely, right),
        levels=() if likely is None else tuple(_level(sure, likely, right) for sure in LEVELS),
        per_type=scores,
    )


def _place(name: str) -> tuple[int, str]:
    return (TASK_TYPES.index(name) if name in TASK_TYPES else len(TASK_TYPES), name)


def _type_score(name: str, truth: Sequence[str], named: Sequence[str]) -> TypeScore:
    hits = sum(a == b == name for a, b in zip(truth, named, strict=True))
    of, said = sum(t == name for t in truth), sum(t == name for t in named)
    return TypeScore(name, of, hits / said if said else None, hits / of if of else None)


def _f1(score: TypeScore) -> float:
    """Return F1; 0 where a type that exists is never named, as is usual."""
    p, r = score.precision or 0.0, score.recall or 0.0
    return 2 * p * r / (p + r) if p + r else 0.0


def _calibration(likely: Values, right: NDArray[np.bool_]) -> float:
    bins = np.array_split(np.argsort(likely, kind="stable"), min(10, len(likely)))
    return float(sum(len(b) * abs(likely[b].mean() - right[b].mean()) for b in bins) / len(likely))


def _level(sure: float, likely: Values, right: NDArray[np.bool_]) -> SureLevel:
    """Find the lowest threshold from which on types are right so often, on 20 items or more."""
    order = np.argsort(-likely, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(right) + 1)
    least = min(20, len(right))
    enough = [k for k in range(least, len(right) + 1) if shares[k - 1] >= sure]
    if not enough:
        return SureLevel(sure, None, 0.0, None)
    count = enough[-1]
    threshold = 0.0 if count == len(right) else float(likely[order[count - 1]])
    return SureLevel(sure, threshold, count / len(right), float(shares[count - 1]))
