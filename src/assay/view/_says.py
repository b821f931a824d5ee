"""Findings in words: the answer, why a verdict was given, and what to run next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from assay.core import (
    BASE_ARM,
    OVERALL,
    Answer,
    BestRate,
    Cause,
    CurveResult,
    DataSummary,
    Envelope,
    Forgetting,
    NextRuns,
    RecipeCheck,
    Recipes,
    Robustness,
    Say,
    Shift,
    StudyResult,
    Text,
    Verdict,
    higher_is_better,
    say,
)
from assay.view._format import (
    chance,
    clean,
    duration,
    integer,
    interval,
    number,
    percent,
    probability,
    rate,
    signed,
)
from assay.view._words import Words, words

_NAMED = 16
"""Types that a sentence names; of more it names half as many and counts the others."""
_FORGOTTEN = 0.9
"""Probability from which another recipe is said to avoid the harm of data that do no good under it either."""
_OPENINGS = {"rising": "more", "plateau": "enough", "undecided": "undecided"}


def answer_text(result: StudyResult, w: Words, *, price: bool = True) -> tuple[str, str]:
    """Return the recommendation: how much data in one sentence, then of which, and what is not known yet.

    ``price``: with what the data gained and cost since before training.
    """
    answer = result.answer
    if answer is None:
        return w("says.nothing"), ""
    parts = [*_recipes_text(result, answer, w), *_advice(result, w), *_next_and_arm(answer, w)]
    parts += _at_equal_tokens(result, answer, w)
    if result.forgetting is not None:
        parts += forgetting_text(result, answer, result.forgetting, w, price=price)
    parts += _by_word(answer, w)
    first = _depends(result, answer, w) or _too_dear(answer, result, w) or _overall(result, answer, w)
    return first, w("says.space").join(parts)


def reading_text(answer: Answer, w: Words) -> tuple[str, str]:
    """Return the recommendation that a table of points allows, as :func:`answer_text` does for a study."""
    parts = [*_next_and_arm(answer, w), *_by_word(answer, w)]
    return _answered(answer, w), w("says.space").join(parts)


def _next_and_arm(answer: Answer, w: Words) -> Iterator[str]:
    """Yield what to run next, and which arm is best where there are several."""
    if answer.overall is not None and answer.overall.next_runs is not None:
        yield w("says.run", next=next_text(answer.overall.next_runs, answer.n, w))
    if answer.choice != "only":
        key = {"undecided": "choice"}.get(answer.choice, answer.choice)
        yield w(f"says.{key}", arm=w.arm(answer.arm))


def _by_word(answer: Answer, w: Words) -> Iterator[str]:
    """Yield the types of each verdict."""
    for key, types in (
        ("rising", answer.rising),
        ("plateau", answer.plateau),
        ("falling", answer.falling),
        ("open", answer.undecided),
    ):
        if types:
            yield w(f"says.{key}", types=_listed(types, w))


def _at_equal_tokens(result: StudyResult, answer: Answer, w: Words) -> Iterator[str]:
    """Yield what the chosen selection gains over random samples of as many tokens, where that is known."""
    for row in () if result.steps_or_samples is None else result.steps_or_samples.tokens:
        if (row.arm, row.metric) == (answer.arm, answer.metric):
            found = row.equal_tokens
            reach = f"{signed(found.gain)} {interval(found.low, found.high)}"
            word = "better" if found.low > 0 else "worse" if found.high < 0 else "open"
            yield w(f"says.tokens.{word}", samples=integer(row.samples), gain=reach)


def forgetting_text(
    result: StudyResult, answer: Answer, found: Forgetting, w: Words, *, price: bool = True
) -> list[str]:
    """Return what the recommended data gained and cost since before training, and how far one may go."""
    parts = []
    rises = [
        w("says.rise", text=w.name("text", r.text), rise=signed(r.rise), interval=interval(r.low, r.high))
        for r in found.at(answer.arm, answer.n)
    ]
    gain = _since_base(result, answer)
    if price and rises and gain is not None:
        metric, listed = w.metric(answer.metric), w("says.list").join(rises)
        parts.append(w("says.price", n=integer(answer.n), metric=metric, gain=signed(gain), rises=listed))
    allowed = found.allowed(answer.arm)
    if found.largest_loss is not None and allowed is not None:
        key = "says.within" if allowed else "says.within.none"
        parts.append(w(key, n=integer(allowed), largest=number(found.largest_loss)))
    return parts


def _since_base(result: StudyResult, answer: Answer) -> float | None:
    """Return how far the answer's metric moved from the untrained model, in its own direction."""
    own = [p for p in result.points if p.metric == answer.metric]
    kind = OVERALL if any(p.type == OVERALL for p in own) else own[0].type
    means = []
    for arm, n in ((BASE_ARM, 0), (answer.arm, answer.n)):
        values = [p.value for p in own if (p.type, p.arm, p.n_train) == (kind, arm, n)]
        if not values:
            return None
        means.append(sum(values) / len(values))
    return means[1] - means[0]


def _too_dear(answer: Answer, result: StudyResult, w: Words) -> str | None:
    """Return the headline where what is enough forgets more than is allowed."""
    allowed = None if result.forgetting is None else result.forgetting.allowed(answer.arm)
    if allowed is None or allowed >= answer.n or answer.overall is None or answer.overall.word != "plateau":
        return None
    return w("says.too_dear", n=integer(answer.n), allowed=integer(allowed))


def headline(result: StudyResult, language: str) -> str:
    """Return the recommendation in one sentence."""
    return answer_text(result, words(language))[0]


def said(text: Text, language: str = "en") -> str:
    """Return a text in words."""
    return words(language).text(text)


def _overall(result: StudyResult, answer: Answer, w: Words) -> str:
    verdict, off = answer.overall, _off(result)
    if verdict is None:
        only = _answered(answer, w)
        return only if off is None else w("says.space").join([_rate(*off, answer, w), only])
    move = _move(verdict, answer, w)
    found = cause_of(result, answer.arm)
    if found is not None and found.harm != "plateau":
        return _caused(result, found, answer, move, w)
    if off is not None:
        return w("says.space").join([_rate(*off, answer, w), _rate_then(off[0], verdict, answer, move, w)])
    if found is not None and found.word not in ("exhausted", "open"):
        return _caused(result, found, answer, move, w)
    return _answered(answer, w)


def _move(verdict: Verdict, answer: Answer, w: Words) -> str:
    """Return what the overall verdict expects of the metric."""
    gain = verdict.gain, verdict.gain_low, verdict.gain_high
    sure = verdict.word in ("rising", "falling")
    return (moved if sure else changed)(gain, answer.metric, "overall", w)


def _answered(answer: Answer, w: Words) -> str:
    """Return the first sentence where nothing of the recipe is to be said first."""
    verdict = answer.overall
    if verdict is None:
        return w("says.only", n=integer(answer.n), metric=w.metric(answer.metric))
    move = _move(verdict, answer, w)
    sizes = {"n": integer(verdict.n_from or answer.n), "twice": integer(verdict.n_to or 2 * answer.n)}
    if verdict.word != "falling":
        return w(f"says.{_OPENINGS[verdict.word]}", move=move, **sizes)
    types = {"rising": _listed(answer.rising, w), "falling": _listed(answer.falling, w)}
    return w(f"cause.none.{'mixed' if all(types.values()) else 'worse'}", move=move, **sizes, **types)


def _off(result: StudyResult) -> tuple[RecipeCheck, BestRate] | None:
    """Return the check and the better rate that it found; None where the study's own is not outside."""
    check = result.recipe_check
    return None if check is None or not check.outside or check.chosen is None else (check, check.chosen)


def rate_text(result: StudyResult, w: Words) -> str | None:
    """Return what the recipe check found better than the study's own rate; None where that is as good."""
    off = _off(result)
    return None if off is None else _rate(*off, result.answer, w)


def rate_is_open(result: StudyResult) -> bool:
    """Say whether a higher rate is better at a small size, which says little of the largest.

    The best rate falls as steps are added, at most in proportion to them: only a rate that is lower by more
    than the largest rung is larger is too low there as well.  Two sizes show how the best one moves.
    """
    off = _off(result)
    return off is not None and _is_open(*off, result.answer)


def _is_open(check: RecipeCheck, best: BestRate, answer: Answer | None) -> bool:
    sizes = {row.n_train for row in check.rates} | {best.n_train}
    if answer is None or not check.too_low or len(sizes) > 1:
        return False
    return best.learning_rate / check.own < answer.n / best.n_train


def rate_to_try(result: StudyResult) -> str | None:
    """Return the learning rate with which the study should run first, None where the texts ask for none."""
    off, found = _off(result), None if result.answer is None else cause_of(result, result.answer.arm)
    if found is None or found.harm == "plateau":
        return None if off is None or rate_is_open(result) else f"{off[1].learning_rate:g}"
    if found.word == "recipe" and found.harmless is not None:
        return found.harmless.recipe if _is_rate(found.harmless.recipe) else None
    told = found.word == "data" and found.harmless is not None and found.harmless.p_harmless >= _FORGOTTEN
    if off is None or told or found.word == "overfitting" or off[0].too_low:
        return None
    return f"{off[1].learning_rate:g}"


def _rate(check: RecipeCheck, best: BestRate, answer: Answer | None, w: Words) -> str:
    """Return the first sentence of a study whose check finds another learning rate better."""
    word = "diverged" if check.regret_interval is None else "low" if check.too_low else "high"
    word = "open" if _is_open(check, best, answer) else word
    low, high = map(number, check.regret_interval or (0.0, 0.0))
    return w(
        f"rate.{word}",
        own=rate(check.own),
        best=rate(best.learning_rate),
        reach=w(f"rate.edge.{best.edge}") if best.edge else f"[{rate(best.low)}, {rate(best.high)}]",
        size=w("rate.short" if check.short else "rate.at", n=integer(best.n_train)),
        lost=f"{number(check.regret or 0.0)} [{low}, {high}]",
        on=w(f"rate.on.{check.measured_on}"),
        largest="" if answer is None else integer(answer.n),
    )


def _rate_then(check: RecipeCheck, verdict: Verdict, answer: Answer, move: str, w: Words) -> str:
    """Return what the next doubling buys at a rate that is not the best."""
    key = "rate.then.open" if verdict.word == "undecided" else "rate.then"
    return w(key, own=rate(check.own), twice=integer(2 * answer.n), move=move)


def cause_of(result: StudyResult, arm: str) -> Cause | None:
    """Return why more data of an arm did harm or no good; None where they did good, or nothing can tell."""
    return next((found for found in result.causes if found.arm == arm), None)


def _caused(result: StudyResult, found: Cause, answer: Answer, move: str, w: Words) -> str:
    """Return the first sentence of a study in which more data did harm or no good: it names the cause."""
    own, control, training = found.shifts
    held = 0 if result.control is None else result.control.matched or result.control.samples
    case = _case(result, found, answer)
    other = found.harmful if found.word == "data" and case != "forgotten" else found.harmless
    return w(
        f"cause.{found.word}.{case}",
        helping="" if other is None else _recipe(other.recipe, w),
        rate=_own_recipe(result),
        span=_span(own, w),
        metric=w.metric(own.metric),
        own=_moves(own, w),
        control=_moves(control, w),
        training=_moves(training, w),
        since="" if found.since is None else _moves(found.since, w),
        samples=integer(held),
        p=probability(found.probability),
        n=integer(own.n_to),
        move=move,
        rising=_listed(answer.rising, w),
        falling=_listed(answer.falling, w),
    )


def _case(result: StudyResult, found: Cause, answer: Answer) -> str:
    if found.harm == "plateau":
        return "plateau"
    if found.word == "recipe" and found.harmless is not None and found.shifts[1].gain > 0:
        return "helps" if found.harmless.shift.low > 0 else "harmless"
    if found.word == "data" and found.harmless is not None:
        return "forgotten" if found.harmless.p_harmless >= _FORGOTTEN else "tried"
    if found.word == "open" and result.control is not None and not result.control.matched:
        return "unlike"
    if found.word != "data":
        return "worse"
    mixed = bool(answer.rising and answer.falling)
    return "below_base" if found.harm == "below_base" else "mixed" if mixed else "worse"


def _own_recipe(result: StudyResult) -> str:
    if result.recipes is not None:
        return result.recipes.own
    return rate(float(result.recipe.get("learning_rate") or 0))


def _recipe(name: str, w: Words) -> str:
    """Return a recipe as a sentence names it; one that is a number alone is a learning rate."""
    return w("cause.by.rate" if _is_rate(name) else "cause.by.recipe", name=name)


def _is_rate(name: str) -> bool:
    return name.replace("e-", "").replace(".", "").isdigit()


def _span(shift: Shift, w: Words) -> str:
    key = "cause.span" if shift.n_from else "cause.span.base"
    return w(key, start=integer(shift.n_from), n=integer(shift.n_to))


def _moves(shift: Shift, w: Words) -> str:
    """Return in which direction a curve moved and how far, in the metric's own direction."""
    sign = 1 if higher_is_better(shift.metric) else -1
    mean, *ends = (sign * value for value in (shift.gain, shift.low, shift.high))
    up = mean >= 0
    mean, *ends = (value if up else -value for value in (mean, *ends))
    reach = f"{number(mean)} [{', '.join(map(number, sorted(ends)))}]"
    return w("cause.up" if up else "cause.down", reach=reach)


def _advice(result: StudyResult, w: Words) -> Iterator[str]:
    """Yield what to do about the cause or the learning rate, ahead of all other advice."""
    off, found = _off(result), None if result.answer is None else cause_of(result, result.answer.arm)
    if found is None or found.harm == "plateau":
        if off is not None:
            key = "rate.next.open" if rate_is_open(result) else "rate.next"
            yield w(key, best=rate(off[1].learning_rate))
        elif found is not None and found.word in ("recipe", "overfitting"):
            yield w(f"cause.next.{found.word}")
        return
    unlike = result.control is not None and not result.control.matched
    if found.word == "recipe" and found.harmless is not None:
        yield w("cause.next.else", best=_recipe(found.harmless.recipe, w))
    elif found.word == "data" and found.harmless is not None and found.harmless.p_harmless >= _FORGOTTEN:
        yield w("cause.next.forgotten", best=_recipe(found.harmless.recipe, w))
    elif off is not None and found.word != "overfitting" and not off[0].too_low:
        yield w("cause.next.rate", best=rate(off[1].learning_rate), own=rate(off[0].own))
    elif found.word == "open" and unlike and found.harmless is None:
        yield w("cause.next.check")
    else:
        yield w(f"cause.next.{found.word}")


def _recipes_text(result: StudyResult, answer: Answer, w: Words) -> Iterator[str]:
    """Yield whether the verdict holds under the other recipes, and what the best recipe per size promises."""
    key, found = _headline_key(result, answer), result.recipes
    robust = None if found is None else found.of(*key)
    if found is None or robust is None:
        return
    if robust.word == "robust":
        yield w("recipes.says.robust", count=len(robust.by), names=w.listed(robust.by))
    elif robust.word == "open":
        yield w("recipes.says.open", listed=_under(found, robust, w))
    best = found.envelope(*key)
    if best is not None and robust.word != "depends":
        key_of = "recipes.says.envelope" if best.verdict.word != "undecided" else "recipes.says.envelope.open"
        yield w(key_of, twice=integer(best.n_to), move=_envelope_move(best, w))


def _depends(result: StudyResult, answer: Answer, w: Words) -> str | None:
    """Return the first sentence where the verdict flips with the recipe; None where it does not."""
    key, found = _headline_key(result, answer), result.recipes
    robust = None if found is None else found.of(*key)
    if found is None or robust is None or robust.word != "depends":
        return None
    best, listed = found.envelope(*key), _under(found, robust, w)
    if best is None:
        return w("recipes.says.depends.only", listed=listed)
    sure = "recipes.says.depends" if best.verdict.word != "undecided" else "recipes.says.depends.open"
    return w(sure, listed=listed, twice=integer(best.n_to), move=_envelope_move(best, w))


def _headline_key(result: StudyResult, answer: Answer) -> tuple[str, str, str]:
    own = [c.type for c in result.curves if (c.arm, c.metric) == (answer.arm, answer.metric)]
    return (OVERALL if OVERALL in own or not own else own[0]), answer.arm, answer.metric


def _under(recipes: Recipes, found: Robustness, w: Words) -> str:
    """Return the verdict under each recipe, the study's own first."""
    first = sorted(found.by, key=lambda name: name != recipes.own)
    return w.listed(w("recipes.says.under", word=found.by[name], name=name) for name in first)


def _envelope_move(best: Envelope, w: Words) -> str:
    v = best.verdict
    gain = v.gain, v.gain_low, v.gain_high
    return (moved if v.word in ("rising", "falling") else changed)(gain, best.metric, "overall", w)


def moved(gain: tuple[float, float, float], metric: str, what: str, w: Words) -> str:
    """Return in which direction a metric moves and how far, from an oriented gain (mean, low, high).

    "lower the loss by 0.048 [0.016, 0.070]", so that nobody reads a fall of the loss as a loss.
    """
    better = gain[0] >= 0
    mean, *ends = gain if better else (-value for value in gain)
    reach = f"{number(mean)} [{', '.join(map(number, sorted(ends)))}]"
    way = "raise" if better == higher_is_better(metric) else "lower"
    return w(f"says.{what}.{way}", metric=w.metric(metric), gain=reach)


def changed(gain: tuple[float, float, float], metric: str, what: str, w: Words) -> str:
    """Return the change of a metric in its own direction, from an oriented gain that may be none."""
    mean, *ends = gain if higher_is_better(metric) else (-value for value in gain)
    reach = f"{signed(mean)} {interval(*sorted(ends))}"
    return w(f"says.{what}.change", metric=w.metric(metric), gain=reach)


def _listed(types: Sequence[str], w: Words) -> str:
    if len(types) <= _NAMED:
        return w("says.list").join(map(w.type, types))
    named = w("says.list").join(map(w.type, types[: _NAMED // 2]))
    return w("says.list.more", types=named, n=len(types) - _NAMED // 2)


def reason_text(curve: CurveResult, verdict: Verdict, w: Words) -> str:
    """Return the three probabilities behind a verdict, and what the next run should measure."""
    parts = w(
        "reason",
        delta=number(verdict.threshold),
        rising=probability(verdict.p_rising),
        plateau=probability(verdict.p_plateau),
        falling=probability(verdict.p_falling),
    )
    return w("reason.more").join([parts, *(w.text(part) for part in foreseen(curve))])


def foreseen(curve: CurveResult) -> Iterator[Text]:
    """Yield what one run of twice the largest size should measure, and whether a family fits exactly."""
    run = curve.next_run
    if run is not None:
        limits = f"[{number(run.low)}, {number(run.high)}]"
        yield say("reason.run", n=integer(run.n_train), value=number(run.value), interval=limits)
    if curve.family_holds is not None:
        yield say("reason.family", p=probability(curve.family_holds))


def next_text(runs: NextRuns, largest: float, w: Words) -> str:
    """Return what to run to settle a verdict, and how likely it is to; ``largest`` is the last rung."""
    what, one = "seeds" if runs.n_train <= largest else "rung", ".one" if runs.seeds == 1 else ""
    text = w(f"next.{what}{one}", seeds=runs.seeds, n=integer(runs.n_train), chance=chance(runs.chance))
    cost = integer(runs.passes) if runs.hours is None else duration(3600 * runs.hours, w)
    text = w("next.cost" if runs.hours is None else "next.time", runs=text, cost=cost)
    return text if runs.needs is None else w(f"next.{runs.needs[0]}", runs=text, count=integer(runs.needs[1]))


def study_notes(result: StudyResult, w: Words) -> list[str]:
    """Return what has to be known of this study: its judge, what length took away, what its steps noted."""
    read = [*read_notes("pool", result.pool), *read_notes("evaluation", result.evaluation)]
    judge, own = result.judge, [w.text(note) for note in (*count_notes(result.counts), *read, *result.notes)]
    if judge is None:
        return own
    share = percent(judge.unparsed, judge.replies - judge.failed)
    alarm = [w("judge.alarm", share=share)] if judge.alarm else []
    return [*alarm, w("judge.units", version=judge.version), *own]


def read_notes(what: Literal["pool", "evaluation"], summary: DataSummary) -> list[Say]:
    """Return which fields of the files were not read, and what readers noted of their rows."""
    where = say(f"read.{what}")
    counts = {clean(name): n for name, n in summary.unused.items()}
    unused = [say("read.unused", what=where, counts=counts)] if counts else []
    return [*unused, *(say("read.note", what=where, note=clean(k), n=n) for k, n in summary.noted.items())]


def count_notes(counts: Mapping[str, int]) -> list[Say]:
    """Return how many samples and items were cut or left out for their length, where any were."""
    wholes = {"answers_empty": "answers", "cut": "samples", "unlearnable": "samples",
              "items_too_long": "items", "items_cut": "items"}  # fmt: skip
    limits = {"samples": "recipe.max_tokens", "items": "measure.max_tokens"}
    return [
        say(f"count.{name}", n=counts[name], of=counts[whole], limit=limits.get(whole, ""))
        for name, whole in wholes.items()
        if counts.get(name)
    ]
