"""How well recorded judges agree with people, and whether their replies are read as they were meant.

    python benchmarks/judge_agreement.py [--quick]

On public judge outputs and human labels, without a model: every recorded reply through the parser against the
number that its authors recorded; agreement, κ and rank correlation of GPT-4's stars with people's (llmeval-2)
and of recorded verdicts with the majority of three annotators (PandaLM); bias by length and by position.
Intervals are 90 %, over questions.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from assay.judging import (
    Scale,
    Unparsed,
    agreement,
    cohen_kappa,
    krippendorff_alpha,
    length_bias,
    parse_pair,
    parse_score,
    position_bias,
)
from assay.judging._agree import Interval

FIVE, TEN = Scale(1, 5, (1, 2, 3, 4, 5)), Scale(0, 10)
STARS = {
    "Correctness": 3, "Explanation Correctness": 2, "Accuracy": 5, "Fluency": 3, "Informativeness": 3,
    "Logicality": 3,
}  # fmt: skip
"""llmeval-2's greatest number of stars by criterion."""


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        yield from map(json.loads, rows)


def shown(found: Interval | None) -> str:
    return "–" if found is None else f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def parser(folder: Path) -> None:
    """Print how many real replies are read, and how many wrongly."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in lines_of(folder / "judge_outputs/cherry5pct_vs_alpaca_reviews.jsonl.gz"):
        for review, scores in (("review", "scores"), ("review_reverse", "scores_reverse")):
            found = parse_pair(row[review], TEN)
            name = f"two scores ({row['judge']} reviews)"
            counts[name][_read(found, tuple(json.loads(row[scores])))] += 1
    forms = {
        "feedback as recorded (its score stands apart)": "{text}",
        "feedback [RESULT] n": "Feedback: {text} [RESULT] {score}",
        "feedback, Score: n/5": "{text}\n\nScore: {score}/5",
        "feedback，得分：n": "{text}\n\n得分：{score}",
        "JSON object": None,
    }
    for row in lines_of(folder / "judge_outputs/prometheus_rubric_eval.jsonl.gz"):
        for text, score in zip(row["gpt4_feedback"], row["gpt4_score"], strict=True):
            for name, form in forms.items():
                reply = form.format(text="{text}", score=score).replace("{text}", text) if form else None
                reply = reply or json.dumps({"reason": text, "score": score}, ensure_ascii=False)
                counts[name][_read(parse_score(reply, FIVE), score)] += 1
    confounders(folder, counts)
    print("| replies | n | read | unparsed | wrong |\n|---|---|---|---|---|")
    for name, count in counts.items():
        print(
            f"| {name} | {count.total():,} | {count['read']:,} | {count['unparsed']:,} | {count['wrong']} |"
        )


def confounders(folder: Path, counts: dict[str, Counter[str]]) -> None:
    """Count replies whose reason is a real answer of a model, full of numbers, with a score at its end."""
    files = {"judge_outputs/alpaca_eval_outputs": "output", "preferences/llmeval2_zh_answers": "answer"}
    scale = Scale(0, 1, (0, 0.25, 0.5, 0.75, 1))
    for file, key in files.items():
        for row in list(lines_of(folder / f"{file}.jsonl.gz"))[::5]:
            for form in ("\n\nScore: 0.75", "\n得分：0.75"):
                found = parse_score(row[key] + form, scale)
                counts["an answer full of numbers as reason, its score at the end"][_read(found, 0.75)] += 1


def _read(found: object, wanted: object) -> str:
    if isinstance(found, Unparsed):
        return "unparsed"
    return "read" if found == wanted else "wrong"


def positions(folder: Path) -> None:
    """Print what the order of two answers does to GPT-3.5 and GPT-4."""
    verdicts: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for row in lines_of(folder / "judge_outputs/cherry5pct_vs_alpaca_reviews.jsonl.gz"):
        for place, scores in zip(verdicts[row["judge"]], ("scores", "scores_reverse"), strict=True):
            first, second = json.loads(row[scores])
            place.append("first" if first > second else "second" if second > first else "tie")
    print("\n| judge | pairs | same verdict in both orders | leans to first | to second | p |")
    print("|---|---|---|---|---|---|")
    for name, (one, other) in verdicts.items():
        found = position_bias(one, other)
        print(
            f"| {name} | {found.n:,} | {found.consistent:.1%} | {found.first} | {found.second} "
            f"| {found.p:.2g} |"
        )


def stars(folder: Path, *, quick: bool) -> None:
    """Print how GPT-4's stars agree with people's, and what length does to it."""
    rows: dict[str, list[tuple[float, float, int, str]]] = defaultdict(list)
    for row in lines_of(folder / "preferences/llmeval2_zh_answers.jsonl.gz"):
        for name, people in row["human_stars"].items():
            entry = (row["gpt_stars"][name], people, len(row["answer"]), row["question_uuid"])
            # People gave 0 stars to nine answers that were not there.
            if people >= 1:
                rows[name].append(entry)
    print(
        "\n| criterion (llmeval-2) | n | equal | κ (quadratic) | Spearman | Kendall | judge − people |",
        end="",
    )
    print(" slope on doubled length | judge ~ length given people |\n|---|---|---|---|---|---|---|---|---|")
    for name, entries in rows.items():
        judge, people = (unit(np.array([e[i] for e in entries], float), STARS[name]) for i in (0, 1))
        clusters = [e[3] for e in entries]
        found = agreement(judge, people, clusters=clusters, draws=50 if quick else 400)
        bias = length_bias(judge, people, [max(e[2], 1) for e in entries], clusters=clusters)
        assert found.kappa is not None
        assert bias is not None
        assert bias.partial is not None
        print(
            f"| {name} | {found.n:,} | {found.equal:.1%} | {found.kappa:.2f} | {shown(found.spearman)} "
            f"| {shown(found.kendall)} | {found.difference:+.3f} | {bias.slope.value:+.4f} "
            f"[{bias.slope.low:+.4f}, {bias.slope.high:+.4f}] | {bias.partial:+.2f} |",
            flush=True,
        )


def unit(values: np.ndarray[Any, np.dtype[np.float64]], high: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return (values - 1) / (high - 1)


def pairs(folder: Path) -> None:
    """Print how recorded verdicts agree with the majority of three annotators, beside the longer answer."""
    found = list(lines_of(folder / "preferences/pandalm_999.jsonl.gz"))
    people = [[str(row[f"annotator{k}"]) for k in (1, 2, 3)] for row in found]
    majority = [max(set(votes), key=votes.count) if len(set(votes)) < 3 else None for votes in people]
    words = {"Tie": "0", "garbage": None}
    raters: dict[str, list[str | None]] = {
        "gpt-3.5": [words.get(str(r["gpt_result"]), str(r["gpt_result"])) for r in found],
        "PandaLM-7B": [str(r["pandalm_result"]) for r in found],
        "the longer answer": ["1" if len(r["response1"]) > len(r["response2"]) else "2" for r in found],
        "one annotator, of the other two": [votes[0] for votes in people],
    }
    print(
        f"\nPandaLM: {len(found)} pairs, α of the three annotators {krippendorff_alpha(people).value:.2f}\n"
    )
    print("| rater | pairs with a majority | unparsed | accuracy | κ | accuracy without ties |")
    print("|---|---|---|---|---|---|")
    for name, said in raters.items():
        wanted = majority
        if name.startswith("one annotator"):
            wanted = [v[1] if v[1] == v[2] else None for v in people]
        both = [(a, b) for a, b in zip(said, wanted, strict=True) if a is not None and b is not None]
        lost = sum(a is None and b is not None for a, b in zip(said, wanted, strict=True))
        accuracy = np.mean([a == b for a, b in both])
        decided = np.mean([a == b for a, b in both if "0" not in (a, b)])
        kappa = cohen_kappa([a for a, _ in both], [b for _, b in both])
        print(f"| {name} | {len(both)} | {lost} | {accuracy:.1%} | {kappa:.2f} | {decided:.1%} |")


def judges(folder: Path) -> None:
    """Print how two GPT-4 judges of the same answers agree, and how either likes length (AlpacaEval)."""
    lengths: dict[tuple[int, str], int] = {}
    for row in lines_of(folder / "judge_outputs/alpaca_eval_outputs.jsonl.gz"):
        lengths[row["idx"], row["generator"]] = len(row["output"])
    by: dict[str, dict[tuple[int, str], float]] = defaultdict(dict)
    for row in lines_of(folder / "judge_outputs/alpaca_eval_judgments.jsonl.gz"):
        if row["preference"] is not None and 1 <= float(row["preference"]) <= 2:
            by[row["annotator"]][row["idx"], row["generator_2"]] = float(row["preference"]) - 1
    names = [n for n in by if n != "alpaca_eval_gpt4"]
    print("\n| judges (AlpacaEval, same baseline) | answers | same side | Spearman |\n|---|---|---|---|")
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            shared = sorted(set(by[one]) & set(by[other]))
            if len(shared) < 50:
                continue
            a, b = (np.array([by[n][k] for k in shared]) for n in (one, other))
            found = agreement(a, b, clusters=[str(k[0]) for k in shared], draws=100)
            side = np.mean((a > 0.5) == (b > 0.5))
            print(f"| {one}, {other} | {found.n:,} | {side:.1%} | {shown(found.spearman)} |")
    print("\n| judge | pairs with a verdict | share for the longer answer |\n|---|---|---|")
    baseline = {"alpaca_eval_gpt4": "text_davinci_003"}
    for name, said in by.items():
        own = baseline.get(name, "gpt4_1106_preview")
        longer = [
            (value > 0.5) == (lengths[idx, model] > lengths[idx, own])
            for (idx, model), value in said.items()
            if value != 0.5
            and lengths.get((idx, model), 0) != lengths.get((idx, own), 0)
            and (idx, model) in lengths
            and (idx, own) in lengths
        ]
        if longer:
            print(f"| {name} | {len(longer):,} | {np.mean(longer):.1%} |")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer draws")
    quick = options.parse_args().quick
    folder = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data"
    if not (folder / "judge_outputs").is_dir():
        print("skipped: no recorded judge outputs")
        return
    parser(folder)
    positions(folder)
    stars(folder, quick=quick)
    pairs(folder)
    judges(folder)


if __name__ == "__main__":
    main()
